"""Tail thresholds of many streams, judged in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import unknown
from autoencoder.thresholds.base import Array
from autoencoder.thresholds.tail import BLOCK, Measure, TailThreshold


class TailThresholds:
    """The ``TailThreshold`` of each of S streams: the same limits to the bit, at a fraction of the time.

    Args:
        thresholds: one a stream, at the start of a block; they learn when a block is full, and judge no more by themselves.
    """

    def __init__(self, thresholds: Sequence[TailThreshold]) -> None:
        self._thresholds = thresholds
        measures = [threshold.measure for threshold in thresholds]
        self._measure = Measure(*(np.stack([getattr(one, field.name) for one in measures]) for field in fields(Measure)))
        self._due = np.array([threshold.due for threshold in thresholds])  # (S,)
        self._pending = np.empty((len(thresholds), BLOCK))
        self._waiting = np.zeros(len(thresholds), np.int64)  # errors of each that are pending

    def judge(self, errors: Array) -> tuple[Array, Array]:
        """One error a stream, (S,), NaN where there is none -> limits (S,) and probabilities (S,), as ``TailThreshold.judge``."""
        limits, probabilities = unknown(len(errors)), unknown(len(errors))
        known = np.flatnonzero(~np.isnan(errors))
        measure = self._of(known)
        limits[known] = measure.limit
        probabilities[known] = np.where(np.isnan(measure.limit), np.nan, measure.probabilities(errors[known]))
        self._pending[known, self._waiting[known]] = errors[known]
        self._waiting[known] += 1
        for stream in np.flatnonzero(self._waiting == self._due).tolist():
            self._learn(stream)
        return limits, probabilities

    def _of(self, streams: npt.NDArray[np.int64]) -> Measure:
        if len(streams) == len(self._due):
            return self._measure
        return Measure(*(getattr(self._measure, field.name)[streams] for field in fields(Measure)))

    def _learn(self, stream: int) -> None:
        threshold = self._thresholds[stream]
        threshold.learn(self._pending[stream, : self._due[stream]].copy())
        self._waiting[stream] = 0
        self._due[stream] = threshold.due
        after = threshold.measure
        for field in fields(Measure):
            getattr(self._measure, field.name)[stream] = getattr(after, field.name)
