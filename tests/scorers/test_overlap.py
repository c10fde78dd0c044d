"""Overlap: folded windows come back to the number, take less room where they overlap, and what is damaged is refused."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import State
from autoencoder.scorers.overlap import fold, unfold

WIDTH = 24


def windows(count: int, every: int, seed: int) -> npt.NDArray[np.int8]:
    """Overlapping windows, each with a centre and a scale of its own."""
    stream = np.random.default_rng(seed).normal(size=count * every + WIDTH).cumsum()
    cut = np.lib.stride_tricks.sliding_window_view(stream, WIDTH)[::every][:count]
    scaled = (cut - cut.mean(axis=1, keepdims=True)) / cut.std(axis=1, keepdims=True)
    return np.rint(np.clip(scaled * 40, -127, 127)).astype(np.int8)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    count=st.integers(0, 40), lag=st.integers(0, 45), shift=st.integers(0, 30), every=st.integers(1, 5), seed=st.integers(0, 99)
)
def test_round_trip(count: int, lag: int, shift: int, every: int, seed: int) -> None:
    """Whether the windows overlap as they are said to or not."""
    noise = np.random.default_rng(seed).integers(-128, 128, (count, WIDTH)).astype(np.int8)
    for codes in (windows(count, every, seed), noise):
        np.testing.assert_array_equal(unfold(fold(codes, lag, shift), WIDTH, "x"), codes)


def test_windows_of_an_older_program_are_read() -> None:
    codes = windows(40, 2, seed=0)
    folded = fold(codes, 3, 6)
    first, newest = np.split(np.asarray(folded.pop("first")), [3 * WIDTH])
    line, rest = np.split(np.asarray(folded.pop("later")), [2 * 37])
    folded["new"] = np.concatenate([first.reshape(WIDTH, 3).T.ravel(), newest.reshape(6, 37).T.ravel()])
    folded["told"] = np.concatenate([line, rest.reshape(WIDTH - 6, 37).T.ravel()])
    np.testing.assert_array_equal(unfold(folded, WIDTH, "x"), codes)


def test_windows_that_overlap_take_less_room() -> None:
    codes = windows(400, 2, seed=0)
    folded = fold(codes, 1, 2)
    size = sum(len(zlib.compress(np.asarray(folded[key]).tobytes())) for key in ("first", "later"))
    assert size < 0.5 * len(zlib.compress(codes.tobytes()))


@pytest.mark.parametrize(
    "change",
    [
        {"count": 9},
        {"count": -1},
        {"lag": 0},
        {"lag": 12},
        {"shift": 0},
        {"shift": WIDTH + 1},
        {"first": np.zeros(3, np.int8)},
        {"later": np.zeros(3)},
        {"later": np.full(8 * WIDTH, 500, np.int16)},
    ],
)
def test_damage_is_refused(change: State) -> None:
    with pytest.raises(ModelFileError, match="the saved state of x cannot be used"):
        unfold({**fold(windows(10, 2, seed=1), 2, 2), **change}, WIDTH, "x")
