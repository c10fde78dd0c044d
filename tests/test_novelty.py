"""Novelty: the window memory and the range seen against their plain twins."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelError
from autoencoder.core.state import pack, unpack
from autoencoder.scorers import seen_range
from autoencoder.scorers.base import Array
from autoencoder.scorers.novelty import BLOCK, EVERY, WindowMemory
from autoencoder.scorers.seen_range import FURTHER, USUAL, SeenRange

quick = settings(deadline=None, max_examples=30, derandomize=True)
DIMENSION = 6


def windows(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION))


def fitted(size: int = 40, lag: int = 30, seed: int = 0) -> tuple[WindowMemory, Array]:
    memory, training = WindowMemory(size, DIMENSION, lag), windows(20, seed)
    memory.fit(training, exclude=2)
    return memory, training


def test_distances_are_those_of_the_plain_twin_while_the_memory_fills_and_after() -> None:
    memory, training = fitted()
    stream = windows(900, seed=1)
    expected = naive.nearest_remembered(stream, list(training), size=40, lag=30, block=BLOCK, every=EVERY)
    np.testing.assert_allclose(memory.compare(stream), expected, atol=0.01)  # the memory holds rounded windows


def test_a_training_window_is_not_compared_with_its_neighbours() -> None:
    training = windows(12, seed=3)
    distances = WindowMemory(100, DIMENSION, 1).fit(training, exclude=3)
    expected = [
        min(np.sqrt(np.mean((one - other) ** 2)) for place, other in enumerate(training) if abs(place - row) >= 3)
        for row, one in enumerate(training)
    ]
    np.testing.assert_allclose(distances, expected, atol=0.01)


@quick
@given(cuts=st.lists(st.integers(0, 300), max_size=6), stop=st.integers(0, 300))
def test_cuts_and_a_reload_change_nothing_to_the_bit(cuts: list[int], stop: int) -> None:
    stream = windows(300, seed=2)
    whole = fitted()[0].compare(stream)
    memory = fitted()[0]
    pieces = [memory.compare(piece) for piece in np.split(stream, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    first, second = fitted()[0], WindowMemory(40, DIMENSION, 30)
    head = first.compare(stream[:stop])
    second.load(unpack(pack(first.state()), "memory"))
    np.testing.assert_array_equal(np.concatenate([head, second.compare(stream[stop:])]), whole)


def test_a_memory_larger_than_this_program_keeps_is_refused() -> None:
    state = fitted(size=40)[0].state()
    with pytest.raises(ModelError, match=r"20 \+ 0 windows; this program keeps 10"):
        WindowMemory(10, DIMENSION, 30).load(state)


@quick
@given(
    values=st.lists(st.floats(-50, 50), min_size=1, max_size=30),
    slope=st.sampled_from([0.0, 0.01, 2.0]),
    cut=st.integers(0, 300),
    stop=st.integers(0, 300),
)
def test_the_range_seen_is_that_of_the_plain_twin_however_it_is_cut(
    values: list[float], slope: float, cut: int, stop: int
) -> None:
    training = np.array([-1.0, 2.0, 0.5, 2.5, 2.0, 3.0])
    column = np.resize(values, 300) * np.random.default_rng(len(values)).uniform(size=300) + slope * np.arange(300)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seen_range, "RECENT", 90)  # steps are forgotten within the test
        seen, reloaded = SeenRange(), SeenRange()
        seen.fit(training[:, None])
        found = [seen.compare(part[:, None]) for part in np.split(column, sorted([cut, stop]))[:2]]
        reloaded.load(unpack(pack(seen.state()), "range"))
        found.append(reloaded.compare(column[max(cut, stop) :, None]))
    expected = naive.outside_the_range(column, training, recent=90, usual=USUAL, further=FURTHER, block=seen_range.BLOCK)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12, atol=1e-12)


def test_steps_outside_the_range_are_news_to_a_stream_that_keeps_to_it_and_none_to_one_that_rises() -> None:
    noise = np.random.default_rng(0).normal(size=3000)
    level, rising = SeenRange(), SeenRange()
    level.fit(noise[:1000, None])
    rising.fit((noise + 0.1 * np.arange(3000))[:1000, None])
    level.compare(noise[1000:2999, None])
    rising.compare((noise + 0.1 * np.arange(3000))[1000:2999, None])
    assert level.compare(np.array([[noise.max() + 1.0]]))[0] > 0.1
    assert rising.compare(np.array([[300.0 + 4.0]]))[0] == 0.0
    assert rising.compare(np.array([[600.0]]))[0] > 0.5
