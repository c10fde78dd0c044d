"""Yesterday's model meets today's file: it goes on where it stood, and says so where it cannot, or where the two are unlike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import cli
from helpers.cli import FOREST, GAUSSIAN, QUIET, SERIES, Outcome, Program, wave, write_csv

import autoencoder as ae
from cli.series import file_of, interleaved, rows_of, to_detections

POINTS, DAY = 900, 600  # points of the stream, and of them those that train
TRAINED = (*FOREST, "--set", f"training.points={DAY}")


def stamps(first: int, last: int, minutes: int = 60) -> list[str]:
    times = np.datetime64("2024-01-01T00:00:00") + np.arange(first, last) * np.timedelta64(minutes, "m")
    return [f"{time}Z" for time in times]


def write(name: str, first: int, last: int, values: list[float] | None = None, minutes: int = 60) -> Path:
    """A file of a part of the stream, or of other values at its times."""
    return write_csv(Path(name), stamps(first, last, minutes), values or wave(POINTS)[first:last])


@pytest.fixture
def model(program: Program) -> Path:
    """A model that was trained on the first day."""
    assert program("train", "--source", "csv", "--path", write("day.csv", 0, DAY), "--out", "model", *FOREST).code == 0
    return Path("model")


def judge(program: Program, path: Path, out: str, model: object = "model", *more: object) -> Outcome:
    outcome = program("--source", "csv", "--path", path, "--model", model, "--out", out, *QUIET, *more)
    assert outcome.code == 0, outcome.err
    return outcome


def verdicts(folder: str | Path) -> list[list[str]]:
    return [list(row.values())[3:] for row in cli.rows(Path(folder))]


def test_every_point_is_judged_as_in_one_run(program: Program, model: Path) -> None:
    assert program("--source", "csv", "--path", write("all.csv", 0, POINTS), "--out", "whole", *TRAINED).code == 0
    outcome = judge(program, write("next.csv", DAY, 700), "next")
    assert "next.csv: 100 points, 0 of them trained on, 100 judged\n" in outcome.err
    assert verdicts("next") == verdicts("whole")[DAY:700]
    judge(program, write("last.csv", 700, POINTS), "last", "next")  # a run passes on where it stands
    assert verdicts("last") == verdicts("whole")[700:]


def test_the_score_goes_on_whatever_kind_of_threshold_flags(program: Program, model: Path) -> None:
    """The model is handed from kind to kind, beside one that stays with its own."""
    kept = carried = "model"
    for first, kind in ((DAY, "quantile"), (700, "sigma"), (800, "tail")):
        path = write(f"{first}.csv", first, first + 100)
        judge(program, path, f"kept-{first}", kept)
        judge(program, path, f"carried-{first}", carried, "--set", f"threshold.kind={kind}")
        kept, carried = f"kept-{first}", f"carried-{first}"
        one, other = ([row["score"] for row in cli.rows(Path(folder))] for folder in (kept, carried))
        assert one == other
    assert verdicts(kept) == verdicts(carried)


def test_without_times_rows_follow(program: Program) -> None:
    for name, first, last in (("a.csv", 0, DAY), ("b.csv", DAY, POINTS), ("all.csv", 0, POINTS)):
        write_csv(Path(name), wave(POINTS)[first:last], header="value")
    program("train", "--source", "csv", "--path", "a.csv", "--out", "model", *FOREST)
    program("--source", "csv", "--path", "all.csv", "--out", "whole", *TRAINED)
    judge(program, Path("b.csv"), "b")
    assert verdicts("b") == verdicts("whole")[DAY:]


@pytest.mark.parametrize("adapts", [(True, False), (False, True)], ids=["to a plain run", "to an adaptive run"])
def test_a_model_goes_from_one_kind_of_run_to_another(program: Program, adapts: tuple[bool, bool]) -> None:
    day = write("day.csv", 0, DAY)
    before, after = (
        ("--set", f"adaptation.enabled={str(one).lower()}", "--set", "adaptation.cold_start_points=null") for one in adapts
    )
    assert program("--source", "csv", "--path", day, "--out", "model", *FOREST, *before).code == 0
    outcome = judge(program, write("next.csv", DAY, POINTS), "next", "model", *after)
    assert "300 judged\n" in outcome.err


def test_a_gap_between_the_two_is_a_gap(program: Program, model: Path) -> None:
    """It keeps the phase of the season, whether it lies inside of a file or between two."""
    kept = [*range(DAY), *range(DAY + 7, POINTS)]
    write_csv(Path("all.csv"), [stamps(0, POINTS)[row] for row in kept], [wave(POINTS)[row] for row in kept])
    program("--source", "csv", "--path", "all.csv", "--out", "whole", *TRAINED)
    judge(program, write("later.csv", DAY + 7, POINTS), "later")
    assert verdicts("later") == verdicts("whole")[DAY:]
    judge(program, write("much_later.csv", DAY + 24 * 40, DAY + 24 * 40 + 100, wave(POINTS)[DAY : DAY + 100]), "much")
    assert cli.metrics(Path("much"))["counts"]["judged"] == 100


def test_what_begins_too_early_fills_its_window_anew(program: Program, model: Path) -> None:
    outcome = judge(program, write("over.csv", DAY - 20, DAY + 80), "over")
    assert "over.csv: begins at 2024-01-25T04:00:00, and the model has seen all up to 2024-01-25T23:00:00" in outcome.err
    assert "only 84% of 100 points were judged: 16 came before a window was full\n" in outcome.err
    assert "the points begin before the end of what the model has seen" in outcome.err
    assert len(cli.metrics(Path("over"))["notes"]) == 1
    values = [float("nan") if row % 3 else value for row, value in enumerate(wave(POINTS)[DAY:POINTS])]
    path = write_csv(Path("gaps.csv"), stamps(DAY, POINTS), ["" if value != value else value for value in values])
    assert "only 33% of 300 points were judged: 200 have a missing value\n" in judge(program, path, "gaps").err


TODAY = wave(POINTS)[DAY:]
UNLIKE: dict[str, tuple[list[float], int, str]] = {  # values and minutes between them -> what is told
    "another unit": ([100 * value for value in TODAY], 60, "value lies around 1013"),
    "a smaller unit": ([value / 100 for value in TODAY], 60, "value lies around 0.1013"),
    "another level": ([value + 200 for value in TODAY], 60, "value lies around 210"),
    "another season": (
        [10 + 3 * np.sin(row / 10) for row in range(300)],
        60,
        "the season has 63 points; the model was trained on one of 24",
    ),
    "another pace": (TODAY, 180, "a point comes every 1.08e+04 s; the model was trained on one every 3600 s"),
    "the same": (TODAY, 60, ""),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_what_is_unlike_the_training_part_is_told(program: Program, model: Path, what: str) -> None:
    values, minutes, told = UNLIKE[what]
    outcome = judge(program, write("x.csv", DAY, POINTS, values, minutes), "o")
    warnings = [line for line in outcome.err.splitlines() if line.startswith("x.csv: ")][:-1]
    assert len(warnings) == bool(told), outcome.err
    assert told in outcome.err


def two_columns(name: str, first: int, last: int, header: str) -> Path:
    columns = {"temperature": wave(POINTS), "pressure": [1000 + 4 * value for value in wave(POINTS + 5)[5:]]}
    cells = [columns.get(column, columns["pressure"])[first:last] for column in header.split(",")]
    return write_csv(Path(name), stamps(first, last), *cells, header=f"timestamp,{header}")


def test_columns_are_matched_by_their_names(program: Program) -> None:
    names = ("--column", "temperature", "--column", "pressure")
    swapped, replaced = (*names[2:], *names[:2]), (*names[:2], "--column", "humidity")
    day = two_columns("day.csv", 0, DAY, "temperature,pressure")
    assert program("train", "--source", "csv", "--path", day, *names, "--out", "model", *FOREST).code == 0
    path = two_columns("next.csv", DAY, POINTS, "pressure,temperature")
    assert "in the order" not in judge(program, path, "right", "model", *names).err
    assert (
        "in the order in which the model in model was trained: temperature, pressure\n"
        in judge(program, path, "o", "model", *swapped).err
    )
    assert (Path("o/scores.csv")).read_bytes() == Path("right/scores.csv").read_bytes()
    again = ("--source", "csv", "--path", path, "--model", "model", "--out", "o", "--resume", *QUIET)
    assert "the run in it is done" in program(*again, *swapped).err  # the same line once more
    assert "csv.columns was" in program(*again, *names).error
    everything = ("--column", "all", "--set", "columns.joint=true")
    assert "in the order in which" in judge(program, path, "all", "model", *everything).err
    assert (Path("all/scores.csv")).read_bytes() == Path("right/scores.csv").read_bytes()
    refused = program("--source", "csv", "--path", path, "--model", "model", "--out", "p", "--column", "all", *QUIET)
    assert (refused.code, refused.error) == (
        2,
        "--model model judges 2 columns together, this run each column of next.csv on its own; add --set columns.joint=true, "
        "or train a model with columns.joint=false",
    )
    other = two_columns("other.csv", DAY, POINTS, "temperature,humidity")
    refused = program("--source", "csv", "--path", other, "--model", "model", "--out", "p", *replaced, *QUIET)
    assert (
        refused.code == 2
        and "trained on the columns temperature, pressure, other.csv gives temperature, humidity" in refused.error
    )
    table = pd.read_csv(path, index_col=0, parse_dates=True)
    with pytest.warns(UserWarning, match="in the order in which the model was trained: temperature, pressure"):
        found = ae.load("model").process(table)
    assert found.columns == ("temperature", "pressure")
    assert [f"{error:.9g}" for error in found.errors] == [row["error"] for row in cli.rows(Path("right"))]


def test_each_known_series_goes_on_and_a_new_one_begins(program: Program) -> None:
    def part(name: str, first: int, last: int, *hosts: str) -> Path:
        rows = (rows_of(host, [value + place for value in wave(POINTS)])[first:last] for place, host in enumerate(hosts))
        return file_of(Path(name), interleaved(*rows))

    training = ("--set", "training.points=300")
    assert program("train", *SERIES, "--path", part("day.csv", 0, 300, "a", "b", "c"), "--out", "model", *GAUSSIAN).code == 0
    assert program(*SERIES, "--path", part("all.csv", 0, 500, "a", "b", "c"), "--out", "whole", *GAUSSIAN, *training).code == 0
    use = ("--model", "model", *QUIET)
    outcome = program(*SERIES, "--path", part("next.csv", 300, 400, "a", "b"), "--out", "next", *use)
    assert outcome.code == 0, outcome.err
    whole = to_detections(Path("whole"))
    for name in "ab":
        assert to_detections(Path("next"))[name] == whole[name][300:400]
    later = program(
        *SERIES, "--path", part("later.csv", 400, 500, "a", "b", "c", "new"), "--out", "later", "--model", "next", *QUIET
    )
    assert later.code == 0, later.err
    found = to_detections(Path("later"))
    assert found["a"] == whole["a"][400:]
    assert found["c"][0].split(",")[5]  # which came not in between, and is warm all the same
    assert [bool(row.split(",")[5]) for row in found["new"]].index(True) == 32  # cold
    lone = write_csv(Path("lone.csv"), stamps(0, 200), wave(200))
    judge(program, lone, "lone", "next")  # a stream without series passes them on, and goes on where it stood itself
    judge(program, write("more.csv", 200, 300), "more", "lone")
    assert cli.metrics(Path("more"))["counts"]["judged"] == 100
    again = program(*SERIES, "--path", "later.csv", "--out", "again", "--model", "more", *QUIET)
    assert again.code == 0 and to_detections(Path("again")) == found
    early = program(*SERIES, "--path", "day.csv", "--out", "early", *use)
    assert "3 of 3 series begin before the end of what the model has seen" in early.err
