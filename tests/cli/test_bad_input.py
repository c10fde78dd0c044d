"""Bad input: one line that says where, what was found and what to do, the right exit code, and no folder left behind."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.cli import (
    FOREST,
    GAUSSIAN,
    Outcome,
    Program,
    assert_refused,
    feed,
    finish,
    metrics,
    open_pipe,
    rows,
    wait_for_rows,
    wave,
    write_csv,
)

from autoencoder.core.errors import OutputError
from autoencoder.reports.run_folder import RunFolder

RUN = ("--out", "o", *FOREST)
SMALL = ("--set", "training.points=150")


def lines_of(values: list[object], header: str = "value\n") -> bytes:
    return (header + "".join(f"{value}\n" for value in values)).encode()


def changed(position: int, value: object, count: int = 400) -> list[object]:
    """The wave with another value at one position."""
    values: list[object] = [*wave(count)]
    values[position] = value
    return values


# --- files ---

TABLES: dict[str, tuple[bytes, list[str]]] = {
    "an empty file": (b"", ["x.csv is empty", "at least one row"]),
    "a header only": (b"timestamp,value\n", ["x.csv", "'timestamp,value'", "rows of numbers must follow"]),
    "no column of numbers": (b"name,city\na,b\nc,d\n", ["x.csv", "no column of numbers", "name, city"]),
    "several columns": (b"cpu,mem\n1,2\n3,4\n", ["x.csv", "cpu, mem", "--column"]),
    "text among the numbers": (lines_of(changed(199, "abc")), ["x.csv, line 201, column 'value'", "'abc'", "must be a number"]),
    "an infinite number": (lines_of(changed(199, "inf")), ["x.csv, line 201, column 'value'", "'inf'", "must be a number"]),
    "a time of another kind": (
        b"time,value\n2024-01-01T00:00:00,1\n2024-01-01T00:01:00Z,2\n",
        ["x.csv, line 3, column 'time'", "'2024-01-01T00:01:00Z'", "all of them or none must carry a zone"],
    ),
    "bytes that are no text": (random.Random(1).randbytes(20_000), ["x.csv, line 1", "UTF-8"]),
    "a line of ten megabytes": (
        b"value\n" + b"1" * 10_000_000 + b"\n",
        ["x.csv, line 2", "1,048,576", "one row must be one line"],
    ),
    "rows of different widths": (b"a,value\n1,2\n1,2,3\n", ["x.csv, line 3", "3 fields", "2"]),
    "a series shorter than a window": (lines_of([*wave(12)]), ["x.csv", "3 complete points", "train on more points"]),
    "a constant series": (lines_of([5] * 1000), ["x.csv", "constant", "are 5", "nothing can be learnt"]),
    "a series of nothing": (lines_of(["nan"] * 1000), ["x.csv", "0 complete points of 250"]),
    "a damaged gzip file": (b"\x1f\x8b\x08\x00 and so on", ["x.csv", "gzip", "again"]),
    "a damaged parquet file": (b"PAR1" + bytes(100), ["x.csv", "parquet", "again"]),
}


@pytest.mark.parametrize("fault", sorted(TABLES))
def test_an_unusable_file_is_refused(program: Program, fault: str) -> None:
    content, words = TABLES[fault]
    Path("x.csv").write_bytes(content)
    assert_refused(program("--source", "csv", "--path", "x.csv", *RUN), words)


def test_a_path_that_is_no_file_is_refused(program: Program) -> None:
    Path("folder").mkdir()
    assert_refused(program("--source", "csv", "--path", "missing.csv", *RUN), ["missing.csv: no such file", "check the path"])
    assert_refused(program("--source", "csv", "--path", "folder", *RUN), ["folder is a folder", "give the path of one file"])
    assert_refused(program("--source", "csv", *RUN), ["csv.path", "--path FILE"])


def test_a_missing_column_is_refused(program: Program) -> None:
    write_csv(Path("x.csv"), wave(400), wave(400), header="cpu_load,memory")
    wanted = program("--source", "csv", "--path", "x.csv", "--column", "cpu_laod", *RUN)
    assert_refused(wanted, ["x.csv has no column 'cpu_laod'", "did you mean 'cpu_load'?", "memory"])
    times = program("--source", "csv", "--path", "x.csv", "--column", "memory", "--time-column", "when", *RUN)
    assert_refused(times, ["x.csv has no column 'when'", "cpu_load, memory"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.points=500", ["training.points is 500", "400 points", "ask for fewer"]),
        ("threshold.budget=1 per day", ["threshold.budget is '1 per day'", "no timestamps", "e.g. 0.001"]),
    ],
)
def test_a_setting_must_fit_the_file(program: Program, setting: str, words: list[str]) -> None:
    write_csv(Path("x.csv"), wave(400), header="value")
    assert_refused(program("--source", "csv", "--path", "x.csv", "--set", setting, *RUN), words)


def test_a_failed_try_leaves_the_folder_free(program: Program) -> None:
    Path("x.csv").write_bytes(lines_of([5] * 9000))  # chunks before the last one of the training part were written
    assert_refused(program("--source", "csv", "--path", "x.csv", *RUN), ["constant"])
    write_csv(Path("x.csv"), wave(400), header="value")
    assert program("--source", "csv", "--path", "x.csv", *RUN).code == 0


def test_missing_values_change_no_other_row(program: Program) -> None:
    whole = wave(400)
    gaps = [120, 121, 250, 251, 252, 399]
    gappy: list[object] = [*whole]
    for place, text in zip(gaps, ["", "nan", "NA", "null", "-", "None"], strict=True):
        gappy[place] = text
    kept = [value for row, value in enumerate(whole) if row not in gaps]
    write_csv(Path("gaps.csv"), range(400), gappy, header="time,value")
    write_csv(Path("kept.csv"), range(394), kept, header="time,value")
    trained = {"gaps": 152, "kept": 150}  # two of the gaps lie in the training part
    for name, count in trained.items():
        outcome = program("--source", "csv", "--path", f"{name}.csv", "--out", name, *FOREST, "--set", f"training.points={count}")
        assert outcome.code == 0
        assert ("6 missing" in outcome.err) == (name == "gaps")
    scored = rows(Path("gaps"))
    assert len(scored) == 400
    for place in gaps:
        assert [*scored[place].values()] == [str(place), "", "", "", "", "", "0"]
    judged = [[*row.values()][1:] for place, row in enumerate(scored) if place not in gaps]
    assert judged == [[*row.values()][1:] for row in rows(Path("kept"))]


def test_times_out_of_order_are_told_once(program: Program) -> None:
    times = [1_700_000_000 + 60 * row for row in range(400)]
    times[300], times[301] = times[10], times[299]
    write_csv(Path("x.csv"), times, wave(400))
    outcome = program("--source", "csv", "--path", "x.csv", *RUN)
    assert outcome.code == 0
    warnings = [line for line in outcome.err.splitlines() if "is not after" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("x.csv, line 302: time 2023-11-14T22:23:20 is not after") and "sort the file" in warnings[0]
    assert [float(row["value"]) for row in rows(Path("o"))] == wave(400)


# --- the run folder ---


def test_an_unusable_out_folder_is_untouched(program: Program) -> None:
    Path("file").write_text("mine")
    Path("full").mkdir()
    Path("full/note.txt").write_text("mine")
    for out, words in {
        "file": ["--out file is a file", "give a folder"],
        "file/below": ["--out file/below cannot be written", "give another folder"],
        "full": ["--out full is not empty", "--resume"],
        "x" * 300: ["cannot be written", "give another folder"],
    }.items():
        outcome = program("--out", out, *FOREST)
        assert outcome.code == 2
        assert all(word in outcome.error for word in words), outcome.error
    assert Path("file").read_text() == Path("full/note.txt").read_text() == "mine"
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["file", "full"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="has no owners of files")
def test_a_write_protected_out_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with as_nobody():
        for out in (locked / "o", locked / "o/p"):
            with pytest.raises(OutputError, match=f"--out {out} cannot be written .Permission denied.; give another folder"):
                RunFolder(out)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere, so a test that runs as root gives that right away for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_an_own_empty_folder_stays(program: Program) -> None:
    Path("mine").mkdir()
    assert program("--out", "mine", *FOREST, "--source", "csv", "--path", "missing.csv").code == 2
    assert program("--out", "mine", *FOREST, "--set", "training.points=3").code == 2
    assert list(Path("mine").iterdir()) == []


@pytest.mark.parametrize("command", ["run", "train"])
def test_an_early_failure_leaves_no_folder(program: Program, command: str) -> None:
    assert program(command, *FOREST, "--set", "training.points=3").code == 2
    assert list(Path("runs").iterdir()) == []


# --- stdin ---


def piped(folder: Path, text: str, *arguments: str) -> Outcome:
    return finish(open_pipe(folder, *GAUSSIAN, *SMALL, *arguments), text=text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["stdin is empty", "at least one row"]),
        ("value\n", ["stdin", "'value'", "rows of numbers must follow"]),
        ("a,b\n1,2\n", ["stdin", "a, b", "--column"]),
    ],
)
def test_stdin_without_a_row_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    outcome = piped(tmp_path, text)
    assert outcome.code == 2
    assert all(word in outcome.error for word in words), outcome.error
    assert not (tmp_path / "o").exists()


def test_stdin_that_ends_in_training_keeps_rows(tmp_path: Path) -> None:
    outcome = piped(tmp_path, "".join(f"{value}\n" for value in wave(60)))
    assert outcome.code == 2
    assert "stdin: ended after 60 points, within the training part of 150" in outcome.error
    assert "training.points" in outcome.error and "--model" in outcome.error
    assert [float(row["value"]) for row in rows(tmp_path / "o")] == wave(60)
    assert metrics(tmp_path / "o")["status"].startswith("failed: ")


@pytest.mark.parametrize("form", ["json", "time and value"])
def test_stdin_takes_json_and_times(tmp_path: Path, form: str) -> None:
    line = '{{"timestamp": {0}, "value": {1}}}\n' if form == "json" else "{0},{1}\n"
    text = "".join(line.format(1_700_000_000 + 60 * row, value) for row, value in enumerate(wave(300)))
    outcome = piped(tmp_path, text, "--set", "threshold.budget=5 per day")
    assert outcome.code == 0, outcome.err
    scored = rows(tmp_path / "o")
    assert scored[1]["time"] == "2023-11-14T22:14:20Z"
    assert [float(row["value"]) for row in scored] == wave(300)
    assert metrics(tmp_path / "o")["counts"]["budget"] == round(5 / 1440, 6)


def test_bad_lines_on_stdin_become_missing(tmp_path: Path) -> None:
    lines = [f"{value}\n" for value in changed(200, "abc", 300)]
    lines[250] = "1" * 2_000_000 + "\n"
    outcome = piped(tmp_path, "".join(lines))
    assert outcome.code == 0
    told = [line for line in outcome.err.splitlines() if "is kept as missing" in line]
    assert [line.partition(":")[0].split(",")[1] for line in told] == [" line 201", " line 251"]
    assert [row for row, scores in enumerate(rows(tmp_path / "o")) if scores["value"] == ""] == [200, 250]


def test_a_cut_line_on_stdin_is_left_out(tmp_path: Path) -> None:
    process = open_pipe(tmp_path, *GAUSSIAN, *SMALL)
    feed(process, "time,value\n" + "".join(f"{row},{value}\n" for row, value in enumerate(wave(300))) + "300")
    wait_for_rows(tmp_path / "o", 300, process)
    outcome = finish(process)
    assert outcome.code == 0
    assert "the line is cut off and left out" in outcome.err
    assert len(rows(tmp_path / "o")) == 300
