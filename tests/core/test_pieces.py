"""Pieces: what is taken apart comes back; equal arrays are one piece, and what is damaged is refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given

from autoencoder.core.errors import ModelFileError
from autoencoder.core.pieces import put_together, take_apart
from autoencoder.core.state import State
from core.test_state import assert_same, quick, states

LARGE: State = {
    "a": np.arange(100.0),
    "b": {"again": np.arange(100.0), "small": np.arange(3), "wide": np.eye(20, dtype=np.float32).T},
}


@quick
@given(state=states)
def test_round_trip(state: State) -> None:
    pieces: dict[str, bytes] = {}
    assert_same(put_together(take_apart(state, pieces.__setitem__), pieces.__getitem__, "x"), state)


def test_an_array_is_one_piece_wherever_it_stands() -> None:
    pieces: dict[str, bytes] = {}
    part = take_apart(LARGE, pieces.__setitem__)
    assert len(pieces) == 2 and len(part) < 400
    assert_same(put_together(part, pieces.__getitem__, "x"), LARGE)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"no zlib",
        zlib.compress(b"[]"),
        zlib.compress(b'{"a": {"array": "|O1", "shape": [1], "content": "00"}}'),
        zlib.compress(b'{"a": {"array": "<f8", "shape": [2], "content": "0000000000000000"}}'),
        zlib.compress(b'{"a": {"array": "<f8", "shape": [1], "piece": "gone"}}'),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b'{"a": "' + bytes(1 << 24) + b'"}'),
    ],
)
def test_damage_is_refused(part: bytes) -> None:
    with pytest.raises(ModelFileError, match="x is damaged"):
        put_together(part, {}.__getitem__, "x")
