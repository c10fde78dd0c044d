"""RollingThreshold: what the thresholds over a rolling window of errors have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from autoencoder.core.errors import ConfigError, ModelError
from autoencoder.core.state import Reader, State
from autoencoder.thresholds.base import Array, check_budget

MINIMUM = 30  # errors that must be known before a limit is worth anything
STEP = 32  # errors between two estimates of the limit
LARGEST = 1e300  # errors beyond count as this much, so that differences and sums of them stay finite
SETTLING_ROUNDS = 20


class RollingThreshold(ABC):
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

    def __init__(self, budget: float, window: int = 2000) -> None:
        self.budget = check_budget(budget)
        if window < MINIMUM:
            raise ConfigError(f"threshold.window is {window}; it must be at least {MINIMUM}, e.g. 2000")
        self.window = window
        self._forget()

    def fit(self, errors: Array) -> None:
        """Start from errors (M,) of normal behaviour; all that was remembered before is forgotten, NaN are left out.

        The primed errors were judged by no limit, and an anomaly among them would lift the limit until it leaves the window. So
        the limit that they give judges them in turn, until it settles where the stream itself would hold it.
        """
        self._forget()
        self._learn_training(_bounded(errors[~np.isnan(errors)]))
        if self._seen < MINIMUM:
            return
        self._limit = self._estimate(*self._recent.rows())
        for _ in range(SETTLING_ROUNDS):
            before = self._limit
            self._recent.judge_all(before)
            self._limit = self._estimate(*self._recent.rows())
            if before - self._limit <= 1e-3 * abs(before):
                break

    def process(self, errors: Array) -> Array:
        """Errors (N,) -> limits (N,); NaN until ``MINIMUM`` errors are known, and for NaN errors, which change nothing."""
        limits = np.full(len(errors), np.nan)
        known = np.flatnonzero(~np.isnan(errors))  # (V,) places of the V <= N valid errors
        valid = _bounded(errors[known])
        start = 0
        while start < len(valid):
            stop = min(start + STEP - self._seen % STEP, len(valid))
            limits[known[start:stop]] = self._judge_and_learn(valid[start:stop])
            if self._seen % STEP == 0 and self._seen >= MINIMUM:
                self._limit = self._estimate(*self._recent.rows())
            start = stop
        return limits

    def state(self) -> State:
        """The recent errors and their limits, oldest first, the count of errors, and the limit in force (None: not known yet)."""
        errors, limits = self._recent.rows()
        return {
            "kind": type(self).__name__,
            "errors": errors.copy(),  # (n,), n <= window
            "limits": limits.copy(),  # (n,), infinite where no limit was known
            "seen": self._seen,
            "limit": write_known(self._limit),
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave; settings changed since take hold at the next estimate.

        Raises:
            ModelError: damaged, or not a state of this kind of threshold.
        """
        saved = Reader(state, "the threshold")
        if saved.text("kind") != type(self).__name__:
            raise ModelError(
                f"the saved threshold is a {saved.text('kind'):.40}, this run asks for a {type(self).__name__}; "
                "set threshold.kind as it was, or train again"
            )
        errors = saved.array("errors", (None,))
        limits = saved.array("limits", (len(errors),), finite=False)
        seen = saved.integer("seen", len(errors))
        if np.isnan(limits).any() or len(errors) < min(seen, MINIMUM):
            raise ModelError("the saved state of the threshold cannot be used: its parts do not fit together; train again")
        self._forget()
        self._seen = seen
        self._limit = read_known(state, saved, "limit")
        self._recent.push(errors, limits)

    @abstractmethod
    def _estimate(self, errors: Array, limits: Array) -> float:
        """The limit that the recent errors (n,) and the limits (n,) that judged them give; n >= ``MINIMUM``."""

    def _forget(self) -> None:
        self._recent = _Recent(self.window)
        self._seen = 0
        self._limit = float("nan")

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


def write_known(number: float) -> float | None:
    """A number as it is saved; unknown (NaN) is None."""
    return None if np.isnan(number) else float(number)


def read_known(state: State, saved: Reader, key: str) -> float:
    """What ``write_known`` saved.

    Raises:
        ModelError: neither a finite number nor None.
    """
    return float("nan") if state.get(key, "missing") is None else saved.number(key)


def _bounded(errors: Array) -> Array:
    return np.clip(errors, -LARGEST, LARGEST)
