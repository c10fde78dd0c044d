"""Synthetic streams: trend, drift, level shifts, two seasons and noise, with injected anomalies and their labels.

The stream is a pure function of the settings and the seed: each block of noise and each anomaly has a random generator of its own,
keyed by the seed and its place in the stream. So a run may start anywhere, and an endless stream needs no memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from autoencoder.core.types import Array, Bools, Integers
from autoencoder.sources.chunk import Chunk, Event, Source

NOISE_BLOCK = 512  # points whose noise shares one generator
START = np.datetime64("2025-01-01T00:00:00", "ns")
DENSE_RATE = 6.0  # a stream that is full of anomalies, for measurements
_NOISE, _ANOMALY, _ORDER, _MISSING = range(4)  # what a generator is for


@dataclass(frozen=True, slots=True)
class Signal:
    """The normal part of the stream; amplitudes and noise are in the stream's unit, periods in points."""

    level: float = 50.0  # value the stream starts at
    trend: float = 0.5  # rise a 1,000 points
    drift: float = 1.0  # amplitude of a slow wander (two incommensurate sines of about 4,000 and 9,000 points)
    level_shift: float = 0.0  # size of a lasting, normal shift in level
    level_shift_at: float = 0.6  # where that happens, as a share of a bounded stream, else of 10,000 points
    period: int = 48  # points in the short season
    amplitude: float = 5.0  # half height of the short season (its shape has two harmonics)
    long_period: int = 336  # points in the long season
    long_amplitude: float = 1.5  # half height of the long season
    noise: float = 0.5  # standard deviation of the Gaussian noise
    missing: float = 0.0  # share of values that are missing


# kind -> (shortest, longest) length in short seasons; a length below one point is one point
LENGTHS: Mapping[str, tuple[float, float]] = {
    "spike": (0.0, 0.0),
    "dip": (0.0, 0.05),
    "level_shift": (0.5, 1.5),
    "variance": (0.4, 1.0),
    "flat": (0.5, 1.0),
    "season": (1.0, 1.5),
    "slow_drift": (1.0, 2.0),
}
KINDS = tuple(LENGTHS)


