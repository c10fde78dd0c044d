"""Streams and detectors of the adaptation tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoencoder.adaptation.detector import AdaptiveDetector
from autoencoder.config import load
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array, Detections, Time
from autoencoder.factory.detectors import make_adaptive

TRAINING, COUNT, CHANGE = 400, 2600, 1000
BASE = (
    "adaptation.enabled=true",
    "adaptation.synchronous=true",
    "adaptation.confirm_windows=5",
    "adaptation.buffer_points=1000",
    "adaptation.cold_start_points=null",
)
GAUSSIAN = (*BASE, "detector=windowed_gaussian", "windowed_gaussian.window=2000")
LSTM = ("network.sequence_length=16", "network.units=[8]", "network.latent_dim=3", "training.max_steps=100")
SMALL = (*BASE, *LSTM, "adaptation.confirm_windows=4", "adaptation.buffer_points=800")

Record = list[tuple[int, str]]


def shifted(count: int = COUNT, shift: float = 30.0, *, gaps: bool = False, seed: int = 0) -> Array:
    """(N, 1) noise whose level jumps at ``CHANGE``."""
    random = np.random.default_rng(seed)
    values = 50 + random.normal(size=(count, 1)) + shift * (np.arange(count) >= CHANGE)[:, None]
    if gaps:
        values[random.random(count) < 0.03] = np.nan
    return np.asarray(values)


def wave(count: int, period: float, seed: int = 0, noise: float = 0.2) -> Array:
    """(N, 1) noisy season."""
    random = np.random.default_rng(seed)
    return np.asarray(10 + 3 * np.sin(2 * np.pi * np.arange(count) / period) + random.normal(scale=noise, size=count))[:, None]


def make(*texts: str, points: int = TRAINING) -> AdaptiveDetector:
    """A windowed Gaussian that adapts in step."""
    return make_adaptive(load(None, {}, [*GAUSSIAN, *texts]), points)


def make_lstm(*texts: str) -> AdaptiveDetector:
    """A small autoencoder that adapts in step."""
    return make_adaptive(load(None, {}, [*SMALL, *texts]), 300)


def detect(detector: AdaptiveDetector, values: Array, first: int = 0) -> Detections:
    """Detections of a stream whose first row has that number."""
    return detector.process(np.arange(first, first + len(values)), values)


def cut(
    make: Callable[[], AdaptiveDetector], values: Array, cuts: list[int], saved: list[int], time: Time | None = None
) -> tuple[Detections, Record]:
    """Detections of a stream that is cut at some places, and where it is ``saved`` goes on with a loaded detector; what was done."""
    detector, parts, row, time = make(), [], 0, np.arange(len(values)) if time is None else time
    for part in np.split(values, sorted([*cuts, *saved])):
        if row in saved:
            state = unpack(pack(detector.state()), "x")
            detector = make()
            detector.load(state, {})
        parts.append(detector.process(time[row : row + len(part)], part))
        row += len(part)
    return Detections.concatenate(parts), record(detector)


def events(detector: AdaptiveDetector) -> list[str]:
    """What was done, in order."""
    return [each.event for each in detector.adaptations]


def record(detector: AdaptiveDetector) -> Record:
    """What was done after which row."""
    return [(each.row, each.event) for each in detector.adaptations]


def assert_same(one: Detections, other: Detections) -> None:
    """All that was found is the same to the bit."""
    for name in ("predictions", "errors", "thresholds", "scores", "anomalies"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
