"""Pieces: what is taken apart comes back; equal arrays are one piece, and what is damaged is refused."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pyarrow
import pytest
from hypothesis import given

from autoencoder.core.errors import ModelFileError
from autoencoder.core.pieces import put_together, take_apart
from autoencoder.core.state import State
from autoencoder.core.types import frozen, is_frozen
from core.test_state import assert_same, quick, states

LARGE: State = {
    "a": np.arange(100.0),
    "b": {"again": np.arange(100.0), "small": np.arange(3), "wide": np.eye(20, dtype=np.float32).T},
}


def taken_apart(state: State) -> tuple[bytes, dict[str, bytes]]:
    """What is small, and the pieces."""
    pieces: dict[str, bytes] = {}
    part = take_apart(state, lambda digest, content: pieces.setdefault(digest, content()))
    return part, pieces


@quick
@given(state=states)
def test_round_trip(state: State) -> None:
    part, pieces = taken_apart(state)
    assert_same(put_together(part, pieces.__getitem__, "x"), state)


def test_an_array_has_the_same_pieces_wherever_it_stands() -> None:
    part, pieces = taken_apart(LARGE)
    assert pieces.keys() == taken_apart({"a": LARGE["a"]})[1].keys() | taken_apart({"b": LARGE["b"]})[1].keys()
    assert taken_apart({"a": LARGE["a"]})[1].keys() & taken_apart({"b": LARGE["b"]})[1].keys()
    assert len(part) < 500
    assert_same(put_together(part, pieces.__getitem__, "x"), LARGE)


STREAMS = {
    "noise": np.random.default_rng(0).normal(size=(3000, 1)),
    "two columns": np.random.default_rng(1).normal(size=(3000, 2)),
    "counts": np.random.default_rng(2).integers(0, 40, (3000, 1)).astype(float),
    "a constant": np.ones((3000, 1)),
    "times": np.arange(3000) * 60_000_000_000,
}


@pytest.mark.parametrize("newest", [None, 1000], ids=["all", "the newest 1,000"])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_of_the_points_of_a_stream_only_the_ends_are_new(stream: np.ndarray, newest: int | None) -> None:
    known: dict[str, bytes] = {}
    new = []
    for stop in range(1500, 1600, 4):
        kept = stream[:stop][-newest:] if newest else stream[:stop]
        part, pieces = taken_apart({"a": kept})
        new.append(sum(len(content) for digest, content in pieces.items() if digest not in known))
        known |= pieces
        assert_same(put_together(part, known.__getitem__, "x"), {"a": kept})
    assert np.median(new[1:]) < max(new[0] / 3, 100)  # bytes


CLOSE = {
    "times by the minute": (np.arange(3000) * 60_000_000_000, 0.05),
    "times that come when they like": (np.random.default_rng(0).integers(0, 10**10, 3000).cumsum(), 4.6),
    "sorted blocks": (np.sort(np.random.default_rng(1).integers(0, 1000, (10, 300)).astype(np.int16)).ravel(), 0.7),
    "sorted, in single precision": (np.sort(np.random.default_rng(2).normal(size=3000)).astype(np.float32), 3.2),
    "windows that are alike": (np.random.default_rng(3).normal(size=(3000, 1)).cumsum(axis=0).astype(np.int8), 0.4),
}


@pytest.mark.parametrize(("numbers", "most"), CLOSE.values(), ids=CLOSE)
def test_numbers_that_lie_close_take_less_room(numbers: np.ndarray, most: float) -> None:
    part, pieces = taken_apart({"a": numbers})
    assert sum(map(len, pieces.values())) < most * len(numbers)  # bytes
    assert_same(put_together(part, pieces.__getitem__, "x"), {"a": numbers})


def test_numbers_that_cannot_be_cut_are_one_piece() -> None:
    switches = np.arange(3000.0) % 2
    assert len(taken_apart({"a": switches})[1]) == 1


def test_an_array_is_looked_at_again_unless_nobody_can_write_in_it() -> None:
    values, fixed = np.arange(100.0), frozen(np.arange(100.0))
    seen = np.broadcast_to(values, (2, 100))  # which cannot be written in, but its base can
    part, pieces = taken_apart({"a": fixed})
    saved = put_together(part, pieces.__getitem__, "x")["a"]
    assert is_frozen(fixed) and is_frozen(saved) and not is_frozen(values) and not is_frozen(seen)
    before = [taken_apart({"a": each})[0] for each in (values, fixed, seen)]
    values[3] = -1.0
    after = [taken_apart({"a": each})[0] for each in (values, fixed, seen)]
    assert [first == second for first, second in zip(before, after, strict=True)] == [False, True, False]


def test_states_of_an_older_program_are_read() -> None:
    content = np.arange(100.0).tobytes()
    tree = {
        "n": {"value": 3},
        "part": {
            "large": {"array": "<f8", "shape": [100], "piece": "p"},
            "small": {"array": "|i1", "shape": [2], "content": "0102"},
        },
    }
    state = put_together(zlib.compress(json.dumps(tree).encode()), {"p": content}.__getitem__, "x")
    assert_same(state, {"n": 3, "part": {"large": np.arange(100.0), "small": np.array([1, 2], np.int8)}})
    tree = [{"large": ["<f8", [100], None, "z"], "small": ["|i1", [2], "0102"]}]  # of one that did not cut arrays
    squeezed = pyarrow.compress(np.arange(100.0).view(np.uint8).reshape(100, 8).T.tobytes(), "zstd", asbytes=True)
    state = put_together(zlib.compress(json.dumps(tree).encode()), {"z": squeezed}.__getitem__, "x")
    assert_same(state, {"large": np.arange(100.0), "small": np.array([1, 2], np.int8)})
    arrays: State = {"noise": np.sin(np.arange(400.0)), "times": np.arange(400) * 60, "codes": np.arange(600).astype(np.int8)}
    digests: list[str] = []
    take_apart(arrays, lambda digest, content: digests.append(digest), older=True)
    names = "zd17dff3 z4957293 z9741c0d zd184cc5 z887bdbe z257b11a z53445f8 z95fbf21 z524f737 ze83b149 zb3a0710 z3c840fb"
    assert [digest[:8] for digest in digests] == names.split()  # as it gave them


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"no zlib",
        zlib.compress(b"[]"),
        zlib.compress(b'{"a": {"array": "|O1", "shape": [1], "content": "00"}}'),
        zlib.compress(b'{"a": {"array": "<f8", "shape": [2], "content": "0000000000000000"}}'),
        zlib.compress(b'{"a": {"array": "<f8", "shape": [1], "piece": "gone"}}'),
        zlib.compress(b'[{"a": ["|O1", [1], "00"]}]'),
        zlib.compress(b'[{"a": ["<f8", [2], "0000000000000000"]}]'),
        zlib.compress(b'[{"a": ["<f8", [1], null, "gone"]}]'),
        zlib.compress(b'[{"a": ["<f8", [1], null, "text"]}]'),
        zlib.compress(b'[{"a": ["<f8", [99999999999], null, "text"]}]'),
        zlib.compress(b'[{"a": ["<f8", [-1], null, "text"]}]'),
        zlib.compress(b'[{"a": ["<f8", [1], [1], "text"]}]'),
        zlib.compress(b'[{"a": ["<f8", [1], [1, 0], "text"]}]'),
        zlib.compress(b'[{"a": ["<f8", [2], [1], "text"]}]'),
        zlib.compress(b'[{"a": ["<f8", [1], [2, -1], "text", "text"]}]'),
        zlib.compress(b'[{"a": ["<f8", [1], ["1"], "text"]}]'),
        zlib.compress(b'[{"a": []}]'),
        zlib.compress(b"[{}, {}]"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b'{"a": "' + bytes(1 << 24) + b'"}'),
    ],
)
def test_damage_is_refused(part: bytes) -> None:
    with pytest.raises(ModelFileError, match="x is damaged"):
        put_together(part, {"text": b"no zstd"}.__getitem__, "x")


def test_pieces_that_expand_to_more_than_any_state_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    part, pieces = taken_apart({"a": np.zeros(1000), "b": np.zeros(1000), "c": np.zeros(1000)})
    monkeypatch.setattr("autoencoder.core.pieces.MAX_STATE_BYTES", 3 * 8000)
    put_together(part, pieces.__getitem__, "x")
    monkeypatch.setattr("autoencoder.core.pieces.MAX_STATE_BYTES", 3 * 8000 - 1)
    with pytest.raises(ModelFileError, match="x is damaged"):
        put_together(part, pieces.__getitem__, "x")
