"""Timed runs for ``bench speed``: the whole program, in this process or in one of its own, and the Keras network alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.commands.run import run
from autoencoder.commands.train import RunOptions, train
from autoencoder.config import Config
from autoencoder.config.alerts import Alerts
from autoencoder.config.schema import Adaptation, Plot
from autoencoder.config.sources import Csv
from autoencoder.console import Console
from autoencoder.core.errors import RunError
from autoencoder.core.extras import PROGRAM, environment
from autoencoder.core.types import Array
from autoencoder.factory.detectors import make_detector
from autoencoder.factory.sources import open_source
from autoencoder.network import training
from autoencoder.network.model import Architecture, build
from autoencoder.panel.panel import Panel
from autoencoder.panel.series import Series
from autoencoder.reports.run_folder import read_model
from autoencoder.reports.tracker import IncidentTracker
from autoencoder.sources.chunk import Chunk, ignore
from autoencoder.sources.synthetic import DENSE_RATE

Windows = npt.NDArray[np.float32]

HEADER = b"timestamp,value\n"
TRAINING_STREAM = 6000  # points of the stream whose first part trains
OTHER_SEED = 1  # added to the run's seed: a stream of the same kind as the one trained on, and not the same
WARM_UP = 500  # points before the clock counts: windows fill, caches too
BATCH = 256  # windows a call of the compiled function
FIT_PATIENCE = 4.0  # Keras fit is stopped when it has taken so many times as long as this program
# Runs a command and prints its seconds and its peak memory in bytes. It is a small process of its own, as on Linux a new process
# begins with its parent's peak.
LAUNCHER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)]))
raise SystemExit(code)
"""


