"""LSTM autoencoders of many streams, run in one call of the network they share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import unknown
from autoencoder.network.windows import stepped
from autoencoder.scorers.base import Array
from autoencoder.scorers.lstm import RANGE_UNIT, LstmAutoencoderScorer
from autoencoder.scorers.novelty import Codes, lowest

Rows = npt.NDArray[np.int64]


class LstmStreams:
    """The ``LstmAutoencoderScorer`` of each of S streams: the same errors to the bit, at a fraction of the time.

    Args:
        scorers: siblings, one a stream, that have judged nothing yet.
    """

    def __init__(self, scorers: Sequence[LstmAutoencoderScorer]) -> None:
        self._model = scorers[0]  # the network, and how windows are cut and scaled
        self._memories = [scorer.memory for scorer in scorers]
        self._ranges = [scorer.range for scorer in scorers]
        self._inside = np.zeros(len(scorers), np.int64)  # points of each that lay inside its range since it was last told
        self._low, self._high = (np.stack(ends) for ends in zip(*(seen.range for seen in self._ranges), strict=True))  # (S, F)
        self._history = np.empty((len(scorers), self._model.span - 1, self._low.shape[1]))  # newest last
        self._filled = np.zeros(len(scorers), np.int64)

    def process(self, values: Array) -> tuple[Array, Array]:
        """One point a stream, (S, F), NaN where there is none -> errors (S,), predictions (S, F)."""
        errors, predictions = unknown(len(values)), unknown(*values.shape)
        valid = np.flatnonzero(~np.isnan(values).any(axis=1))
        outside = self._outside(valid, values[valid])  # (V,)
        is_full = self._filled[valid] == self._model.span - 1
        rows = valid[is_full]
        if len(rows):
            errors[rows], predictions[rows] = self._judge(rows, values[rows], outside[is_full])
        self._history[valid] = np.concatenate([self._history[valid, 1:], values[valid, None]], axis=1)
        self._filled[valid] = np.minimum(self._filled[valid] + 1, self._model.span - 1)
        return errors, predictions

    def _judge(self, rows: Rows, values: Array, outside: Array) -> tuple[Array, Array]:
        """Points (V, F) of streams (V,) whose windows are full -> errors (V,), predictions (V, F)."""
        model = self._model
        points = np.concatenate([self._history[rows].transpose(0, 2, 1), values[..., None]], axis=2)  # (V, F, span)
        windows = stepped(points, model.lens.geometry)  # (V, T, F)
        surprised = model.begin_surprise(windows, values)
        novelty = self._novelty(rows, model.memory.encode(model.lens.shapes(windows, model.spread)))
        surprise, predictions = surprised()
        return model.error(surprise, novelty) + outside / RANGE_UNIT, predictions

    def _novelty(self, rows: Rows, codes: Codes) -> Array:
        """Distances (V,) of codes (V, D) to the nearest window of each stream's own memory."""
        nearest = lowest(codes, self._model.memory.trained)
        for place, row in enumerate(rows.tolist()):
            memory, code = self._memories[row], codes[place : place + 1]
            if memory.seen.shape[1]:
                nearest[place] = min(nearest[place], lowest(code, memory.seen)[0])
            memory.learn(code)
        return self._model.memory.distance(codes, nearest)

    def _outside(self, rows: Rows, values: Array) -> Array:
        """How much further outside its range than usual each of values (V, F) of streams (V,) lies -> (V,)."""
        excess = np.zeros(len(rows))
        is_inside = ((values >= self._low[rows]) & (values <= self._high[rows])).all(axis=1)
        self._inside[rows[is_inside]] += 1
        for place in np.flatnonzero(~is_inside).tolist():
            row = int(rows[place])
            self._ranges[row].skip(int(self._inside[row]))
            self._inside[row] = 0
            excess[place] = self._ranges[row].compare(values[place : place + 1])[0]
            self._low[row], self._high[row] = self._ranges[row].range
        return excess
