"""Trained network: the files that it is saved as, and the session that runs it from its ONNX file, without TensorFlow."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError
from autoencoder.core.types import Array, Progress
from autoencoder.network.export import export
from autoencoder.network.model import Architecture
from autoencoder.network.onnx_file import validate
from autoencoder.network.training import TrainingConfig, train
from autoencoder.network.windows import WindowScaler

Windows = npt.NDArray[np.float32]

TOLERANCE = 1e-4  # largest difference between Keras and ONNX Runtime, in scaled units, that is let through
BATCH_WINDOWS = 64  # windows a call: the activations of that many stay in the cache
MIN_THREADED_WINDOWS = 16  # windows; fewer are done before another thread has woken up
MAX_ARENA_BYTES = 2 << 30  # bytes that all sessions of this process may take for activations


def check_parity(model: Any, runtime: Runtime, windows: Windows) -> float:
    """Largest difference between Keras and ONNX Runtime on windows (N, T, F).

    Raises:
        ModelFileError: it is above ``TOLERANCE``; such a model must not be saved.
    """
    difference = float(np.max(np.abs(np.asarray(model(windows, training=False)) - runtime.reconstruct(windows))))
    if not difference <= TOLERANCE:  # NaN is refused too
        raise ModelFileError(
            f"model.onnx differs from the Keras model by {difference:.2g} on the training windows; "
            f"at most {TOLERANCE:g} is let through; train again with another seed or update onnx and onnxruntime"
        )
    return difference


@dataclass(slots=True)
class _Few:
    """A few windows (N, T, F) that wait for their reconstructions."""

    windows: Windows
    reconstructions: Windows | None = None


class Runtime:
    """An ONNX Runtime session for a network (N, T, F) -> (N, T, F).

    Args:
        onnx: content of model.onnx.
        threads: threads that reconstruct, the caller's own among them.

    Raises:
        ModelFileError: not a network of that shape, or one that asks for files, operators or memory that no network of this program does.
    """

    def __init__(self, onnx: bytes, threads: int = 1) -> None:
        import onnxruntime

        validate(onnx)
        _bound_memory(onnxruntime)
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.intra_op_num_threads = 1  # threads share out batches, not the steps of one: none waits for another
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                onnx,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # which would print to stdout
            )
            (inputs,), (outputs,) = self._session.get_inputs(), self._session.get_outputs()
        except Exception as error:  # onnxruntime raises bare classes of its own for every kind of damage
            raise ModelFileError(
                f"model.onnx cannot be loaded ({_first_line(error)}); train again, or copy the run folder again"
            ) from error
        self._input, self._output = inputs.name, outputs.name
        if len(inputs.shape) != 3 or not all(isinstance(size, int) for size in inputs.shape[1:]):
            raise ModelFileError(f"model.onnx takes an input of shape {inputs.shape}; it must be (windows, steps, features)")
        self._helpers = threads - 1
        self._pool = ThreadPoolExecutor(max(1, self._helpers), thread_name_prefix="network")  # starts a thread when it is needed
        self._lock, self._waiting = Lock(), list[_Few]()
        self.shape: tuple[int, int] = (inputs.shape[1], inputs.shape[2])

    def __deepcopy__(self, memo: dict[int, object]) -> Runtime:
        return self  # it has no memory of what it has run

    def reconstruct(self, windows: Windows) -> Windows:
        """Windows (N, T, F) -> reconstructions (N, T, F); a window's result does not depend on the others in the call."""
        return self.begin(windows)()

    def begin(self, windows: Windows) -> Callable[[], Windows]:
        """Start to reconstruct windows (N, T, F) on the other threads; what is returned lends a hand and gives the reconstructions.

        Few windows wait for whoever asks first, and are then reconstructed with all others that wait.
        """
        if 0 < len(windows) < MIN_THREADED_WINDOWS:
            few = _Few(windows)
            self._waiting.append(few)
            return lambda: self._finish_few(few)
        reconstructions = np.empty_like(windows)
        parts = iter([slice(first, first + BATCH_WINDOWS) for first in range(0, len(windows), BATCH_WINDOWS)])

        def work() -> None:
            for part in parts:  # shared: a thread that is free takes the next one
                reconstructions[part] = self._run(windows[part])

        helpers = [self._pool.submit(work) for _ in range(self._helpers)]

        def finish() -> Windows:
            work()
            for helper in helpers:
                helper.result()
            return reconstructions

        return finish

    def _finish_few(self, few: _Few) -> Windows:
        with self._lock:
            if few.reconstructions is None:
                every, self._waiting = self._waiting, []
                while every:
                    some, every = every[:BATCH_WINDOWS], every[BATCH_WINDOWS:]
                    whole = self._run(some[0].windows if len(some) == 1 else np.concatenate([each.windows for each in some]))
                    for each in some:
                        each.reconstructions, whole = whole[: len(each.windows)], whole[len(each.windows) :]
        return self._run(few.windows) if few.reconstructions is None else few.reconstructions  # another one's windows have failed

    def _run(self, windows: Windows) -> Windows:
        try:
            reconstruction: Windows = self._session.run([self._output], {self._input: windows})[0]
        except Exception as error:  # as above; a graph may load and still make no sense
            raise ModelFileError(
                f"model.onnx cannot be run ({_first_line(error)}); train again, or take a smaller network"
            ) from error
        if reconstruction.shape != windows.shape:
            raise ModelFileError(
                f"model.onnx makes {reconstruction.shape} of windows {windows.shape}; both must be alike; train again"
            )
        return reconstruction


