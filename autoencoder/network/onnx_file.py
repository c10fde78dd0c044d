"""What a model.onnx may hold: checked before ONNX Runtime sees it, for it may come from anywhere.

ONNX Runtime would open the files that a tensor points to, run any operator and take whatever memory a shape asks for. A network of this
program needs none of that.
"""

from __future__ import annotations

from math import prod
from typing import Any

from autoencoder.core.errors import ModelError

_EXPORTED = {"Cast", "Concat", "Expand", "Gather", "LSTM", "MatMul", "Reshape", "Shape", "Slice", "Squeeze", "Tile", "Transpose"}
_RELATED = {"Add", "Constant", "Gemm", "Identity", "Mul", "Relu", "Sigmoid", "Sub", "Tanh", "Unsqueeze"}
OPERATORS = frozenset(_EXPORTED | _RELATED)  # what the layers of this program's networks become, with this exporter or the next
DOMAINS = frozenset({"", "ai.onnx"})
MAX_TEXT_BYTES = 1 << 20  # of all that is not the content of a tensor


def validate(content: bytes) -> None:
    """Let a model.onnx pass that holds nothing but what a network of this program does.

    Raises:
        ModelError: it holds something else, or is damaged.
    """
    from onnx import ModelProto

    try:
        model = ModelProto.FromString(content)
    except Exception:  # protobuf raises classes of its own
        raise _refusal("is damaged") from None
    graph = model.graph
    if not graph.node:
        raise _refusal("holds no graph")
    if model.functions or model.training_info:
        raise _refusal("holds functions of its own")
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise _refusal("holds a graph within a node")
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise _refusal("holds sparse tensors")
            tensors += [attribute.t] * attribute.HasField("t") + [*attribute.tensors]
        name = node.op_type if node.domain in DOMAINS else node.domain
        if name not in OPERATORS:
            raise _refusal(f"holds the operator {name!r:.40}")
    if graph.sparse_initializer:
        raise _refusal("holds sparse tensors")
    if len(content) - sum(_check_tensor(tensor) for tensor in tensors) > MAX_TEXT_BYTES:
        raise _refusal("holds more nodes and names than any network of this program")


def _check_tensor(tensor: Any) -> int:
    """Bytes of a tensor's plain content; one that is elsewhere, or whose shape promises more than that, is refused."""
    if tensor.external_data or tensor.data_location:
        raise _refusal("points to another file")
    plain = len(tensor.raw_data) + 4 * len(tensor.float_data)
    others = map(len, (tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data))
    if prod(tensor.dims) > plain + sum(others) or min(tensor.dims, default=0) < 0:
        raise _refusal(f"holds a tensor of shape {list(tensor.dims)!s:.40} and too little content for it")
    return plain


def _refusal(fault: str) -> ModelError:
    return ModelError(f"model.onnx cannot be loaded (it {fault}); train again, or copy the run folder again")
