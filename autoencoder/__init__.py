"""Finds anomalies in streams of numbers, with an LSTM autoencoder and a dynamic threshold.

>>> import autoencoder as ae
>>> stream = ae.synthetic(2000, seed=1)
>>> detector = ae.Detector("isolation_forest", budget="2 per week")
>>> detections = detector.process(stream["value"])
>>> list(detections.to_frame().columns)
['value', 'prediction', 'error', 'threshold', 'score', 'anomaly']

Importing the package imports nothing but itself; each name is looked up when it is used first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autoencoder.core import errors
from autoencoder.core.errors import *  # noqa: F403 - those in its ``__all__``

if TYPE_CHECKING:
    from autoencoder.api.detections import Detections
    from autoencoder.api.detector import Detector, load
    from autoencoder.api.readers import prices, read_csv, synthetic
    from autoencoder.reports.incidents import Incident

__version__ = "0.1.0"
__all__ = ["Detections", "Detector", "Incident", "__version__", "load", "prices", "read_csv", "synthetic"]
__all__ += errors.__all__

_HOMES = {
    **dict.fromkeys(("Detector", "load"), "api.detector"),
    **dict.fromkeys(("prices", "read_csv", "synthetic"), "api.readers"),
    **{"Detections": "api.detections", "Incident": "reports.incidents"},
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
