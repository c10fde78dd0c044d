"""State: what a part of the detector remembers, as plain data, and its form as bytes.

Every stateful part gives its memory as a ``State`` and takes it back, so that a checkpoint is one call and never needs pickle. Bytes are
an npz archive of the arrays and one JSON text with everything else; reading them builds nothing but arrays, numbers and text, and takes no
more memory than ``LARGEST`` allows, whatever the archive claims.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelError

Leaf: TypeAlias = npt.NDArray[Any] | int | float | str | bool | None
State: TypeAlias = dict[str, "Leaf | State"]

LARGEST = 1 << 29  # bytes that are unpacked at most
LARGEST_TEXT = 1 << 22  # bytes of the JSON text, which takes many times as much once it is read
LARGEST_INDEX = 1 << 20  # bytes of the archive's table of contents
_TEXT = "state.json"
_END = struct.Struct("<4s4H2LH")  # the record that ends a zip archive; its sixth field is the size of the table of contents
_HEADER = re.compile(
    rb"\{'descr': '([<|][fiub]\d)', 'fortran_order': (True|False), 'shape': \(((?:\d{1,12}, ?)*\d{0,12})\), \} *\n"
)
_MAGIC = b"\x93NUMPY\x01\x00"


def pack(state: State) -> bytes:
    """State -> bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {}

    def plain(node: State, path: str) -> dict[str, object]:
        out: dict[str, object] = {}
        for key, value in node.items():
            place = f"{path}{key}"
            if isinstance(value, dict):
                out[key] = plain(value, f"{place}.")
            elif isinstance(value, np.ndarray):
                arrays[place] = value
                out[key] = {"array": place}
            else:
                out[key] = {"value": value}
        return out

    text = json.dumps(plain(state, ""))
    buffer = io.BytesIO()
    arrays[_TEXT] = np.frombuffer(text.encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(data: bytes, name: str) -> State:
    """Bytes -> state; ``name`` is the file that errors speak of.

    Raises:
        ModelError: damaged, or larger than ``LARGEST`` when unpacked.
    """
    try:
        arrays, text = _read_archive(data, name)
        return _to_state(json.loads(text), arrays)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OSError,
        EOFError,
        RuntimeError,  # "encrypted", or nested too deeply
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ModelError(f"{name} is damaged ({type(error).__name__}); copy the run folder again or train again") from error


def _read_archive(data: bytes, name: str) -> tuple[dict[str, npt.NDArray[Any]], bytes]:
    """The arrays of an archive, and its text; every size is looked at before anything of that size is made."""
    signature, *_, index_size, _, comment = _END.unpack(data[-_END.size :])
    if signature != b"PK\5\6" or comment or index_size > LARGEST_INDEX or data[-42:-38] == b"PK\6\7":
        raise ValueError("ends in no table of contents that this program writes")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        largest_text = max((entry.file_size for entry in entries if entry.filename == f"{_TEXT}.npy"), default=0)
        if size > LARGEST or largest_text > LARGEST_TEXT:
            raise ModelError(
                f"{name} would unpack to {size:,} bytes, {largest_text:,} of them text; at most {LARGEST:,} and {LARGEST_TEXT:,} "
                "are read; it is damaged or was not written by this program; copy the run folder again or train again"
            )
        if not {entry.compress_type for entry in entries} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ValueError("compressed in a way that this program does not use")
        arrays = {entry.filename.removesuffix(".npy"): _to_array(archive.read(entry)) for entry in entries}
    return arrays, arrays.pop(_TEXT).tobytes()


def _to_array(entry: bytes) -> npt.NDArray[Any]:
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


def _to_state(tree: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> State:
    out: State = {}
    for key, value in tree.items():
        if "array" in value and isinstance(value["array"], str):
            out[key] = arrays[value["array"]]
        elif "value" in value and not isinstance(value["value"], dict):
            out[key] = value["value"]
        else:
            out[key] = _to_state(value, arrays)
    return out


class Reader:
    """Typed access to a state that came from a file; every fault is a ModelError that names the field.

    Args:
        state: what was unpacked.
        owner: what the state is of, for messages.
    """

    def __init__(self, state: State, owner: str) -> None:
        self._state = state
        self._owner = owner

    def _value(self, key: str) -> Any:
        if key not in self._state:
            raise self._fault(key, "is missing")
        return self._state[key]

    def _fault(self, key: str, what: str) -> ModelError:
        return ModelError(
            f"the saved state of {self._owner} cannot be used: {key} {what}; copy the run folder again or train again"
        )

    def array(self, key: str, shape: tuple[int | None, ...], *, finite: bool = True) -> npt.NDArray[np.float64]:
        """Float array of that shape (None: any length)."""
        value = self._value(key)
        fits = isinstance(value, np.ndarray) and value.dtype == np.float64 and value.ndim == len(shape)
        if not fits or any(want is not None and want != have for want, have in zip(shape, value.shape, strict=True)):
            raise self._fault(key, f"is not an array of shape {shape}")
        if finite and not np.isfinite(value).all():
            raise self._fault(key, "holds values that are not finite")
        return np.array(value)

    def integers(self, key: str, shape: tuple[int | None, ...]) -> npt.NDArray[np.int64]:
        """Whole-number array of that shape (None: any length)."""
        value = self._value(key)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or value.ndim != len(shape):
            raise self._fault(key, f"is not a whole-number array of shape {shape}")
        if any(want is not None and want != have for want, have in zip(shape, value.shape, strict=True)):
            raise self._fault(key, f"is not a whole-number array of shape {shape}")
        return value.astype(np.int64)

    def integer(self, key: str, low: int, high: int = 1 << 62) -> int:
        """Whole number in [low, high]."""
        value = self._value(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._fault(key, f"is {value!r:.40}; it must be a whole number from {low} to {high}")
        return value

    def number(self, key: str) -> float:
        """Finite number."""
        value = self._value(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._fault(key, f"is {value!r:.40}; it must be a finite number")
        return float(value)

    def boolean(self, key: str) -> bool:
        """True or False."""
        value = self._value(key)
        if not isinstance(value, bool):
            raise self._fault(key, f"is {value!r:.40}; it must be true or false")
        return value

    def text(self, key: str) -> str:
        """Text."""
        value = self._value(key)
        if not isinstance(value, str):
            raise self._fault(key, "is not text")
        return value

    def state(self, key: str) -> State:
        """Nested state."""
        value = self._value(key)
        if not isinstance(value, dict):
            raise self._fault(key, "is not a group of fields")
        return value
