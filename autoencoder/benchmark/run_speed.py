"""How fast it is, beside its rivals, all in one run: latency, bulk, many streams, training, start, memory, growth, and the floor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import TypeVar

import numpy as np

from autoencoder.benchmark.speed import contestants as entrants
from autoencoder.benchmark.speed.contestants import WHOLE, Contestant, WholeProgram
from autoencoder.benchmark.speed.floor import matrix_rate, multiply_adds
from autoencoder.benchmark.speed.growth import Curve, with_window
from autoencoder.benchmark.speed.many import tick_seconds
from autoencoder.benchmark.speed.measure import Spread, machine
from autoencoder.benchmark.speed.processes import Usage, cold_start, keras_cold_start, streamed_run, whole_run
from autoencoder.benchmark.speed.results import Floor, Latency, Rate, Results, Sizes
from autoencoder.benchmark.speed.subject import (
    architecture_of,
    network_windows,
    stream_lines,
    train_model,
    training_values,
    write_lines,
)
from autoencoder.benchmark.speed.training_race import Race, run_race
from autoencoder.config import Config
from autoencoder.network.training import TrainingConfig
from autoencoder.reports.console import Console

Found = TypeVar("Found")

OURS = "this program"
OURS_AS_PROCESS = "this program, as a process"
RIVER = "half-space trees (river)"
KERAS_START = "Keras: load, predict one window"
PARTS = 10  # of a run


def run_speed(config: Config, sizes: Sizes, console: Console) -> Results:
    """Measure everything.

    The contestants take turns within every round, so that whatever else the machine does falls on all of them.

    Args:
        config: settings of this program; its model is trained first.
        sizes: how much is measured.
        console: shows progress.

    Raises:
        RunError: a process that was to be measured failed.
    """
    with tempfile.TemporaryDirectory() as place:
        return _Run(config, sizes, Path(place), console).measure()


class _Run:
    def __init__(self, config: Config, sizes: Sizes, place: Path, console: Console) -> None:
        steps = min(config.training.steps, sizes.steps)
        config = config.model_copy(update={"training": config.training.model_copy(update={"steps": steps})})
        self._config = config
        self._sizes = sizes
        self._bar = console.progress("speed")
        self._number = count()
        self._machine = machine()  # before this run is itself the machine's load
        self._model = self._part("training the default model", lambda: train_model(config))
        self._folder = self._model.save(place / "model")
        self._architecture = architecture_of(self._model)
        longest = max(*sizes.growth, *sizes.memory, sizes.bulk)
        self._values, self._lines = self._part("the stream", lambda: stream_lines(config, longest))
        self._place = place

    def measure(self) -> Results:
        """Everything, part by part."""
        contestants, absent = self._contestants()
        results = Results(
            machine=self._machine,
            sizes=self._sizes,
            absent=absent,
            latency=self._part("one by one", lambda: self._latency(contestants)),
            bulk=self._part("in bulk", lambda: self._bulk(contestants)),
            starts=self._part("cold start", self._starts),
            memory=self._part("memory", self._memory),
            streams=self._part("many streams", self._streams),
            windows=self._part("length of the window", self._windows),
            points=self._part("number of points", self._points),
            races=self._part("training to the same loss", self._races),
            floor=Floor(multiply_adds(self._architecture), matrix_rate(self._sizes.rounds)),
        )
        self._bar.finish()
        return results

    def _part(self, name: str, measure: Callable[[], Found]) -> Found:
        self._bar(next(self._number), PARTS, name)
        return measure()

    def _contestants(self) -> tuple[list[Contestant], dict[str, str]]:
        """Those that can run here, this program first, and why the others cannot."""
        windows = network_windows(self._values[: max(self._sizes.bulk // 15, 1000)], self._architecture)
        keras_model = entrants.load_keras(self._model)

        found: list[Contestant] = [
            WholeProgram(OURS, self._model, self._lines),
            entrants.KerasPredict(keras_model, windows),
            entrants.KerasCall(keras_model, windows),
            entrants.TensorFlowFunction(keras_model, windows),
            WholeProgram("isolation forest", train_model(self._config, "isolation_forest"), self._lines, 0.1, 0.2),
        ]
        absent = {}
        if _is_there("torch"):
            threads = sorted({1, self._machine["cores"] or 1})
            found += [entrants.TorchTwin(keras_model, windows, number) for number in threads]
        else:
            absent[entrants.TORCH] = "not installed: pip install torch"
        if _is_there("river"):
            found.append(WholeProgram(RIVER, train_model(self._config, "half_space_trees"), self._lines, 0.05, 0.02))
        else:
            absent[RIVER] = "not installed: pip install river"
        return found, absent

    def _latency(self, contestants: Sequence[Contestant]) -> tuple[Latency, ...]:
        points = self._sizes.one
        measures = [partial(one.one_by_one, _share(points, one.share_one)) for one in contestants]
        return tuple(
            Latency(
                one.name,
                one.covers,
                tuple(float(np.median(times)) / 1e3 for times in rounds),
                tuple(float(np.quantile(times, 0.99)) / 1e3 for times in rounds),
                float(max(times.max() for times in rounds)) / 1e3,
            )
            for one, rounds in zip(contestants, _rounds(self._sizes.rounds, measures), strict=True)
        )

    def _bulk(self, contestants: Sequence[Contestant]) -> tuple[Rate, ...]:
        points = self._sizes.bulk
        path = write_lines(self._place / "bulk.csv", self._lines[:points])
        whole_run(self._folder, path)  # compiles what Python has not compiled yet
        measures: list[Callable[[], float]] = [lambda: points / whole_run(self._folder, path).seconds]
        measures += [partial(one.in_bulk, _share(points, one.share_bulk)) for one in contestants]
        rounds = _rounds(self._sizes.rounds, measures)
        names = [(OURS_AS_PROCESS, WHOLE), *((one.name, one.covers) for one in contestants)]
        return tuple(Rate(name, covers, tuple(found)) for (name, covers), found in zip(names, rounds, strict=True))

    def _starts(self) -> dict[str, tuple[Usage, ...]]:
        return {
            OURS: tuple(cold_start(self._folder, self._lines) for _ in range(self._sizes.starts)),
            KERAS_START: tuple(keras_cold_start(self._folder) for _ in range(max(1, self._sizes.starts // 2))),
        }

    def _memory(self) -> Curve:
        path = self._place / "memory.csv"
        peaks = [streamed_run(self._folder, write_lines(path, self._lines[:points])).peak / 1e6 for points in self._sizes.memory]
        return Curve("points through a pipe", "peak memory, MB", self._sizes.memory, tuple(Spread.of([peak]) for peak in peaks))

    def _streams(self) -> Curve:
        rounds, ticks = self._sizes.rounds, self._sizes.ticks
        found = [tick_seconds(self._model, self._values, streams, rounds, ticks) for streams in self._sizes.streams]
        milliseconds = tuple(Spread.of(1e3 * seconds for seconds in one) for one in found)
        return Curve("streams", "milliseconds a tick of one point a stream", self._sizes.streams, milliseconds)

    def _windows(self) -> Curve:
        points = self._sizes.bulk // 15
        programs = [WholeProgram(OURS, with_window(self._config, steps), self._lines) for steps in self._sizes.windows]
        rates = _rounds(self._sizes.rounds, [partial(program.in_bulk, points) for program in programs])
        rounds = [[1e6 / rate for rate in found] for found in rates]
        return Curve("steps of a window", "microseconds a point, in bulk", self._sizes.windows, tuple(map(Spread.of, rounds)))

    def _points(self) -> Curve:
        program = WholeProgram(OURS, self._model, self._lines)
        spreads = []
        for points in self._sizes.growth:
            rounds = max(1, min(self._sizes.rounds, 3 * self._sizes.bulk // points))
            spreads.append(Spread.of(points / program.in_bulk(points) for _ in range(rounds)))
        return Curve("points", "seconds, file to scores.csv", self._sizes.growth, tuple(spreads))

    def _races(self) -> tuple[Race, ...]:
        training = self._config.training
        recipe = TrainingConfig(training.steps, training.batch, training.learning_rate, training.validation, training.patience)
        windows = network_windows(training_values(self._config), self._architecture)
        return tuple(
            run_race(windows, self._architecture, recipe, self._config.seed + number) for number in range(self._sizes.seeds)
        )


def _is_there(package: str) -> bool:
    try:
        import_module(package)
    except ImportError:
        return False
    return True


def _share(points: int, share: float) -> int:
    return max(2, round(share * points))


def _rounds(rounds: int, measures: Sequence[Callable[[], Found]]) -> list[list[Found]]:
    """What each measure found, by round; all take their turn in every round."""
    found: list[list[Found]] = [[] for _ in measures]
    for _ in range(rounds):
        for results, measure in zip(found, measures, strict=True):
            results.append(measure())
    return found
