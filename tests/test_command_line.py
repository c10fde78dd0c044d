"""The command line as a contract: flags, exit codes, what a run leaves behind, models, resuming, pipes and signals."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.yahoo_server import YahooServer
from program import (
    FOREST,
    GAUSSIAN,
    ROOT,
    Outcome,
    count_lines,
    finish,
    incidents,
    metrics,
    rows,
    run_python,
    start,
    wait_until,
    wave,
    write_csv,
)

from autoencoder import cli
from autoencoder.reports.run_folder import RESULTS
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.synthetic import SyntheticSource

Program = Callable[..., Outcome]
Run = tuple[Path, Outcome]

COLUMNS = ["time", "value", "prediction", "error", "threshold", "score", "anomaly"]
MACHINE_TALK = re.compile(
    r"tensorflow|absl|oneDNN|cuda|WARNING|INFO|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |Traceback", re.MULTILINE
)
QUIET = ("--plot", "none")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A csv file of 400 hourly values."""
    times = np.datetime64("2024-01-01T00:00:00") + np.arange(400) * np.timedelta64(1, "h")
    return write_csv(tmp_path / "wave.csv", [f"{time}Z" for time in times], wave(400))


# --- usage ---


def test_help_fits_a_terminal_of_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = cli.parser().format_help()
    assert max(map(len, text.splitlines())) <= 80
    for flag in ("--source", "--set", "--model", "--resume", "--plot", "--out", "--follow", "--seed"):
        assert flag in text
    assert "130 interrupted" in text


def test_an_unknown_command_is_refused_in_one_line_that_names_the_known_ones(program: Program) -> None:
    outcome = program("bogus")
    assert outcome.code == 2
    assert all(name in outcome.error for name in ("'bogus'", "run", "train", "bench", "--help"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "foo"], ["--source", "'foo'", "csv", "stdin"]),
        (["--seed", "x"], ["--seed", "'x'"]),
        (["--plot", "maybe"], ["--plot", "'maybe'", "live"]),
        (["--no-such-flag"], ["--no-such-flag"]),
        (["--set", "seed"], ["'seed'", "KEY=VALUE"]),
        (["--set", "=3"], ["KEY=VALUE"]),
        (["--set", "seed=[1"], ["--set seed=[1", "yaml"]),
        (["--resume"], ["--resume", "--out"]),
        (["train", "--model", "x"], ["--model", "train"]),
        (["train", "--resume", "--out", "x"], ["--resume", "train"]),
        (["--resume", "--out", "x", "--model", "y"], ["--model", "--resume"]),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(program: Program, arguments: list[str], words: list[str]) -> None:
    outcome = program(*arguments)
    assert outcome.code == 2
    assert all(word in outcome.error for word in words), outcome.error
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["--path", "x.csv"], "--source csv"),
        (["--ticker", "AAPL"], "--source yfinance"),
        (["--source", "csv", "--path", "x.csv", "--period", "5y"], "--source yfinance"),
        (["--source", "stdin", "--label-column", "x"], "--source csv"),
    ],
)
def test_a_flag_that_means_nothing_to_the_source_is_not_passed_over_in_silence(
    program: Program, arguments: list[str], remedy: str
) -> None:
    outcome = program(*arguments)
    assert outcome.code == 2
    assert "means nothing to --source" in outcome.error and remedy in outcome.error


def test_verbose_adds_the_traceback_and_keeps_the_exit_code(program: Program) -> None:
    outcome = program("--source", "csv", "--path", "missing.csv", "--verbose")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: missing.csv")


