"""RollbackMonitor: keeps the previous model scoring in shadow mode so that a promotion can be rolled back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autoencoder.adaptation.buffer import Block
from autoencoder.adaptation.cleaning import clean_rows, outlier_rows
from autoencoder.adaptation.retraining import ALARMING, std_of, trimmed_loss, unit_of
from autoencoder.core.state import Reader, State, from_files, to_files
from autoencoder.core.types import Array
from autoencoder.detector import StreamDetector

USELESS, HARMLESS = 0.5, 0.05  # shares of two blocks that the current and the previous model flag where the change has gone again
MIN_GAIN = 0.02  # share of the previous model's loss by which the current one's must be higher for a rollback


@dataclass(eq=False)
class RollbackMonitor:
    """Compares the previous model with the current one since its promotion."""

    detector: StreamDetector  # the previous one, which goes on with every block
    kind: str  # of its scorer
    is_anew: bool = False  # the current one did not go on from it, see ``TrainingJob``

    def __post_init__(self) -> None:
        self.blocks = 0
        self._rows: list[Array] = []  # (B, 3 F + 2): values, predictions and anomalies of the current and the previous model

    def update(self, block: Block) -> None:
        """The previous model detects in a block, too."""
        detections = self.detector.detect(block.time, block.values, block.is_row)
        anomalies = np.column_stack([block.anomalies, detections.anomalies]).astype(np.float64)
        self._rows.append(np.hstack([block.values, block.predictions, detections.predictions, anomalies]))
        self.blocks += 1

    @property
    def is_useless(self) -> bool:
        """Whether the current model flags most of the newest two blocks and the previous one next to nothing: all is as before."""
        rows = np.concatenate(self._rows)
        alarms, before = rows[-2 * (len(rows) // self.blocks) :, -2:].mean(axis=0)
        return self.blocks > 1 and bool(alarms >= USELESS and before <= HARMLESS)

    @property
    def is_better(self) -> bool:
        """Whether the previous model would have been: the current one alarms all the time where it does not, or its loss is lower.

        The latter counts only where the current one went on from it, and it does not alarm all the time itself.
        """
        if self.is_useless:
            return True
        found = self.report()
        alarms, before = found["alarms"], found["alarms_of_the_model_before"]
        if alarms >= ALARMING and before <= alarms / 2:
            return True
        is_calmer = before >= ALARMING and alarms <= before / 2
        return not (self.is_anew or is_calmer) and found["loss"] > (1.0 + MIN_GAIN) * found["loss_of_the_model_before"]

    def report(self) -> dict[str, float]:
        """Losses of both models on the same points, those that no anomaly affects, and the share of normal points that each flags."""
        rows = np.concatenate(self._rows)
        values, current, previous = np.split(rows[:, :-2], 3, axis=1)  # (K, F) each
        outliers, anomalies = outlier_rows(values), rows[:, -2:] > 0
        clean = clean_rows(~(np.isnan(rows).any(axis=1) | anomalies.all(axis=1) | outliers), self.detector.scorer.window)
        scale = std_of(values[clean]) if len(clean) else np.ones(values.shape[1])
        loss, before = (
            trimmed_loss(predicted[clean], values[clean], scale) * unit_of(scale) for predicted in (current, previous)
        )
        alarms = anomalies[~outliers].mean(axis=0) if not outliers.all() else np.full(2, np.nan)
        return {
            "loss": loss,
            "loss_of_the_model_before": before,
            "alarms": float(alarms[0]),
            "alarms_of_the_model_before": float(alarms[1]),
            "points": len(clean),
        }

    def state(self) -> State:
        """The previous model, artifacts included, and the rows so far."""
        return {
            "kind": self.kind,
            "anew": self.is_anew,
            "detector": self.detector.state(),
            "files": from_files(self.detector.scorer.artifacts()),
            "blocks": self.blocks,
            "rows": np.concatenate(self._rows) if self._rows else np.empty((0, 5)),
        }

    @staticmethod
    def load(state: State, build: Callable[[str], StreamDetector]) -> RollbackMonitor | None:
        """The monitor of a ``state``, None of an empty one; ``build`` makes an untrained detector of a kind."""
        if not state:
            return None
        saved = Reader(state, "the model before")
        monitor = RollbackMonitor(build(saved.text("kind")), saved.text("kind"), is_anew=saved.boolean("anew"))
        monitor.detector.load(saved.state("detector"), to_files(saved.state("files")))
        monitor.blocks = saved.integer("blocks", 0)
        rows = saved.array("rows", (None, None), finite=False)
        monitor._rows = [rows] if len(rows) else []
        return monitor
