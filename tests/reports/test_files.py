"""Files that are put in place whole, and files that grow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoencoder.reports.files import AppendFile, draft_of, open_inside, read_whole, write_whole


def no_space(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_file_is_put_in_place_whole_or_not_at_all_and_no_link_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, target = tmp_path / "secret", tmp_path / "run" / "metrics.json"
    secret.write_bytes(b"mine")
    target.parent.mkdir()
    target.symlink_to(secret)
    draft_of(target).symlink_to(secret)
    write_whole(target, b"new")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, b"newer")
    assert secret.read_bytes() == b"mine"
    assert target.read_bytes() == b"new" and not target.is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["metrics.json"]


def test_the_end_of_a_growing_file_may_be_written_anew(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "rows")
    file.write(b"one\n")
    file.write(b"two\nthree\n")
    file.write(b"2\n", start=4)
    assert (tmp_path / "rows").read_bytes() == b"one\n2\n"
    assert file.size == 6
    file.close()
    with pytest.raises(EOFError, match="6 bytes"):
        AppendFile(tmp_path / "rows", keep=7)
    AppendFile(tmp_path / "rows", keep=4).write(b"II\n")
    assert (tmp_path / "rows").read_bytes() == b"one\nII\n"


def test_half_a_row_is_cut_off_where_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = AppendFile(tmp_path / "rows")
    file.write(b"one\n")
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, at: no_space() if at > 6 else write(descriptor, data[:3], at))
    with pytest.raises(OSError, match="No space left"):
        file.write(b"two is long\n")
    monkeypatch.undo()
    assert (tmp_path / "rows").read_bytes() == b"one\n"
    file.write(b"2\n")
    assert (tmp_path / "rows").read_bytes() == b"one\n2\n"


def test_only_plain_files_inside_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "inside").write_bytes(b"x")
    (tmp_path / "alias").symlink_to("inside")
    assert read_whole(tmp_path / "alias", 10) == b"x"
    with pytest.raises(OSError, match="at most 0 bytes"):
        read_whole(tmp_path / "alias", 0)
    os.mkfifo(tmp_path / "pipe")  # not waited for
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "inside")
    for name in ("pipe", "folder", "folder/link"):
        with pytest.raises(OSError):
            open_inside(tmp_path / name)