def test_a_fault_of_the_program_itself_is_one_line_too(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("autoencoder.commands.run.run", fail)
    outcome = program()
    assert outcome.code == 1
    assert "ZeroDivisionError" in outcome.error and "--verbose" in outcome.error


# --- what a run leaves ---


def test_a_whole_run_writes_the_files_of_the_contract_and_talks_like_a_person(lstm_run: Run) -> None:
    folder, outcome = lstm_run
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert not MACHINE_TALK.search(outcome.err), outcome.err
    assert {path.name for path in folder.iterdir()} == set(RESULTS) - {"adaptations.jsonl"}
    first, *_, last = outcome.err.splitlines()
    assert first == "synthetic: 3,000 points, 1,500 of them trained on, 1,500 judged"
    assert last.startswith("run: scores.csv, ")
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    found = metrics(folder)
    assert found["status"] == "done"
    assert found["counts"]["points"] == 3000
    assert found["quality"]["known_anomalies"] > 0
    assert {"start", "import", "training", "scoring", "picture", "total"} <= set(found["seconds"])
    assert found["training"]["validation_loss"] > 0


def test_scores_hold_a_row_for_every_point_in_the_order_of_the_input(program: Program, table: Path) -> None:
    assert program("--source", "csv", "--path", table, "--out", "o", *FOREST).code == 0
    scored = rows(Path("o"))
    given = [line.split(",") for line in table.read_text().splitlines()[1:]]
    assert list(scored[0]) == COLUMNS
    assert [[row["time"], float(row["value"])] for row in scored] == [[time, float(value)] for time, value in given]
    for row in scored[:100]:  # a quarter of a bounded source trains
        assert [row[name] for name in COLUMNS[2:]] == ["", "", "", "", "0"]
    for row in scored[100:]:
        assert all(row.values())
        assert 0 <= float(row["score"]) <= 1 and not row["score"].startswith("-")
        assert row["anomaly"] == str(int(float(row["error"]) > float(row["threshold"])))


def test_incidents_cover_the_flagged_rows(program: Program) -> None:
    program("--out", "o", *FOREST, "--set", "threshold.budget=0.01")
    flagged = [row for row, scores in enumerate(rows(Path("o"))) if scores["anomaly"] == "1"]
    found = incidents(Path("o"))
    assert flagged and found
    assert [incident["id"] for incident in found] == list(range(1, len(found) + 1))
    covered = [row for incident in found for row in flagged if incident["first_row"] <= row <= incident["last_row"]]
    assert covered == flagged
    assert sum(incident["n_points"] for incident in found) == len(flagged)
    assert metrics(Path("o"))["counts"]["incidents"] == len(found)


def test_several_columns_are_told_apart_by_name(program: Program, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "two.csv", range(400), wave(400), wave(400)[::-1], header="time,cpu,mem")
    assert program("--source", "csv", "--path", table, "--column", "mem", "--column", "cpu", "--out", "o", *FOREST).code == 0
    scored = rows(Path("o"))
    assert list(scored[0]) == ["time", "value_mem", "value_cpu", "prediction_mem", "prediction_cpu", *COLUMNS[3:]]
    assert [float(row["value_cpu"]) for row in scored] == wave(400)
    assert [row["time"] for row in scored] == [str(index) for index in range(400)]


@pytest.mark.parametrize("detector", ["isolation_forest", "isolation_forest_sliding"])
def test_parquet_and_paths_of_any_letters_are_read(program: Program, tmp_path: Path, detector: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "sp ace, ünï ☃.parquet"
    pq.write_table(pa.table({"timestamp": np.arange(400).astype("datetime64[D]"), "value": wave(400)}), path)
    outcome = program("--source", "csv", "--path", path, "--out", "öut ☃/o o", *FOREST, "--detector", detector)
    assert outcome.code == 0
    assert outcome.err.startswith("sp ace, ünï ☃.parquet: 400 points")
    assert rows(Path("öut ☃/o o"))[1]["time"] == "1970-01-02T00:00:00"


def test_without_out_the_run_folder_is_named_after_the_time_and_the_source(program: Program) -> None:
    points = ("--set", "synthetic.points=500")
    assert program(*FOREST, *points).code == program(*FOREST, *points).code == 0
    names = sorted(path.name for path in Path("runs").iterdir())
    assert len(names) == 2
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-synthetic(-2)?", name) for name in names)


def test_the_same_seed_gives_the_same_verdicts_and_another_one_others(program: Program) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        program("--out", name, *FOREST, "--seed", seed)
    a, b, c = (Path(name, "scores.csv").read_bytes() for name in "abc")
    assert a == b != c


def test_the_config_in_a_run_folder_makes_the_same_run_again(program: Program) -> None:
    program("--out", "a", *FOREST, "--set", "threshold.budget=0.02", "--set", "synthetic.points=2000")
    assert program("--config", "a/config.yaml", "--out", "b").code == 0
    assert Path("a/scores.csv").read_bytes() == Path("b/scores.csv").read_bytes()


def test_known_labels_are_measured(program: Program, tmp_path: Path) -> None:
    values = wave(400)
    values[300] += 60
    labels = [int(index == 300) for index in range(400)]
    table = write_csv(tmp_path / "labelled.csv", values, labels, header="value,broken")
    arguments = ("--column", "value", "--label-column", "broken", "--out", "o", *QUIET)
    outcome = program("--source", "csv", "--path", table, *arguments, "--detector", "windowed_gaussian")
    assert outcome.code == 0
    assert "known anomalies: 100% of 1 found" in outcome.err
    assert metrics(Path("o"))["quality"]["event_recall"] == 1


def test_nothing_found_is_said_without_nonsense(program: Program) -> None:
    outcome = program("--out", "o", *FOREST, "--set", "threshold.budget=1e-9", "--set", "synthetic.points=2000")
    assert outcome.code == 0
    assert "nan" not in outcome.err
    assert "budget for normal points is 1e-07%" in outcome.err


# --- saved models ---


def test_train_saves_a_model_and_scores_nothing(program: Program, table: Path) -> None:
    outcome = program("train", "--source", "csv", "--path", table, "--out", "model", *FOREST)
    assert outcome.code == 0
    assert re.fullmatch(r"wave\.csv: trained on 100 points in [\d.]+ s; use it with --model model\n", outcome.err)
    assert sorted(path.name for path in Path("model").iterdir()) == ["config.yaml", "detector.npz", "metrics.json"]
    assert program("--source", "csv", "--path", table, "--model", "model", "--out", "o", *QUIET).code == 0
    assert metrics(Path("o"))["counts"]["judged"] == 400 - 16  # all but the warm-up


def test_a_saved_model_expects_what_the_run_it_comes_from_expected(program: Program, lstm_run: Run) -> None:
    points = ("--set", "synthetic.points=3000")
    assert program("--model", lstm_run[0], "--out", "o", *points, *QUIET).code == 0
    then, now = rows(lstm_run[0])[1500:], rows(Path("o"))[1500:]
    assert [row["prediction"] for row in now] == [row["prediction"] for row in then]
    assert metrics(Path("o"))["seconds"]["training"] == 0


def test_a_run_with_a_model_leaves_the_model_in_its_folder_again(program: Program, lstm_run: Run) -> None:
    points = ("--set", "synthetic.points=600")
    program("--model", lstm_run[0], "--out", "first", *points, *QUIET)
    assert program("--model", "first", "--out", "second", *points, *QUIET).code == 0
    assert Path("first/scores.csv").read_bytes() == Path("second/scores.csv").read_bytes()


def test_scoring_with_a_saved_model_imports_none_of_the_heavy_libraries(lstm_run: Run, tmp_path: Path) -> None:
    arguments = ["--model", str(lstm_run[0]), "--out", "o", "--plot", "none", "--set", "synthetic.points=500"]
    code = f"""
import json, sys
from autoencoder import cli
code = cli.main({arguments!r})
print(json.dumps([code, sorted({{name.split(".")[0] for name in sys.modules}})]))
"""
    code, modules = json.loads(run_python(code, folder=tmp_path).out)
    assert code == 0
    heavy = {"tensorflow", "keras", "pandas", "sklearn", "matplotlib", "scipy", "pyarrow", "yfinance", "rich", "requests"}
    assert not heavy & set(modules)


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["gone", "cut", "empty", "bit flipped"])
@pytest.mark.parametrize("name", ["model.onnx", "detector.npz"])
def test_a_damaged_model_is_refused(program: Program, lstm_run: Run, name: str, how: str) -> None:
    shutil.copytree(lstm_run[0], "model")
    damage(Path("model", name), how)
    outcome = program("--model", "model", "--out", "o", *QUIET)
    assert outcome.code == 2
    assert "model" in outcome.error and name in outcome.error
    assert "train again" in outcome.error or "give the run folder" in outcome.error
    assert not Path("o").exists()


def test_a_model_whose_keras_file_is_gone_still_scores(program: Program, lstm_run: Run) -> None:
    shutil.copytree(lstm_run[0], "model")
    Path("model/model.keras").unlink()
    assert program("--model", "model", "--out", "o", *QUIET, "--set", "synthetic.points=500").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nowhere"], ["nowhere", "not a folder"]),
        (["--model", "x" * 300], ["not a folder"]),
        (["--model", "."], ["detector.npz", "give the run folder"]),
        (["--model", "MODEL", "--detector", "isolation_forest"], ["lstm_autoencoder", "isolation_forest", "--detector"]),
        (
            ["--model", "MODEL", "--source", "csv", "--path", "two.csv", "--column", "a", "--column", "b"],
            ["1 column", "2", "a, b"],
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused(program: Program, lstm_run: Run, arguments: list[str], words: list[str]) -> None:
    write_csv(Path("two.csv"), range(100), wave(100), header="a,b")
    outcome = program(*[str(lstm_run[0]) if argument == "MODEL" else argument for argument in arguments], "--out", "o", *QUIET)
    assert outcome.code == 2
    assert all(word in outcome.error for word in words), outcome.error
    assert not Path("o").exists()


# --- cut off and resumed ---

SMALL = ("--set", "checkpoint.every=300", "--set", "synthetic.points=6000", "--set", "training.points=1500")


def cut_off(monkeypatch: pytest.MonkeyPatch, row: int, fault: type[BaseException] = KeyboardInterrupt) -> None:
    """Have the synthetic stream fail at a row, once."""
    whole = SyntheticSource.chunks

    def chunks(self: SyntheticSource, start: int = 0) -> Iterator[Chunk]:
        for chunk in whole(self, start):
            if self.rows_given + len(chunk) > row:
                monkeypatch.setattr(SyntheticSource, "chunks", whole)
                raise fault
            self.rows_given += len(chunk)
            yield chunk

    monkeypatch.setattr(SyntheticSource, "rows_given", 0, raising=False)
    monkeypatch.setattr(SyntheticSource, "chunks", chunks)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing cut off."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert finish(start("--out", "o", *FOREST, *SMALL, folder=folder)).code == 0
    return folder / "o"


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("scores.csv", "incidents.jsonl", "anomalies.log", "detector.npz"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = metrics(one), metrics(other)
    for key in ("status", "counts", "quality", "training"):
        assert first[key] == second[key]
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}


@pytest.mark.parametrize("row", [1100, 1600, 2100, 5900])
def test_a_run_that_was_interrupted_and_resumed_equals_one_that_was_not(
    program: Program, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path, row: int
) -> None:
    cut_off(monkeypatch, row)
    outcome = program("--out", "o", *FOREST, *SMALL)
    done = row // 1024 * 1024  # whole chunks
    assert outcome.code == 130
    assert outcome.err == f"interrupted after {done:,} points; what was done is in o; --resume goes on with it\n"
    assert len(rows(Path("o"))) == done == metrics(Path("o"))["counts"]["points"]
    assert metrics(Path("o"))["status"] == "interrupted"
    assert program("--out", "o", "--resume").code == 0
    assert_same_run(Path("o"), uninterrupted)


def test_a_run_interrupted_before_anything_was_written_leaves_no_folder(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, 100)
    outcome = program("--out", "o", *FOREST)
    assert (outcome.code, outcome.err) == (130, "interrupted\n")
    assert not Path("o").exists()


def test_an_interrupt_at_the_very_end_still_ends_with_130_and_whole_files(
    program: Program, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path
) -> None:
    from autoencoder.reports.scores_csv import ResultWriter

    close = ResultWriter.close

    def close_and_interrupt(self: ResultWriter, *arguments: Any, **options: Any) -> None:
        close(self, *arguments, **options)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ResultWriter, "close", close_and_interrupt)
    outcome = program("--out", "o", *FOREST, *SMALL)
    assert (outcome.code, outcome.err.count("\n")) == (130, 1)
    assert Path("o/scores.csv").read_bytes() == (uninterrupted / "scores.csv").read_bytes()
    assert Path("o/incidents.jsonl").read_bytes() == (uninterrupted / "incidents.jsonl").read_bytes()


def test_a_run_may_be_resumed_more_than_once(program: Program, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path) -> None:
    cut_off(monkeypatch, 2100)
    program("--out", "o", *FOREST, *SMALL)
    cut_off(monkeypatch, 4200)
    assert program("--out", "o", "--resume").code == 130
    assert program("--out", "o", "--resume").code == 0
    assert_same_run(Path("o"), uninterrupted)


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(program: Program, tmp_path: Path) -> None:
    long = (*GAUSSIAN, "--set", "checkpoint.every=2000", "--set", "synthetic.points=60000", "--set", "training.points=1500")
    assert program("--out", "whole", *long).code == 0
    process = start("--out", "o", *long, folder=tmp_path)
    wait_until(lambda: count_lines(tmp_path / "o/scores.csv") > 5000, process)
    process.kill()
    process.communicate()
    assert 5000 < len(rows(Path("o"))) < 60_000
    assert program("--out", "o", "--resume").code == 0
    assert_same_run(Path("o"), Path("whole"))


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    program: Program, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path
) -> None:
    cut_off(monkeypatch, 1100)
    program("--out", "o", *FOREST, *SMALL)
    for name in ("checkpoint.npz", "metrics.json"):  # as a kill would have left it
        Path("o", name).unlink()
    outcome = program("--out", "o", "--resume")
    assert outcome.code == 0
    assert outcome.err.startswith("o: cut off before its first checkpoint; it begins again")
    assert_same_run(Path("o"), uninterrupted)


