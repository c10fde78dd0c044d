"""Results of ``bench speed`` and how much is measured for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoencoder.benchmark.speed.growth import Curve
from autoencoder.benchmark.speed.measure import Spread
from autoencoder.benchmark.speed.processes import Usage
from autoencoder.benchmark.speed.training_race import Race


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: of everything, but for fewer where one takes long.
        one: points a round, one by one.
        bulk: points a round, in bulk.
        growth: numbers of points.
        windows: steps of a window.
        streams: numbers of streams.
        ticks: a round of many streams.
        memory: numbers of points through a pipe.
        seeds: of the training race.
        starts: of a process.
        steps: of training, at most.
    """

    rounds: int
    one: int
    bulk: int
    growth: tuple[int, ...]
    windows: tuple[int, ...]
    streams: tuple[int, ...]
    ticks: int
    memory: tuple[int, ...]
    seeds: int
    starts: int
    steps: int


FULL = Sizes(
    rounds=5,
    one=12_000,
    bulk=300_000,
    growth=(10_000, 30_000, 100_000, 300_000, 1_000_000),
    windows=(12, 24, 48, 96),
    streams=(1, 10, 100, 1_000),
    ticks=64,
    memory=(1_000, 10_000, 100_000, 1_000_000),
    seeds=3,
    starts=5,
    steps=1_000_000,
)
QUICK = Sizes(
    rounds=2,
    one=600,
    bulk=2_000,
    growth=(1_000, 2_000),
    windows=(24, 48),
    streams=(1, 5),
    ticks=3,
    memory=(1_000, 2_000),
    seeds=1,
    starts=1,
    steps=50,
)


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one contestant, in microseconds a point.

    Attributes:
        name: of the contestant.
        covers: what was timed.
        medians: by round.
        tails: 99th percentiles by round.
        worst: of all rounds.
    """

    name: str
    covers: str
    medians: tuple[float, ...]
    tails: tuple[float, ...]
    worst: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Of one contestant, in points a second, by round."""

    name: str
    covers: str
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """What the network must cost.

    Attributes:
        multiply_adds: of a window.
        matrix_rate: multiply-adds a second of one core.
    """

    multiply_adds: int
    matrix_rate: Spread

    @property
    def microseconds(self) -> float:
        """A window, on one core."""
        return self.multiply_adds / self.matrix_rate.median * 1e6


@dataclass(frozen=True, slots=True)
class Results:
    """All of one run.

    Attributes:
        machine: where it ran.
        sizes: how much was measured.
        absent: contestants that could not run, and why.
        latency: one by one; this program first.
        bulk: this program as a process of its own first, then within this process, then the others.
        starts: processes up to their first detection: this program and Keras.
        races: training, by seed.
        points: seconds by number of points.
        windows: microseconds a point by length of the window.
        streams: milliseconds a tick by number of streams.
        memory: bytes at most by number of points through a pipe.
        floor: what the network must cost.
    """

    machine: Mapping[str, Any]
    sizes: Sizes
    absent: Mapping[str, str]
    latency: tuple[Latency, ...]
    bulk: tuple[Rate, ...]
    starts: Mapping[str, tuple[Usage, ...]]
    races: tuple[Race, ...]
    points: Curve
    windows: Curve
    streams: Curve
    memory: Curve
    floor: Floor
