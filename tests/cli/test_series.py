"""Many series in one file: each is judged as if it were alone, whatever the order of the rows and whatever its name."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import GAUSSIAN, QUIET, SERIES, TINY_LSTM, Program, wave, write_csv

from autoencoder.reports.scores_csv import read_scores

Row = tuple[object, ...]  # time, series, value

START = np.datetime64("2025-01-01T00:00:00")
SHORT = (*GAUSSIAN, "--set", "training.fraction=0.7")
LSTM = (*QUIET, *TINY_LSTM, "--set", "training.max_steps=20")
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


@pytest.mark.slow
@pytest.mark.parametrize("detector", [QUICK, LSTM], ids=["windowed_gaussian", "lstm_autoencoder"])
def test_one_series_scores_as_without_its_column(
    detector: tuple[str, ...], program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoencoder.factory.sources.ROWS_OF_MANY", 77)
    values = [*spiked(400, 310, 350), ""]
    single = write_csv(tmp_path / "alone.csv", *zip(*[(time, value) for time, _, value in rows_of("a", values)], strict=True))
    together = file_of(tmp_path / "together.csv", rows_of("a", values))
    assert program("--source", "csv", "--path", single, "--out", "one", *detector).code == 0
    assert program(*SERIES, "--path", together, "--out", "many", *detector).code == 0
    header, *lines = lines_of(Path("one"))
    assert lines_of(Path("many")) == [header + ",series", *(line + ",a" for line in lines)]
    assert any(row["anomaly"] == "1" for row in cli.rows(Path("many")))
    found, expected = ([{**each, "series": None} for each in cli.incidents(Path(name))] for name in ("many", "one"))
    assert found == expected


ALONE: dict[str, tuple[list[list[Row]], tuple[str, ...]]] = {
    "each trains for itself": (
        [
            rows_of("a", spiked(300, 250)),
            rows_of("b", [100 * value for value in spiked(220, 180, 215)]),
            rows_of("c", ["", *wave(100)]),
        ],
        QUICK,
    ),
    "a budget in time is each one's own": (
        [rows_of("often", wave(200), every=60), rows_of("seldom", wave(200), every=600)],
        ("--set", "threshold.budget=5 per day", *SHORT),
    ),
    "a saved model serves all": (
        [rows_of("a", spiked(100, 60)), rows_of("b", spiked(50, 40)), rows_of("short", [10.0])],
        ("--model", "model", *QUIET),
    ),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_series_scores_as_if_alone(program: Program, tmp_path: Path, case: str) -> None:
    series, arguments = ALONE[case]
    model = file_of(tmp_path / "model.csv", rows_of("m", wave(300)))
    assert program("train", "--source", "csv", "--path", model, "--out", "model", *QUICK).code == 0
    together = interleaved(*series)
    path = file_of(tmp_path / "together.csv", together)
    assert program(*SERIES, "--path", path, "--out", "many", *arguments).code == 0
    assert [row["time"] for row in cli.rows(Path("many"))] == [time for time, _, _ in together]
    for one in series:
        name = str(one[0][1])
        single = file_of(tmp_path / f"{name}.csv", one)
        assert program("--source", "csv", "--path", single, "--out", name, *arguments).code == 0
        assert to_detections(Path("many"))[name] == lines_of(Path(name))[1:]
    assert cli.metrics(Path("many"))["series"]["judged"] == len(series)
    assert program("--source", "csv", "--path", model, "--out", "again", "--model", "many", *QUIET).code == 0


@pytest.mark.slow
def test_the_order_of_series_changes_nothing(program: Program, tmp_path: Path) -> None:
    series = [rows_of("b", spiked(320, 200)), rows_of("a", [5 - 3 * value for value in spiked(300, 290)])]
    for folder, ordered in (("mixed", interleaved(*series)), ("grouped", [*series[1], *series[0]])):
        path = file_of(tmp_path / f"{folder}.csv", ordered)
        assert program(*SERIES, "--path", path, "--out", folder, *LSTM).code == 0
    assert to_detections(Path("mixed")) == to_detections(Path("grouped"))
    assert {row["anomaly"] for row in cli.rows(Path("mixed")) if row["series"] == "a"} == {"0", "1"}
    training = cli.metrics(Path("mixed"))["training"]
    assert training["points"] == 80 + 75 and training["validation_loss"] > 0


# --- what a run leaves ---


def test_incidents_name_their_series(program: Program, tmp_path: Path) -> None:
    series = [rows_of("a", spiked(300, 230, 298)), rows_of("b", spiked(300, 215)), rows_of("c", spiked(300, 250))]
    path = file_of(tmp_path / "metrics.csv", interleaved(*series))
    sparse = ("--set", "threshold.budget=0.0001", "--set", "incidents.merge_gap=10", *SHORT)
    outcome = program(*SERIES, "--path", path, "--out", "many", *sparse)
    found = cli.incidents(Path("many"))
    began = [(1, "b", 215), (2, "a", 230), (3, "c", 250), (4, "a", 298)]
    assert [(one["id"], one["series"], one["first_row"]) for one in found] == began
    log = Path("many", "anomalies.log").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition("  ")[2] for line in log] == ["series 'b'", "series 'a'", "series 'c'", "series 'a'"]
    assert "3 series" in outcome.err and outcome.err.count(", series '") == 3
    left = cli.metrics(Path("many"))
    assert left["counts"]["points"] == 900 and left["counts"]["incidents"] == 4 and left["counts"]["budget"] == 0.0001
    assert left["series"]["count"] == left["series"]["judged"] == 3 and left["series"]["left_out"] == {}
    worst = {one["series"]: one for one in left["series"]["worst"]}
    assert worst["a"] == {"series": "a", "points": 300, "judged": 90, "flagged": 2, "incidents": 2, "severity": 1.0}


def test_labels_are_compared_by_series(program: Program, tmp_path: Path) -> None:
    a, b = spiked(200, 10, 150), spiked(200, 160, 180)
    labelled = [(*row, int(index in (10, 150, 160))) for index, row in enumerate(rows_of("a", a))]
    labelled += [(*row, int(index == 160)) for index, row in enumerate(rows_of("b", b))]
    path = file_of(tmp_path / "labelled.csv", labelled, "timestamp,host,value,label")
    arguments = (*SERIES, "--path", path, "--label-column", "label", "--set", "threshold.budget=0.0001", *SHORT)
    assert program(*arguments, "--set", "incidents.merge_gap=0", "--out", "many").code == 0
    quality = cli.metrics(Path("many"))["quality"]
    assert quality["known_anomalies"] == 3  # the one in a training part does not count
    assert quality["point_recall"] == quality["point_precision"] == pytest.approx(2 / 3, abs=1e-6)


def test_the_plot_shows_the_worst_series(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "metrics.csv", interleaved(rows_of("calm", wave(100)), rows_of("wild", spiked(100, 80))))
    outcome = program(*SERIES, "--path", path, "--out", "many", *QUICK, "--plot", "live")
    assert outcome.err.splitlines()[0].startswith("--plot live: the window shows one series")
    assert Path("many", "plot.png").read_bytes().startswith(b"\x89PNG")
    assert cli.metrics(Path("many"))["series"]["worst"][0]["series"] == "wild"
    shown = read_scores(Path("many"), "wild", max_rows=60)
    np.testing.assert_array_equal(shown.values[:, 0], spiked(100, 80)[-60:])


# --- names are data ---

HOSTILE = ["", "=1+1", "+1", "-1", "-2.5", "-1+2", "@a", 'a"b', "a,b", "a;=1", "a|b", "a\\x3bb", "../../x", "\x1b[2J", "a\u2028b"]
HOSTILE += ["Ü\u202e", "b"]


def test_names_are_data(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "names.csv", (row for name in HOSTILE for row in rows_of(name, spiked(100, 80))))
    outcome = program(*SERIES, "--path", path, "--out", "many", *QUICK)
    assert outcome.code == 0
    fields = list(dict.fromkeys(row["series"] for row in cli.rows(Path("many"))))
    assert len(fields) == len(HOSTILE)
    assert fields[:5] == ["", "\\x3d1+1", "\\x2b1", "-1", "-2.5"]
    assert {one["series"] for one in cli.incidents(Path("many"))} == set(HOSTILE)
    for text in (outcome.err, Path("many", "anomalies.log").read_text(encoding="utf-8")):
        assert all(line.isprintable() for line in text.split("\n"))
    assert {path.name for path in tmp_path.iterdir()} == {"names.csv", "many"}


# --- series that cannot be judged ---


def test_series_that_cannot_be_learnt_are_left_out(program: Program, tmp_path: Path) -> None:
    series = [rows_of("flat", [3.0] * 300), rows_of("single", [1.0]), rows_of("gone", ["", "na", ""])]
    series += [rows_of("good", spiked(300, 250)), rows_of("also good", wave(320))]
    path = file_of(tmp_path / "metrics.csv", interleaved(*series))
    outcome = program(*SERIES, "--path", path, "--out", "many", *LSTM)
    assert outcome.code == 0
    left_out = cli.metrics(Path("many"))["series"]["left_out"]
    assert set(left_out) == {"flat", "single", "gone"}
    assert "constant" in left_out["flat"] and "usable points" in left_out["single"]
    for name in left_out:
        assert f"metrics.csv: series {name!r} is left out: {left_out[name]}\n" in outcome.err
    judged = {row["series"] for row in cli.rows(Path("many")) if row["score"]}
    assert judged == {"good", "also good"}
    assert len(cli.rows(Path("many"))) == sum(map(len, series))
    assert "5 series, 3 of them left out" in outcome.err


def test_no_usable_series_fails(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "short.csv", (row for number in range(30) for row in rows_of(f"s{number}", [1.0] * 30)))
    outcome = program(*SERIES, "--path", path, "--out", "many", *QUICK, "--set", "training.points=50")
    assert outcome.code == 2 and not Path("many").exists()
    *warnings, more, error = outcome.err.splitlines()
    assert len(warnings) == 10 and more == "short.csv: more series are left out; metrics.json names them all"
    assert error.startswith("error: short.csv: none of 30 series can be judged; 's0': training.points is 50")


# --- what one series can, many can ---


RESUMABLE = (*GAUSSIAN, "--set", "training.points=70", "--set", "checkpoint.every=40", "--set", "threshold.budget=0.02")
PIPED = ("--series-column", "host", *RESUMABLE)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A file of three series in turn."""
    series = [rows_of(name, spiked(300, 120 + 40 * place, 250)) for place, name in enumerate("abc")]
    return file_of(tmp_path / "three.csv", interleaved(*series))


