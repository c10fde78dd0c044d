"""Prices from Yahoo Finance through yfinance: within a deadline, kept on disk, and followed as new bars come."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from data.series import Chunk, DataError, InputError
from data.yahoo.cache import default_folder, load_prices, save_prices
from data.yahoo.download import YahooUnreachable, download
from data.yahoo.prices import COLUMNS, Prices, check_columns, check_request, complete_bars, exchange_day, is_intraday


class YahooSource:
    """A ticker's prices; they are fetched when the source is made.

    Bars of a day and longer carry the exchange's calendar date and no time zone, so that they equal the dates of a csv file;
    shorter bars carry UTC, and ``timezone`` names the exchange's zone. Where adjusted prices are followed over a split or a
    dividend, bars that come after it are adjusted to it and those yielded before it are not.

    Args:
        ticker: Yahoo's symbol: AAPL, BRK-B, ^GSPC, EURUSD=X.
        period: how far back, one of ``PERIODS``; counted from ``end`` or from now, and not used where ``start`` is given.
        start: first day (a date or YYYY-MM-DD).
        end: the day after the last one; None: up to now.
        interval: length of a bar, one of ``INTERVALS``.
        column: one or several of Open, High, Low, Close and Volume; case does not matter.
        adjusted: adjust the prices for splits and dividends.
        deadline: longest wait for a download, in seconds.
        cache_dir: where downloads are kept; None: ``lstm-autoencoder/yahoo`` in the user's cache folder.
        cache_max_age: a download younger than this, in seconds, is not repeated; 0 repeats it always. Where Yahoo cannot be
            reached, a kept download of any age is used.
        follow: after the history go on with new bars as they are completed; a bar still forming is held back.
        poll: seconds between two looks for new bars.
        max_polls: how many times to look; None: for ever.
        chunk_size: most points in a chunk.
        warn: is told, a sentence at a time, where cached prices are used, or where following meets a failure.
        session: curl_cffi session to use in place of yfinance's own.
        sleep: waits so many seconds; tests replace it.
        clock: gives the present moment, aware; tests replace it.

    Raises:
        InputError: an argument cannot be used; nothing was asked of the network.
        DataError: the ticker is unknown, has no prices for that time, or Yahoo cannot be reached and nothing is cached.
    """

    def __init__(
        self,
        ticker: str,
        *,
        period: str = "5y",
        start: date | str | None = None,
        end: date | str | None = None,
        interval: str = "1d",
        column: str | Sequence[str] = "Close",
        adjusted: bool = True,
        deadline: float = 20.0,
        cache_dir: Path | str | None = None,
        cache_max_age: float = 3600.0,
        follow: bool = False,
        poll: float = 60.0,
        max_polls: int | None = None,
        chunk_size: int = 1024,
        warn: Callable[[str], None] | None = None,
        session: object | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._request = check_request(ticker, period=period, start=start, end=end, interval=interval, adjusted=adjusted)
        if follow and end is not None:
            raise InputError(f"{self._request.ticker}: end is {end} and follow is on; leave out one of them")
        for name, value in {"deadline": deadline, "poll": poll, "chunk_size": chunk_size}.items():
            if not 0 < value < math.inf:
                raise InputError(f"{name} is {value}; it must be a number above 0")
        self.name = self._request.ticker
        self.columns = check_columns(column)
        self._positions = [COLUMNS.index(name) for name in self.columns]
        self._deadline = deadline
        self._folder = default_folder() if cache_dir is None else Path(cache_dir)
        self._cache_max_age = cache_max_age
        self._follow = follow
        self._poll = poll
        self._max_polls = max_polls
        self._chunk_size = chunk_size
        self._warn = warn or (lambda message: None)
        self._session = session
        self._sleep = sleep
        self._clock = clock
        self._history = self._load()
        self.points = None if follow else len(self._history)
        self.timezone = self._history.timezone if is_intraday(interval) else None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the history and, where following, each new bar once it is complete; a failure while following ends nothing."""
        if not self._follow:
            yield from self._cut(self._history)
            return
        history = complete_bars(self._history, self._request.interval, self._clock())
        yield from self._cut(history)
        yield from self._new_bars(history.time[-1] if len(history) else None)

    def _load(self) -> Prices:
        """The prices, from the cache while it is fresh or while Yahoo is out of reach."""
        cached = load_prices(self._folder, self._request)
        kept = f"using prices cached {cached.fetched:%Y-%m-%d %H:%M} UTC" if cached else ""
        # An age below 0 is a clock that was set back: then nothing is known about the age.
        if cached and 0 <= (self._clock() - cached.fetched).total_seconds() < self._cache_max_age:
            self._warn(f"{self.name}: {kept}, which is less than {self._cache_max_age:g} s ago")
            return cached
        try:
            prices = self._download()
        except YahooUnreachable as error:
            if cached is None:
                raise
            self._warn(f"{self.name}: {error.reason}; {kept}")
            return cached
        self._save(prices)
        return prices

    def _save(self, prices: Prices) -> None:
        try:
            save_prices(self._folder, self._request, prices)
        except OSError as error:
            self._warn(f"{self.name}: the prices could not be kept in {self._folder} ({error.strerror}); the run goes on")

    def _download(self, start: date | None = None) -> Prices:
        request = self._request if start is None else replace(self._request, period=None, start=start.isoformat())
        return download(request, deadline=self._deadline, folder=self._folder / "yfinance", session=self._session)

    def _new_bars(self, newest: np.datetime64 | None) -> Iterator[Chunk]:
        """Look again and again for bars after ``newest``."""
        interval, zone = self._request.interval, self._history.timezone
        failing = False
        for _ in itertools.count() if self._max_polls is None else range(self._max_polls):
            self._sleep(self._poll)
            try:
                # From the day of the newest bar on: so no bar is lost, however long a failure lasted.
                prices = self._download(None if newest is None else exchange_day(newest, interval, zone))
            except DataError as error:
                if not failing:
                    self._warn(f"{error}; trying again every {self._poll:g} s")
                failing = True
                continue
            failing = False
            fresh = complete_bars(prices, interval, self._clock())
            fresh = fresh if newest is None else fresh.after(newest)
            yield from self._cut(fresh)
            newest = fresh.time[-1] if len(fresh) else newest

    def _cut(self, prices: Prices) -> Iterator[Chunk]:
        values = prices.values[:, self._positions]  # (N, 5) -> (N, F)
        for first in range(0, len(prices), self._chunk_size):
            rows = slice(first, first + self._chunk_size)
            yield Chunk(prices.time[rows], values[rows])
