"""The command ``report``: what a run flagged and rang, and what it would have with other settings."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import FOREST, GAUSSIAN, SERIES, Outcome, Program, wave, write_csv

from autoencoder.core.types import Detections
from autoencoder.reports.odometer import Known
from autoencoder.reports.replay import at_score

ADAPTIVE = tuple(
    f"--set=adaptation.{each}" for each in ("enabled=true", "synchronous=true", "confirm_windows=5", "cold_start_points=null")
)
RARELY = tuple(f"--set={each}" for each in ("threshold.budget=0.02", "incidents.cooldown=2 days", "incidents.min_length=1 h"))
RUNS = {
    "a tail": (*FOREST, "--set", "threshold.budget=1 per day"),
    "another kind of threshold": (*FOREST, "--set", "threshold.kind=sigma", "--set", "incidents.hysteresis=0.7"),
    "rarely rung": (*FOREST, *RARELY),
    "many series": (*SERIES, "--path", "many.csv", *GAUSSIAN, "--set", "threshold.budget=0.01"),
    "no timestamps": ("--source", "csv", "--path", "bare.csv", "--label-column", "label", "--column", "value", *GAUSSIAN),
    "adaptation": (
        "--source",
        "csv",
        "--path",
        "shift.csv",
        *GAUSSIAN,
        "--set=windowed_gaussian.window=2000",
        *ADAPTIVE,
        "--set=incidents.merge_gap=450",
    ),
}


def table(outcome: Outcome) -> dict[str, list[str]]:
    """The rows of the table that a call printed: label -> the entry of each column; rates have their count's label before them."""
    assert outcome.code == 0, outcome.err
    rows, label = {}, ""
    for line in outcome.out.splitlines():
        name, *cells = re.split(r"\s{2,}", line.strip())
        label = label if line.startswith("  ") else name
        rows[name if name == label else f"{label}, {name}"] = cells
    return rows


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.fixture
def sources(tmp_path: Path) -> None:
    values = [value + 40 * (row % 97 == 0) for row, value in enumerate(wave(1500))]
    write_csv(
        tmp_path / "many.csv",
        [1_700_000_000 + 60 * (row // 3) for row in range(1500)],
        [('"we""b, 1"', "=b", "")[row % 3] for row in range(1500)],
        values,
        header="timestamp,host,value",
    )
    normal = np.random.default_rng(0).normal(size=2400)
    shifted = np.where(np.arange(2400) < 1500, normal, normal + 30)
    shifted[1000] += 20
    write_csv(tmp_path / "shift.csv", [1_700_000_000 + 60 * row for row in range(2400)], shifted)
    write_csv(tmp_path / "bare.csv", values, [int(row % 194 == 0) for row in range(1500)], header="value,label")


@pytest.mark.parametrize("name", RUNS)
def test_what_was_done_is_what_the_run_says(program: Program, sources: None, name: str) -> None:
    assert program(*RUNS[name], "--out", "o").code == 0
    said, metrics, incidents = table(program("report", "o")), cli.metrics(Path("o")), cli.incidents(Path("o"))
    odometer = metrics["odometer"]
    assert number(said["points flagged"][0]) == odometer["flagged"] == metrics["counts"]["flagged"] > 0
    assert number(said["incidents"][0]) == odometer["incidents"] == len(incidents)
    assert number(said["alarms (rings)"][0]) == odometer["alarms"] == sum(one["alarm"] for one in incidents)
    assert number(said["the budget for normal points"][0]) == pytest.approx(odometer["allowed"], rel=0.05)
    if name != "no timestamps":
        assert number(said["points flagged, a week"][0]) == pytest.approx(odometer["per_week"]["flagged"], rel=0.05)
    known = Known.of(metrics["quality"])
    assert (known is None) == (name in ("many series", "adaptation"))
    if known:
        entries = ("known anomalies found", "known anomalies found, that rang", "false alarms", "points flagged outside of them")
        figures = (known.found_text, f"{known.rung}", f"{known.false_alarms}", f"{known.normal_flagged}")
        assert tuple(said[entry if entry in said else entry.split(", ")[-1]][0] for entry in entries) == figures
    if name == "rarely rung":
        assert 0 < odometer["alarms"] < odometer["incidents"]
    if name == "adaptation":
        assert {"change adopted", "values are back"} <= {one["close_reason"] for one in incidents}


@pytest.mark.parametrize(("asked", "least"), [(0.02, 40), (0.002, 10)])
def test_another_budget_is_close_to_a_run_with_it(program: Program, asked: float, least: int) -> None:
    """Within a third of the points and of the incidents, or three."""
    stream = (*FOREST, "--set", "synthetic.points=12000")
    for name, budget in (("run", 0.005), ("again", asked)):
        assert program(*stream, "--set", f"threshold.budget={budget}", "--out", name).code == 0
    said = table(program("report", "run", "--set", f"threshold.budget={asked}"))
    odometer = cli.metrics(Path("again"))["odometer"]
    assert odometer["flagged"] >= least
    for label, key in (("points flagged", "flagged"), ("incidents", "incidents"), ("alarms (rings)", "alarms")):
        before, found = map(number, said[label])
        assert found == pytest.approx(odometer[key], rel=0.33, abs=3)
        assert (found > before) == (asked > 0.005)
    assert number(said["the budget for normal points"][1]) == pytest.approx(odometer["allowed"], rel=0.01)


@pytest.mark.parametrize(
    "change", ["incidents.cooldown=300", "incidents.merge_gap=5 h", "incidents.min_length=3", "incidents.min_severity=high"]
)
def test_other_incidents_are_those_of_a_run_with_them(program: Program, change: str) -> None:
    stream = (*FOREST, "--set", "threshold.budget=0.01", "--set", "incidents.min_severity=low")
    for name, settings in (("run", ()), ("again", ("--set", change))):
        assert program(*stream, *settings, "--out", name).code == 0
    said, odometer = table(program("report", "run", "--set", change)), cli.metrics(Path("again"))["odometer"]
    assert [number(said[label][1]) for label in ("points flagged", "incidents", "alarms (rings)")] == [
        odometer[key] for key in ("flagged", "incidents", "alarms")
    ]
    assert said["incidents"][0] != said["incidents"][1] or said["alarms (rings)"][0] != said["alarms (rings)"][1]


def test_a_run_that_was_killed_is_told_as_far_as_it_came(program: Program) -> None:
    assert program(*FOREST, "--out", "o").code == 0
    whole = table(program("report", "o"))
    (Path("o") / "metrics.json").unlink()
    with Path("o/scores.csv").open("a") as file:
        file.write("2025-05-06T00:00:00Z,5")
    outcome = program("report", "o")
    assert outcome.err == "o/scores.csv: the last line is cut off, and left out\n"
    told = table(outcome)
    assert "known anomalies found" in whole and told == {key: whole[key] for key in told}  # the folder knows no labels now


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    outcome = cli.finish(cli.start(*GAUSSIAN, "--set", "synthetic.points=600", "--out", "o", folder=folder))
    assert outcome.code == 0, outcome.err
    return folder / "o"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["DIR", "report --help"]),
        (("nowhere",), ["nowhere is not a folder", "--out folder of a run"]),
        (("o/config.yaml",), ["o/config.yaml is not a folder"]),
        (("empty",), ["empty holds no scores.csv"]),
        (("bare",), ["bare holds no config.yaml"]),
        (("begun",), ["begun/scores.csv holds no row yet"]),
        (("broken",), ["broken/scores.csv cannot be read", "ValueError in the first"]),
        (("o", "--set", "network.units=[32]"), ["network.units means nothing to report", "threshold.budget"]),
        (("o", "--set", "threshold.kind=sigma"), ["threshold.kind means nothing to report"]),
        (("o", "--set", "threshold.budge=1"), ["threshold.budge is not a setting", "threshold.budget?"]),
        (("o", "--set", "threshold.budget=3"), ["threshold.budget is 3"]),
        (("o", "--set", "threshold.budget=1e-11"), ["threshold.budget is 1e-11", "10^10"]),
        (("o", "--set", "incidents.min_length=0"), ["incidents.min_length is 0", "from 1 to"]),
        (("o", "--set", "incidents.cooldown"), ["is not KEY=VALUE"]),
        (("--seed", "3", "o"), ["--seed"]),
        (("--seed", "3", "report", "o"), ["report must come first"]),
    ],
)
def test_what_cannot_be_told_is_refused(program: Program, done: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    for name in ("o", "broken", "begun"):
        shutil.copytree(done, name)
    Path("begun/scores.csv").write_text("time,value\n")
    for name in ("empty", "bare"):
        Path(name).mkdir()
    shutil.copy(done / "scores.csv", "bare")
    text = Path("broken/scores.csv").read_text()
    Path("broken/scores.csv").write_text(text.replace("\n", "\nnonsense\n", 2))
    outcome = program(*(() if "report" in arguments else ("report",)), *arguments)
    assert outcome.code == 2
    assert all(word in outcome.error for word in words), outcome.error


def test_thresholds_of_another_budget_agree_with_its_flags() -> None:
    random = np.random.default_rng(0)
    errors = random.exponential(size=2000)
    errors[[5, 6]] = np.nan
    scores = np.minimum(errors / np.log(10) / 10, 1.0)
    known = np.where(np.isnan(errors), np.nan, np.log(1000))
    nothing = np.empty((2000, 0))
    detections = Detections(np.arange(2000), nothing, nothing, errors, known, scores, errors > known)
    for budget in (0.01, 0.001, 0.0001):
        asked = at_score(detections, -np.log10(budget) / 10, is_larger=budget > 0.001)
        np.testing.assert_array_equal(asked.anomalies, errors > -np.log(budget))
        np.testing.assert_array_equal(asked.anomalies, asked.errors > asked.thresholds)
        assert np.nanmedian(asked.thresholds) == pytest.approx(-np.log(budget), rel=0.1)
        np.testing.assert_array_equal(np.isnan(asked.thresholds), np.isnan(errors) & np.isnan(known))
