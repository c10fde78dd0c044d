"""The command line of bench, and the folder that serves one configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.cli import ROOT, Program

from autoencoder.benchmark.runner import RESULT_CODE
from benchmark.folders import GAUSSIAN


@pytest.mark.parametrize("benchmark", ["nab", "ucr", "series"])
def test_without_data_nothing_is_written(program: Program, tmp_path: Path, benchmark: str) -> None:
    done = program("bench", benchmark, "--path", "nowhere", "--out", "out")
    assert done.code == 2
    assert "nowhere: no such folder; " in done.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nab|ucr|series|budget"),
        (("drfit",), "invalid choice: 'drfit'"),
        (("drift", "--out", "out", "--kind", "storm"), "invalid choice: 'storm'"),
        (("nab", "--out", "out"), "--path"),
        (("nab", "--path", "."), "--out"),
        (("nab", "--path", ".", "--out", "out", "--detector", "oracle"), "invalid choice: 'oracle'"),
        (("nab", "--path", ".", "--out", "out", "--detector", "matrix_profile"), "invalid choice: 'matrix_profile'"),
        (("speed", "--out", "out", "--detector", "isolation_forest"), "unrecognized arguments"),
        (("budget", "--out", "out", "--streams", "0"), "found '0'; give a whole number of at least 1"),
        (("budget", "--out", "out", "--points", "many"), "found 'many'; give a whole number of at least 1,000"),
    ],
)
def test_wrong_usage(program: Program, arguments: tuple[str, ...], message: str) -> None:
    done = program("bench", *arguments)
    assert done.code == 2
    assert message in done.err


def test_results_of_other_settings_are_refused(program: Program, nab: Path, tmp_path: Path) -> None:
    command = ("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    program(*command, "--set", "threshold.window=700")
    before = (tmp_path / "out/summary.json").read_bytes()
    done = program(*command, "--set", "threshold.window=500")
    assert done.code == 2
    assert "threshold.window was 700 and is 500 now" in done.error
    assert "benchmark was 'nab' and is 'budget' now" in program("bench", "budget", "--out", "out", *GAUSSIAN).error
    assert (tmp_path / "out/summary.json").read_bytes() == before
    (tmp_path / "out/settings.yaml").write_bytes(b"\xff: [")
    assert program(*command).code == 2


def test_folder_with_other_files_is_refused(program: Program, nab: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    done = program("bench", "nab", "--path", nab, "--out", "out", *GAUSSIAN)
    assert done.code == 2
    assert "holds something other than results of a benchmark" in done.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_digest_covers_files_that_are_there() -> None:
    assert all(list((ROOT / "autoencoder").glob(pattern)) for pattern in RESULT_CODE)
