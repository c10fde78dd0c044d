"""The run loop: a run that dies anywhere and is resumed leaves the bytes of one that was left alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from autoencoder.detector import StreamDetector
from autoencoder.panel.panel import Panel
from autoencoder.panel.series import Series
from autoencoder.pipeline import Run
from autoencoder.reports.run_folder import CONFIG, RunFolder, read_checkpoint
from autoencoder.reports.scores_csv import ResultWriter
from autoencoder.reports.statistics import RunStatistics
from autoencoder.reports.tracker import IncidentTracker
from autoencoder.scorers import SCORERS
from autoencoder.sources.chunk import Chunk, Source
from autoencoder.thresholds import THRESHOLDS
from autoencoder.thresholds.budget import Budget

QUICK: dict[str, dict[str, Any]] = {
    "isolation_forest": {"window": 8, "n_estimators": 5, "max_samples": 32},
    "isolation_forest_sliding": {"window": 8, "n_estimators": 5, "max_samples": 32, "refit_window": 100, "refit_every": 50},
    "half_space_trees": {"n_trees": 5, "height": 4, "window_size": 64},
    "windowed_gaussian": {"window": 50},
}
POINTS, TRAINING = 320, 150
combinations = [(scorer, "tail") for scorer in sorted(QUICK)] + [("windowed_gaussian", kind) for kind in sorted(THRESHOLDS)]


class Cut(Source):
    """A source in chunks that end at these rows; it dies after so many of them."""

    name, columns, timezone, length = "wave", ("value",), None, None

    def __init__(self, ends: list[int], chunks: int | None = None) -> None:
        self._ends, self._chunks = sorted({*ends, POINTS}), chunks

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        rows = np.arange(POINTS)
        values = 10 + 3 * np.sin(rows / 4) + np.random.default_rng(3).normal(scale=0.3, size=POINTS) + 9.0 * (rows % 67 == 66)
        for number, (start, end) in enumerate(zip([0, *self._ends], self._ends, strict=False)):
            if number == self._chunks:
                raise _KilledError
            yield Chunk(rows[start:end], values[start:end, None])


class _KilledError(BaseException):
    pass


def start(source: Cut, folder: RunFolder, scorer: str, threshold: str) -> Run:
    """A run; it goes on with the checkpoint in its folder, if there is one."""

    def make(name: str | None, points: int | None) -> Series:
        detector = StreamDetector(
            SCORERS[scorer](**QUICK[scorer]),
            lambda share: THRESHOLDS[threshold](budget=share, window=64),
            Budget.parse(0.05),
            TRAINING,
        )
        return Series(name, detector, IncidentTracker(merge_gap=5), lambda _: (5, 5))

    panel, statistics = Panel(make, str), RunStatistics()
    panel.add(None)
    run = Run(source, panel, statistics, folder, "seed: 1\n", 40, warn=str)  # type: ignore[arg-type]
    checkpoint = read_checkpoint(folder.path) if (folder.path / CONFIG).exists() else None
    keep = run.resume(checkpoint, {}) if checkpoint else None
    run.results = ResultWriter(folder.path, ("value",), "", keep)
    run.sinks = [run.results, statistics]
    return run


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("scores.csv", "incidents.jsonl")}


def whole(folder: Path, scorer: str, threshold: str) -> dict[str, bytes]:
    run = start(Cut([100, 200]), RunFolder(folder), scorer, threshold)
    run.run()
    run.close()
    return files(folder)


@pytest.mark.parametrize(("scorer", "threshold"), combinations)
@settings(deadline=None, max_examples=4, derandomize=True, phases=[Phase.generate])
@given(
    before=st.lists(st.integers(1, POINTS - 1), min_size=1, max_size=12), after=st.lists(st.integers(1, POINTS)), data=st.data()
)
def test_a_resumed_run_leaves_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    scorer: str,
    threshold: str,
    before: list[int],
    after: list[int],
    data: st.DataObject,
) -> None:
    """However its source is cut into chunks before and after."""
    base = tmp_path_factory.mktemp("died")
    dies_after = data.draw(st.integers(0, len(set(before))))
    died = start(Cut(before, dies_after), RunFolder(base / "o"), scorer, threshold)
    died.folder.write(CONFIG, died.settings)
    with pytest.raises(_KilledError):
        died.run()
    died.folder.close()  # as the system does
    resumed = start(Cut(after), RunFolder(base / "o", resume=True), scorer, threshold)
    resumed.run()
    resumed.close()
    assert files(base / "o") == whole(base / "whole", scorer, threshold)
    shutil.rmtree(base)


def test_an_unwritable_checkpoint_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    run = start(Cut(list(range(10, POINTS, 10))), RunFolder(tmp_path / "o"), "windowed_gaussian", "tail")
    run.warn = said.append

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("autoencoder.reports.run_folder.write_whole", full)
        run.run()
    run.close()
    assert len(said) == 1 and "No space left" in said[0] and "the run goes on" in said[0]
    assert files(tmp_path / "o") == whole(tmp_path / "whole", "windowed_gaussian", "tail")
