"""Runtime: the trained network as an ONNX file, checked against Keras, and the session that runs it without TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.errors import ModelError

Windows = npt.NDArray[np.float32]

TOLERANCE = 1e-4  # largest difference between Keras and ONNX Runtime, in scaled units, that is let through
BATCH = 256  # windows a call: the activations of that many stay in the cache


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the warnings of the exporter, which speak of its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def export(model: Any) -> dict[str, bytes]:
    """Keras model -> {"model.keras": ..., "model.onnx": ...}."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        keras_file, onnx_file = Path(folder, "model.keras"), Path(folder, "model.onnx")
        model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports only what has been called
        model.save(keras_file)
        model.export(onnx_file, format="onnx", verbose=False)
        return {"model.keras": keras_file.read_bytes(), "model.onnx": onnx_file.read_bytes()}


def check_parity(model: Any, runtime: Runtime, windows: Windows) -> float:
    """Largest difference between Keras and ONNX Runtime on windows (N, T, F).

    Raises:
        ModelError: it is above ``TOLERANCE``; such a model must not be saved.
    """
    difference = float(np.max(np.abs(np.asarray(model(windows, training=False)) - runtime.reconstruct(windows))))
    if not difference <= TOLERANCE:  # NaN is refused too
        raise ModelError(
            f"model.onnx differs from the Keras model by {difference:.2g} on the training windows; "
            f"at most {TOLERANCE:g} is let through; train again with another seed or update tf2onnx and onnxruntime"
        )
    return difference


class Runtime:
    """An ONNX Runtime session for a network (N, T, F) -> (N, T, F).

    Args:
        onnx: content of model.onnx.
        threads: threads a call may use.

    Raises:
        ModelError: not a network of that shape.
    """

    def __init__(self, onnx: bytes, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
            (inputs,), (outputs,) = self._session.get_inputs(), self._session.get_outputs()
        except Exception as error:  # onnxruntime raises bare classes of its own for every kind of damage
            raise ModelError(
                f"model.onnx cannot be loaded ({_first_line(error)}); train again, or copy the run folder again"
            ) from error
        self._input, self._output = inputs.name, outputs.name
        if len(inputs.shape) != 3 or not all(isinstance(size, int) for size in inputs.shape[1:]):
            raise ModelError(f"model.onnx takes an input of shape {inputs.shape}; it must be (windows, steps, features)")
        self.shape: tuple[int, int] = (inputs.shape[1], inputs.shape[2])

    def reconstruct(self, windows: Windows) -> Windows:
        """Windows (N, T, F) -> reconstructions (N, T, F); a window's result does not depend on the others in the call."""
        parts = [
            self._session.run([self._output], {self._input: windows[first : first + BATCH]})[0]
            for first in range(0, len(windows), BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty_like(windows)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
