"""Stream of many series: the run loop over a file's rows. It is bounded and can be read again, so there are no checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import TrainingError
from autoencoder.core.types import Detections
from autoencoder.many.series import ManySeries, Rows, by_series, nothing_known, owners_of
from autoencoder.pipeline import Teller
from autoencoder.reports.incidents import Incident
from autoencoder.reports.rows import series_field
from autoencoder.reports.runs import RunFolder
from autoencoder.reports.tally import Tally, quality_of
from autoencoder.scorers.base import Array, Progress
from data.chunk import Chunk
from data.files import FileSource


@dataclass(slots=True)
class ManyStream:
    """A run over many series under way.

    Attributes:
        source: gives the rows.
        many: its series.
        folder: takes rows and incidents.
        tellers: who passes incidents on.
        tally: counts over all series.
        network: what there is to know of the network that the series share; empty where they share none.
    """

    source: FileSource
    many: ManySeries
    folder: RunFolder
    tellers: tuple[Teller, ...] = ()
    tally: Tally = field(default_factory=Tally)
    network: dict[str, object] = field(default_factory=dict)
    _owners: list[Rows] = field(default_factory=list)  # series of the rows so far, where labels come with them

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
        fields = [series_field(one.name) for one in self.many.series]
        for chunk in self.source.chunks():
            detections = self.many.judge(chunk)
            with unbroken():
                ended = self.many.track(chunk, detections)
                self._publish(detections, ended, [fields[place] for place in owners_of(chunk).tolist()], chunk.labels)
                if chunk.labels is not None:
                    self._owners.append(owners_of(chunk))
            progress(self.tally.points, self.source.length or 0, f"{self.tally.incidents:,} incidents")
        self._require_series()

    def finish(self) -> None:
        """The stream is over: open incidents end here, and the files are closed; a second call does nothing.

        Raises:
            RunError: the run folder cannot be written.
        """
        if not self.folder.is_open:
            return
        ended = self.many.finish()
        try:
            self._publish(nothing_known(_no_rows(len(self.source.columns))), ended, [], None)
            for teller in self.tellers:
                teller.finish((), cut_off=False)
        finally:
            self.folder.close()

    def counts(self) -> dict[str, object]:
        """Counts over all series; the budget is the mean of what each of their points was allowed."""
        shares = [one.detector.share * one.judged for one in self.many.judged if one.detector and one.judged]
        return self.tally.counts(sum(shares) / self.tally.judged if self.tally.judged else float("nan"))

    def quality(self) -> dict[str, object] | None:
        """How good the run was after the training parts, over all series that were judged; None without labels."""
        if self.tally.labels is None:
            return None
        owners = np.concatenate(self._owners)  # (N,)
        order = np.argsort(owners, kind="stable")  # series by series
        owners = owners[order]
        ends = np.searchsorted(owners, np.arange(len(self.many.series)), side="right")
        begins = np.searchsorted(owners, np.arange(len(self.many.series)))
        kept, spans, first = [], [], 0
        for one, begin, end in zip(self.many.series, begins.tolist(), ends.tolist(), strict=True):
            if one.detector and begin + one.training_points < end:
                kept.append(order[begin + one.training_points : end])
                offset = first - one.training_points
                spans += [(first_row + offset, last_row + 1 + offset) for first_row, last_row in one.spans]
                first += len(kept[-1])
        rows = np.concatenate(kept) if kept else np.empty(0, np.int64)
        return quality_of(self.tally.labels[rows], self.tally.flags[rows], spans)

    def labels_of(self, place: int) -> npt.NDArray[np.bool_] | None:
        """(N,) what is known of the points of one series so far, None where nothing is."""
        return None if self.tally.labels is None else self.tally.labels[np.concatenate(self._owners) == place]

    def _publish(
        self, detections: Detections, ended: list[Incident], fields: Sequence[str], labels: npt.NDArray[np.bool_] | None
    ) -> None:
        self.folder.append(detections, ended, series=fields)
        for teller in self.tellers:
            teller.take(ended, None)
        self.tally.take(detections, ended, labels)

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


def _no_rows(features: int) -> Chunk:
    return Chunk(np.empty(0, np.int64), np.empty((0, features)))
