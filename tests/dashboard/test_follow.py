"""What the page shows of a run folder: one that grows, one that is done, one that a stranger made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import GAUSSIAN, finish, metrics, start, wait_until

from autoencoder.dashboard.follow import Follower, Snapshot, State, run_folders
from autoencoder.reports.odometer import Known
from autoencoder.reports.scores_csv import read_scores
from autoencoder.sources.synthetic import SyntheticSource

LOOSE = ("--source", "synthetic", *GAUSSIAN, "--set", "threshold.budget=0.02", "--set", "incidents.merge_gap=5")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of 4,000 points with incidents."""
    folder = tmp_path_factory.mktemp("done")
    assert finish(start(*LOOSE, "--set", "synthetic.points=4000", "--out", "run", folder=folder)).code == 0
    return folder / "run"


@pytest.fixture
def run(tmp_path: Path, done: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(done, tmp_path / "run")


def settled(follower: Follower) -> Snapshot:
    """The run once nothing more comes, for now or for ever."""
    before = None
    while (stands := ((now := follower.poll()).points, len(now.incidents))) != before and now.is_live:
        before = stands
    return now


def test_a_run_elsewhere_is_followed_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "other"
    process = start(*LOOSE, "--set", "synthetic.points_per_second=3000", "--out", folder, folder=tmp_path)
    wait_until(lambda: run_folders(tmp_path) == [folder], process)
    follower = Follower(folder)
    wait_until(lambda: 1600 < follower.poll().points < 6000, process)
    assert follower.poll().state is State.RUNNING
    outcome = finish(process)
    assert outcome.code == 0, outcome.err
    wait_until(lambda: not follower.poll().is_live)
    now, counts, quality = follower.poll(), metrics(folder)["counts"], metrics(folder)["quality"]
    assert (now.state, now.fault, now.points, now.training_points) == (State.DONE, None, 6000, 1500)
    assert (now.judged, now.flagged, len(now.incidents)) == (counts["judged"], counts["flagged"], counts["incidents"])
    assert [incident.to_json() for incident in now.incidents] == (folder / "incidents.jsonl").read_text().splitlines()
    np.testing.assert_array_equal(now.detections.values, read_scores(folder).values)
    np.testing.assert_array_equal(now.labels, next(SyntheticSource(length=6000, chunk_size=6000).chunks()).labels)
    assert now.known == Known.of(quality) == replace(now, known=None).found  # as the page says before the end
    odometer = metrics(folder)["odometer"]
    assert now.odometer.headline(now.found) in outcome.err.splitlines()
    assert {name: round(value, 6) for name, value in now.odometer.record()["per_week"].items()} == odometer["per_week"]


def test_how_the_run_ended_is_told(run: Path) -> None:
    whole = (run / "metrics.json").read_text()
    for status, state in (("done", State.DONE), ("interrupted", State.STOPPED), ("failed: no disk", State.FAILED)):
        (run / "metrics.json").write_text(whole.replace('"status": "done"', f'"status": "{status}"'))
        now = settled(Follower(run))
        assert (now.state, now.points) == (state, 4000)
    assert now.fault == f"{run}: failed: no disk"


def test_a_run_that_begins_anew_is_shown_anew(run: Path) -> None:
    (run / "metrics.json").unlink()
    follower = Follower(run)
    assert settled(follower).points == 4000
    lines = (run / "scores.csv").read_bytes().splitlines(keepends=True)
    (run / "scores.csv").write_bytes(b"".join(lines[:3001]) + b"half a row, ")
    (run / "incidents.jsonl").write_bytes(b"")
    now = settled(follower)
    assert (now.points, len(now.detections), now.training_points, now.incidents) == (3000, 3000, 1000, ())
    assert now.is_live


def test_an_open_incident_is_replaced_as_it_grows(run: Path) -> None:
    (run / "metrics.json").unlink()
    file, follower = run / "incidents.jsonl", Follower(run)
    first, *others = file.read_bytes().splitlines(keepends=True)
    for content, count, is_open in (
        (first.replace(b'"closed"', b'"open"'), 1, True),
        (first + others[0][:40], 1, False),  # half a line
        (first + b"".join(others), 1 + len(others), False),
    ):
        file.write_bytes(content)
        now = settled(follower)
        assert (len(now.incidents), now.open) == (count, is_open)


def overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(content)


def link(name: str) -> Callable[[Path], object]:
    """Put a link to a file outside in a file's place."""
    return lambda run: (run / name).symlink_to((run / name).rename(run.parent / f"outside-{name}"))


def flood(run: Path) -> None:
    with (run / "scores.csv").open("ab") as file:
        file.truncate(1 << 40)  # a terabyte of zeros, none of which is on the disk


NO_SCORES = "cannot be read as the scores of a run"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda run: (run / "scores.csv").unlink(), "holds no run"),
        (lambda run: (run / "scores.csv").unlink() or os.mkfifo(run / "scores.csv"), "holds no run"),
        (overwrite("scores.csv", b"name,age\nbob,7\n"), NO_SCORES),
        (overwrite("scores.csv", b"time,value\n" + b"9" * 40 + b",1\n"), NO_SCORES),
        (overwrite("scores.csv", b"\xff\xfe\n1,2\n"), NO_SCORES),
        (overwrite("scores.csv", b"time,value,series\n1,2,a\n"), "holds many series"),
        (overwrite("config.yaml", b"detector: [\n"), "config.yaml"),
        (link("scores.csv"), NO_SCORES),
        (link("config.yaml"), "it is a link to another folder"),
        (overwrite("incidents.jsonl", b'{"id": 1}\n'), None),
        (overwrite("incidents.jsonl", b"[" * 100_000 + b"\n"), None),
        (link("incidents.jsonl"), None),
        (overwrite("metrics.json", b'{"status": "done", "quality": {"known_anomalies": "x"}}'), None),
        (flood, None),
    ],
)
def test_a_folder_of_a_stranger_is_read_or_refused(run: Path, harm: Callable[[Path], object], words: str | None) -> None:
    harm(run)
    os.utime(run / "metrics.json")
    now = settled(Follower(run))
    if words:
        assert now.state is State.FAILED and words in now.fault and "\n" not in now.fault
    else:
        assert (now.state, now.points) == (State.DONE, 4000)
