"""Yahoo's prices through yfinance, with a timeout that holds and errors that a person can act on, and their cache on disk."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import logging
import os
import queue
import sys
import threading
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from autoencoder.core.errors import AutoencoderError, SourceError
from autoencoder.sources.chunk import Chunk

COLUMNS = ("Open", "High", "Low", "Close", "Volume")

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


@dataclass(frozen=True, slots=True)
class PriceRequest:
    """What is asked of Yahoo; equal requests share a cache entry."""

    ticker: str  # in capitals
    interval: str
    period: str | None  # None where ``start`` says it
    start: str | None  # days are YYYY-MM-DD
    end: str | None
    adjusted: bool

    @property
    def is_intraday(self) -> bool:
        """Whether a bar is a part of a day: "1m", "1h", but neither "1d" nor "1mo"."""
        return self.interval[-1] in "mh"


@dataclass(frozen=True, slots=True)
class Prices:
    """What one download gave.

    A bar's time is its begin: in UTC for intraday bars, else the exchange's calendar date.
    """

    bars: Chunk  # in order of time; values (N, 5) are the columns of ``COLUMNS``, NaN where Yahoo has none
    timezone: str  # IANA name of the exchange's zone, e.g. "America/New_York"
    fetched: datetime  # when they were downloaded, aware, in UTC
    exchange: str = ""  # what Yahoo calls it, e.g. "NMS"


class YahooUnreachable(SourceError):
    """Yahoo gives nothing for now, whatever is asked of it; prices kept from before are still good, and ``reason`` says why."""

    def __init__(self, ticker: str, reason: str, advice: str) -> None:
        super().__init__(f"{ticker}: {reason}; {advice}")
        self.reason = reason


def download(request: PriceRequest, *, timeout: float, folder: Path, session: object | None = None) -> Prices:
    """Fetch the bars of ``request``, one or more, within ``timeout`` seconds; yfinance keeps its own caches in ``folder``.

    yfinance may wait for minutes on a server that accepts and never answers, since its own timeout holds for each of a dozen
    requests. So it runs in a thread that is left behind at the timeout; a daemon, it cannot hold up the end of the program.

    Raises:
        YahooUnreachable: no network, no answer in time, too many requests, or a failure on Yahoo's side.
        SourceError: the ticker is unknown, or has no prices in the time asked for.
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
            outcome = outcomes.get(timeout=timeout)
        except queue.Empty:
            advice = "check the network, allow a longer timeout, or run on a saved file with --source csv"
            raise YahooUnreachable(request.ticker, f"no answer from Yahoo within {timeout:g} s", advice) from None
    if isinstance(outcome, Exception):
        raise _explain(request.ticker, outcome) from outcome
    return outcome


def _explain(ticker: str, error: Exception) -> AutoencoderError:
    """Turn whatever yfinance raised into the sentence a user needs."""
    from yfinance.exceptions import YFDataException, YFRateLimitError, YFTickerMissingError, YFTzMissingError

    if isinstance(error, AutoencoderError):
        return error
    status = getattr(getattr(error, "response", None), "status_code", 0)  # 0 too where there was no response
    found = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, YFTzMissingError) or status == 404 or "No data found" in str(error):
        return SourceError(f"{ticker}: Yahoo knows no such ticker; look it up on https://finance.yahoo.com/lookup")
    if isinstance(error, YFTickerMissingError):
        rationale = " ".join(error.rationale.split())
        return SourceError(f"{ticker}: Yahoo has no prices to give ({rationale}); ask for other dates or another interval")
    if isinstance(error, YFRateLimitError) or status == 429:
        return YahooUnreachable(ticker, "Yahoo refuses more requests for now (HTTP 429)", "wait some minutes and try again")
    if isinstance(error, YFDataException | json.JSONDecodeError) or status > 0:
        cause = f"HTTP {status}" if status > 0 else "it sent an error page, not prices"
        return YahooUnreachable(ticker, f"Yahoo's server failed ({cause})", "try again later")
    if isinstance(error, LookupError | TypeError):
        return SourceError(f"{ticker}: Yahoo's answer holds no prices ({found}); try again later, or ask for other dates")
    for base in type(error).__mro__:
        if base.__name__ in _NETWORK_FAILURES:
            advice = "check the connection, or run on a saved file with --source csv"
            return YahooUnreachable(ticker, f"no network ({_NETWORK_FAILURES[base.__name__]})", advice)
    return YahooUnreachable(ticker, f"the download failed ({found})", "try again, or run on a saved file with --source csv")


