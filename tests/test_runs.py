"""The run folder: what is written, in which form, and that it can be read back; incidents, counts and the loop that feeds them."""

from __future__ import annotations

import csv
import io
import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.console import Console
from autoencoder.core.errors import ModelError, RunError
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Detections
from autoencoder.interrupts import Interrupts
from autoencoder.reports.incidents import Incident, IncidentTracker, time_text
from autoencoder.reports.run_folder import FILES, RunFolder, default_folder, read_checkpoint, read_model, read_scores
from autoencoder.reports.scores_csv import header, rows_text
from autoencoder.reports.statistics import Tally, summary

quick = settings(deadline=None, max_examples=40, derandomize=True)
HOUR = np.timedelta64(1, "h")


def detections(flags: list[bool], columns: int = 1, dated: bool = True) -> Detections:
    """Detections with these flags; the first two points are not judged and the value of the last one is missing."""
    count = len(flags)
    index = np.arange(count)
    values = 100 + np.outer(index, np.ones(columns)) / 3
    values[-1] = np.nan
    known = np.where(np.isnan(values[:, 0]) | (index < 2), np.nan, 1.0)
    return Detections(
        time=np.datetime64("2024-01-01", "ns") + index * HOUR if dated else index,
        values=values,
        predictions=(values - 0.5) * known[:, None],
        errors=known * (0.1 + np.array(flags)),
        thresholds=known * 0.5,
        scores=known * np.linspace(0, 1, count),
        anomalies=np.array(flags) & (known == 1),
    )


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


# --- rows ---


def test_a_row_holds_the_fields_of_the_contract_and_unknown_ones_are_empty() -> None:
    lines = parsed(rows_text(detections([False, False, True, False, False]), "Z"))
    assert header(("cpu",)) == ["time", "value", "prediction", "error", "threshold", "score", "anomaly"]
    assert lines[0] == ["2024-01-01T00:00:00Z", "100.0", "", "", "", "", "0"]
    assert lines[2] == ["2024-01-01T02:00:00Z", repr(100 + 2 / 3), "100.166667", "1.1", "0.5", "0.5", "1"]
    assert lines[4] == ["2024-01-01T04:00:00Z", "", "", "", "", "", "0"]


def test_rows_of_several_columns_and_a_plain_index() -> None:
    names = header(("cpu", 'odd, "name"\n'))
    assert names[1:5] == ["value_cpu", "value_odd_ _name__", "prediction_cpu", "prediction_odd_ _name__"]
    assert len(parsed(",".join(names))) == 1
    lines = parsed(rows_text(detections([False] * 4, columns=2, dated=False), ""))
    assert [line[0] for line in lines] == ["0", "1", "2", "3"]
    assert {len(line) for line in lines} == {len(names)}


@quick
@given(values=st.lists(st.floats(allow_infinity=False), min_size=1, max_size=40))
def test_values_come_back_bit_for_bit(values: list[float]) -> None:
    count = len(values)
    nothing = np.full(count, np.nan)
    column = np.array(values)[:, None]
    lines = parsed(rows_text(Detections(np.arange(count), column, column * np.nan, nothing, nothing, nothing, nothing == 0), ""))
    assert [float(line[1]) if line[1] else math.nan for line in lines] == pytest.approx(values, nan_ok=True, rel=0, abs=0)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2024-01-01", "2024-01-01T00:00:00"),
        ("2024-01-01T12:30:00.250", "2024-01-01T12:30:00.25"),
        ("1969-12-31T23:59:59.999999999", "1969-12-31T23:59:59.999999999"),
    ],
)
def test_times_have_as_many_digits_as_they_need(time: str, text: str) -> None:
    assert time_text(np.array([time], "datetime64[ns]"), "Z") == [text + "Z"]


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-99, 99).map(lambda day: day * 86_400 * 10**9))))
def test_a_time_alone_reads_as_among_others(nanoseconds: list[int]) -> None:
    times = np.array([*nanoseconds, 0, np.iinfo(np.int64).min], np.int64).view("datetime64[ns]")
    assert time_text(times, "Z") == [time_text(times[row : row + 1], "Z")[0] for row in range(len(times))]


