"""Returns in volatilities: even where volatility clusters, the same in any pieces, and exact after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.sessions import minute_bars

from autoencoder.core.state import pack, unpack
from autoencoder.quotes.returns import CLIPPED, EARLY, FAR, MAD_TO_STD, MEMORY, Returns, squash, stretch
from quotes.walks import DAYS, walk


def naive(prices: list[float]) -> list[float]:
    """Daily returns over the volatility before each, by the definition."""
    variance, early, seen = float("nan"), [], []
    for before, price in zip([float("nan"), *prices], prices, strict=False):
        change = np.log(price / before)
        seen.append(change / np.sqrt(variance))
        if np.isnan(variance):
            early += [abs(change)] if change == change else []
            if len(early) == EARLY:
                variance = (MAD_TO_STD * np.median(early)) ** 2 + 1e-18
        elif change != 0:
            variance = MEMORY * variance + (1 - MEMORY) * min(change**2, FAR**2 * variance) / CLIPPED
    return seen


def test_daily_returns_equal_the_definition() -> None:
    prices = walk(400, 1, clusters=True)
    returns = Returns(1)
    returns.fit(DAYS[:100], prices[:100, None])
    seen = returns.process(DAYS[100:400], prices[100:, None]).seen[:, 0]
    np.testing.assert_allclose(seen, squash(np.array(naive(prices.tolist())))[100:], rtol=1e-9)


def test_volatility_that_clusters_is_evened_out() -> None:
    def clustering(series: np.ndarray) -> float:
        sizes = np.minimum(np.abs(series), np.quantile(np.abs(series), 0.99))
        return float(np.mean([np.corrcoef(sizes[lag:], sizes[:-lag])[0, 1] for lag in range(1, 11)]))

    prices = walk(3000, 5, clusters=True)
    returns = Returns(1)
    returns.fit(DAYS[:500], prices[:500, None])
    seen = returns.process(DAYS[500:], prices[500:, None]).seen[:, 0]
    assert clustering(np.diff(np.log(prices[499:]))) > 0.15 > 0.05 > clustering(seen)
    assert seen.std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("sizes", [(1,), (7, 1, 300)])
def test_pieces_and_restarts_change_nothing(sizes: tuple[int, ...]) -> None:
    bars = minute_bars(sessions=4, seed=2)
    prices = bars.price[:, None].copy()
    prices[1000:1003] = np.nan
    returns = Returns(1)
    returns.fit(bars.time[:800], prices[:800])
    whole = returns.clone()
    whole.load(returns.state())
    expected = whole.process(bars.time[800:], prices[800:])
    first, parts = 800, []
    while first < len(prices):
        last = first + sizes[first % len(sizes)]
        parts.append(returns.process(bars.time[first:last], prices[first:last]))
        again = Returns(1)
        again.load(unpack(pack(returns.state()), "x"))
        returns, first = again, last
    for name in ("seen", "usual", "scale", "own", "market"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(expected, name))


def test_a_day_has_a_profile_and_a_night_a_volatility_of_its_own() -> None:
    bars = minute_bars(sessions=20, seed=3, faults=0)
    returns = Returns(1)
    returns.fit(bars.time[:1950], bars.price[:1950, None])
    moves = returns.process(bars.time[1950:], bars.price[1950:, None])
    minute = bars.minute[1950:]
    spread = {
        name: float(np.median(np.abs(moves.seen[rows, 0])))
        for name, rows in (
            ("night", minute == 0),
            ("opening", (minute > 0) & (minute < 6)),
            ("midday", (minute > 150) & (minute < 250)),
        )
    }
    assert all(0.4 < value < 1.0 for value in spread.values()), spread
    assert np.median(moves.scale[minute == 0]) > 4 * np.median(moves.scale[minute == 200])


def test_a_longer_way_within_a_session_may_lead_further() -> None:
    bars = minute_bars(sessions=3, seed=1, faults=0)
    kept = np.ones(len(bars.price), bool)
    kept[1001:1004] = False
    scale = []
    for rows in (np.arange(1005), np.flatnonzero(kept[:1005])):
        returns = Returns(1)
        returns.fit(bars.time[:800], bars.price[:800, None])
        scale.append(returns.process(bars.time[rows[800:]], bars.price[rows[800:], None]).scale[-1, 0])
    assert scale[1] == pytest.approx(2 * scale[0], rel=0.15)  # four minutes


def test_the_market_is_taken_out() -> None:
    market, own = walk(300, 1), walk(300, 2)
    aside = np.column_stack([np.full(300, 1e6), market / market[0], np.full(300, -1.0)])
    returns, alone = Returns(1), Returns(1)
    together = np.column_stack([own * market, aside])
    np.testing.assert_allclose(returns.fit(DAYS[:200], together[:200]), alone.fit(DAYS[:200], own[:200, None]), atol=1e-9)
    moves = returns.process(DAYS[200:300], together[200:])
    np.testing.assert_allclose(moves.seen, alone.process(DAYS[200:300], own[200:, None]).seen, atol=1e-9)
    np.testing.assert_allclose(moves.market, np.diff(np.log(market))[199:], atol=1e-12)


def test_what_is_squashed_can_be_stretched() -> None:
    deviations = np.array([-50.0, -3.0, -0.2, 0.0, 2.9, 3.1, 8.0])
    np.testing.assert_allclose(stretch(squash(deviations)), deviations, rtol=1e-12)
    assert (np.diff(squash(deviations)) > 0).all()


def test_a_price_that_stands_still_loses_no_volatility() -> None:
    prices = np.concatenate([walk(100, 1), np.full(500, 90.0)])[:, None]
    returns = Returns(1)
    returns.fit(DAYS[:100], prices[:100])
    scale = returns.process(DAYS[100:600], prices[100:]).scale
    assert scale[-1] == scale[2] > 0
