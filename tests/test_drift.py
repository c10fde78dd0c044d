"""Drift or anomaly: what the monitor says of events that pass and of changes that stay, and what counts as unusual without a model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.adaptation.drift import ADWIN_ERROR, Drift, DriftMonitor, block_figures
from autoencoder.adaptation.season import unusual_rows
from autoencoder.benchmark.drift_streams import CHANGES, TRAINING, drift_stream
from autoencoder.core.state import pack, unpack
from autoencoder.scorers.base import Array

BLOCK, PATIENCE = 48, 10
quick = settings(deadline=None, max_examples=15, derandomize=True)


def wave(count: int, seed: int = 0, noise: float = 0.3, period: float = BLOCK) -> Array:
    random = np.random.default_rng(seed)
    return np.asarray(10 + 3 * np.sin(2 * np.pi * np.arange(count) / period) + random.normal(scale=noise, size=count))


def figures(values: Array, errors: Array | None = None, flags: np.ndarray | None = None) -> list[Array]:
    """Figures of the blocks of a stream; errors are those of a perfect model where none are given."""
    random = np.random.default_rng(1)
    errors = np.abs(random.normal(size=len(values))) if errors is None else errors
    flags = np.zeros(len(values), bool) if flags is None else flags
    columns = values[:, None]
    return [
        block_figures(columns[at : at + BLOCK], columns[at - BLOCK : at], errors[at : at + BLOCK], flags[at : at + BLOCK])
        for at in range(BLOCK, len(values) - BLOCK + 1, BLOCK)
    ]


def monitor(reference: Array | None = None) -> DriftMonitor:
    made = DriftMonitor(PATIENCE, 1)
    made.refer(np.array(figures(wave(40 * BLOCK, seed=7) if reference is None else reference)))
    return made


def detections(blocks: list[Array], watch: DriftMonitor | None = None) -> list[Drift | None]:
    watch = watch or monitor()
    return [watch.take(block) for block in blocks]


def changed(kind: str, at: int, length: int, count: int = 60 * BLOCK) -> Array:
    """A wave of which ``length`` points from ``at`` on are different."""
    values, rows = wave(count), slice(at, at + length)
    if kind == "level":
        values[rows] += 15
    elif kind == "scale":
        values[rows] = 10 + 4 * (values[rows] - 10)
    elif kind == "season":
        values[rows] = wave(count, period=29)[rows]
    else:
        values[rows] = 10.0
    return values


@pytest.mark.parametrize("kind", ["level", "scale", "season", "flat"])
def test_an_event_that_passes_is_no_drift(kind: str) -> None:
    assert not any(detections(figures(changed(kind, 20 * BLOCK, 300))))


@pytest.mark.parametrize("kind", ["level", "scale", "season"])
def test_a_change_that_stays_is_drift_once_patience_is_over_and_not_before(kind: str) -> None:
    found = detections(figures(changed(kind, 20 * BLOCK, 40 * BLOCK)))
    first = next(number for number, drift in enumerate(found) if drift)
    # block k of the figures is block k + 1 of the stream
    assert 20 + PATIENCE - 1 <= first + 1 <= 20 + PATIENCE + 2
    drift = found[first]
    assert drift and kind in drift.tests
    assert abs(drift.blocks - (first + 2 - 20)) <= 2


@pytest.mark.parametrize(("kind", "length"), [("flat", 450), ("high", 450), ("plateau", 450), ("noisy", 300)])
def test_an_event_amid_many_anomalies_is_no_drift_before_patience_is_over(kind: str, length: int) -> None:
    for seed in range(10):
        stream = drift_stream("none", 6000, seed)
        values, odd, at = stream.values.copy(), stream.labels.copy(), 3500 + 17 * seed
        rows, noise = slice(at, at + length), np.random.default_rng(seed).normal(size=length)
        event = {"flat": values[at], "high": 80 + noise / 2, "plateau": values[rows] + 10, "noisy": values[rows] + 3 * noise}
        values[rows], odd[rows] = event[kind], True
        assert not any(at < end < at + PATIENCE * BLOCK for end in drift_ends(values, odd, seed)), seed


def test_a_change_amid_many_anomalies_is_drift_within_three_windows_of_the_patience() -> None:
    for seed in range(10):
        stream = drift_stream("level shift", 6000, seed)
        assert stream.change
        odd = stream.labels.copy()
        odd[stream.change :] = True
        found = drift_ends(stream.values, odd, seed)
        assert PATIENCE * BLOCK <= found[0] - stream.change <= (PATIENCE + 2.5) * BLOCK, seed


def drift_ends(values: Array, odd: np.ndarray, seed: int) -> list[int]:
    """Ends of the blocks after which a stream whose points are flagged where they are ``odd`` has changed for good."""
    flags = np.convolve(odd, np.ones(BLOCK // 4))[: len(odd)] > 0  # they go on for a while after an anomaly
    errors = np.abs(np.random.default_rng(seed).normal(size=len(values))) * np.where(flags, 20.0, 1.0)
    skipped = TRAINING // BLOCK
    found = detections(figures(values, errors, flags)[skipped:], monitor(values[:TRAINING]))
    return [(skipped + number + 2) * BLOCK for number, drift in enumerate(found) if drift]


def test_values_that_never_settle_are_waited_for_twice_as_long() -> None:
    values = wave(60 * BLOCK)
    flags = np.zeros(len(values), bool)
    for number, first in enumerate(range(20 * BLOCK, len(values), 5 * BLOCK)):  # another level every five blocks
        values[first : first + 5 * BLOCK] += 40 * (-1) ** number
        flags[first : first + 5 * BLOCK] = True
    found = detections(figures(values, flags=flags))
    first = next(number for number, drift in enumerate(found) if drift)
    assert 20 + 2 * PATIENCE - 1 <= first + 1 <= 20 + 2 * PATIENCE


def test_errors_that_rise_for_good_are_drift_and_smaller_ones_are_not() -> None:
    values = wave(60 * BLOCK)
    errors = np.abs(np.random.default_rng(3).normal(size=len(values)))
    for factor, expected in ((3.0, True), (0.3, False)):
        risen = errors.copy()
        risen[30 * BLOCK :] *= factor
        assert any(detections(figures(values, risen))) is expected


def test_adwin_finds_a_rise_too_small_to_make_single_blocks_odd() -> None:
    values = wave(200 * BLOCK)
    errors = np.abs(np.random.default_rng(3).normal(size=len(values)))
    errors[60 * BLOCK :] *= 1.5
    found = [drift for drift in detections(figures(values, errors)) if drift]
    assert found and found[0].tests == (ADWIN_ERROR,)


def test_alarms_that_go_on_are_drift_whatever_the_values_say() -> None:
    values, flags = wave(60 * BLOCK), np.zeros(60 * BLOCK, bool)
    flags[30 * BLOCK :: 5] = True
    found = [drift for drift in detections(figures(values, flags=flags)) if drift]
    assert found and found[0].tests == ("alarms",)


@quick
@given(seed=st.integers(0, 200))
def test_a_stream_that_does_not_change_shows_no_drift(seed: int) -> None:
    assert not any(detections(figures(wave(150 * BLOCK, seed=seed))))


@quick
@given(place=st.integers(0, 55))
def test_a_loaded_monitor_goes_on_exactly(place: int) -> None:
    blocks = figures(changed("level", 20 * BLOCK, 40 * BLOCK))
    whole, first = monitor(), monitor()
    expected = detections(blocks, whole)
    detections(blocks[:place], first)
    second = DriftMonitor(PATIENCE, 1)
    second.load(unpack(pack(first.state()), "x"))
    assert detections(blocks[place:], second) == expected[place:]


def test_a_missing_part_of_a_state_is_told() -> None:
    from autoencoder.core.errors import ModelError

    state = monitor().state()
    del state["figures"]
    with pytest.raises(ModelError, match="figures is missing"):
        DriftMonitor(PATIENCE, 1).load(state)


# --- unusual rows ---


def test_rows_of_an_anomaly_are_unusual_and_the_others_are_not() -> None:
    values = wave(1000)
    values[300], values[500:530] = 20, values[500:530] + 6
    unusual = unusual_rows(values[:, None])
    assert unusual[300] and unusual[500:530].all()
    assert unusual.mean() < 0.08


@pytest.mark.parametrize(
    "values",
    [np.ones((200, 1)), np.arange(200.0)[:, None], np.empty((0, 1)), np.random.default_rng(0).normal(size=(200, 2))],
)
def test_streams_without_a_season_have_few_unusual_rows(values: Array) -> None:
    assert unusual_rows(values).sum() <= 0.05 * len(values)


# --- the streams of the benchmark ---


@pytest.mark.parametrize("kind", CHANGES)
def test_a_stream_of_the_benchmark_is_seeded_and_has_a_clean_training_part(kind: str) -> None:
    one, again, other = (drift_stream(kind, 6000, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.values, again.values)
    assert not np.array_equal(one.values, other.values)
    assert not one.labels[:TRAINING].any() and np.isfinite(one.values).all()
    assert all(one.labels[start:end].all() for start, end in one.events)
    assert one.labels.sum() == sum(end - start for start, end in one.events)
