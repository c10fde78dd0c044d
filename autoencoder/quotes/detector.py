"""PriceDetector: a StreamDetector of returns that tells everything in prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Detections, Time, unknown
from autoencoder.detector import StreamDetector
from autoencoder.quotes.moves import FlaggedMoves
from autoencoder.quotes.returns import Moves, Returns, stretch
from autoencoder.reports.incidents import Incident
from autoencoder.sources.chunk import ASIDE

MERGE_BARS = 5  # of an incident, where nothing else is asked for: a window after a jump is no part of it


class PriceDetector(StreamDetector):
    """Judges F prices by their returns, see ``Returns``; values and predictions of its detections are prices.

    No slots are filled, as closed time is no gap.

    Args:
        args: those of ``StreamDetector``.
        aside: columns behind the prices: as many as ``ASIDE`` lists, or none.
        label: see ``FlaggedMoves``.
    """

    judges_prices = True

    def __init__(self, *args: Any, aside: int = 0, label: str = "") -> None:
        super().__init__(*args, fills_gaps=False)
        self.aside = aside  # columns behind the prices
        self._flagged = FlaggedMoves(label)
        self._returns: Returns  # from the training part on

    @property
    def usual_gap(self) -> int:
        """See ``Detector.usual_gap``."""
        return MERGE_BARS

    def process(self, time: Time, values: Array) -> Detections:
        """Prices (N,), (N, F + A) -> their detections."""
        found = super().process(time, values)
        width = values.shape[1] - self.aside
        cut = {name: getattr(found, name)[:, :width] for name in ("values", "predictions")}
        return replace(found, **cut, contributions=found.contributions[:, : width if width > 1 else 0])

    def view(self, time: Time, values: Array) -> Array:
        """See ``Detector.view``."""
        return Returns(values.shape[1] - self.aside).fit(time, values)

    def moves_again(self, time: Time, values: Array) -> Moves:
        """How prices (N,), (N, F + A) moved from the first on, for a picture of them; NaN where unknown."""
        return self._returns.clone().process(time, values)

    def described(self, incident: Incident) -> Incident:
        """See ``Detector.described``."""
        return self._flagged.described(incident)

    def _begin(self, time: Time, values: Array) -> Array:
        self._returns = Returns(values.shape[1] - self.aside)
        self._flagged.skip(len(values))
        return self._returns.fit(time, values)

    def _score(self, time: Time, values: Array) -> Detections:
        if len(time) and self.position.is_at_start and not self.position.can_go_on(time):
            self._returns.reset()
        moves = self._returns.process(time, values)
        found = super()._score(time, moves.seen)
        volume = values[:, ASIDE.index("volume") - len(ASIDE)] if self.aside else None
        self._flagged.process(found.anomalies, moves, volume)
        expected = np.exp(moves.usual + stretch(found.predictions) * moves.scale)
        predictions = np.concatenate([expected, unknown(len(values), self.aside)], axis=1)
        shares = found.contributions
        if self.aside:  # as those of the training part
            shares = np.concatenate([shares, unknown(len(values), values.shape[1] - shares.shape[1])], axis=1)
        return replace(found, values=values, predictions=predictions, contributions=shares)

    def clone(self) -> PriceDetector:
        """See ``StreamDetector.clone``."""
        other = super().clone()
        assert isinstance(other, PriceDetector)
        other._returns, other._flagged = self._returns.clone(), FlaggedMoves(self._flagged.label)
        return other

    def load_model(self, state: State, files: Mapping[str, bytes], *, goes_on: bool = True) -> None:
        """See ``StreamDetector.load_model``."""
        super().load_model(state, files, goes_on=goes_on)
        self._load_returns(Reader(state, "the detector"))
        if not goes_on:
            self._returns.reset()

    def state(self) -> State:
        """See ``Detector.state``."""
        state = super().state()
        return {**state, "returns": self._returns.state(), "flagged": self._flagged.state()} if self.trained else state

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """See ``Detector.load``."""
        super().load(state, files)
        if self.trained:
            saved = Reader(state, "the detector")
            self._load_returns(saved)
            self._flagged.load(saved.state("flagged"))

    def _load_returns(self, saved: Reader) -> None:
        self._returns = Returns(self._features)
        self._returns.load(saved.state("returns"))
