"""Many series in one file: each is judged as if it were alone, whatever the order of the rows and whatever its name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import GAUSSIAN, TINY_LSTM, Outcome, incidents, metrics, rows, wave, write_csv

from autoencoder import assembly
from autoencoder.reports.rows import read_series, series_field
from autoencoder.scorers.base import Array
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.scorers.panel import fit_panel
from data.files import FileSource
from data.series import InputError
from data.text import names as series_names
from data.text.order import OrderWatch

Program = Callable[..., Outcome]
Row = tuple[object, ...]  # time, series, value

START = np.datetime64("2025-01-01T00:00:00")
MANY = ("--source", "csv", "--series-column", "host")
SHORT = (*GAUSSIAN, "--set", "training.fraction=0.7")
LSTM = (*TINY_LSTM, "--set", "training.steps=20")
QUICK = ("--set", "threshold.budget=0.02", *SHORT)


def rows_of(name: str, values: Sequence[object], every: int = 60) -> list[Row]:
    """The rows of one series, ``every`` seconds apart."""
    return [(f"{START + np.timedelta64(every * row, 's')}Z", name, value) for row, value in enumerate(values)]


def spiked(count: int, *at: int) -> list[float]:
    """A noisy wave with spikes."""
    values = wave(count)
    for row in at:
        values[row] += 25
    return values


def interleaved(*series: list[Row]) -> list[Row]:
    """Rows ordered by time."""
    return sorted((row for one in series for row in one), key=lambda row: row[0])


def file_of(path: Path, rows: Iterable[Row], header: str = "timestamp,host,value") -> Path:
    """A csv file of rows; names are quoted where they must be."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(header + "\n")
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def lines_of(folder: Path) -> list[str]:
    """The lines of scores.csv."""
    return (folder / "scores.csv").read_text(encoding="utf-8").splitlines()


def to_detections(folder: Path) -> dict[str, list[str]]:
    """Series -> its lines in scores.csv, without its name."""
    found: dict[str, list[str]] = {}
    for line in lines_of(folder)[1:]:
        detection, _, name = line.rpartition(",")
        found.setdefault(name, []).append(detection)
    return found


# --- the same detections as alone ---


@pytest.mark.parametrize("detector", [QUICK, ("--plot", "none", *LSTM)], ids=["windowed_gaussian", "lstm_autoencoder"])
def test_a_file_with_one_series_has_the_verdicts_of_the_file_without_its_column(
    detector: tuple[str, ...], program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "ROWS_OF_MANY", 77)
    values = [*spiked(400, 310, 350), ""]
    alone = write_csv(tmp_path / "alone.csv", *zip(*[(time, value) for time, _, value in rows_of("a", values)], strict=True))
    together = file_of(tmp_path / "together.csv", rows_of("a", values))
    assert program("--source", "csv", "--path", alone, "--out", "one", *detector).code == 0
    assert program(*MANY, "--path", together, "--out", "many", *detector).code == 0
    expected = lines_of(Path("one"))
    assert lines_of(Path("many")) == [expected[0] + ",series", *(line + ",a" for line in expected[1:])]
    assert any(row["anomaly"] == "1" for row in rows(Path("many")))
    assert [{**found, "series": None} for found in incidents(Path("many"))] == [
        {**found, "series": None} for found in incidents(Path("one"))
    ]


def test_every_series_has_the_verdicts_of_a_file_of_its_own(program: Program, tmp_path: Path) -> None:
    series = {"a": spiked(300, 250), "b": [100 * value for value in spiked(220, 180, 215)], "c": ["", *wave(100)]}
    together = file_of(tmp_path / "together.csv", interleaved(*(rows_of(name, values) for name, values in series.items())))
    assert program(*MANY, "--path", together, "--out", "many", *QUICK).code == 0
    for name, values in series.items():
        alone = file_of(tmp_path / f"{name}.csv", rows_of(name, values))
        assert program("--source", "csv", "--path", alone, "--out", name, *QUICK).code == 0
        assert to_detections(Path("many"))[name] == lines_of(Path(name))[1:]
    assert [row["time"] for row in rows(Path("many"))] == [
        time for time, _, _ in interleaved(*(rows_of(name, values) for name, values in series.items()))
    ]