def test_a_run_with_a_saved_model_can_be_resumed_too(program: Program, lstm_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--model", lstm_run[0], "--set", "synthetic.points=3000", *QUIET)
    program("--out", "whole", *arguments)
    cut_off(monkeypatch, 2100)
    assert program("--out", "o", *arguments).code == 130
    assert program("--out", "o", "--resume").code == 0
    assert_same_run(Path("o"), Path("whole"))


def test_what_cannot_be_resumed_is_refused_and_stays_as_it_is(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "not a folder" in program("--out", "nowhere", "--resume").error
    assert not Path("nowhere").exists()
    Path("empty").mkdir()
    assert "holds no run" in program("--out", "empty", "--resume").error
    assert list(Path("empty").iterdir()) == []
    cut_off(monkeypatch, 2100)
    program("--out", "o", *FOREST, *SMALL)
    before = {path.name: path.read_bytes() for path in Path("o").iterdir()}
    changed = program("--out", "o", "--resume", "--set", "threshold.budget=0.5").error
    assert "threshold.budget was 0.001 and is 0.5 now" in changed
    assert {path.name: path.read_bytes() for path in Path("o").iterdir()} == before
    damage(Path("o/checkpoint.npz"), "cut")
    assert "checkpoint.npz is damaged" in program("--out", "o", "--resume").error
    program("--out", "done", *FOREST, "--set", "synthetic.points=500")
    assert "is done" in program("--out", "done", "--resume").error


def test_a_source_that_begins_elsewhere_is_not_resumed(program: Program, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoencoder.sources.files import FileSource

    whole = FileSource.chunks

    def chunks(self: FileSource, start: int = 0) -> Iterator[Chunk]:
        first = next(iter(whole(self, start)))
        yield Chunk(first.time[:200], first.values[:200])
        raise KeyboardInterrupt

    monkeypatch.setattr(FileSource, "chunks", chunks)
    assert program("--source", "csv", "--path", table, "--out", "o", *FOREST).code == 130
    monkeypatch.setattr(FileSource, "chunks", whole)
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0], *lines[5:]]))
    outcome = program("--out", "o", "--resume")
    assert outcome.code == 2
    assert "wave.csv: the 200 rows that are done have another time than they had" in outcome.error
    table.write_text("".join(lines[:100]))
    assert "are not all there any more" in program("--out", "o", "--resume").error


