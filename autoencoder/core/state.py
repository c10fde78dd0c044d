"""State: what a part of the detector remembers, as plain data, and its form as bytes.

Every ``Stateful`` part gives its memory as a ``State`` and takes it back, so that a checkpoint is one call and never needs pickle. Bytes
are an npz archive of the arrays and one JSON text with everything else; reading them builds nothing but arrays, numbers and text, and takes
no more memory than ``MAX_STATE_BYTES`` allows, whatever the archive claims.
"""

from __future__ import annotations

import copy
import io
import json
import math
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError
from autoencoder.core.types import Array, is_frozen

AnyArray: TypeAlias = npt.NDArray[Any]
Leaf: TypeAlias = AnyArray | int | float | str | bool | None
State: TypeAlias = dict[str, "Leaf | State"]
Shape: TypeAlias = tuple[int | str | None, ...]
T = TypeVar("T")

MAX_STATE_BYTES = 1 << 29  # bytes that are unpacked at most
MAX_TEXT_BYTES = 1 << 22  # bytes of the JSON text, which takes many times as much once it is read, or half of the archive
# bytes of the archive's table of contents, or an eighth of the archive: a panel of thousands makes a large one
MAX_INDEX_BYTES = 1 << 20
MAX_INTEGER = 1 << 62
MAX_FLOAT = float(np.finfo(np.float64).max)
POSITIVE = 5e-324  # the least number above 0
_TEXT = "state.json"
_END = struct.Struct("<4s4H2LH")  # the record that ends a zip archive; its sixth field is the size of the table of contents
_HEADER = re.compile(
    rb"\{'descr': '([<|][fiub]\d)', 'fortran_order': (True|False), 'shape': \(((?:\d{1,12}, ?)*\d{0,12})\), \} *\n"
)
_MAGIC = b"\x93NUMPY\x01\x00"
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, struct.error, zipfile.BadZipFile, zlib.error)