def test_the_order_of_the_series_changes_no_verdict_of_a_network_they_share(program: Program, tmp_path: Path) -> None:
    series = [rows_of("b", spiked(320, 200)), rows_of("a", [5 - 3 * value for value in spiked(300, 290)])]
    for folder, ordered in (("mixed", interleaved(*series)), ("grouped", [*series[1], *series[0]])):
        path = file_of(tmp_path / f"{folder}.csv", ordered)
        assert program(*MANY, "--path", path, "--out", folder, "--plot", "none", *LSTM).code == 0
    assert to_detections(Path("mixed")) == to_detections(Path("grouped"))
    assert {row["anomaly"] for row in rows(Path("mixed")) if row["series"] == "a"} == {"0", "1"}
    training = metrics(Path("mixed"))["training"]
    assert training["points"] == 80 + 75 and training["validation_loss"] > 0
    assert not {path.name for path in Path("mixed").iterdir()} & {"detector.npz", "checkpoint.npz"}


def test_with_a_saved_model_every_series_begins_where_the_model_ended(program: Program, tmp_path: Path) -> None:
    model = file_of(tmp_path / "model.csv", rows_of("m", wave(300)))
    assert program("train", "--source", "csv", "--path", model, "--out", "model", *QUICK).code == 0
    series = {"a": spiked(100, 60), "b": spiked(50, 40), "short": [10.0]}
    together = file_of(tmp_path / "together.csv", interleaved(*(rows_of(name, values) for name, values in series.items())))
    use = ("--model", "model", "--plot", "none")
    assert program(*MANY, "--path", together, "--out", "many", *use).code == 0
    for name, values in series.items():
        alone = file_of(tmp_path / f"{name}.csv", rows_of(name, values))
        assert program("--source", "csv", "--path", alone, "--out", name, *use).code == 0
        assert to_detections(Path("many"))[name] == lines_of(Path(name))[1:]
    assert metrics(Path("many"))["series"]["judged"] == 3
    assert program("--source", "csv", "--path", model, "--out", "again", "--model", "many", "--plot", "none").code == 0


def test_a_budget_in_time_is_each_series_own(program: Program, tmp_path: Path) -> None:
    budget = ("--set", "threshold.budget=5 per day", *SHORT)
    often, seldom = rows_of("often", wave(200), every=60), rows_of("seldom", wave(200), every=600)
    assert program(*MANY, "--path", file_of(tmp_path / "a.csv", interleaved(often, seldom)), "--out", "many", *budget).code == 0
    for name, series in (("often", often), ("seldom", seldom)):
        alone = file_of(tmp_path / f"{name}.csv", series)
        assert program("--source", "csv", "--path", alone, "--out", name, *budget).code == 0
        assert to_detections(Path("many"))[name] == lines_of(Path(name))[1:]


# --- what a run leaves ---


def test_incidents_name_their_series_and_are_numbered_as_they_close(program: Program, tmp_path: Path) -> None:
    series = [rows_of("a", spiked(300, 230, 298)), rows_of("b", spiked(300, 215)), rows_of("c", spiked(300, 250))]
    path = file_of(tmp_path / "metrics.csv", interleaved(*series))
    sparse = ("--set", "threshold.budget=0.0001", "--set", "incidents.merge_gap=10", *SHORT)
    outcome = program(*MANY, "--path", path, "--out", "many", *sparse)
    found = incidents(Path("many"))
    assert [(one["id"], one["series"], one["first_row"]) for one in found] == [
        (1, "b", 215),
        (2, "a", 230),
        (3, "c", 250),
        (4, "a", 298),
    ]
    log = Path("many", "anomalies.log").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition("  ")[2] for line in log] == ["series 'b'", "series 'a'", "series 'c'", "series 'a'"]
    assert "3 series" in outcome.err and outcome.err.count(", series '") == 3
    left = metrics(Path("many"))
    assert left["counts"]["points"] == 900 and left["counts"]["incidents"] == 4 and left["counts"]["budget"] == 0.0001
    assert left["series"]["count"] == left["series"]["judged"] == 3 and left["series"]["left_out"] == {}
    worst = {one["series"]: one for one in left["series"]["worst"]}
    assert worst["a"] == {"series": "a", "points": 300, "judged": 90, "flagged": 2, "incidents": 2, "severity": 1.0}


