"""Incidents: what joins flags into one, what is an alarm, and how an incident is written down."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import naive
from helpers.detections import scored, with_gaps
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ConfigError, ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.factory.runs import points_of
from autoencoder.reports.incidents import LEVELS, Incident, level_of, read_incidents, severity_of, time_text
from autoencoder.reports.tracker import AlarmFilter, IncidentTracker

quick = settings(deadline=None, max_examples=40, derandomize=True)
INCIDENT = Incident(1, "a", "b", "a", (1.5,), (float("nan"),), 0.25, 2, 10, 12, True)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2024-01-01", "2024-01-01T00:00:00"),
        ("2024-01-01T12:30:00.250", "2024-01-01T12:30:00.25"),
        ("2024-01-01T10:20:30", "2024-01-01T10:20:30"),
        ("1969-12-31T23:59:59.999999999", "1969-12-31T23:59:59.999999999"),
    ],
)
def test_times_have_as_many_digits_as_needed(time: str, text: str) -> None:
    assert time_text(np.array([time, "NaT"], "datetime64[ns]"), "Z") == [text + "Z", ""]


def test_flags_within_the_gap_are_one_incident() -> None:
    flags = [False, False, True, False, True, False, False, False, False, True, False, False]
    tracker = IncidentTracker(merge_gap=1, zone="Z")
    closed = [*tracker.process(with_gaps(flags)), *tracker.finish()]
    assert [(found.id, found.first_row, found.last_row, found.n_points) for found in closed] == [(1, 2, 4, 2), (2, 9, 9, 1)]
    one = closed[0]
    assert one.start == one.alarm_time == "2024-01-01T02:00:00Z"
    assert one.end == one.peak_time == "2024-01-01T04:00:00Z"  # the worst point is the peak
    assert (one.peak_score, one.severity) == (round(4 / 11, 6), severity_of(4 / 11, 2))
    assert one.peak_value == (100 + 4 / 3,)
    assert one.expected == (100 + 4 / 3 - 0.5,)
    assert (one.direction, one.length, one.duration_seconds, one.close_reason) == (("up",), 3, 7200.0, "values are back")


@quick
@given(
    flags=st.lists(st.booleans(), min_size=4, max_size=60), gap=st.integers(0, 5), cuts=st.lists(st.integers(0, 60), max_size=6)
)
def test_cuts_and_restarts_change_nothing(flags: list[bool], gap: int, cuts: list[int]) -> None:
    whole = with_gaps(flags)
    reference = IncidentTracker(merge_gap=gap)
    expected = [*reference.process(whole), *reference.finish()]
    tracker, found = IncidentTracker(merge_gap=gap), []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(flags)], strict=True):
        found += tracker.process(whole[start:stop])
        fresh = IncidentTracker()
        fresh.load(unpack(pack(tracker.state()), "x"))
        tracker = fresh
    assert [*found, *tracker.finish()] == expected
    flagged = np.flatnonzero(whole.anomalies)
    assert sum(incident.n_points for incident in expected) == len(flagged)
    assert len(expected) == (1 + int((np.diff(flagged) > gap + 1).sum()) if len(flagged) else 0)


@pytest.mark.parametrize(("hysteresis", "incidents"), [(1.0, 2), (0.8, 1)])
def test_hysteresis_keeps_an_incident_open(hysteresis: float, incidents: int) -> None:
    tracker = IncidentTracker(merge_gap=1, hysteresis=hysteresis)
    assert len([*tracker.process(scored([1, 0, 0, 0, 0, 1], rest=0.9)), *tracker.finish()]) == incidents


def test_only_a_worse_incident_is_an_alarm_soon_after() -> None:
    tracker = IncidentTracker(cooldown=5)
    detections = scored([1, 0, 0, 1, 0, 0, 1, 0, 0])  # each of them with a score of 1
    detections.errors[[0, 3, 6]] = [5.0, 4.0, 6.0]
    found = [*tracker.process(detections), *tracker.finish()]
    assert [incident.alarm for incident in found] == [True, False, True]


@quick
@given(
    scores=st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=40),
    cooldown=st.integers(1, 12),
    cut=st.integers(0, 40),
)
def test_alarms_are_those_of_the_plain_twin(scores: list[float], cooldown: int, cut: int) -> None:
    column, alarms = np.array(scores, dtype=float), AlarmFilter(cooldown)
    found = np.concatenate([alarms.process(column[:cut]), alarms.process(column[cut:])])
    np.testing.assert_array_equal(np.nan_to_num(found), naive.rises(column, cooldown))
    skipping = AlarmFilter(cooldown)
    skipping.skip(column[:cut])
    np.testing.assert_array_equal(skipping.process(column[cut:]), found[cut:])
    np.testing.assert_array_equal(skipping.state()["recent"], alarms.state()["recent"])


def test_json_is_one_line_of_plain_values() -> None:
    assert INCIDENT.to_json() == (
        '{"id": 1, "status": "closed", "start": "a", "end": "b", "peak_time": "a", "peak_value": 1.5, "expected": null, '
        '"severity": 0.25, "n_points": 2, "first_row": 10, "last_row": 12, "alarm": true, "alarm_time": null, "peak_score": null, '
        '"direction": [], "duration_seconds": null, "close_reason": null, "length": 3, "severity_level": "low"}'
    )
    several = replace(INCIDENT, peak_value=(1.5, 2.5), expected=(1.0, float("nan")), series="web")
    assert json.loads(several.to_json("open"))["expected"] == [1.0, None]
    back = read_incidents(f"{several.to_json()}\n{several.to_json('open')}\n")
    assert [each.to_json() for each in back] == [several.to_json()] * 2


@pytest.mark.parametrize(
    "change",
    [{"id": "1"}, {"alarm": 1}, {"severity": None}, {"series": 3}, {"expected": ["x"]}, {"more": 1}, {"direction": "left"}],
)
def test_a_damaged_incident_is_refused(change: dict[str, object]) -> None:
    for text in (json.dumps({**json.loads(INCIDENT.to_json()), **change}), "[]", "{}", "{", "[" * 9999):
        with pytest.raises(ModelFileError, match="checkpoint is damaged"):
            read_incidents(text)


def test_an_incident_of_a_former_version_is_read() -> None:
    record = json.loads(INCIDENT.to_json())
    for key in ("alarm_time", "peak_score", "direction", "duration_seconds", "close_reason", "length", "severity_level"):
        del record[key]
    assert Incident.from_record(record).to_json() == replace(INCIDENT, direction=(None,)).to_json()


# --- why it is over, where it lies, how bad it is ---


@quick
@given(cuts=st.lists(st.integers(0, 12), max_size=4))
def test_an_incident_says_why_it_is_over(cuts: list[int]) -> None:
    detections = scored([1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1])
    for column in (detections.errors, detections.scores):
        column[4:7] = np.nan  # no value came
    tracker, found = IncidentTracker(merge_gap=1), []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 12], strict=True):
        found += tracker.process(detections[start:stop], [row for row in (8,) if start <= row < stop])
    found += tracker.finish()
    assert [(each.first_row, each.last_row, each.close_reason) for each in found] == [
        (0, 0, "values are back"),
        (3, 3, "no data"),
        (7, 8, "change adopted"),
        (9, 11, "stream ended"),
    ]


@pytest.mark.parametrize(
    ("offsets", "direction"),
    [([3, 2, -1], "up"), ([-3, 0, 0], "down"), ([3, -3, 2], "both"), ([0, 0, 0], None), ([float("nan"), -1, -1], "down")],
)
def test_an_incident_says_where_its_points_lie(offsets: list[float], direction: str | None) -> None:
    detections = scored([1, 1, 1])
    judged = replace(detections, predictions=np.zeros((3, 2)), values=np.stack([offsets, np.full(3, np.inf)], axis=1))
    tracker = IncidentTracker()
    tracker.process(judged)
    (incident,) = tracker.finish()
    assert incident.direction == (direction, "up")
    assert json.loads(incident.to_json())["direction"] == [direction, "up"]


def test_among_scores_of_one_the_worst_is_the_peak() -> None:
    detections = scored([1, 1, 1])  # each with a score of 1
    detections.errors[:] = [3.0, 9.0, 4.0]
    tracker = IncidentTracker()
    tracker.process(detections)
    assert tracker.finish()[0].peak_time == "1"


@pytest.mark.parametrize(("least", "alarm_time"), [(1, "2"), (3, "5"), (4, None)])
def test_an_incident_that_is_too_short_is_no_alarm(least: int, alarm_time: str | None) -> None:
    tracker = IncidentTracker(merge_gap=1, min_length=least)
    closed = [*tracker.process(scored([0, 0, 1, 1, 0, 1, 0, 0, 0])), *tracker.finish()]
    assert [(each.alarm, each.alarm_time) for each in closed] == [(alarm_time is not None, alarm_time)]


@pytest.mark.parametrize(
    ("score", "level", "alarm_time"),
    [(0.3, "low", "2"), (0.3, "medium", "6"), (0.5, "medium", "2"), (0.5, "high", None), (float("nan"), "critical", "2")],
)
def test_an_incident_rings_once_it_is_severe_enough(score: float, level: str, alarm_time: str | None) -> None:
    tracker = IncidentTracker(merge_gap=1, min_severity=LEVELS[level])
    detections = scored([0, 0, 1, 1, 1, 1, 1, 1, 0, 0])
    detections.scores[2:8] = score
    closed = [*tracker.process(detections), *tracker.finish()]
    assert [(each.alarm, each.alarm_time) for each in closed] == [(alarm_time is not None, alarm_time)]


@quick
@given(score=st.floats(0, 0.99), more=st.floats(0.01, 0.2), count=st.integers(1, 10_000), longer=st.integers(1, 10_000))
def test_severity_grows_with_the_score_and_with_the_length(score: float, more: float, count: int, longer: int) -> None:
    severity = severity_of(score, count)
    assert 0 <= severity < 1
    assert severity_of(min(score + more, 1.0), count) >= severity <= severity_of(score, count + longer)
    assert severity_of(0.5, 10) < severity_of(0.6, 10) > severity_of(0.6, 9)
    words = [*reversed(LEVELS)]
    assert words.index(level_of(severity)) <= words.index(level_of(severity_of(score, count + longer)))


# --- gaps as durations ---


@pytest.mark.parametrize(("asked", "points"), [(7, 7), ("auto", 48), ("30 min", 6), ("2h", 24), ("1 day", 288), ("90 secs", 0)])
def test_a_gap_is_a_number_of_points_or_a_duration(asked: int | str, points: int) -> None:
    assert points_of("merge_gap", asked, usual=48, interval=300.0) == points


def test_a_duration_needs_timestamps() -> None:
    with pytest.raises(
        ConfigError, match=r"incidents.cooldown is '2 h', but the stream has no timestamps; give a number of points"
    ):
        points_of("cooldown", "2 h", usual=48, interval=0.0)


def test_a_duration_has_a_limit() -> None:
    with pytest.raises(
        ConfigError, match=r"incidents.cooldown is '9000000 years', which is more than 1,000,000 points of this stream"
    ):
        points_of("cooldown", "9000000 years", usual=48, interval=60.0)


def test_errors_far_above_any_threshold_can_be_saved() -> None:
    tracker = IncidentTracker(cooldown=3)
    detections = scored([1, 0, 1])
    detections.errors[:], detections.thresholds[:] = [1e200, 0.5, 1e300], [1e-300, 0.0, 1e-300]
    tracker.process(detections)
    IncidentTracker(cooldown=3).load(unpack(pack(tracker.state()), "x"))
