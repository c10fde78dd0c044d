"""The two contracts for what reads detections: a ``Sink`` writes them down and loses none, a ``Callback`` only shows them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from autoencoder.core.types import Bools, Detections
from autoencoder.reports.incidents import Incident


@dataclass(frozen=True, slots=True)
class Batch:
    """What one chunk of N points became."""

    detections: Detections  # N points, in order of arrival
    closed: Sequence[Incident] = ()  # those that ended in them, in order
    open: Sequence[Incident] = ()  # those that go on behind them; at most one a series
    labels: Bools | None = None  # (N,) True inside a known anomaly; None where nothing is known
    series: Sequence[str] | None = None  # (N,) name of the series that each point is of; None where the run has only one


Callback: TypeAlias = Callable[[Batch], object]  # looks on at a batch that is written down: a progress bar, a live plot, metrics


class Sink(ABC):
    """Writes a run down: scores.csv and incidents.jsonl, anomalies.log, alerts, adaptations.jsonl, the statistics."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Record a batch; it outlives the process when this returns."""

    def flush(self) -> None:
        """A checkpoint follows, behind which nothing is written again: what was written outlives a power cut when this returns."""
        return

    def close(self, closed: Sequence[Incident] = (), *, resumable: bool = False) -> None:
        """The stream is over.

        Args:
            closed: the incidents that end with it.
            resumable: it was only cut off; these incidents go on when the run is resumed.
        """
        return
