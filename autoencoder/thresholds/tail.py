"""Tail threshold: a limit that a chosen share of normal errors passes, from extreme value theory, while level and spread drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import unknown
from autoencoder.thresholds.base import Array, check_budget
from autoencoder.thresholds.pareto import SHAPES, Pareto, exceedance, fit

BLOCK = 192  # errors after which the limit moves; constant in between, so that whole blocks are judged at once
AIM = 0.8  # of the budget: a limit that is estimated is passed more often than one that is known
PEAK_SHARE = 0.005  # share of the errors that count as peaks: where errors have several causes, only the far tail speaks of one
FEWEST_PEAKS = 30  # peaks that a tail is fitted to, at least, as long as these are less than ``LARGEST_SHARE``
LARGEST_SHARE = 0.02
RECALIBRATE = 512  # errors after which the peak level is chosen anew
FEWEST = 30  # errors without which there is no limit
RARITY = 50.0  # a flagged error that normal ones pass so many times more seldom than the limit is no normal one
ECHO = 48  # errors after such a one in which a flag is of the same anomaly, and no normal one either
RISE = 8  # errors before it of which the same holds, as far as they are learnt with it: windows reach an anomaly step by step
ALLOWANCE = 2.0  # flagged errors learnt at most, in multiples of the budget; at 1, a limit set too low would confirm itself
SAVED = 2.0  # so many of them may come at once
PATIENCE = 8  # of the flagged errors that are left out one in so many moves level and spread
BODY_GRID = np.linspace(1.0, 0.0, 65)  # exceedance probabilities at which the body of the errors is kept


@dataclass(frozen=True, slots=True)
class Measure:
    """What errors are judged by: for one stream each number is () and the body (B,); for N streams they are (N,) and (N, B).

    Attributes:
        limit: above it an error is a flag.
        level: median of the recent errors.
        spread: distance from their lowest decile to it; errors less the level, in this unit, are comparable over time.
        peak_level: comparable error above which the tail begins.
        share: of the errors that lie there.
        shape: of the tail.
        scale: of the tail.
        body: comparable errors at ``BODY_GRID``.
    """

    limit: Array
    level: Array
    spread: Array
    peak_level: Array
    share: Array
    shape: Array
    scale: Array
    body: Array

    @staticmethod
    def unknown() -> Measure:
        """Of one stream whose errors cannot be judged yet."""
        return Measure(*[np.array(np.nan)] * 7 + [np.full(len(BODY_GRID), np.nan)])

    def probabilities(self, errors: Array) -> Array:
        """Errors (N,) -> probabilities (N,) that a normal error is larger."""
        comparable = (errors - self.level) / self.spread
        probabilities: Array = np.maximum(self._in_the_body(comparable), self.share)
        beyond = comparable > self.peak_level
        if np.count_nonzero(beyond):
            peaks = np.maximum(comparable - self.peak_level, 0.0)
            probabilities = np.where(beyond, self.share * exceedance(peaks, self.shape, self.scale), probabilities)
        return probabilities

    def _in_the_body(self, comparable: Array) -> Array:
        """Probabilities (N,) by the body alone: ``np.interp``, and for N streams what it does, to the bit."""
        if self.body.ndim == 1:
            return np.asarray(np.interp(comparable, self.body, BODY_GRID))
        rows = np.arange(len(comparable))
        place = np.clip((self.body <= comparable[:, None]).sum(axis=1) - 1, 0, len(BODY_GRID) - 2)
        low, high = self.body[rows, place], self.body[rows, place + 1]
        with np.errstate(divide="ignore", invalid="ignore"):  # beyond both ends, which come next
            slope = (BODY_GRID[place + 1] - BODY_GRID[place]) / (high - low)
            between = slope * (comparable - low) + BODY_GRID[place]
        ends = np.where(comparable < self.body[:, 0], BODY_GRID[0], BODY_GRID[-1])
        outer = (comparable < self.body[:, 0]) | (comparable >= self.body[:, -1])
        probabilities: Array = np.where(outer, ends, between)
        return probabilities


class TailThreshold:
    """Peaks over threshold with a generalised Pareto tail, drift-aware (Siffer et al. 2017, doi 10.1145/3097983.3098144).

    An error is first made comparable over time: the median of the ``window`` newest errors is taken off and the rest divided by the
    distance from their lowest decile up to it. Both follow a drift of level and of spread (DSPOT follows the level only), and neither
    feels much of an anomaly shorter than half the window. The largest ``PEAK_SHARE`` of the last ``memory`` such values are fitted; the
    limit is the height that a share ``budget`` of normal errors passes.

    A flagged error teaches the tail only while it is a plausible normal one: not ``RARITY`` times rarer than the limit allows, not beside
    one that is, and no more of them than ``ALLOWANCE`` times the budget. Learning all would let an anomaly lift the limit;
    learning none would make the tail look shorter and shorter. The others are left out, so that an anomaly, however long, neither lifts
    the limit when it enters the memory nor drops it when it leaves; one in ``PATIENCE`` of them moves level and spread, so that a change
    that stays is followed in the end.

    Args:
        budget: share of normal errors that may be flagged, in (0, 1).
        window: newest errors that level and spread are taken from.
        memory: newest comparable errors that the tail is taken from.

    Raises:
        ConfigError: budget out of range.
    """

    def __init__(self, budget: float = 0.001, window: int = 4000, memory: int = 10_000) -> None:
        self._budget = check_budget(budget)
        self._window = window
        self._memory = memory
        self._recent = np.empty(0)  # newest errors, clipped at their limits
        self._comparable = np.empty(0)  # newest learnt errors, made comparable
        self._pending = np.empty(BLOCK)  # errors of the block that is not full yet, the first ``_waiting`` in use
        self._waiting = 0
        self._level, self._spread = 0.0, 1.0
        self._allowance = 0.0  # flagged errors that may still be learnt
        self._left_out = 0  # flagged errors left out since one was followed
        self._since = ECHO  # errors since one that was too high for a normal one, at most ECHO
        self._calibrated = 0  # errors learnt since the peak level was chosen
        self._body = np.zeros(len(BODY_GRID))  # comparable errors at BODY_GRID
        self._peak_level, self._share = 0.0, PEAK_SHARE
        self._tail = Pareto(0.0, 1.0)
        self._limit = float("nan")
        self._bound = float("nan")  # what the budget says; errors above it are learnt only if they are plausible
        #: What the next errors are judged by, until a block of ``due`` errors is learnt.
        self.measure = Measure.unknown()

    def fit(self, errors: Array) -> None:
        """Start from errors (M,) of normal behaviour; see ``Threshold.prime``."""
        known = errors[~np.isnan(errors)]
        self._recent = known[-self._window :].copy()
        self._comparable = np.empty(0)
        self._waiting = 0
        self._allowance, self._left_out, self._since, self._calibrated = 0.0, 0, ECHO, 0
        if len(known) < FEWEST:
            self._limit, self.measure = float("nan"), Measure.unknown()
            return
        self._follow()
        self._comparable = ((known - self._level) / self._spread)[-self._memory :]
        self._calibrate()
        self._set_limit()

    def process(self, errors: Array) -> Array:
        """Errors (N,) -> limits (N,)."""
        return self.judge(errors)[0]

    @property
    def due(self) -> int:
        """Errors that the block which is learnt next has."""
        return FEWEST if math.isnan(self._limit) else BLOCK

    def judge(self, errors: Array) -> tuple[Array, Array]:
        """Errors (N,) -> limits (N,) and the probabilities (N,) that a normal error is larger, both as they stood before each error."""
        known = errors == errors
        if np.count_nonzero(known) == len(errors):
            return self._judge_known(errors)
        limits, probabilities = unknown(len(errors)), unknown(len(errors))
        limits[known], probabilities[known] = self._judge_known(errors[known])
        return limits, probabilities

    def _judge_known(self, errors: Array) -> tuple[Array, Array]:
        """Errors (N,) without a gap; see ``judge``."""
        limits, probabilities = np.empty(len(errors)), np.empty(len(errors))
        done = 0
        while done < len(errors):
            block = self.due
            part = errors[done : done + block - self._waiting]
            stop, waiting = done + len(part), self._waiting + len(part)
            limits[done:stop] = self._limit
            probabilities[done:stop] = np.nan if math.isnan(self._limit) else self.measure.probabilities(part)
            self._pending[self._waiting : waiting] = part
            done, self._waiting = stop, waiting % block
            if waiting == block:
                self.learn(self._pending[:block].copy())
        return limits, probabilities

    def learn(self, block: Array) -> None:
        """Take in the errors (B,) of a block that is complete, and move the limit."""
        if math.isnan(self._limit):
            self.fit(np.concatenate([self._recent, block]))
            return
        learnt = ~(block > self._bound) | self._plausible(block)
        comparable = (block[learnt] - self._level) / self._spread
        self._comparable = np.concatenate([self._comparable, comparable])[-self._memory :]
        self._calibrated += len(comparable)
        # what is left out still counts a little: a change that stays must be followed in the end
        order = self._left_out + np.cumsum(~learnt)
        followed = learnt | (order % PATIENCE == 0)
        self._left_out = int(order[-1] % PATIENCE)
        self._recent = np.concatenate([self._recent, np.minimum(block, self._bound)[followed]])[-self._window :]
        self._follow()
        if self._calibrated >= RECALIBRATE:
            self._calibrate()
        elif (comparable > self._peak_level).any():
            self._fit()
        self._set_limit()

    def _plausible(self, block: Array) -> npt.NDArray[np.bool_]:
        """Which of a block's errors (B,) are flags that normal errors explain: not too high, not beside such, not too many."""
        too_high = block > self._height(min(1.0, self._budget / self._share) / RARITY)
        low = (block > self._bound) & ~too_high & ~self._beside(too_high)
        due = ALLOWANCE * self._budget
        self._allowance = min(self._allowance + due * len(block), max(SAVED, 4 * due * BLOCK))
        plausible: npt.NDArray[np.bool_] = low & (np.cumsum(low) <= int(self._allowance))
        self._allowance -= int(plausible.sum())
        return plausible

    def _beside(self, too_high: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which errors (B,) come less than ``ECHO`` after one that is ``too_high`` (B,), in this block or before it, or just before one."""
        places = np.arange(len(too_high))
        newest = np.maximum.accumulate(np.where(too_high, places, -self._since))  # place of the newest one
        next_one = np.minimum.accumulate(np.where(too_high, places, len(places) + RISE)[::-1])[::-1]
        self._since = min(len(too_high) - int(newest[-1]), ECHO)
        beside: npt.NDArray[np.bool_] = (places - newest < ECHO) | (next_one - places < RISE)
        return beside

    def _follow(self) -> None:
        """Level and spread of the recent errors, from their lower half: anomalies sit in the upper one."""
        low, middle = _quantiles(self._recent, [0.1, 0.5])
        self._level = float(middle)
        # errors that hardly differ have no spread: then a difference in the sixth digit of the level is one
        self._spread = max(float(middle - low), 1e-6 * abs(self._level), np.finfo(float).tiny * 1e10)

    def _calibrate(self) -> None:
        """Choose the level above which a comparable error is a peak, and fit the tail above it."""
        self._calibrated = 0
        share = max(PEAK_SHARE, min(LARGEST_SHARE, FEWEST_PEAKS / len(self._comparable)), min(0.25, 5 * self._budget))
        *body, level = _quantiles(self._comparable, [*(1.0 - BODY_GRID), 1.0 - share])
        self._body, self._peak_level = np.array(body), float(level)  # (B,) rising
        self._fit()

    def _fit(self) -> None:
        peaks = self._comparable[self._comparable > self._peak_level] - self._peak_level
        self._share = max(len(peaks), 1) / len(self._comparable)
        self._tail = fit(peaks)

    def _set_limit(self) -> None:
        self._bound = self._height(min(1.0, self._budget / self._share))
        self._limit = self._height(min(1.0, AIM * self._budget / self._share))
        numbers = (self._limit, self._level, self._spread, self._peak_level, self._share, self._tail.shape, self._tail.scale)
        self.measure = Measure(*map(np.asarray, (*numbers, self._body)))

    def _height(self, exceedance: float) -> float:
        """Error that a peak passes with probability ``exceedance``."""
        return self._level + self._spread * (self._peak_level + self._tail.quantile(exceedance))

    def state(self) -> State:
        """Both memories and what was fitted to them."""
        return {
            "recent": self._recent.copy(),
            "comparable": self._comparable.copy(),
            "pending": self._pending[: self._waiting].copy(),
            "level": self._level,
            "spread": self._spread,
            "allowance": self._allowance,
            "calibrated": self._calibrated,
            "left_out": self._left_out,
            "since": self._since,
            "body": self._body.copy(),
            "peak_level": self._peak_level,
            "share": self._share,
            "shape": self._tail.shape,
            "scale": self._tail.scale,
            "limit_known": not np.isnan(self._limit),
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the tail threshold")
        self._recent = saved.array("recent", (None,))
        self._comparable = saved.array("comparable", (None,))
        pending = saved.array("pending", (None,))[: BLOCK - 1]
        self._waiting = len(pending)
        self._pending[: self._waiting] = pending
        self._level, self._spread = saved.number("level"), saved.number("spread")
        self._allowance = saved.number("allowance")
        self._calibrated = saved.integer("calibrated", 0)
        self._left_out = saved.integer("left_out", 0)
        self._since = min(saved.integer("since", 0), ECHO)
        self._body = saved.array("body", (len(BODY_GRID),))
        self._peak_level, self._share = saved.number("peak_level"), saved.number("share")
        self._tail = Pareto(saved.number("shape"), saved.number("scale"))
        if not (SHAPES[0] <= self._tail.shape <= SHAPES[1] and self._tail.scale > 0 and 0 < self._share <= 1):
            raise ModelError(
                "the saved state of the tail threshold cannot be used: its tail is none; copy the run folder again or train again"
            )
        self._limit = float("nan")
        if saved.boolean("limit_known"):
            self._set_limit()


def _quantiles(values: Array, shares: Sequence[float]) -> Array:
    """``np.quantile`` of values (N,) for shares (S,) -> (S,), many times as fast."""
    ordered = np.sort(values)
    places = np.asarray(shares) * (len(ordered) - 1)
    low = places.astype(int)
    high = np.minimum(low + 1, len(ordered) - 1)
    between: Array = ordered[low] + (ordered[high] - ordered[low]) * (places - low)
    return between