def test_labels_are_compared_series_by_series(program: Program, tmp_path: Path) -> None:
    a, b = spiked(200, 10, 150), spiked(200, 160, 180)
    labelled = [(*row, int(index in (10, 150, 160))) for index, row in enumerate(rows_of("a", a))]
    labelled += [(*row, int(index == 160)) for index, row in enumerate(rows_of("b", b))]
    path = tmp_path / "labelled.csv"
    path.write_text("timestamp,host,value,label\n" + "".join(",".join(map(str, row)) + "\n" for row in labelled))
    arguments = (*MANY, "--path", path, "--label-column", "label", "--set", "threshold.budget=0.0001", *SHORT)
    assert program(*arguments, "--set", "incidents.merge_gap=0", "--out", "many").code == 0
    quality = metrics(Path("many"))["quality"]
    assert quality["known_anomalies"] == 3  # the one in a training part does not count
    assert quality["point_recall"] == pytest.approx(2 / 3, abs=1e-6) and quality["point_precision"] == pytest.approx(
        2 / 3, abs=1e-6
    )


def test_the_picture_shows_the_series_with_the_worst_incident(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "metrics.csv", interleaved(rows_of("calm", wave(100)), rows_of("wild", spiked(100, 80))))
    outcome = program(*MANY, "--path", path, "--out", "many", *QUICK, "--plot", "live")
    assert outcome.err.splitlines()[0].startswith("--plot live: the window shows one series")
    assert Path("many", "plot.png").read_bytes().startswith(b"\x89PNG")
    assert metrics(Path("many"))["series"]["worst"][0]["series"] == "wild"
    shown = read_series(Path("many", "scores.csv"), "wild", 60)
    np.testing.assert_array_equal(shown.values[:, 0], spiked(100, 80)[-60:])


# --- names are data ---

HOSTILE = ["", "=1+1", "+1", "-1", "-2.5", "-1+2", "@a", 'a"b', "a,b", "a;=1", "a|b", "a\\x3bb", "../../x", "\x1b[2J", "a\u2028b"]
HOSTILE += ["Ü\u202e", "b"]


def test_names_reach_no_formula_no_terminal_and_no_path(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "names.csv", (row for name in HOSTILE for row in rows_of(name, spiked(100, 80))))
    outcome = program(*MANY, "--path", path, "--out", "many", *QUICK)
    assert outcome.code == 0
    fields = list(dict.fromkeys(row["series"] for row in rows(Path("many"))))
    assert len(fields) == len(HOSTILE)
    assert fields[:5] == ["", "\\x3d1+1", "\\x2b1", "-1", "-2.5"]
    assert {one["series"] for one in incidents(Path("many"))} == set(HOSTILE)
    for text in (outcome.err, Path("many", "anomalies.log").read_text(encoding="utf-8")):
        assert all(line.isprintable() for line in text.split("\n"))
    assert {path.name for path in tmp_path.iterdir()} == {"names.csv", "many"}


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.text(max_size=12), st.text(max_size=12))
def test_a_name_in_scores_csv_is_one_field_of_plain_text_that_no_other_name_has(one: str, other: str) -> None:
    ((field,),) = csv.reader([series_field(one) or '""'])
    assert field.isprintable() and not set(field) & set(";|")
    assert field[:1] not in ("=", "+", "@")
    assert (series_field(one) == series_field(other)) == (one == other)


