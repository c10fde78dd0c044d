"""Sessions: closed days are no gap, half days end early, and a bar of today is none before it is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from helpers.yahoo_server import EXCHANGE, Bar, YahooServer, daily_bar, minute_bar

from autoencoder.sources.chunk import ASIDE, Chunk
from autoencoder.sources.sessions import CALENDARS, Sessions
from autoencoder.sources.several import MARKET, MarketSource
from autoencoder.sources.yahoo import INTERVALS, YahooSource, check_request, complete_bars
from autoencoder.sources.yahoo_client import COLUMNS, Prices

THANKSGIVING = date(2012, 11, 22)  # closed; the day after ends at 13:00
NEW_YORK = Sessions("XNYS", date(2012, 10, 1), date(2012, 12, 31))


def test_every_calendar_exists() -> None:
    import exchange_calendars

    assert set(CALENDARS.values()) <= set(exchange_calendars.get_calendar_names(include_aliases=False))
    assert Sessions.of("CCC", THANKSGIVING) is None  # coins trade always


def test_a_time_beyond_the_calendar_is_of_no_session() -> None:
    times = np.array(["2012-11-23T15:00", "2012-11-26T15:00", "2014-11-26T15:00", "1999-11-26T15:00"], "datetime64[ns]")
    one, next_one, *others = NEW_YORK.numbers(times)
    assert next_one == one + 3 and others == [-1.0, -1.0]


def test_sessions_without_a_bar_are_those_that_were_open() -> None:
    days = np.array(["2012-10-26", "2012-11-01", "2012-11-21", "2012-11-26"], "datetime64[D]")
    missing = NEW_YORK.without_bar(days).astype(str).tolist()
    assert missing[:2] == ["2012-10-31", "2012-11-02"]  # the storm closed the exchange on the 29th and the 30th
    assert "2012-11-22" not in missing and missing[-1] == "2012-11-23"


@pytest.mark.parametrize(
    ("begin", "interval", "over", "zone", "sessions"),
    [
        *(
            (begin, interval, over, EXCHANGE.key, NEW_YORK)
            for begin, interval, over in (
                ("2012-11-23", "1d", "2012-11-23T18:00"),  # a half day
                ("2012-11-26", "1d", "2012-11-26T21:00"),
                ("2012-11-23T17:30", "1h", "2012-11-23T18:00"),
                ("2012-11-26T18:30", "4h", "2012-11-26T21:00"),
                ("2012-11-26T15:00", "5m", "2012-11-26T15:05"),
                ("2012-11-19", "1wk", "2012-11-26T05:00"),
            )
        ),
        ("2013-03-01T14:30", "90m", "2013-03-01T16:00", "Asia/Tokyo", None),
        ("2013-03-01T14:30", "1h", "2013-03-01T15:30", "Asia/Tokyo", None),
        ("2013-03-01", "1d", "2013-03-01T15:00", "Asia/Tokyo", None),  # an exchange's day ends at its own midnight
        ("2013-02-25", "1wk", "2013-03-04", "UTC", None),
        ("2012-02-01", "1mo", "2012-03-01", "UTC", None),
        ("2012-11-15", "3mo", "2013-02-01", "UTC", None),
    ],
)
def test_a_bar_is_over_with_its_interval_or_session(
    begin: str, interval: str, over: str, zone: str, sessions: Sessions | None
) -> None:
    bars = Chunk(np.array(["2000-01-01", begin], "datetime64[ns]"), np.ones((2, len(COLUMNS))))
    end = datetime.fromisoformat(over).replace(tzinfo=UTC)
    prices, request = Prices(bars, zone, end), check_request("AAPL", "5y", None, None, interval, True)
    counts = [len(complete_bars(prices, request, now, sessions)) for now in (end - timedelta(seconds=1), end)]
    assert counts == [1, 2]


def source(server: YahooServer, folder: Any, ticker: str = "AAPL", **options: Any) -> YahooSource:
    return YahooSource(ticker, session=server.session(), cache=folder, cache_ttl=0.0, **options)


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_works_with_the_real_client(interval: str, tmp_path: Any) -> None:
    opening = datetime(2013, 2, 25, 9, 30, tzinfo=EXCHANGE)
    step = np.timedelta64(15, "m") if interval == "30m" else INTERVALS[interval]  # yfinance makes those of 15 minutes into 30
    with YahooServer() as server:
        if interval[-1] in "mh":
            count = min(8, int(np.timedelta64(390, "m") / step) + 1)
            begins = [
                opening + timedelta(days=day, seconds=n * int(step / np.timedelta64(1, "s")))
                for day in (0, 1)
                for n in range(count)
            ]
            server.series["AAPL"] = [minute_bar(begin, 10.0 + place) for place, begin in enumerate(begins)]
            found = source(server, tmp_path, interval=interval, period="5d", aside=True)
        else:
            months = np.datetime_data(step.dtype)[0] == "M"
            first = np.datetime64("2012-01", "M") if months else np.datetime64("2012-01-02", "D")
            days = [(first + n * step).astype("datetime64[D]").item() for n in range(4)]
            server.series["AAPL"] = [daily_bar(day, 10.0 + place) for place, day in enumerate(days)]
            found = source(server, tmp_path, interval=interval, aside=True)
        bars = next(found.chunks())
    expected = len(server.series["AAPL"]) // (2 if interval == "30m" else 1)
    assert found.length == len(bars) == expected
    assert (np.diff(bars.time) > np.timedelta64(0)).all()
    assert bars.aside is not None
    sessions = bars.aside[:, ASIDE.index("session")]
    assert len(np.unique(sessions)) == (2 if interval[-1] in "mh" else 1)


def test_missing_sessions_are_told_and_a_forming_bar_is_left_out(tmp_path: Any) -> None:
    said: list[str] = []
    with YahooServer() as server:
        days = [date(2013, 2, 11), date(2013, 2, 13), date(2013, 2, 15), date(2013, 2, 19)]  # the 18th is a holiday
        today = datetime.now(EXCHANGE).date()
        server.series["AAPL"] = [daily_bar(day, 10.0) for day in days]
        assert source(server, tmp_path, warn=said.append).length == 4
        server.series["AAPL"] = [daily_bar(date(2024, 7, 1), 9.0), daily_bar(today + timedelta(days=1), 10.0)]
        assert source(server, tmp_path, period="max").length == 1
    assert said[0] == "AAPL: Yahoo has no bar for 2 sessions of XNYS, the first 2013-02-12"


def of_days(prices: list[float], first: date = date(2013, 2, 11)) -> list[Bar]:
    return [daily_bar(first + timedelta(days=day), price) for day, price in enumerate(prices)]


def test_several_tickers_share_a_market(tmp_path: Any) -> None:
    with YahooServer() as server:
        server.series = {
            "A": of_days([10.0, 11.0, 12.1]),
            "B": of_days([50.0, 55.0, 60.5]),
            "C": of_days([7.0, 3.5], date(2013, 2, 12)),
        }
        tickers = [source(server, tmp_path, ticker, aside=True) for ticker in "ABC"]
        market = MarketSource(tickers)
        whole = Chunk.concatenate(list(market.chunks()))
        assert list(market.series) == ["A", "B", "C", MARKET] and market.length == len(whole) == 11
        names = [market.series[place] for place in whole.series.tolist()] if whole.series is not None else []
        assert names == ["A", "B", MARKET, "A", "B", "C", MARKET, "A", "B", "C", MARKET]
        rises = [float(value) for value, name in zip(whole.values[:, 0], names, strict=True) if name == MARKET]
        np.testing.assert_allclose(rises, [100.0, 110.0, 121.0])
        assert whole.aside is not None
        np.testing.assert_allclose(whole.aside[[3, 4, 5], ASIDE.index("market")], 1.1)  # the very bar's
        assert len(Chunk.concatenate(list(market.chunks(4)))) == 7
        assert MARKET not in MarketSource(tickers[:2]).series