@pytest.mark.parametrize("detector", [RESUMABLE, (*RESUMABLE, "--set", "adaptation.enabled=true")], ids=["plain", "adaptive"])
def test_a_killed_run_goes_on(detector: tuple[str, ...], program: Program, three: Path, tmp_path: Path) -> None:
    detector, out = (*detector, "--set", "adaptation.synchronous=true"), tmp_path / "o"
    process = cli.start(*SERIES, "--follow", "--path", three, "--out", "o", *detector, folder=tmp_path)
    cli.wait_until((out / "checkpoint.npz").exists, process)
    cli.wait_for_rows(out, 900, process)
    process.kill()
    process.communicate()
    with three.open("a") as file:
        file.write(",".join(map(str, rows_of("a", wave(301))[-1])) + "\n")
    again = cli.start("--resume", "--out", "o", folder=tmp_path)
    cli.wait_for_rows(out, 901, again)
    again.send_signal(signal.SIGTERM)
    assert cli.finish(again).code == 130
    assert program(*SERIES, "--path", three, "--out", "whole", *detector).code == 0
    assert (out / "scores.csv").read_bytes() == Path("whole/scores.csv").read_bytes()
    assert len(cli.incidents(out)) == len(cli.incidents(Path("whole")))


def test_a_pipe_that_was_cut_off_goes_on(program: Program, three: Path, tmp_path: Path) -> None:
    assert program(*SERIES, "--path", three, "--out", "whole", *RESUMABLE).code == 0
    process = cli.open_pipe(tmp_path, *PIPED)
    header, *lines = three.read_text().splitlines(keepends=True)
    cli.feed(process, header + "".join(lines[:500]))
    cli.wait_for_rows(tmp_path / "o", 500, process)
    process.send_signal(signal.SIGTERM)
    assert cli.finish(process).code == 130
    again = cli.open_pipe(tmp_path, *PIPED, "--resume")
    assert cli.finish(again, text=header + "".join(lines[500:])).code == 0
    cli.assert_same_results(tmp_path / "o", Path("whole"))


