"""RollingThreshold: what the thresholds over a rolling window of errors have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from autoencoder.core.errors import ConfigError, ModelError
from autoencoder.core.state import Reader, State, integer, number_or_nan
from autoencoder.core.types import Array
from autoencoder.thresholds.base import Threshold, check_budget

MIN_ERRORS = 30  # that must be known before a limit is worth anything
STEP = 32  # errors between two estimates of the limit
MAX_ERROR = 1e300  # errors beyond count as this much, so that differences and sums of them stay finite
SETTLING_ROUNDS = 20


class RollingThreshold(Threshold):
    """A limit estimated from the last ``window`` errors, each kept together with the limit that judged it.

    The limit is estimated anew whenever the count of errors, the primed ones included, is a multiple of ``STEP``, and holds until
    then. Those places do not depend on how the stream is cut, so neither do the limits, and whole blocks are judged at once.

    A flagged error must not lift the limit, but to leave it out of the memory would be wrong as well: normal errors beyond the
    limit would be lost for good, the memory would look ever tamer, and the limit would shrink with every window. Hence an error
    is kept together with its limit, and each kind of threshold decides how much a flagged one counts: clipped at its limit, or
    not at all as long as there are few of them.

    Args:
        budget: share of normal points that may be flagged, in (0, 1).
        window: how many recent errors are remembered.

    Raises:
        ConfigError: a setting is out of range.
    """

    name = "the threshold"
    STATE: ClassVar = {"_seen": integer("seen"), "_limit": number_or_nan("limit")}

    def __init__(self, budget: float, window: int = 2000) -> None:
        self.budget = check_budget(budget)
        if window < MIN_ERRORS:
            raise ConfigError(f"threshold.window is {window}; it must be at least {MIN_ERRORS}, e.g. 2000")
        self.window = window
        self._recent = _Recent(window)
        self._seen = 0
        self._limit = float("nan")

    def fit(self, errors: Array) -> None:
        """Start from errors (M,) of normal behaviour; all that was remembered before is forgotten, NaN are left out.

        The primed errors were judged by no limit, and an anomaly among them would lift the limit until it leaves the window. So
        the limit that they give judges them in turn, until it settles where the stream itself would hold it.
        """
        self._recent, self._seen, self._limit = _Recent(self.window), 0, float("nan")
        self._learn_training(_bounded(errors[~np.isnan(errors)]))
        if self._seen < MIN_ERRORS:
            return
        self._limit = self._estimate(*self._recent.rows())
        for _ in range(SETTLING_ROUNDS):
            before = self._limit
            self._recent.judge_all(before)
            self._limit = self._estimate(*self._recent.rows())
            if before - self._limit <= 1e-3 * abs(before):
                break

    def process(self, errors: Array) -> Array:
        """Errors (N,) -> limits (N,); NaN until ``MIN_ERRORS`` errors are known, and for NaN errors, which change nothing."""
        limits = np.full(len(errors), np.nan)
        known = np.flatnonzero(~np.isnan(errors))  # (V,) places of the V <= N valid errors
        valid = _bounded(errors[known])
        start = 0
        while start < len(valid):
            stop = min(start + STEP - self._seen % STEP, len(valid))
            limits[known[start:stop]] = self._judge_and_learn(valid[start:stop])
            if self._seen % STEP == 0 and self._seen >= MIN_ERRORS:
                self._limit = self._estimate(*self._recent.rows())
            start = stop
        return limits

    def state(self) -> State:
        """The recent errors and their limits, oldest first, the count of errors, and the limit in force (None: not known yet)."""
        errors, limits = self._recent.rows()  # (n,), n <= window; limits are infinite where none was known
        return {"kind": type(self).__name__, "errors": errors.copy(), "limits": limits.copy(), **super().state()}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave; settings changed since take hold at the next estimate."""
        if (kind := Reader(state, self.name).text("kind")) != type(self).__name__:
            raise ModelError(
                f"the saved threshold is a {kind:.40}, this run asks for a {type(self).__name__}; "
                "set threshold.kind as it was, or train again"
            )
        super().load(state)

    def _complete(self, saved: Reader) -> None:
        errors, limits = saved.array("errors", ("N",)), saved.array("limits", ("N",), finite=False, low=-np.inf)
        if not min(self._seen, MIN_ERRORS) <= len(errors) <= self._seen:
            raise saved.fault("seen", f"is {self._seen}, with {len(errors)} errors remembered")
        self._recent = _Recent(self.window)
        self._recent.push(errors, limits)

    @abstractmethod
    def _estimate(self, errors: Array, limits: Array) -> float:
        """The limit that the recent errors (n,) and the limits (n,) that judged them give; n >= ``MIN_ERRORS``."""

    def _learn_training(self, errors: Array) -> None:
        """Remember errors (M,) that no limit has judged."""
        self._remember(errors, np.full(len(errors), np.inf))

    def _judge_and_learn(self, errors: Array) -> Array:
        """Errors (B,) between two estimates -> their limits (B,)."""
        self._remember(errors, np.full(len(errors), np.inf if np.isnan(self._limit) else self._limit))
        return np.full(len(errors), self._limit)

    def _remember(self, errors: Array, limits: Array) -> None:
        self._recent.push(errors, limits)
        self._seen += len(errors)


class _Recent:
    """The last ``window`` errors and their limits, always contiguous and oldest first.

    The array is twice as long as the window, so that it has to be moved only once a window.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._rows = np.empty((2, 2 * window))
        self._end = 0

    def push(self, errors: Array, limits: Array) -> None:
        errors, limits = errors[-self._window :], limits[-self._window :]
        if self._end + len(errors) > self._rows.shape[1]:
            kept = self._window - len(errors)
            self._rows[:, :kept] = self._rows[:, self._end - kept : self._end].copy()
            self._end = kept
        self._rows[:, self._end : self._end + len(errors)] = errors, limits
        self._end += len(errors)

    def rows(self) -> tuple[Array, Array]:
        """Errors (n,) and limits (n,), n <= window; they are views, valid until the next ``push``."""
        rows = self._rows[:, max(self._end - self._window, 0) : self._end]
        return rows[0], rows[1]

    def judge_all(self, limit: float) -> None:
        self._rows[1, : self._end] = limit


def mean_and_deviation(values: Array) -> tuple[float, float]:
    """Mean and standard deviation of values (n,), exact for constant values and free of cancellation and overflow.

    Only the gaps to the largest value are summed, in units of the widest gap.
    """
    top = values.max()
    gaps = top - values
    widest = gaps.max()
    if widest == 0:
        return float(top), 0.0
    gaps /= widest
    return float(top) - float(widest) * float(gaps.mean()), float(widest) * float(gaps.std())


def _bounded(errors: Array) -> Array:
    return np.clip(errors, -MAX_ERROR, MAX_ERROR)