# --- the folder ---


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "o")
    folder.open_rows(("value",), "Z")
    whole = detections([False, False, True, True, False, False])
    for start in range(0, 6, 2):
        folder.append(whole[start : start + 2], [])
        assert len((tmp_path / "o/scores.csv").read_text().splitlines()) == 3 + start  # there at once
    folder.close()
    back = read_scores(tmp_path / "o")
    np.testing.assert_array_equal(back.time, whole.time)
    np.testing.assert_array_equal(back.values, whole.values)
    np.testing.assert_allclose(back.predictions, whole.predictions, rtol=1e-8)
    np.testing.assert_array_equal(back.anomalies, whole.anomalies)
    assert len(read_scores(tmp_path / "o", most=2)) == 2


def test_a_file_is_put_in_place_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "o")
    folder.write("metrics.json", "one")
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["metrics.json"]
    (tmp_path / "o/config.yaml").mkdir()  # something that cannot be replaced
    with pytest.raises(RunError, match=r"config\.yaml cannot be written"):
        folder.write("config.yaml", "two")
    assert (tmp_path / "o/metrics.json").read_text() == "one"


def test_unknown_figures_are_null_and_numbers_are_plain(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "o")
    folder.write_metrics(
        {"a": np.float64(0.1234567), "b": float("nan"), "c": (np.int64(3), None), "d": {"e": np.True_, "f": "x"}}
    )
    assert json.loads((tmp_path / "o/metrics.json").read_text()) == {
        "a": 0.123457,
        "b": None,
        "c": [3, None],
        "d": {"e": True, "f": "x"},
    }


def test_discarding_takes_away_only_what_a_run_writes(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "new", tmp_path / "theirs"
    theirs.mkdir()
    for path in (ours, theirs):
        folder = RunFolder(path)
        folder.open_rows(("value",), "")
        for name in FILES:
            folder.write(name, "x")
        (path / "note.txt").write_text("mine")
        folder.discard()
        assert [found.name for found in path.iterdir()] == ["note.txt"]
    resumed = RunFolder(ours, resume=True)
    resumed.discard()
    assert (ours / "note.txt").exists()


def test_default_folders_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = default_folder("csv")
    first.mkdir(parents=True)
    assert default_folder("csv") != first


def test_an_oversized_or_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        read_model(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"holds no detector\.npz"):
        read_model(tmp_path)
    with (tmp_path / "detector.npz").open("wb") as file:
        file.truncate(1 << 29)  # a hole, no bytes on the disk
    with pytest.raises(ModelError, match="at most"):
        read_model(tmp_path)


def test_a_checkpoint_is_told_from_its_absence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no run"):
        read_checkpoint(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert read_checkpoint(tmp_path) is None
    (tmp_path / "metrics.json").write_text("not json")
    assert read_checkpoint(tmp_path) is None
    (tmp_path / "metrics.json").write_text('{"status": "done"}')
    with pytest.raises(ModelError, match="is done"):
        read_checkpoint(tmp_path)
    (tmp_path / "checkpoint.npz").write_bytes(pack({"rows": 3}))
    assert read_checkpoint(tmp_path) == {"rows": 3}


def test_scores_that_are_none_are_refused(tmp_path: Path) -> None:
    for content in ("", "a,b\n1\n", "time,value\n1,x\n", "time,value,error\n1,2\n"):
        (tmp_path / "scores.csv").write_text(content)
        with pytest.raises(ModelError, match=r"scores\.csv cannot be read"):
            read_scores(tmp_path)


# --- incidents ---


def test_flags_within_the_gap_are_one_incident_and_its_peak_is_its_worst_point() -> None:
    flags = [False, False, True, False, True, False, False, False, False, True, False, False]
    tracker = IncidentTracker(merge_gap=1, zone="Z")
    ended = [*tracker.process(detections(flags)), *tracker.finish()]
    assert [(found.id, found.first_row, found.last_row, found.n_points) for found in ended] == [(1, 2, 4, 2), (2, 9, 9, 1)]
    assert ended[0].start == "2024-01-01T02:00:00Z"
    assert ended[0].end == ended[0].peak_time == "2024-01-01T04:00:00Z"
    assert ended[0].severity == round(4 / 11, 6)
    assert ended[0].peak_value == (100 + 4 / 3,)
    assert ended[0].expected == (100 + 4 / 3 - 0.5,)


@quick
@given(
    flags=st.lists(st.booleans(), min_size=4, max_size=60), gap=st.integers(0, 5), cuts=st.lists(st.integers(0, 60), max_size=6)
)
def test_incidents_do_not_depend_on_how_the_stream_is_cut_nor_on_a_restart(flags: list[bool], gap: int, cuts: list[int]) -> None:
    whole = detections(flags)
    reference = IncidentTracker(gap)
    expected = [*reference.process(whole), *reference.finish()]
    tracker, found = IncidentTracker(gap), []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(flags)], strict=True):
        found += tracker.process(whole[start:stop])
        fresh = IncidentTracker(0)
        fresh.load(unpack(pack(tracker.state()), "x"))
        tracker = fresh
    assert [*found, *tracker.finish()] == expected
    flagged = np.flatnonzero(whole.anomalies)
    assert sum(incident.n_points for incident in expected) == len(flagged)
    assert len(expected) == (1 + int((np.diff(flagged) > gap + 1).sum()) if len(flagged) else 0)


