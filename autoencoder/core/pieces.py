"""Pieces: a state in two parts, what is small or changes with every point, and large arrays, each under the digest of its content.

Most of what a detector remembers stays as it is from point to point, and much of it is the same in all series of a model. Under its digest
an array is written once, however often and for however many series a state is taken.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import DAMAGE, MAX_TEXT_BYTES, AnyArray, Leaf, State, to_state

Put: TypeAlias = Callable[[str, bytes], object]  # keeps the content of a piece under its digest
Get: TypeAlias = Callable[[str], bytes]  # the content of a piece; KeyError where there is none

DIGITS = 32  # of a digest
LEAST_BYTES = 512  # of an array that is a piece of its own


def take_apart(state: State, put: Put) -> bytes:
    """State -> all of it but its larger arrays, as bytes; ``put`` takes these."""

    def plain(value: Leaf | State) -> dict[str, object]:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if not isinstance(value, np.ndarray):
            return {"value": value}
        content = value.tobytes()
        if len(content) < LEAST_BYTES:
            return {"array": value.dtype.str, "shape": value.shape, "content": content.hex()}
        digest = hashlib.sha256(content).hexdigest()[:DIGITS]
        put(digest, content)
        return {"array": value.dtype.str, "shape": value.shape, "piece": digest}

    return zlib.compress(json.dumps(plain(state)).encode(), 1)


def put_together(data: bytes, get: Get, name: str) -> State:
    """What ``take_apart`` made -> the state; ``name`` is what errors speak of.

    Raises:
        ModelFileError: it is damaged, or a piece is missing.
    """

    def array_of(node: dict[str, Any]) -> AnyArray:
        content = get(node["piece"]) if "piece" in node else bytes.fromhex(node["content"])
        if not re.fullmatch(r"[<|][fiub]\d", node["array"]):
            raise ValueError("holds an array of no plain numbers")
        return np.frombuffer(content, node["array"]).reshape(node["shape"])

    try:
        return to_state(json.loads(zlib.decompressobj().decompress(data, MAX_TEXT_BYTES)), array_of)
    except (*DAMAGE, RecursionError) as error:
        raise ModelFileError(f"{name} is damaged ({type(error).__name__}); copy the run folder again or train again") from error
