"""Probation: for a while the model before judges along, unheard, so that a promotion can be taken back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from autoencoder.adaptation.calibration import calm_rows
from autoencoder.adaptation.job import freeze_files, thaw_files
from autoencoder.adaptation.season import unusual_rows
from autoencoder.adaptation.trial import ALARMS, loss_of
from autoencoder.core.state import Reader, State
from autoencoder.detector import StreamDetector
from autoencoder.scorers.base import Array, Refittable

WORSE = 0.02  # share of the old model's loss by which the new one's may be larger


class Probation:
    """The model before and how both did since the promotion.

    Args:
        detector: the old one, which goes on with every block.
        kind: of its scorer.
    """

    def __init__(self, detector: StreamDetector, kind: str) -> None:
        self.detector = detector
        self.kind = kind
        self.blocks = 0
        self._rows: list[Array] = []  # (K, 3 F + 2): values, predictions of both models, new one first, and flags

    def take(self, values: Array, predictions: Array, flags: npt.NDArray[np.bool_]) -> None:
        """A block (B, F) with the new model's predictions (B, F) and flags (B,)."""
        detections = self.detector.process(np.arange(len(values)), values)
        if isinstance(self.detector.scorer, Refittable):
            self.detector.scorer.exclude(detections.anomalies[~np.isnan(detections.errors)])
        said = np.column_stack([flags, detections.anomalies]).astype(np.float64)
        self._rows.append(np.hstack([values, predictions, detections.predictions, said]))
        self.blocks += 1

    @property
    def is_better(self) -> bool:
        """Whether the old model would have been: its loss is lower, and it does not alarm all the time where the new one is calm."""
        found = self.report()
        alarms, before = found["alarms"], found["alarms_of_the_model_before"]
        calmer = before >= ALARMS and alarms <= before / 2
        return not calmer and found["loss"] > (1.0 + WORSE) * found["loss_of_the_model_before"]

    def report(self) -> dict[str, float]:
        """Losses of both models on the same points, those in which neither feels an anomaly, and the share of usual points they flag."""
        rows = np.concatenate(self._rows)
        values, new, old = np.split(rows[:, :-2], 3, axis=1)  # (K, F) each
        unusual, flags = unusual_rows(values), rows[:, -2:] > 0
        calm = calm_rows(~(np.isnan(rows).any(axis=1) | flags.all(axis=1) | unusual), self.detector.scorer.window)
        scale = np.maximum(values[calm].std(axis=0), np.finfo(float).tiny) if len(calm) else np.ones(values.shape[1])
        unit = float(scale[0]) if values.shape[1] == 1 else 1.0
        loss, before = (loss_of(said[calm], values[calm], scale) * unit for said in (new, old))
        alarms = flags[~unusual].mean(axis=0) if not unusual.all() else np.full(2, np.nan)
        return {
            "loss": loss,
            "loss_of_the_model_before": before,
            "alarms": float(alarms[0]),
            "alarms_of_the_model_before": float(alarms[1]),
            "points": len(calm),
        }

    def state(self) -> State:
        """The old model, files included, and what was seen."""
        return {
            "kind": self.kind,
            "detector": self.detector.state(),
            "files": freeze_files(self.detector.scorer.artifacts()),
            "blocks": self.blocks,
            "rows": np.concatenate(self._rows) if self._rows else np.empty((0, 5)),
        }

    @staticmethod
    def load(state: State, build: Callable[[str], StreamDetector]) -> Probation:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the model before")
        kind = saved.text("kind")
        detector = build(kind)
        detector.load(saved.state("detector"), thaw_files(saved.state("files")))
        probation = Probation(detector, kind)
        probation.blocks = saved.integer("blocks", 0)
        rows = saved.array("rows", (None, None), finite=False)
        probation._rows = [rows] if len(rows) else []
        return probation
