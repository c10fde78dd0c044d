"""Peaks-over-threshold of many streams, judged in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from autoencoder.core.types import Array, unknown
from autoencoder.thresholds.pareto import TailModel
from autoencoder.thresholds.peaks_over_threshold import BLOCK, PeaksOverThreshold


class PeaksOverThresholdPanel:
    """The ``PeaksOverThreshold`` of each of S streams: the same thresholds to the bit, at a fraction of the time.

    While the panel judges, the thresholds must not; ``write_back`` brings them to where the panel stands.

    Args:
        thresholds: one a stream, wherever its stream stands; each learns when its block is full.
    """

    def __init__(self, thresholds: Sequence[PeaksOverThreshold]) -> None:
        self._thresholds = thresholds
        models = [threshold.model for threshold in thresholds]
        self._model = TailModel(*(np.stack([getattr(one, field.name) for one in models]) for field in fields(TailModel)))
        self._due = np.array([threshold.due for threshold in thresholds])  # (S,)
        self._pending = np.empty((len(thresholds), BLOCK))
        self._count = np.array([len(threshold.pending) for threshold in thresholds])  # (S,) errors that are pending
        for row, threshold in enumerate(thresholds):
            self._pending[row, : self._count[row]] = threshold.pending

    def judge(self, errors: Array) -> tuple[Array, Array]:
        """One error a stream, (S,), NaN where there is none -> as ``PeaksOverThreshold.judge``, (S,) and (S,)."""
        limits, probabilities = unknown(len(errors)), unknown(len(errors))
        known = np.flatnonzero(~np.isnan(errors))
        every = len(known) == len(errors)
        model = self._model if every else TailModel(*(getattr(self._model, field.name)[known] for field in fields(TailModel)))
        limits[known] = model.limit
        probabilities[known] = np.where(np.isnan(model.limit), np.nan, model.probabilities(errors[known]))
        self._pending[known, self._count[known]] = errors[known]
        self._count[known] += 1
        for stream in np.flatnonzero(self._count == self._due).tolist():
            self._learn(stream)
        return limits, probabilities

    def write_back(self) -> None:
        """Bring each threshold to where the panel stands, so that it can be saved or go on by itself."""
        for row, threshold in enumerate(self._thresholds):
            threshold.pending = self._pending[row, : self._count[row]].copy()

    def _learn(self, stream: int) -> None:
        threshold = self._thresholds[stream]
        threshold.learn(self._pending[stream, : self._due[stream]].copy())
        self._count[stream] = 0
        self._due[stream] = threshold.due
        for field in fields(TailModel):
            getattr(self._model, field.name)[stream] = getattr(threshold.model, field.name)
