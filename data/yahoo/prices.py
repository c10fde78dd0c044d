"""What is asked of Yahoo and what comes back, as plain values: the request, checked, and the prices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import SequenceMatcher
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from data.series import InputError

COLUMNS = ("Open", "High", "Low", "Close", "Volume")
PERIODS = ("1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max")
# interval -> how long a bar lasts, as https://ranaroussi.github.io/yfinance lists them for Ticker.history
INTERVALS: dict[str, np.timedelta64] = {
    "1m": np.timedelta64(1, "m"),
    "2m": np.timedelta64(2, "m"),
    "5m": np.timedelta64(5, "m"),
    "15m": np.timedelta64(15, "m"),
    "30m": np.timedelta64(30, "m"),
    "60m": np.timedelta64(60, "m"),
    "90m": np.timedelta64(90, "m"),
    "1h": np.timedelta64(1, "h"),
    "1d": np.timedelta64(1, "D"),
    "5d": np.timedelta64(5, "D"),
    "1wk": np.timedelta64(7, "D"),
    "1mo": np.timedelta64(1, "M"),
    "3mo": np.timedelta64(3, "M"),
}
# AAPL, ^GSPC, BRK-B, EURUSD=X, ES=F, 0700.HK, M&M.NS: neither a path nor a query can be smuggled into the address by one of these
_TICKER = re.compile(r"\^?[A-Z0-9]+([.&_=-][A-Z0-9]+)*")
_LONGEST_TICKER = 32


@dataclass(frozen=True, slots=True)
class PriceRequest:
    """What is asked of Yahoo; equal requests share a cache entry.

    Attributes:
        ticker: Yahoo's symbol in capitals.
        interval: one of ``INTERVALS``.
        period: one of ``PERIODS``, counted back from ``end`` or from now; None where ``start`` says it.
        start: first day, as YYYY-MM-DD.
        end: the day after the last one, as YYYY-MM-DD; None: up to now.
        adjusted: prices are adjusted for splits and dividends.
    """

    ticker: str
    interval: str
    period: str | None
    start: str | None
    end: str | None
    adjusted: bool


@dataclass(frozen=True, slots=True)
class Prices:
    """Bars in order of time.

    Attributes:
        time: (N,) datetime64[ns] of each bar's begin: in UTC for intraday bars, else the exchange's calendar date.
        values: (N, 5) float64, the columns of ``COLUMNS``; NaN where Yahoo has none.
        timezone: IANA name of the exchange's zone, e.g. "America/New_York".
        fetched: when they were downloaded, aware, in UTC.
    """

    time: npt.NDArray[np.datetime64]
    values: npt.NDArray[np.float64]
    timezone: str
    fetched: datetime

    def __len__(self) -> int:
        return len(self.time)

    def first(self, count: int) -> Prices:
        """The first ``count`` bars."""
        return Prices(self.time[:count], self.values[:count], self.timezone, self.fetched)

    def after(self, newest: np.datetime64) -> Prices:
        """The bars that begin later than ``newest``."""
        later = self.time > newest  # (N,)
        return Prices(self.time[later], self.values[later], self.timezone, self.fetched)


def check_request(
    ticker: str, *, period: str, start: date | str | None, end: date | str | None, interval: str, adjusted: bool
) -> PriceRequest:
    """Turn what a user gave into a request.

    ``start`` takes the place of ``period``; with ``end`` alone the period ends there.

    Raises:
        InputError: the ticker, the period, a date or the interval is not one that Yahoo knows, or start is not before end.
    """
    symbol = ticker.strip().upper()
    if len(symbol) > _LONGEST_TICKER or not _TICKER.fullmatch(symbol):
        raise InputError(f"ticker is {ticker!r}; it must be a Yahoo symbol such as AAPL, BRK-B, ^GSPC or EURUSD=X")
    _check_known("interval", interval, INTERVALS)
    _check_known("period", period, PERIODS)
    first, stop = _check_day("start", start), _check_day("end", end)
    if first and stop and first >= stop:
        raise InputError(f"start is {first} and end is {stop}; start must be before end, the day after the last one")
    if first and first > datetime.now(ZoneInfo("Pacific/Kiritimati")).date():  # where a day begins first
        raise InputError(f"start is {first}, a day to come; prices are known up to today")
    if period == "ytd" and stop and not first:
        raise InputError("period is 'ytd' and end is given; give start too, or a period of a known length such as 1y")
    return PriceRequest(
        ticker=symbol,
        interval=interval,
        period=None if first else period,
        start=first.isoformat() if first else None,
        end=stop.isoformat() if stop else None,
        adjusted=adjusted,
    )


def check_columns(column: str | Sequence[str]) -> tuple[str, ...]:
    """The names of ``COLUMNS`` that are meant by ``column``, in the order given; case does not matter.

    >>> check_columns(["close", "Volume"])
    ('Close', 'Volume')

    Raises:
        InputError: none is named, one is unknown or one is named twice.
    """
    given = [column] if isinstance(column, str) else list(column)
    known = {name.lower(): name for name in COLUMNS}
    for name in given:
        if name.lower() not in known:
            _check_known("column", name, COLUMNS)
    names = tuple(known[name.lower()] for name in given)
    if not names or len(set(names)) < len(names):
        raise InputError(f"column is {list(given)!r}; it must name one or more of {', '.join(COLUMNS)}, each once")
    return names


def is_intraday(interval: str) -> bool:
    """Whether a bar of ``interval`` is a part of a day."""
    return np.datetime_data(INTERVALS[interval].dtype)[0] in {"m", "h"}


def bar_end(begin: np.datetime64, interval: str) -> np.datetime64:
    """When the bar that begins at ``begin`` is over, on the same clock.

    A bar of months ends with a calendar month, whatever day it begins on.

    >>> str(bar_end(np.datetime64("2012-01-31", "ns"), "1mo"))[:10]
    '2012-02-01'
    """
    length = INTERVALS[interval]
    if np.datetime_data(length.dtype)[0] == "M":
        begin = begin.astype("datetime64[M]")
    end: np.datetime64 = (begin + length).astype("datetime64[ns]")
    return end


def complete_bars(prices: Prices, interval: str, now: datetime) -> Prices:
    """The bars that change no more: all but the last one, and the last one too once its interval is over.

    Args:
        prices: bars in order of time.
        interval: how long each of them lasts.
        now: the present moment, aware.
    """
    if not len(prices):
        return prices
    clock = now.astimezone(UTC if is_intraday(interval) else ZoneInfo(prices.timezone))
    over = bar_end(prices.time[-1], interval) <= np.datetime64(clock.replace(tzinfo=None), "ns")
    return prices if over else prices.first(len(prices) - 1)


def exchange_day(begin: np.datetime64, interval: str, timezone: str) -> date:
    """The exchange's calendar date on which the bar at ``begin`` begins."""
    moment: datetime = begin.astype("datetime64[us]").item()
    if is_intraday(interval):
        moment = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone))
    return moment.date()


def _check_known(setting: str, given: str, known: Iterable[str]) -> None:
    names = list(known)
    if given not in names:
        nearest = max(names, key=lambda name: SequenceMatcher(None, given.lower(), name.lower()).ratio())
        raise InputError(f"{setting} is {given!r}; did you mean {nearest!r}? It must be one of {', '.join(names)}")


def _check_day(setting: str, given: date | str | None) -> date | None:
    if given is None or isinstance(given, date):
        return given.date() if isinstance(given, datetime) else given
    try:
        return datetime.strptime(given, "%Y-%m-%d").date()
    except ValueError:
        raise InputError(f"{setting} is {given!r}; it must be a day written as YYYY-MM-DD, e.g. 2020-01-31") from None
