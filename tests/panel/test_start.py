"""The start of a series that uses a saved model: what is told does not depend on chunks, and a damaged state is refused."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.chunks import FEW
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.detector import StreamDetector
from autoencoder.panel.start import ModelStart
from autoencoder.profile import StreamProfile
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.thresholds.budget import Budget
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold

HOUR, BEGIN = np.timedelta64(1, "h"), np.datetime64("2024-01-01", "ns")
VALUES = np.sin(2 * np.pi * np.arange(600) / 24)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(600, 1))


def times(first: int, last: int) -> np.ndarray:
    return BEGIN + np.arange(first, last) * HOUR


def trained() -> StreamDetector:
    detector = StreamDetector(WindowedGaussianScorer(window=64), PeaksOverThreshold, Budget.parse(0.01), 300)
    detector.process(times(0, 300), VALUES[:300])
    return detector


@FEW
@given(st.lists(st.integers(1, 299), max_size=6), st.booleans())
def test_the_notes_are_those_of_the_whole(cuts: list[int], begins_early: bool) -> None:
    detector = trained()
    time = times(100, 400) if begins_early else times(300, 600)
    values = 1000 * VALUES[300:]
    values[::7] = np.nan
    start, told = ModelStart(lambda: detector.profile, ["cpu"]), []
    for part in np.split(np.arange(300), sorted(cuts)):
        told += start.update(detector, time[part], values[part])
        again = ModelStart(lambda: detector.profile, ["cpu"])
        again.load(unpack(pack(start.state()), "x"))
        start = again
    told += start.finish()
    assert told == start.notes
    assert start.is_cold == begins_early
    assert [note.split()[0] for note in told] == (["begins"] if begins_early else []) + ["cpu"]


def test_a_stretch_of_the_same_stream_is_like_it() -> None:
    profile = trained().profile
    assert profile and profile.period == 24
    for first in (300, 330, 390):
        assert not list(profile.unlike(StreamProfile.of(times(first, first + 200), VALUES[first : first + 200]), ["cpu"], 200))


def test_columns_that_are_never_complete_in_the_same_row() -> None:
    """Two sensors polled in turn: each is compared by its own values; a third that is silent has none to compare."""
    values = np.column_stack([VALUES, VALUES + 50])
    values[::2, 0] = values[1::2, 1] = np.nan
    detector = StreamDetector(WindowedGaussianScorer(window=64), PeaksOverThreshold, Budget.parse(0.01), 300)
    detector.process(times(0, 300), values[:300])
    assert detector.profile and detector.profile.period == 24
    assert [round(level) for level in detector.profile.levels[2]] == [0, 50]
    silent = np.column_stack([values, np.full(600, np.nan)])
    profile = StreamProfile.load(StreamProfile.of(times(0, 300), silent[:300]).state(), 3)
    told = []
    for later in (silent[300:], silent[300:] * [1, 100, 1]):
        start = ModelStart(lambda: profile, ["cpu", "memory", "disk"])
        told.append([note.split()[0] for note in start.update(detector, times(300, 600), later) + start.finish()])
    assert told == [[], ["memory"]]


def test_a_damaged_state_is_refused() -> None:
    start = ModelStart(lambda: trained().profile, ["cpu"])
    for key, value in (("notes", "{"), ("values", np.zeros((3, 2))), ("has_begun", 3)):
        with pytest.raises(ModelFileError):
            start.load({**start.state(), key: value})
