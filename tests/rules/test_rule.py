"""Rules: which incidents ring, when they ring late, and what is said of those that do not."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from helpers.detections import expecting_a_sine
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import DATA_ARE_BACK, MISSING, Incident
from autoencoder.reports.tracker import IncidentTracker
from autoencoder.rules.rule import Calendar, Recurrence, Rule, holidays_of

COUNT = 400
TIMES = np.datetime64("2024-12-20T00:00", "ns") + np.arange(COUNT) * np.timedelta64(1, "h")
CALENDAR = Calendar([Recurrence(datetime(2024, 12, 20, 12), timedelta(hours=6), "FREQ=DAILY", None)], holidays_of("DE"))  # type: ignore[arg-type]


def stream(*events: tuple[int, int, float], times: np.ndarray = TIMES) -> Detections:
    """Detections of a sine with events: first row, length, height."""
    values = np.sin(np.arange(len(times)) / 20)
    for first, length, height in events:
        values[first : first + length] += height
    return expecting_a_sine(values, time=times)


def judged(rule: Rule, detections: Detections, *, cooldown: int = 1, min_length: int = 1) -> list[Incident]:
    tracker = IncidentTracker(cooldown=cooldown, min_length=min_length, policy=rule)
    return [*tracker.process(detections), *tracker.finish()]


def told(incidents: list[Incident]) -> list[tuple[int, bool, str | None]]:
    return [(each.first_row, each.alarm, each.silenced_by) for each in incidents]


def test_only_rises_or_only_drops_ring() -> None:
    detections = stream((20, 3, 5.0), (60, 3, -5.0), (100, 4, 5.0), (102, 2, -10.0))
    assert told(judged(Rule("a", "up"), detections)) == [(20, True, None), (60, False, "a.direction"), (100, True, None)]
    assert told(judged(Rule("a", "down"), detections))[:2] == [(20, False, "a.direction"), (60, True, None)]
    assert judged(Rule("a", "down"), detections)[2].alarm_time == "2024-12-24T06:00:00"  # with the first drop


@pytest.mark.parametrize(("least", "is_relative", "rings"), [(5.5, False, [0, 1]), (8.0, False, [0]), (7.0, True, [0, 1])])
def test_a_least_deviation(least: float, is_relative: bool, rings: list[int]) -> None:
    incidents = judged(Rule("a", min_deviation=least, is_relative=is_relative), stream((20, 3, 9.0), (60, 3, -6.0), (90, 1, 3.0)))
    assert [place for place, each in enumerate(incidents) if each.alarm] == rings
    assert {each.silenced_by for each in incidents if not each.alarm} == {"a.min_deviation"}


def test_what_is_not_expected_is_not_held_back() -> None:
    detections = stream((20, 3, 2.0))
    detections.predictions[:] = np.nan
    assert [each.alarm for each in judged(Rule("a", "up", min_deviation=5.0), detections)] == [True]


def test_a_least_length_is_named() -> None:
    incidents = judged(Rule("a", has_min_length=True), stream((20, 2, 5.0), (60, 3, 5.0)), min_length=3)
    assert told(incidents) == [(20, False, "a.min_length"), (60, True, None)]


def test_what_goes_on_after_a_quiet_window_rings_then() -> None:
    rule = Rule("a", calendar=CALENDAR)
    incidents = judged(rule, stream((13, 3, 5.0), (37, 8, 5.0), (70, 2, 5.0)))
    assert told(incidents) == [(13, False, "a.quiet"), (37, True, None), (70, True, None)]
    assert (incidents[1].start, incidents[1].alarm_time) == ("2024-12-21T13:00:00", "2024-12-21T18:00:00")


def test_on_a_holiday_only_much_rings() -> None:
    rule = Rule("a", calendar=CALENDAR, holiday_tolerance=3.0)
    incidents = judged(rule, stream((123, 2, 4.0), (127, 2, 6.0), (175, 2, 4.0)))  # 25, 25 and 27 December
    assert told(incidents) == [(123, False, "a.holidays"), (127, True, None), (175, True, None)]


def test_one_that_did_not_ring_hides_no_other() -> None:
    detections = stream((20, 2, -9.0), (30, 2, 5.0), (40, 2, 4.0))
    assert told(judged(Rule("a", "up"), detections, cooldown=40)) == [
        (20, False, "a.direction"),
        (30, True, None),
        (40, False, None),
    ]


def test_missing_data_are_an_incident_of_their_own_kind() -> None:
    kept = np.r_[0:50, 53:100, 110:200]
    detections = stream((52, 6, 5.0))[:200]
    rows = Detections(**{name: getattr(detections, name)[kept] for name in Detections.__slots__})
    rows.values[61:76] = np.nan  # rows without a value are none
    found = [each for each in judged(Rule("a", no_data=5 * 3600.0), rows) if each.kind == MISSING]
    assert [(each.start, each.end, each.alarm_time) for each in found] == [
        ("2024-12-22T15:00:00", "2024-12-23T07:00:00", "2024-12-22T20:00:00"),
        ("2024-12-24T03:00:00", "2024-12-24T14:00:00", "2024-12-24T08:00:00"),
    ]
    assert {(each.close_reason, each.alarm, each.n_points) for each in found} == {(DATA_ARE_BACK, True, 0)}
    assert [(each.first_row, each.last_row) for each in found] == [(65, 76), (97, 97)]
    assert found[0].severity > 0.5 and found[0].duration_seconds == 16 * 3600.0


def test_missing_data_ring_when_the_quiet_window_is_over() -> None:
    def found(*kept: slice) -> list[tuple[bool, str | None, str | None]]:
        detections = stream()
        rows = Detections.concatenate([detections[each] for each in kept])
        incidents = judged(Rule("a", no_data=2 * 3600.0, calendar=CALENDAR), rows)
        return [(each.alarm, each.alarm_time, each.silenced_by) for each in incidents]

    assert found(slice(0, 12), slice(18, 60)) == [(False, None, "a.quiet")]
    assert found(slice(0, 12), slice(20, 60)) == [(True, "2024-12-20T18:00:00", None)]
    assert found(slice(0, 100), slice(164, 170)) == [(True, "2024-12-24T05:00:00", None)]
    assert found(slice(0, 119), slice(164, 170)) == [(False, None, "a.holidays")]


def test_time_that_passes_is_noticed_once() -> None:
    detections = stream()
    tracker = IncidentTracker(policy=Rule("a", no_data=7200.0))
    assert not tracker.pass_time(1e6)  # nothing came yet
    tracker.process(detections[:50])
    assert [tracker.pass_time(seconds) for seconds in (7199.0, 7201.0, 9000.0)] == [False, True, False]
    fresh = IncidentTracker(policy=Rule("a", no_data=7200.0))
    fresh.load(unpack(pack(tracker.state()), "x"))
    for each in (tracker, fresh):
        assert [one.kind for one in each.ongoing] == [MISSING] and each.ongoing[0].alarm_time == "2024-12-22T03:00:00"
        closed = each.process(detections[50:60])
        assert [(one.close_reason, one.end) for one in closed] == [(DATA_ARE_BACK, "2024-12-22T02:00:00")] and not each.ongoing


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    events=st.lists(st.tuples(st.integers(0, 380), st.integers(1, 9), st.sampled_from([-9.0, -3.0, 3.0, 9.0])), max_size=8),
    missing=st.lists(st.tuples(st.integers(0, 380), st.integers(1, 12)), max_size=4),
    cuts=st.lists(st.integers(0, COUNT), max_size=6),
)
def test_cuts_and_restarts_change_nothing(
    events: list[tuple[int, int, float]], missing: list[tuple[int, int]], cuts: list[int]
) -> None:
    rule = Rule("a", "up", min_deviation=4.0, has_min_length=True, calendar=CALENDAR, holiday_tolerance=4.0, no_data=4 * 3600.0)
    detections = stream(*events)
    for first, length in missing:
        detections.values[first : first + length] = np.nan

    def make() -> IncidentTracker:
        return IncidentTracker(merge_gap=2, cooldown=5, min_length=2, policy=rule)

    whole, tracker, found = make(), make(), []
    expected = sorted([*whole.process(detections), *whole.finish()], key=lambda each: (each.first_row, each.kind))
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), COUNT], strict=True):
        found += tracker.process(detections[start:stop])
        fresh = make()
        fresh.load(unpack(pack(tracker.state()), "x"))
        tracker = fresh
    found = sorted([*found, *tracker.finish()], key=lambda each: (each.first_row, each.kind))
    assert [repr(each).split(", ", 1)[1] for each in found] == [repr(each).split(", ", 1)[1] for each in expected]
