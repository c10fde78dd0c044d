"""Message: what an alert says to a person, in the same words on every channel."""

from __future__ import annotations

from autoencoder.alerts.outbox import Alert
from autoencoder.reports.incidents import ANOMALY, Incident
from autoencoder.reports.wording import length_text, seen_text, severity_text


def sentence(alert: Alert) -> str:
    """An alert in one sentence."""
    incident = Incident.from_record(alert["incident"])
    seen = f"{seen_text(incident)}, severity {severity_text(incident)}"
    where = alert["source"] if incident.series is None else f"{alert['source']}, series {incident.series!r}"
    if alert["event"] == "closed":
        extent = f"{incident.start} to {incident.end}, {length_text(incident)}"
        return f"Over ({incident.close_reason or 'closed'}): {what_of(alert).lower()} in {where}, {extent}; at its peak {seen}"
    return f"{what_of(alert)} in {where} since {incident.start}: {seen}"


def headline(alert: Alert) -> str:
    """What a title holds: which stream, and whether it is over."""
    series = alert["incident"].get("series")
    where = alert["source"] if series is None else f"{alert['source']}, series {series!r}"
    what = what_of(alert)
    return f"{f'Over: {what.lower()}' if alert['event'] == 'closed' else what} in {where}"


def what_of(alert: Alert) -> str:
    """What an incident is, as the start of a sentence."""
    return "Anomaly" if alert["incident"].get("kind", ANOMALY) == ANOMALY else "Missing data"


def facts(alert: Alert) -> dict[str, str]:
    """The particulars of an incident, each under its name."""
    incident = Incident.from_record(alert["incident"])
    is_over = alert["event"] == "closed"
    return {
        "When": f"{incident.start} to {incident.end}, {length_text(incident)}" if is_over else f"since {incident.start}",
        "At its peak": f"{seen_text(incident)} at {incident.peak_time}",
        "Severity": severity_text(incident),
        **({"Over because": incident.close_reason or "closed"} if is_over else {}),
        "Incident": str(incident.id),
    }
