"""The contract of a channel: it sends one alert to one receiver, and says how that ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from autoencoder.alerts.outbox import Alert

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
