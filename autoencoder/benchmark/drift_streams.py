"""Streams that change for good, or in which an event lasts, with labelled anomalies before, during and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Shape:
    """Parts of the normal stream, (N,) each: it is level + amplitude * season(phase) + noise * chance."""

    level: Array
    amplitude: Array
    phase: Array
    noise: Array


@dataclass(frozen=True, slots=True)
class DriftStream:
    """One stream of N points."""

    kind: str  # of the change or event
    values: Array  # (N,)
    labels: Bools  # (N,) True inside an anomaly
    events: tuple[tuple[int, int], ...]  # rows [start, end) of every anomaly, in order; an event that lasts is one
    change: int | None  # row at which the change begins; None where nothing changes for good
    settled: int  # row from which on the new normal holds, ``change`` itself where that is sudden; of an event its first row


def _level_shift(rows: Array, shape: Shape) -> Shape:
    """The load triples: whatever swings around the level swings three times as far."""
    factor = np.where(rows >= 0, 3.0, 1.0)
    return replace(shape, level=shape.level * factor, amplitude=shape.amplitude * factor, noise=shape.noise * factor)


def _changed_period(rows: Array, shape: Shape) -> Shape:
    """The season runs at another speed from here on, without a jump."""
    return replace(shape, phase=np.where(rows >= 0, shape.phase + rows * (1 / 30 - 1 / PERIOD), shape.phase))


# kind -> (the change, seen from rows counted from where it begins; points that it takes)
CHANGES: dict[str, tuple[Callable[[Array, Shape], Shape], int]] = {
    "trend": (lambda rows, shape: replace(shape, level=shape.level + 0.03 * np.maximum(rows, 0.0)), 0),
    "level shift": (_level_shift, 0),
    "growing amplitude": (
        lambda rows, shape: replace(shape, amplitude=shape.amplitude * (1.0 + 2.5 * np.clip(rows / SETTLED, 0.0, 1.0))),
        SETTLED,
    ),
    "changed period": (_changed_period, 0),
    "rising noise": (
        lambda rows, shape: replace(shape, noise=shape.noise * (1.0 + 2.0 * np.clip(rows / (SETTLED / 2), 0.0, 1.0))),
        SETTLED // 2,
    ),
    "none": (lambda rows, shape: shape, 0),
}

# kind -> the values (``EVENT``,) while it lasts, from those that were there
EVENTS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "stuck sensor": lambda values, random: np.full(len(values), values[0]),
    "another level": lambda values, random: LEVEL + 6 * AMPLITUDE + NOISE * random.normal(size=len(values)),  # and no season
    "lifted season": lambda values, random: values + 2 * AMPLITUDE,
}


def drift_stream(kind: str, points: int, seed: int) -> DriftStream:
    """A stream of so many points with a change or event of that kind; the same seed gives the same stream.

    >>> stream = drift_stream("level shift", 6000, seed=0)
    >>> stream.values.shape, stream.change, bool(stream.labels[:TRAINING].any())
    ((6000,), 3500, False)
    """
    if kind in EVENTS:
        return _with_event(drift_stream("none", points, seed), kind, seed)
    change, takes = CHANGES[kind]
    random = np.random.default_rng((seed, list(CHANGES).index(kind)))
    rows = np.arange(points, dtype=np.float64)
    ones = np.ones(points)
    normal = Shape(LEVEL * ones, AMPLITUDE * ones, rows / PERIOD + random.random(), NOISE * ones)
    shape = change(rows - CHANGE, normal)
    seasonal = shape.level + shape.amplitude * _season(shape.phase)  # (N,)
    noise = shape.noise * random.normal(size=points)  # (N,)
    sizes = ANOMALY_SIZE * NOISE * np.maximum(shape.amplitude / AMPLITUDE, shape.noise / NOISE)  # (N,)
    labels, events = np.zeros(points, dtype=bool), []
    for number, first in enumerate(range(TRAINING, points - SLOT, SLOT)):
        start, end = _inject(number, first, seasonal, noise, sizes, random)
        labels[start:end] = True
        events.append((start, end))
    return DriftStream(kind, seasonal + noise, labels, tuple(events), None if kind == "none" else CHANGE, CHANGE + takes)


def _with_event(stream: DriftStream, kind: str, seed: int) -> DriftStream:
    """The stream with an event, at another place in season and block for every seed."""
    start = CHANGE + 17 * seed % SETTLED
    end = start + EVENT
    values, labels = stream.values.copy(), stream.labels.copy()
    values[start:end] = EVENTS[kind](values[start:end], np.random.default_rng((seed, len(CHANGES))))
    labels[start:end] = True
    apart = [event for event in stream.events if event[1] <= start or event[0] >= end]
    within = [event for event in stream.events if event not in apart]
    whole = (min([start, *(first for first, _ in within)]), max([end, *(last for _, last in within)]))
    return DriftStream(kind, values, labels, tuple(sorted([*apart, whole])), None, start)


def _season(phase: Array) -> Array:
    """A season of two harmonics at phases (N,) in whole seasons."""
    angle = 2 * np.pi * phase
    season: Array = 0.8 * np.sin(angle) + 0.3 * np.sin(2 * angle + 0.7)
    return season


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