@dataclass(kw_only=True, eq=False)
class SyntheticSource(Source):
    """A seeded stream with labelled anomalies."""

    name = "synthetic"
    columns = ("value",)
    timezone = "UTC"

    length: int | None = 6000  # points of a bounded stream; None for an endless one
    seed: int = 0  # everything random follows from it
    signal: Signal = Signal()  # the normal part
    kinds: tuple[str, ...] = KINDS  # which anomalies are injected, in the order of ``KINDS``
    rate: float = 1.66  # anomalies a 1,000 points, after ``start_after``: each kind once in 6,000 points
    size: float = 10.0  # height of spikes and dips in standard deviations of the noise; the other kinds follow from it
    start_after: int = 1800  # number of points at the start that hold no anomaly
    interval: float = 1800.0  # seconds between two points' timestamps
    points_per_second: float = 0.0  # pace in real time; 0 gives the points as fast as they are taken
    chunk_size: int = 1024  # points a chunk (with a pace: as many as are due)
    sleep: Callable[[float], None] = time.sleep  # waits so many seconds; tests replace it

    def __post_init__(self) -> None:
        self.throttled = self.points_per_second > 0

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the stream from row ``start`` on; chunks end at multiples of ``chunk_size``."""
        began = time.monotonic()
        row = start
        while self.length is None or row < self.length:
            stop = (row // self.chunk_size + 1) * self.chunk_size
            if self.throttled:
                due = start + int((time.monotonic() - began) * self.points_per_second)
                if due < row + 1:
                    self.sleep(max(0.0, began + (row + 1 - start) / self.points_per_second - time.monotonic()))
                    continue
                if due - row > self.chunk_size:  # more than a chunk is not caught up with after a pause, e.g. for training
                    began = time.monotonic() - (row + self.chunk_size - start) / self.points_per_second
                stop = min(stop, due)
            stop = stop if self.length is None else min(stop, self.length)
            yield self._rows(row, stop)
            row = stop

    def events(self, stop: int, start: int = 0) -> list[Event]:
        """The anomalies that touch rows [start, stop), in order; they never overlap each other."""
        if not self.kinds or self.rate <= 0:
            return []
        slot = self._slot
        first = max(0, (start - self.start_after) // slot)
        candidates = (self._event(number) for number in range(first, max(first, (stop - self.start_after) // slot + 1)))
        bound = np.inf if self.length is None else self.length
        return [event for event in candidates if event.end > start and event.start < stop and event.end <= bound]

    def _rows(self, start: int, stop: int) -> Chunk:
        """Rows [start, stop) of the stream."""
        index = np.arange(start, stop)
        values = self._normal(index)
        noise, missing = self._noise(start, stop)
        labels = np.zeros(len(index), dtype=bool)
        for event in self.events(stop, start):
            rows = np.arange(max(event.start, start), min(event.end, stop))
            labels[rows - start] = True
            values[rows - start], noise[rows - start] = self._inject(event, rows, values[rows - start], noise[rows - start])
        values = np.where(missing, np.nan, values + noise)  # (N,)
        return Chunk(START + index * np.timedelta64(round(self.interval * 1e9), "ns"), values[:, None], labels)

    @property
    def _slot(self) -> int:
        """Points that one anomaly has to itself: the longest kind, and a season without one so that each is an event of its own."""
        period = self.signal.period
        longest = max(LENGTHS[kind][1] for kind in self.kinds) * period
        return max(int(1000 / self.rate), int(longest) + period + 2)

    def _event(self, number: int) -> Event:
        """Anomaly ``number`` of the stream; every len(kinds) anomalies hold each kind once, in random order."""
        lap, place = divmod(number, len(self.kinds))
        kind = self.kinds[int(self._generator(_ORDER, lap).permutation(len(self.kinds))[place])]
        random = self._generator(_ANOMALY, number)
        shortest, longest = LENGTHS[kind]
        length = max(1, round(random.uniform(shortest, longest) * self.signal.period))
        begin = self.start_after + number * self._slot + int(random.integers(0, self._slot - length - self.signal.period))
        size = self.size * self.signal.noise * random.uniform(0.8, 1.2)
        sign = {"spike": 1.0, "dip": -1.0}.get(kind) or random.choice((-1.0, 1.0))
        return Event(kind, begin, begin + length, float(sign * size))

    def _inject(self, event: Event, rows: Integers, normal: Array, noise: Array) -> tuple[Array, Array]:
        """The stretch ``rows`` (M,) of an anomaly: normal part (M,) and noise (M,) as the anomaly leaves them."""
        if event.kind == "variance":
            return normal, noise * (abs(event.size) / self.signal.noise / 2 if self.signal.noise else 1.0)
        if event.kind == "flat":
            return np.full_like(normal, self._normal(np.array([event.start]))[0]), noise * 0.02
        if event.kind == "season":  # the short season runs half a period off
            return normal - self._season(rows) + self._season(rows + self.signal.period // 2), noise
        length = event.end - event.start
        shape = np.linspace(0.0, 1.0, length) if event.kind == "slow_drift" else np.ones(length)
        offset = event.size * shape[rows - event.start]
        return normal + offset, noise

    def _normal(self, index: Integers) -> Array:
        """Level, trend, drift, lasting shift and both seasons at rows (N,) -> (N,)."""
        signal = self.signal
        wander = np.sin(2 * np.pi * index / 4000.0) + 0.5 * np.sin(2 * np.pi * index / 9000.0 * np.sqrt(2))
        shift_row = signal.level_shift_at * (10_000 if self.length is None else self.length)
        normal: Array = (
            signal.level
            + signal.trend * index / 1000.0
            + signal.drift * wander
            + signal.level_shift * (index >= shift_row)
            + self._season(index)
            + signal.long_amplitude * np.sin(2 * np.pi * index / signal.long_period)
        )
        return normal

    def _season(self, index: Integers) -> Array:
        angle = 2 * np.pi * index / self.signal.period  # (N,)
        season: Array = self.signal.amplitude * (0.8 * np.sin(angle) + 0.3 * np.sin(2 * angle + 0.7))
        return season

    def _noise(self, start: int, stop: int) -> tuple[Array, Bools]:
        """Noise (N,) and missing (N,) of rows [start, stop), drawn block by block."""
        first = start // NOISE_BLOCK
        blocks = range(first, -(-stop // NOISE_BLOCK))
        noise = np.concatenate([self._generator(_NOISE, block).normal(0.0, self.signal.noise, NOISE_BLOCK) for block in blocks])
        rows = slice(start - first * NOISE_BLOCK, stop - first * NOISE_BLOCK)
        if not self.signal.missing:
            return noise[rows], np.zeros(stop - start, dtype=bool)
        lost = [self._generator(_MISSING, block).random(NOISE_BLOCK) < self.signal.missing for block in blocks]
        return noise[rows], np.concatenate(lost)[rows]

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *key))
