"""What a model.onnx may hold: checked before ONNX Runtime sees it, for it may come from anywhere.

ONNX Runtime would open the files that a tensor points to, run any operator and take whatever memory a shape asks for. A network of this
program needs none of that. The file is walked field by field as it stands, in protobuf's wire format, so that nothing in it is built,
and by tables of what the fields of a message lead to. Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TypeAlias

from autoencoder.core.errors import ModelFileError

Value: TypeAlias = int | memoryview  # a number, or the bytes of text, of a tensor's content or of a message
Rule: TypeAlias = str | frozenset[str] | Mapping[int, "Rule"]  # why a field is refused, the texts it may hold, or its message

_EXPORTED = {"Cast", "Concat", "Expand", "Gather", "LSTM", "MatMul", "Reshape", "Shape", "Slice", "Squeeze", "Tile", "Transpose"}
_RELATED = {"Add", "Constant", "Gemm", "Identity", "Mul", "Relu", "Sigmoid", "Sub", "Tanh", "Unsqueeze"}
OPERATORS = frozenset(_EXPORTED | _RELATED)  # what the layers of this program's networks become, with this exporter or the next
DOMAINS = frozenset({"", "ai.onnx"})
MAX_FIELDS = 1 << 17
MAX_TEXT_BYTES = 1 << 20  # of all that is not the content of a tensor

_SPARSE, _SUBGRAPH, _FUNCTIONS = "holds sparse tensors", "holds a graph within a node", "holds functions of its own"
_TENSOR: dict[int, Rule] = {13: "points to another file"}
_ATTRIBUTE: dict[int, Rule] = {5: _TENSOR, 6: _SUBGRAPH, 10: _TENSOR, 11: _SUBGRAPH, 22: _SPARSE, 23: _SPARSE}
_NODE: dict[int, Rule] = {4: OPERATORS, 5: _ATTRIBUTE, 7: DOMAINS}
_GRAPH: dict[int, Rule] = {1: _NODE, 5: _TENSOR, 15: _SPARSE}
_MODEL: dict[int, Rule] = {7: _GRAPH, 20: _FUNCTIONS, 25: _FUNCTIONS}

_DIMENSIONS, _DATA_LOCATION = 1, 14  # of a tensor
_CONTENT = (4, 5, 6, 7, 9, 10, 11)
_PLAIN_CONTENT = (4, 9)  # takes as many bytes in memory as in the file

_VARINT, _BYTES = 0, 2
_WIDTHS = {1: 8, 5: 4}  # bytes of numbers of fixed width, by wire type


def validate(onnx: bytes) -> None:
    """Let a model.onnx pass that holds nothing but what a network of this program does.

    Raises:
        ModelFileError: it holds something else, or is damaged.
    """
    _Inspection().run(memoryview(onnx))


def _refusal(fault: str) -> ModelFileError:
    return ModelFileError(f"model.onnx cannot be loaded (it {fault}); train again, or copy the run folder again")


class _Inspection:
    """One walk through a file."""

    def __init__(self) -> None:
        self._fields = 0
        self._content = 0  # bytes

    def run(self, model: memoryview) -> None:
        if not any(number == 7 for number, _ in self._fields_of(model)):
            raise _refusal("holds no graph")
        self._check(model, _MODEL)
        if len(model) - self._content > MAX_TEXT_BYTES:
            raise _refusal("holds more nodes and names than any network of this program")

    def _check(self, message: memoryview, rules: Mapping[int, Rule]) -> None:
        for number, value in self._fields_of(message):
            rule = rules.get(number)
            if rule is None:
                continue
            if isinstance(rule, str):
                raise _refusal(rule)
            if isinstance(value, int):
                raise _refusal("is damaged")
            if isinstance(rule, Mapping):
                self._check(value, rule)
            elif (name := bytes(value).decode(errors="replace")) not in rule:
                raise _refusal(f"holds the operator {name!r:.40}")
        if rules is _TENSOR:
            self._check_size(message)

    def _check_size(self, tensor: memoryview) -> None:
        """Refuse a tensor that is elsewhere, or whose shape promises more than its content."""
        dimensions: list[int] = []
        content = 0  # bytes; an element takes at least one
        for number, value in self._fields_of(tensor):
            if number == _DATA_LOCATION and value != 0:
                raise _refusal("points to another file")
            if number == _DIMENSIONS:
                dimensions += [value] if isinstance(value, int) else _varints(value)
            elif number in _CONTENT:
                size = 1 if isinstance(value, int) else len(value)
                content += size
                self._content += size if number in _PLAIN_CONTENT else 0
        if prod(dimensions) > content:
            raise _refusal(f"holds a tensor of shape {dimensions!s:.40} and {content:,} bytes of content for it")

    def _fields_of(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        """Number and value of each field."""
        place = 0
        while place < len(message):
            key, place = _varint(message, place)
            kind = key & 7
            value: Value = 0
            if kind == _VARINT:
                value, end = _varint(message, place)
            elif kind == _BYTES:
                size, place = _varint(message, place)
                end = place + size
                value = message[place:end]
            elif kind in _WIDTHS:
                end = place + _WIDTHS[kind]
                value = message[place:end]
            else:
                raise _refusal("is damaged")
            self._fields += 1
            if end > len(message) or self._fields > MAX_FIELDS:
                raise _refusal("is damaged, or far larger than any network of this program")
            place = end
            yield key >> 3, value


def _varints(data: memoryview) -> list[int]:
    """Numbers that are packed into one field."""
    numbers, place = [], 0
    while place < len(data):
        number, place = _varint(data, place)
        numbers.append(number)
    return numbers


def _varint(data: memoryview, place: int) -> tuple[int, int]:
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
    raise _refusal("is damaged")
