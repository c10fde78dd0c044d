"""Incidents: flagged points that belong together, as one thing that began, peaked and ended, how bad it is and which columns made it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import Field
from autoencoder.core.types import Array

UP, DOWN, BOTH = "up", "down", "both"  # directions
# why an incident is over: a judged point came that is not flagged; no judged point came at all; a model was promoted that has learnt the
# change; and the stream ended, or the run was stopped, while it went on
VALUES_ARE_BACK, NO_DATA, CHANGE_ADOPTED = "values are back", "no data", "change adopted"
STREAM_ENDED, RUN_STOPPED = "stream ended", "run stopped"
DATA_ARE_BACK = "data are back"  # why one of the kind MISSING is over
ANOMALY, MISSING = "anomaly", "no data"  # kinds: values that are not normal; none at all
GAPS = ("merge_gap", "cooldown", "min_length")  # settings that are counted in points
# left out
_USUAL = {"kind": ANOMALY, "columns": (), **dict.fromkeys(("series", "silenced_by", "move", "change", "market_change"))}
_LISTS = ("peak_value", "expected", "direction")  # one entry a column; a single column's is written alone

DECADES = 10.0  # of rarity at a score of 1
LENGTH_WEIGHT = 3.0  # decades of rarity that ten times as many flagged points count for
HALVING = 5.0  # decades that halve what a severity lacks to 1
LEVELS = {"critical": 0.875, "high": 0.75, "medium": 0.5, "low": 0.0}  # the severity with which each begins: 15, 10, 5, 0 decades
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


@dataclass(frozen=True, slots=True)
class Incident:
    """Flags that belong together, of F columns."""

    id: int  # counts from 1, over all series of a run
    start: str  # time of the first flagged point
    end: str  # time of the last flagged point
    peak_time: str  # time of the flagged point with the highest score; among several at 1, of the one highest above its threshold
    peak_value: tuple[float, ...]  # (F,) what was seen there
    expected: tuple[float, ...]  # (F,) what was predicted there
    severity: float  # in [0, 1), of the score at the peak and the number of flagged points, see ``severity_of``
    n_points: int  # flagged points
    first_row: int  # row of the first flagged point in its series, from 0
    last_row: int  # row of the last flagged point
    alarm: bool  # worth an alert: long enough, and one of its errors rises above all that came shortly before (``AlarmFilter``)
    series: str | None = None  # name of the series it is in; None where a run has only one
    alarm_time: str | None = None  # time of the point with which it became an alarm; None where it is none
    peak_score: float | None = None  # score in [0, 1] at the peak
    direction: tuple[str | None, ...] = ()  # (F,) where its points lie of what was expected: UP, DOWN or BOTH; None: not known
    duration_seconds: float | None = None  # from the first to the last flagged point; None without timestamps
    close_reason: str | None = None  # why it is over; None while it is open
    kind: str = ANOMALY  # of one that is MISSING the rows are those with which that was noticed, and with which data are back
    silenced_by: str | None = None  # the rule or the label that keeps it from ringing; None where none does
    move: str | None = None  # what a move of prices looks like: "own move", "bad tick", ...; None where values are no prices
    change: float | None = None  # of the price with that move, as a share of it
    market_change: float | None = None  # of the market meanwhile; None where it is not known
    columns: tuple[ColumnShare, ...] = ()  # those that made it, the worst first; none where there is a single column

    @property
    def length(self) -> int:
        """Points from the first to the last flagged one."""
        return self.last_row - self.first_row + 1

    def to_json(self, status: str = "closed") -> str:
        """One JSON object with its status, "open" or "closed"; a single column's values are plain, unknown ones null."""
        record = {"id": self.id, "status": status, **asdict(self), "length": self.length}
        record["severity_level"] = level_of(self.severity)
        record = {key: value for key, value in record.items() if key not in _USUAL or value != _USUAL[key]}
        for key in _LISTS:
            known = [None if isinstance(value, float) and not np.isfinite(value) else value for value in record[key]]
            record[key] = known[0] if len(known) == 1 else known
        return json.dumps(record)

    @staticmethod
    def from_record(record: dict[str, Any]) -> Incident:
        """The incident of a parsed ``to_json``. Raises ValueError: it is none."""
        try:
            values = {key: value for key, value in record.items() if key not in ("status", "length", "severity_level")}
            for key in _LISTS[:2]:
                values[key] = tuple(float("nan") if value is None else float(value) for value in _listed(values[key]))
            values["direction"] = tuple(_listed(values.get("direction")))
            values["columns"] = tuple(map(ColumnShare.from_record, values.get("columns", ())))
            incident = Incident(**values)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no incident ({error})") from None
        for field in fields(incident):  # whose types are text, such as "tuple[float, ...]" and "str | None"
            value, kinds = getattr(incident, field.name), str(field.type).split("[")[0].split(" | ")
            if type(value).__name__.removesuffix("Type") not in kinds:
                raise ValueError(f"{field.name} is no {kinds[0]}")
        if not set(incident.direction) <= {UP, DOWN, BOTH, None}:
            raise ValueError("direction is none")
        return incident


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def read_incidents(text: str) -> list[Incident]:
    """Incidents from a checkpoint, one ``to_json`` a line. Raises ModelFileError: the text is damaged."""
    try:
        return [Incident.from_record(json.loads(line)) for line in text.splitlines()]
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"the checkpoint is damaged (an incident: {type(error).__name__}); run anew without --resume"
        ) from None


def time_text(time: npt.NDArray[np.generic], suffix: str = "") -> list[str]:
    """Times (N,) as text: ISO 8601 with as many digits as each needs, or the plain index."""
    if time.dtype.kind != "M":
        return [str(value) for value in time.tolist()]
    text = np.datetime_as_string(time.astype("datetime64[ns]")).tolist()
    return [value.rstrip("0").rstrip(".") + suffix if value != "NaT" else "" for value in text]


def kept(key: str) -> Field:
    """How a part keeps an incident of its own, or None."""
    return Field(
        key,
        lambda saved: next(iter(read_incidents(saved.text(key))), None),
        lambda incident: incident.to_json("open") if incident else "",
    )


def severity_of(score: float, n_points: int) -> float:
    """Severity in [0, 1) of a peak with this score in [0, 1] and so many flagged points: it grows with both.

    The score says in decades how rare the peak is (0.3 is one normal point in 1,000: three decades), and ten times as many flagged points
    count for three decades more. Every five decades halve what the severity lacks to 1.

    >>> severity_of(0.3, 1), severity_of(1.0, 1), severity_of(1.0, 100)
    (0.340246, 0.75, 0.891181)
    """
    decades = DECADES * score + LENGTH_WEIGHT * math.log10(n_points)
    return round(1.0 - math.exp2(-decades / HALVING), 6)


def level_of(severity: float) -> str:
    """The word for a severity.

    >>> level_of(severity_of(0.3, 1)), level_of(severity_of(0.5, 10)), level_of(severity_of(1.0, 1)), level_of(severity_of(1.0, 50))
    ('low', 'medium', 'high', 'critical')
    """
    return next((word for word, least in LEVELS.items() if severity >= least), "low")


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
