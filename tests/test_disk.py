"""Files that are put in place whole, rows that grow, and folders that belong to one run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelError, RunError
from autoencoder.fingerprint import Fingerprint
from autoencoder.reports.disk import GrowingFile, draft_of, lock, open_inside, read_whole, write_whole
from autoencoder.reports.runs import CHECKPOINT, SCORES, RunFolder, read_model, require_inside

quick = settings(deadline=None, max_examples=40, derandomize=True)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside of the run folder."""
    path = tmp_path / "secret"
    path.write_bytes(b"mine")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


# --- writing ---


def test_a_link_in_place_of_a_file_or_its_draft_is_replaced_and_never_followed(folder: Path, secret: Path) -> None:
    target = folder / "metrics.json"
    target.symlink_to(secret)
    draft_of(target).symlink_to(secret)
    write_whole(target, b"new")
    assert secret.read_bytes() == b"mine"
    assert target.read_bytes() == b"new" and not target.is_symlink()
    assert [path.name for path in folder.iterdir()] == ["metrics.json"]


def test_a_file_that_cannot_be_written_leaves_the_one_before_and_no_draft(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(folder / "x", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(folder / "x", b"new")
    assert (folder / "x").read_bytes() == b"old"
    assert [path.name for path in folder.iterdir()] == ["x"]


def test_a_growing_file_grows_and_its_end_may_be_written_anew(folder: Path) -> None:
    file = GrowingFile(folder / "rows")
    file.write(b"one\n")
    file.write(b"two\nthree\n")
    file.write(b"2\n", start=4)
    assert (folder / "rows").read_bytes() == b"one\n2\n"
    assert file.size == 6
    file.close()
    with pytest.raises(EOFError, match="6 bytes"):
        GrowingFile(folder / "rows", keep=7)
    GrowingFile(folder / "rows", keep=4).write(b"II\n")
    assert (folder / "rows").read_bytes() == b"one\nII\n"


def test_what_was_written_of_a_row_is_cut_off_again_where_the_disk_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = GrowingFile(folder / "rows")
    file.write(b"one\n")
    write = os.pwrite

    def almost_full(descriptor: int, data: bytes, place: int) -> int:
        if place > 6:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:3], place)

    monkeypatch.setattr(os, "pwrite", almost_full)
    with pytest.raises(OSError, match="No space left"):
        file.write(b"two is long\n")
    monkeypatch.undo()
    assert (folder / "rows").read_bytes() == b"one\n"
    file.write(b"2\n")
    assert (folder / "rows").read_bytes() == b"one\n2\n"


def test_rows_go_into_no_link_and_no_pipe(folder: Path, secret: Path) -> None:
    (folder / SCORES).symlink_to(secret)
    with pytest.raises(ModelError, match=r"scores\.csv is a link"):
        RunFolder(folder, resume=True).open_rows(("value",), "")
    (folder / SCORES).unlink()
    os.mkfifo(folder / SCORES)
    with pytest.raises(ModelError, match=r"scores\.csv is a link, or no file"):
        RunFolder(folder, resume=True).open_rows(("value",), "")
    assert secret.read_bytes() == b"mine"


def test_a_folder_that_was_moved_away_is_told_of_at_the_next_checkpoint(folder: Path) -> None:
    run = RunFolder(folder, resume=True)
    run.open_rows(("value",), "")
    assert run.sizes()[0] > 0
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(RunError, match="was moved or removed"):
        run.sizes()


def test_a_draft_that_a_kill_left_is_cleared_away(folder: Path) -> None:
    draft_of(folder / CHECKPOINT).write_bytes(b"half")
    run = RunFolder(folder, resume=True)
    run.open_rows(("value",), "")
    assert not draft_of(folder / CHECKPOINT).exists()


def test_a_folder_belongs_to_one_run_until_it_ends_or_is_no_more(folder: Path) -> None:
    class Owner:
        pass

    owner = Owner()
    release = lock(owner, folder)
    assert release
    assert lock(Owner(), folder) is None
    with pytest.raises(ModelError, match="still going on"):
        RunFolder(folder, resume=True)
    release()
    other = Owner()
    assert lock(other, folder)
    del other
    assert lock(owner, folder)


# --- reading ---


def test_links_out_of_a_folder_are_not_read(folder: Path, secret: Path) -> None:
    (folder / "detector.npz").symlink_to(secret)
    with pytest.raises(ModelError, match="link to another folder"):
        read_model(folder)
    with pytest.raises(ModelError, match="link to another folder"):
        require_inside(folder, "detector.npz")
    (folder / "inside").write_bytes(b"x")
    (folder / "alias").symlink_to("inside")
    assert read_whole(folder / "alias", 10) == b"x"
    assert read_whole(folder / "alias", 0) is None


def test_pipes_and_folders_are_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError):
            open_inside(folder / name)


# --- rows that come again ---


@quick
@given(rows=st.integers(1, 60), cuts=st.lists(st.integers(0, 60), max_size=8), place=st.integers(0, 59), moved=st.booleans())
def test_a_fingerprint_does_not_feel_cuts_and_sees_every_change(rows: int, cuts: list[int], place: int, moved: bool) -> None:
    time, values = np.arange(rows), np.random.default_rng(1).normal(size=(rows, 2))
    whole, cut, other = Fingerprint(), Fingerprint(), Fingerprint()
    whole.take(time, values)
    for piece in np.split(np.arange(rows), sorted(cuts)):
        cut.take(time[piece], values[piece])
    assert cut.difference(whole) is None
    changed_time, changed = time.copy(), values.copy()
    if moved:
        changed_time[place % rows] += 1
    else:
        changed[place % rows] += 1e-9
    other.take(changed_time, changed)
    assert other.difference(whole) == ("time" if moved else "value")
    reloaded = Fingerprint()
    reloaded.load(whole.state(), rows)
    assert reloaded.difference(whole) is None


def test_a_first_row_that_is_another_is_told_before_the_others_come() -> None:
    before, again = Fingerprint(), Fingerprint()
    before.take(np.arange(9), np.ones((9, 1)))
    again.take(np.arange(1), np.zeros((1, 1)))
    assert again.difference(before) == "time or value"
