"""Scorers: each turns values into errors and predictions; one a file, one registry."""

from __future__ import annotations

from collections.abc import Callable

from autoencoder.scorers.base import Array, Progress, Scorer
from autoencoder.scorers.forest import IsolationForestScorer, SlidingIsolationForestScorer
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.scorers.half_space import HalfSpaceTreesScorer
from autoencoder.scorers.lstm import LstmAutoencoderScorer

SCORERS: dict[str, Callable[..., Scorer]] = {
    "lstm_autoencoder": LstmAutoencoderScorer,
    "isolation_forest": IsolationForestScorer,
    "isolation_forest_sliding": SlidingIsolationForestScorer,
    "half_space_trees": HalfSpaceTreesScorer,
    "windowed_gaussian": WindowedGaussianScorer,
}

__all__ = ["SCORERS", "Array", "Progress", "Scorer"]
