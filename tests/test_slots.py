"""Rows become slots of the stream's own interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array
from autoencoder.detector import StreamDetector
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.slots import SlotFiller
from autoencoder.thresholds.budget import Budget
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold

DAY, TRAINING = 24, 240
HOURS = np.datetime64("2024-03-04", "ns") + np.arange(2000) * np.timedelta64(1, "h")
VALUES = (50 + 20 * np.sin(2 * np.pi * np.arange(2000) / DAY))[:, None]


def fitted(values: Array = VALUES) -> SlotFiller:
    filler = SlotFiller()
    filler.fit(HOURS[:TRAINING], values[:TRAINING])
    return filler


@pytest.mark.parametrize("gap", [1, 5, DAY, 2 * DAY, 2 * DAY + 7, 40 * DAY + 3])
def test_a_gap_keeps_the_phase(gap: int) -> None:
    filler = fitted()
    after = slice(TRAINING + gap, TRAINING + gap + 30)
    slots, ends = filler.process(HOURS[after], VALUES[after])
    assert ends is not None
    inserted = len(slots) - 30
    assert inserted == gap if gap <= 2 * DAY else inserted < 3 * DAY
    assert (gap - inserted) % DAY == 0
    np.testing.assert_array_equal(ends, inserted + np.arange(1, 31))
    assert slots == pytest.approx(VALUES[TRAINING + gap - inserted : TRAINING + gap + 30])


def test_empty_rows_are_slots_of_their_own() -> None:
    values = VALUES[TRAINING : TRAINING + 50].copy()
    values[10:20] = np.nan
    slots, ends = fitted().process(HOURS[TRAINING : TRAINING + 50], values)
    assert ends is not None
    assert slots == pytest.approx(VALUES[TRAINING : TRAINING + 50])
    assert ends.tolist() == [*range(1, 51)]


@pytest.mark.parametrize("kind", ["irregular", "no times", "no season"])
def test_rows_are_slots_where_there_is_no_other_measure(kind: str) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 1)) if kind == "no season" else VALUES[:400]
    time = np.arange(400) if kind == "no times" else HOURS[:400]
    if kind == "irregular":
        time = np.sort(HOURS[0] + random.integers(0, 10**15, 400).astype("timedelta64[ns]"))
    filler = SlotFiller()
    filler.fit(time[:300], values[:300])
    rows = np.r_[300:320, 360:400]
    slots, ends = filler.process(time[rows], values[rows])
    assert ends is None
    assert slots is not None and len(slots) == len(rows)


def test_a_cell_is_filled_beside_the_others() -> None:
    values = np.hstack([VALUES, np.arange(2000.0)[:, None]])
    filler = fitted(values)
    rows = values[TRAINING : TRAINING + 3].copy()
    rows[1, 1] = np.nan
    slots, ends = filler.process(HOURS[TRAINING : TRAINING + 3], rows)
    assert ends is not None and ends.tolist() == [1, 2, 3]
    assert slots[:, 0] == pytest.approx(VALUES[TRAINING : TRAINING + 3, 0])
    assert not np.isnan(slots).any()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_pieces_and_a_saved_state_change_nothing(seed: int, cuts: list[int]) -> None:
    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(np.arange(TRAINING, 1200), 300, replace=False))
    values = np.hstack([VALUES, VALUES**2])[rows]
    values[random.uniform(size=values.shape) < 0.1] = np.nan
    make = lambda: fitted(np.hstack([VALUES, VALUES**2]))  # noqa: E731
    whole, _ = make().process(HOURS[rows], values)
    filler, parts = make(), []
    for piece in np.split(np.arange(300), sorted(cuts)):
        parts.append(filler.process(HOURS[rows[piece]], values[piece])[0])
        restored = SlotFiller()
        restored.load(unpack(pack(filler.state()), "x"))
        filler = restored
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_normal_rows_after_a_gap_are_not_flagged() -> None:
    random = np.random.default_rng(1)
    values = VALUES + random.normal(size=VALUES.shape)
    kept = np.r_[0:700, 707:1100, 1111:2000]
    detector = StreamDetector(WindowedGaussianScorer(window=DAY), PeaksOverThreshold, Budget.parse(0.001), TRAINING)
    detections = detector.process(HOURS[kept], values[kept])
    assert detections.anomalies.sum() <= 4
    assert len(detections) == len(kept)


def test_the_times_tell_of_a_day() -> None:
    """A season of 23.3 hours is one of 24 where the times tell, and the scorer is told, too."""
    random = np.random.default_rng(0)
    values = (50 + 20 * np.sin(2 * np.pi * np.arange(500) / 23.3) + random.normal(size=500))[:, None]
    periods = []
    for time in (HOURS[:500], np.arange(500)):
        detector = StreamDetector(WindowedGaussianScorer(window=DAY), PeaksOverThreshold, Budget.parse(0.01), 480)
        detector.process(time, values)
        assert detector.slots
        periods.append((detector.slots.state()["period"], detector.slots.day, detector.scorer.day))
    assert periods == [(24, 24, 24), (23, 0, 0)]


def test_a_coarser_stream_keeps_its_rows() -> None:
    """Minutes that come by the hour would have 59 empty slots before every row."""
    minutes = HOURS[0] + np.arange(TRAINING) * np.timedelta64(1, "m")
    filler = SlotFiller()
    filler.fit(minutes, VALUES[:TRAINING])
    hourly = minutes[-1] + np.arange(1, 1001) * np.timedelta64(1, "h")
    slots, _ = filler.process(hourly, VALUES[:1000])
    assert len(slots) < 6 * 1000
