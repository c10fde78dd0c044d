"""adaptations.jsonl: what was done about the model and why, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from autoencoder.core.events import DECLARED, PROMOTED, ROLLED_BACK, AdaptationEvent
from autoencoder.core.types import Detections
from autoencoder.detector import Detector
from autoencoder.reports.incidents import Incident, time_text
from autoencoder.reports.runs import ADAPTATIONS, RunFolder

MARKED = (DECLARED, PROMOTED, ROLLED_BACK)  # events that the picture shows


def adaptation_line(adaptation: AdaptationEvent, zone: str) -> str:
    """An adaptation as a line of the file; figures that are not known are null."""
    details = {key: _plain(value) for key, value in adaptation.details.items()}
    record = {"row": adaptation.row, "time": time_text(when(adaptation)[None], zone)[0], "event": adaptation.event, **details}
    return json.dumps(record) + "\n"


def when(adaptation: AdaptationEvent) -> np.ndarray[tuple[()], np.dtype[np.generic]]:
    """Time of an adaptation, as the source counts it."""
    whole = np.array(adaptation.time, dtype=np.int64)
    return whole.astype("datetime64[ns]") if adaptation.dated else whole


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value


class AdaptationLog:
    """Keeps the file as long as the detector's record is; a resumed run writes it anew from its checkpoint.

    Args:
        folder: the run folder.
        detector: whose record it is.
        zone: what is put behind every time ("Z" for UTC).
        on_model: called when another model has taken over.
    """

    def __init__(self, folder: RunFolder, detector: Detector, zone: str, on_model: Callable[[], None]) -> None:
        self._folder = folder
        self._detector = detector
        self._zone = zone
        self._on_model = on_model
        self._written, self._promotions = -1, self._count()

    def see(self, detections: Detections, ended: list[Incident], labels: object) -> None:
        """Bring the file up to date."""
        record = self._detector.adaptations
        if len(record) != self._written:
            self._folder.write(ADAPTATIONS, "".join(adaptation_line(each, self._zone) for each in record))
            self._written = len(record)
        if self._count() != self._promotions:
            self._promotions = self._count()
            if self._detector.has_model:
                self._on_model()

    def _count(self) -> int:
        """How often another model took over, or came back."""
        return sum(each.event in (PROMOTED, ROLLED_BACK) for each in self._detector.adaptations)