def test_a_model_serves_each_series_its_own(program: Program, three: Path, tmp_path: Path) -> None:
    assert program("train", *SERIES, "--path", three, "--out", "model", *RESUMABLE).code == 0
    use = ("--model", "model", *QUIET)
    assert program(*SERIES, "--path", three, "--out", "many", *use).code == 0
    single = file_of(tmp_path / "b.csv", rows_of("b", spiked(300, 160, 250)))
    assert program(*SERIES, "--path", single, "--out", "b", *use).code == 0
    assert to_detections(Path("many"))["b"] == to_detections(Path("b"))["b"]
    other = file_of(tmp_path / "other.csv", rows_of("other", wave(100)))
    assert program(*SERIES, "--path", other, "--out", "other", *use).code == 0
    assert cli.metrics(Path("other"))["series"]["judged"] == 1


@pytest.mark.slow
def test_series_of_a_pipe_share_a_network(program: Program, three: Path, tmp_path: Path) -> None:
    arguments = ("--series-column", "host", "--set", "training.points=120", *LSTM)
    done = cli.finish(cli.open_pipe(tmp_path, *arguments), text=three.read_text())
    assert done.code == 0, done.err
    assert {row["series"] for row in cli.rows(tmp_path / "o") if row["score"]} == {"a", "b", "c"}
    assert cli.metrics(tmp_path / "o")["training"]["steps"] > 0
    assert (tmp_path / "o/model.onnx").exists()