def test_the_picture_and_the_checkpoints_may_be_asked_for_anew_when_resuming(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, 2100)
    program("--out", "o", *FOREST, *SMALL)
    assert program("--out", "o", "--resume", "--set", "checkpoint.every=9", "--plot", "file").code == 0
    assert Path("o/plot.png").is_file()


# --- pipes and signals ---


def test_rows_are_written_while_stdin_is_still_open(tmp_path: Path) -> None:
    process = start(
        "--source", "stdin", "--out", "o", *GAUSSIAN, "--set", "training.points=150", folder=tmp_path, stdin=subprocess.PIPE
    )
    assert process.stdin
    lines = [f"{value}\n" for value in wave(202)]
    process.stdin.write("".join(lines[:200]))
    process.stdin.flush()
    scores = tmp_path / "o/scores.csv"
    wait_until(lambda: count_lines(scores) == 201, process)
    for count in (201, 202):
        process.stdin.write(lines[count - 1])
        process.stdin.flush()
        wait_until(functools.partial(lambda count: count_lines(scores) == 1 + count, count), process)
    outcome = finish(process)
    assert outcome.code == 0
    assert "stdin: 202 points, 150 of them trained on, 52 judged" in outcome.err
    assert [float(row["value"]) for row in rows(tmp_path / "o")] == wave(202)


