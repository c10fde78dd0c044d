"""Daily prices that go up and down at random, with volatility that stays or clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DAYS = np.busday_offset("2015-01-01", np.arange(3000), roll="forward").astype("datetime64[ns]")


def walk(days: int, seed: int, *, clusters: bool = False) -> npt.NDArray[np.float64]:
    """(N,) a geometric random walk of 1.5 % a day; where it ``clusters``, a GARCH(1, 1) of that volatility in the mean."""
    random, variance = np.random.default_rng(seed), 0.015**2
    returns = np.empty(days)
    for day, shock in enumerate(random.normal(size=days)):
        returns[day] = np.sqrt(variance) * shock
        if clusters:
            variance = 0.03 * 0.015**2 + 0.09 * returns[day] ** 2 + 0.88 * variance
    return 100 * np.exp(np.cumsum(returns))
