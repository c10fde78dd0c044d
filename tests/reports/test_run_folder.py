"""The run folder: one run at a time, what it takes away, and what may be in files of unknown origin."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from autoencoder.core.errors import ModelFileError, OutputError, ResumeError, RunError
from autoencoder.core.state import pack
from autoencoder.reports.files import draft_of, lock
from autoencoder.reports.run_folder import (
    BEGINS,
    CHECKPOINT,
    FILES,
    GOES_ON,
    MARK,
    Found,
    RunFolder,
    default_folder,
    read_checkpoint,
    read_model,
    require_inside,
)


def test_figures_are_plain_and_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder, place = RunFolder(tmp_path / "o"), tmp_path / "o"
    metrics = {"a": np.float64(0.1234567), "b": float("nan"), "c": (np.int64(3), None), "d": {"e": np.True_, "f": "x"}}
    folder.write_metrics(metrics)
    (place / "config.yaml").mkdir()  # something that cannot be replaced
    with pytest.raises(RunError, match=r"config\.yaml cannot be written"):
        folder.write("config.yaml", "two")
    expected = {"a": 0.123457, "b": None, "c": [3, None], "d": {"e": True, "f": "x"}}
    assert json.loads((place / "metrics.json").read_text()) == expected
    assert {path.name for path in place.iterdir()} == {"metrics.json", "config.yaml"}


def test_discarding_takes_away_what_a_run_writes(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "new", tmp_path / "theirs"
    theirs.mkdir()
    for path in (ours, theirs):
        folder = RunFolder(path)
        for name in FILES:
            folder.write(name, "x")
        (path / "note.txt").write_text("mine")
        folder.discard()
        assert [found.name for found in path.iterdir()] == ["note.txt"]
    draft_of(ours / CHECKPOINT).write_bytes(b"half")  # a kill left it
    RunFolder(ours, resume=True).discard()
    assert [found.name for found in ours.iterdir()] == ["note.txt"]


def test_default_folders_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = default_folder("csv")
    first.mkdir(parents=True)
    assert default_folder("csv") != first


def test_a_missing_oversized_or_foreign_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is not a folder"):
        read_model(tmp_path / "nowhere")
    with pytest.raises(ModelFileError, match=r"holds no detector\.npz"):
        read_model(tmp_path)
    with (tmp_path / "detector.npz").open("wb") as file:
        file.truncate(1 << 29)  # a hole, no bytes on the disk
    with pytest.raises(ModelFileError, match="at most"):
        read_model(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/detector.npz").symlink_to(tmp_path / "detector.npz")
    for read in (read_model, lambda folder: require_inside(folder, "detector.npz")):
        with pytest.raises(ModelFileError, match="link to another folder"):
            read(tmp_path / "run")


def test_what_a_run_goes_on_with(tmp_path: Path) -> None:
    path = tmp_path / "o"

    def found(name: str = "", content: str | bytes = "") -> Found:
        if name:
            (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        with closing(RunFolder(path, resume=True)) as folder:
            return folder.find_run()

    assert found() is Found.NOTHING
    assert found(".config.yaml.part", b"x") is Found.NOTHING
    for name in (
        "detector.npz",
        "given.npz",
        "config.yaml",
        "plot.png",
        "thesis.txt",
    ):  # a mark that says so, or nobody knows whose
        for mark in ("", "of something else", GOES_ON)[: None if name != "config.yaml" else 2]:
            set_mark(path, mark)
            with pytest.raises(ResumeError, match=rf"files that are no run's, as '{name}'"):
                found(name, "mine")
            assert (path / name).read_text() == "mine"
        set_mark(path, BEGINS)
        assert found(name, "x") is (Found.RUN if name == "config.yaml" else Found.NOTHING)
        with closing(RunFolder(path, resume=True)) as folder:
            folder.begin()
        assert [each.name for each in path.iterdir() if each.name != "thesis.txt"] == [MARK]
    with pytest.raises(ResumeError, match="holds a model"):
        found("state.npz")
    (path / "state.npz").unlink()
    set_mark(path, "")
    (path / "scores.csv").touch()
    with pytest.raises(ResumeError, match="no run's"):
        found("config.yaml")  # which many programs have
    set_mark(path, GOES_ON)
    assert found() is Found.RUN
    assert found("metrics.json", "not json") is Found.RUN
    assert found("metrics.json", '{"status": "done"}') is Found.DONE
    with pytest.raises(ResumeError, match="holds a model and no run"):
        found("metrics.json", '{"status": "trained"}')
    assert read_checkpoint(path) is None
    assert found("checkpoint.npz", pack({"rows": 3})) is Found.RUN
    assert read_checkpoint(path) == {"rows": 3}


def set_mark(path: Path, text: str) -> None:
    """Let a folder have that mark, none where it is empty."""
    (path / MARK).unlink(missing_ok=True)
    if text:
        (path / MARK).write_text(text)


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    owner, other = (type("Owner", (), {})() for _ in range(2))
    release = lock(owner, tmp_path)
    assert release
    assert lock(other, tmp_path) is None
    with pytest.raises(OutputError, match="still going on"):
        RunFolder(tmp_path, resume=True)
    release()
    assert lock(other, tmp_path)
    del other
    assert lock(owner, tmp_path)