@pytest.mark.parametrize(("number", "line"), [(signal.SIGINT, "{time},{value}\n"), (signal.SIGTERM, "{value}\n")])
def test_an_interrupted_stream_ends_with_130_and_whole_rows_and_can_go_on(tmp_path: Path, number: int, line: str) -> None:
    arguments = ("--source", "stdin", "--out", "o", *GAUSSIAN, "--set", "training.points=150")
    process = start(*arguments, folder=tmp_path, stdin=subprocess.PIPE)
    assert process.stdin
    lines = [line.format(time=1_700_000_000 + 60 * row, value=value) for row, value in enumerate(wave(400))]
    process.stdin.write("".join(lines[:300]) + lines[300][:5])  # the last line is only begun
    process.stdin.flush()
    wait_until(lambda: count_lines(tmp_path / "o/scores.csv") == 301, process)
    process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "interrupted after 300 points; what was done is in o; --resume goes on with it"
    assert len(rows(tmp_path / "o")) == 300
    assert metrics(tmp_path / "o")["status"] == "interrupted"

    resumed = finish(start("--out", "o", "--resume", folder=tmp_path, stdin=subprocess.PIPE), text="".join(lines[300:]))
    assert resumed.code == 0, resumed.err
    assert "the producer must begin with row 301" in resumed.err
    arguments = ("--source", "stdin", "--out", "whole", *GAUSSIAN, "--set", "training.points=150")
    assert finish(start(*arguments, folder=tmp_path, stdin=subprocess.PIPE), text="".join(lines)).code == 0
    assert (tmp_path / "o/scores.csv").read_bytes() == (tmp_path / "whole/scores.csv").read_bytes()


