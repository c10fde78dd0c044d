"""Stream of many series: the run loop over a file's rows. It is bounded and can be read again, so there are no checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np

from autoencoder.core.errors import TrainingError
from autoencoder.many.series import ManySeries, by_series, owners_of
from autoencoder.reports.run_folder import RunFolder
from autoencoder.reports.scores_csv import ResultWriter
from autoencoder.reports.sinks import Batch, Sink
from autoencoder.reports.statistics import RunStatistics
from autoencoder.scorers.base import Array, Progress
from data.files import FileSource


@dataclass(slots=True)
class ManyStream:
    """A run over many series under way.

    Attributes:
        source: gives the rows.
        many: its series.
        folder: of the run.
        results: takes rows and incidents; None once it is closed.
        sinks: what else writes the run down.
        tally: counts over all series.
        network: what there is to know of the network that the series share; empty where they share none.
    """

    source: FileSource
    many: ManySeries
    folder: RunFolder
    results: ResultWriter | None
    sinks: tuple[Sink, ...] = ()
    tally: RunStatistics = field(default_factory=RunStatistics)
    network: dict[str, object] = field(default_factory=dict)

    def train(self, progress: Progress) -> None:
        """Train what the series share.

        Raises:
            TrainingError: no series can be judged.
        """
        if any(one.training_points for one in self.many.judged):  # else a saved model is used
            self.network = self.many.share_network(self._training_parts(), progress)
        self._require_series()

    def run(self, unbroken: Callable[[], AbstractContextManager[None]], progress: Progress) -> None:
        """Score all rows; what runs inside ``unbroken`` is not torn apart by an interrupt.

        Raises:
            TrainingError: no series can be judged.
            RunError: the run folder cannot be written.
        """
        names = [one.name for one in self.many.series]
        for chunk in self.source.chunks():
            detections = self.many.judge(chunk)
            with unbroken():
                closed = self.many.track(chunk, detections)
                series = [names[place] for place in owners_of(chunk).tolist()]
                for sink in self._all_sinks():
                    sink.write(Batch(detections, closed, labels=chunk.labels, series=series))
            progress(self.tally.points, self.source.points or 0, f"{self.tally.incidents:,} incidents")
        self._require_series()

    def finish(self) -> None:
        """The stream is over: open incidents end here, and the files are closed; a second call does nothing.

        Raises:
            RunError: the run folder cannot be written.
        """
        if not self.results:
            return
        closed = self.many.finish()
        try:
            for sink in self._all_sinks():
                sink.close(closed, resumable=False)
        finally:
            self.results = None
            self.folder.close()

    def _all_sinks(self) -> tuple[Sink, ...]:
        assert self.results
        return (self.results, *self.sinks, self.tally)

    def counts(self) -> dict[str, object]:
        """Counts over all series; the budget is the mean of what each of their points was allowed."""
        judged = {name: one.judged for name, one in self.tally.series.items()}
        shares = [one.detector.share * judged[one.name] for one in self.many.judged if one.detector and judged.get(one.name)]
        return self.tally.counts(sum(shares) / self.tally.judged if self.tally.judged else float("nan"))

    def quality(self) -> dict[str, object] | None:
        """How good the run was after the training parts, over all series that were judged; None without labels."""
        return self.tally.quality({one.name: one.training_points for one in self.many.judged})

    def _training_parts(self) -> list[Array]:
        """The rows (N, F) of each series' training part."""
        parts: list[list[Array]] = [[np.empty((0, len(self.source.columns)))] for _ in self.many.series]
        waiting = [one.training_points for one in self.many.series]
        for chunk in self.source.chunks():
            for place, rows in by_series(chunk):
                parts[place].append(chunk.values[rows[: waiting[place]]])
                waiting[place] = max(0, waiting[place] - len(rows))
        return [np.concatenate(part) for part in parts]

    def _require_series(self) -> None:
        if self.many.judged:
            return
        one, count = self.many.series[0], len(self.many.series)
        none = f"series {one.name!r} cannot be judged" if count == 1 else f"none of {count:,} series can be judged; {one.name!r}"
        raise TrainingError(f"{self.source.name}: {none}: {one.left_out}")
