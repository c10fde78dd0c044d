"""Robust season: what a stretch looks like without its anomalies, and which of its rows are unlike that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoencoder.network.period import dominant_period
from autoencoder.scorers.base import Array

FAR = 4.5  # robust deviations off the season at which a row is unusual
MARGIN = 3  # rows beside an unusual one that go with it
WITHOUT_SEASON = 25  # rows that the level is taken from where nothing repeats
CORE = (0.1, 0.9)  # quantiles of a stretch between which its period is looked for
LAPS = 3  # seasons that level and size are taken from
MAD = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


def unusual_rows(values: Array) -> npt.NDArray[np.bool_]:
    """Rows (N,) of values (N, F), free of NaN, that lie far off the level and season of the rest, and the rows beside and between them.

    No model is needed, so it also serves a stretch that every model is surprised by. Of an anomaly that lasts, single rows may look as they
    should: rows between unusual ones that lie less than half a season apart are unusual, too.
    """
    unusual = np.zeros(len(values), dtype=bool)
    if not len(values):
        return unusual
    for column in values.T:
        period = dominant_period(np.clip(column, *np.quantile(column, CORE)))  # the rest may be anomalies
        rest = off_season(column, period)
        spread = MAD * float(np.median(np.abs(rest)))
        far = np.abs(rest) > FAR * spread if spread > 0 else rest != 0
        unusual |= _joined(far, (period or WITHOUT_SEASON) // 2)
    return unusual


def _joined(far: npt.NDArray[np.bool_], gap: int) -> npt.NDArray[np.bool_]:
    """Rows (N,) that are far, those between two that are at most ``gap`` apart, and ``MARGIN`` rows on either side."""
    places = np.flatnonzero(far)
    joined = far.copy()
    for start, end in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        if end - start <= gap:
            joined[start:end] = True
    return np.convolve(joined, np.ones(2 * MARGIN + 1), mode="full")[MARGIN : MARGIN + len(far)] > 0.5


def off_season(values: Array, period: int | None) -> Array:
    """What is left of values (N,) without their moving median and the median of every place in their season -> (N,).

    A season that slowly grows is no anomaly: it is compared in units of its moving size.
    """
    from scipy.ndimage import median_filter

    if period is None:
        flat: Array = values - median_filter(values, size=min(WITHOUT_SEASON, len(values)), mode="nearest")
        return flat
    moving = values - _moving_median(values, period)  # (N,)
    size = _moving_median(np.abs(moving), period)  # (N,)
    usual = float(np.median(size))
    factor = np.maximum(size, 0.1 * usual) / usual if usual > 0 else np.ones(len(values))
    season = np.nanmedian(_laps(moving / factor, period), axis=0)  # (P,)
    rest: Array = moving / factor - np.resize(season, len(values))
    return rest


def _laps(values: Array, period: int) -> Array:
    """Values (N,) as whole seasons (L, P), the last of them filled up with NaN."""
    laps = np.full(-(-len(values) // period) * period, np.nan)
    laps[: len(values)] = values
    return laps.reshape(-1, period)


def _moving_median(values: Array, period: int) -> Array:
    """Level of values (N,): the median of each whole season, of ``LAPS`` neighbours the middle one, straight lines in between."""
    from scipy.ndimage import median_filter

    whole = len(values) // period
    medians = np.median(values[: whole * period].reshape(whole, period), axis=1)  # (L,)
    steady = median_filter(medians, size=LAPS, mode="nearest")
    level: Array = np.interp(np.arange(len(values)), (np.arange(whole) + 0.5) * period, steady)
    return level
