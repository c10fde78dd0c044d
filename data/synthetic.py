"""Synthetic streams: trend, drift, level shifts, two seasons and noise, with injected anomalies and their labels.

The stream is a pure function of the settings and the seed: the noise of a block of points and every anomaly are drawn from generators
of their own, keyed by the seed and the place in the stream. So a run may start anywhere, and an endless stream needs no memory.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.series import Chunk, InputError

Array = npt.NDArray[np.float64]

BLOCK = 512  # points whose noise shares one generator
START = np.datetime64("2025-01-01T00:00:00", "ns")
_NOISE, _ANOMALY, _ORDER, _MISSING = range(4)  # what a generator is for


@dataclass(frozen=True, slots=True)
class Signal:
    """The normal part of the stream; amplitudes and noise are in the stream's unit, periods in points.

    Attributes:
        level: value the stream starts at.
        trend: rise a 1,000 points.
        drift: amplitude of a slow wander (two incommensurate sines of about 4,000 and 9,000 points).
        level_shift: size of a lasting, normal shift in level at ``level_shift_at`` (share of a bounded stream, else of 10,000 points).
        level_shift_at: where that shift happens, in [0, 1].
        period: points in the short season.
        amplitude: half height of the short season (its shape has two harmonics).
        long_period: points in the long season.
        long_amplitude: half height of the long season.
        noise: standard deviation of the Gaussian noise.
        missing: share of values that are missing.
    """

    level: float = 50.0
    trend: float = 0.5
    drift: float = 1.0
    level_shift: float = 0.0
    level_shift_at: float = 0.6
    period: int = 48
    amplitude: float = 5.0
    long_period: int = 336
    long_amplitude: float = 1.5
    noise: float = 0.5
    missing: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """One injected anomaly: its kind, its rows [start, end), its size in the stream's unit (signed where that matters)."""

    kind: str
    start: int
    end: int
    size: float


def _shape(kind: str, length: int) -> Array:
    """Offset of an additive anomaly over its length, 1 at its height."""
    if kind == "slow_drift":
        return np.linspace(0.0, 1.0, length)
    return np.ones(length)


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