@dataclass(frozen=True, slots=True)
class Program:
    """The program with one trained detector, and the lines of a csv file that it scores."""

    config: Config
    model: Path  # folder for ``--model``
    lines: Sequence[bytes]  # without the header

    @staticmethod
    def train_in(config: Config, folder: Path, lines: Sequence[bytes]) -> Program:
        """Train the detector on the first part of the synthetic stream."""
        chosen = _synthetic(config, TRAINING_STREAM)
        train(chosen, RunOptions(folder), Console(io.StringIO()))
        quiet = {"alerts": Alerts(), "adaptation": Adaptation(), "plot": Plot(kind="none")}
        return Program(chosen.model_copy(update=quiet), folder, lines)

    def one_by_one(self, seconds: float) -> Array:
        """Microseconds (N,) from a line's arrival on a pipe to its written row, for as many lines as can arrive in so many seconds."""
        arrivals, stdin = Arrivals(self.lines, seconds), sys.stdin
        sys.stdin = io.TextIOWrapper(arrivals)
        try:
            with tempfile.TemporaryDirectory() as place:
                self._run(place, source="stdin")
        finally:
            sys.stdin = stdin
        return np.array(arrivals.nanoseconds[WARM_UP + 1 :]) / 1e3  # the header was the first line

    def bulk_rate(self, points: int) -> float:
        """Points a second from a csv file to the whole of scores.csv, in this process."""
        with tempfile.TemporaryDirectory() as place:
            path = self._write(place, points)
            began = perf_counter()
            self._run(place, source="csv", csv=Csv(path=str(path)))
            return points / (perf_counter() - began)

    def _run(self, place: str, **source: object) -> None:
        run(self.config.model_copy(update=source), RunOptions(Path(place, "run"), self.model), Console(io.StringIO()))

    def as_process(self, points: int, *, piped: bool = False) -> tuple[float, int]:
        """Seconds and peak bytes of a process that scores so many points of a csv file, or the same through a pipe."""
        launcher = [sys.executable, "-c", LAUNCHER, *PROGRAM, "--model", str(self.model), "--plot", "none"]
        with tempfile.TemporaryDirectory() as place:
            path = self._write(place, points)
            source = ["stdin"] if piped else ["csv", "--path", str(path)]
            with path.open("rb") as lines:
                command = [*launcher, "--out", str(Path(place, "run")), "--source", *source]
                done = subprocess.run(command, stdin=lines, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RunError(f"bench speed: a measured process ended with exit code {done.returncode} ({last}); run it anew")
        seconds, peak = json.loads(done.stdout)
        return seconds, peak

    def _write(self, place: str, points: int) -> Path:
        path = Path(place, "points.csv")
        path.write_bytes(HEADER + b"".join(self.lines[:points]))
        return path

    def many_series(self, values: Array, series: int, rounds: int, ticks: int) -> list[float]:
        """Points a second, by round, when each of S series brings one point at every tick; each takes another part of values (N,)."""
        detector = make_detector(self.config, 0)
        detector.load_model(*read_model(self.model))
        panel = Panel(lambda name, _: Series(name, detector.clone(), IncidentTracker(), lambda _: (0, 1)), ignore)
        names, owners = [str(place) for place in range(series)], np.arange(series)
        length = detector.scorer.window + rounds * ticks
        starts = np.linspace(0, len(values) - length, series).astype(int)
        points = values[starts + np.arange(length)[:, None], None]  # (length, S, 1)
        seconds = []
        for tick, point in enumerate(points):
            began = perf_counter()
            panel.process(Chunk(np.full(series, tick), point, None, owners), names)
            seconds.append(perf_counter() - began)
        first_round = length - rounds * ticks  # windows fill before it
        return [ticks * series / sum(seconds[first : first + ticks]) for first in range(first_round, length, ticks)]


class Arrivals(io.BytesIO):
    """A pipe on which lines arrive for so many seconds after the first ``WARM_UP``, each timed until the next one is asked for."""

    def __init__(self, lines: Sequence[bytes], seconds: float) -> None:
        super().__init__()
        self._lines = iter([HEADER, *lines])
        self._seconds = seconds
        self._end = sys.maxsize  # nanoseconds
        self._arrived = 0
        self.nanoseconds: list[int] = []

    def read1(self, size: int | None = -1, /) -> bytes:
        """The next line, and nothing at the end."""
        asked = perf_counter_ns()
        if self._arrived:
            self.nanoseconds.append(asked - self._arrived)
        if len(self.nanoseconds) == WARM_UP:
            self._end = asked + round(self._seconds * 1e9)
        line = next(self._lines, b"") if asked < self._end else b""
        self._arrived = perf_counter_ns()
        return line


def stream_lines(config: Config, points: int) -> tuple[Array, list[bytes]]:
    """Values (N,) of another synthetic stream than the one trained on, and its N lines as a producer would write them."""
    chunk = Chunk.concatenate(list(open_source(_synthetic(config, points, OTHER_SEED), ignore).chunks()))
    values, times = chunk.values[:, 0], np.datetime_as_string(chunk.time.astype("datetime64[s]"))
    return values, [f"{time}Z,{value!r}\n".encode() for time, value in zip(times.tolist(), values.tolist(), strict=True)]


def _synthetic(config: Config, points: int, seed: int = 0) -> Config:
    """The same configuration with the dense synthetic stream as its source, so many points long; ``seed`` is added to the run's."""
    anomalies = config.synthetic.anomalies.model_copy(update={"rate": DENSE_RATE})
    stream = config.synthetic.model_copy(update={"points": points, "points_per_second": 0.0, "anomalies": anomalies})
    return config.model_copy(update={"source": "synthetic", "seed": config.seed + seed, "synthetic": stream})


# --- Keras ---


@dataclass(frozen=True, slots=True)
class Network:
    """The network of a Keras model alone: ``call`` runs windows (N, T, 1); they are ready, which favours it."""

    call: Callable[[Windows], object]
    windows: Windows

    def one_by_one(self, seconds: float) -> Array:
        """Microseconds (N,) of a window a call, for at most so many seconds."""
        self.call(self.windows[:1])  # compiles
        times: list[float] = []
        while len(times) < 2 or (sum(times) < 1e6 * seconds and len(times) < len(self.windows)):
            began = perf_counter_ns()
            self.call(self.windows[len(times) : len(times) + 1])
            times.append((perf_counter_ns() - began) / 1e3)
        return np.array(times)

    def bulk_rate(self, points: int) -> float:
        """Windows a second of one call with so many of them, as far as there are so many."""
        windows = self.windows[:points]
        self.call(windows[:BATCH])  # compiles
        began = perf_counter()
        self.call(windows)
        return len(windows) / (perf_counter() - began)


def keras_networks(model: Any, windows: Windows) -> dict[str, Network]:
    """A Keras model called in two ways: as tutorials do it, and as a compiled function."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *windows.shape[1:]), tf.float32)]
    function = tf.function(lambda batch: model(batch, training=False), input_signature=signature)

    def in_batches(ready: Windows) -> None:
        for row in range(0, len(ready), BATCH):
            function(ready[row : row + BATCH]).numpy()

    predict = Network(lambda ready: model.predict(ready, verbose=0), windows)
    return {"Keras model.predict": predict, "tf.function": Network(in_batches, windows)}


def windows_of(values: Array, steps: int) -> Windows:
    """Windows (N - T + 1, T, 1) of values (N,), each about its own mean, in units of their common deviation: a network's input."""
    windows = np.lib.stride_tricks.sliding_window_view(values, steps)[:, :, None]
    centred = windows - windows.mean(axis=1, keepdims=True)
    return np.ascontiguousarray(centred / centred.std(), dtype=np.float32)


def training_race(windows: Windows, config: Config, seed: int) -> tuple[float, float]:
    """Seconds to the same validation loss on windows (N, T, 1): of this program until its lowest, and of Keras ``fit`` until that.

    Each trains from scratch as in a new process, imports aside. ``fit`` is stopped after ``FIT_PATIENCE`` times as long.
    """
    import keras

    network = config.network
    shape = Architecture(windows.shape[1], 1, network.units, network.latent_dim, network.dropout, network.horizon)
    chosen = training.TrainingConfig(**config.training.model_dump(exclude={"points", "fraction", "newcomers"}), seed=seed)
    fitted, held_back = training.split(windows, chosen.validation_split)
    training._compile.cache_clear()  # a process trains once, so compiling counts
    reached: list[float] = []  # seconds of each validation
    began = perf_counter()
    model, history = training.train(windows, shape, chosen, lambda *_: reached.append(perf_counter() - began))
    loss, ours, theirs = _loss(model, held_back), reached[int(np.argmin(history.losses))], 0.0

    keras.utils.set_random_seed(seed)
    model = build(shape)
    model.compile(optimizer="adam", loss="mse")
    while theirs < FIT_PATIENCE * ours and not (theirs and _loss(model, held_back) <= loss):
        began = perf_counter()
        model.fit(fitted, fitted, verbose=0)
        theirs += perf_counter() - began
    return ours, theirs


def _loss(model: Any, windows: Windows) -> float:
    """Mean squared error of a Keras model on windows (N, T, F)."""
    return float(np.mean(np.square(np.asarray(model(windows, training=False)) - windows)))
