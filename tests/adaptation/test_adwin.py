"""ADWIN beside river's own."""

from __future__ import annotations

import numpy as np
from river.drift import ADWIN

from autoencoder.adaptation.adwin import SETTINGS, Adwin


def test_as_river_says() -> None:
    random = np.random.default_rng(0)
    one, other = Adwin(), ADWIN(**SETTINGS)
    found = 0
    for number in np.concatenate([random.normal(level, 0.2, size=150) for level in (0.0, 0.4, 0.1, 0.1)]).tolist():
        other.update(number)
        found += one.update(number)
        assert (one.mean, one._has_changed) == (other.estimation, other.drift_detected)
    assert found >= 2
