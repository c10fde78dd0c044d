"""Prices from Yahoo Finance through yfinance: within a timeout, kept on disk, and followed as new bars come."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from autoencoder.core.errors import InputError, SourceError
from autoencoder.sources import yahoo_client
from autoencoder.sources.chunk import Chunk, Source, Warn, ignore, skip_rows
from autoencoder.sources.sessions import Sessions
from autoencoder.sources.yahoo_client import COLUMNS, PriceRequest, Prices

PERIODS = ("1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max")
INTERVALS: dict[str, np.timedelta64] = {  # name -> length of a bar, as yfinance lists them for Ticker.history
    **{f"{count}m": np.timedelta64(count, "m") for count in (1, 2, 5, 15, 30, 60, 90)},
    **{"1h": np.timedelta64(60, "m"), "4h": np.timedelta64(240, "m")},
    **{name: np.timedelta64(days, "D") for name, days in (("1d", 1), ("5d", 5), ("1wk", 7))},
    **{"1mo": np.timedelta64(1, "M"), "3mo": np.timedelta64(3, "M")},
}

# AAPL, ^GSPC, BRK-B, EURUSD=X, ES=F, 0700.HK, M&M.NS: neither a path nor a query can be smuggled into the address by one of these
_TICKER = re.compile(r"(?=.{1,32}$)\^?[A-Z0-9]+([.&_=-][A-Z0-9]+)*")


@dataclass(eq=False)
class YahooSource(Source):
    """A ticker's prices; they are fetched when the source is made.

    A bar that is still forming is none yet. Bars of a day and longer carry the exchange's calendar date and no time zone, so that they
    equal the dates of a csv file; shorter bars carry UTC, and ``timezone`` names the exchange's zone. Where adjusted prices are followed
    over a split or a dividend, bars that come after it are adjusted to it and those yielded before it are not.

    Raises:
        InputError: an argument cannot be used; nothing was asked of the network.
        SourceError: the ticker is unknown, has no prices for that time, or Yahoo cannot be reached and nothing is cached.
    """

    mutable = True

    ticker: str  # Yahoo's symbol: AAPL, BRK-B, ^GSPC, EURUSD=X
    _: KW_ONLY
    period: str = "5y"  # how far back, one of ``PERIODS``; from ``end`` or from now, and not used where ``start`` is given
    start: str | None = None  # first day, YYYY-MM-DD
    end: str | None = None  # the day after the last one; None: up to now
    interval: str = "1d"  # length of a bar, one of ``INTERVALS``
    column: str | Sequence[str] = "Close"  # one or several of ``COLUMNS``; case does not matter
    adjusted: bool = True  # for splits and dividends
    timeout: float = 20.0  # longest wait for a download, in seconds
    cache: Path | str | None = None  # folder for downloads; None: ``lstm-autoencoder/yahoo`` in the user's cache folder
    cache_ttl: float = 3600.0  # seconds that a download serves before it is repeated; any will do where Yahoo is out of reach
    aside: bool = False  # give what ``ASIDE`` lists beside the values
    follow: bool = False  # after the history go on with new bars as they are completed
    poll_seconds: float = 60.0  # wait between two polls for new bars
    chunk_size: int = 1024  # most points in a chunk
    warn: Warn = ignore  # told, in a sentence each, where cached prices are used, or where following meets a failure
    session: object | None = None  # of curl_cffi; tests replace it, and the two below: the waiting and the present moment (aware)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._request = check_request(self.ticker, self.period, self.start, self.end, self.interval, self.adjusted)
        self.name = self._request.ticker
        if self.follow and self.end is not None:
            raise InputError(f"{self.name}: end is {self.end} and follow is on; leave out one of them")
        self.columns = _check_columns(self.column)
        self._folder = yahoo_client.default_folder() if self.cache is None else Path(self.cache)
        self._history = self._load()
        bars = self._history.bars
        self._sessions = Sessions.of(self._history.exchange, bars.time[0].astype("datetime64[D]").item())
        self._complete = complete_bars(self._history, self._request, self._history.fetched, self._sessions)
        self.length = None if self.follow else len(self._complete)
        self.timezone = self._history.timezone if self._request.is_intraday else None
        self._tell_of_missing()

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the history and, where following, each new bar once it is complete; a failure while following ends nothing."""
        positions = [COLUMNS.index(name) for name in self.columns]
        for bars in skip_rows(self._follow() if self.follow else iter((self._complete,)), start):
            aside = None
            if self.aside:
                calendar = self._sessions if self._request.is_intraday else None
                sessions = calendar.numbers(bars.time) if calendar else np.full(len(bars), -1.0)
                aside = np.column_stack([bars.values[:, COLUMNS.index("Volume")], np.ones(len(bars)), sessions])  # see ``ASIDE``
            chunk = Chunk(bars.time, bars.values[:, positions], aside=aside)  # (N, 5) -> (N, F)
            yield from chunk.split(self.chunk_size) if len(chunk) else [Chunk.nothing(len(positions))]

    def _tell_of_missing(self) -> None:
        """Say which sessions have no bar; closed days are no gap."""
        if self.interval == "1d" and self._sessions and len(self._complete):
            missing = self._sessions.without_bar(self._complete.time.astype("datetime64[D]"))
            if len(missing):
                days = f"{len(missing):,} session{'s' * (len(missing) > 1)} of {self._sessions.code}"
                self.warn(f"{self.name}: Yahoo has no bar for {days}, the first {missing[0]}")

    def _load(self) -> Prices:
        """The prices, from the cache while it is fresh or while Yahoo is out of reach."""
        cached = yahoo_client.load_prices(self._folder, self._request)
        kept = f"using prices cached {cached.fetched:%Y-%m-%d %H:%M} UTC" if cached else ""
        # an age below 0 is a clock that was set back: then nothing is known about the age
        if cached and 0 <= (self.clock() - cached.fetched).total_seconds() < self.cache_ttl:
            self.warn(f"{self.name}: {kept}, which is less than {self.cache_ttl:g} s ago")
            return cached
        try:
            prices = self._download(self._request)
        except yahoo_client.YahooUnreachable as error:
            if cached is None:
                raise
            self.warn(f"{self.name}: {error.reason}; {kept}")
            return cached
        try:
            yahoo_client.save_prices(self._folder, self._request, prices)
        except OSError as error:
            self.warn(f"{self.name}: the prices could not be kept in {self._folder} ({error.strerror}); the run goes on")
        return prices

    def _download(self, request: PriceRequest) -> Prices:
        return yahoo_client.download(request, timeout=self.timeout, folder=self._folder / "yfinance", session=self.session)

    def _follow(self) -> Iterator[Chunk]:
        """Yield the complete bars of the history, then poll for those after them."""
        bars, request = complete_bars(self._history, self._request, self.clock(), self._sessions), self._request
        newest: np.datetime64 | None = None
        failing = False
        while True:
            yield bars
            if len(bars):
                newest = bars.time[-1]
                # from the exchange's day of the newest bar on: so no bar is lost, however long a failure lasts.
                begin: datetime = newest.astype("datetime64[us]").item().replace(tzinfo=UTC)
                day = begin.astimezone(ZoneInfo(self._history.timezone)) if request.is_intraday else begin
                request = replace(request, period=None, start=day.date().isoformat())
            self.sleep(self.poll_seconds)
            try:
                bars = complete_bars(self._download(request), request, self.clock(), self._sessions)
                failing = False
            except (InputError, SourceError) as error:
                if not failing:
                    self.warn(f"{error}; trying again every {self.poll_seconds:g} s")
                bars, failing = bars[:0], True
            if newest is not None:
                bars = bars[int(np.searchsorted(bars.time, newest, side="right")) :]


