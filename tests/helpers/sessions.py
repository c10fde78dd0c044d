"""Minute bars of a stock exchange: closed at night and at weekends, restless when it opens and closes, with planted faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MINUTES = 390  # of a session, 9:30 to 16:00
OPENS = np.timedelta64(14 * 60 + 30, "m")  # in UTC, in winter
QUIET = 0.0004  # volatility of a minute at midday
NIGHT = 0.008  # of the return over a night


@dataclass(frozen=True)
class Minutes:
    """N bars."""

    time: npt.NDArray[np.datetime64]
    price: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    minute: npt.NDArray[np.int64]  # of the session, from 0
    planted: tuple[int, ...]  # rows of the faults


def minute_bars(sessions: int = 20, seed: int = 0, faults: int = 4) -> Minutes:
    """So many sessions of fat-tailed returns, U-shaped in volatility and volume, with volatility that clusters from day to day.

    ``faults`` jumps of 12 to 20 volatilities of their minute lie in the last two thirds, away from the openings; every other one is taken
    back by the next bar, as a bad tick is.
    """
    random = np.random.default_rng(seed)
    days = np.busday_offset("2024-01-08", np.arange(sessions), roll="forward")
    minute = np.tile(np.arange(MINUTES), sessions)
    shape = 1 + 3.5 * np.exp(-np.arange(MINUTES) / 12) + 1.5 * np.exp(-np.arange(MINUTES)[::-1] / 15)
    level = np.exp(np.repeat(np.cumsum(random.normal(scale=0.15, size=sessions)), MINUTES))
    scale = QUIET * level * np.tile(shape, sessions)
    returns = scale * random.standard_t(5, len(minute)) / np.sqrt(5 / 3)
    returns[minute == 0] += random.normal(scale=NIGHT, size=sessions)
    places = random.choice(np.arange(len(minute) // 3, len(minute) - 10), 50 * faults, replace=False)
    planted = [int(row) for row in places if 20 < minute[row] < MINUTES - 20][:faults]
    for number, row in enumerate(planted):
        size = random.choice([-1, 1]) * random.uniform(12, 20) * scale[row]
        returns[row] += size
        returns[row + 1] -= size * (number % 2)
    time = (np.repeat(days, MINUTES) + OPENS + minute.astype("timedelta64[m]")).astype("datetime64[ns]")
    volume = np.round(1000 * np.tile(shape, sessions) * random.lognormal(sigma=0.4, size=len(minute)))
    return Minutes(time, 100 * np.exp(np.cumsum(returns)), volume, minute, tuple(sorted(planted)))
