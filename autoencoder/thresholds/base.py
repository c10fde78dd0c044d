"""Threshold: the contract that every threshold keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autoencoder.core.errors import ConfigError
from autoencoder.core.state import Stateful
from autoencoder.core.types import Array

__all__ = ["Array", "Threshold", "check_budget"]


class Threshold(Stateful, ABC):
    """A state machine over errors that judges before it learns.

    The law: ``process`` gives the same thresholds however the errors are cut into chunks; the threshold of a point has not seen that
    point. A NaN error gets a threshold of NaN and leaves the state as it was. An error above its threshold is an anomaly; it must neither
    lift the threshold for later points when it enters the recent errors nor drop it when it leaves them.
    """

    @abstractmethod
    def fit(self, errors: Array) -> None:
        """Start from errors (M,) of normal data, before the first ``process``; NaN are left out."""

    @abstractmethod
    def process(self, errors: Array) -> Array:
        """Errors (N,) -> thresholds (N,), each set before its error was seen."""


def check_budget(budget: float) -> float:
    """The budget, if it is a share in (0, 1).

    Raises:
        ConfigError: it is not.
    """
    if not 0.0 < budget < 1.0:
        raise ConfigError(f"threshold.budget is {budget:g}; it must be in (0, 1), e.g. 0.001")
    return budget
