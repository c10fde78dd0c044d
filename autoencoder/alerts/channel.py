"""The contract of a channel: it sends one alert to one receiver, in the same words as all others, and says how that ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from autoencoder.alerts.outbox import Alert
from autoencoder.reports.incidents import ANOMALY, Incident
from autoencoder.reports.wording import length_text, seen_text, severity_text

Draw: TypeAlias = Callable[[], bytes]  # the plot of the incident as a PNG; raises whatever goes wrong


class DeliveryResult(NamedTuple):
    """How a delivery ended."""

    outcome: str  # "failed" may be tried again; "delivered" and "refused" are final
    reason: str = ""  # in words that hold nothing secret
    wait: float = 0.0  # seconds the receiver asks to be left alone; 0 where it did not say


class Channel(ABC):
    """Sends alerts to one receiver, in a thread of its own; constructors take the settings of ``alerts.NAME`` and the secrets.

    ``key`` names one event of one incident and is the same whenever that is sent again; ``alert["incident_key"]`` names the incident.
    """

    name: ClassVar[str]
    batch_size: ClassVar[int] = 1  # most alerts a request; more than one are sent by ``send_batch``
    repeat_seconds: float = 0.0  # after which incidents that are still open are sent again, by ``send_batch``; 0: never

    @abstractmethod
    def send(self, key: str, alert: Alert, draw: Draw) -> DeliveryResult:
        """Send one alert; whatever goes wrong is a result. ``draw`` is only called where the receiver takes a picture."""

    def send_batch(self, alerts: Sequence[Alert]) -> DeliveryResult:
        """Send alerts together; only asked of channels whose ``batch_size`` or ``repeat_seconds`` says that they can."""
        raise NotImplementedError


def headline(alert: Alert) -> str:
    """What a title holds: which stream, and whether it is over."""
    series, what = alert["incident"].get("series"), what_of(alert)
    where = alert["source"] if series is None else f"{alert['source']}, series {series!r}"
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


def sentence(alert: Alert) -> str:
    """An alert in one sentence."""
    incident, told = Incident.from_record(alert["incident"]), facts(alert)
    seen = f"{seen_text(incident)}, severity {told['Severity']}"
    if alert["event"] == "closed":
        over = headline(alert).replace("Over", f"Over ({told['Over because']})", 1)
        return f"{over}, {told['When']}; at its peak {seen}"
    return f"{headline(alert)} {told['When']}: {seen}"
