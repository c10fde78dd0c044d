"""How the program is started and how it fails: main.py, ``python -m autoencoder``, the console script, a package that is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli import ROOT, Outcome, Program, finish, run_python, start

import autoencoder as ae
from autoencoder import cli


def call(*command: object, folder: Path) -> Outcome:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("command", "name"),
    [((ROOT / "main.py",), "python main.py"), (("-m", "autoencoder"), "python -m autoencoder")],
)
def test_help_and_usage_name_the_way_it_was_started(command: tuple[object, ...], name: str, tmp_path: Path) -> None:
    shown = call(sys.executable, *command, "--help", folder=tmp_path)
    assert shown.code == 0 and f"usage: {name} [-h]" in shown.out and f"  {name} --source synthetic" in shown.out
    assert call(sys.executable, *command, "--seed", "x", folder=tmp_path).error.endswith(f"see {name} --help")
    assert f"usage: {name} bench" in call(sys.executable, *command, "bench", "--help", folder=tmp_path).out


def test_a_console_script_has_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/autoencoder"])
    assert cli.parser().format_usage().startswith("usage: autoencoder [-h]")


def test_version_is_asked_for_and_goes_to_stdout(tmp_path: Path) -> None:
    assert finish(start("--version", folder=tmp_path)) == Outcome(0, f"autoencoder {ae.__version__}\n", "")


def test_an_old_python_says_what_to_type(tmp_path: Path) -> None:
    code = "import sys; sys.version_info = (3, 9, 18); import main; sys.exit(main.main())"
    outcome = run_python(code, folder=tmp_path)
    assert outcome.code == 2
    assert "is Python 3.9.18, and 3.11 or newer is needed; type: make run, or .venv/bin/python main.py" in outcome.error


def without(module: str, *arguments: str, folder: Path) -> Outcome:
    """The program in an interpreter that lacks one package."""
    code = f"""
import sys
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Lacking())
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, package=None: None if name == {module!r} else find(name, package)
from autoencoder.cli import main
sys.exit(main({list(arguments)!r}))
"""
    return run_python(code, folder=folder)


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("numpy", ("--plot", "none"), "numpy is not installed for"),
        ("pydantic", (), "pydantic is not installed for"),
        ("matplotlib", ("--detector", "isolation_forest"), ", or add --plot none"),
        ("onnx", ("train",), ", or use a saved model with --model"),
        ("tensorflow", ("--plot", "none"), "training needs tensorflow, which is not installed for"),
        (
            "yfinance",
            ("--source", "yfinance", "--ticker", "AAPL", "--plot", "none", "--detector", "isolation_forest"),
            "yfinance",
        ),
    ],
)
def test_a_missing_package_is_one_line_before_anything_is_begun(
    module: str, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    outcome = without(module, *arguments, folder=tmp_path)
    assert outcome.code == 2
    assert words in outcome.error and f"{sys.executable}; type: make run, or .venv/bin/python main.py ..." in outcome.error
    assert not list(tmp_path.iterdir())


def test_spark_is_asked_for_by_its_extra(tmp_path: Path) -> None:
    outcome = without("pyspark", "fleet", "--format", "rate", "--model", "m", "--out", "o", "--checkpoint", "c", folder=tmp_path)
    assert outcome.code == 2
    assert outcome.error.startswith("fleet needs pyspark, which is not installed for ")
    assert outcome.error.endswith("type: pip install '.[spark]'")


def test_help_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = cli.parser().format_help()
    assert max(map(len, text.splitlines())) <= 80
    for flag in ("--source", "--set", "--model", "--resume", "--plot", "--out", "--follow", "--seed", "130 interrupted"):
        assert flag in text


def test_verbose_adds_the_traceback(program: Program) -> None:
    outcome = program("--source", "csv", "--path", "missing.csv", "--verbose")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: missing.csv")


def test_an_internal_fault_is_one_line(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("autoencoder.commands.run.run", fail)
    outcome = program()
    assert outcome.code == 1
    assert "ZeroDivisionError" in outcome.error and "--verbose" in outcome.error


def test_a_call_leaves_stderr_as_it_was(program: Program, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert "no such file" in program("--source", "csv", "--path", "x.csv").error
    os.write(2, b"by descriptor\n")
    assert capfd.readouterr().err == "by descriptor\n"
