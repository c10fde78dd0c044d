"""The picture of prices: the band holds what was expected, labels say when and how much, closed time takes no room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.sessions import minute_bars
from quotes.walks import DAYS, walk

from autoencoder.config import load
from autoencoder.factory.detectors import make_detector
from autoencoder.quotes.detector import PriceDetector
from autoencoder.reports.incidents import Incident
from autoencoder.reports.panels import save
from autoencoder.reports.price_plot import PriceMoves, draw

OUTPUT = Path(__file__).parents[1] / "output"


def moves_of(time: np.ndarray, prices: np.ndarray, training: int) -> tuple:
    detector = make_detector(load(None, {"input.transform": "prices", "detector": "windowed_gaussian"}), training)
    assert isinstance(detector, PriceDetector)
    found = detector.process(time, prices[:, None])
    moves = detector.moves_again(time, prices[:, None])
    volume = np.full(len(prices), 2e6)
    return found, PriceMoves(moves.own[:, 0], moves.own[:, 0] / moves.scale[:, 0], moves.scale[:, 0], volume)


def incident_at(row: int, change: float, move: str) -> Incident:
    return Incident(1, "", "", "", (1.0,), (1.0,), 0.5, 1, row, row, True, move=move, change=change)


def test_prices_returns_and_volume_share_the_days() -> None:
    prices = walk(900, 2)
    prices[600:] /= 7
    found, moves = moves_of(DAYS[:900], prices, 300)
    assert found.anomalies[600]
    incidents = [incident_at(600, prices[600] / prices[599] - 1, "looks like a 7:1 split")]
    figure = draw(found, moves, title="A", training_points=300, incidents=incidents)
    top, returns, volume = figure.axes
    assert [each.get_ylabel() for each in figure.axes] == ["price", "return", "volume"]
    assert top.get_yscale() == "log"
    texts = [each.get_text() for each in returns.texts if each.get_text()]
    day = str(DAYS[600])[:10]
    assert len(texts) == 1 and texts[0].startswith(f"{day} \N{MINUS SIGN}8") and texts[0].endswith(" % (looks like a 7:1 split)")
    assert volume.get_ylim()[1] >= 2e6
    OUTPUT.mkdir(exist_ok=True)
    save(figure, OUTPUT / "prices.png")
    assert (OUTPUT / "prices.png").stat().st_size > 20_000


def test_closed_time_takes_no_room_and_times_are_local() -> None:
    bars = minute_bars(sessions=4, seed=1, faults=0)
    found, moves = moves_of(bars.time, bars.price, 780)
    figure = draw(found, moves, title="B", training_points=780, timezone="America/New_York")
    low, high = figure.axes[0].get_xlim()
    assert high - low < 1.05 * len(bars.price)
    labels = [each.get_text() for each in figure.axes[-1].get_xticklabels()]
    assert "2024-01-08\n09:30" in labels


def test_nothing_known_is_drawn_too() -> None:
    found, moves = moves_of(DAYS[:310], walk(310, 1), 300)
    draw(found[:5], PriceMoves(*(part[:5] for part in (moves.returns, moves.deviations, moves.scale)), None), title="C")
    draw(found[:0], PriceMoves(*(part[:0] for part in (moves.returns, moves.deviations, moves.scale)), None), title="D")
