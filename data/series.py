"""Chunk: the one thing that every source yields, and the errors that sources raise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class DataError(Exception):
    """A source cannot give its points; the message says where, what was found and what to do.

    ``exit_code`` is what the program ends with: 2 for wrong input, 1 for a source that failed.
    """

    exit_code = 1


class InputError(DataError):
    """What the user gave (a path, a column, a file's content) cannot be used."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a stream, in order of arrival.

    Attributes:
        time: (N,) datetime64[ns] in UTC (or without a zone, as the source gave it), or an int64 index.
        values: (N, F) float64; NaN where a value is missing.
        labels: (N,) bool, True inside a known anomaly; None where nothing is known.
        series: (N,) int64, which of the source's series a row belongs to; None where they all are of one.
    """

    time: npt.NDArray[np.datetime64] | npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    labels: npt.NDArray[np.bool_] | None = None
    series: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Chunk:
        return self._mapped(lambda name: getattr(self, name)[rows])

    @staticmethod
    def concatenate(parts: Sequence[Chunk]) -> Chunk:
        """Join consecutive chunks of one source; at least one part is needed."""
        return parts[0]._mapped(lambda name: np.concatenate([getattr(part, name) for part in parts]))

    def _mapped(self, make: Callable[[str], Any]) -> Chunk:
        """A chunk with what is made for the name of each array that this one has."""
        return Chunk(**{field.name: make(field.name) for field in fields(self) if getattr(self, field.name) is not None})


class Source(Protocol):
    """Where points come from.

    Attributes:
        name: what titles and run folders call it ("synthetic", "AAPL", "cpu.csv").
        columns: the F names of the values' columns.
        points: how many points will come, None where that is not known or endless.
        timezone: IANA name or fixed offset ("America/New_York", "UTC", "+02:00") of the times, None where they carry none
            or where the index is a plain count.
    """

    name: str
    columns: tuple[str, ...]
    points: int | None
    timezone: str | None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the stream chunk by chunk; ends where a bounded source ends.

        Raises:
            DataError: the source cannot be read.
        """
        ...
