"""Thresholds: each turns a stream of errors into the threshold that held before each error; one a file, one registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autoencoder.core.types import Array
from autoencoder.thresholds.base import Threshold
from autoencoder.thresholds.nonparametric import NonparametricThreshold
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold
from autoencoder.thresholds.quantile import QuantileThreshold
from autoencoder.thresholds.sigma import SigmaThreshold

THRESHOLDS: Mapping[str, Callable[..., Threshold]] = {
    "tail": PeaksOverThreshold,
    "quantile": QuantileThreshold,
    "nonparametric": NonparametricThreshold,
    "sigma": SigmaThreshold,
}

__all__ = ["THRESHOLDS", "Array", "Threshold"]
