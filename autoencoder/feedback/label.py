"""Label: what somebody said of an incident, and how near another one comes to it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from autoencoder.core.types import Array, Detections, Time
from autoencoder.reports.incidents import BOTH, Incident
from autoencoder.thresholds.budget import interval_of

NORMAL_PAIRS = 0.9  # share of pairs of normal points that differ by no more than two incidents that are alike may
NORMAL_POINTS = 5000  # before an incident, of which the normal ones say how they differ
SEASONS = (86_400.0, 604_800.0)  # seconds of a day and a week: the first that has ``MIN_POINTS`` points tells the phase
MIN_POINTS = 6
PHASE = 1 / 8  # of a season, by which two that are alike may differ


@dataclass(frozen=True, slots=True)
class Shape:
    """An incident of F columns: where it begins in its season, and from where to where its deviations grow.

    The tolerances are those of the series itself: by so much, or less, ``NORMAL_PAIRS`` of all pairs of its normal points differ.
    """

    season: float  # seconds; 0 where there is none
    start: int  # nanoseconds since 1970, or a count
    direction: tuple[str | None, ...]  # (F,)
    first: tuple[float, ...]  # (F,) absolute deviation of its first flagged point from what was expected
    largest: tuple[float, ...]  # (F,) of all of its flagged points
    tolerance: tuple[float, ...]  # (F,)
    score: float  # at its peak
    score_tolerance: float

    @staticmethod
    def of(incident: Incident, rows: Detections, normal: Detections) -> Shape:
        """The shape of an incident with these ``rows`` (N), beside ``normal`` ones (M) of the same series."""
        flagged = rows.where(rows.anomalies)
        deviations = np.abs(np.nan_to_num(flagged.values - flagged.predictions))
        interval = interval_of(normal.time) if len(normal) else 0.0
        return Shape(
            season=next((each for each in SEASONS if 0 < interval <= each / MIN_POINTS), 0.0),
            start=moment_of(rows.time),
            direction=incident.direction,
            first=tuple(deviations[0].tolist()),
            largest=tuple(deviations.max(axis=0).tolist()),
            tolerance=tuple(_difference(column) for column in (normal.values - normal.predictions).T),
            score=incident.peak_score or 0.0,
            score_tolerance=_difference(normal.scores),
        )

    def distance(self, incident: Incident, start: int, deviations: Array) -> float:
        """How far an incident, as far as it has come, is from this one, in tolerances: 1 or less is alike.

        Args:
            incident: with its newest point in it.
            start: of its first flagged point, as ``start`` here.
            deviations: (F,) absolute ones of its newest point.
        """
        apart = (start - self.start) / 1e9 / self.season % 1.0 if self.season else 0.0
        alike = all(
            BOTH in pair or None in pair or pair[0] == pair[1] for pair in zip(self.direction, incident.direction, strict=False)
        )
        if not alike or min(apart, 1.0 - apart) > PHASE or len(deviations) != len(self.first):
            return math.inf
        found = [*deviations.tolist(), incident.peak_score or 0.0]
        # it must begin as far off as the other did, and become no worse
        low = [*self.first, 0.0] if incident.n_points == 1 else [0.0] * len(found)
        high, tolerances = [*self.largest, self.score], [*self.tolerance, self.score_tolerance]
        distances = (
            max(least - each, each - most, 0.0) / max(tolerance, 1e-300)
            for each, least, most, tolerance in zip(found, low, high, tolerances, strict=True)
        )
        return float(max(distances))


@dataclass(frozen=True, slots=True)
class Label:
    """One line of feedback.jsonl."""

    incident: int  # its id
    label: bool  # whether it was an anomaly; False: a false alarm
    given: str  # when, in UTC
    series: str | None
    first_row: int  # of the incident, in its series
    last_row: int
    end: int  # time of that row; it starts with ``shape.start``
    shape: Shape
    until: int | None = None  # nanoseconds since 1970, of the stream, from which on it does not hold; None: it always does
    note: str = ""

    @staticmethod
    def of(incident: Incident, rows: Detections, *, label: bool, given: str = "", seconds: float = 0.0, note: str = "") -> Label:
        """What is said of an incident, with the ``rows`` (N) of its series that end with its last; ``seconds`` that it holds, 0: always."""
        own, before = rows[-incident.length :], rows[: -incident.length]
        shape = Shape.of(incident, own, before.where(~before.anomalies & ~np.isnan(before.errors)))
        end = moment_of(own.time[-1:])
        until = end + min(round(seconds * 1e9), 1 << 61) if seconds else None
        return Label(incident.id, label, given, incident.series, incident.first_row, incident.last_row, end, shape, until, note)

    def to_record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @staticmethod
    def from_json(line: bytes | str) -> Label:
        """The label of a line. Raises ValueError: it is none."""
        label = _adapter().validate_python(json.loads(line))
        shape = label.shape
        if len(set(map(len, (shape.direction, shape.first, shape.largest, shape.tolerance)))) > 1:
            raise ValueError("its columns are not as many everywhere")
        return label


@cache
def _adapter() -> TypeAdapter[Label]:
    return TypeAdapter(Label)


def moment_of(time: Time) -> int:
    """The first of times (N,) as a whole number."""
    return int((time.astype("datetime64[ns]") if time.dtype.kind == "M" else time)[:1].astype(np.int64)[0])


def _difference(values: Sequence[float] | Array) -> float:
    """What ``NORMAL_PAIRS`` of pairs of values (N,) differ by at most; each is paired with the one half of all later."""
    known = np.sort(np.asarray(values, float)[np.isfinite(values)])
    if len(known) < 2:
        return 0.0
    shuffled = np.random.default_rng(0).permutation(known)
    return float(np.quantile(np.abs(shuffled - np.roll(shuffled, 1)), NORMAL_PAIRS))
