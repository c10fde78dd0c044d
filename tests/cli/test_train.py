"""Saved models: training alone, scoring with a model, models that are damaged or do not fit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from helpers.cli import FOREST, QUIET, Program, Run, assert_refused, metrics, rows, run_python, wave, write_csv


def test_train_saves_a_model_only(program: Program, table: Path) -> None:
    outcome = program("train", "--source", "csv", "--path", table, "--out", "model", *FOREST)
    assert outcome.code == 0
    assert re.fullmatch(r"wave\.csv: trained on 100 points in [\d.]+ s; use it with --model model\n", outcome.err)
    assert sorted(path.name for path in Path("model").iterdir()) == ["config.yaml", "detector.npz", "metrics.json"]
    assert program("--source", "csv", "--path", table, "--model", "model", "--out", "o", *QUIET).code == 0
    assert metrics(Path("o"))["counts"]["judged"] == 400 - 16  # all but the warm-up


def test_a_saved_model_predicts_as_before(program: Program, lstm_run: Run) -> None:
    points = ("--set", "synthetic.points=3000")
    assert program("--model", lstm_run[0], "--out", "o", *points, *QUIET).code == 0
    then, now = rows(lstm_run[0])[1500:], rows(Path("o"))[1500:]
    assert [row["prediction"] for row in now] == [row["prediction"] for row in then]
    assert metrics(Path("o"))["seconds"]["training"] == 0


def test_a_run_passes_its_model_on(program: Program, lstm_run: Run) -> None:
    points = ("--set", "synthetic.points=600")
    program("--model", lstm_run[0], "--out", "first", *points, *QUIET)
    assert program("--model", "first", "--out", "second", *points, *QUIET).code == 0
    assert Path("first/scores.csv").read_bytes() == Path("second/scores.csv").read_bytes()


def test_scoring_imports_no_heavy_library(lstm_run: Run, tmp_path: Path) -> None:
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
    assert_refused(outcome, ["model", name])
    assert "train again" in outcome.error or "give the run folder" in outcome.error


def test_scoring_needs_no_keras_file(program: Program, lstm_run: Run) -> None:
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
        (["--model", "MODEL", "--source", "csv", "--path", "two.csv", "--set", "csv.columns=[a, b]"], ["1 column", "2", "a, b"]),
    ],
)
def test_a_model_that_does_not_fit_is_refused(program: Program, lstm_run: Run, arguments: list[str], words: list[str]) -> None:
    write_csv(Path("two.csv"), range(100), wave(100), header="a,b")
    outcome = program(*[str(lstm_run[0]) if argument == "MODEL" else argument for argument in arguments], "--out", "o", *QUIET)
    assert_refused(outcome, words)