def test_the_rows_of_a_series_are_told_from_those_whose_names_end_alike(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    head = "time,value,prediction,error,threshold,score,anomaly,series"
    path.write_text("\n".join([head, *(f"{row},{row},,,,,0,{series_field(name)}" for row, name in enumerate(HOSTILE))]) + "\n")
    for row, name in enumerate(HOSTILE):
        assert read_series(path, name, 100).values[:, 0].tolist() == [row]


# --- series that cannot be judged ---


def test_series_that_cannot_be_learnt_are_left_out_and_the_rest_is_judged(program: Program, tmp_path: Path) -> None:
    series = [
        rows_of("flat", [3.0] * 300),
        rows_of("single", [1.0]),
        rows_of("good", spiked(300, 250)),
        rows_of("also good", wave(320)),
        rows_of("gone", ["", "na", ""]),
    ]
    path = file_of(tmp_path / "metrics.csv", interleaved(*series))
    outcome = program(*MANY, "--path", path, "--out", "many", "--plot", "none", *LSTM)
    assert outcome.code == 0
    left_out = metrics(Path("many"))["series"]["left_out"]
    assert list(left_out) == ["flat", "single", "gone"]
    assert "constant" in left_out["flat"] and "usable points" in left_out["single"]
    for name in left_out:
        assert f"metrics.csv: series {name!r} is left out: {left_out[name]}\n" in outcome.err
    judged = {row["series"] for row in rows(Path("many")) if row["score"]}
    assert judged == {"good", "also good"}
    assert len(rows(Path("many"))) == sum(map(len, series))
    assert "5 series, 3 of them left out" in outcome.err


def test_a_series_with_fewer_rows_than_were_asked_for_is_left_out(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "metrics.csv", [*rows_of("long", wave(100)), *rows_of("short", wave(40))])
    outcome = program(*MANY, "--path", path, "--out", "many", *QUICK, "--set", "training.points=70")
    assert outcome.code == 0
    assert list(metrics(Path("many"))["series"]["left_out"]) == ["short"]
    assert all(row["error"] == row["score"] == "" for row in rows(Path("many")) if row["series"] == "short")


def test_a_run_in_which_no_series_can_be_judged_fails_and_leaves_nothing(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "short.csv", (row for number in range(30) for row in rows_of(f"s{number}", [1.0] * 30)))
    outcome = program(*MANY, "--path", path, "--out", "many", *QUICK, "--set", "training.points=50")
    assert outcome.code == 2 and not Path("many").exists()
    *warnings, more, error = outcome.err.splitlines()
    assert len(warnings) == 10 and more == "short.csv: more series are left out; metrics.json names them all"
    assert error.startswith("error: short.csv: none of 30 series can be judged; 's0': training.points is 50")


def test_one_short_series_does_not_blunt_the_network_of_the_others() -> None:
    def fitted(*lengths: int) -> tuple[list[int], dict[int, str]]:
        scorers = [LstmAutoencoderScorer(sequence_length=16, units=(8,), max_steps=2) for _ in lengths]
        parts: list[Array] = [np.array(wave(length))[:, None] for length in lengths]
        faults = fit_panel(scorers, parts)
        fit = [place for place in range(len(lengths)) if place not in faults]
        for place in fit:
            scorers[place].fit(parts[place])
            assert scorers[place].network is scorers[fit[0]].network
        return [scorers[place].scaler.spec.steps for place in fit], {place: str(fault) for place, fault in faults.items()}

    assert fitted(200, 90, 200) == ([13, 13, 13], {})
    steps, faults = fitted(200, 75, 200)
    assert steps == [16, 16]
    assert list(faults) == [1] and "windows of 6 steps, and the network of all series takes 16" in faults[1]


# --- the file ---


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--series-column", "hots"), "has no column 'hots'; did you mean 'host'?"),
        (("--series-column", "value", "--column", "value"), "column 'value' cannot be value and series at once"),
        (("--series-column", "timestamp", "--time-column", "timestamp"), "column 'timestamp' cannot be time and series at once"),
        (("--series-column", "host", "--label-column", "host"), "column 'host' cannot be label and series at once"),
        (("--series-column", "host", "--follow"), "needs a file that is complete; leave out --follow"),
    ],
)
def test_a_column_that_cannot_name_the_series_is_refused(
    arguments: tuple[str, ...], expected: str, program: Program, tmp_path: Path
) -> None:
    path = file_of(tmp_path / "metrics.csv", rows_of("a", wave(20)))
    outcome = program("--source", "csv", "--path", path, *arguments, "--out", "many", *QUICK)
    assert outcome.code == 2 and expected in outcome.error
    assert not Path("many").exists()


def test_what_needs_a_single_series_refuses_many(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "metrics.csv", rows_of("a", wave(200)))
    assert "means nothing to --source stdin" in program("--source", "stdin", "--series-column", "host").error
    assert "means nothing to --source stdin" in program("--source", "stdin", "--set", "csv.series_column=host").error
    assert "do not go together yet" in program(*MANY, "--path", path, "--set", "adaptation.enabled=true", *QUICK).error
    assert "means nothing to train" in program("train", *MANY, "--path", path, "--out", "model", *QUICK).error
    assert program(*MANY, "--path", path, "--out", "many", *QUICK).code == 0
    again = program("--resume", "--out", "many")
    assert again.code == 2 and "begins anew" in again.error
    assert "holds no detector.npz" in program("--source", "csv", "--path", path, "--model", "many", *QUICK).error


