"""Counts of a run, by series and in all, and its closing lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.detections import INCIDENT, scored, with_gaps

from autoencoder.commands.summary import incident_lines
from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.reports.incidents import Incident
from autoencoder.reports.odometer import Known, Odometer
from autoencoder.reports.sinks import Batch
from autoencoder.reports.statistics import RunStatistics
from autoencoder.reports.tracker import IncidentTracker


def restarted(statistics: RunStatistics) -> RunStatistics:
    fresh = RunStatistics()
    fresh.load(unpack(pack(statistics.state()), "x"))
    return fresh


def test_counts_and_quality_survive_a_restart() -> None:
    flags = [False] * 10 + [True, True] + [False] * 8
    labels = np.zeros(20, bool)
    labels[9:13] = True
    stream, tracker, statistics = with_gaps(flags), IncidentTracker(), RunStatistics()
    for start in range(0, 20, 5):
        part = stream[start : start + 5]
        statistics.write(Batch(part, tracker.process(part), labels=labels[start : start + 5]))
        statistics = restarted(statistics)
    counts = statistics.counts(0.1)
    assert (counts["points"], counts["judged"], counts["flagged"], counts["missing"], counts["incidents"]) == (20, 17, 2, 1, 1)
    quality = statistics.quality({None: 0}, {"spike": [(9, 13)], "early": [(0, 2)]})
    assert quality and quality["event_precision"] == quality["event_recall"] == quality["event_f1"] == 1
    assert quality["detection_delay_points"] == 1
    assert (counts["alarms"], quality["rung_anomalies"], quality["false_alarms"], quality["normal_flagged"]) == (1, 1, 0, 0)
    assert statistics.known_anomalies({None: 10}) == [{"series": None, "rows": [(10, 12)]}]
    assert quality["recall_by_kind"] == {"early": {"known": 1, "found": 0}, "spike": {"known": 1, "found": 1}}
    assert RunStatistics().quality({None: 0}) is None


def test_each_series_is_counted_and_compared_on_its_own() -> None:
    whole, statistics = scored([1, 0, 0, 1, 1, 0, 0, 1]), RunStatistics()
    series = ["a", "b", "a", "b", "a", "b", "c", "c"]  # flags of a: 101, b: 010, c: 01
    labels = np.array([1, 0, 0, 0, 1, 0, 0, 0], dtype=bool)
    found = {"a": [(0, 0), (2, 2)], "b": [(1, 1)], "c": [(1, 1)]}
    for start in (0, 3):
        rows = slice(start, start + 3 if not start else None)
        statistics.write(Batch(whole[rows], labels=labels[rows], series=series[rows]))
        statistics = restarted(statistics)
    for name, spans in found.items():
        closed = [Incident(1, "", "", "", (1.0,), (1.0,), 0.5, 1, first, last, True, name) for first, last in spans]
        statistics.close(closed, resumable=False)
    statistics = restarted(statistics)
    assert {name: (one.points, one.flagged, one.spans) for name, one in statistics.series.items()} == {
        "a": (3, 2, found["a"]),
        "b": (3, 1, found["b"]),
        "c": (2, 1, found["c"]),
    }
    labelled = statistics.labels("a")
    assert labelled is not None and labelled.tolist() == [True, False, True]
    quality = statistics.quality({"a": 0, "b": 1})  # c does not count, nor does what trains
    assert quality and (quality["event_precision"], quality["event_recall"], quality["known_anomalies"]) == (2 / 3, 1, 2)
    assert quality["false_alarm_share"] == 1 / 3


def test_anomalies_of_two_series_that_meet_are_two() -> None:
    statistics, labels = RunStatistics(), np.array([0, 1, 1, 0], dtype=bool)  # at the end of a, and at the start of b
    statistics.write(Batch(scored([0, 1, 0, 0]), labels=labels, series=["a", "a", "b", "b"]))
    quality = statistics.quality({"a": 0, "b": 0})
    assert quality and (quality["known_anomalies"], quality["event_recall"]) == (2, 0.5)


@pytest.mark.parametrize(
    "change", [{"series": "3"}, {"series": "{"}, {"missing": -1}, {"labels": np.zeros(9, np.int8)}, {"counts": np.zeros((2, 3))}]
)
def test_damaged_counts_are_refused(change: dict[str, object]) -> None:
    statistics = RunStatistics()
    statistics.write(Batch(scored([0, 1])))
    with pytest.raises(ModelFileError, match="cannot be used"):
        RunStatistics().load({**statistics.state(), **change})  # type: ignore[dict-item]


def test_the_closing_lines_tell_counts_and_the_worst_incidents() -> None:
    statistics = RunStatistics()
    statistics.silenced = {"quiet hours": 2}
    statistics.worst = [replace(INCIDENT, peak_value=(123456.7,)), replace(INCIDENT, series="web", close_reason=None, n_points=1)]
    quality = {"known_anomalies": 4, "event_recall": 0.5, "rung_anomalies": 1, "false_alarms": 2, "normal_flagged": 7}
    odometer = Odometer(judged=4000, flagged=11, allowed=4.0, incidents=4, alarms=3, days=28.0)
    known = Known.of(quality)
    assert [odometer.headline(known), odometer.line(known), *incident_lines(statistics, odometer)] == [
        "2 of 4 known anomalies found (1 rang), 2 false alarms: 0.5 a week (you asked for at most 1 a week)",
        "11 points flagged so far (7 outside of known anomalies), 0.39 a day, 2.8 a week; "
        "the budget for normal points is 4, 0.14 a day, 1 a week",
        "2 incidents did not ring: 2 by quiet hours",
        "4 incidents, 3 of them alarms; the worst:",
        "  2025-01-02T01:00:00Z  critical (0.90): seen 1.2346e+05, expected 1.25 (up), 4 points in 3 h, values are back",
        "  2025-01-02T01:00:00Z  critical (0.90): seen 7.5, expected 1.25 (up), 1 point in 3 h, open, series 'web'",
    ]


@pytest.mark.parametrize(
    ("days", "known", "said"),
    [
        (14.0, None, "6 incidents: 3 a week (you asked for at most 0.5 false alarms a week)"),
        (0.5, None, "6 incidents: 12 a day (you asked for at most 2 false alarms a day)"),
        (float("nan"), None, "6 incidents in 1,000 judged points (you asked for at most 1 false alarm)"),
        (
            float("nan"),
            Known(1, 1, 1, 0, 0),
            "1 of 1 known anomaly found, 0 false alarms in 1,000 judged points (you asked for at most 1)",
        ),
    ],
)
def test_the_headline_speaks_of_what_was_asked_for(days: float, known: Known | None, said: str) -> None:
    assert Odometer(judged=1000, flagged=9, allowed=1.0, incidents=6, alarms=6, days=days).headline(known) == said


def test_the_odometer_is_written_with_rates_where_times_are_known() -> None:
    record = Odometer(judged=1000, flagged=9, allowed=1.0, incidents=6, alarms=5, days=14.0).record()
    assert record["per_week"] == {"flagged": 4.5, "allowed": 0.5, "incidents": 3.0, "alarms": 2.5}
    assert record["per_day"]["flagged"] * 14 == record["flagged"] == 9
    timeless = Odometer(judged=1000, flagged=9, allowed=1.0, incidents=6, alarms=5, days=float("nan")).record()
    assert all(np.isnan(rate) for rate in timeless["per_day"].values())
