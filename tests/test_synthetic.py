"""The synthetic stream: a pure function of settings and seed, whose anomalies are where its labels say."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.series import Chunk, InputError
from data.synthetic import KINDS, START, Event, Signal, SyntheticSource, kinds_of

quick = settings(deadline=None, max_examples=40, derandomize=True)
Array = np.ndarray[Any, Any]


def join(chunks: list[Chunk]) -> Chunk:
    labels = [chunk.labels for chunk in chunks if chunk.labels is not None]
    return Chunk(
        np.concatenate([chunk.time for chunk in chunks]),
        np.concatenate([chunk.values for chunk in chunks]),
        np.concatenate(labels),
    )


def whole(**options: Any) -> Chunk:
    return join(list(SyntheticSource(**options).chunks()))


def assert_same(one: Chunk, other: Chunk) -> None:
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.values, other.values)
    assert one.labels is not None and other.labels is not None
    np.testing.assert_array_equal(one.labels, other.labels)


# --- the stream ---


def test_the_same_seed_gives_the_same_stream_and_another_one_another() -> None:
    assert_same(whole(seed=3), whole(seed=3))
    assert (whole(seed=3).values != whole(seed=4).values).mean() > 0.99


def test_a_stream_has_its_points_at_equal_distances_in_utc() -> None:
    source = SyntheticSource(points=2500, interval=90.0)
    stream = join(list(source.chunks()))
    assert (source.points, source.columns, source.timezone) == (2500, ("value",), "UTC")
    assert stream.values.shape == (2500, 1)
    assert stream.time[0] == START
    assert (np.diff(stream.time) == np.timedelta64(90, "s")).all()


@quick
@given(size=st.integers(1, 3000), start=st.integers(0, 2999), missing=st.sampled_from([0.0, 0.1]))
def test_chunks_of_any_size_from_any_row_are_the_same_stream(size: int, start: int, missing: float) -> None:
    options: dict[str, Any] = {"points": 3000, "clean": 500, "signal": Signal(missing=missing)}
    reference = whole(**options)
    source = SyntheticSource(**options, chunk_size=size)
    chunks = list(source.chunks(start))
    assert all(len(chunk) <= size for chunk in chunks)
    assert_same(join(chunks), Chunk(reference.time[start:], reference.values[start:], reference.labels[start:]))  # type: ignore[index]


def test_an_endless_stream_begins_like_a_bounded_one_and_does_not_end() -> None:
    source = SyntheticSource(points=None, chunk_size=1000, signal=Signal(level_shift=0.0))
    assert source.points is None
    first = list(itertools.islice(source.chunks(), 6))
    assert_same(join(first), whole(points=6000))
    far = next(iter(source.chunks(10_000_000)))
    assert np.isfinite(far.values).all()


def test_the_share_asked_for_is_missing_and_no_other_value_changes() -> None:
    full, gappy = whole(points=20_000), whole(points=20_000, signal=Signal(missing=0.1))
    lost = np.isnan(gappy.values)
    assert lost.mean() == pytest.approx(0.1, abs=0.01)
    assert not np.isnan(full.values).any()
    np.testing.assert_array_equal(gappy.values[~lost], full.values[~lost])


def test_the_parts_of_the_signal_do_what_their_names_say() -> None:
    flat = {"trend": 0.0, "drift": 0.0, "amplitude": 0.0, "long_amplitude": 0.0, "noise": 0.0}
    quiet: dict[str, Any] = {"points": 4000, "kinds": ()}

    def values(**chosen: float) -> Array:
        return whole(**quiet, signal=Signal(**{**flat, **chosen})).values[:, 0]  # type: ignore[arg-type]

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

DENSE: dict[str, Any] = {"points": 20_000, "clean": 100, "rate": 20.0}


def test_labels_are_true_on_the_rows_of_the_events_and_nowhere_else() -> None:
    source = SyntheticSource(**DENSE)
    expected = np.zeros(20_000, bool)
    for event in source.events(0, 20_000):
        expected[event.start : event.end] = True
    labels = join(list(source.chunks())).labels
    assert labels is not None
    np.testing.assert_array_equal(labels, expected)
    assert not labels[:100].any()
    assert 0.02 < labels.mean() < 0.5


@quick
@given(
    seed=st.integers(0, 99),
    rate=st.floats(0.5, 200),
    period=st.integers(4, 400),
    clean=st.integers(0, 3000),
    kinds=st.sets(st.sampled_from(KINDS), min_size=1),
)
def test_events_never_overlap_and_keep_a_season_between_them(
    seed: int, rate: float, period: int, clean: int, kinds: set[str]
) -> None:
    source = SyntheticSource(points=None, seed=seed, rate=rate, clean=clean, kinds=tuple(kinds), signal=Signal(period=period))
    events = source.events(0, 30_000)
    assert all(clean <= event.start < event.end for event in events)
    assert all(later.start - event.end >= period for event, later in itertools.pairwise(events))
    assert {event.kind for event in events} <= kinds


@quick
@given(start=st.integers(0, 20_000), length=st.integers(1, 3000))
def test_the_events_of_a_stretch_are_those_that_touch_it(start: int, length: int) -> None:
    source = SyntheticSource(**DENSE)
    stop = min(start + length, 20_000)
    touching = [event for event in source.events(0, 20_000) if event.start < stop and event.end > start]
    assert source.events(start, stop) == touching


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_changes_only_its_own_rows(kind: str) -> None:
    with_kind, without = whole(**DENSE, kinds=(kind,)), whole(**DENSE, kinds=())
    changed = (with_kind.values != without.values)[:, 0]
    assert without.labels is not None and not without.labels.any()
    assert with_kind.labels is not None and not changed[~with_kind.labels].any()
    assert changed[with_kind.labels].mean() > 0.9
    assert {event.kind for event in SyntheticSource(**DENSE, kinds=(kind,)).events(0, 20_000)} == {kind}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_left_out(kind: str) -> None:
    found = kinds_of(SyntheticSource(**DENSE, kinds=tuple(other for other in KINDS if other != kind)), 20_000)
    assert set(found) == set(KINDS) - {kind}


def test_all_kinds_come_about_equally_often() -> None:
    found = kinds_of(SyntheticSource(**DENSE), 20_000)
    counts = [len(events) for events in found.values()]
    assert len(counts) == len(KINDS)
    assert max(counts) - min(counts) <= 1


def stretch(kind: str) -> tuple[Event, Array, Array]:
    """An event, and how far its rows lie from those of the same stream without it, and from that stream's noise-free form."""
    source = SyntheticSource(**DENSE, kinds=(kind,))
    event = source.events(0, 20_000)[3]
    rows = slice(event.start, event.end)
    values, normal = whole(**DENSE, kinds=(kind,)).values[rows, 0], whole(**DENSE, kinds=()).values[rows, 0]
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


