"""Cleaning: which points a model may learn from, and which errors calibrate the threshold of a new model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoencoder.adaptation.buffer import HistoryBuffer
from autoencoder.core.types import Array, Bools, Integers
from autoencoder.network.period import dominant_period

MAD_TO_STD = 1.4826  # median absolute deviation -> standard deviation of a normal distribution
OUTLIER_Z = 4.5  # robust deviations from the season beyond which a row is an outlier
OUTLIER_MARGIN = 3  # rows beside an outlier that are excluded with it
LEVEL_WINDOW = 25  # rows of the moving median where nothing repeats
PERIOD_QUANTILES = (0.1, 0.9)  # values are clipped to these before the period is estimated
SMOOTHED_SEASONS = 3  # seasons of the moving median of level and amplitude
MAX_WIDENING = 2.5  # times that the upper half of a spread may exceed what the few errors of a new model show
MAX_SKEW = 3.0  # times that it may exceed what the lower half suggests
MAX_EARLIER_ERRORS = 4000  # newest errors of each earlier model or time that shape the tail


def trainable_rows(history: HistoryBuffer, count: int, window: int, trusted: int | None) -> Bools:
    """Which of the newest ``count`` (K) points of a history may be learnt (K,).

    Where the model still fits, its anomalies and half a ``window`` around each are excluded from training. A model that does not fit flags
    everything: then outliers among the points themselves are excluded, and anomalies only where they were flagged by a model
    trained since the change, the newest ``trusted`` points; None where there was no change. What people have confirmed is never learnt.
    """
    anomalies, confirmed = history.anomalies[-count:].copy(), history.confirmed[-count:]
    if trusted is None:
        return ~(np.convolve(anomalies | confirmed, np.ones(window + 1), mode="same") > 0.5)[:count]
    anomalies[: max(0, count - trusted)] = False
    clean: Bools = ~(outlier_rows(history.values[-count:]) | anomalies | confirmed)
    return clean


def outlier_rows(values: Array) -> Bools:
    """Rows (N,) of NaN-free values (N, F) that lie far off level and season of the rest, and the rows beside and between them.

    Needs no model. Single rows within an anomaly that lasts may look normal, so rows between two outliers that lie less than half a
    season apart are outliers, too.
    """
    outliers = np.zeros(len(values), dtype=bool)
    if not len(values):
        return outliers
    for column in values.T:
        period = dominant_period(np.clip(column, *np.quantile(column, PERIOD_QUANTILES)))  # clipped: anomalies hide the period
        residuals = deseasonalize(column, period)
        spread = MAD_TO_STD * float(np.median(np.abs(residuals)))
        far = np.abs(residuals) > OUTLIER_Z * spread if spread > 0 else residuals != 0
        outliers |= _close_gaps(far, (period or LEVEL_WINDOW) // 2)
    return outliers


def _close_gaps(far: Bools, gap: int) -> Bools:
    """Rows (N,) that are far, those between two that are at most ``gap`` apart, and ``OUTLIER_MARGIN`` rows on either side."""
    places = np.flatnonzero(far)
    closed = far.copy()
    for start, end in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        if end - start <= gap:
            closed[start:end] = True
    return np.convolve(closed, np.ones(2 * OUTLIER_MARGIN + 1), mode="full")[OUTLIER_MARGIN : OUTLIER_MARGIN + len(far)] > 0.5


def deseasonalize(values: Array, period: int | None) -> Array:
    """Residuals (N,) of values (N,) without their moving median and the median of every place in their season.

    The season is scaled by its moving amplitude, so that one that slowly grows leaves no residuals.
    """
    from scipy.ndimage import median_filter

    if period is None:
        detrended: Array = values - median_filter(values, size=min(LEVEL_WINDOW, len(values)), mode="nearest")
        return detrended
    centred = values - _moving_median(values, period)  # (N,)
    amplitude = _moving_median(np.abs(centred), period)  # (N,)
    typical = float(np.median(amplitude))
    factor = np.maximum(amplitude, 0.1 * typical) / typical if typical > 0 else np.ones(len(values))
    scaled = centred / factor
    seasons = np.full(-(-len(values) // period) * period, np.nan)
    seasons[: len(values)] = scaled
    season = np.nanmedian(seasons.reshape(-1, period), axis=0)  # (P,)
    residuals: Array = scaled - np.resize(season, len(values))
    return residuals


def _moving_median(values: Array, period: int) -> Array:
    """Level of values (N,): the median of each whole season, smoothed over ``SMOOTHED_SEASONS``, straight lines in between."""
    from scipy.ndimage import median_filter

    whole = len(values) // period
    medians = np.median(values[: whole * period].reshape(whole, period), axis=1)  # (L,)
    smooth = median_filter(medians, size=SMOOTHED_SEASONS, mode="nearest")
    level: Array = np.interp(np.arange(len(values)), (np.arange(whole) + 0.5) * period, smooth)
    return level


def clean_rows(clean: Bools, window: int) -> Integers:
    """Places (K,) among clean (N,) rows whose window holds no excluded row, at least ``window`` of them if there are so many.

    An anomaly affects every window of ``window`` points that holds it, and less so one that holds it in its older half.
    """
    rows = np.empty(0, np.int64)
    for reach in (window, window // 2, 1):
        rows = np.flatnonzero(clean_windows(clean, reach))
        if len(rows) >= window:
            break
    return rows


def clean_windows(clean: Bools, window: int) -> Bools:
    """Which of clean (N,) rows end a window, as far as it lies within them, that holds no excluded row -> (N,).

    >>> clean_windows(np.array([True, False, True, True, True]), 2).tolist()
    [True, False, False, True, True]
    """
    excluded = np.concatenate([np.zeros(window, np.int64), np.cumsum(~clean)])
    whole: Bools = excluded[window:] == excluded[: len(clean)]
    return whole


def calibration_set(errors: Array, earlier: Sequence[Array]) -> Array:
    """Errors (M,) that calibrate a threshold: the ``earlier`` ones, rescaled, and after them the clean ``errors`` (K,) of a new model.

    The few errors of a new model tell level and spread; the many of earlier models and times tell the tail. Errors beyond that tail
    are what is left of an undetected anomaly, and are dropped.
    """
    known = [each[~np.isnan(each)][-MAX_EARLIER_ERRORS:] for each in earlier]
    rescaled = [rescale(each, errors) for each in known if len(each) >= len(errors)]
    highest = max((float(each.max()) for each in rescaled), default=np.inf)
    return np.concatenate([*rescaled, errors[errors <= highest]])


def rescale(errors: Array, like: Array) -> Array:
    """Errors (N,) of one model with level and spread of another's (M,), so that their tail stands for its tail.

    Below the median the spread of the lower half counts. A few errors say little of their upper half, which may be too narrow or hold the
    rest of an anomaly: above the median the spread of the lower half counts, too, as far as the upper half confirms it.
    """
    below, level, above = _spread(errors)
    other_below, other_level, other_above = _spread(like)
    lower, upper = other_below / below, other_above / above
    higher = min(max(upper, min(lower, MAX_WIDENING * upper)), MAX_SKEW * lower)
    distances = errors - level
    rescaled: Array = np.maximum(other_level + distances * np.where(distances < 0, lower, higher), 0.0)
    return rescaled


def _spread(errors: Array) -> tuple[float, float, float]:
    """Distance from the lowest decile to the median, the median, and the distance from it to the highest decile."""
    low, middle, high = np.quantile(errors, [0.1, 0.5, 0.9]).tolist()
    least = max(1e-6 * abs(middle), np.finfo(float).tiny * 1e10)
    return max(middle - low, least), middle, max(high - middle, least)