def check_request(ticker: str, period: str, start: str | None, end: str | None, interval: str, adjusted: bool) -> PriceRequest:
    """Turn what a user gave into a request; ``start`` takes the place of ``period``, which else reaches back from ``end``.

    Raises:
        InputError: the ticker, the period, a date or the interval is not one that Yahoo knows, or start is not before end.
    """
    symbol = ticker.strip().upper()
    if not _TICKER.fullmatch(symbol):
        raise InputError(f"ticker is {ticker!r}; it must be a Yahoo symbol such as AAPL, BRK-B, ^GSPC or EURUSD=X")
    _check_known("interval", interval, tuple(INTERVALS))
    _check_known("period", period, PERIODS)
    first, stop = _check_day("start", start), _check_day("end", end)
    if first and stop and first >= stop:
        raise InputError(f"start is {first} and end is {stop}; start must be before end, the day after the last one")
    if first and first > datetime.now(ZoneInfo("Pacific/Kiritimati")).date().isoformat():  # where a day begins first
        raise InputError(f"start is {first}, a day to come; prices are known up to today")
    if period == "ytd" and stop and not first:
        raise InputError("period is 'ytd' and end is given; give start too, or a period of a known length such as 1y")
    return PriceRequest(symbol, interval, None if first else period, first, stop, adjusted)


def complete_bars(prices: Prices, request: PriceRequest, now: datetime, sessions: Sessions | None = None) -> Chunk:
    """The bars that change no more: all but the last one, and that one too once its interval or its session is over; ``now`` is aware."""
    bars, length = prices.bars, INTERVALS[request.interval]
    newest = bars.time[-1:].astype("datetime64[D]" if request.interval == "1d" else "datetime64[ns]")
    if sessions and len(bars) and (request.is_intraday or request.interval == "1d"):
        close = sessions.close_after(newest[0])
        if close is not None and close <= np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "ns"):
            return bars
    clock = now.astimezone(UTC if request.is_intraday else ZoneInfo(prices.timezone)).replace(tzinfo=None)
    begin = bars.time[-1:].astype(f"datetime64[{np.datetime_data(length.dtype)[0]}]")  # a bar of months ends with a month
    return bars if (begin + length <= np.datetime64(clock, "ns")).any() else bars[:-1]


def _check_columns(column: str | Sequence[str]) -> tuple[str, ...]:
    """The names of ``COLUMNS`` that are meant, in the order given."""
    given = [column] if isinstance(column, str) else list(column)
    for text in given:
        if text.capitalize() not in COLUMNS:
            _check_known("column", text, COLUMNS)
    names = tuple(map(str.capitalize, given))
    if not names or len(set(names)) < len(names):
        raise InputError(f"column is {given!r}; it must name one or more of {', '.join(COLUMNS)}, each once")
    return names


def _check_known(setting: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        nearest = max(known, key=lambda name: SequenceMatcher(None, given.lower(), name.lower()).ratio())
        raise InputError(f"{setting} is {given!r}; did you mean {nearest!r}? It must be one of {', '.join(known)}")


def _check_day(setting: str, given: str | None) -> str | None:
    try:
        return given and datetime.strptime(given, "%Y-%m-%d").date().isoformat()
    except ValueError:
        raise InputError(f"{setting} is {given!r}; it must be a day written as YYYY-MM-DD, e.g. 2020-01-31") from None
