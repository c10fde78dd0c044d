"""Moves: what the return at the peak of an incident looks like, a data fault or a move of the market or of one's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from autoencoder.core.state import Stateful, array, integer
from autoencoder.core.types import Array, Bools
from autoencoder.quotes.returns import Moves
from autoencoder.reports.incidents import Incident
from autoencoder.sources.several import MARKET as MARKET_SERIES

RATIOS = ((2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (15, 1), (20, 1), (25, 1), (50, 1), (100, 1), (3, 2))
SPLIT_WIDTH = 2.5  # volatilities by which the return of a split's day may differ from its ratio
MAX_SPLIT_WIDTH = 0.06  # and most of a log return
BACK = 0.2  # share of a move that may be left where the next bar takes a bad tick back
TICK = 5.0  # least volatilities of a bad tick
FIRST = 0.7  # of an incident's largest move: the first as large is told, as a bad tick comes before its way back
MOST = 256  # flagged rows that are remembered
ROW, OWN, MARKET, SCALE, VOLUME, NEXT = range(6)  # what is remembered of them


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
