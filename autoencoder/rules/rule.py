"""Rule: what of the incidents of a series matters enough to ring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from autoencoder.core.types import Array
from autoencoder.rules.calendar import Calendar

if TYPE_CHECKING:
    from autoencoder.reports.incidents import Incident


def first_match(patterns: Sequence[str], name: str | None) -> int | None:
    """Place of the first pattern that matches a series, which has no name where it is the only one; None where none does.

    >>> first_match(["web-*", "*"], "web-1"), first_match(["web-*", "*"], None), first_match(["web-*"], None)
    (0, 1, None)
    """
    return next(
        (place for place, each in enumerate(patterns) if each == "*" or (name is not None and fnmatchcase(name, each))), None
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold at a flagged point with which an incident of a series may ring, and how long data may stay away.

    Attributes:
        name: what people know the rule by.
        direction: of incidents that matter, "up", "down" or "both".
        min_deviation: that the point must have from what was expected, in that direction; 0 for any.
        is_relative: that is a share of what was expected.
        has_min_length: the incident's least length is this rule's.
        calendar: when nothing rings, and when only much does.
        holiday_tolerance: the error in thresholds that the point must have on a holiday.
        no_data: seconds without a point that are an incident; 0 for none.
    """

    name: str
    direction: str = "both"
    min_deviation: float = 0.0
    is_relative: bool = False
    has_min_length: bool = False
    calendar: Calendar | None = None
    holiday_tolerance: float = 1.0
    no_data: float = 0.0

    def silences(
        self, incident: Incident, values: Array, expected: Array, height: float, moment: int, *, is_long: bool
    ) -> str | None:
        """The part of the rule by which an incident does not ring with its newest point; None where it may.

        Args:
            incident: with that point in it.
            values: (F,) of the point.
            expected: (F,) at the point.
            height: error of the point in thresholds.
            moment: of the point, in nanoseconds since 1970.
            is_long: the incident has its least length.
        """
        if self.direction != "both" and not {self.direction, "both", None} & {*incident.direction}:
            return f"{self.name}.direction"
        if self.min_deviation:
            sign = {"up": 1.0, "down": -1.0}.get(self.direction)
            deviations = (values - expected) * sign if sign else np.abs(values - expected)
            needed = self.min_deviation * np.abs(expected) if self.is_relative else np.full(len(expected), self.min_deviation)
            known = ~np.isnan(deviations)
            if known.any() and not (deviations[known] >= needed[known]).any():
                return f"{self.name}.min_deviation"
        if self.has_min_length and not is_long:
            return f"{self.name}.min_length"
        if self.calendar and self.calendar.is_quiet(moment):
            return f"{self.name}.quiet"
        if self.calendar and height < self.holiday_tolerance and self.calendar.is_holiday(moment):
            return f"{self.name}.holidays"
        return None

    def awake_from(self, moment: int, now: int) -> tuple[int, str | None]:
        """See ``Calendar.awake_from``: when missing data ring, and the part of the rule that holds them back until then."""
        awake = self.calendar.awake_from(moment, now) if self.calendar else moment
        if not self.calendar or awake == moment:
            return moment, None
        return awake, f"{self.name}.{'quiet' if self.calendar.is_quiet(moment) else 'holidays'}"
