"""Contestants: this program and its rivals, each timed point by point and in bulk.

The whole program does everything: the line is parsed, the point judged, flags joined into incidents, the row written and flushed. The
others are given ready windows and do nothing but run the network, which favours them.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autoencoder.benchmark.speed.subject import HEADER, Model, Windows, write_lines
from data.files import FileSource
from data.live import StdinSource

Nanoseconds = npt.NDArray[np.int64]

WARM_UP = 500  # points before the clock counts: windows fill, caches too
WHOLE, NETWORK = "line to written row", "network alone"
TORCH = "PyTorch twin"
BATCH = 256  # windows a call in bulk


class Contestant(Protocol):
    """One who is timed.

    Attributes:
        name: what the tables call it.
        covers: what is timed, ``WHOLE`` or ``NETWORK``.
        share_one, share_bulk: of the points of a round, so that the slow ones do not take all of the time.
    """

    name: str
    covers: str
    share_one: float
    share_bulk: float

    def one_by_one(self, points: int) -> Nanoseconds:
        """Time (N,) of each of so many points, one after the other."""
        ...

    def in_bulk(self, points: int) -> float:
        """Points a second, all there from the start."""
        ...


class WholeProgram:
    """The program with one of its detectors, in this process.

    Args:
        name: what the tables call it.
        model: a trained detector.
        lines: of a csv file, without its header.
        share_one, share_bulk: see ``Contestant``.
    """

    covers = WHOLE

    def __init__(self, name: str, model: Model, lines: Sequence[bytes], share_one: float = 1.0, share_bulk: float = 1.0) -> None:
        self.name = name
        self.share_one, self.share_bulk = share_one, share_bulk
        self._model = model
        self._lines = lines

    def one_by_one(self, points: int) -> Nanoseconds:
        """Every line arrives alone on a pipe; its time ends when the program, its row written, asks for the next one."""
        arrivals = Arrivals(self._lines[: points + WARM_UP])
        with tempfile.TemporaryDirectory() as place:
            stream = self._model.stream(self._model.detector(), StdinSource(arrivals), Path(place, "run"))
            stream.run()
            stream.finish()
        return np.array(arrivals.nanoseconds[-points:], dtype=np.int64)

    def in_bulk(self, points: int) -> float:
        """From the file on the disk to the whole of scores.csv, with a model that is loaded already."""
        with tempfile.TemporaryDirectory() as place:
            path = write_lines(Path(place, "points.csv"), self._lines[:points])
            detector = self._model.detector()
            began = perf_counter()
            stream = self._model.stream(detector, FileSource(path), Path(place, "run"))
            stream.run()
            stream.finish()
            return points / (perf_counter() - began)


class Arrivals(io.BytesIO):
    """A pipe on which one line arrives at a time, and a clock that runs from there until the next one is asked for."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        super().__init__()
        self._lines = iter([HEADER, *lines])
        self._arrived: int | None = None
        self.nanoseconds: list[int] = []

    def read1(self, size: int | None = -1, /) -> bytes:
        """The next line, and nothing at the end."""
        asked = perf_counter_ns()
        if self._arrived is not None:
            self.nanoseconds.append(asked - self._arrived)
        line = next(self._lines, b"")
        self._arrived = perf_counter_ns()
        return line


class _Network:
    """A network that is called with windows (N, T, F).

    Args:
        windows: (M, T, F) to run it on.
    """

    name: str
    covers = NETWORK
    share_one = 0.05
    share_bulk = 0.1
    batch = BATCH

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def run(self, windows: Windows) -> Windows:
        """Windows (N, T, F) -> reconstructions (N, T, F)."""
        raise NotImplementedError

    def one_by_one(self, points: int) -> Nanoseconds:
        """A window a call."""
        self.run(self._windows[:1])  # compiles
        times = []
        for row in range(points):
            window = self._windows[row : row + 1]
            began = perf_counter_ns()
            self.run(window)
            times.append(perf_counter_ns() - began)
        return np.array(times, dtype=np.int64)

    def in_bulk(self, points: int) -> float:
        """Many windows a call."""
        points = min(points, len(self._windows))
        self.run(self._windows[: min(self.batch, points)])  # compiles
        began = perf_counter()
        for first in range(0, points, self.batch):
            self.run(self._windows[first : first + self.batch])
        return points / (perf_counter() - began)


class KerasPredict(_Network):
    """``model.predict``, as tutorials do it; in bulk one call with its own batch size."""

    name = "Keras model.predict"
    share_one = 0.004
    share_bulk = 0.04
    batch = 1 << 30

    def __init__(self, model: Any, windows: Windows) -> None:
        super().__init__(windows)
        self._model = model

    def run(self, windows: Windows) -> Windows:
        """See ``_Network.run``."""
        return np.asarray(self._model.predict(windows, verbose=0))


class KerasCall(_Network):
    """The model called as a function."""

    name = "Keras model(x)"
    share_one = 0.002
    share_bulk = 0.04

    def __init__(self, model: Any, windows: Windows) -> None:
        super().__init__(windows)
        self._model = model

    def run(self, windows: Windows) -> Windows:
        """See ``_Network.run``."""
        return np.asarray(self._model(windows, training=False))


class TensorFlowFunction(_Network):
    """The model as a compiled ``tf.function``."""

    name = "tf.function"

    def __init__(self, model: Any, windows: Windows) -> None:
        import tensorflow as tf

        super().__init__(windows)
        shape = (None, *windows.shape[1:])
        self._function = tf.function(
            lambda batch: model(batch, training=False), input_signature=[tf.TensorSpec(shape, tf.float32)]
        )

    def run(self, windows: Windows) -> Windows:
        """See ``_Network.run``."""
        return np.asarray(self._function(windows))


class TorchTwin(_Network):
    """The same network with the same weights in PyTorch.

    Args:
        model: the Keras model.
        windows: see ``_Network``.
        threads: that PyTorch may use; more of them are slower where something else wants the cores, too.
    """

    share_bulk = 0.2

    def __init__(self, model: Any, windows: Windows, threads: int) -> None:
        from autoencoder.benchmark.speed.torch_twin import twin

        super().__init__(windows)
        self.name = torch_name(threads)
        self._twin = twin(model)
        self._threads = threads

    def run(self, windows: Windows) -> Windows:
        """See ``_Network.run``."""
        import torch

        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            reconstruction: Windows = self._twin(torch.from_numpy(windows)).numpy()
        return reconstruction


def torch_name(threads: int) -> str:
    """What the tables call the PyTorch twin."""
    return f"{TORCH}, {threads} thread{'s' * (threads > 1)}"


def load_keras(model: Model) -> Any:
    """The Keras model of a trained detector."""
    import keras

    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "model.keras")
        path.write_bytes(model.files["model.keras"])
        return keras.models.load_model(path)
