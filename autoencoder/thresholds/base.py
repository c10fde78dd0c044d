"""Threshold: the contract that every threshold keeps."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ConfigError
from autoencoder.core.state import State

Array = npt.NDArray[np.float64]


class Threshold(Protocol):
    """A state machine over errors that judges before it learns.

    The law: ``process`` gives the same limits however the errors are cut into chunks; the limit of a point has not seen that
    point. A NaN error gets a limit of NaN and leaves the state as it was. An error above its limit is a flag; it must neither
    lift the limit for later points when it enters the recent errors nor drop it when it leaves them.
    """

    def fit(self, errors: Array) -> None:
        """Start from errors (M,) of normal behaviour, before the first ``process``."""
        ...

    def process(self, errors: Array) -> Array:
        """Errors (N,) -> limits (N,)."""
        ...

    def state(self) -> State:
        """All that is remembered."""
        ...

    def load(self, state: State) -> None:
        """Take back what ``state`` gave.

        Raises:
            ModelError: damaged, or not this threshold's.
        """
        ...


def check_budget(budget: float) -> float:
    """The budget, if it is a share in (0, 1).

    Raises:
        ConfigError: it is not.
    """
    if not 0.0 < budget < 1.0:
        raise ConfigError(f"threshold.budget is {budget:g}; it must be in (0, 1), e.g. 0.001")
    return budget
