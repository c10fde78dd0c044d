"""Export: the trained network as files, its ONNX graph layer by layer, and its weights back from there.

``keras.Model.export`` would do it, too. Its graph carries every window through memory batch first and time first by turns, and computes
shapes that are known: it takes a tenth more time in bulk and a quarter more for a single window, and up to 1.7 times as much where
these copies do not fit into the cache. This graph transposes twice, where a step is still ``features`` numbers wide.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError

OPSET = 17
FORMAT = 8  # of the file; what ONNX Runtime reads since 1.10
INPUT, OUTPUT = "window", "reconstruction"


def export(model: Any) -> dict[str, bytes]:
    """Keras model -> {"model.keras": ..., "model.onnx": ...}."""
    with tempfile.TemporaryDirectory() as folder:
        keras_file = Path(folder, "model.keras")
        model.save(keras_file)
        return {"model.keras": keras_file.read_bytes(), "model.onnx": to_onnx(model)}


def to_onnx(model: Any) -> bytes:
    """Content of a model.onnx that computes what a Keras model (N, T, F) -> (N, T, F) of ``network.model`` does."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    x = graph.add("Transpose", INPUT, perm=[1, 0, 2])  # (T, N, F), as all that follows
    for layer in model.layers:
        x = _LAYERS[type(layer).__name__](graph, layer, x)
    graph.add("Transpose", x, output=OUTPUT, perm=[1, 0, 2])
    shape = ["windows", *model.input_shape[1:]]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (INPUT, OUTPUT)]
    proto = helper.make_graph(graph.nodes, model.name, ends[:1], ends[1:], graph.tensors)
    file = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT)
    onnx.checker.check_model(file)
    return bytes(file.SerializeToString())


def read_weights(content: bytes) -> list[npt.NDArray[np.float32]]:
    """Weights of the Keras model that ``to_onnx`` made a model.onnx of, in the order and shapes of ``get_weights``.

    They are the same to the bit. A file from elsewhere has been through ``validate`` before; nothing of model.keras is read, as that
    says itself what code is to be run.

    Raises:
        ModelFileError: it is no such file.
    """
    import onnx
    from onnx import numpy_helper

    weights: list[npt.NDArray[np.float32]] = []
    try:
        graph = onnx.load_model_from_string(content).graph
        constants = {tensor.name: tensor for tensor in graph.initializer}

        def constant(name: str) -> npt.NDArray[np.float32]:
            return np.asarray(numpy_helper.to_array(constants[name]), np.float32)

        for node in graph.node:
            if node.op_type == "LSTM":
                kernel, recurrent, bias = map(constant, node.input[1:4])
                weights += [_keras_gates(kernel), _keras_gates(recurrent), _keras_gates(bias[:, : bias.shape[1] // 2])]
            elif node.op_type in ("MatMul", "Add"):
                weights.append(constant(node.input[1]))
    except Exception as error:  # protobuf raises classes of its own
        raise ModelFileError(f"model.onnx cannot be trained on ({type(error).__name__}); train again") from None
    return weights


def _keras_gates(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(1, 4 H, ...), gates i, o, f, g -> (..., 4 H), gates i, f, g, o."""
    i, o, f, g = np.split(weights[0].T, 4, axis=-1)
    return np.concatenate([i, f, g, o], axis=-1)


class _Graph:
    """Nodes and constants, each under a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str = "", place: int = 0, **attributes: Any) -> str:
        """A node; returns the name of its output, which is the ``place``-th of all that the operator has."""
        from onnx import helper

        name = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [*[""] * place, name], **attributes))
        return name

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """A constant; returns its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=dtype), name))
        return name

    def whole(self, *numbers: int) -> str:
        return self.constant(numbers, np.int64)


def _crop(graph: _Graph, layer: Any, x: str) -> str:
    """(T, N, F) -> fewer steps."""
    first, last = layer.cropping
    end = -last if last else np.iinfo(np.int64).max
    return graph.add("Slice", x, graph.whole(first), graph.whole(int(end)), graph.whole(0))


def _lstm(graph: _Graph, layer: Any, x: str) -> str:
    """(T, N, F) -> (T, N, H), or (N, H) after the last step."""
    kernel, recurrent, bias = layer.get_weights()  # (F, 4 H), (H, 4 H), (4 H,): gates i, f, g, o

    def gates(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # (..., 4 H) -> (1, 4 H, ...): gates i, o, f, g
        i, f, g, o = np.split(weights, 4, axis=-1)
        return np.concatenate([i, o, f, g], axis=-1).T[None]

    weights = [graph.constant(part) for part in (gates(kernel), gates(recurrent), np.hstack([gates(bias), 0 * gates(bias)]))]
    every = layer.return_sequences
    y = graph.add("LSTM", x, *weights, place=0 if every else 1, hidden_size=layer.units)  # (T, 1, N, H) or (1, N, H)
    return graph.add("Squeeze", y, graph.whole(1 if every else 0))


def _dense(graph: _Graph, layer: Any, x: str) -> str:
    """(..., H) -> (..., D)."""
    kernel, bias = layer.get_weights()
    return graph.add("Add", graph.add("MatMul", x, graph.constant(kernel)), graph.constant(bias))


def _repeat(graph: _Graph, layer: Any, x: str) -> str:
    """(N, D) -> (T, N, D)."""
    return graph.add("Tile", graph.add("Unsqueeze", x, graph.whole(0)), graph.whole(layer.n, 1, 1))


_LAYERS = {
    "InputLayer": lambda graph, layer, x: x,
    "Cropping1D": _crop,
    "LSTM": _lstm,
    "Dense": _dense,
    "Dropout": lambda graph, layer, x: x,
    "RepeatVector": _repeat,
}
