"""Pieces: a state in two parts, what is small or changes with every point, and large arrays, each under the digest of its content.

Most of what a detector remembers stays as it is from point to point, and much of it is the same in all series of a model. Under its digest
an array is written once, however often and for however many series a state is taken.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias
from weakref import ref

import numpy as np

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import DAMAGE, MAX_STATE_BYTES, MAX_TEXT_BYTES, AnyArray, Leaf, State, to_state
from autoencoder.core.types import is_frozen

Put: TypeAlias = Callable[[str, Callable[[], bytes]], object]  # is given the digest of a piece, and what makes its content
Get: TypeAlias = Callable[[str], bytes]  # the content of a piece; KeyError where there is none

DIGITS = 32  # of a digest
LEAST_BYTES = 512  # of an array that is a piece of its own
CODEC = "zstd"
_DIGESTS: dict[int, tuple[ref[AnyArray], str]] = {}  # of arrays in which nobody can write, by their ids


def take_apart(state: State, put: Put, compression: int = 1) -> bytes:
    """State -> all of it but its larger arrays, as bytes; ``put`` takes these. Level of ``compression``: 0 is none."""

    def plain(value: Leaf | State) -> object:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        if value.nbytes < LEAST_BYTES:
            return [value.dtype.str, value.shape, value.tobytes().hex()]
        digest = _digest(value)
        put(digest, partial(_squeezed, value))
        return [value.dtype.str, value.shape, None, digest]

    return zlib.compress(json.dumps([plain(state)]).encode(), compression)


def _digest(array: AnyArray) -> str:
    """Digest of the content of an array."""
    known = _DIGESTS.get(id(array))
    if known and known[0]() is array:
        return known[1]
    digest = "z" + hashlib.sha256(array.tobytes()).hexdigest()[1:DIGITS]  # not that of a piece that an older program has left
    if is_frozen(array):
        place = id(array)
        _DIGESTS[place] = ref(array, lambda _: _DIGESTS.pop(place, None)), digest
    return digest


def _squeezed(array: AnyArray) -> bytes:
    """The numbers of an array, compressed: first the first bytes of all, which are alike, then the second ones, and so on."""
    import pyarrow

    columns = np.ascontiguousarray(np.frombuffer(array.tobytes(), np.uint8).reshape(-1, array.itemsize).T)
    content: bytes = pyarrow.compress(columns.tobytes(), CODEC, asbytes=True)
    return content


def _expanded(content: bytes, size: int, item: int) -> bytes:
    """What ``_squeezed`` was given, of so many bytes, ``item`` a number."""
    import pyarrow

    columns = np.frombuffer(pyarrow.decompress(content, size, CODEC, asbytes=True), np.uint8)
    return columns.reshape(item, -1).T.tobytes()


def put_together(data: bytes, get: Get, name: str) -> State:
    """What ``take_apart`` made -> the state; ``name`` is what errors speak of.

    Raises:
        ModelFileError: it is damaged, or a piece is missing.
    """
    room = MAX_STATE_BYTES  # of all its arrays, whatever its pieces expand to

    def array_of(kind: str, shape: list[int], text: str | None, digest: str = "") -> AnyArray:
        nonlocal room
        if not re.fullmatch(r"[<|][fiub]\d", kind):
            raise ValueError("holds an array of no plain numbers")
        item = np.dtype(kind).itemsize
        size = math.prod(shape) * item
        room -= size
        if size < 0 or room < 0:
            raise ValueError("holds more than any state")
        content = bytes.fromhex(text) if text is not None else _expanded(get(digest), size, item)
        return np.frombuffer(content, kind).reshape(shape)

    def state_of(tree: dict[str, Any]) -> State:
        return {key: value_of(value) for key, value in tree.items()}

    def value_of(value: Any) -> Leaf | State:
        if isinstance(value, dict):
            return state_of(value)
        return array_of(*value) if isinstance(value, list) else value

    def older(node: dict[str, Any]) -> AnyArray:
        content = get(node["piece"]).hex() if "piece" in node else node["content"]
        return array_of(node["array"], node["shape"], content)

    try:
        tree = json.loads(zlib.decompressobj().decompress(data, MAX_TEXT_BYTES))
        return to_state(tree, older) if isinstance(tree, dict) else state_of(*tree)
    except (*DAMAGE, RecursionError) as error:
        raise ModelFileError(f"{name} is damaged ({type(error).__name__}); copy the run folder again or train again") from error
