"""Usage: flags, help, exit codes and wrong arguments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.cli import Program

from autoencoder import cli


def test_help_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = cli.parser().format_help()
    assert max(map(len, text.splitlines())) <= 80
    for flag in ("--source", "--set", "--model", "--resume", "--plot", "--out", "--follow", "--seed", "130 interrupted"):
        assert flag in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], ["'bogus'", "run", "train", "bench", "--help"]),
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
        (["--path", "x.csv"], ["means nothing to --source", "--source csv"]),
        (["--ticker", "AAPL"], ["means nothing to --source", "--source yfinance"]),
        (["--source", "csv", "--path", "x.csv", "--period", "5y"], ["means nothing to --source", "--source yfinance"]),
        (["--source", "stdin", "--label-column", "x"], ["means nothing to --source", "--source csv"]),
    ],
)
def test_wrong_usage_leaves_nothing(program: Program, arguments: list[str], words: list[str]) -> None:
    outcome = program(*arguments)
    assert outcome.code == 2
    assert all(word in outcome.error for word in words), outcome.error
    assert not list(Path.cwd().iterdir())


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
