"""LSTM autoencoders of many series that share one network: trained together, and scored in one call of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoencoder.core.errors import TrainingError
from autoencoder.core.types import Array, Integers, Progress, unknown
from autoencoder.network.windows import downsample
from autoencoder.scorers.base import Scored
from autoencoder.scorers.dependence import LEVEL_POINTS, joint_kinds
from autoencoder.scorers.evidence import by_column, contributing, side_by_side, surprises, total
from autoencoder.scorers.excursion import shares_outside
from autoencoder.scorers.linear_forecast import POINTS, linear_evidence
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.scorers.nearest_window import Codes, nearest
from autoencoder.scorers.seasonal_residual import KINDS

MAX_PANEL_WINDOWS = 20_000  # that the network is trained on; more of them only take memory


def fit_panel(
    scorers: Sequence[LstmAutoencoderScorer], parts: Sequence[Array], progress: Progress | None = None
) -> dict[int, TrainingError]:
    """Train one network for the training parts (N, F) of S series and hand it to their scorers, whose ``fit`` then trains none.

    A window has the same number of steps in all series, and in each covers that series' own period. The number is the smallest that any
    series has room for, those left aside that have room for less than half of what the middle one has, so that one short series does not
    shorten the windows of all others. Returns why a series is left out, by its position.
    """
    faults: dict[int, TrainingError] = {}

    def prepare(position: int, steps: int | None = None) -> Array | None:
        """Windows (M, T, F) of a series, unless it is left out."""
        try:
            return scorers[position].prepare(parts[position], steps)[0]
        except TrainingError as fault:
            faults[position] = fault
            return None

    steps = {position: windows.shape[1] for position in range(len(parts)) if (windows := prepare(position)) is not None}
    enough = np.median(list(steps.values())) / 2 if steps else 0
    common = min((count for count in steps.values() if count >= enough), default=None)
    every = -(-sum(map(len, parts)) // MAX_PANEL_WINDOWS)
    trained, pool, ages = [], [], []
    for position in steps:
        if (windows := prepare(position, common)) is not None:
            trained.append(scorers[position])
            pool.append(scorers[position].scaler.scale(windows[::every])[0])
            ages.append(np.arange(len(pool[-1])) / len(pool[-1]))
    if not trained:
        return faults
    # by age, so that the newest windows of every series, not all of the last series, are held back for validation
    trained[0].train_network(np.concatenate(pool)[np.argsort(np.concatenate(ages), kind="stable")], progress)
    for scorer in trained:
        assert trained[0].network
        scorer.share_network(trained[0].network)
    return faults


class LstmPanel:
    """The ``LstmAutoencoderScorer`` of each of S streams: the same errors to the bit, at a fraction of the time.

    While the panel scores, the scorers must not; ``write_back`` brings them to where the panel stands.

    Args:
        scorers: trained, with one network and windows of as many steps, each wherever its stream stands.
    """

    def __init__(self, scorers: Sequence[LstmAutoencoderScorer]) -> None:
        self._scorers = scorers
        self._model = scorers[0]
        assert self._model.network
        self._network = self._model.network
        self._spread = np.stack([scorer.scaler.spread for scorer in scorers])  # (S, F)
        self._strides = np.array([scorer.scaler.spec.stride for scorer in scorers])
        self._before = np.array([scorer.window - 1 for scorer in scorers])  # (S,) points that a window needs before the newest
        self._kept = np.maximum(self._before, POINTS - 1)  # (S,) points that are remembered
        self._filled = np.array([len(scorer.history) for scorer in scorers])
        self._history = np.empty((len(scorers), int(self._kept.max()), self._spread.shape[1]))  # newest last
        for row, scorer in enumerate(scorers):
            self._history[row, self._history.shape[1] - len(scorer.history) :] = scorer.history
        self._linear = tuple(np.stack(parts) for parts in zip(*(one.forecast.model for one in scorers), strict=True))
        self._surprise = tuple(np.stack(parts) for parts in zip(*(one.surprise.model for one in scorers), strict=True))
        self._low, self._high = (np.stack(ends) for ends in zip(*(one.excursion.range for one in scorers), strict=True))  # (S, F)
        tables = {id(scorer.memory.trained): scorer.memory.trained for scorer in scorers}
        owners = np.array([list(tables).index(id(scorer.memory.trained)) for scorer in scorers])
        self._tables = [(table, owners == place) for place, table in enumerate(tables.values())]  # clones share theirs

    def score(self, values: Array) -> Scored:
        """Score one point a stream, (S, F), NaN where there is none; see ``Scorer.score``."""
        errors, predictions = unknown(len(values)), unknown(*values.shape)
        valid = np.flatnonzero(~np.isnan(values).any(axis=1))
        given = np.concatenate([self._season(valid, values), self._joint(valid, values)], axis=2)  # (V, F, K)
        outside = self._outside(valid, values[valid])  # (V,)
        contributions = unknown(len(values), contributing(values.shape[1]))
        is_full = self._filled[valid] >= self._before[valid]
        rows = valid[is_full]
        if len(rows):
            whole = self._score(rows, values[rows], outside[is_full], given[is_full])
            errors[rows], predictions[rows], contributions[rows] = whole
        own = self._own(valid, values, errors, outside, given)
        self._history[valid] = np.concatenate([self._history[valid, 1:], values[valid, None]], axis=1)
        self._filled[valid] = np.minimum(self._filled[valid] + 1, self._kept[valid])
        return Scored(errors, predictions, own, contributions)

    def write_back(self) -> None:
        """Bring each scorer to where the panel stands, so that it can be saved or go on by itself."""
        length = self._history.shape[1]
        for row, scorer in enumerate(self._scorers):
            scorer.history = self._history[row, length - int(self._filled[row]) :].copy()
            scorer.excursion.widen(self._low[row].copy(), self._high[row].copy())

    def _score(self, rows: Integers, values: Array, outside: Array, given: Array) -> tuple[Array, Array, Array]:
        """Points (V, F) of streams (V,) whose windows are full -> errors (V,), predictions and contributions (V, F)."""
        points = np.concatenate([self._history[rows], values[:, None]], axis=1).transpose(0, 2, 1)  # (V, F, longest)
        spec = self._model.scaler.spec
        windows = np.empty((len(rows), spec.steps, values.shape[1]))  # (V, T, F)
        for stride in np.unique(self._strides[rows]):
            own = replace(spec, stride=int(stride))
            windows[self._strides[rows] == stride] = downsample(points[self._strides[rows] == stride, :, -own.points :], own)
        scaler = replace(self._model.scaler, spread=self._spread[rows])
        reconstruction = self._network.start(windows, values, scaler)
        distance = self._distance(rows, self._model.memory.encode(scaler.half_windows(windows)))
        linear = linear_evidence(points[:, :, -POINTS:], *(part[rows] for part in self._linear))  # (V, F, K)
        linear[self._filled[rows] < POINTS - 1] = 0.0
        error, predictions = reconstruction()
        found = surprises(side_by_side(error, distance, outside, linear, given), *(part[rows] for part in self._surprise))
        return total(found, values.shape[1]), predictions, by_column(found, values.shape[1])

    def _season(self, rows: Integers, values: Array) -> Array:
        """Evidence (V, F, K) of the season in values (S, F) of streams (V,)."""
        each = [self._scorers[row].season.compare(values[row : row + 1]) for row in rows.tolist()]
        return np.concatenate(each) if each else np.empty((0, values.shape[1], KINDS))

    def _joint(self, rows: Integers, values: Array) -> Array:
        """Evidence (V, F, K) of the dependence of the columns in values (S, F) of streams (V,)."""
        joint = np.empty((len(rows), values.shape[1], joint_kinds(values.shape[1])))
        for place, row in enumerate(rows.tolist() if joint.size else ()):
            before = self._history.shape[1] - min(int(self._filled[row]), LEVEL_POINTS - 1)
            points = np.concatenate([self._history[row, before:], values[row, None]])
            joint[place] = self._scorers[row].dependence.compare(points, 1)[0]
        return joint

    def _own(self, rows: Integers, values: Array, errors: Array, outside: Array, given: Array) -> Array:
        """Own errors (S,) of values (S, F) with errors (S,), of which those of streams (V,) are known, (V,) outside of their range."""
        own = errors.copy()
        for place, row in enumerate(rows.tolist()):
            scorer = self._scorers[row]
            if scorer.shadow.is_idle(errors[row]):
                scorer.shadow.skip(1)
                continue
            stream = np.concatenate([self._history[row, self._history.shape[1] - int(self._filled[row]) :], values[row, None]])
            judged = errors[row, None], outside[place, None], scorer.forecast, scorer.surprise, given[place, None]
            own[row] = scorer.shadow.process(stream, *judged)[0]
        return own

    def _distance(self, rows: Integers, codes: Codes) -> Array:
        """Distances (V,) of codes (V, D) to the nearest window of each stream's own memory."""
        lowest = np.empty(len(rows), np.float32)
        for table, owners in self._tables:
            own = owners[rows]
            lowest[own] = nearest(codes[own], table)
        for place, row in enumerate(rows.tolist()):
            memory, code = self._scorers[row].memory, codes[place : place + 1]
            if memory.seen.shape[1]:
                lowest[place] = min(lowest[place], nearest(code, memory.seen)[0])
            memory.learn(code)
        return self._model.memory.distance(codes, lowest)

    def _outside(self, rows: Integers, values: Array) -> Array:
        """How far outside its range each of values (V, F) of streams (V,) lies -> (V,); the ranges widen."""
        low, high = self._low[rows], self._high[rows]
        self._low[rows], self._high[rows] = np.minimum(low, values), np.maximum(high, values)
        return shares_outside(values, low, high)
