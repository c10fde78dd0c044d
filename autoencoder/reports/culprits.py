"""Culprits: which of several columns an incident is of, with their shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencoder.core.types import Array

LEAST_SHARE = 0.01  # of an incident: a column with less is not named
PARTS = 10_000  # that shares are counted in


@dataclass(frozen=True, slots=True)
class ColumnShare:
    """What one column has to do with an incident."""

    name: str
    share: float  # of the incident, in (0, 1]; those of its columns add up to one
    value: float | None  # seen at the peak; None: not known
    expected: float | None  # expected there

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> ColumnShare:
        """Of a parsed JSON object. Raises TypeError, ValueError, KeyError: it is none."""
        value, expected = (None if record[key] is None else float(record[key]) for key in ("value", "expected"))
        return ColumnShare(str(record["name"]), float(record["share"]), value, expected)


def column_shares(
    names: Sequence[str], contributions: Array, values: Sequence[float], expected: Sequence[float]
) -> tuple[ColumnShare, ...]:
    """The columns that made an incident, the worst first, from what all F of them contributed (F,) and their values at its peak.

    Without any contribution all have the same share; without names there are none.

    >>> [(each.name, each.share) for each in column_shares(["a", "b", "c"], np.array([1.0, 3.0, 0.0]), (1.0,) * 3, (0.0,) * 3)]
    [('b', 0.75), ('a', 0.25)]
    """
    if not names:
        return ()
    whole = contributions.sum()
    shares = contributions / whole if whole > 0 else np.full(len(names), 1.0 / len(names))
    order = np.argsort(-shares, kind="stable")
    order = order[shares[order] >= min(LEAST_SHARE, shares[order[0]])]
    parts = np.floor(PARTS * shares[order] / shares[order].sum())
    parts[: int(PARTS - parts.sum())] += 1  # what rounding took off
    return tuple(
        ColumnShare(names[column], share, _known(values[column]), _known(expected[column]))
        for column, share in zip(order.tolist(), (parts / PARTS).tolist(), strict=True)
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