def judged(flags: list[int], scores: list[float] | None = None, rest: float = 0.1) -> Detections:
    """Detections of one column with these flags, all judged; errors are ``rest`` where nothing is flagged, limits 1."""
    flagged = np.array(flags, dtype=bool)
    errors = np.where(flagged, 2.0, rest)
    values = np.zeros((len(flags), 1))
    known = flagged.astype(float) if scores is None else np.array(scores)
    return Detections(np.arange(len(flags)), values, values, errors, np.ones(len(flags)), known, flagged)


def test_an_open_incident_is_the_last_line_and_is_written_anew_until_it_closes(tmp_path: Path) -> None:
    folder, tracker, seen = RunFolder(tmp_path / "run"), IncidentTracker(merge_gap=2), []
    folder.open_rows(("value",), "")

    def lines() -> list[tuple[int, str, int]]:
        found = map(json.loads, (tmp_path / "run" / "incidents.jsonl").read_text().splitlines())
        return [(line["id"], line["status"], line["n_points"]) for line in found]

    for flags in ([0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]):
        chunk = judged(flags)
        folder.append(chunk, tracker.process(chunk), tracker.open)
        seen.append(lines())
    assert seen == [
        [(1, "open", 1)],
        [(1, "open", 2)],
        [(1, "closed", 2)],
        [(1, "closed", 2), (2, "open", 1)],
    ]
    folder.append(judged([]), tracker.finish())
    folder.close()
    assert lines() == [(1, "closed", 2), (2, "closed", 1)]


@pytest.mark.parametrize(("hysteresis", "incidents"), [(1.0, 2), (0.8, 1)])
def test_hysteresis_keeps_an_incident_open_while_the_error_stays_near_the_limit(hysteresis: float, incidents: int) -> None:
    tracker = IncidentTracker(1, hysteresis=hysteresis)
    found = [*tracker.process(judged([1, 0, 0, 0, 0, 1], rest=0.9)), *tracker.finish()]
    assert len(found) == incidents


def test_only_an_incident_that_is_worse_than_those_shortly_before_is_an_alarm() -> None:
    tracker = IncidentTracker(0, refractory=5)
    scores = [0.5, 0, 0, 0.4, 0, 0, 0.6, 0, 0]
    found = [*tracker.process(judged([1, 0, 0, 1, 0, 0, 1, 0, 0], scores)), *tracker.finish()]
    assert [incident.alarm for incident in found] == [True, False, True]


