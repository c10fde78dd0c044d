"""One download through yfinance, with a deadline that holds and errors that a person can act on."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import sys
import threading
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from data.series import DataError
from data.yahoo.prices import COLUMNS, PriceRequest, Prices, is_intraday

# What failed, by the name of the exception's class or of the nearest base: curl_cffi and requests, either of which yfinance may
# run on, share these names but no classes.
_NETWORK_FAILURES = {
    "DNSError": "the name of Yahoo's server could not be resolved",
    "ProxyError": "the proxy did not let the connection through",
    "SSLError": "the certificate of Yahoo's server could not be verified",
    "Timeout": "Yahoo's server did not answer in time",
    "TimeoutError": "Yahoo's server did not answer in time",
    "ConnectionError": "the connection to Yahoo's server failed",
    "RequestException": "the request to Yahoo's server failed",
}


class YahooUnreachable(DataError):
    """Yahoo gives nothing for now, whatever is asked of it.

    Attributes:
        reason: the first half of the message, which says what happened; prices kept from before are still good.
    """

    def __init__(self, ticker: str, reason: str, advice: str) -> None:
        super().__init__(f"{ticker}: {reason}; {advice}")
        self.reason = reason


class NoPrices(DataError):
    """Yahoo answered, and has none of the prices asked for."""


def download(request: PriceRequest, *, deadline: float, folder: Path, session: object | None = None) -> Prices:
    """Fetch the bars of ``request``.

    yfinance may wait for minutes on a server that accepts and never answers, since its timeout holds for each of a dozen requests
    of its own. So it runs in a thread that is left behind at the deadline; a daemon, it cannot hold up the end of the program.

    Args:
        request: what to ask for.
        deadline: longest wait in seconds, all of yfinance's requests and retries together.
        folder: where yfinance keeps its own caches of time zones and cookies.
        session: a curl_cffi session to use in place of yfinance's own.

    Returns:
        One bar or more.

    Raises:
        YahooUnreachable: no network, no answer by the deadline, too many requests, or a failure on Yahoo's side.
        NoPrices: the ticker is unknown, or has no prices in the time asked for.
    """
    outcomes: queue.SimpleQueue[Prices | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcomes.put(_fetch(request, session))
        except Exception as error:  # of whatever kind: it is explained below, in the caller's thread
            outcomes.put(error)

    # The filters are the process's, so they are changed here rather than in a thread that might never change them back.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _prepare_yfinance(folder)
        warnings.simplefilter("ignore")  # again: importing yfinance puts a filter of its own in front
        threading.Thread(target=work, name=f"yahoo {request.ticker}", daemon=True).start()
        try:
            outcome = outcomes.get(timeout=deadline)
        except queue.Empty:
            advice = "check the network, allow a longer deadline, or run on a saved file with --source csv"
            raise YahooUnreachable(request.ticker, f"no answer from Yahoo within {deadline:g} s", advice) from None
    if isinstance(outcome, Exception):
        raise explain(request.ticker, outcome) from outcome
    return outcome


def explain(ticker: str, error: Exception) -> DataError:
    """Turn whatever yfinance raised into the sentence a user needs."""
    from yfinance.exceptions import YFDataException, YFRateLimitError, YFTickerMissingError, YFTzMissingError

    status = getattr(getattr(error, "response", None), "status_code", 0)  # 0 too where there was no response
    found = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, DataError):
        return error
    if isinstance(error, YFRateLimitError) or status == 429:
        return YahooUnreachable(ticker, "Yahoo refuses more requests for now (HTTP 429)", "wait some minutes and try again")
    if isinstance(error, YFTzMissingError) or status == 404 or "No data found" in str(error):
        return NoPrices(f"{ticker}: Yahoo knows no such ticker; look it up on https://finance.yahoo.com/lookup")
    if isinstance(error, YFTickerMissingError):
        rationale = " ".join(error.rationale.split())
        return NoPrices(f"{ticker}: Yahoo has no prices to give ({rationale}); ask for other dates or another interval")
    if isinstance(error, YFDataException | json.JSONDecodeError):
        return YahooUnreachable(ticker, "Yahoo's server failed (it sent an error page, not prices)", "try again later")
    if status > 0:
        return YahooUnreachable(ticker, f"Yahoo's server failed (HTTP {status})", "try again later")
    if isinstance(error, LookupError | TypeError):
        return NoPrices(f"{ticker}: Yahoo's answer holds no prices ({found}); try again later, or ask for other dates")
    if type(error).__name__ == "ImpersonateError":
        reason = f"curl_cffi cannot send requests ({error})"
        return YahooUnreachable(ticker, reason, "where TensorFlow was imported before curl_cffi, import curl_cffi first")
    for base in type(error).__mro__:
        if base.__name__ in _NETWORK_FAILURES:
            reason = f"no network ({_NETWORK_FAILURES[base.__name__]})"
            return YahooUnreachable(ticker, reason, "check the connection, or run on a saved file with --source csv")
    return YahooUnreachable(ticker, f"the download failed ({found})", "try again, or run on a saved file with --source csv")


def _prepare_yfinance(folder: Path) -> None:
    """Make yfinance raise its errors, keep quiet, and keep its caches in ``folder``; these settings are the process's."""
    _import_curl()
    import yfinance

    logger = logging.getLogger("yfinance")
    if logger.level == logging.NOTSET:  # else someone asked for its log lines, or silenced it already
        logger.setLevel(logging.CRITICAL)
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(str(folder.absolute()))  # yfinance opens it later, from whatever folder is then current


def _import_curl() -> None:
    """Import curl_cffi in a way that holds up where TensorFlow was imported before it.

    TensorFlow brings a curl of its own, and the loader of Linux would hand its functions to curl_cffi, whose every request would
    then fail with "Impersonating chrome... is not supported". RTLD_DEEPBIND has a library prefer the functions it brings itself.
    """
    if "tensorflow" not in sys.modules or not hasattr(os, "RTLD_DEEPBIND"):
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        with contextlib.suppress(ImportError):  # yfinance then goes without curl_cffi
            importlib.import_module("curl_cffi")
    finally:
        sys.setdlopenflags(flags)


def _fetch(request: PriceRequest, session: object | None) -> Prices:
    import yfinance
    from yfinance.data import YfData

    YfData.cache_get.cache_clear()  # it would repeat an error page of the last minute for ever
    frame = yfinance.Ticker(request.ticker, session=session).history(
        period=request.period,
        start=request.start,
        end=request.end,
        interval=request.interval,
        auto_adjust=request.adjusted,
        actions=False,
    )
    if not len(frame):
        raise NoPrices(f"{request.ticker}: Yahoo answered without a single price; ask for other dates or another interval")
    return _prices(frame, request.interval)


def _prices(frame: Any, interval: str) -> Prices:
    """The frame of ``Ticker.history``, whose index knows the exchange's zone, as arrays."""
    index = frame.index
    begin = index.tz_convert("UTC").tz_localize(None) if is_intraday(interval) else index.tz_localize(None).normalize()
    return Prices(
        time=begin.to_numpy().astype("datetime64[ns]"),  # (N,)
        values=frame[list(COLUMNS)].to_numpy(dtype=np.float64),  # (N, 5)
        timezone=str(index.tz),
        fetched=datetime.now(UTC),
    )
