"""Names: the column that says which series a row belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MOST_SERIES = 10_000  # each has a detector of its own in memory
LONGEST_NAME = 200  # characters; a name is written with every row

TOO_MANY = f"at most {MOST_SERIES:,} series are judged together; choose another --series-column, or split the file"
TOO_LONG = f"the name of a series has {LONGEST_NAME} characters at most"


class SeriesNames:
    """Counts the series of a table in order of first appearance; an empty name is one like any other."""

    def __init__(self) -> None:
        self._indices: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All names so far."""
        return tuple(self._indices)

    def indices(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Names (N,), blanks around them left out -> indices (N,) of their series.

        Raises:
            ValueError: a name is too long, or there are too many.
        """
        return np.array([self._index(text.strip()) for text in texts], dtype=np.int64)

    def _index(self, name: str) -> int:
        known = self._indices.get(name)
        if known is not None:
            return known
        if len(name) > LONGEST_NAME:
            raise ValueError(TOO_LONG)
        if len(self._indices) == MOST_SERIES:
            raise ValueError(TOO_MANY)
        return self._indices.setdefault(name, len(self._indices))
