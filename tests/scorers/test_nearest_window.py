"""The nearest window against its plain twin."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import naive
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.scorers.base import Array
from autoencoder.scorers.nearest_window import BLOCK, EVERY, NearestWindow

quick = settings(deadline=None, max_examples=30, derandomize=True)
DIMENSION = 6


def windows(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION))


def fitted(size: int = 60, lag: int = 30, seed: int = 0) -> NearestWindow:
    memory = NearestWindow(size, DIMENSION, lag)
    memory.fit(windows(20, seed), gap=2)
    return memory


def test_distances_equal_naive_twin() -> None:
    """While the memory fills, and after."""
    stream = windows(900, seed=1)
    expected = naive.nearest_remembered(stream, list(windows(20, 0)), size=20 + 60 // 3, lag=30, block=BLOCK, every=EVERY)
    np.testing.assert_allclose(fitted().compare(stream), expected, atol=0.03)  # the memory holds rounded windows


def test_training_neighbours_are_left_out() -> None:
    training = windows(12, seed=3)
    distances = NearestWindow(100, DIMENSION, 1).fit(training, gap=3)
    expected = [
        min(np.sqrt(np.mean((one - other) ** 2)) for place, other in enumerate(training) if abs(place - row) >= 3)
        for row, one in enumerate(training)
    ]
    np.testing.assert_allclose(distances, expected, atol=0.03)


@quick
@given(cuts=st.lists(st.integers(0, 300), max_size=6), stop=st.integers(0, 300))
def test_cuts_and_reload_change_no_bit(cuts: list[int], stop: int) -> None:
    stream = windows(300, seed=2)
    whole = fitted().compare(stream)
    memory = fitted()
    np.testing.assert_array_equal(np.concatenate([memory.compare(piece) for piece in np.split(stream, sorted(cuts))]), whole)
    first, second = fitted(), NearestWindow(60, DIMENSION, 30)
    head = first.compare(stream[:stop])
    second.load(unpack(pack(first.state()), "memory"))
    np.testing.assert_array_equal(np.concatenate([head, second.compare(stream[stop:])]), whole)


def test_larger_memory_is_refused() -> None:
    with pytest.raises(ModelFileError, match=r"20 \+ 0 windows; this program keeps 10"):
        NearestWindow(10, DIMENSION, 30).load(fitted().state())
