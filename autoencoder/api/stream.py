"""Stream: what a detector of the public API has seen so far, as a panel of one series."""

from __future__ import annotations

import copy
import re
import sys
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from autoencoder.api.detections import Detections
from autoencoder.api.points import Points
from autoencoder.config import Config
from autoencoder.console import quiet_libraries
from autoencoder.core import types
from autoencoder.core.errors import AutoencoderError, ModelFileError
from autoencoder.core.extras import require
from autoencoder.core.state import Reader, State
from autoencoder.factory.detectors import training_points
from autoencoder.factory.runs import make_panel
from autoencoder.models import SavedModel
from autoencoder.reports.incidents import Incident, read_incidents
from autoencoder.sources.chunk import Chunk, HandedOver

VERSION = 3  # of the saved state; raised when its meaning changes
MIN_WHOLE_SERIES = 200  # points of a first chunk that is taken for the whole series
_FLAGS = re.compile(r", or --resume to go on with the run in it| with --column|--out |--(?=[a-z])")


class Stream:
    """A stream that begins with ``points``, which are not processed yet.

    The first ``training`` of them train, and no baseline is needed until then; None: as the configuration says.
    """

    def __init__(self, config: Config, model: SavedModel | None, points: Points, training: int | None = None) -> None:
        self.closed: list[Incident] = []  # the incidents that are over
        self.newest: Points | None = None  # the newest point
        self._config = config
        self._is_ordered = True
        self._libraries = ThreadpoolController()
        if training is None:
            is_whole = config.training.points is None and len(points.time) >= MIN_WHOLE_SERIES
            training = training_points(config, len(points.time) if is_whole else None, points.time)
        else:
            config = config.model_copy(update={"adaptation": config.adaptation.model_copy(update={"cold_start_points": None})})
        config = config.model_copy(update={"training": config.training.model_copy(update={"points": training})})
        # at hand, however many there will be
        source = HandedOver(points.name, points.columns, points.timezone, length=sys.maxsize)
        with without_flags():
            self.panel = make_panel(config, source, model, warnings.warn)
        weakref.finalize(self.panel, self.panel[None].detector.stop)

    @property
    def rows(self) -> int:
        """Points so far."""
        return self.panel[None].tracker.row

    @property
    def incidents(self) -> list[Incident]:
        """All incidents so far, in order; the one that goes on is the last."""
        return [*self.closed, *self.panel.open]

    def process(self, points: Points) -> Detections:
        """Judge the next points."""
        detector, first, count = self.panel[None].detector.current, self.rows, len(points.time)
        untrained = 0 if detector.trained else min(detector.training_points - len(detector.training), count)
        has_network = self._config.detector == "lstm_autoencoder"
        self._check_order(points)
        if untrained and has_network:
            require("tensorflow", "onnx", purpose="training", otherwise=", or use a saved model")
        with quiet_libraries() if untrained and has_network else nullcontext(), self._libraries.limit(limits=1, user_api="blas"):
            batch = self.panel.process(Chunk(points.time, points.values))
        self.closed += batch.closed
        if count:
            self.newest = replace(points, time=points.time[-1:], values=points.values[-1:], index=None)
        arrays: dict[str, Any] = {field.name: getattr(batch.detections, field.name) for field in fields(types.Detections)}
        return Detections(
            **arrays,
            index=points.index,
            columns=points.columns,
            timezone=points.timezone,
            name=points.name,
            first_row=first,
            training_points=untrained,
            incidents=(*batch.closed, *batch.open),
        )

    def judge(self, points: Points, *, anew: bool = False) -> types.Detections:
        """Judge points as if they came next, or once more as if the stream began with them; nothing is remembered of them."""
        one = self.panel[None].detector.current
        with self._libraries.limit(limits=1, user_api="blas"):
            return (one.clone() if anew else copy.deepcopy(one)).process(points.time, points.values)

    def _check_order(self, points: Points) -> None:
        """Warn once of times that do not ascend; points are judged in the order in which they come, as on the command line."""
        known = points.time if self.newest is None else np.concatenate([self.newest.time, points.time])
        late = (np.diff(known.view(np.int64)) <= 0).nonzero()[0]
        if len(late) and self._is_ordered:
            self._is_ordered = False
            before, time = known[late[0] : late[0] + 2]
            warnings.warn(
                f"time {time} is not after {before}; points are judged in the order in which they come; "
                "sort them, e.g. with sort_index(), and leave out the second one of two at the same time",
                stacklevel=5,  # the caller of the detector's method
            )

    def state(self) -> State:
        """All that is remembered, but for the network's files; at least one point has come."""
        assert self.newest
        incidents = "\n".join(incident.to_json() for incident in self.closed)
        return {
            "version": VERSION,
            "last_time": self.newest.time.view(np.int64).copy(),
            "is_dated": self.newest.time.dtype.kind == "M",
            "timezone": self.newest.timezone or "",
            "columns": {str(place): name for place, name in enumerate(self.newest.columns)},
            "is_named": self.newest.is_named,
            "incidents": np.frombuffer(incidents.encode(), np.int8),
            **self.panel.state(),
        }

    @staticmethod
    def restore(config: Config, state: State, files: dict[str, bytes], path: object) -> Stream:
        """The stream whose ``state`` was saved; ``path`` is the file that errors speak of."""
        saved = Reader(state, "the saved detector")
        if saved.integer("version") != VERSION:
            raise ModelFileError(f"{path} has version {state['version']}, this package reads {VERSION}; train and save again")
        time: Any = saved.integers("last_time", (1,))
        columns = tuple(map(str, saved.state("columns").values()))
        newest = Points(
            time.view("datetime64[ns]") if saved.boolean("is_dated") else time,
            np.full((1, len(columns)), np.nan),
            columns,
            saved.boolean("is_named"),
            saved.text("timezone") or None,
        )
        stream = Stream(config, None, newest, saved.integer("training_points"))
        stream.newest = newest
        incidents = saved.integers("incidents", (None,)).astype(np.int8).tobytes()
        stream.closed = read_incidents(incidents.decode(errors="replace"))
        stream.panel.load(state, files)
        return stream


@contextmanager
def without_flags() -> Iterator[None]:
    """Errors inside speak of arguments, not of the flags of the command line."""
    try:
        yield
    except AutoencoderError as error:
        raise type(error)(_FLAGS.sub("", str(error))) from None
