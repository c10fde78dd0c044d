"""The matrix profile: the stretch of a series that is least like any other. It sees the whole series at once, so it is no detector."""

from __future__ import annotations

import numpy as np

from autoencoder.core.errors import ConfigError, TrainingError
from autoencoder.core.types import Array
from autoencoder.network.period import dominant_period
from autoencoder.scorers.base import Progress

MOST_POINTS = 45_000  # longer series are down-sampled: the work grows with the square of the length
SHORTEST, WINDOW = 8, 100  # points of a window; where nothing repeats, WINDOW


def find_discord(values: Array, train: int, progress: Progress) -> int:
    """Middle of the window behind the training part whose nearest neighbour in the whole series, values (N,), is farthest away.

    A window is the dominant period of the training part. It is one call, so there is no progress to tell of.

    Source: Yeh et al., "Matrix Profile I", ICDM 2016, doi 10.1109/ICDM.2016.0179, as implemented in stumpy (Law, JOSS 2019,
    doi 10.21105/joss.01504).

    Raises:
        ConfigError: stumpy is not installed.
        TrainingError: fewer points follow the training part than a window has.
    """
    try:
        import stumpy
    except ImportError:
        needs = "matrix_profile needs the package stumpy: install it with 'pip install stumpy', or leave it out"
        raise ConfigError(needs) from None
    factor = -(-len(values) // MOST_POINTS)
    series = down_sample(values, factor)  # (M,)
    learnt = train // factor
    window = max(SHORTEST, dominant_period(series[:learnt]) or WINDOW)
    if len(series) - learnt < window:
        raise TrainingError(f"{len(series) - learnt:,} points follow the training part, but a window has {window:,}")
    profile = stumpy.stump(series, window)[:, 0].astype(np.float64)[learnt:]  # distances of the windows that start there
    place = int(np.argmax(np.where(np.isfinite(profile), profile, -np.inf)))
    return (learnt + place + window // 2) * factor


def down_sample(values: Array, factor: int) -> Array:
    """Means of ``factor`` values each of values (N,) -> (N // factor,)."""
    whole = len(values) // factor * factor
    means: Array = values[:whole].reshape(-1, factor).mean(axis=1)
    return means
