"""The run folder: whole files or none, one run at a time, and what may be in files of unknown origin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autoencoder.core.errors import ModelFileError, OutputError, ResumeError, RunError
from autoencoder.core.state import pack
from autoencoder.reports.files import draft_of, lock
from autoencoder.reports.run_folder import (
    CHECKPOINT,
    FILES,
    RunFolder,
    default_folder,
    read_checkpoint,
    read_model,
    require_inside,
)


def test_a_file_is_put_in_place_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "o")
    folder.write("metrics.json", "one")
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["metrics.json"]
    (tmp_path / "o/config.yaml").mkdir()  # something that cannot be replaced
    with pytest.raises(RunError, match=r"config\.yaml cannot be written"):
        folder.write("config.yaml", "two")
    assert (tmp_path / "o/metrics.json").read_text() == "one"


def test_unknown_figures_are_null_and_numbers_plain(tmp_path: Path) -> None:
    metrics = {"a": np.float64(0.1234567), "b": float("nan"), "c": (np.int64(3), None), "d": {"e": np.True_, "f": "x"}}
    RunFolder(tmp_path / "o").write_metrics(metrics)
    expected = {"a": 0.123457, "b": None, "c": [3, None], "d": {"e": True, "f": "x"}}
    assert json.loads((tmp_path / "o/metrics.json").read_text()) == expected


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
    RunFolder(ours, resume=True).discard()
    assert (ours / "note.txt").exists()


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


def test_a_checkpoint_is_told_from_its_absence(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="holds no run"):
        read_checkpoint(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert read_checkpoint(tmp_path) is None
    (tmp_path / "metrics.json").write_text("not json")
    assert read_checkpoint(tmp_path) is None
    (tmp_path / "metrics.json").write_text('{"status": "done"}')
    with pytest.raises(ResumeError, match="is done"):
        read_checkpoint(tmp_path)
    (tmp_path / "checkpoint.npz").write_bytes(pack({"rows": 3}))
    assert read_checkpoint(tmp_path) == {"rows": 3}


def test_a_draft_that_a_kill_left_is_cleared_away(tmp_path: Path) -> None:
    draft_of(tmp_path / CHECKPOINT).write_bytes(b"half")
    RunFolder(tmp_path, resume=True)
    assert not draft_of(tmp_path / CHECKPOINT).exists()


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    class Owner:
        pass

    owner = Owner()
    release = lock(owner, tmp_path)
    assert release
    assert lock(Owner(), tmp_path) is None
    with pytest.raises(OutputError, match="still going on"):
        RunFolder(tmp_path, resume=True)
    release()
    other = Owner()
    assert lock(other, tmp_path)
    del other
    assert lock(owner, tmp_path)