def test_times_must_ascend_within_a_series_only(tmp_path: Path) -> None:
    told: list[str] = []
    series = [rows_of("a", wave(5)), rows_of("b", wave(5))]
    FileSource(file_of(tmp_path / "equal.csv", interleaved(*series)), series_column="host", warn=told.append)
    FileSource(file_of(tmp_path / "grouped.csv", [*series[1], *series[0]]), series_column="host", warn=told.append)
    assert told == []
    swapped = interleaved(*series)
    swapped[4], swapped[6] = swapped[6], swapped[4]
    FileSource(file_of(tmp_path / "swapped.csv", swapped), series_column="host", warn=told.append)
    assert (
        len(told) == 1
        and told[0].startswith("swapped.csv, line 8: time 2025-01-01T00:02 is not after 2025-01-01T00:03")
        and "(1 such row)" in told[0]
    )


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1), st.integers(1, 5))
def test_rows_out_of_order_are_counted_in_blocks_of_any_size(rows: list[tuple[int, int]], size: int) -> None:
    last: dict[int, int] = {}
    late = 0
    for time, owner in rows:
        late += time <= last.get(owner, -1)
        last[owner] = time
    watch = OrderWatch()
    for first in range(0, len(rows), size):
        times, owners = (np.array(column) for column in zip(*rows[first : first + size], strict=True))
        watch.see(range(first, first + len(times)), times, owners)
    assert (watch.warning("a") or "").count(f"({late:,} such row") == (late > 0)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.integers(0, 9), min_size=1))
def test_rows_out_of_order_are_the_same_one_by_one(times: list[int]) -> None:
    together, alone = OrderWatch(), OrderWatch()
    together.see(range(len(times)), np.array(times))
    for row, time in enumerate(times):
        alone.see([row], np.array([time]))
    assert alone.warning("a") == together.warning("a")
    assert (alone.last, together.last) == (times[-1:], times[-1:])


def test_parquet_and_json_lines_name_the_same_series_as_csv(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    hosts = ["b", "a", "b", None, "a ", "b"]
    numbers = [1.0, 2.0, None, 4.0, 5.0, 6.0]
    encoded = pa.array(hosts).dictionary_encode()
    table = {"at": np.arange(6), "value": pa.array(numbers), "host": hosts, "coded": encoded, "id": [7, 8, 7, 9, 8, 7]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet", row_group_size=2)
    records = [{"at": at, "value": number, "host": host} for at, (host, number) in enumerate(zip(hosts, numbers, strict=True))]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)))
    file_of(tmp_path / "t.csv", [tuple(record.values()) for record in records], "at,value,host")

    def read(name: str, column: str) -> tuple[tuple[str, ...], list[int]]:
        source = FileSource(tmp_path / name, columns=["value"], time_column="at", series_column=column, chunk_size=4)
        chunks = list(source.chunks())
        assert np.isnan(np.concatenate([chunk.values for chunk in chunks])).ravel().tolist() == [
            number is None for number in numbers
        ]
        return source.series, [owner for chunk in chunks if chunk.series is not None for owner in chunk.series.tolist()]

    expected = (("b", "a", ""), [0, 1, 0, 2, 1, 0])
    for name, column in (("t.csv", "host"), ("t.jsonl", "host"), ("t.parquet", "host"), ("t.parquet", "coded")):
        assert read(name, column) == expected
    assert read("t.parquet", "id") == (("7", "8", "9"), expected[1])


def test_too_many_series_and_too_long_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_names, "MOST_SERIES", 3)
    path = file_of(tmp_path / "many.csv", [(str(row), f"host-{row % 4}", row) for row in range(9)], "at,host,value")
    with pytest.raises(InputError, match=r"^many.csv, line 5, column 'host': found 'host-3'; at most 10,000 series"):
        FileSource(path, time_column="at", series_column="host")
    path = file_of(tmp_path / "long.csv", [("0", "a", 1), ("1", "b" * 201, 1)], "at,host,value")
    with pytest.raises(
        InputError, match=r"^long.csv, line 3, column 'host': found 'bbb.*…'; the name of a series has 200 characters at most"
    ):
        FileSource(path, time_column="at", series_column="host")


def test_a_source_without_a_series_column_names_none(tmp_path: Path) -> None:
    source = FileSource(write_csv(tmp_path / "a.csv", range(3), wave(3)))
    assert source.series == ()
    assert all(chunk.series is None for chunk in source.chunks())
