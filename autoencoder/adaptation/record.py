"""Record: what was done about the model, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DECLARED, STARTED, PROMOTED, DROPPED, CONFIRMED, ROLLED_BACK = EVENTS = (
    "drift declared",
    "shadow started",
    "promoted",
    "dropped",
    "confirmed",
    "rolled back",
)


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Something that was done about the model.

    Attributes:
        row: of the last point before it, from 0.
        time: of that point, as a whole number.
        dated: the time counts nanoseconds since 1970.
        event: what was done, one of ``EVENTS``.
        details: reasons and figures.
    """

    row: int
    time: int
    dated: bool
    event: str
    details: dict[str, Any]
