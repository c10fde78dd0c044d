"""PriceDetector: a StreamDetector of returns that tells everything in prices, and what kind of move is at the peak of an incident."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from autoencoder.core.state import Reader, State, Stateful, array, integer
from autoencoder.core.types import Array, Bools, Detections, Time, unknown
from autoencoder.detector import Detector, StreamDetector
from autoencoder.quotes.returns import Moves, Returns, stretch
from autoencoder.reports.incidents import Incident
from autoencoder.sources.chunk import ASIDE
from autoencoder.sources.several import MARKET as MARKET_SERIES

MERGE_BARS = 5  # of an incident, where nothing else is asked for: a window after a jump is no part of it
RATIOS = ((2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (15, 1), (20, 1), (25, 1), (50, 1), (100, 1), (3, 2))
SPLIT_WIDTH = 2.5  # volatilities by which the return of a split's day may differ from its ratio
MAX_SPLIT_WIDTH = 0.06  # and most of a log return
BACK = 0.2  # share of a move that may be left where the next bar takes a bad tick back
TICK = 5.0  # least volatilities of a bad tick
FIRST = 0.7  # of an incident's largest move: the first as large is told, as a bad tick comes before its way back
MOST = 256  # flagged rows that are remembered
ROW, OWN, MARKET, SCALE, VOLUME, NEXT = range(6)  # what is remembered of them


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

    def begin(self, time: Time, values: Array) -> Callable[[], Detections]:
        """See ``Detector.begin``."""
        return Detector.begin(self, time, values)

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


class FlaggedMoves(Stateful):
    """The newest flagged rows of a series, and what their returns were like.

    Args:
        label: what a move is called that is no fault: "market", "own"; empty where nothing is known of a market.
    """

    name = "the flagged moves"
    STATE: ClassVar = {
        "_flagged": array("flagged", (None, 6), finite=False),
        "_row": integer("row"),
    }

    def __init__(self, label: str = "") -> None:
        self.label = label
        self._flagged = np.empty((0, 6))
        self._row = 0

    def skip(self, rows: int) -> None:
        """So many rows were not judged."""
        self._row += rows

    def process(self, flags: Bools, moves: Moves, volume: Array | None) -> None:
        """Take in the next rows: flags (N,), moves of which the first price counts, volume (N,) where it is known."""
        own, known = moves.own[:, 0], np.flatnonzero(~np.isnan(moves.own[:, 0]))
        if len(self._flagged) and math.isnan(self._flagged[-1, NEXT]) and len(known):
            self._flagged[-1, NEXT] = own[known[0]]
        rows = np.flatnonzero(flags)
        if len(rows):
            after = np.append(known, -1)[np.searchsorted(known, rows, side="right")]
            facts = np.column_stack(
                [
                    rows + self._row,
                    own[rows],
                    moves.market[rows],
                    moves.scale[rows, 0],
                    np.full(len(rows), np.nan) if volume is None else volume[rows],
                    np.where(after < 0, np.nan, own[after]),
                ]
            )
            self._flagged = np.concatenate([self._flagged, facts])[-MOST:]
        self._row += len(flags)

    def described(self, incident: Incident) -> Incident:
        """An incident with its largest move and how much the price changed with it; as it is, where its rows are forgotten."""
        rows = self._flagged[:, ROW]
        inside = self._flagged[(rows >= incident.first_row) & (rows <= incident.last_row)]
        if not len(inside):
            return incident
        sizes = np.abs(inside[:, OWN]) / inside[:, SCALE]
        worst = inside[np.argmax(sizes >= FIRST * sizes.max())]
        change, market_change = (round(math.expm1(each), 6) for each in (worst[OWN] + worst[MARKET], worst[MARKET]))
        move = kind_of(worst, self.label)
        return replace(incident, move=move, change=change, market_change=market_change if market_change else None)


def kind_of(fact: Sequence[float] | Array, label: str = "") -> str:
    """What a flagged move is.

    A bad tick and a price without trades are faults of the data, a split is one of an unadjusted series; a market has none of them.

    >>> kind_of([0, -1.946, 0.0, 0.02, 5e6, 0.01]), kind_of([0, 0.3, 0.0, 0.02, 5e6, -0.29], "own")
    ('looks like a 7:1 split', 'bad tick')
    >>> kind_of([0, -0.18, -0.01, 0.02, 5e6, 0.01], "own"), kind_of([0, 0.0, 0.0, 0.02, 0.0, 0.0])
    ('own move', 'stale price')
    """
    _, own, market, scale, volume, following = (float(each) for each in fact)
    total = own + market
    if label == MARKET_SERIES:
        return f"{label} move"
    if own == 0.0:
        return "stale price"
    if abs(own + following) <= BACK * abs(own) and abs(own) >= TICK * scale:
        return "bad tick"
    if volume == 0.0:
        return "price without trades"
    for large, small in RATIOS:
        for sign, text in ((-1, f"{large}:{small}"), (1, f"{small}:{large}")):
            if abs(total - sign * math.log(large / small)) <= min(SPLIT_WIDTH * scale, MAX_SPLIT_WIDTH):
                return f"looks like a {text} split"
    return f"{label} move".strip()
