"""DriftMonitor: tells a passing event from a change that stays.

The stream is looked at in blocks of equal length, one window each, so that a season inside a block says nothing about its level. A block
is odd in some figure where that lies far from what it was in the reference blocks. An event makes a few blocks odd; only where nearly all
of the last ``patience`` blocks are odd in the same figure and in the same direction, and the values have been what they are now for all
of that time, has the stream changed for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array

FAR = 4.0  # deviations of the reference blocks beyond which a block is odd
MOSTLY = 0.8  # share of the last blocks that must be odd: an anomaly on top of a change makes one look normal
LEAST_LEVEL = 0.15  # deviation of the level that is taken for granted, in deviations of the values within a block
LEAST_FACTOR = 0.1  # the same for figures that are logarithms: scale, season and error
ALARMS = 0.1  # share of flagged points above which a block is odd
SMOOTHED = 5  # blocks whose median says what the values are like: a short anomaly touches two of them at most
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
        self._figures = np.zeros((0, self._reference.shape[1]))  # (K, S) of the newest blocks
        self._risen: list[int] = []  # what ADWIN said after each of them: 0, 1
        self._errors: list[float] = []  # what ADWIN has seen
        self._calm = float("nan")  # mean error before ADWIN first saw it change
        self._adwin = _adwin()
        for error in self._reference[:, -2].tolist():
            self._feed(error)

    def accept(self) -> None:
        """Take the newest blocks for the reference: nothing better is known."""
        self.refer(np.concatenate([self._reference, self._figures])[-self._patience :])

    def take(self, figures: Array) -> Drift | None:
        """Figures (S,) of the next block -> the change that has now stayed for long enough, if there is one."""
        self._figures = np.concatenate([self._figures, figures[None]])[-4 * self._patience :]
        self._risen = [*self._risen, self._feed(float(figures[-2]))][-4 * self._patience :]
        distances = self._distances()
        signs = np.column_stack([np.where(np.abs(distances) > FAR, np.sign(distances), 0.0), self._risen])  # (K, S + 1)
        if not signs[-1].any() and len(self._reference) < MOST:
            self._reference = np.concatenate([self._reference, figures[None]])  # a short reference grows
        return self._verdict(signs, distances)

    def _distances(self) -> Array:
        """How far the newest blocks lie from the reference: (K, S) in its deviations, 0 where that is not known or harms nobody."""
        if len(self._reference) < FEWEST:
            return np.zeros_like(self._figures)
        centre = _median(self._reference)  # (S,)
        spread = MAD * _median(np.abs(self._reference - centre))
        features = self._features
        width = np.exp(centre[features : 2 * features]) / 2.56  # of a normal distribution, its deviation
        least = np.concatenate([LEAST_LEVEL * width, np.full(2 * features + 1, LEAST_FACTOR), [0.0]])
        distances = (self._figures - centre) / np.maximum(np.maximum(spread, least), 1e-12)
        distances[:, -1] = FAR * self._figures[:, -1] / ALARMS
        harmless_below = distances[:, 2 * features :]  # plainer seasons and smaller errors harm nobody
        np.maximum(harmless_below, 0.0, out=harmless_below)
        known: Array = np.nan_to_num(distances)
        return known

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

    def _verdict(self, signs: Array, distances: Array) -> Drift | None:
        """What signs (K, S + 1) and distances (K, S) of the newest blocks say."""
        if len(signs) < self._patience:
            return None
        sums = signs[-self._patience :].sum(axis=0)
        for_good = np.abs(sums) >= MOSTLY * self._patience  # (S + 1,)
        # events that come thick and fast may make most blocks odd, but leave normal ones in between
        lengths = {
            name: _run(signs[:, column] == np.sign(sums[column]))
            for column, name in enumerate((*self.names, ADWIN_ERROR))
            if for_good[column]
        }
        lasting = {name: length for name, length in lengths.items() if length >= self._patience}
        if not lasting:
            return None
        # what is odd for longer may have begun with an event: all of these points must be of the new normal
        blocks = min(lasting.values())
        settled = _settled(distances[:, : 3 * self._features])
        if settled >= self._patience:
            return Drift(tuple(lasting), min(blocks, settled))
        # values that never settle are not waited for longer than that
        return Drift(tuple(lasting), blocks) if max(lasting.values()) >= 2 * self._patience else None

    def state(self) -> State:
        """Reference, newest blocks and what ADWIN was given."""
        return {
            "features": self._features,
            "reference": self._reference.copy(),
            "figures": self._figures.copy(),
            "risen": np.array(self._risen, np.int64),
            "errors": np.array(self._errors),
            "calm": None if np.isnan(self._calm) else self._calm,
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the drift monitor")
        self._features = saved.integer("features", 1, 10_000)
        width = 3 * self._features + 2
        self.refer(np.empty((0, width)))
        self._reference = saved.array("reference", (None, width), finite=False)
        self._figures = saved.array("figures", (None, width), finite=False)
        self._risen = saved.integers("risen", (len(self._figures),)).tolist()
        for error in saved.array("errors", (None,)).tolist():  # ADWIN's own memory is what it makes of these
            self._feed(error)


def _run(odd: npt.NDArray[np.bool_]) -> int:
    """Blocks for which a figure has been odd (K,): back to the first of two that were not."""
    normal = np.flatnonzero(~odd[:-1] & ~odd[1:])
    since = odd[int(normal[-1]) + 2 if len(normal) else 0 :]
    return len(since) - int(np.argmax(since)) if since.any() else 0


def _settled(distances: Array) -> int:
    """Blocks for which values at distances (K, 3 F) from the reference have been what they are now; 0 where they are changing."""
    padded = np.concatenate([np.repeat(distances[:1], SMOOTHED - 1, axis=0), distances])
    smooth: Array = np.median(np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED, axis=0), axis=-1)  # (K, S)
    elsewhere = _apart(smooth, smooth[-1])
    changes = np.flatnonzero(elsewhere.any(axis=1))
    if not len(changes):
        return len(distances)
    changed = elsewhere[changes[-1]]  # (S,)
    first = max(0, int(changes[-1]) + 1 - SMOOTHED // 2)  # the median is late
    here = np.asarray(~_apart(distances[first:], smooth[-1])[:, changed].any(axis=1))
    if not here[-1]:
        return 0
    of_two = changed[2 * len(changed) // 3 :].any()  # a season is told from two blocks: one of them may be from before
    return len(here) - int(np.argmax(here)) - int(of_two)


def _apart(distances: Array, now: Array) -> npt.NDArray[np.bool_]:
    """Which distances (K, S) are not those of now (S,): far off, and by more than half the way to the reference."""
    apart: npt.NDArray[np.bool_] = np.abs(distances - now) > np.maximum(FAR, np.maximum(np.abs(distances), np.abs(now)) / 2)
    return apart


def _adwin() -> Any:
    from river.drift import ADWIN

    return ADWIN(delta=DELTA, clock=1, grace_period=5, min_window_length=3)


def _median(rows: Array) -> Array:
    """Median (S,) of rows (R, S), of those that are known; NaN where none is."""
    known = ~np.isnan(rows).all(axis=0)
    median = np.full(rows.shape[1], np.nan)
    median[known] = np.nanmedian(rows[:, known], axis=0)
    return median