@dataclass(frozen=True, slots=True, weakref_slot=True)
class TrainedNetwork:
    """A network (N, T, F) -> (N, T, F) that never changes, so that several scorers can share it."""

    runtime: Runtime  # runs it
    artifacts: Mapping[str, bytes]  # content of model.keras and model.onnx
    validation_loss: float  # mean squared error on the windows held back in training; NaN where it is not known

    @staticmethod
    def train(
        windows: Windows,
        architecture: Architecture,
        config: TrainingConfig,
        threads: int,
        progress: Progress | None = None,
        start: TrainedNetwork | None = None,
    ) -> TrainedNetwork:
        """Train on scaled windows (M, T, F), oldest first, from the weights of ``start`` or random ones."""
        model, history = train(windows, architecture, config, progress, start.artifacts["model.onnx"] if start else None)
        artifacts = export(model)
        runtime = Runtime(artifacts["model.onnx"], threads)
        check_parity(model, runtime, windows[:: max(1, len(windows) // 64)])
        return TrainedNetwork(runtime, artifacts, history.best)

    @staticmethod
    def load(artifacts: Mapping[str, bytes], digest: str, threads: int) -> TrainedNetwork:
        """Network that was saved with this digest; a ModelFileError says where model.onnx is missing, damaged or another one."""
        if "model.onnx" not in artifacts:
            raise ModelFileError("model.onnx is missing; train again, or copy the run folder again")
        if _digest(artifacts["model.onnx"]) != digest:
            raise ModelFileError(
                "model.onnx is damaged, or of another training than the detector's state; copy the run folder again or train again"
            )
        network = _LOADED.get((digest, threads))
        if network is None:
            network = TrainedNetwork(Runtime(artifacts["model.onnx"], threads), dict(artifacts), float("nan"))
            _LOADED[digest, threads] = network
        return network

    def start(self, windows: Array, newest: Array, scaler: WindowScaler) -> Callable[[], tuple[Array, Array]]:
        """Start the network on windows (M, T, F) that end in points (M, F).

        What is returned waits for it and gives reconstruction errors (M,) in scaled units and predictions (M, F).
        """
        scaled, centre, scale = scaler.scale(windows)  # (M, T, F), (M, F), (M, F)
        reconstructed = self.runtime.begin(scaled)

        def finish() -> tuple[Array, Array]:
            expected = reconstructed()[:, -1].astype(np.float64) * scale + centre  # (M, F)
            return np.maximum.reduce(np.abs((newest - expected) / scale), axis=1), expected

        return finish

    @property
    def digest(self) -> str:
        """Digest of model.onnx, which tells it from any other."""
        return _digest(self.artifacts["model.onnx"])


@functools.lru_cache(8)
def _digest(onnx: bytes) -> str:
    return hashlib.sha256(onnx).hexdigest()


_LOADED: WeakValueDictionary[tuple[str, int], TrainedNetwork] = WeakValueDictionary()  # by digest and threads


@functools.cache
def _bound_memory(onnxruntime: Any) -> None:
    """Let sessions share one arena of bounded size."""
    place = onnxruntime.OrtMemoryInfo("Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg({"max_mem": MAX_ARENA_BYTES}))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
