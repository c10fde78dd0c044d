"""scores.csv as the memory of a server: what is rescued at a start, and what is found again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from autoencoder.core.errors import ResumeError
from autoencoder.core.types import Detections
from autoencoder.reports.run_folder import REPLAY, SCORES, RunFolder
from autoencoder.reports.scores_csv import ResultWriter, header
from autoencoder.reports.sinks import Batch
from autoencoder.serve import journal

NAMES = ["plain", 'a, "b"', "=1+1\x1b", "\ud800", "back\\x41slash", "x"]  # as a client may name them
HEADER = header(("value",), of_many=True)


def write(folder: Path, count: int, start: int = 0, keep: int | None = None) -> int:
    """Rows ``start`` to ``count`` in scores.csv, each of the next name; the size of the file."""
    rows = np.arange(start, count)
    time = (rows * 10**9 + 7).view("datetime64[ns]")
    writer = ResultWriter(folder, ("value",), "Z", None if keep is None else (keep, 0), of_many=True)
    detections = Detections.unknown(time, rows[:, None] / 3)
    writer.write(Batch(detections, series=[NAMES[row % len(NAMES)] for row in rows]))
    writer.close()
    return (folder / SCORES).stat().st_size


def rescued(path: Path, rows: int, kept: int | None) -> list[float]:
    """The values that are rescued; the names and times must be those of the rows."""
    with closing(RunFolder(path, resume=True)) as folder:
        found = journal.rescue(folder, HEADER, rows, kept)
    if not found:
        return []
    places = np.rint(found[1].values[:, 0] * 3).astype(int)
    assert found[0] == [NAMES[place % len(NAMES)] for place in places]
    assert journal.nanoseconds(found[1]).tolist() == [place * 10**9 + 7 for place in places]
    return [int(place) for place in places]


def test_all_behind_the_checkpoint_is_rescued(tmp_path: Path) -> None:
    assert rescued(tmp_path, 0, None) == []
    size = write(tmp_path, 20)
    assert rescued(tmp_path, 20, size) == []
    assert not (tmp_path / REPLAY).exists()
    assert rescued(tmp_path, 0, None) == list(range(20))
    write(tmp_path, 30, 20, size)
    with (tmp_path / SCORES).open("a") as file:
        file.write("2024-01-01T00:00:00Z,1.0,,,")  # a kill tore it
    assert rescued(tmp_path, 20, size) == list(range(20, 30))


def test_a_kill_while_they_are_judged_again_loses_none(tmp_path: Path) -> None:
    size = write(tmp_path, 20)
    write(tmp_path, 50, 20, size)
    assert rescued(tmp_path, 20, size) == list(range(20, 50))
    further = write(tmp_path, 35, 20, size)  # as far as it came
    assert rescued(tmp_path, 20, size) == list(range(20, 50))
    assert rescued(tmp_path, 35, further) == list(range(35, 50))  # with a checkpoint on the way
    write(tmp_path, 60, 35, further)  # all again, and new ones
    assert rescued(tmp_path, 35, further) == list(range(35, 60))
    size = write(tmp_path, 70, 35, further)
    assert rescued(tmp_path, 70, size) == []
    assert not (tmp_path / REPLAY).exists()


def test_damaged_rows_are_refused(tmp_path: Path) -> None:
    size = write(tmp_path, 20)
    with (tmp_path / SCORES).open("a") as file:
        file.write("no row\n")
    with pytest.raises(ResumeError, match="the rows behind the checkpoint"):
        rescued(tmp_path, 20, size)


@pytest.mark.parametrize("block", [64, 1 << 18])
def test_rows_are_found_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(journal, "BLOCK", block)
    write(tmp_path, 60)
    lines = (tmp_path / SCORES).read_bytes().split(b"\n")
    assert [*journal.newest_first(tmp_path)] == lines[-2:0:-1]
    for place, name in enumerate(NAMES):
        found = journal.newest_of(tmp_path, HEADER, name, 3, anomalies=False)
        assert np.rint(found.values[:, 0] * 3).tolist() == [place + 42, place + 48, place + 54]
        assert len(journal.newest_of(tmp_path, HEADER, name, 3, anomalies=True)) == 0
    wanted = [(name, second * 10**9 + 7) for place, name in enumerate(NAMES) for second in (place, place + 54, place + 1)]
    found_again = journal.find(tmp_path, HEADER, wanted)
    assert {key: round(one.values[0, 0] * 3) for key, one in found_again.items()} == {
        (name, (place + more) * 10**9 + 7): place + more for place, name in enumerate(NAMES) for more in (0, 54)
    }
