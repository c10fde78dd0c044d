"""Scorers: each turns values into errors and predictions; one a file, one registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autoencoder.core.types import Array, Progress
from autoencoder.scorers.base import Refittable, Scorer
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.scorers.half_space_trees import HalfSpaceTreesScorer
from autoencoder.scorers.isolation_forest import IsolationForestScorer, SlidingIsolationForestScorer
from autoencoder.scorers.lstm import LstmAutoencoderScorer

# a constructor takes plain values, so that another process can make the same scorer
SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "lstm_autoencoder": LstmAutoencoderScorer,
    "isolation_forest": IsolationForestScorer,
    "isolation_forest_sliding": SlidingIsolationForestScorer,
    "half_space_trees": HalfSpaceTreesScorer,
    "windowed_gaussian": WindowedGaussianScorer,
}

__all__ = ["SCORERS", "Array", "Progress", "Refittable", "Scorer"]