def test_adaptations_name_their_series(program: Program, tmp_path: Path) -> None:
    shifted = [value + 60 * (row > 700) for row, value in enumerate(wave(1500))]
    path = file_of(tmp_path / "shift.csv", interleaved(rows_of("still", wave(1500)), rows_of("shifted", shifted)))
    adapting = ("enabled=true", "confirm_windows=4", "buffer_points=800", "cold_start_points=null")
    settings = [part for one in adapting for part in ("--set", f"adaptation.{one}")]
    quick = ("--detector", "windowed_gaussian", "--set", "windowed_gaussian.window=2000", "--set", "training.points=300")
    assert program(*SERIES, "--path", path, "--out", "o", *quick, *settings).code == 0
    events = [json.loads(line) for line in Path("o/adaptations.jsonl").read_text().splitlines()]
    assert "promoted" in {event["event"] for event in events if event["series"] == "shifted"}
    assert not [event for event in events if event["series"] == "still" and event["event"] == "drift declared"]
    assert cli.metrics(Path("o"))["adaptation"]["promoted"] >= 1


def test_parquet_with_times_and_series(program: Program, three: Path, tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.csv.read_csv(three), tmp_path / "three.parquet")
    assert program(*SERIES, "--path", three, "--out", "csv", *RESUMABLE).code == 0
    assert program(*SERIES, "--path", tmp_path / "three.parquet", "--out", "parquet", *RESUMABLE).code == 0
    cli.assert_same_results(Path("parquet"), Path("csv"))
