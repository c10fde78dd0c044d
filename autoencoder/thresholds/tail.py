"""Tail threshold: a limit that a chosen share of normal errors passes, from extreme value theory, while level and spread drift."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoencoder.errors import ModelError
from autoencoder.state import Reader, State
from autoencoder.thresholds.base import Array, check_budget
from autoencoder.thresholds.pareto import SHAPES, Pareto, fit

BLOCK = 32  # errors after which the limit moves; constant in between, so that whole blocks are judged at once
PEAK_SHARE = 0.02  # share of the errors that count as peaks
RECALIBRATE = 512  # errors after which the peak level is chosen anew
FEWEST = 30  # errors without which there is no limit
RARITY = 50.0  # a flagged error that normal ones pass so many times more seldom than the limit is no normal one
ALLOWANCE = 2.0  # flagged errors learnt at most, in multiples of the budget; at 1, a limit set too low would confirm itself
SAVED = 2.0  # so many of them may come at once
PATIENCE = 8  # of the flagged errors that are left out one in so many moves level and spread
BODY_GRID = np.linspace(1.0, 0.0, 65)  # exceedance probabilities at which the body of the errors is kept


class TailThreshold:
    """Peaks over threshold with a generalised Pareto tail, drift-aware (Siffer et al. 2017, doi 10.1145/3097983.3098144).

    An error is first made comparable over time: the median of the ``window`` newest errors is taken off and the rest divided by the
    distance from their lowest decile up to it. Both follow a drift of level and of spread (DSPOT follows the level only), and neither
    feels much of an anomaly shorter than half the window. The largest ``PEAK_SHARE`` of the last ``memory`` such values are fitted; the
    limit is the height that a share ``budget`` of normal errors passes.

    A flagged error teaches the tail only while it is a plausible normal one: not ``RARITY`` times rarer than the limit allows, and no more
    of them than ``ALLOWANCE`` times the budget. Learning all would let an anomaly lift the limit; learning none would make the tail look
    shorter and shorter. The others are left out, so that an anomaly, however long, neither lifts the limit when it enters the memory nor
    drops it when it leaves; one in ``PATIENCE`` of them moves level and spread, so that a change that stays is followed in the end.

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
        self._pending = np.empty(0)  # errors of the block that is not full yet
        self._level, self._spread = 0.0, 1.0
        self._allowance = 0.0  # flagged errors that may still be learnt
        self._left_out = 0  # flagged errors left out since one was followed
        self._calibrated = 0  # errors learnt since the peak level was chosen
        self._body = np.zeros(len(BODY_GRID))  # comparable errors at BODY_GRID
        self._peak_level, self._share = 0.0, PEAK_SHARE
        self._tail = Pareto(0.0, 1.0)
        self._limit = float("nan")

    def prime(self, errors: Array) -> None:
        """Start from errors (M,) of normal behaviour; see ``Threshold.prime``."""
        known = errors[~np.isnan(errors)]
        self._recent = known[-self._window :].copy()
        self._comparable = np.empty(0)
        self._pending = np.empty(0)
        self._allowance, self._left_out, self._calibrated = 0.0, 0, 0
        if len(known) < FEWEST:
            self._limit = float("nan")
            return
        self._follow()
        self._comparable = ((known - self._level) / self._spread)[-self._memory :]
        self._calibrate()
        self._set_limit()

    def process(self, errors: Array) -> Array:
        """Errors (N,) -> limits (N,)."""
        return self.judge(errors)[0]

    def judge(self, errors: Array) -> tuple[Array, Array]:
        """Errors (N,) -> limits (N,) and the probabilities (N,) that a normal error is larger, both as they stood before each error."""
        limits, probabilities = np.full(len(errors), np.nan), np.full(len(errors), np.nan)
        known = np.flatnonzero(~np.isnan(errors))
        done = 0
        while done < len(known):
            rows = known[done : done + BLOCK - len(self._pending)]
            limits[rows] = self._limit
            if not np.isnan(self._limit):
                probabilities[rows] = self._probabilities(errors[rows])
            self._pending = np.concatenate([self._pending, errors[rows]])
            done += len(rows)
            if len(self._pending) == BLOCK:
                self._learn(self._pending)
                self._pending = np.empty(0)
        return limits, probabilities

    def _probabilities(self, errors: Array) -> Array:
        comparable = (errors - self._level) / self._spread
        body = np.interp(comparable, self._body, BODY_GRID)
        tail = self._share * self._tail.exceedance(np.maximum(comparable - self._peak_level, 0.0))
        return np.where(comparable > self._peak_level, tail, np.maximum(body, self._share))

    def _learn(self, block: Array) -> None:
        """Take in the errors (B,) of a block that is complete, and move the limit."""
        if np.isnan(self._limit):
            self.prime(np.concatenate([self._recent, block]))
            return
        learnt = ~(block > self._limit) | self._plausible(block)
        comparable = (block[learnt] - self._level) / self._spread
        self._comparable = np.concatenate([self._comparable, comparable])[-self._memory :]
        self._calibrated += len(comparable)
        # what is left out still counts a little: a change that stays must be followed in the end
        order = self._left_out + np.cumsum(~learnt)
        followed = learnt | (order % PATIENCE == 0)
        self._left_out = int(order[-1] % PATIENCE)
        self._recent = np.concatenate([self._recent, np.minimum(block, self._limit)[followed]])[-self._window :]
        self._follow()
        if self._calibrated >= RECALIBRATE:
            self._calibrate()
        elif (comparable > self._peak_level).any():
            self._fit()
        self._set_limit()

    def _plausible(self, block: Array) -> npt.NDArray[np.bool_]:
        """Which of a block's errors (B,) are flags that normal errors explain: not too high for one, and not too many of them."""
        ceiling = self._height(min(1.0, self._budget / self._share) / RARITY)
        low = (block > self._limit) & (block <= ceiling)
        due = ALLOWANCE * self._budget
        self._allowance = min(self._allowance + due * len(block), max(SAVED, 4 * due * BLOCK))
        plausible: npt.NDArray[np.bool_] = low & (np.cumsum(low) <= int(self._allowance))
        self._allowance -= int(plausible.sum())
        return plausible

    def _follow(self) -> None:
        """Level and spread of the recent errors, from their lower half: anomalies sit in the upper one."""
        low, middle = np.quantile(self._recent, [0.1, 0.5])
        self._level = float(middle)
        # errors that hardly differ have no spread: then a difference in the sixth digit of the level is one
        self._spread = max(float(middle - low), 1e-6 * abs(self._level), np.finfo(float).tiny * 1e10)

    def _calibrate(self) -> None:
        """Choose the level above which a comparable error is a peak, and fit the tail above it."""
        self._calibrated = 0
        share = max(PEAK_SHARE, min(0.25, 20 * self._budget))
        self._body = np.quantile(self._comparable, 1.0 - BODY_GRID)  # (B,) rising
        self._peak_level = float(np.quantile(self._comparable, 1.0 - share))
        self._fit()

    def _fit(self) -> None:
        peaks = self._comparable[self._comparable > self._peak_level] - self._peak_level
        self._share = max(len(peaks), 1) / len(self._comparable)
        self._tail = fit(peaks)

    def _set_limit(self) -> None:
        exceedance = min(1.0, self._budget / self._share)
        self._limit = self._height(exceedance)

    def _height(self, exceedance: float) -> float:
        """Error that a peak passes with probability ``exceedance``."""
        return self._level + self._spread * (self._peak_level + self._tail.quantile(exceedance))

    def state(self) -> State:
        """Both memories and what was fitted to them."""
        return {
            "recent": self._recent.copy(),
            "comparable": self._comparable.copy(),
            "pending": self._pending.copy(),
            "level": self._level,
            "spread": self._spread,
            "allowance": self._allowance,
            "calibrated": self._calibrated,
            "left_out": self._left_out,
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
        self._pending = saved.array("pending", (None,))
        self._level, self._spread = saved.number("level"), saved.number("spread")
        self._allowance = saved.number("allowance")
        self._calibrated = saved.integer("calibrated", 0)
        self._left_out = saved.integer("left_out", 0)
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
