"""ModelStart: how a series begins that goes on where a saved model stood, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import Reader, State, Stateful, boolean
from autoencoder.core.types import Array, Time
from autoencoder.detector import StreamDetector
from autoencoder.profile import LEAST_POINTS, StreamProfile
from autoencoder.reports.incidents import time_text
from autoencoder.training_part import TrainingPart


@dataclass(eq=False)
class ModelStart(Stateful):
    """The beginning of a series that uses a saved model.

    The first row says whether it follows those that the model has seen; some rows more are compared with what it was trained on. The
    sentences do not depend on how the stream is cut into chunks.
    """

    name = "the start"
    STATE: ClassVar = {
        "has_begun": boolean("has_begun"),
        "is_cold": boolean("is_cold"),
        "is_compared": boolean("is_compared"),
    }

    profile: Callable[[], StreamProfile | None] | None  # gives that of the model's training part; None: nothing is to be compared
    columns: Sequence[str]  # names of the F columns

    def __post_init__(self) -> None:
        self.has_begun = False
        self.is_cold = False  # the rows begin before the end of what the model has seen, so that its window filled anew
        self.is_compared = self.profile is None
        self.notes: list[str] = []  # what is to be told, a sentence each
        self._first = TrainingPart()  # the first rows, until there are enough to compare

    def update(self, detector: StreamDetector, time: Time, values: Array) -> list[str]:
        """The next rows (N,), (N, F) come, before the detector has seen them -> sentences that are new."""
        told = len(self.notes)
        if not self.has_begun and len(time):
            self.has_begun = True
            if not detector.position.can_go_on(time):
                self.is_cold = True
                seen, first = (time_text(moment)[0] for moment in (detector.position.newest, time[:1]))
                self.notes.append(f"begins at {first}, and the model has seen all up to {seen}: the window fills anew")
        if not self.is_compared:
            room = self._model.points - len(self._first)
            self._first.add(time[:room], values[:room])
            if len(values) >= room:
                self._compare()
        return self.notes[told:]

    def finish(self) -> list[str]:
        """No more rows come: they are compared as far as they go -> sentences that are new."""
        told = len(self.notes)
        if not self.is_compared and len(self._first):
            self._compare()
        return self.notes[told:]

    @property
    def _model(self) -> StreamProfile:
        profile = self.profile and self.profile()
        assert profile
        return profile

    def _compare(self) -> None:
        time, values = self._first.joined()
        counts = np.count_nonzero(~np.isnan(values), axis=0)  # (F,) of known values
        known = int(counts.min(initial=len(values), where=counts > 0))
        if counts.any() and known >= LEAST_POINTS:
            self.notes += self._model.unlike(StreamProfile.of(time, values), self.columns, known)
        self.is_compared, self._first = True, TrainingPart()

    def state(self) -> State:
        """See ``Stateful``."""
        return {**super().state(), **self._first.state(), "notes": json.dumps(self.notes)}

    def _complete(self, saved: Reader) -> None:
        self._first = TrainingPart.load(saved)
        if len(self._first) and self._first.values[0].shape[1] != len(self.columns):
            raise saved.fault("values", f"is not of {len(self.columns)} columns")
        self.is_compared = self.is_compared or self.profile is None
        try:
            self.notes = [str(note) for note in json.loads(saved.text("notes"))]
        except (ValueError, TypeError, RecursionError):
            raise ModelFileError("the checkpoint is damaged (what was told of the model); run anew without --resume") from None