class SyntheticSource:
    """A seeded stream with labelled anomalies.

    Args:
        points: length of a bounded stream; None for an endless one.
        seed: everything random follows from it.
        signal: the normal part.
        kinds: which anomalies are injected, out of ``KINDS``.
        rate: anomalies a 1,000 points, after ``clean``.
        size: height of an anomaly in standard deviations of the noise (spikes and dips); the other kinds follow from it.
        clean: the first points that hold no anomaly, as a number of points.
        interval: seconds between two points' timestamps.
        pace: points a second in real time; 0 gives them as fast as they are taken. At most a chunk is caught up with.
        chunk_size: points a chunk (with a pace: as many as are due).
        sleep: waits so many seconds; tests replace it.

    Raises:
        InputError: a setting is out of range or a kind unknown.
    """

    name = "synthetic"
    columns: tuple[str, ...] = ("value",)
    timezone: str | None = "UTC"

    def __init__(
        self,
        *,
        points: int | None = 6000,
        seed: int = 0,
        signal: Signal | None = None,
        kinds: tuple[str, ...] = KINDS,
        rate: float = 6.0,
        size: float = 10.0,
        clean: int = 1800,
        interval: float = 1800.0,
        pace: float = 0.0,
        chunk_size: int = 1024,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise InputError(f"synthetic.anomalies.kinds holds {unknown[0]!r}; known kinds are {', '.join(KINDS)}")
        self.points = points
        self.seed = seed
        self.signal = signal or Signal()
        self.kinds = tuple(kind for kind in KINDS if kind in kinds)
        self.rate = rate
        self.size = size
        self.clean = clean
        self.interval = np.timedelta64(round(interval * 1e9), "ns")
        self.pace = pace
        self.chunk_size = chunk_size
        self._sleep = sleep

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the stream from row ``start`` on; chunks end at multiples of ``chunk_size``."""
        began = time.monotonic()
        row = start
        while self.points is None or row < self.points:
            stop = (row // self.chunk_size + 1) * self.chunk_size
            if self.pace > 0:
                due = start + int((time.monotonic() - began) * self.pace)
                if due < row + 1:
                    self._sleep(max(0.0, began + (row + 1 - start) / self.pace - time.monotonic()))
                    continue
                if due - row > self.chunk_size:  # more than a chunk is not held back for a reader that was busy, e.g. training
                    began = time.monotonic() - (row + self.chunk_size - start) / self.pace
                stop = min(stop, due)
            stop = stop if self.points is None else min(stop, self.points)
            yield self.rows(row, stop)
            row = stop

    def rows(self, start: int, stop: int) -> Chunk:
        """Rows [start, stop) of the stream, whatever was asked for before."""
        index = np.arange(start, stop)
        values = self._normal(index)
        noise, missing = self._noise(start, stop)
        labels = np.zeros(len(index), dtype=bool)
        for event in self.events(start, stop):
            rows = np.arange(max(event.start, start), min(event.end, stop))
            labels[rows - start] = True
            values[rows - start], noise[rows - start] = self._inject(event, rows, values[rows - start], noise[rows - start])
        values = np.where(missing, np.nan, values + noise)  # (N,)
        return Chunk(START + index * self.interval, values[:, None], labels)

    def events(self, start: int, stop: int) -> list[Event]:
        """The anomalies that touch rows [start, stop), in order; they never overlap each other."""
        if not self.kinds or self.rate <= 0:
            return []
        slot = self._slot
        first = max(0, (start - self.clean) // slot)
        candidates = (self._event(number) for number in range(first, max(first, (stop - self.clean) // slot + 1)))
        bound = np.inf if self.points is None else self.points
        return [event for event in candidates if event.end > start and event.start < stop and event.end <= bound]

    @property
    def _slot(self) -> int:
        """Points that one anomaly has to itself; long enough for the longest kind and the quiet time after it."""
        longest = max(LENGTHS[kind][1] for kind in self.kinds) * self.signal.period
        return max(int(1000 / self.rate), int(longest) + self._quiet + 2)

    @property
    def _quiet(self) -> int:
        """Points without an anomaly that stand between two, so that each is an event of its own."""
        return self.signal.period

    def _event(self, number: int) -> Event:
        """Anomaly ``number`` of the stream; every len(kinds) anomalies hold each kind once, in random order."""
        lap, place = divmod(number, len(self.kinds))
        kind = self.kinds[int(self._generator(_ORDER, lap).permutation(len(self.kinds))[place])]
        random = self._generator(_ANOMALY, number)
        shortest, longest = LENGTHS[kind]
        length = max(1, round(random.uniform(shortest, longest) * self.signal.period))
        begin = self.clean + number * self._slot + int(random.integers(0, self._slot - length - self._quiet))
        size = self.size * self.signal.noise * random.uniform(0.8, 1.2)
        sign = {"spike": 1.0, "dip": -1.0}.get(kind) or random.choice((-1.0, 1.0))
        return Event(kind, begin, begin + length, float(sign * size))

    def _inject(self, event: Event, rows: npt.NDArray[np.int64], normal: Array, noise: Array) -> tuple[Array, Array]:
        """The stretch ``rows`` (M,) of an anomaly: normal part (M,) and noise (M,) as the anomaly leaves them."""
        if event.kind == "variance":
            return normal, noise * (abs(event.size) / self.signal.noise / 2 if self.signal.noise else 1.0)
        if event.kind == "flat":
            return np.full_like(normal, self._normal(np.array([event.start]))[0]), noise * 0.02
        if event.kind == "season":  # the short season runs half a period off
            return normal - self._season(rows) + self._season(rows + self.signal.period // 2), noise
        offset = event.size * _shape(event.kind, event.end - event.start)[rows - event.start]
        return normal + offset, noise

    def _normal(self, index: npt.NDArray[np.int64]) -> Array:
        """Level, trend, drift, lasting shift and both seasons at rows (N,) -> (N,)."""
        signal = self.signal
        wander = np.sin(2 * np.pi * index / 4000.0) + 0.5 * np.sin(2 * np.pi * index / 9000.0 * np.sqrt(2))
        shift_row = signal.level_shift_at * (10_000 if self.points is None else self.points)
        normal: Array = (
            signal.level
            + signal.trend * index / 1000.0
            + signal.drift * wander
            + signal.level_shift * (index >= shift_row)
            + self._season(index)
            + signal.long_amplitude * np.sin(2 * np.pi * index / signal.long_period)
        )
        return normal

    def _season(self, index: npt.NDArray[np.int64]) -> Array:
        angle = 2 * np.pi * index / self.signal.period  # (N,)
        season: Array = self.signal.amplitude * (0.8 * np.sin(angle) + 0.3 * np.sin(2 * angle + 0.7))
        return season

    def _noise(self, start: int, stop: int) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Noise (N,) and missing (N,) of rows [start, stop), drawn block by block."""
        first = start // BLOCK
        blocks = range(first, -(-stop // BLOCK))
        noise = np.concatenate([self._generator(_NOISE, block).normal(0.0, self.signal.noise, BLOCK) for block in blocks])
        rows = slice(start - first * BLOCK, stop - first * BLOCK)
        if not self.signal.missing:
            return noise[rows], np.zeros(stop - start, dtype=bool)
        lost = [self._generator(_MISSING, block).random(BLOCK) < self.signal.missing for block in blocks]
        return noise[rows], np.concatenate(lost)[rows]

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *key))


def kinds_of(source: SyntheticSource, points: int) -> dict[str, list[Event]]:
    """The anomalies of the first ``points`` rows, by kind."""
    events = sorted(source.events(0, points), key=lambda event: event.kind)
    return {kind: list(group) for kind, group in itertools.groupby(events, key=lambda event: event.kind)}