def _prepare_yfinance(folder: Path) -> None:
    """Make yfinance raise its errors, keep quiet, and keep its caches in ``folder``; these settings are the process's.

    TensorFlow brings a curl of its own. Where it was imported before, the loader of Linux hands its functions to curl_cffi, whose
    every request then fails with "Impersonating chrome... is not supported"; RTLD_DEEPBIND has a library prefer its own.
    """
    if "tensorflow" in sys.modules and hasattr(os, "RTLD_DEEPBIND"):
        flags = sys.getdlopenflags()
        sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
        with contextlib.suppress(ImportError):  # yfinance then goes without curl_cffi
            importlib.import_module("curl_cffi")
        sys.setdlopenflags(flags)
    import yfinance

    logger = logging.getLogger("yfinance")
    if logger.level == logging.NOTSET:  # else someone asked for its log lines, or silenced it already
        logger.setLevel(logging.CRITICAL)
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(str(folder.absolute()))  # yfinance opens it later, from whatever folder is then current


def _fetch(request: PriceRequest, session: object | None) -> Prices:
    import yfinance
    from yfinance.data import YfData

    YfData.cache_get.cache_clear()  # it would repeat an error page of the last minute for ever
    ticker = yfinance.Ticker(request.ticker, session=session)
    frame = ticker.history(
        request.period, request.interval, request.start, request.end, auto_adjust=request.adjusted, actions=False
    )
    if not len(frame):
        raise SourceError(f"{request.ticker}: Yahoo answered without a single price; ask for other dates or another interval")
    index = frame.index  # knows the exchange's zone
    begin = index.tz_convert("UTC").tz_localize(None) if request.is_intraday else index.tz_localize(None).normalize()
    bars = Chunk(begin.to_numpy().astype("datetime64[ns]"), frame[list(COLUMNS)].to_numpy(dtype=np.float64))  # (N,), (N, 5)
    exchange = str(ticker.history_metadata.get("exchangeName", ""))
    return Prices(bars, timezone=str(index.tz), fetched=datetime.now(UTC), exchange=exchange)


def default_folder() -> Path:
    """The user's cache folder for prices: ``$XDG_CACHE_HOME/lstm-autoencoder/yahoo``, by default under ``~/.cache``."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    caches = base if base.is_absolute() else Path.home() / ".cache"  # the XDG specification has relative paths ignored
    return caches / "lstm-autoencoder" / "yahoo"


def _cache_file(folder: Path, request: PriceRequest) -> Path:
    """Where the prices of ``request`` are kept: a digest names the file, so no text of the user's reaches the path."""
    key = json.dumps({"version": 2, **asdict(request)}, sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def load_prices(folder: Path, request: PriceRequest) -> Prices | None:
    """The prices kept for ``request``; None where there are none, or where the file is damaged."""
    try:
        with np.load(_cache_file(folder, request), allow_pickle=False) as archive:
            bars = Chunk(archive["time"].astype("datetime64[ns]"), archive["values"].astype(np.float64))
            fetched = datetime.fromtimestamp(float(archive["fetched"]), UTC)
            return Prices(bars, str(archive["timezone"]), fetched, str(archive["exchange"]))
    except Exception:  # a damaged archive can raise nearly anything; the answer to all of it is to download anew
        return None


def save_prices(folder: Path, request: PriceRequest, prices: Prices) -> None:
    """Keep the prices of ``request``: the file is there as a whole or not at all. Raises OSError: the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    target = _cache_file(folder, request)
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            bars, fetched = prices.bars, prices.fetched.timestamp()
            zone, exchange = prices.timezone, prices.exchange
            np.savez(file, time=bars.time, values=bars.values, timezone=zone, fetched=fetched, exchange=exchange)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
