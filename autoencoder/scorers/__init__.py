"""Scorers: each turns values into errors and predictions; one a file, one registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autoencoder.core.types import Array, Progress
from autoencoder.scorers.base import Refittable, Scorer
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.scorers.half_space_trees import HalfSpaceTreesScorer
from autoencoder.scorers.isolation_forest import IsolationForestScorer, SlidingIsolationForestScorer
from autoencoder.scorers.lstm import LstmAutoencoderScorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "lstm_autoencoder": LstmAutoencoderScorer,
    "isolation_forest": IsolationForestScorer,
    "isolation_forest_sliding": SlidingIsolationForestScorer,
    "half_space_trees": HalfSpaceTreesScorer,
    "windowed_gaussian": WindowedGaussianScorer,
}
SEASONAL = "seasonal"  # forecasts until a detector is trained; no detector of its own


def create(name: str, **params: Any) -> Scorer:
    """An untrained scorer; the parameters are plain values, so that another process can make the same one."""
    if name == SEASONAL:
        from autoencoder.scorers.seasonal import SeasonalScorer

        return SeasonalScorer(**params)
    return SCORERS[name](**params)


__all__ = ["SCORERS", "SEASONAL", "Array", "Progress", "Refittable", "Scorer", "create"]
