"""Streams that change for good, or in which an event lasts, with labelled anomalies before, during and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoencoder.core.types import Array, Bools

PERIOD = 48  # points of the season
AMPLITUDE = 5.0
NOISE = 0.5  # standard deviation
LEVEL = 50.0
TRAINING = 1500  # first points, without anomalies
CHANGE = 3500  # row at which the change begins
SETTLED = 1000  # points within which every change is complete and what follows is the new normal
EVENT = 300  # points that an event lasts: six seasons, after which all is as before
SLOT = 200  # points that one anomaly has to itself
ANOMALY_SIZE = 10.0  # height of an anomaly in standard deviations of the noise; where season or noise has grown it has, too
ANOMALY_KINDS = ("spike", "plateau", "dip", "variance")  # no flat line: three times the noise would hide it
# kind of change -> points that it takes
CHANGES = {
    "trend": 0,
    "level shift": 0,
    "growing amplitude": SETTLED,
    "changed period": 0,
    "rising noise": SETTLED // 2,
    "none": 0,
}
EVENTS = ("stuck sensor", "another level", "lifted season")


@dataclass(frozen=True, slots=True)
class DriftStream:
    """One stream of N points."""

    kind: str  # of the change or event
    values: Array  # (N,)
    labels: Bools  # (N,) True inside an anomaly
    events: tuple[tuple[int, int], ...]  # rows [start, end) of every anomaly, in order; an event that lasts is one
    change: int | None  # row at which the change begins; None where nothing changes for good
    settled: int  # row from which on the new normal holds, ``change`` itself where that is sudden; of an event its first row


def drift_stream(kind: str, points: int, seed: int) -> DriftStream:
    """A stream of so many points with a change or event of that kind; the same seed gives the same stream.

    >>> stream = drift_stream("level shift", 6000, seed=0)
    >>> stream.values.shape, stream.change, bool(stream.labels[:TRAINING].any())
    ((6000,), 3500, False)
    """
    if kind in EVENTS:
        return _with_event(drift_stream("none", points, seed), kind, seed)
    random = np.random.default_rng((seed, list(CHANGES).index(kind)))
    seasonal, noise, sizes = _normal(kind, points, random)  # (N,) each
    labels, events = np.zeros(points, dtype=bool), []
    for number, first in enumerate(range(TRAINING, points - SLOT, SLOT)):
        start, end = _inject(number, first, seasonal, noise, sizes, random)
        labels[start:end] = True
        events.append((start, end))
    change = None if kind == "none" else CHANGE
    return DriftStream(kind, seasonal + noise, labels, tuple(events), change, CHANGE + CHANGES[kind])


def _normal(kind: str, points: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
    """Season, noise and the size of an anomaly at each of N points of a stream with that change."""
    rows = np.arange(points, dtype=np.float64)
    since = rows - CHANGE
    level, amplitude, noise = LEVEL * np.ones(points), AMPLITUDE * np.ones(points), NOISE * np.ones(points)
    phase = rows / PERIOD + random.random()
    match kind:
        case "trend":
            level += 0.03 * np.maximum(since, 0.0)
        case "level shift":  # the load triples: whatever swings around the level swings three times as far
            for part in (level, amplitude, noise):
                part[CHANGE:] *= 3.0
        case "growing amplitude":
            amplitude *= 1.0 + 2.5 * np.clip(since / SETTLED, 0.0, 1.0)
        case "changed period":  # the season runs at another speed from here on, without a jump
            phase = np.where(since >= 0, phase + since * (1 / 30 - 1 / PERIOD), phase)
        case "rising noise":
            noise *= 1.0 + 2.0 * np.clip(since / (SETTLED / 2), 0.0, 1.0)
    angle = 2 * np.pi * phase
    seasonal = level + amplitude * (0.8 * np.sin(angle) + 0.3 * np.sin(2 * angle + 0.7))
    sizes = ANOMALY_SIZE * NOISE * np.maximum(amplitude / AMPLITUDE, noise / NOISE)
    return seasonal, noise * random.normal(size=points), sizes


def _with_event(stream: DriftStream, kind: str, seed: int) -> DriftStream:
    """The stream with an event, at another place in season and block for every seed."""
    start = CHANGE + 17 * seed % SETTLED
    end = start + EVENT
    values, labels = stream.values.copy(), stream.labels.copy()
    if kind == "stuck sensor":
        values[start:end] = values[start]
    elif kind == "another level":  # and no season
        values[start:end] = LEVEL + 6 * AMPLITUDE + NOISE * np.random.default_rng((seed, len(CHANGES))).normal(size=EVENT)
    else:
        values[start:end] += 2 * AMPLITUDE
    labels[start:end] = True
    apart = [event for event in stream.events if event[1] <= start or event[0] >= end]
    within = [event for event in stream.events if event not in apart]
    whole = (min([start, *(first for first, _ in within)]), max([end, *(last for _, last in within)]))
    return DriftStream(kind, values, labels, tuple(sorted([*apart, whole])), None, start)


def _inject(number: int, first: int, seasonal: Array, noise: Array, sizes: Array, random: np.random.Generator) -> tuple[int, int]:
    """Put anomaly ``number`` somewhere into its slot, which starts at row ``first``; kinds take turns. Returns its rows."""
    kind = ANOMALY_KINDS[number % len(ANOMALY_KINDS)]
    length = 1 if kind in ("spike", "dip") else int(random.integers(PERIOD // 2, PERIOD + 1))
    start = first + int(random.integers(0, SLOT - length - PERIOD // 2))
    rows = slice(start, start + length)
    size = sizes[start] * random.uniform(0.8, 1.2)
    if kind == "variance":
        noise[rows] = size / 2 * random.normal(size=length)
    else:
        seasonal[rows] += {"spike": size, "dip": -size}.get(kind, size * random.choice((-1.0, 1.0)))
    return start, start + length