def pack(state: State) -> bytes:
    """State -> bytes."""
    arrays: dict[str, AnyArray] = {}

    def plain(value: Leaf | State, path: str) -> dict[str, object]:
        if isinstance(value, dict):
            return {key: plain(part, f"{path}.{key}" if path else key) for key, part in value.items()}
        if isinstance(value, np.ndarray):
            arrays[path] = value
            return {"array": path}
        return {"value": value}

    text = json.dumps(plain(state, ""))
    buffer = io.BytesIO()
    arrays[_TEXT] = np.frombuffer(text.encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(data: bytes, name: str) -> State:
    """Bytes -> state; ``name`` is the file that errors speak of.

    Raises:
        ModelFileError: damaged, or larger than ``MAX_STATE_BYTES`` when unpacked.
    """
    try:
        arrays, text = _read_archive(data, name)
        return to_state(json.loads(text), lambda node: arrays[node["array"]])
    except (*DAMAGE, RuntimeError) as error:  # the last: encrypted, or nested too deeply
        raise ModelFileError(f"{name} is damaged ({type(error).__name__}); copy the run folder again or train again") from error


def _read_archive(data: bytes, name: str) -> tuple[dict[str, AnyArray], bytes]:
    """The arrays of an archive, and its text; every size is looked at before anything of that size is made."""
    signature, *_, index_size, _, comment = _END.unpack(data[-_END.size :])
    if signature != b"PK\5\6" or comment or index_size > max(MAX_INDEX_BYTES, len(data) // 8) or data[-42:-38] == b"PK\6\7":
        raise ValueError("ends in no table of contents that this program writes")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        largest_text = max((entry.file_size for entry in entries if entry.filename == f"{_TEXT}.npy"), default=0)
        most, most_text = max(MAX_STATE_BYTES, len(data)), max(MAX_TEXT_BYTES, len(data) // 2)
        if size > most or largest_text > most_text:
            raise ModelFileError(
                f"{name} would unpack to {size:,} bytes, {largest_text:,} of them text; at most {most:,} and {most_text:,} "
                "are read; it is damaged or was not written by this program; copy the run folder again or train again"
            )
        if not {entry.compress_type for entry in entries} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ValueError("compressed in a way that this program does not use")
        arrays = {entry.filename.removesuffix(".npy"): _to_array(archive.read(entry)) for entry in entries}
    return arrays, arrays.pop(_TEXT).tobytes()


def _to_array(entry: bytes) -> AnyArray:
    """The array in an .npy file: of plain numbers, and with as many of them as its header says."""
    length = int.from_bytes(entry[8:10], "little")
    header = _HEADER.fullmatch(entry[10 : 10 + length])
    if not entry.startswith(_MAGIC) or not header:
        raise ValueError("holds an array of no plain numbers")
    kind, is_fortran, sizes = (part.decode() for part in header.groups())
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    flat = np.frombuffer(entry, np.dtype(kind), offset=10 + length)
    if math.prod(shape) != len(flat):
        raise ValueError("holds another number of values than it says")
    return flat.reshape(shape, order="F" if is_fortran == "True" else "C")


def to_state(tree: dict[str, Any], array_of: Callable[[dict[str, Any]], AnyArray]) -> State:
    """The state that a tree of JSON stands for; ``array_of`` gives the array for which a node with ``array`` stands."""

    def value(node: dict[str, Any]) -> Leaf | State:
        if isinstance(node.get("array"), str):
            return array_of(node)
        if "value" in node and not isinstance(node["value"], dict):
            return node["value"]  # type: ignore[no-any-return]  # JSON holds leaves alone there
        return to_state(node, array_of)

    return {key: value(node) for key, node in tree.items()}


def from_files(files: Mapping[str, bytes]) -> State:
    """Files as a state."""
    return {name: np.frombuffer(content, np.uint8) for name, content in files.items()}


def to_files(state: State) -> dict[str, bytes]:
    """Files that ``from_files`` gave."""
    return {name: data.tobytes() for name, data in state.items() if isinstance(data, np.ndarray) and data.dtype == np.uint8}


class Reader:
    """Typed access to the unpacked state of an owner; every fault is a ModelFileError that names it and the field.

    A size in a shape is a number, None for any, or a letter: the same letter stands for the same size in all fields.
    """

    def __init__(self, state: State, owner: str) -> None:
        self._state = state
        self._owner = owner
        self._sizes: dict[str, int] = {}

    def fault(self, key: str, what: str) -> ModelFileError:
        """Error that says what is wrong with a field."""
        return ModelFileError(
            f"the saved state of {self._owner} cannot be used: {key} {what}; copy the run folder again or train again"
        )

    def has(self, key: str) -> bool:
        """Whether the field is there."""
        return key in self._state

    def array(
        self, key: str, shape: Shape, *, finite: bool = True, low: float | None = None, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Float array of that shape, its values ``low`` or more."""
        value = self._shaped(key, shape, "f", "an array").astype(dtype)
        if finite and np.count_nonzero(np.isfinite(value)) < value.size:  # faster than ``all``, of which a state takes many
            raise self.fault(key, "holds values that are not finite")
        if low is not None and np.count_nonzero(value >= low) < value.size:
            raise self.fault(key, f"holds values below {low:g}")
        return value

    def integers(self, key: str, shape: Shape, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> npt.NDArray[np.int64]:
        """Whole-number array of that shape, its values in [low, high]."""
        value = self._shaped(key, shape, "i", "a whole-number array")
        if value.size and not (low <= int(value.min()) and int(value.max()) <= high):
            raise self.fault(key, f"holds numbers that are not from {low} to {high}")
        return value.astype(np.int64)

    def content(self, key: str) -> bytes:
        """Bytes, which are saved as an array of them."""
        return self._shaped(key, (None,), "u", "a row of bytes").tobytes()

    def integer(self, key: str, low: int = 0, high: int = MAX_INTEGER) -> int:
        """Whole number in [low, high]."""
        value: int = self._within(key, int, low, high, "a whole number")
        return value

    def number(self, key: str, low: float = -MAX_FLOAT, high: float = MAX_FLOAT) -> float:
        """Finite number in [low, high]."""
        return float(self._within(key, int | float, low, high, "a finite number"))

    def number_or_nan(self, key: str) -> float:
        """Finite number, or NaN where None was saved: not known yet."""
        return math.nan if self._value(key, object) is None else self.number(key)

    def boolean(self, key: str) -> bool:
        """True or False."""
        return self._value(key, bool, "true or false")

    def text(self, key: str) -> str:
        """Text."""
        return self._value(key, str, "text")

    def state(self, key: str) -> State:
        """Nested state."""
        return self._value(key, dict, "a group of fields")

    def _value(self, key: str, wanted: type[T], what: str = "") -> T:
        if not self.has(key):
            raise self.fault(key, "is missing")
        value = self._state[key]
        if not isinstance(value, wanted):
            raise self.fault(key, f"is {value!r:.40}; it must be {what}")
        return value

    def _within(self, key: str, kind: Any, low: float, high: float, what: str) -> Any:
        value: Any = self._value(key, object)
        if not isinstance(value, kind) or isinstance(value, bool) or not low <= value <= high:
            raise self.fault(key, f"is {value!r:.40}; it must be {what} from {low} to {high}")
        return value

    def _shaped(self, key: str, shape: Shape, kind: str, what: str) -> AnyArray:
        value: Any = self._value(key, object)
        known = tuple(self._sizes.get(size, size) if isinstance(size, str) else size for size in shape)
        fits = isinstance(value, np.ndarray) and value.dtype.kind == kind and value.ndim == len(shape)
        if not fits or any(isinstance(want, int) and want != have for want, have in zip(known, value.shape, strict=True)):
            raise self.fault(key, f"is not {what} of shape {known}")
        self._sizes |= {size: have for size, have in zip(shape, value.shape, strict=True) if isinstance(size, str)}
        return np.asarray(value)


def _kept(value: Any) -> Any:
    """What a state holds of a value: a copy, where the value can change."""
    return value if is_frozen(value) else copy.copy(value)


class Field(NamedTuple):
    """How one attribute is saved: its key in the state, what takes it from a reader, and what makes that which is saved of it."""

    key: str
    read: Callable[[Reader], Any]
    write: Callable[[Any], Leaf | State] = _kept


def _field(read: Callable[..., Any], write: Callable[[Any], Leaf | State] = _kept) -> Callable[..., Field]:
    """What declares a field that a method of ``Reader`` reads."""
    return lambda key, *args, **limits: Field(key, lambda saved: read(saved, key, *args, **limits), write)


array, integers = _field(Reader.array), _field(Reader.integers)
integer, number = _field(Reader.integer), _field(Reader.number)
boolean, text = _field(Reader.boolean), _field(Reader.text)
number_or_nan = _field(Reader.number_or_nan, lambda value: None if math.isnan(value) else float(value))


class Stateful:
    """A part with a memory: ``STATE`` declares which attributes are saved, in what shape and range.

    ``load(state())`` makes a part of the same make stand exactly where this one stands.
    """

    name: ClassVar[str]  # what errors call the part
    STATE: ClassVar[Mapping[str, Field]] = {}  # of each attribute that is saved

    def state(self) -> State:
        """All that is remembered, as copies."""
        return {field.key: field.write(getattr(self, attribute)) for attribute, field in self.STATE.items()}

    def load(self, state: State) -> None:
        """Take back what ``state`` gave. Raises ModelFileError: damaged, or of another make; the message names the field."""
        saved = Reader(state, self.name)
        vars(self).update({attribute: field.read(saved) for attribute, field in self.STATE.items()})
        self._complete(saved)

    def _complete(self, saved: Reader) -> None:
        """Check that the loaded attributes fit together, and derive what is not saved."""


class Resettable(Stateful, ABC):
    """A part of which a trained one serves several streams."""

    @abstractmethod
    def reset(self) -> None:
        """Forget the stream and keep what was learnt: the next points belong to another stream."""

    def clone(self) -> Self:
        """A part for another stream that shares what this one has learnt.

        Arrays are not copied, as none is changed in place but those that ``reset`` makes.
        """
        other = copy.copy(self)
        for attribute, part in vars(self).items():
            if isinstance(part, Resettable):
                setattr(other, attribute, part.clone())
        other.reset()
        return other