def test_an_incident_as_json_is_one_line_of_plain_values() -> None:
    incident = Incident(1, "a", "b", "a", (1.5,), (float("nan"),), 0.25, 2, 10, 12, True)
    text = incident.to_json("closed")
    assert "\n" not in text
    assert json.loads(text) == {
        "id": 1,
        "status": "closed",
        "start": "a",
        "end": "b",
        "peak_time": "a",
        "peak_value": 1.5,
        "expected": None,
        "severity": 0.25,
        "n_points": 2,
        "first_row": 10,
        "last_row": 12,
        "alarm": True,
    }
    several = Incident(1, "a", "b", "a", (1.5, 2.5), (1.0, float("nan")), 0.25, 2, 10, 12, True)
    assert json.loads(several.to_json("open"))["expected"] == [1.0, None]


def test_a_damaged_incident_is_refused() -> None:
    for text in ("", "[]", "{}", '{"id": 1}'):
        with pytest.raises(ModelError, match="checkpoint is damaged"):
            Incident.thaw(text)


# --- counts ---


def test_counts_and_quality_survive_a_restart() -> None:
    flags = [False] * 10 + [True, True] + [False] * 8
    labels = np.zeros(20, bool)
    labels[9:13] = True
    stream, tracker, tally = detections(flags), IncidentTracker(0), Tally()
    for start in range(0, 20, 5):
        part = stream[start : start + 5]
        tally.take(part, tracker.process(part), labels[start : start + 5])
        fresh = Tally()
        fresh.load(unpack(pack(tally.state()), "x"))
        tally = fresh
    counts = tally.counts(0.1)
    assert (counts["points"], counts["judged"], counts["flagged"], counts["missing"], counts["incidents"]) == (20, 17, 2, 1, 1)
    quality = tally.quality(0)
    assert quality and quality["event_precision"] == quality["event_recall"] == quality["event_f1"] == 1
    assert quality["detection_delay_points"] == 1
    assert Tally().quality(0) is None


def test_the_summary_tells_counts_worst_incidents_and_files() -> None:
    counts = {
        "points": 5000,
        "judged": 4000,
        "missing": 3,
        "flagged": 1,
        "incidents": 1,
        "flagged_share": 1 / 4000,
        "budget": 0.00001,
    }
    worst = [Incident(1, "a", "b", "2024-01-01T00:00:00Z", (123456.7,), (1.0,), 0.987, 1, 10, 12, True)]
    quality = {"known_anomalies": 4, "event_recall": 0.5, "event_precision": 1.0}
    assert summary("cpu.csv", counts, 1000, quality, worst, Path("o"), ["scores.csv"]) == [
        "cpu.csv: 5,000 points, 1,000 of them trained on, 4,000 judged, 3 missing",
        "1 incident, 1 point flagged (0.025% of those judged; the budget for normal points is 0.001%)",
        "  2024-01-01T00:00:00Z  seen 1.2346e+05, expected 1, severity 0.99, 1 point",
        "known anomalies: 50% of 4 found, 100% of the incidents right",
        "o: scores.csv",
    ]


# --- console and interrupts ---


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_only_and_goes_away() -> None:
    plain, terminal = io.StringIO(), Terminal()
    for stream in (plain, terminal):
        console = Console(stream)
        with console.bars():
            bar = console.progress("training")
            bar(3, 10, "loss 0.5")
            console.say("a line [in brackets]")
            bar.finish()
        console.say("the end")
    assert plain.getvalue() == "a line [in brackets]\nthe end\n"
    assert "training" in terminal.getvalue()
    assert "a line [in brackets]" in terminal.getvalue()
    assert terminal.getvalue().endswith("the end\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_while_it_is_held_and_handlers_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done: list[str] = []

    def work() -> Iterator[str]:
        with Interrupts() as interrupts:
            with interrupts.held():
                with interrupts.held():
                    signal.raise_signal(number)
                    yield "inner"
                yield "outer"
            yield "after"

    with pytest.raises(KeyboardInterrupt):
        for step in work():
            done.append(step)
    assert done == ["inner", "outer"]
    assert signal.getsignal(number) is before


def test_once_the_work_is_over_an_interrupt_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        with interrupts.held():
            pass
        interrupts.over()
        signal.raise_signal(signal.SIGTERM)
        with interrupts.held():
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_that_is_not_held_comes_at_once_and_an_ignored_one_stays_ignored() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts():
        signal.raise_signal(signal.SIGTERM)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
