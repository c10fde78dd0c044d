"""Numbers along the axes of a plot: positions of times, ranges, time zones."""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from matplotlib.dates import date2num

from autoencoder.core.types import Array


def positions(time: npt.NDArray[np.generic]) -> Array:
    """Times (N,) as places on the axis: days since 1970, or the count itself."""
    return np.asarray(date2num(time) if time.dtype.kind == "M" else time, dtype=np.float64)


def finite(*series: Array) -> Array:
    """The finite numbers (M,) of all series."""
    numbers = np.concatenate(series)
    return numbers[np.isfinite(numbers)]


def padded(known: Array) -> tuple[float, float]:
    """Range of numbers, with room above and below; (0, 1) where there are none."""
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = 0.07 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def zone_of(timezone: str | None) -> tzinfo | None:
    """The zone of that name, or of an offset such as "+02:00"; UTC where there is none."""
    try:
        return ZoneInfo(timezone or "UTC")
    except (KeyError, ValueError):  # an offset such as "+02:00" is no IANA name
        return datetime.strptime(str(timezone), "%z").tzinfo
