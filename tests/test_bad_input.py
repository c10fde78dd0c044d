"""Bad input: one line that says where, what was found and what to do, the right exit code, and no folder left behind."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.yahoo_server import Mode, YahooServer
from program import FOREST, GAUSSIAN, Outcome, count_lines, finish, metrics, rows, start, wait_until, wave, write_csv

from autoencoder.core.errors import ModelError
from autoencoder.reports.run_folder import SCORES, RunFolder

Program = Callable[..., Outcome]

RUN = ("--out", "o", *FOREST)
SMALL = ("--set", "training.points=150")


def lines_of(values: list[object], header: str = "value\n") -> bytes:
    return (header + "".join(f"{value}\n" for value in values)).encode()


def changed(position: int, value: object, count: int = 400) -> list[object]:
    """The wave with another value at one position."""
    values: list[object] = [*wave(count)]
    values[position] = value
    return values


def check(outcome: Outcome, words: list[str], code: int = 2) -> None:
    """A failure as it must be: one line with these words, this exit code, and no run folder."""
    assert outcome.code == code, outcome.err
    assert all(word in outcome.error for word in words), outcome.error
    assert not Path("o").exists()
    assert not Path("runs").exists()


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
def test_a_file_that_cannot_be_used_is_refused(program: Program, fault: str) -> None:
    content, words = TABLES[fault]
    Path("x.csv").write_bytes(content)
    check(program("--source", "csv", "--path", "x.csv", *RUN), words)


def test_a_path_that_is_no_file_is_refused(program: Program) -> None:
    Path("folder").mkdir()
    check(program("--source", "csv", "--path", "missing.csv", *RUN), ["missing.csv: no such file", "check the path"])
    check(program("--source", "csv", "--path", "folder", *RUN), ["folder is a folder", "give the path of one file"])
    check(program("--source", "csv", *RUN), ["csv.path", "--path FILE"])


def test_a_column_that_is_not_there_is_answered_with_the_nearest_one(program: Program) -> None:
    write_csv(Path("x.csv"), wave(400), wave(400), header="cpu_load,memory")
    wanted = program("--source", "csv", "--path", "x.csv", "--column", "cpu_laod", *RUN)
    check(wanted, ["x.csv has no column 'cpu_laod'", "did you mean 'cpu_load'?", "memory"])
    times = program("--source", "csv", "--path", "x.csv", "--column", "memory", "--time-column", "when", *RUN)
    check(times, ["x.csv has no column 'when'", "cpu_load, memory"])


def test_a_training_part_longer_than_the_file_is_refused(program: Program) -> None:
    write_csv(Path("x.csv"), wave(400), header="value")
    outcome = program("--source", "csv", "--path", "x.csv", "--set", "training.points=500", *RUN)
    check(outcome, ["training.points is 500", "400 points", "ask for fewer"])


def test_a_rate_in_time_needs_times(program: Program) -> None:
    write_csv(Path("x.csv"), wave(400), header="value")
    outcome = program("--source", "csv", "--path", "x.csv", "--set", "threshold.budget=1 per day", *RUN)
    check(outcome, ["threshold.budget is '1 per day'", "no timestamps", "e.g. 0.001"])


def test_a_bad_training_part_does_not_block_the_folder_for_the_next_try(program: Program) -> None:
    Path("x.csv").write_bytes(lines_of([5] * 9000))  # chunks before the last one of the training part were written
    check(program("--source", "csv", "--path", "x.csv", *RUN), ["constant"])
    write_csv(Path("x.csv"), wave(400), header="value")
    assert program("--source", "csv", "--path", "x.csv", *RUN).code == 0


def test_missing_values_stay_rows_and_change_no_other_verdict(program: Program) -> None:
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


def test_times_that_do_not_ascend_are_said_once_and_judged_in_file_order(program: Program) -> None:
    times = [1_700_000_000 + 60 * row for row in range(400)]
    times[300], times[301] = times[10], times[299]
    write_csv(Path("x.csv"), times, wave(400))
    outcome = program("--source", "csv", "--path", "x.csv", *RUN)
    assert outcome.code == 0
    warnings = [line for line in outcome.err.splitlines() if "is not after" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("x.csv, line 302: time 2023-11-14T22:23:20 is not after") and "sort the file" in warnings[0]
    assert [float(row["value"]) for row in rows(Path("o"))] == wave(400)


# --- configuration ---

CONFIGS: dict[str, tuple[bytes, list[str]]] = {
    "an unknown key": (
        b"seed: 1\nthreshhold:\n  budget: 0.1\n",
        ["c.yaml", "threshhold is not a setting", "did you mean threshold?"],
    ),
    "an unknown key in a group": (
        b"threshold: {budgett: 0.1}\n",
        ["c.yaml", "threshold.budgett", "did you mean threshold.budget?"],
    ),
    "a key of another group": (b"budget: 0.1\n", ["c.yaml", "budget is not a setting", "did you mean threshold.budget?"]),
    "a wrong type": (b"seed: many\n", ["c.yaml", "seed is 'many'", "a whole number"]),
    "a switch for a number": (b"seed: true\n", ["c.yaml", "seed is true", "a number"]),
    "a group that is a value": (b"network: 3\n", ["c.yaml", "network is 3", "group of settings"]),
    "a value out of range": (b"training: {fraction: 1.5}\n", ["c.yaml", "training.fraction is 1.5", "less than 1"]),
    "a budget out of range": (b"threshold: {budget: 3}\n", ["c.yaml", "threshold.budget is 3", "share in (0, 1)"]),
    "a budget of words": (b"threshold: {budget: a few}\n", ["c.yaml", "threshold.budget is a few", "'1 per day'"]),
    "a choice that is not there": (b"detector: oracle\n", ["c.yaml", "detector is 'oracle'", "isolation_forest"]),
    "a number that is none": (b"synthetic: {level: .nan}\n", ["c.yaml", "synthetic.level is nan", "finite"]),
    "a list": (b"- seed\n- 1\n", ["c.yaml holds a list", "must be a mapping"]),
    "no yaml": (b"seed: 1\n  x: [\n", ["c.yaml, line 2", "yaml"]),
    "no text": (b"\xff\xfe\x00", ["c.yaml", "UTF-8"]),
    "an object to build": (b"!!python/object/apply:os.system ['touch built']\n", ["c.yaml, line 1", "plain yaml"]),
    "an object within": (b"seed: !!python/name:os.system\n", ["c.yaml, line 1", "plain yaml"]),
    "a key twice": (b"seed: 1\nseed: 2\n", ["c.yaml, line 2", "'seed' is there twice"]),
    "aliases": (b"csv:\n  columns: &a [x]\nyfinance:\n  column: *a\n", ["c.yaml, line 4", "alias"]),
    "brackets without end": (b"[" * 100_000, ["c.yaml", "plain yaml"]),
    "a page too long": (b"# " + b"x" * (1 << 20), ["c.yaml", "1,048,576"]),
    "times beyond the calendar": (b"synthetic: {interval: 1.0e+8}\n", ["c.yaml", "synthetic.interval", "2240", "fewer points"]),
}


@pytest.mark.parametrize("fault", sorted(CONFIGS))
def test_a_configuration_that_is_wrong_is_refused(program: Program, fault: str) -> None:
    content, words = CONFIGS[fault]
    Path("c.yaml").write_bytes(content)
    check(program("--config", "c.yaml", *RUN), words)
    assert [path.name for path in Path.cwd().iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("threshold.bugdet=0.1", ["threshold.bugdet", "did you mean threshold.budget?"]),
        ("network.window=abc", ["network.window is 'abc'", "'auto' or a whole number"]),
        ("network.units=[a]", ["network.units.0 is 'a'", "a whole number"]),
        ("network.units=8", ["network.units is 8", "a list"]),
        ("seed=-1", ["seed is -1", "greater than or equal to 0"]),
        ("seed.x=1", ["seed is {'x': 1}"]),
        ("checkpoint.every=0", ["checkpoint.every is 0"]),
        ("yfinance.ticker=1", ["yfinance.ticker is 1", "text (put quotes around it)"]),
    ],
)
def test_a_wrong_setting_on_the_command_line_is_refused(program: Program, text: str, words: list[str]) -> None:
    check(program("--set", text, *RUN), ["the command line", *words])


def test_a_configuration_that_is_not_there_is_refused(program: Program) -> None:
    Path("folder").mkdir()
    check(program("--config", "missing.yaml", *RUN), ["missing.yaml does not exist", "--config"])
    check(program("--config", "folder", *RUN), ["folder cannot be read", "--config"])


# --- the run folder ---


def test_an_out_folder_that_cannot_be_used_is_refused_and_untouched(program: Program) -> None:
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
def test_an_out_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with as_nobody():
        for out in (locked / "o", locked / "o/p"):
            with pytest.raises(ModelError, match=f"--out {out} cannot be written .Permission denied.; give another folder"):
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


def test_an_empty_folder_of_the_users_own_stays_when_the_run_fails(program: Program) -> None:
    Path("mine").mkdir()
    assert program("--out", "mine", *FOREST, "--source", "csv", "--path", "missing.csv").code == 2
    assert program("--out", "mine", *FOREST, "--set", "training.points=3").code == 2
    assert list(Path("mine").iterdir()) == []


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_train_or_run_that_fails_early_leaves_no_folder_below_runs(program: Program, command: str) -> None:
    assert program(command, *FOREST, "--set", "training.points=3").code == 2
    assert list(Path("runs").iterdir()) == []


# --- stdin ---


def piped(folder: Path, text: str, *arguments: str) -> Outcome:
    return finish(
        start("--source", "stdin", "--out", "o", *GAUSSIAN, *SMALL, *arguments, folder=folder, stdin=subprocess.PIPE), text=text
    )


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


def test_stdin_that_ends_within_the_training_part_keeps_its_rows(tmp_path: Path) -> None:
    outcome = piped(tmp_path, "".join(f"{value}\n" for value in wave(60)))
    assert outcome.code == 2
    assert "stdin: ended after 60 points, within the training part of 150" in outcome.error
    assert "training.points" in outcome.error and "--model" in outcome.error
    assert [float(row["value"]) for row in rows(tmp_path / "o")] == wave(60)
    assert metrics(tmp_path / "o")["status"].startswith("failed: ")


@pytest.mark.parametrize("form", ["json", "time and value"])
def test_stdin_takes_json_lines_and_times_with_values(tmp_path: Path, form: str) -> None:
    line = '{{"timestamp": {0}, "value": {1}}}\n' if form == "json" else "{0},{1}\n"
    text = "".join(line.format(1_700_000_000 + 60 * row, value) for row, value in enumerate(wave(300)))
    outcome = piped(tmp_path, text, "--set", "threshold.budget=5 per day")
    assert outcome.code == 0, outcome.err
    scored = rows(tmp_path / "o")
    assert scored[1]["time"] == "2023-11-14T22:14:20Z"
    assert [float(row["value"]) for row in scored] == wave(300)
    assert metrics(tmp_path / "o")["counts"]["budget"] == round(5 / 1440, 6)


def test_bad_lines_on_stdin_are_told_and_kept_as_missing(tmp_path: Path) -> None:
    lines = [f"{value}\n" for value in changed(200, "abc", 300)]
    lines[250] = "1" * 2_000_000 + "\n"
    outcome = piped(tmp_path, "".join(lines))
    assert outcome.code == 0
    told = [line for line in outcome.err.splitlines() if "is kept as missing" in line]
    assert [line.partition(":")[0].split(",")[1] for line in told] == [" line 201", " line 251"]
    assert [row for row, scores in enumerate(rows(tmp_path / "o")) if scores["value"] == ""] == [200, 250]


def test_a_producer_that_dies_in_the_middle_of_a_line_loses_that_line_only(tmp_path: Path) -> None:
    process = start("--source", "stdin", "--out", "o", *GAUSSIAN, *SMALL, folder=tmp_path, stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write("time,value\n" + "".join(f"{row},{value}\n" for row, value in enumerate(wave(300))) + "300")
    process.stdin.flush()
    wait_until(lambda: count_lines(tmp_path / "o" / SCORES) == 301, process)
    outcome = finish(process)
    assert outcome.code == 0
    assert "the line is cut off and left out" in outcome.err
    assert len(rows(tmp_path / "o")) == 300


# --- Yahoo ---


def test_no_ticker_is_refused_before_anything_is_asked_of_the_network(program: Program) -> None:
    check(program("--source", "yfinance", *RUN), ["yfinance.ticker", "--ticker AAPL"])
    check(program("--source", "yfinance", "--ticker", "a b/c", *RUN), ["a b/c"])
    check(program("--source", "yfinance", "--ticker", "AAPL", "--interval", "7y", *RUN), ["7y", "1d"])
    check(program("--source", "yfinance", "--ticker", "AAPL", "--column", "Closed", *RUN), ["Closed", "Close"])


@pytest.mark.parametrize(
    ("ticker", "mode", "words"),
    [
        ("NOSUCH", "normal", ["NOSUCH", "no such ticker", "look it up"]),
        ("AAPL", "rate_limit", ["AAPL", "429", "wait"]),
        ("AAPL", "no_tunnel", ["AAPL", "no network", "--source csv"]),
    ],
)
def test_a_failing_yahoo_is_one_line_and_exit_code_one(tmp_path: Path, ticker: str, mode: Mode, words: list[str]) -> None:
    with YahooServer(mode=mode) as server:
        arguments = ("--source", "yfinance", "--ticker", ticker, "--set", "yfinance.cache=cache", "--out", "o", *GAUSSIAN)
        outcome = finish(start(*arguments, folder=tmp_path, env={**os.environ, **server.environment()}))
    assert outcome.code == 1
    assert all(word in outcome.error for word in words), outcome.error
    assert not (tmp_path / "o").exists()


def test_a_source_that_fails_on_the_way_keeps_what_was_judged(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoencoder.core.errors import SourceError
    from autoencoder.sources.files import FileSource

    write_csv(Path("x.csv"), wave(400), header="value")
    whole = FileSource.chunks

    def chunks(self: FileSource, start: int = 0) -> object:
        yield from whole(self, start)
        raise SourceError("the disk is gone; put it back")

    monkeypatch.setattr(FileSource, "chunks", chunks)
    outcome = program("--source", "csv", "--path", "x.csv", *RUN)
    assert (outcome.code, outcome.error) == (1, "the disk is gone; put it back")
    assert len(rows(Path("o"))) == 400
    assert metrics(Path("o"))["status"] == "failed: the disk is gone; put it back"
    monkeypatch.setattr(FileSource, "chunks", whole)
    assert program("--out", "o", "--resume").code == 0
    assert metrics(Path("o"))["status"] == "done"
