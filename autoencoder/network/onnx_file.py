"""What a model.onnx may hold: looked through before ONNX Runtime sees it, for it may come from a stranger.

ONNX Runtime would open the files that a tensor points to, run any operator and take whatever memory a shape asks for. A network of this
program needs none of that. The file is walked field by field as it stands, in protobuf's wire format, so that nothing in it is built.
Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TypeAlias

Value: TypeAlias = int | memoryview  # a number, or the bytes of text, of a tensor's content or of a message

_OF_KERAS = {"Cast", "Concat", "Expand", "Gather", "LSTM", "MatMul", "Reshape", "Shape", "Slice", "Squeeze", "Tile", "Transpose"}
_THEIR_KIN = {"Add", "Constant", "Gemm", "Identity", "Mul", "Relu", "Sigmoid", "Sub", "Tanh", "Unsqueeze"}
OPERATORS = _OF_KERAS | _THEIR_KIN  # what the layers of this program's networks become, with this exporter or the next
DOMAINS = ("", "ai.onnx")
MOST_FIELDS = 1 << 17
MOST_TEXT = 1 << 20  # bytes of all that is not the content of a tensor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}

_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE_TENSOR = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)
_TENSOR_DIMENSIONS, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 1, 13, 14
_TENSOR_CONTENT = (4, 5, 6, 7, 9, 10, 11)
_TENSOR_PLAIN_CONTENT = (4, 9)  # takes as many bytes in memory as in the file


def fault_of(onnx: bytes) -> str | None:
    """What a model.onnx holds that no network of this program does, as what follows "it"; None where it holds nothing of the kind.

    >>> fault_of(b"")
    'holds no graph'
    """
    try:
        _Inspection().look_through(memoryview(onnx))
    except _FaultError as fault:
        return str(fault)
    return None


class _FaultError(Exception):
    pass


class _Inspection:
    """One walk through a file."""

    def __init__(self) -> None:
        self._fields = 0
        self._content = 0  # bytes

    def look_through(self, model: memoryview) -> None:
        graphs = 0
        for number, value in self._fields_of(model):
            if number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
                raise _FaultError("holds functions of its own")
            if number == _MODEL_GRAPH:
                graphs += 1
                self._look_through_graph(_bytes(value))
        if not graphs:
            raise _FaultError("holds no graph")
        if len(model) - self._content > MOST_TEXT:
            raise _FaultError("holds more nodes and names than any network of this program")

    def _look_through_graph(self, graph: memoryview) -> None:
        for number, value in self._fields_of(graph):
            if number == _GRAPH_NODE:
                self._look_through_node(_bytes(value))
            elif number == _GRAPH_TENSOR:
                self._look_through_tensor(_bytes(value))
            elif number == _GRAPH_SPARSE_TENSOR:
                raise _FaultError("holds sparse tensors")

    def _look_through_node(self, node: memoryview) -> None:
        for number, value in self._fields_of(node):
            if number in (_NODE_OPERATOR, _NODE_DOMAIN):
                name = bytes(_bytes(value)).decode(errors="replace")
                if name not in (OPERATORS if number == _NODE_OPERATOR else DOMAINS):
                    raise _FaultError(f"holds the operator {name!r:.40}")
            elif number == _NODE_ATTRIBUTE:
                self._look_through_attribute(_bytes(value))

    def _look_through_attribute(self, attribute: memoryview) -> None:
        for number, value in self._fields_of(attribute):
            if number in _ATTRIBUTE_GRAPHS:
                raise _FaultError("holds a graph within a node")
            if number in _ATTRIBUTE_SPARSE_TENSORS:
                raise _FaultError("holds sparse tensors")
            if number in _ATTRIBUTE_TENSORS:
                self._look_through_tensor(_bytes(value))

    def _look_through_tensor(self, tensor: memoryview) -> None:
        dimensions: list[int] = []
        content = 0  # bytes; an element takes at least one
        for number, value in self._fields_of(tensor):
            if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0):
                raise _FaultError("points to another file")
            if number == _TENSOR_DIMENSIONS:
                dimensions += [value] if isinstance(value, int) else _numbers(value)
            elif number in _TENSOR_CONTENT:
                size = 1 if isinstance(value, int) else len(value)
                content += size
                self._content += size if number in _TENSOR_PLAIN_CONTENT else 0
        if prod(dimensions) > content:
            raise _FaultError(f"holds a tensor of shape {dimensions!s:.40} and {content:,} bytes of content for it")

    def _fields_of(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        """Number and value of each field."""
        place = 0
        while place < len(message):
            key, place = _number(message, place)
            kind = key & 7
            value: Value = 0
            if kind == _VARINT:
                value, end = _number(message, place)
            elif kind == _BYTES:
                size, place = _number(message, place)
                end = place + size
                value = message[place:end]
            elif kind in _WIDTHS:
                end = place + _WIDTHS[kind]
                value = message[place:end]
            else:
                raise _FaultError("is damaged")
            self._fields += 1
            if end > len(message) or self._fields > MOST_FIELDS:
                raise _FaultError("is damaged, or far larger than any network of this program")
            place = end
            yield key >> 3, value


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise _FaultError("is damaged")
    return value


def _numbers(data: memoryview) -> list[int]:
    """Numbers that are packed into one field."""
    numbers, place = [], 0
    while place < len(data):
        number, place = _number(data, place)
        numbers.append(number)
    return numbers


def _number(data: memoryview, place: int) -> tuple[int, int]:
    """A number of one to ten bytes, seven bits in each, and the place behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise _FaultError("is damaged")