def test_a_followed_file_is_judged_as_it_grows_until_the_run_is_interrupted(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "growing.csv", range(200), wave(202)[:200])
    arguments = ("--source", "csv", "--path", table, "--follow", "--set", "csv.poll_seconds=0.02", "--set", "training.points=150")
    process = start(*arguments, "--out", "o", *GAUSSIAN, folder=tmp_path)
    wait_until(lambda: count_lines(tmp_path / "o/scores.csv") == 201, process)
    with table.open("a") as file:
        file.writelines(f"{row},{wave(202)[row]}\n" for row in (200, 201))
    wait_until(lambda: count_lines(tmp_path / "o/scores.csv") == 203, process)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert [float(row["value"]) for row in rows(tmp_path / "o")] == wave(202)


def test_an_interrupt_while_the_first_line_is_waited_for_leaves_no_folder(tmp_path: Path) -> None:
    process = start("--source", "stdin", "--out", "o", *GAUSSIAN, folder=tmp_path, stdin=subprocess.PIPE)
    wait_until((tmp_path / "o").exists, process)
    process.send_signal(signal.SIGINT)
    assert finish(process) == Outcome(130, "", "interrupted\n")
    assert not (tmp_path / "o").exists()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc to see that TensorFlow is at work")
@pytest.mark.parametrize("command", ["run", "train"])
def test_an_interrupt_in_training_ends_with_130_and_nothing_half_written(tmp_path: Path, command: str) -> None:
    endless = ("--set", "training.max_steps=1000000", "--set", "training.patience=1000000")
    detector = ("--set", "network.units=[8]") if command == "run" else (*FOREST, "--set", "forest.n_estimators=10000")
    process = start(command, "--out", "o", *QUIET, *endless, *detector, "--set", "synthetic.points=1000", folder=tmp_path)
    library = "_pywrap_tensorflow" if command == "run" else "sklearn"
    wait_until(lambda: library in Path(f"/proc/{process.pid}/maps").read_text(), process)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    process.send_signal(signal.SIGINT)
    assert finish(process) == Outcome(130, "", "interrupted\n")
    assert not (tmp_path / "o").exists()


