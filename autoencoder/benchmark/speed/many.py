"""Many streams with one model: at every tick each of S streams brings one point, and each gets its detection."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from autoencoder.benchmark.speed.subject import Model
from autoencoder.fleet import make_fleet
from autoencoder.scorers.base import Array


def tick_seconds(model: Model, values: Array, streams: int, rounds: int, ticks: int) -> list[float]:
    """Seconds a tick, by round, when S streams get one point each at every tick, detections included.

    Args:
        model: that judges all of them.
        values: (N,) of one stream; each of the S takes another stretch of it.
        streams: S.
        rounds: one after the other, after a window's length that is not timed.
        ticks: a round; some ticks cost more, as thresholds learn in blocks.
    """
    detector = model.detector()
    fleet = make_fleet(detector, streams)
    warm_up = detector.scorer.window
    length = warm_up + rounds * ticks
    starts = np.linspace(0, len(values) - length, streams).astype(int)
    points = values[starts + np.arange(length)[:, None], None]  # (length, S, 1)

    def feed(first: int, stop: int) -> None:
        for tick in range(first, stop):
            fleet.process(np.full(streams, tick), points[tick])

    feed(0, warm_up)
    seconds = []
    for first in range(warm_up, length, ticks):
        began = perf_counter()
        feed(first, first + ticks)
        seconds.append((perf_counter() - began) / ticks)
    return seconds
