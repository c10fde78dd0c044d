"""The README and the program say the same: flags, settings, commands, files and columns."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.cli import ROOT, Run

from autoencoder import cli
from autoencoder.arguments import APART, parser_of
from autoencoder.config import Config, keys
from autoencoder.core.errors import TrainingError
from autoencoder.reports.run_folder import CHECKPOINT
from autoencoder.reports.scores_csv import header
from autoencoder.scorers.lstm import LstmAutoencoderScorer

PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if path.stem not in ("experiments", "reliability"))
DOCUMENTS = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *PAGES)}
README = "\n".join(DOCUMENTS.values())
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def table(*head: str) -> list[list[str]]:
    lines = [*README.splitlines(), ""]
    start = lines.index("| " + " | ".join(head) + " |") + 2
    end = next(row for row in range(start, len(lines)) if not lines[row].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def commands() -> list[str]:
    in_tables = re.findall(r"`(?:[\w-]+ \\\| )?python main\.py *([^`]*)`", README)
    return in_tables + [arguments for block in blocks("sh") for arguments in re.findall(r"python main\.py *(.*)", block)]


def flags_of_the_program() -> set[str]:
    actions = [*cli.parser()._actions, *parser_of("dashboard")._actions]
    return {flag for action in actions for flag in action.option_strings if flag.startswith("--")} - {"--help", "--version"}


def flags_of_bench() -> set[str]:
    choices = [action.choices for action in parser_of("bench")._actions if isinstance(action, argparse._SubParsersAction)]
    return {
        flag for parsers in choices for one in parsers.values() for flag in one._option_string_actions if flag.startswith("--")
    }


def setting(config: dict[str, Any], key: str) -> Any:
    for name in key.split("."):
        config = config[name]
    return config


def test_flags_in_the_readme_exist() -> None:
    apart = {flag for one in APART for action in parser_of(one)._actions for flag in action.option_strings}
    ours = re.sub(r"^(docker|kubectl|systemctl) .*$", "", README, flags=re.MULTILINE)
    assert set(FLAG.findall(ours)) <= flags_of_the_program() | flags_of_bench() | apart


def test_the_flag_table_is_complete_and_the_checkpoint_named() -> None:
    assert {flag for row in table("flag", "meaning") for flag in names(row[0])} == flags_of_the_program()
    assert f"`{CHECKPOINT}`" in README


def test_settings_have_the_defaults_it_states() -> None:
    defaults = Config().model_dump(mode="json")
    rows = table("key", "default", "meaning")
    stated = {names(row[0])[0]: yaml.safe_load(names(row[1])[0]) for row in rows}
    assert len(stated) >= 10
    assert set(stated) <= set(keys())
    assert stated == {key: setting(defaults, key) for key in stated}


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str) -> None:
    arguments = cli.parse(shlex.split(command, comments=True))
    if arguments.command not in APART:
        cli.read_config(arguments)


def test_every_source_has_a_command() -> None:
    runs = [shlex.split(command, comments=True) for command in commands() if not command.startswith(tuple(APART))]
    sources = {cli.parse(arguments).source for arguments in runs}
    assert {"synthetic", "yfinance", "csv", "stdin"} <= sources


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)(?=[`\n])", README)) <= set(targets)


def test_linked_files_exist() -> None:
    linked = [
        path.parent / target
        for path, text in DOCUMENTS.items()
        for target in re.findall(r"\]\(([^)]+)\)", text)
        if "://" not in target
    ]
    assert [str(target) for target in linked if not target.exists()] == []


def test_the_readme_is_a_page_with_small_pictures() -> None:
    assert DOCUMENTS[ROOT / "README.md"].count("\n") <= 220
    assert all((ROOT / "docs" / name).stat().st_size < 300_000 for name in ("picture.png", "dashboard.png"))


def test_a_run_leaves_what_is_described(lstm_run: Run) -> None:
    out, done = lstm_run
    described = {name for row in table("file", "what it holds") for name in names(row[0])}
    assert described == {path.name for path in out.iterdir()}
    columns = [names(row[0])[0] for row in table("column", "meaning")]
    assert columns == header(("value",)) == (out / "scores.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    printed = [line for line in blocks("text")[0].splitlines() if "scores.csv" in line]
    assert set(printed[0].split(": ")[1].split(", ")) == described == set(done.err.splitlines()[-1].split(": ")[1].split(", "))


def test_too_few_training_points_are_refused() -> None:
    found = re.search(r"Fewer than (\d+) training points are refused", README)
    assert found
    with pytest.raises(TrainingError, match="needs"):
        LstmAutoencoderScorer().fit(np.sin(np.arange(int(found[1]) - 1.0))[:, None])


def test_the_exit_codes_are_those_of_the_program() -> None:
    told = re.findall(r"\b(\d+) ", (cli.parser().epilog or "").split("exit codes:")[1])
    assert [row[0] for row in table("code", "meaning")] == told
