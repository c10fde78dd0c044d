"""Odometer: what was flagged and rung so far, beside what the budget allows, in words that a person understands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from autoencoder.reports.wording import number_of

DAY = 86_400.0  # seconds
PERIODS = {"a day": 1, "a week": 7}  # -> days
COUNTED = ("flagged", "allowed", "incidents", "alarms")


class Known(NamedTuple):
    """How a run met the known anomalies."""

    anomalies: int
    found: int  # of them
    rung: int  # of them, those that an alarm touches
    false_alarms: int  # alarms that touch none
    normal_flagged: int  # flagged points outside of all

    @staticmethod
    def of(quality: Mapping[str, Any] | None) -> Known | None:
        """From what ``quality_of`` gave; None where nothing is known of anomalies."""
        if not quality:
            return None
        known = int(quality["known_anomalies"])
        found = round(float(quality["event_recall"]) * known) if known else 0
        return Known(known, found, *(int(quality[key]) for key in ("rung_anomalies", "false_alarms", "normal_flagged")))

    @staticmethod
    def total(parts: Iterable[Known]) -> Known:
        """The sum over series."""
        return Known(*map(sum, zip(*parts, strict=True)))

    @property
    def found_text(self) -> str:
        """The anomalies that were found: "24 of 25"."""
        return f"{self.found:,} of {self.anomalies:,}"


class Odometer(NamedTuple):
    """Counts of a run so far, over all of its series."""

    judged: int  # points
    flagged: int  # of them
    allowed: float  # normal points among them that the budget lets be flagged; NaN where that is not known
    incidents: int
    alarms: int  # incidents that were worth an alert
    days: float  # that the judged points take; NaN without timestamps

    @staticmethod
    def total(parts: Iterable[Odometer]) -> Odometer:
        """The sum over series, of which the one with the longest judged part says how long that is."""
        *counts, days = zip(*parts, strict=True)
        return Odometer._make([*map(sum, counts), float(np.fmax.reduce(days))])

    def per(self, count: float, period: str) -> float:
        """So many of them a day or a week (``PERIODS``); NaN without timestamps."""
        return count / self.days * PERIODS[period] if self.days > 0 else math.nan

    def record(self) -> dict[str, Any]:
        """As metrics.json holds it; unknown numbers are NaN."""
        counts = {name: getattr(self, name) for name in COUNTED}
        rates = {
            period.replace("a ", "per_"): {name: self.per(count, period) for name, count in counts.items()} for period in PERIODS
        }
        return {"judged": self.judged, "days": self.days, **counts, **rates}

    def headline(self, known: Known | None) -> str:
        """What was found and how often it rang for nothing, beside what was asked for."""
        if known and known.anomalies:
            anomalies = "anomaly" if known.anomalies == 1 else "anomalies"
            silent = f" ({known.rung:,} rang)" if known.rung < known.found else ""
            start = f"{known.found_text} known {anomalies} found{silent}, {number_of(known.false_alarms, 'false alarm')}"
            return f"{start}{self._beside_budget(known.false_alarms, '')}"
        return f"{number_of(self.incidents, 'incident')}{self._beside_budget(self.incidents, ' false alarm')}"

    def _beside_budget(self, count: int, what: str) -> str:
        """How often something came, beside how often ``what`` (" false alarm"; "" after that word) was asked for, in one period."""
        # where that is a handy number
        period = ("a day" if self.per(self.allowed, "a day") >= 1 else "a week") if self.days > 0 else ""
        rate, asked = (brief(self.per(each, period) if period else each) for each in (count, self.allowed))
        what += "s" if what and asked != "1" else ""
        came = f": {rate} {period}" if period else f" in {number_of(self.judged, 'judged point')}"
        return f"{came} (you asked for at most {asked}{what}{f' {period}' if period else ''})"

    def line(self, known: Known | None = None) -> str:
        """Points flagged so far, a day and a week, against the budget."""
        outside = f" ({known.normal_flagged:,} outside of known anomalies)" if known and known.anomalies else ""
        rates = [
            "".join(f", {brief(self.per(count, period))} {period}" for period in PERIODS)
            for count in (self.flagged, self.allowed)
        ]
        flagged, allowed = rates if self.days > 0 else ("", "")
        budget = f"the budget for normal points is {brief(self.allowed)}{allowed}"
        return f"{number_of(self.flagged, 'point')} flagged so far{outside}{flagged}; {budget}"


def brief(number: float) -> str:
    """A number with two digits, or as a whole one.

    >>> brief(0.3372), brief(1.0), brief(1234.5), brief(float("nan"))
    ('0.34', '1', '1,234', 'unknown')
    """
    if not math.isfinite(number):
        return "unknown"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
