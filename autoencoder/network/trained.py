"""TrainedNetwork: the network, ready to run, and the files that it is saved as."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np

from autoencoder.core.errors import ModelFileError
from autoencoder.core.types import Array, Progress
from autoencoder.network.export import export
from autoencoder.network.model import Architecture
from autoencoder.network.runtime import Runtime, Windows, check_parity
from autoencoder.network.training import TrainingConfig, train
from autoencoder.network.windows import WindowScaler


@dataclass(frozen=True, slots=True, weakref_slot=True)
class TrainedNetwork:
    """A network (N, T, F) -> (N, T, F) that never changes, so that several scorers can share it.

    Attributes:
        runtime: runs it.
        artifacts: content of model.keras and model.onnx.
        validation_loss: mean squared error on the windows held back in training; NaN where it is not known.
    """

    runtime: Runtime
    artifacts: Mapping[str, bytes]
    validation_loss: float

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
        if hashlib.sha256(artifacts["model.onnx"]).hexdigest() != digest:
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
        return hashlib.sha256(self.artifacts["model.onnx"]).hexdigest()


_LOADED: WeakValueDictionary[tuple[str, int], TrainedNetwork] = WeakValueDictionary()  # by digest and threads
