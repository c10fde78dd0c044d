"""Resuming: a run that was cut off anywhere ends with the files of one that was not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest
from helpers import cli
from helpers.cli import FOREST, QUIET, Program, Run, wave, write_csv

from autoencoder.sources.chunk import Chunk
from autoencoder.sources.synthetic import SyntheticSource


def cut_off(monkeypatch: pytest.MonkeyPatch, row: int) -> None:
    """Interrupt the synthetic stream at a row, once."""
    whole = SyntheticSource.chunks

    def chunks(self: SyntheticSource, start: int = 0) -> Iterator[Chunk]:
        for chunk in whole(self, start):
            if self.rows_given + len(chunk) > row:
                monkeypatch.setattr(SyntheticSource, "chunks", whole)
                raise KeyboardInterrupt
            self.rows_given += len(chunk)
            yield chunk

    monkeypatch.setattr(SyntheticSource, "rows_given", 0, raising=False)
    monkeypatch.setattr(SyntheticSource, "chunks", chunks)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing cut off."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert cli.finish(cli.start("--out", "o", *FOREST, *SMALL, folder=folder)).code == 0
    return folder / "o"


def assert_same_run(one: Path, other: Path) -> None:
    cli.assert_same_results(one, other)
    assert (one / "detector.npz").read_bytes() == (other / "detector.npz").read_bytes()
    first, second = cli.metrics(one), cli.metrics(other)
    for key in ("status", "counts", "quality", "training"):
        assert first[key] == second[key]
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}


@pytest.mark.parametrize("row", [1100, 1600, 2100, 5900])
def test_an_interrupted_run_ends_the_same(
    program: Program, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path, row: int
) -> None:
    cut_off(monkeypatch, row)
    outcome = program("--out", "o", *FOREST, *SMALL)
    done = row // 1024 * 1024  # whole chunks
    assert outcome.code == 130
    assert outcome.err == f"interrupted after {done:,} points; what was done is in o; --resume goes on with it\n"
    assert len(cli.rows(Path("o"))) == done == cli.metrics(Path("o"))["counts"]["points"]
    assert cli.metrics(Path("o"))["status"] == "interrupted"
    assert program("--out", "o", "--resume").code == 0
    assert_same_run(Path("o"), uninterrupted)


def test_an_early_interrupt_leaves_no_folder(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(monkeypatch, 100)
    outcome = program("--out", "o", *FOREST)
    assert (outcome.code, outcome.err) == (130, "interrupted\n")
    assert not Path("o").exists()


def test_a_run_may_be_resumed_twice(program: Program, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path) -> None:
    cut_off(monkeypatch, 2100)
    program("--out", "o", *FOREST, *SMALL)
    cut_off(monkeypatch, 4200)
    assert program("--out", "o", "--resume").code == 130
    copytree("o", "p")
    assert program("--out", "o", "--resume").code == 0
    assert_same_run(Path("o"), uninterrupted)
    assert program("--out", "p", "--resume", "--set", "checkpoint.every=9", "--plot", "file").code == 0  # these may change
    assert Path("p/plot.png").is_file()


def test_without_checkpoint_a_run_begins_again(program: Program, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path) -> None:
    cut_off(monkeypatch, 1100)
    program("--out", "o", *FOREST, *SMALL)
    for name in ("checkpoint.npz", "metrics.json"):  # as a kill would have left it
        Path("o", name).unlink()
    outcome = program("--out", "o", "--resume")
    assert outcome.code == 0
    assert outcome.err.startswith("o: cut off before its first checkpoint; it begins again")
    assert_same_run(Path("o"), uninterrupted)


def test_a_run_with_a_model_is_resumed(program: Program, lstm_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--model", lstm_run[0], "--set", "synthetic.points=3000", *QUIET)
    program("--out", "whole", *arguments)
    cut_off(monkeypatch, 2100)
    assert program("--out", "o", *arguments).code == 130
    assert program("--out", "o", "--resume").code == 0
    assert_same_run(Path("o"), Path("whole"))


def test_what_cannot_be_resumed_stays(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("empty").mkdir()
    for folder in ("nowhere", "empty"):  # and nothing says what is to begin
        assert "holds no run to go on with" in program("--out", folder, "--resume").error
    assert not Path("nowhere").exists() and list(Path("empty").iterdir()) == []
    assert program("train", "--out", "model", *FOREST, *SMALL).code == 0
    assert "holds a model and no run" in program("--out", "model", "--resume", *FOREST, *SMALL).error
    cut_off(monkeypatch, 2100)
    program("--out", "o", *FOREST, *SMALL)
    before = {path.name: path.read_bytes() for path in Path("o").iterdir()}
    changed = program("--out", "o", "--resume", "--set", "threshold.budget=0.5").error
    assert "threshold.budget was 0.001 and is 0.5 now" in changed
    assert {path.name: path.read_bytes() for path in Path("o").iterdir()} == before
    checkpoint = Path("o/checkpoint.npz")
    checkpoint.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    assert "checkpoint.npz is damaged" in program("--out", "o", "--resume").error
    assert "begun without --model" in program("--out", "o", "--resume", "--model", "model").error


def test_a_changed_source_is_not_resumed(program: Program, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoencoder.sources.files import FileSource

    whole = FileSource.chunks

    def chunks(self: FileSource, start: int = 0) -> Iterator[Chunk]:
        first = next(iter(whole(self, start)))
        yield Chunk(first.time[:200], first.values[:200])
        raise KeyboardInterrupt

    monkeypatch.setattr(FileSource, "chunks", chunks)
    assert program("--source", "csv", "--path", table, "--out", "o", *FOREST).code == 130
    monkeypatch.setattr(FileSource, "chunks", whole)
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0], *lines[5:]]))
    assert "wave.csv: the 200 rows that are done have another time than they had" in program("--out", "o", "--resume").error
    table.write_text("".join(lines[:100]))
    assert "are not all there any more" in program("--out", "o", "--resume").error


def test_a_source_that_fails_later_keeps_rows(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoencoder.core.errors import SourceError
    from autoencoder.sources.files import FileSource

    write_csv(Path("x.csv"), wave(400), header="value")
    whole = FileSource.chunks

    def chunks(self: FileSource, start: int = 0) -> object:
        yield from whole(self, start)
        raise SourceError("the disk is gone; put it back")

    monkeypatch.setattr(FileSource, "chunks", chunks)
    outcome = program("--source", "csv", "--path", "x.csv", "--out", "o", *FOREST)
    assert (outcome.code, outcome.error) == (1, "the disk is gone; put it back")
    assert len(cli.rows(Path("o"))) == 400
    assert cli.metrics(Path("o"))["status"] == "failed: the disk is gone; put it back"
    monkeypatch.setattr(FileSource, "chunks", whole)
    assert program("--out", "o", "--resume").code == 0
    assert cli.metrics(Path("o"))["status"] == "done"


SMALL = ("--set", "checkpoint.every=300", "--set", "synthetic.points=6000", "--set", "training.points=1500")
