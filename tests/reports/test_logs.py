"""anomalies.log and adaptations.jsonl."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.detections import INCIDENT, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import RunError
from autoencoder.core.events import AdaptationEvent
from autoencoder.reports.logs import AdaptationLog, AnomalyLog, event_time, log_line
from autoencoder.reports.run_folder import RunFolder
from autoencoder.reports.sinks import Batch

quick = settings(deadline=None, max_examples=50, derandomize=True)


def test_a_line_says_when_what_and_how_bad() -> None:
    assert log_line(INCIDENT) == (
        "2025-01-02T00:00:00Z to 2025-01-02T03:00:00Z  severity critical (0.90)  seen 7.5, expected 1.25 (up) at 2025-01-02T01:00:00Z, "
        "score 0.9500  4 points in 3 h  values are back  alarm 2025-01-02T01:00:00Z\n"
    )
    unknown = replace(INCIDENT, peak_value=(7.5, -2.0), expected=(float("nan"), 1e9), n_points=1, alarm=False)
    unknown = replace(unknown, direction=(None, "down"), duration_seconds=0.0, close_reason=None, peak_score=None)
    assert "  seen 7.5/-2, expected unknown/1e+09 (unknown/down) at 2025-01-02T01:00:00Z  1 point  open  no alarm\n" in log_line(
        unknown
    )


@quick
@given(text=st.text(st.characters(), max_size=20))
def test_nothing_breaks_a_line_or_steers_a_terminal(text: str) -> None:
    line = log_line(replace(INCIDENT, start=text, end=text, peak_time=text))
    assert line.endswith("\n") and line[:-1].isprintable()
    assert len((line + line).splitlines()) == 2
    line.encode()


def test_a_resumed_log_is_written_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "o")
    folder.write("incidents.jsonl", INCIDENT.to_json() + "\n" + INCIDENT.to_json("open") + "\n")
    folder.write("anomalies.log", "half a li")
    log = AnomalyLog(folder)
    log.write(Batch(scored([]), [replace(INCIDENT, start="later")], [INCIDENT]))
    log.close([replace(INCIDENT, start="last")], resumable=False)
    lines = (tmp_path / "o/anomalies.log").read_text().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["2025-01-02T00:00:00Z", "later", "last"]


def test_adaptations_are_written_as_they_come(tmp_path: Path) -> None:
    events: list[AdaptationEvent] = []
    folder = RunFolder(tmp_path / "o")
    log = AdaptationLog(folder, lambda: events, "Z")
    log.write(Batch(scored([])))
    assert not (tmp_path / "o/adaptations.jsonl").exists()
    details = {"reason": "first", "loss": 0.12345678, "gap": float("nan")}
    dated = AdaptationEvent(7, 1_700_000_000 * 10**9, True, "promoted", details)
    events += [AdaptationEvent(5, 5, False, "drift declared", {}), dated]
    log.write(Batch(scored([])))
    assert (tmp_path / "o/adaptations.jsonl").read_text() == (
        '{"row": 5, "time": "5", "event": "drift declared"}\n'
        '{"row": 7, "time": "2023-11-14T22:13:20Z", "event": "promoted", "reason": "first", "loss": 0.123457, "gap": null}\n'
    )
    assert event_time(dated) == np.datetime64("2023-11-14T22:13:20", "ns")
    AdaptationLog(folder, lambda: [], "Z").write(Batch(scored([])))  # resumed from a checkpoint before the first of them
    assert (tmp_path / "o/adaptations.jsonl").read_text() == ""


def test_adaptations_that_cannot_be_written_are_tried_again(tmp_path: Path) -> None:
    log = AdaptationLog(RunFolder(tmp_path / "o"), lambda: [AdaptationEvent(5, 5, False, "drift declared", {})], "Z")
    path = tmp_path / "o/adaptations.jsonl"
    path.mkdir()
    log.write(Batch(scored([])))
    with pytest.raises(RunError, match=r"adaptations.jsonl cannot be written \(Is a directory\)"):
        log.close()
    path.rmdir()
    log.write(Batch(scored([])))
    assert path.read_text() == '{"row": 5, "time": "5", "event": "drift declared"}\n'