def test_the_program_outlives_those_who_listen_to_it(tmp_path: Path) -> None:
    points = ("--set", "synthetic.points=500")
    read, write = os.pipe()
    os.close(read)
    streams: dict[str, Any] = {"gone": write, "full": os.open("/dev/full", os.O_WRONLY)}
    for name, stream in streams.items():
        process = start("--out", name, *GAUSSIAN, *points, folder=tmp_path, stderr=stream, stdout=stream)
        assert process.wait(timeout=60) == 0
        assert len(rows(tmp_path / name)) == 500
        assert metrics(tmp_path / name)["status"] == "done"
        os.close(stream)


def test_closed_standard_streams_do_no_harm(tmp_path: Path, lstm_run: Run) -> None:
    def close_all() -> None:
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    inherited = {"stdin": None, "stdout": None, "stderr": None, "preexec_fn": close_all}
    arguments = ("--model", lstm_run[0], "--set", "synthetic.points=500", *QUIET)
    assert start("--out", "o", *arguments, folder=tmp_path, **inherited).wait(timeout=60) == 0
    assert len(rows(tmp_path / "o")) == 500
    assert start("--source", "stdin", "--out", "p", *GAUSSIAN, folder=tmp_path, **inherited).wait(timeout=60) == 2
    assert not (tmp_path / "p").exists()


def test_a_call_within_a_program_leaves_its_stderr_as_it_was(
    program: Program, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert "no such file" in program("--source", "csv", "--path", "x.csv").error
    os.write(2, b"by descriptor\n")
    assert capfd.readouterr().err == "by descriptor\n"


# --- the same prices by file and by Yahoo ---

PRICES = ("--start", "2000-03-01", "--end", "2013-03-02", "--set", "yfinance.adjusted=false", "--set", "yfinance.cache=cache")


@pytest.fixture(scope="session")
def verdicts_by_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a run says of the sample that comes with the program."""
    folder = tmp_path_factory.mktemp("sample")
    sample = ROOT / "data/samples/aapl.csv"
    arguments = ("--source", "csv", "--path", sample, "--column", "close", "--out", "o", *GAUSSIAN)
    assert finish(start(*arguments, folder=folder)).code == 0
    return (folder / "o/scores.csv").read_bytes()


def test_prices_from_yahoo_get_the_verdicts_of_the_same_prices_in_a_file(verdicts_by_file: bytes, tmp_path: Path) -> None:
    with YahooServer() as server:
        environment = {**os.environ, **server.environment()}
        arguments = ("--source", "yfinance", "--ticker", "AAPL", *PRICES, "--out", "o", *GAUSSIAN)
        outcome = finish(start(*arguments, folder=tmp_path, env=environment))
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert not MACHINE_TALK.search(outcome.err)
    assert outcome.err.startswith("AAPL: 3,270 points")
    assert (tmp_path / "o/scores.csv").read_bytes() == verdicts_by_file
    assert (tmp_path / "cache").is_dir()


def test_prices_through_a_session_get_the_same_verdicts_too(
    program: Program, verdicts_by_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import autoencoder.sources.yahoo

    with YahooServer() as server:
        redirected = functools.partial(autoencoder.sources.yahoo.YahooSource, session=server.session())
        monkeypatch.setattr(autoencoder.sources.yahoo, "YahooSource", redirected)
        assert program("--source", "yfinance", "--ticker", "AAPL", *PRICES, "--out", "o", *GAUSSIAN).code == 0
        scored = Path("o/scores.csv").read_bytes()
        assert scored == verdicts_by_file
        columns = program(
            "--source", "yfinance", "--ticker", "AAPL", *PRICES, "--column", "Open", "--column", "Close", "--out", "p", *GAUSSIAN
        )
    assert columns.code == 0
    assert list(rows(Path("p"))[0])[1:3] == ["value_Open", "value_Close"]
