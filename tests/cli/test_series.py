"""Many series in one file: each is judged as if it were alone, whatever the order of the rows and whatever its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import QUIET, SERIES, Program, wave, write_csv
from helpers.detections import HOSTILE

from autoencoder.reports.scores_csv import read_scores
from cli.series import LSTM, QUICK, SHORT, Row, file_of, interleaved, lines_of, rows_of, spiked, to_detections

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
    assert worst["a"] == {"series": "a", "points": 300, "judged": 90, "flagged": 2, "incidents": 2, "severity": 0.75}


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
    assert set(left_out) == {"single", "gone"}
    assert "usable points" in left_out["single"]
    for name in left_out:
        assert f"metrics.csv: series {name!r} is left out: {left_out[name]}\n" in outcome.err
    judged = {row["series"] for row in cli.rows(Path("many")) if row["score"]}
    assert judged == {"flat", "good", "also good"}
    assert len(cli.rows(Path("many"))) == sum(map(len, series))
    assert "5 series, 2 of them left out" in outcome.err


def test_no_usable_series_fails(program: Program, tmp_path: Path) -> None:
    path = file_of(tmp_path / "short.csv", (row for number in range(30) for row in rows_of(f"s{number}", [1.0] * 30)))
    outcome = program(*SERIES, "--path", path, "--out", "many", *QUICK, "--set", "training.points=50")
    assert outcome.code == 2 and not Path("many").exists()
    *warnings, more, error = outcome.err.splitlines()
    assert len(warnings) == 10 and more == "short.csv: there is more to say of other series; metrics.json says it all"
    assert error.startswith("error: short.csv: none of 30 series can be judged; 's0': training.points is 50")
