"""The baseline of a cold start, and what the memory of the autoencoder leaves out."""

from __future__ import annotations

import numpy as np
from adaptation.helpers import wave
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array
from autoencoder.scorers.novelty import WindowMemory
from autoencoder.scorers.seasonal import SeasonalScorer

quick = settings(deadline=None, max_examples=3, derandomize=True)


@quick
@given(cuts=st.lists(st.integers(0, 500), max_size=10), place=st.integers(50, 500))
def test_seasonal_scorer_is_chunk_invariant(cuts: list[int], place: int) -> None:
    values = wave(500, 24)
    values[::37] = np.nan

    def fresh() -> SeasonalScorer:
        scorer = SeasonalScorer()
        scorer.fit(values[:50])
        return scorer

    errors, predictions = fresh().process(values)
    cut = fresh()
    np.testing.assert_array_equal(np.concatenate([cut.process(part)[0] for part in np.split(values, sorted(cuts))]), errors)
    first, second = fresh(), SeasonalScorer()
    first.process(values[:place])
    second.load(unpack(pack(first.state()), "x"), {})
    np.testing.assert_array_equal(second.process(values[place:])[1], predictions[place:])
    assert np.nanmedian(np.abs(predictions[200:] - values[200:])) < 0.3


def test_memory_excludes_anomalies() -> None:
    def memory(flagged: bool) -> Array:
        made = WindowMemory(512, 8, lag=16, quarantine=True)
        made.fit(np.random.default_rng(0).normal(size=(200, 8)) * 0.1, exclude=4)
        odd = np.full((64, 8), 2.0)
        for part in (odd, np.zeros((64, 8)), np.zeros((64, 8)), np.zeros((64, 8))):
            made.compare(part)
            made.judge(np.full(64, flagged and part is odd))
        return made.compare(odd)

    assert memory(flagged=False).max() < 0.1
    assert memory(flagged=True).min() > 1.0
