"""Wording: the same words for an incident wherever a person reads of it."""

from __future__ import annotations

import math
from urllib.parse import quote

from autoencoder.reports.incidents import MISSING, Incident, level_of

COLUMNS = 3  # of an incident that are named, at most
LINK_FIELDS = ("out", "source", "series", "incident", "start", "end")  # of the template of a link
UNITS = {"days": 86_400.0, "h": 3600.0, "min": 60.0, "s": 1.0}  # of a duration, the longest first


def number_of(count: int, noun: str) -> str:
    """A count with its noun: "1 point", "2,000 points"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def seen_text(incident: Incident, digits: int = 6) -> str:
    """What was seen and expected at the peak of an incident, and where its points lie of that; of several columns the worst.

    "seen 61.309, expected 56.161 (up)"; "'flow' 62 %: seen 29, expected 32; 'pressure' 38 %: seen 7, expected unknown"; of missing data
    what came last, "no data after 61.309"
    """
    if incident.columns:
        return "; ".join(
            f"{each.name!r} {100 * each.share:.0f} %: seen {_number(each.value, digits)}, expected {_number(each.expected, digits)}"
            for each in incident.columns[:COLUMNS]
        )
    seen, expected = ("/".join(_number(value, digits) for value in values) for values in (incident.peak_value, incident.expected))
    if incident.kind == MISSING:
        return f"no data after {seen}"
    known = any(incident.direction)
    direction = f" ({'/'.join(each or 'unknown' for each in incident.direction)})" if known else ""
    return f"{move_text(incident)}seen {seen}, expected {expected}{direction}"


def move_text(incident: Incident) -> str:
    """What a move of prices was: "-17.9 %, own move (market -4.1 %): "; empty where values are no prices."""
    if incident.change is None:
        return ""
    market = f" (market {incident.market_change:+.1%})" if incident.market_change is not None else ""
    return f"{incident.change:+.1%}, {incident.move}{market}: ".replace("%", " %")


def columns_text(incident: Incident) -> str:
    """The worst columns of an incident with their shares: "flow 62 %, pressure 38 %"."""
    return ", ".join(f"{each.name} {100 * each.share:.0f} %" for each in incident.columns[:COLUMNS])


def _number(value: float | None, digits: int) -> str:
    return "unknown" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def severity_text(incident: Incident) -> str:
    """The severity of an incident: "high (0.82)"."""
    return f"{level_of(incident.severity)} ({incident.severity:.2f})"


def silenced_text(incident: Incident) -> str:
    """What kept an incident from ringing: " (rules[0].quiet)"; empty where nothing did."""
    return f" ({incident.silenced_by})" if incident.silenced_by else ""


def length_text(incident: Incident) -> str:
    """How long an incident is: "1 point", "18 points in 8.5 h"; of missing data, "8.5 h"."""
    seconds = incident.duration_seconds
    if incident.kind == MISSING:
        return duration_text(seconds or 0.0)
    return number_of(incident.n_points, "point") + (f" in {duration_text(seconds)}" if seconds else "")


def duration_text(seconds: float) -> str:
    """Seconds in the unit that suits them.

    >>> duration_text(30), duration_text(5400), duration_text(200_000)
    ('30 s', '1.5 h', '2.3 days')
    """
    unit, size = next(
        ((unit, size) for unit, size in UNITS.items() if seconds >= size * (2 if unit == "days" else 1)), ("s", 1.0)
    )
    return f"{float(f'{seconds / size:.2g}'):,g} {unit}" if seconds < 100 * size else f"{seconds / size:,.0f} {unit}"


def linked(template: str, out: object, source: object, incident: Incident) -> str:
    """The address that an alert leads to: ``template`` with its fields, of ``LINK_FIELDS``, filled in as parts of a URL.

    >>> incident = Incident(7, "2025-02-15T10:00", "2025-02-16", "2025-02-16", (), (), 0.82, 2, 40, 41, True, series="web 1")
    >>> linked("https://grafana/d/x?var-series={series}&from={start}", "runs/a", "a.csv", incident)
    'https://grafana/d/x?var-series=web%201&from=2025-02-15T10%3A00'
    """
    values = (out, source, incident.series or "", incident.id, incident.start, incident.end)
    return template.format(**{name: quote(str(value), safe="") for name, value in zip(LINK_FIELDS, values, strict=True)})
