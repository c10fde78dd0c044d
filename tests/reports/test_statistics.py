"""Counts of a run, by series and in all, and its closing lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.detections import scored, with_gaps

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.reports.incidents import Incident, IncidentTracker
from autoencoder.reports.sinks import Batch
from autoencoder.reports.statistics import RunStatistics, summary


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


@pytest.mark.parametrize(
    "change", [{"series": "3"}, {"series": "{"}, {"missing": -1}, {"labels": np.zeros(9, np.int8)}, {"counts": np.zeros((2, 3))}]
)
def test_damaged_counts_are_refused(change: dict[str, object]) -> None:
    statistics = RunStatistics()
    statistics.write(Batch(scored([0, 1])))
    with pytest.raises(ModelFileError, match="cannot be used"):
        RunStatistics().load({**statistics.state(), **change})  # type: ignore[dict-item]


def test_the_summary_tells_counts_incidents_and_files() -> None:
    counts = {"points": 5000, "judged": 4000, "missing": 3, "flagged": 1, "incidents": 1}
    counts |= {"flagged_share": 1 / 4000, "budget": 0.00001}  # type: ignore[dict-item]
    worst = [Incident(1, "a", "b", "2024-01-01T00:00:00Z", (123456.7,), (1.0,), 0.987, 1, 10, 12, True)]
    quality = {"known_anomalies": 4, "event_recall": 0.5, "event_precision": 1.0}
    assert summary("cpu.csv", counts, 1000, quality, worst, Path("o"), ["scores.csv"]) == [
        "cpu.csv: 5,000 points, 1,000 of them trained on, 4,000 judged, 3 missing",
        "2 of 4 known anomalies found, 0 false alarms",
        "1 incident, 1 point flagged (0.025% of those judged; the budget for normal points is 0.001%)",
        "  2024-01-01T00:00:00Z  seen 1.2346e+05, expected 1, severity 0.99, 1 point",
        "o: scores.csv",
    ]
