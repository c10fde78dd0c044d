"""Saved models: training alone, scoring with a model, models that are damaged or do not fit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import pytest
from helpers.cli import FOREST, QUIET, Program, Run, assert_refused, finish, metrics, rows, run_python, start

from autoencoder.core.state import pack, unpack


def test_train_saves_a_model_only(program: Program, table: Path) -> None:
    outcome = program("train", "--source", "csv", "--path", table, "--out", "model", *FOREST)
    assert outcome.code == 0
    assert re.fullmatch(r"wave\.csv: trained on 400 points in [\d.]+ s; use it with --model model\n", outcome.err)
    assert sorted(path.name for path in Path("model").iterdir()) == ["config.yaml", "detector.npz", "metrics.json"]
    piped = finish(
        start("train", "--source", "stdin", "--out", "piped", *FOREST, folder=Path(), stdin=PIPE), text=table.read_text()
    )
    assert piped.code == 0 and "trained on 400 points" in piped.err, piped.err
    states = [unpack(Path(name, "detector.npz").read_bytes(), name) for name in ("model", "piped")]
    assert pack(states[0]) == pack(states[1])


def test_a_saved_model_predicts_as_before(program: Program, lstm_run: Run) -> None:
    points = ("--set", "synthetic.points=3000")
    assert program("--model", lstm_run[0], "--out", "first", *points, *QUIET).code == 0
    then, now = rows(lstm_run[0])[1500:], rows(Path("first"))[1500:]
    assert [row["prediction"] for row in now] == [row["prediction"] for row in then]
    assert metrics(Path("first"))["seconds"]["training"] == 0
    Path("first/model.keras").unlink()  # scoring needs it not, and a run passes its model on
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


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {  # content and half its length -> what is left
    "gone": lambda content, half: b"",
    "cut": lambda content, half: content[:half],
    "empty": lambda content, half: b"",
    "bit flipped": lambda content, half: content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :],
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["model.onnx", "detector.npz"])
def test_a_damaged_model_is_refused(program: Program, lstm_run: Run, name: str, how: str) -> None:
    shutil.copytree(lstm_run[0], "model")
    path = Path("model", name)
    content = path.read_bytes()
    path.write_bytes(DAMAGES[how](content, len(content) // 2))
    if how == "gone":
        path.unlink()
    outcome = program("--model", "model", "--out", "o", *QUIET)
    assert_refused(outcome, ["model", name])
    assert "train again" in outcome.error or "give the run folder" in outcome.error
