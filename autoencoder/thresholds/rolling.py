"""RollingThreshold: what the thresholds over a rolling window of errors have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from autoencoder.core.errors import ConfigError, ModelFileError
from autoencoder.core.state import Reader, State, array, integer, number_or_nan
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
    """

    name = "the threshold"
    STATE: ClassVar = {
        "_errors": array("errors", ("N",)),
        "_limits": array("limits", ("N",), finite=False, low=-np.inf),
        "_seen": integer("seen"),
        "_limit": number_or_nan("limit"),
    }

    _errors: Array  # (n,), n <= window
    _limits: Array  # (n,), infinite where none was known
    _seen: int
    _limit: float

    def __init__(self, budget: float, window: int = 2000) -> None:
        self.budget = check_budget(budget)
        if window < MIN_ERRORS:
            raise ConfigError(f"threshold.window is {window}; it must be at least {MIN_ERRORS}, e.g. 2000")
        self.window = window
        self._forget()

    def fit(self, errors: Array) -> None:
        """Start from errors (M,) of normal behaviour, and forget all others.

        The primed errors were judged by no limit, and an anomaly among them would lift the limit until it leaves the window. So
        the limit that they give judges them in turn, until it settles where the stream itself would hold it.
        """
        self._forget()
        self._learn_training(_bounded(errors[~np.isnan(errors)]))
        if self._seen < MIN_ERRORS:
            return
        self._limit = self._estimate(self._errors, self._limits)
        for _ in range(SETTLING_ROUNDS):
            before = self._limit
            self._limits = np.full(len(self._errors), before)
            self._limit = self._estimate(self._errors, self._limits)
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
                self._limit = self._estimate(self._errors, self._limits)
            start = stop
        return limits

    def state(self) -> State:
        """All that is remembered, and the kind of threshold."""
        return {"kind": type(self).__name__, **super().state()}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave; settings changed since take hold at the next estimate."""
        if (kind := Reader(state, self.name).text("kind")) != type(self).__name__:
            raise ModelFileError(
                f"the saved threshold is a {kind:.40}, this run asks for a {type(self).__name__}; "
                "set threshold.kind as it was, or train again"
            )
        super().load(state)

    def _complete(self, saved: Reader) -> None:
        if not min(self._seen, MIN_ERRORS) <= len(self._errors) <= self._seen:
            raise saved.fault("seen", f"is {self._seen}, with {len(self._errors)} errors remembered")
        self._errors, self._limits = self._errors[-self.window :], self._limits[-self.window :]

    def _forget(self) -> None:
        self._errors, self._limits = np.empty(0), np.empty(0)
        self._seen = 0
        self._limit = float("nan")

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
        """Take in errors (B,) and the limits (B,) that judged them."""
        self._errors = np.concatenate([self._errors, errors])[-self.window :]
        self._limits = np.concatenate([self._limits, limits])[-self.window :]
        self._seen += len(errors)


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
