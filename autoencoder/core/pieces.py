"""Pieces: a state in two parts, what is small or changes with every point, and large arrays, each under the digest of its content.

Most of what a detector remembers stays as it is from point to point, and much of it is the same in all series of a model. Under its digest
an array is written once, however often and for however many series a state is taken.

The newest points of a stream are an array of which all moves on with every point. An array of numbers is therefore cut where the numbers
themselves say so, as a file system for slow networks cuts files (Muthitacharoen et al. 2001, doi 10.1145/502034.502052): its parts move
with them, and all but the first and the last are what they were. Of numbers that lie close to those before them, such as times, the
differences are saved.
"""

from __future__ import annotations

import hashlib
import itertools
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
NUMBER = "<f8"  # between which an array is cut; smaller ones belong to windows, which come and go as a whole
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio: numbers times it have high bits that look random
CUT = np.uint64(56)  # of 64 bits, which a number must not reach to begin a part: one in 256 does
OLDER_CUT = np.uint64(58)  # in fleet checkpoints up to format 5
LEAST_PART = 16  # numbers of a part
CLOSE = 0.5  # of their mean distance from their mean, which numbers lie from those before them, for their differences to be saved
# how a digest begins: not as that of a piece that an older program has left
PLAIN, DIFFERENCES = "z", "y"
Part: TypeAlias = tuple[int, str]  # numbers of a part of an array, and the digest of their bytes
_PARTS: dict[int, tuple[ref[AnyArray], list[Part]]] = {}  # of arrays in which nobody can write, by their ids


def take_apart(state: State, put: Put, compression: int = 1, *, older: bool = False) -> bytes:
    """State -> all of it but its larger arrays, as bytes; ``put`` takes these.

    Level of ``compression``: 0 is none. Where it is to be ``older``, arrays have the parts and digests of fleet checkpoints up to format 5.
    """

    def plain(value: Leaf | State) -> object:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        if value.nbytes < LEAST_BYTES:
            return [value.dtype.str, value.shape, value.tobytes().hex()]
        numbers, parts, begin = value.ravel(), _parts(value, older), 0
        for size, digest in parts:
            put(digest, partial(_squeezed, numbers[begin : begin + size], digest))
            begin += size
        return [value.dtype.str, value.shape, [size for size, _ in parts], *(digest for _, digest in parts)]

    return zlib.compress(json.dumps([plain(state)]).encode(), compression)


def _parts(array: AnyArray, older: bool) -> list[Part]:
    """The parts of an array, in C order."""
    known = _PARTS.get(id(array))
    if known and known[0]() is array and not older:
        return known[1]
    numbers = array.ravel()
    edges = [*_begins(numbers, older), len(numbers)]
    parts = [(stop - start, _digest(numbers[start:stop], older)) for start, stop in itertools.pairwise(edges)]
    if is_frozen(array) and not older:
        place = id(array)
        _PARTS[place] = ref(array, lambda _: _PARTS.pop(place, None)), parts
    return parts


def _digest(part: AnyArray, older: bool) -> str:
    bits = _bits(part).astype(np.float64)
    is_close = not older and np.abs(np.diff(bits)).sum() < CLOSE * np.abs(bits - bits.mean()).sum()
    return (DIFFERENCES if is_close else PLAIN) + hashlib.sha256(part.tobytes()).hexdigest()[1:DIGITS]


def _bits(numbers: AnyArray) -> AnyArray:
    """Numbers as whole ones of the same bytes, which lie close where positive ones do."""
    return numbers.view(f"<i{numbers.itemsize}")


def _begins(numbers: AnyArray, older: bool) -> list[int]:
    """Where the parts of numbers (N,) begin."""
    begins = [0]
    if numbers.dtype == NUMBER or (older and numbers.itemsize == 8):
        bits = numbers.view(np.uint64)
        before, here = bits[:-1], bits[1:]  # two, as there are few numbers where all are rounded
        begins_part = (here + np.uint64(3) * before) * MIX >> (OLDER_CUT if older else CUT) == 0
        begins_part &= here != before  # a stretch of one number is one part
        for place in (np.flatnonzero(begins_part) + 1).tolist():
            if min(place - begins[-1], len(numbers) - place) >= LEAST_PART:
                begins.append(place)
    return begins


def _squeezed(numbers: AnyArray, digest: str) -> bytes:
    """Numbers, compressed as their digest says: first the first bytes of all, which are alike, then the second ones, and so on."""
    import pyarrow

    if digest.startswith(DIFFERENCES):
        numbers = np.diff(_bits(numbers), prepend=_bits(numbers)[:1] * 0)
    columns = np.ascontiguousarray(np.frombuffer(numbers.tobytes(), np.uint8).reshape(-1, numbers.itemsize).T)
    content: bytes = pyarrow.compress(columns.tobytes(), CODEC, asbytes=True)
    return content


def _expanded(content: bytes, digest: str, size: int, item: int) -> bytes:
    """What ``_squeezed`` was given, of so many bytes, ``item`` a number."""
    import pyarrow

    columns = np.frombuffer(pyarrow.decompress(content, size, CODEC, asbytes=True), np.uint8)
    numbers = columns.reshape(item, -1).T.tobytes()
    if digest.startswith(DIFFERENCES):
        kind = np.dtype(f"<i{item}")
        numbers = np.cumsum(np.frombuffer(numbers, kind), dtype=kind).tobytes()
    return numbers


def put_together(data: bytes, get: Get, name: str) -> State:
    """What ``take_apart`` made -> the state; ``name`` is what errors speak of.

    Raises:
        ModelFileError: it is damaged, or a piece is missing.
    """
    room = MAX_STATE_BYTES  # of all its arrays, whatever its pieces expand to

    def array_of(kind: str, shape: list[int], content: str | list[int] | None, *digests: str) -> AnyArray:
        nonlocal room
        if not re.fullmatch(r"[<|][fiub]\d", kind):
            raise ValueError("holds an array of no plain numbers")
        item = np.dtype(kind).itemsize
        size = math.prod(shape) * item
        room -= size
        if size < 0 or room < 0:
            raise ValueError("holds more than any state")
        if isinstance(content, str):
            return np.frombuffer(bytes.fromhex(content), kind).reshape(shape)
        counts = content or [size // item]  # none in what an older program has left
        if sum(counts) * item != size or min(counts) < 0:
            raise ValueError("has parts of another size than all of it")
        parts = [_expanded(get(digest), digest, count * item, item) for count, digest in zip(counts, digests, strict=True)]
        return np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), kind).reshape(shape)

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
