"""Peaks over threshold: a limit that a chosen share of normal errors passes, from extreme value theory, while level and spread drift."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from autoencoder.core.state import POSITIVE, Field, Reader, State, array, integer, number
from autoencoder.core.types import Array, Bools, frozen, unknown
from autoencoder.thresholds.base import Threshold, check_budget
from autoencoder.thresholds.habit import Habit
from autoencoder.thresholds.pareto import BODY_GRID, SHAPE_RANGE, Pareto, TailModel, fit
from autoencoder.thresholds.remembered import (
    coarse,
    in_blocks,
    level_and_spread,
    newest,
    quantiles,
    read_rounded,
    rounded,
    unrounded,
)

BLOCK = 192  # errors after which the limit moves; constant in between, so that whole blocks are judged at once
AIM = 0.8  # of the budget: a limit that is estimated is passed more often than one that is known
PEAK_SHARE = 0.005  # share of the errors that count as peaks: where errors have several causes, only the far tail speaks of one
MIN_PEAKS = 30  # peaks that a tail is fitted to, at least, as long as these are less than ``MAX_PEAK_SHARE``
MAX_PEAK_SHARE = 0.02
RECALIBRATE = 512  # errors after which the peak level is chosen anew
MIN_ERRORS = 30  # errors without which there is no limit
MAX_RARITY = 50.0  # a flagged error that normal ones pass so many times more seldom than the limit is no normal one
RESIDUAL_ERRORS = 48  # errors after such a one in which a flag is of the same anomaly, and no normal one either
ONSET_ERRORS = 8  # errors before it, learnt with it, of which the same holds: windows reach an anomaly step by step
MAX_LEARNT_BUDGETS = 2.0  # flagged errors learnt at most, in budgets; at 1, a limit set too low would confirm itself
MAX_SAVED = 2.0  # so many of them may come at once
FOLLOW_EVERY = 8  # of the flagged errors that are left out one in so many moves level and spread
MOSTLY = 0.5  # share of a block's errors above the limit from which on the limit may be what is wrong


class PeaksOverThreshold(Threshold):
    """Peaks over threshold with a generalised Pareto tail, drift-aware (Siffer et al. 2017, doi 10.1145/3097983.3098144).

    An error is first made comparable over time: the median of the ``window`` newest errors is taken off and the rest divided by the
    distance from their lowest decile up to it. Both follow a drift of level and of spread (DSPOT follows the level only), and neither
    feels much of an anomaly shorter than half the window. Neither falls below what ``fit`` saw: errors that are tiny and alike for long,
    on a constant or interpolated stretch, say nothing about the size of errors to come. The largest ``PEAK_SHARE`` of the last ``memory``
    such values are fitted; the limit is the height that a share ``budget`` of normal errors passes.

    A flagged error teaches the tail only while it is a plausible normal one: not ``MAX_RARITY`` times rarer than the limit allows, not
    beside one that is, and no more of them than ``MAX_LEARNT_BUDGETS`` times the budget. Learning all would let an anomaly lift the
    limit; learning none would make the tail look shorter and shorter. The others are left out, so that an anomaly, however long, neither
    lifts the limit when it enters the memory nor drops it when it leaves; one in ``FOLLOW_EVERY`` of them moves level and spread. Where
    most errors of half a ``window`` lie above the limit, it is the limit that is wrong: level and spread are those of the newest then. How
    improbable a flagged error is, is also for the ``Habit`` of the stream to say.

    What is remembered is rounded, to steps of a ``FINENESS``-th of a spread and, where it counts in spreads, to 8 bits and an exponent, and
    each block is sorted: of a hundred thousand series it would be most of what they take.

    Args:
        budget: share of normal errors that may be flagged, in (0, 1).
        window: newest errors that level and spread are taken from.
        memory: newest comparable errors that the tail is taken from.

    Examples:
        >>> threshold = PeaksOverThreshold(budget=0.01)
        >>> threshold.fit(np.random.default_rng(0).exponential(size=2000))
        >>> thresholds, probabilities = threshold.judge(np.array([0.5, 60.0, 0.5]))
        >>> thresholds.round(1)
        array([5.1, 5.1, 5.1])
        >>> probabilities.round(2)
        array([0.61, 0.  , 0.61])
    """

    name = "the tail threshold"
    STATE: ClassVar = {
        "_recent": array("recent", (None,), dtype=np.float32),
        "_comparable": Field("rounded", read_rounded),
        "_level": number("level"),
        "_spread": number("spread"),
        "_least_level": number("least_level"),
        "_least_spread": number("least_spread"),
        "_allowance": number("allowance"),
        "_calibrated": integer("calibrated"),
        "_left_out": integer("left_out"),
        "_since": integer("since", 0, RESIDUAL_ERRORS),
        "_above": Field("above", lambda saved: 0 if saved.has("comparable") else saved.integer("above")),  # of an older model
        "_body": array("body", (len(BODY_GRID),)),
        "_peak_level": number("peak_level"),
        "_share": number("share", POSITIVE, 1.0),
        "_shape": number("shape", *SHAPE_RANGE),
        "_scale": number("scale", POSITIVE),
        "pending": array("pending", (None,)),
    }

    def __init__(self, budget: float = 0.001, window: int = 4000, memory: int = 10_000) -> None:
        self._budget = check_budget(budget)
        self._window = window
        self._memory = memory
        self._recent = coarse(np.empty(0))  # newest errors, clipped at their limits
        self._comparable = rounded(np.empty(0))  # newest learnt errors, made comparable
        self._habit = Habit(budget, AIM * budget)
        #: Errors (B,) of the block that is not full yet.
        self.pending = np.empty(0)
        self._level, self._spread = 0.0, 1.0
        self._least_level, self._least_spread = 0.0, 0.0  # those of the errors that it started from
        self._allowance = 0.0  # flagged errors that may still be learnt
        self._left_out = 0  # flagged errors left out since one was followed
        self._since = RESIDUAL_ERRORS  # errors since one that was too high for a normal one, at most RESIDUAL_ERRORS
        self._above = 0  # errors of the newest blocks that mostly lie above the limit
        self._calibrated = 0  # errors learnt since the peak level was chosen
        self._body = np.zeros(len(BODY_GRID))  # comparable errors at BODY_GRID
        self._peak_level, self._share = 0.0, PEAK_SHARE
        self._shape, self._scale = 0.0, 1.0  # of the tail
        self._limit = float("nan")
        self._bound = float("nan")  # what the budget says; errors above it are learnt only if they are plausible
        #: What the next errors are judged by, until a block of ``due`` errors is learnt.
        self.model = TailModel.unknown()

    def fit(self, errors: Array) -> None:
        """Start from errors (M,) of normal behaviour; see ``Threshold.fit``."""
        known = errors[~np.isnan(errors)]
        self._recent = in_blocks(coarse(known[-self._window :]), BLOCK)
        self._comparable, self.pending = rounded(np.empty(0)), np.empty(0)
        self._allowance, self._left_out, self._since, self._above, self._calibrated = 0.0, 0, RESIDUAL_ERRORS, 0, 0
        self._habit.begin(len(known))
        if len(known) < MIN_ERRORS:
            self._limit, self.model = float("nan"), TailModel.unknown()
            return
        self._level, self._spread = self._least_level, self._least_spread = level_and_spread(self._recent)
        self._comparable = in_blocks(rounded((known[-self._memory :] - self._level) / self._spread), BLOCK)
        self._calibrate()
        self._set_limit()
        self._freeze()

    def process(self, errors: Array) -> Array:
        """Errors (N,) -> thresholds (N,)."""
        return self.judge(errors)[0]

    @property
    def due(self) -> int:
        """Errors that the block which is learnt next has."""
        return MIN_ERRORS if math.isnan(self._limit) else BLOCK

    def judge(self, errors: Array) -> tuple[Array, Array]:
        """Errors (N,) -> limits (N,) and the probabilities (N,) that a normal error is larger, both as they stood before each error."""
        limits, probabilities, done = unknown(len(errors)), unknown(len(errors)), 0
        if np.count_nonzero(known := errors == errors) < len(errors):
            limits[known], probabilities[known] = self.judge(errors[known])
            return limits, probabilities
        while done < len(errors):
            part = slice(done, done + self.due - len(self.pending))
            block, done = errors[part], part.stop
            limits[part] = self._limit
            if not math.isnan(self._limit):
                probabilities[part] = self.model.probabilities(block)
            self.pending = np.concatenate([self.pending, block])
            if len(self.pending) == self.due:
                self.learn(self.pending)
        return limits, self._habit.temper(errors, limits, probabilities)

    def learn(self, block: Array) -> None:
        """Take in the errors (B,) of a block that is complete, and move the limit."""
        self.pending = np.empty(0)
        if math.isnan(self._limit):
            self.fit(np.concatenate([self._recent, block]))
            return
        learnt = ~(block > self._bound) | self._plausible(block)
        comparable = np.sort(rounded((block[learnt] - self._level) / self._spread))
        self._comparable = newest(np.concatenate([self._comparable, comparable]), self._memory)
        self._calibrated += len(comparable)
        # what is left out still counts a little: a change that stays must be followed in the end
        order = self._left_out + np.cumsum(~learnt)
        followed = learnt | (order % FOLLOW_EVERY == 0)
        self._left_out = int(order[-1] % FOLLOW_EVERY)
        recent = np.sort(coarse(np.minimum(block, self._bound)[followed], self._spread))
        self._recent = newest(np.concatenate([self._recent, recent]), self._window)
        self._above = self._above + len(block) if np.count_nonzero(block > self._limit) >= MOSTLY * len(block) else 0
        if self._above >= self._window // 2:
            self._recent, self._above = np.sort(coarse(block, self._spread)), 0
        self._follow()
        if self._calibrated >= RECALIBRATE:
            self._calibrate()
        elif (unrounded(comparable) > self._peak_level).any():
            self._fit()
        self._set_limit()
        self._freeze()

    def _freeze(self) -> None:
        """Let nobody write in the largest arrays, which are replaced, so that they are saved only where they are new."""
        self._recent, self._comparable = frozen(self._recent), frozen(self._comparable)

    def _plausible(self, block: Array) -> Bools:
        """Which of a block's errors (B,) are flags that normal errors explain: not too high, not beside such, not too many."""
        too_high = block > self._height(min(1.0, self._budget / self._share) / MAX_RARITY)
        low = (block > self._bound) & ~too_high & ~self._beside(too_high)
        due = MAX_LEARNT_BUDGETS * self._budget
        self._allowance = min(self._allowance + due * len(block), max(MAX_SAVED, 4 * due * BLOCK))
        plausible: Bools = low & (np.cumsum(low) <= int(self._allowance))
        self._allowance -= int(plausible.sum())
        return plausible

    def _beside(self, too_high: Bools) -> Bools:
        """Which errors (B,) come less than ``RESIDUAL_ERRORS`` after one that is ``too_high`` (B,), or just before one in this block."""
        places = np.arange(len(too_high))
        newest = np.maximum.accumulate(np.where(too_high, places, -self._since))  # place of the newest one
        next_one = np.minimum.accumulate(np.where(too_high, places, len(places) + ONSET_ERRORS)[::-1])[::-1]
        self._since = min(len(too_high) - int(newest[-1]), RESIDUAL_ERRORS)
        return np.asarray((places - newest < RESIDUAL_ERRORS) | (next_one - places < ONSET_ERRORS))

    def _follow(self) -> None:
        """Let level and spread follow the recent errors, but not below where they started."""
        level, spread = level_and_spread(self._recent)
        self._level, self._spread = max(level, self._least_level), max(spread, self._least_spread)

    def _calibrate(self) -> None:
        """Choose the level above which a comparable error is a peak, and fit the tail above it."""
        self._calibrated = 0
        share = max(PEAK_SHARE, min(MAX_PEAK_SHARE, MIN_PEAKS / len(self._comparable)), min(0.25, 5 * self._budget))
        *body, level = quantiles(unrounded(self._comparable), [*(1.0 - BODY_GRID), 1.0 - share])
        self._body, self._peak_level = np.array(body), float(level)  # (B,) rising
        self._fit()

    def _fit(self) -> None:
        comparable = unrounded(self._comparable).astype(float)
        peaks = comparable[comparable > self._peak_level] - self._peak_level
        self._share = max(len(peaks), 1) / len(comparable)
        tail = fit(peaks)
        self._shape, self._scale = tail.shape, tail.scale

    def _set_limit(self) -> None:
        self._bound = self._height(min(1.0, self._budget / self._share))
        self._limit = self._height(min(1.0, AIM * self._budget / self._share))
        numbers = (self._limit, self._level, self._spread, self._peak_level, self._share, self._shape, self._scale)
        self.model = TailModel(*map(np.asarray, (*numbers, self._body)))

    def _height(self, exceedance: float) -> float:
        """Error that a peak passes with probability ``exceedance``."""
        return self._level + self._spread * (self._peak_level + Pareto(self._shape, self._scale).quantile(exceedance))

    def state(self) -> State:
        """All that is remembered, and whether there is a limit."""
        return {**super().state(), "habit": self._habit.state(), "limit_known": not math.isnan(self._limit)}

    def _complete(self, saved: Reader) -> None:
        self._limit = float("nan")
        self._freeze()
        if saved.boolean("limit_known"):
            self._set_limit()
        self.pending = self.pending[: self.due - 1]
        if not saved.has("comparable"):  # an older model, which has no habit
            self._habit.load(saved.state("habit"))
