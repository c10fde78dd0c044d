"""PriceDetector: judged by returns, told in prices, in any pieces and across restarts; incidents say what a move looks like."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from helpers.sessions import minute_bars

from autoencoder.config import load
from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Detections
from autoencoder.factory.detectors import make_detector
from autoencoder.quotes.detector import PriceDetector, kind_of
from autoencoder.reports.incidents import Incident
from autoencoder.sources.chunk import ASIDE
from quotes.walks import DAYS, walk

GAUSSIAN = {"input.transform": "prices", "detector": "windowed_gaussian"}


def detector(points: int, **settings: Any) -> PriceDetector:
    made = make_detector(load(None, GAUSSIAN | settings), points)
    assert isinstance(made, PriceDetector)
    return made


def assert_equal(one: Detections, other: Detections) -> None:
    for field in fields(Detections):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def rows_of(first: int, last: int) -> Incident:
    return Incident(1, "", "", "", (1.0,), (1.0,), 0.5, 1, first, last, True)


def test_a_fall_is_flagged_and_told_in_prices() -> None:
    for seed in range(4):
        prices = walk(1260, seed, clusters=seed % 2 == 1)
        prices[900:] *= 0.85
        judge = detector(315)
        found = judge.process(DAYS[:1260], prices[:, None])
        assert found.anomalies[900] and found.anomalies.sum() - 1 <= 0.02 * 945
        np.testing.assert_array_equal(found.values, prices[:, None])
        np.testing.assert_allclose(found.predictions[316:, 0], prices[315:-1], rtol=0.02)  # the day before, about
        told = judge.described(rows_of(900, 900))
        assert told.move == "move" and told.change == pytest.approx(prices[900] / prices[899] - 1, abs=1e-6)


def test_pieces_restarts_and_models_change_nothing() -> None:
    prices = walk(700, 3)[:, None]
    prices[500:] *= 0.8
    prices[510] = np.nan
    whole = detector(300).process(DAYS[:700], prices)
    parts, judge = [], detector(300)
    for first in (0, 150, 299, 301, 400, 499, 500, 501, 640):
        last = next((each for each in (150, 299, 301, 400, 499, 500, 501, 640) if each > first), 700)
        parts.append(judge.process(DAYS[first:last], prices[first:last]))
        state, trained = unpack(pack(judge.state()), "x"), judge.trained
        judge = detector(300)
        if first == 501 and trained:
            judge.load_model(state, {})  # a saved model goes on where it stood, too
            judge.position.is_at_start = False
        else:
            judge.load(state, {})
    assert_equal(Detections.concatenate(parts), whole)


def test_a_model_of_values_is_none_of_prices() -> None:
    prices = walk(400, 1)[:, None]
    values = make_detector(load(None, {"detector": "windowed_gaussian"}), 300)
    values.process(DAYS[:400], prices)
    with pytest.raises(ModelFileError, match=r"trained on values, and this run judges prices; add --set input\.transform=none"):
        detector(300).load_model(values.state(), {})
    judge = detector(300)
    judge.process(DAYS[:400], prices)
    with pytest.raises(ModelFileError, match=r"trained on prices, and this run judges values; add --set input\.transform=prices"):
        values.load_model(judge.state(), {})


@pytest.mark.parametrize(
    ("change", "following", "volume", "label", "move"),
    [
        (-np.log(7) + 0.01, 0.004, 1e6, "", "looks like a 7:1 split"),
        (np.log(10) - 0.01, 0.004, 1e6, "own", "looks like a 1:10 split"),
        (-np.log(1.5), 0.0, np.nan, "", "looks like a 3:2 split"),
        (-np.log(2), np.log(2) - 0.01, 1e6, "", "bad tick"),
        (0.2, np.nan, 0.0, "", "price without trades"),
        (0.0, 0.0, 0.0, "", "stale price"),
        (-0.18, -0.01, 1e6, "own", "own move"),
        (-0.09, 0.09, np.nan, "market", "market move"),
    ],
)
def test_a_move_is_named(change: float, following: float, volume: float, label: str, move: str) -> None:
    assert kind_of([0, change, 0.0, 0.015, volume, following], label) == move


def test_a_bad_tick_is_told_before_its_way_back_whatever_the_pieces() -> None:
    prices = walk(500, 4)[:, None]
    prices[450] *= 1.3
    for cut in (450, 451, 452):
        judge = detector(300)
        judge.process(DAYS[:cut], prices[:cut])
        judge.process(DAYS[cut:500], prices[cut:])
        told = judge.described(rows_of(450, 451))
        assert (told.move, told.change) == ("bad tick", pytest.approx(prices[450, 0] / prices[449, 0] - 1, abs=1e-6))


def test_volume_is_beside_the_price() -> None:
    prices = walk(500, 4)
    prices[450:] *= 1.3
    aside = np.column_stack([np.where(np.arange(500) == 450, 0.0, 1e6), np.ones(500), np.full(500, -1.0)])
    assert aside.shape[1] == len(ASIDE)
    judge = make_detector(load(None, GAUSSIAN | {"source": "yfinance"}), 300, series="X")
    found = judge.process(DAYS[:500], np.column_stack([prices, aside]))
    assert found.values.shape == (500, 1)
    assert judge.described(rows_of(450, 450)).move == "price without trades"


def test_minutes_are_judged_by_their_time_of_day() -> None:
    for seed in range(3):
        bars = minute_bars(seed=seed)
        found = detector(1950).process(bars.time, bars.price[:, None])
        early = found.anomalies & (bars.minute < 5)
        assert found.anomalies[list(bars.planted)].all()
        assert early.sum() <= 0.1 * found.anomalies.sum()
        assert found.anomalies[1950:].mean() < 0.006
