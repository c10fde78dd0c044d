"""An LSTM autoencoder is trained on: scale, units and normal windows anew, the network from its present weights."""

from __future__ import annotations

import numpy as np

from autoencoder.core.errors import TrainingError
from autoencoder.network.windows import sliding
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.lstm import FEWEST_WINDOWS, LstmAutoencoderScorer, typical_scale

JUMP = 9.0  # times the usual variance within a window, beyond which there is a jump in it
FAR = 7.0  # distances of the median from the lowest decile by which a surprise lies above it that is no chance: 4.5 normal deviations


def refit(scorer: LstmAutoencoderScorer, values: Array, progress: Progress | None = None, *, retrain: bool = True) -> None:
    """Let a trained scorer learn values (N, F) with rows of NaN for gaps.

    The length of the window and the range seen so far stay: they belong to the stream.

    Args:
        scorer: that learns.
        values: (N, F) oldest first.
        progress: told how training goes.
        retrain: False leaves the network as it is.

    Raises:
        TrainingError: too few windows without a gap, or constant ones.
        ModelError: model.onnx cannot be gone on from.
    """
    geometry, lens = scorer.lens.geometry, scorer.lens
    windows = sliding(values, geometry) if len(values) >= geometry.span else np.empty((0, geometry.steps, values.shape[1]))
    whole = np.asarray(~np.isnan(windows).any(axis=(1, 2)))
    _require(int(whole.sum()), "gap")
    variance = windows.var(axis=1)  # (M, F), NaN where a window has a gap
    # a window with a jump in it is of neither side
    whole &= (variance <= JUMP * np.median(variance[whole], axis=0)).all(axis=1)
    windows, newest = windows[whole], values[geometry.span - 1 :][whole]
    spread = typical_scale(windows[:, : lens.seen])
    if not (spread > 0).all():
        raise TrainingError(f"column {int(np.flatnonzero(~(spread > 0))[0]) + 1} hardly moves; nothing can be learnt from it")
    scorer.spread = spread
    if retrain:
        scorer.learn(lens.scaled(windows, scorer.spread)[0], progress, go_on=True)
    # what the network cannot account for even now is left of an anomaly: it is neither remembered nor a measure
    surprise = scorer.surprise(windows, newest)[0]
    low, middle = np.quantile(surprise, [0.1, 0.5])
    far = surprise > middle + FAR * (middle - low)
    values = values.copy()
    values[np.flatnonzero(whole)[far] + geometry.span - 1] = np.nan
    kept = np.asarray(~np.isnan(sliding(values, geometry)).any(axis=(1, 2)))[whole]
    _require(int(kept.sum()), "anomaly")
    scorer.judge_training(windows[kept], newest[kept])
    scorer.begin_after(values[~np.isnan(values).any(axis=1)])


def _require(windows: int, without: str) -> None:
    if windows < FEWEST_WINDOWS:
        kind = f"without {'a gap' if without == 'gap' else 'an anomaly'}"
        raise TrainingError(f"{windows:,} windows {kind} are left to learn from; there must be {FEWEST_WINDOWS}")
