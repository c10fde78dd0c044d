"""DriftMonitor: tells a passing event from a change that stays.

The stream is looked at in blocks of equal length, one window each, so that a season inside a block says nothing about its level. A block
is odd in some figure where that lies far from what it was in the reference blocks. An event makes a few blocks odd; only where nearly all
of the last ``patience`` blocks are odd in the same figure and in the same direction has the stream changed for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.scorers.base import Array
from autoencoder.state import Reader, State

FAR = 4.0  # deviations of the reference blocks beyond which a block is odd
MOSTLY = 0.8  # share of the last blocks that must be odd: an anomaly on top of a change makes one look normal
LEAST_LEVEL = 0.15  # deviation of the level that is taken for granted, in deviations of the values within a block
LEAST_FACTOR = 0.1  # the same for figures that are logarithms: scale, season and error
ALARMS = 0.1  # share of flagged points above which a block is odd
FEWEST = 4  # reference blocks without which nothing is odd
MOST = 60  # newest reference blocks that are kept
DELTA = 0.002  # ADWIN's confidence
MAD = 1.4826  # median absolute deviation -> standard deviation of a normal distribution

ERROR, ALARM, ADWIN_ERROR = "error", "alarms", "error (ADWIN)"


@dataclass(frozen=True, slots=True)
class Drift:
    """A change that stays.

    Attributes:
        tests: the figures that show it.
        blocks: blocks since it began, the newest included.
    """

    tests: tuple[str, ...]
    blocks: int


def block_figures(values: Array, before: Array | None, errors: Array, flags: npt.NDArray[np.bool_]) -> Array:
    """Figures (3 F + 2,) of a block: level, log scale and log season of each column, log error and share of flags; NaN where unknown.

    Args:
        values: (B, F) of the block.
        before: (B, F) of the block before it; None where there is none.
        errors: (B,) NaN where unknown.
        flags: (B,).
    """
    with np.errstate(divide="ignore"):
        level = np.median(values, axis=0)
        low, high = np.quantile(values, [0.1, 0.9], axis=0)
        scale = np.log(high - low)
        # how far the block lies from the one a window before: a season of that length takes itself off, another one does not
        season = np.log(np.median(np.abs(values - before), axis=0)) if before is not None else np.full(values.shape[1], np.nan)
        known = errors[~np.isnan(errors)]
        error = np.log(np.median(known)) if len(known) else np.nan
    figures = np.concatenate([level, scale, season, [error, flags.mean()]])
    return np.where(np.isinf(figures), -50.0, figures)  # a constant block has a scale of next to nothing


class DriftMonitor:
    """Watches the figures of a stream's blocks.

    Two kinds of test look at them: distances from the reference's median in median absolute deviations, for every figure, and ADWIN
    (Bifet and Gavaldà 2007, doi 10.1137/1.9781611972771.42) for the error, which finds a rise too small to make single blocks odd.
    Neither is believed before the change has stayed for ``patience`` blocks.

    Args:
        patience: blocks for which a change must stay.
        features: columns (F) of the stream.
    """

    def __init__(self, patience: int, features: int) -> None:
        self._patience = patience
        self._features = features
        self.refer(np.empty((0, 3 * features + 2)))

    @property
    def names(self) -> tuple[str, ...]:
        """The figures, in order."""
        kinds = ("level", "scale", "season")
        columns = [f" of column {column + 1}" for column in range(self._features)] if self._features > 1 else [""]
        return (*(kind + column for kind in kinds for column in columns), ERROR, ALARM)

    def refer(self, figures: Array) -> None:
        """Take figures (R, S) of normal blocks for the reference, and forget the others."""
        self._reference = figures[-MOST:].copy()
        self._signs = np.zeros((0, self._reference.shape[1] + 1), np.int64)  # (K, S + 1) of the newest blocks: -1, 0, 1
        self._errors: list[float] = []  # what ADWIN has seen
        self._calm = float("nan")  # mean error before ADWIN first saw it change
        self._adwin = _adwin()
        for error in self._reference[:, -2].tolist():
            self._feed(error)

    def take(self, figures: Array) -> Drift | None:
        """Figures (S,) of the next block -> the change that has now stayed for long enough, if there is one."""
        signs = np.append(self._compare(figures), self._feed(float(figures[-2])))
        self._signs = np.concatenate([self._signs, signs[None]])[-4 * self._patience :]
        if not self._signs[-1].any() and len(self._reference) < MOST:
            self._reference = np.concatenate([self._reference, figures[None]])  # a short reference grows
        return self._verdict()

    def _compare(self, figures: Array) -> npt.NDArray[np.int64]:
        """Signs (S,) of the figures that are odd."""
        if len(self._reference) < FEWEST:
            return np.zeros(len(figures), np.int64)
        centre = _median(self._reference)  # (S,)
        spread = MAD * _median(np.abs(self._reference - centre))
        features = self._features
        width = np.exp(centre[features : 2 * features]) / 2.56  # of a normal distribution, its deviation
        least = np.concatenate([LEAST_LEVEL * width, np.full(2 * features + 1, LEAST_FACTOR), [0.0]])
        distance = (figures - centre) / np.maximum(np.maximum(spread, least), 1e-12)
        distance[-1] = FAR * figures[-1] / ALARMS
        odd: npt.NDArray[np.int64] = np.where(np.abs(distance) > FAR, np.sign(distance), 0.0).astype(np.int64)
        odd[np.isnan(distance)] = 0
        odd[2 * features : 3 * features] = np.maximum(odd[2 * features : 3 * features], 0)  # plainer seasons and
        odd[-2:] = np.maximum(odd[-2:], 0)  # smaller errors harm nobody
        return odd

    def _feed(self, error: float) -> int:
        """Give ADWIN the error of a block; 1 while it says that the mean has risen for good."""
        if np.isnan(error):
            return 0
        mean = float(self._adwin.estimation)
        self._errors.append(error)
        self._adwin.update(error)
        if self._adwin.drift_detected and np.isnan(self._calm):
            self._calm = mean
        return int(not np.isnan(self._calm) and self._adwin.estimation > self._calm + LEAST_FACTOR)

    def _verdict(self) -> Drift | None:
        if len(self._signs) < self._patience:
            return None
        recent = self._signs[-self._patience :]
        for_good = np.abs(recent.sum(axis=0)) >= MOSTLY * self._patience  # (S + 1,)
        if not for_good.any():
            return None
        # events that come thick and fast may make most blocks odd, but leave normal ones in between
        lengths = {name: self._length(column) for column, name in enumerate((*self.names, ADWIN_ERROR)) if for_good[column]}
        lasting = {name: length for name, length in lengths.items() if length >= self._patience}
        # what is odd for longer may have begun with an event: all of these points must be of the new normal
        return Drift(tuple(lasting), min(lasting.values())) if lasting else None

    def _length(self, column: int) -> int:
        """Blocks for which a figure has been odd: back to the first of two that were not."""
        odd = self._signs[:, column] == np.sign(self._signs[-self._patience :, column].sum())
        normal = np.flatnonzero(~odd[:-1] & ~odd[1:])
        since = odd[int(normal[-1]) + 2 if len(normal) else 0 :]
        return len(since) - int(np.argmax(since)) if since.any() else 0

    def state(self) -> State:
        """Reference, signs and what ADWIN was given."""
        return {
            "features": self._features,
            "reference": self._reference.copy(),
            "signs": self._signs.copy(),
            "errors": np.array(self._errors),
            "calm": None if np.isnan(self._calm) else self._calm,
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the drift monitor")
        self._features = saved.integer("features", 1, 10_000)
        self.refer(saved.array("reference", (None, 3 * self._features + 2), finite=False)[:0])
        self._reference = saved.array("reference", (None, 3 * self._features + 2), finite=False)
        self._signs = saved.integers("signs", (None, 3 * self._features + 3))
        for error in saved.array("errors", (None,)).tolist():  # ADWIN's own memory is what it makes of these
            self._feed(error)


def _adwin() -> Any:
    from river.drift import ADWIN

    return ADWIN(delta=DELTA, clock=1, grace_period=5, min_window_length=3)


def _median(rows: Array) -> Array:
    """Median (S,) of rows (R, S), of those that are known; NaN where none is."""
    known = ~np.isnan(rows).all(axis=0)
    median = np.full(rows.shape[1], np.nan)
    median[known] = np.nanmedian(rows[:, known], axis=0)
    return median