def test_the_size_grows_with_the_setting() -> None:
    small, large = (SyntheticSource(**DENSE, size=size).events(0, 20_000) for size in (5.0, 20.0))
    for one, other in zip(small, large, strict=True):
        assert other.size == pytest.approx(4 * one.size)
        assert (one.kind, one.start, one.end) == (other.kind, other.start, other.end)


def test_no_anomalies_are_injected_where_none_are_wanted() -> None:
    assert SyntheticSource(kinds=()).events(0, 6000) == SyntheticSource(rate=0.0).events(0, 6000) == []


def test_an_anomaly_that_would_be_cut_by_the_end_is_left_out() -> None:
    for points in range(2000, 2600, 7):
        assert all(event.end <= points for event in SyntheticSource(points=points, clean=100, rate=20.0).events(0, points))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="'earthquake'; known kinds are spike"):
        SyntheticSource(kinds=("spike", "earthquake"))


# --- real time ---


class Clock:
    """A clock that only moves while somebody sleeps, or a little with every look at it."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now = 1000.0
        self.tick = tick
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + 1e-6


def paced(clock: Clock, monkeypatch: pytest.MonkeyPatch, pace: float, points: int | None = 100) -> SyntheticSource:
    monkeypatch.setattr("data.synthetic.time.monotonic", clock.monotonic)
    return SyntheticSource(points=points, pace=pace, sleep=clock.sleep)


def test_a_paced_stream_gives_each_point_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    chunks = list(paced(clock, monkeypatch, pace=10.0).chunks())
    assert [len(chunk) for chunk in chunks] == [1] * 100
    assert clock.slept == pytest.approx([0.1] * 100, abs=1e-3)
    assert_same(join(chunks), whole(points=100))


def test_a_paced_stream_catches_up_with_what_is_due_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    stream = iter(paced(clock, monkeypatch, pace=10.0, points=None).chunks())
    assert len(next(stream)) == 1
    clock.now += 5.0  # whoever judges the points was busy
    assert len(next(stream)) == 50
    assert len(next(stream)) == 1


def test_a_paced_stream_catches_up_with_one_chunk_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    stream = iter(paced(clock, monkeypatch, pace=1000.0, points=None).chunks())
    assert len(next(stream)) == 1
    clock.now += 60.0
    late = sum(len(next(stream)) for _ in range(3))
    assert 1024 <= late <= 1024 + 2


def test_a_pace_asks_for_no_sleep_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(tick=0.004)  # a point becomes due between two looks at the clock
    chunks = list(paced(clock, monkeypatch, pace=100.0, points=300).chunks())
    assert_same(join(chunks), whole(points=300))
    assert min(clock.slept) >= 0
