"""RecentPointsScorer: what the scorers that compare a point with the recent complete points have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError, TrainingError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Progress, unknown
from autoencoder.scorers.base import Scorer


class RecentPointsScorer(Scorer):
    """A scorer whose memory is the newest points without a missing or infinite value.

    Args:
        kept: how many of them are remembered at most.
        settings: the values of the settings in ``KEYS``; the configuration has checked them.
    """

    KEYS: ClassVar[Mapping[str, str]]  # setting -> key under which it is saved
    GROUP: ClassVar[str]  # of the settings in the configuration
    BLOCK: ClassVar[int] = 4096  # points that are scored together

    def __init__(self, kept: int, **settings: int) -> None:
        self._settings = settings
        self._kept = kept
        self._scale = np.empty(0)  # (F,) unit of each column, > 0; empty until there is a model
        self._recent = np.empty((0, 0))  # (n, F), oldest first
        self.calibration_errors = np.empty(0)

    def fit(self, values: Array, progress: Progress | None = None) -> Self:
        """Train on the complete rows of values (N, F); see ``Scorer.fit``."""
        valid = values[_complete_rows(values)]  # (V, F)
        if len(valid) < (needed := self._min_training_points()):
            window = f" with a window of {self._settings['window']}" if self.window > 1 else ""
            remedy = " or take a smaller window" if window else ""
            raise TrainingError(
                f"the training part has {len(valid)} complete points of {len(values)}; {self.name}{window} needs {needed}: "
                f"train on more points{remedy}"
            )
        if (valid == valid[0]).all():
            constant = ", ".join(f"{value:g}" for value in valid[0])
            raise TrainingError(
                f"the training part is constant: all of its {len(valid)} complete points are {constant}; "
                "nothing can be learnt from it: train on a part in which the series moves"
            )
        self._train(valid, progress)
        return self

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F); NaN for rows with a value that is missing or infinite."""
        if not len(self._scale):
            raise self._no_model()
        if values.shape[1] != len(self._scale):
            raise ModelFileError(
                f"{self.name}: the points have {values.shape[1]} columns, the model was trained on {len(self._scale)}; train anew"
            )
        errors, predictions = unknown(len(values)), unknown(*values.shape)
        rows = _complete_rows(values)
        while len(rows):
            block, rows = np.split(rows, [self._block_size()])
            errors[block], predictions[block] = self._score(values[block])
        return errors, predictions

    def info(self) -> dict[str, object]:
        """The settings."""
        return dict(self._settings)

    def reset(self) -> None:
        """Forget the recent points."""
        self._recent = self._recent[:0]

    def state(self) -> State:
        """All that is remembered, the kind of scorer and the settings."""
        if not len(self._scale):
            raise self._no_model()
        settings: State = {self.KEYS[name]: value for name, value in self._settings.items()}
        return {"kind": self.name, "settings": settings, **super().state()}

    def load(self, state: State, artifacts: Mapping[str, bytes] | None = None) -> None:
        """Take back what ``state`` gave; see ``Scorer.load``."""
        saved = Reader(state, self.name)
        if saved.text("kind") != self.name:
            raise ModelFileError(f"the saved model is of kind {saved.text('kind')!r:.40}; this run asks for {self.name}")
        settings = Reader(saved.state("settings"), self.name)
        for name, wanted in self._settings.items():
            if (found := settings.integer(self.KEYS[name])) != wanted:
                raise ModelFileError(
                    f"the saved model was made with {self.GROUP}.{name} {found}, this run asks for {wanted}; "
                    "use the saved setting or train anew"
                )
        super().load(state)

    def _complete(self, saved: Reader) -> None:
        if len(self._recent) > self._kept or not len(self._scale):
            raise saved.fault("recent", f"holds {len(self._recent):,} points; there can be {self._kept:,}")

    def _block_size(self) -> int:
        """How many points may be scored together next."""
        return self.BLOCK

    @abstractmethod
    def _min_training_points(self) -> int:
        """Complete points that training needs."""

    @abstractmethod
    def _train(self, valid: Array, progress: Progress | None) -> None:
        """Learn complete rows (V, F)."""

    @abstractmethod
    def _score(self, values: Array) -> tuple[Array, Array]:
        """Score complete rows (B, F) -> errors (B,), predictions (B, F), and remember them."""


def _complete_rows(values: Array) -> npt.NDArray[np.intp]:
    """Places (V,) of the rows of values (N, F) without a missing or infinite value."""
    return np.flatnonzero(np.isfinite(values).all(axis=1))
