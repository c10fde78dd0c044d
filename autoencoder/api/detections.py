"""Detections that know the points they are of: as a pandas table, as a plot, and measured by labels."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autoencoder.core import types
from autoencoder.core.errors import InputError
from autoencoder.core.extras import require
from autoencoder.core.types import Bools
from autoencoder.reports.incidents import Incident

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Detections(types.Detections):
    """What a detector says of N points, one row a point; NaN where something is not known.

    The arrays are the columns of scores.csv: ``time``, ``errors``, ``thresholds``, ``scores``, ``anomalies`` (N,), ``values`` and
    ``predictions`` (N, F).
    """

    index: Any  # (N,) the caller's pandas index, or the times where there is none
    columns: tuple[str, ...]  # names of the F values
    timezone: str | None  # of the times; None where they carry none
    name: str  # of the series
    first_row: int  # row of the first point in the stream, from 0
    training_points: int  # how many of the points, at the start, trained
    incidents: tuple[Incident, ...]  # those that ended or went on among these points, in order

    def __getitem__(self, rows: slice) -> Detections:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError(f"the step is {step}; consecutive rows are one slice, e.g. [100:200]")
        first, last = self.first_row + start, self.first_row + stop - 1
        cut: dict[str, Any] = {field.name: getattr(self, field.name)[rows] for field in fields(types.Detections)}
        return replace(
            self,
            **cut,
            index=self.index[rows],
            first_row=first,
            training_points=max(0, min(self.training_points, stop) - start),
            incidents=tuple(each for each in self.incidents if each.first_row <= last and each.last_row >= first),
        )

    def to_frame(self) -> pd.DataFrame:
        """The columns of scores.csv as a pandas table, by ``index``."""
        require("pandas", purpose="to_frame")
        import pandas as pd

        from autoencoder.reports.scores_csv import header

        _, *names = header(self.columns)
        return pd.DataFrame(dict(zip(names, (*self.numbers, self.anomalies.astype(np.int64)), strict=True)), self.index)

    def plot(self, *, title: str | None = None, labels: Any = None) -> Figure:
        """Draw what was seen and expected, the error and its moving threshold, as plot.png of a run shows them.

        The title is the series' name where none is given; labels (N,) are True inside a known anomaly.
        """
        require("matplotlib", purpose="plot")
        from autoencoder.reports.plot import draw

        return draw(
            self,
            title=title or self.name,
            columns=self.columns,
            training_points=self.training_points,
            labels=None if labels is None else self._labels(labels),
            timezone=self.timezone,
            spans=self._spans(0),
        )

    def evaluate(self, labels: Any) -> dict[str, Any]:
        """How well known anomalies, where labels (N,) are True, were found after the training part, as in metrics.json."""
        from autoencoder.reports.evaluation import quality_of

        trained = self.training_points
        spans = [(first, last + 1) for first, last in self._spans(trained)]
        return quality_of(self._labels(labels)[trained:], self.anomalies[trained:], spans)

    def _labels(self, labels: Any) -> Bools:
        known = np.asarray(labels)
        if known.shape != (len(self),):
            raise InputError(f"found labels of shape {known.shape}; there must be one for each of the {len(self):,} points")
        return known.astype(bool)

    def _spans(self, start: int) -> list[tuple[int, int]]:
        """First and last row of each incident, counted from row ``start`` of these."""
        zero, end = self.first_row + start, len(self) - 1 - start
        rows = [(each.first_row - zero, each.last_row - zero) for each in self.incidents]
        return [(max(first, 0), min(last, end)) for first, last in rows if last >= 0]
