"""Thresholds: each turns a stream of errors into the limit that held before each error; one a file, one registry."""

from __future__ import annotations

from collections.abc import Callable

from autoencoder.thresholds.base import Array, Threshold
from autoencoder.thresholds.nonparametric import NonparametricThreshold
from autoencoder.thresholds.quantile import QuantileThreshold
from autoencoder.thresholds.sigma import SigmaThreshold
from autoencoder.thresholds.tail import TailThreshold

THRESHOLDS: dict[str, Callable[..., Threshold]] = {
    "tail": TailThreshold,
    "quantile": QuantileThreshold,
    "nonparametric": NonparametricThreshold,
    "sigma": SigmaThreshold,
}

__all__ = ["THRESHOLDS", "Array", "Threshold"]
