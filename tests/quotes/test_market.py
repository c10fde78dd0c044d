"""Several tickers: what all do is the market's, what one does is its own, and both are said, whatever the pieces."""

from __future__ import annotations

import numpy as np

from autoencoder.config import load
from autoencoder.factory.runs import make_panel
from autoencoder.reports.incidents import Incident
from autoencoder.sources.chunk import Chunk, Source, ignore
from autoencoder.sources.several import MarketSource
from quotes.walks import DAYS, walk

FELL, OWN = 700, 800  # days


class Ticker(Source):
    """Prices that are at hand."""

    columns, timezone = ("Close",), None

    def __init__(self, name: str, prices: np.ndarray) -> None:
        self.name, self.length = name, len(prices)
        aside = np.column_stack([np.full(len(prices), 1e6), np.ones(len(prices)), np.full(len(prices), -1.0)])
        self._chunk = Chunk(DAYS[: len(prices)], prices[:, None], aside=aside)

    def chunks(self, start: int = 0):
        yield self._chunk[start:]


def tickers() -> list[Ticker]:
    common, made = walk(1000, 50), []
    common[FELL:] *= 0.85
    for number in range(5):
        prices = common * (walk(1000, number) / 100) ** 0.7
        if number == 2:
            prices[OWN:] *= 0.85
        made.append(Ticker(f"T{number}", prices))
    return made


def incidents(size: int) -> list[Incident]:
    source = MarketSource(tickers())
    settings = {"source": "yfinance", "yfinance.ticker": ["A", "B", "C"], "detector": "windowed_gaussian", "training.points": 400}
    panel, closed = make_panel(load(None, settings), source, None, ignore), []
    for chunk in source.chunks():
        for part in chunk.split(size):
            closed += panel.process(part, source.series).closed
    return [*closed, *panel.finish()]


def test_a_move_is_the_market_s_or_a_ticker_s_own() -> None:
    found = incidents(1000)
    fell, own = ([each for each in found if each.start.startswith(str(DAYS[day])[:10])] for day in (FELL, OWN))
    assert [(each.series, each.move) for each in fell] == [("market", "market move")]
    assert fell[0].change is not None and -0.2 < fell[0].change < -0.1
    assert [(each.series, each.move) for each in own] == [("T2", "own move")]
    assert own[0].market_change is not None and abs(own[0].market_change) < 0.08 < -(own[0].change or 0)


def test_pieces_change_no_incident() -> None:
    assert [each.to_json() for each in incidents(7)] == [each.to_json() for each in incidents(6000)]
