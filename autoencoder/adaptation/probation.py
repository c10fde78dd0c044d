"""Probation: for a while the model before judges along, unheard, so that a promotion can be taken back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from autoencoder.adaptation.calibration import calm_rows
from autoencoder.adaptation.job import freeze_files, thaw_files
from autoencoder.adaptation.season import unusual_rows
from autoencoder.adaptation.trial import loss_of
from autoencoder.detector import Detector
from autoencoder.scorers.base import Array, Retrainable
from autoencoder.state import Reader, State

WORSE = 0.02  # share of the old model's loss by which the new one's may be larger


class Probation:
    """The model before and how both did since the promotion.

    Args:
        detector: the old one, which goes on with every block.
        kind: of its scorer.
    """

    def __init__(self, detector: Detector, kind: str) -> None:
        self.detector = detector
        self.kind = kind
        self.blocks = 0
        self._rows: list[Array] = []  # (K, 3 F + 1): values, predictions of the new model, of the old one, whether both flag it

    def take(self, values: Array, predictions: Array, flags: npt.NDArray[np.bool_]) -> None:
        """A block (B, F) with the new model's predictions (B, F) and flags (B,)."""
        verdicts = self.detector.process(np.arange(len(values)), values)
        if isinstance(self.detector.scorer, Retrainable):
            self.detector.scorer.judged(verdicts.flags[~np.isnan(verdicts.errors)])
        both = (flags & verdicts.flags)[:, None].astype(np.float64)
        self._rows.append(np.hstack([values, predictions, verdicts.predictions, both]))
        self.blocks += 1

    def _losses(self) -> tuple[float, float]:
        """Losses of the new and of the old model on the same points: those in which neither feels an anomaly."""
        rows = np.concatenate(self._rows)
        values, new, old = np.split(rows[:, :-1], 3, axis=1)  # (K, F) each
        normal = ~(np.isnan(rows).any(axis=1) | (rows[:, -1] > 0) | unusual_rows(values))
        calm = calm_rows(normal, self.detector.scorer.span)
        values, new, old = values[calm], new[calm], old[calm]
        if not len(values):
            return float("nan"), float("nan")
        scale = np.maximum(values.std(axis=0), np.finfo(float).tiny)
        unit = float(scale[0]) if values.shape[1] == 1 else 1.0
        return loss_of(new, values, scale) * unit, loss_of(old, values, scale) * unit

    @property
    def is_better(self) -> bool:
        """Whether the old model would have been."""
        new, old = self._losses()
        return new > (1.0 + WORSE) * old

    def report(self) -> dict[str, float | int]:
        """Both losses."""
        new, old = self._losses()
        return {"loss": new, "loss_of_the_model_before": old, "points": int(sum(map(len, self._rows)))}

    def state(self) -> State:
        """The old model, files included, and what was seen."""
        return {
            "kind": self.kind,
            "detector": self.detector.state(),
            "files": freeze_files(self.detector.scorer.files()),
            "blocks": self.blocks,
            "rows": np.concatenate(self._rows) if self._rows else np.empty((0, 4)),
        }

    @staticmethod
    def load(state: State, build: Callable[[str], Detector]) -> Probation:
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
