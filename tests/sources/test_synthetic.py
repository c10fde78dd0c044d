"""The synthetic stream: a pure function of settings and seed, whose anomalies are where its labels say."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers.chunks import FEW, assert_same, collect
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.sources.chunk import Chunk, Event
from autoencoder.sources.synthetic import DENSE_RATE, KINDS, START, Signal, SyntheticSource

Array = np.ndarray[Any, Any]

DENSE: dict[str, Any] = {"length": 20_000, "start_after": 100, "rate": 20.0}


def whole(**options: Any) -> Chunk:
    return collect(SyntheticSource(**options))


# --- the stream ---


def test_the_seed_alone_tells_the_stream() -> None:
    assert_same(whole(seed=3), whole(seed=3))
    assert (whole(seed=3).values != whole(seed=4).values).mean() > 0.99


def test_points_lie_at_equal_distances_in_utc() -> None:
    source = SyntheticSource(length=2500, interval=90.0)
    stream = collect(source)
    assert (source.length, source.columns, source.timezone, source.throttled) == (2500, ("value",), "UTC", False)
    assert stream.values.shape == (2500, 1)
    assert stream.time[0] == START
    assert (np.diff(stream.time) == np.timedelta64(90, "s")).all()


@FEW
@given(size=st.integers(1, 3000), start=st.integers(0, 2999), missing=st.sampled_from([0.0, 0.1]))
def test_chunks_of_any_size_are_the_same_stream(size: int, start: int, missing: float) -> None:
    options: dict[str, Any] = {"length": 3000, "start_after": 500, "signal": Signal(missing=missing)}
    chunks = list(SyntheticSource(**options, chunk_size=size).chunks(start))
    assert all(len(chunk) <= size for chunk in chunks)
    assert_same(Chunk.concatenate(chunks), whole(**options)[start:])


def test_an_endless_stream_begins_like_a_bounded_one() -> None:
    source = SyntheticSource(length=None, chunk_size=1000)
    assert source.length is None
    assert_same(Chunk.concatenate(list(itertools.islice(source.chunks(), 6))), whole(length=6000))
    assert np.isfinite(next(iter(source.chunks(10_000_000))).values).all()


def test_the_share_asked_for_is_missing() -> None:
    full, gappy = whole(length=20_000), whole(length=20_000, signal=Signal(missing=0.1))
    lost = np.isnan(gappy.values)
    assert lost.mean() == pytest.approx(0.1, abs=0.01)
    assert not np.isnan(full.values).any()
    np.testing.assert_array_equal(gappy.values[~lost], full.values[~lost])


def test_the_parts_of_the_signal_are_as_named() -> None:
    flat = {"trend": 0.0, "drift": 0.0, "amplitude": 0.0, "long_amplitude": 0.0, "noise": 0.0}

    def values(**chosen: Any) -> Array:
        return whole(length=4000, kinds=(), signal=Signal(**{**flat, **chosen})).values[:, 0]

    np.testing.assert_allclose(values(level=7.0), 7.0)
    np.testing.assert_allclose(np.diff(values(trend=2.0)), 0.002)
    shifted = values(level_shift=3.0, level_shift_at=0.25) - 50
    np.testing.assert_allclose(shifted, np.where(np.arange(4000) >= 1000, 3.0, 0.0))
    seasonal = values(amplitude=5.0)
    np.testing.assert_allclose(seasonal[48:], seasonal[:-48], atol=1e-9)
    assert 3.0 < np.abs(seasonal - 50).max() < 6.0
    long = values(long_amplitude=2.0)
    np.testing.assert_allclose(long[336:], long[:-336], atol=1e-9)
    assert values(noise=0.5).std() == pytest.approx(0.5, rel=0.05)
    assert 1.0 < np.ptp(values(drift=1.0)) < 4.0


# --- the anomalies ---


def test_labels_are_true_on_the_rows_of_events() -> None:
    source = SyntheticSource(**DENSE)
    expected = np.zeros(20_000, bool)
    for event in source.events(20_000):
        expected[event.start : event.end] = True
    np.testing.assert_array_equal(collect(source).labels, expected)
    assert not expected[:100].any()
    assert 0.02 < expected.mean() < 0.5


@FEW
@given(
    seed=st.integers(0, 99),
    rate=st.floats(0.5, 200),
    period=st.integers(4, 400),
    start=st.integers(0, 3000),
    kinds=st.sets(st.sampled_from(KINDS), min_size=1),
)
def test_events_keep_a_season_between_them(seed: int, rate: float, period: int, start: int, kinds: set[str]) -> None:
    signal = Signal(period=period)
    source = SyntheticSource(length=None, seed=seed, rate=rate, start_after=start, kinds=tuple(kinds), signal=signal)
    events = source.events(30_000)
    assert all(start <= event.start < event.end for event in events)
    assert all(later.start - event.end >= period for event, later in itertools.pairwise(events))
    assert {event.kind for event in events} <= kinds


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_only_its_own_rows(kind: str) -> None:
    with_kind, without = whole(**DENSE, kinds=(kind,)), whole(**DENSE, kinds=())
    changed = (with_kind.values != without.values)[:, 0]
    assert without.labels is not None and not without.labels.any()
    assert with_kind.labels is not None and not changed[~with_kind.labels].any()
    assert changed[with_kind.labels].mean() > 0.9
    assert {event.kind for event in SyntheticSource(**DENSE, kinds=(kind,)).events(20_000)} == {kind}


def test_all_kinds_come_equally_often() -> None:
    kinds = [event.kind for event in SyntheticSource(**DENSE).events(20_000)]
    counts = [kinds.count(kind) for kind in KINDS]
    assert max(counts) - min(counts) <= 1 <= min(counts)
    for left_out in KINDS:
        events = SyntheticSource(**DENSE, kinds=tuple(kind for kind in KINDS if kind != left_out)).events(20_000)
        assert {event.kind for event in events} == set(KINDS) - {left_out}


@pytest.mark.parametrize("seed", range(5))
def test_the_demo_holds_each_kind_once_and_the_dense_stream_25_anomalies(seed: int) -> None:
    demo, dense = SyntheticSource(seed=seed), SyntheticSource(seed=seed, rate=DENSE_RATE)
    assert sorted(event.kind for event in demo.events(6000)) == sorted(KINDS)
    assert len(dense.events(6000)) == 25
    assert sum(event.end - event.start for event in demo.events(6000)) < 0.06 * 6000


def stretch(kind: str) -> tuple[Event, Array, Array]:
    """An event of this kind, its rows (N,), and the same rows (N,) of the stream without it."""
    event = SyntheticSource(**DENSE, kinds=(kind,)).events(20_000)[3]
    values, normal = (whole(**DENSE, kinds=kinds).values[event.start : event.end, 0] for kinds in ((kind,), ()))
    return event, values, normal


def test_the_kinds_look_like_their_names() -> None:
    noise, period = Signal().noise, Signal().period
    event, values, normal = stretch("spike")
    assert event.end - event.start == 1 and 8 * noise <= (values - normal)[0] <= 12 * noise
    event, values, normal = stretch("dip")
    assert (values - normal < -8 * noise + 1e-9).all()
    event, values, normal = stretch("level_shift")
    np.testing.assert_allclose(values - normal, event.size)
    assert period / 2 <= event.end - event.start <= 1.5 * period
    event, values, normal = stretch("slow_drift")
    offset = (values - normal) / event.size
    assert offset[0] == pytest.approx(0, abs=1e-9) and offset[-1] == pytest.approx(1) and (np.diff(offset) > 0).all()
    event, values, normal = stretch("flat")
    assert values.std() < 0.1 * noise < normal.std()
    event, values, normal = stretch("variance")
    assert np.diff(values).std() > 2 * np.diff(normal).std()
    event, values, normal = stretch("season")
    assert np.corrcoef(values, normal)[0, 1] < 0.2


def test_no_anomalies_come_where_none_are_wanted_nor_cut_by_the_end() -> None:
    assert SyntheticSource(kinds=()).events(6000) == SyntheticSource(rate=0.0).events(6000) == []
    for length in range(2000, 2600, 7):
        assert all(event.end <= length for event in SyntheticSource(**{**DENSE, "length": length}).events(length))


# --- real time ---


class Clock:
    """A clock that moves only while a source sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + 1e-6


def test_a_paced_stream_gives_points_when_due_and_catches_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("autoencoder.sources.synthetic.time.monotonic", clock.monotonic)
    source = SyntheticSource(length=100, points_per_second=10.0, sleep=clock.sleep)
    chunks = list(source.chunks())
    assert source.throttled
    assert [len(chunk) for chunk in chunks] == [1] * 100
    assert clock.slept == pytest.approx([0.1] * 100, abs=1e-3)
    assert_same(Chunk.concatenate(chunks), whole(length=100))
    stream = source.chunks()
    assert len(next(stream)) == 1
    clock.now += 5.0  # the consumer was busy
    assert [len(next(stream)), len(next(stream))] == [50, 1]
