"""YahooSource through the real yfinance client, against a loopback server; no test reaches the network or the user's cache."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.chunks import assert_same, collect, first_column, with_rows
from helpers.cli import ROOT
from helpers.yahoo_server import EXCHANGE, SAMPLE, Bar, Mode, YahooServer, daily_bar, minute_bar, read_sample

from autoencoder.core.errors import InputError, SourceError
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.yahoo import INTERVALS, YahooSource, check_request
from autoencoder.sources.yahoo_client import default_folder, load_prices, save_prices

Make = Callable[..., YahooSource]

WHOLE_SAMPLE = {"start": "2000-01-01", "end": "2013-04-01"}
REQUEST = check_request("AAPL", "5y", None, None, "1d", True)  # the default one
UNRESOLVABLE = "x" * 64  # longer than a host name's part may be: it is refused on this machine, no name server is asked


@pytest.fixture
def server() -> Iterator[YahooServer]:
    with YahooServer() as yahoo:
        yield yahoo


@pytest.fixture
def make(server: YahooServer, tmp_path: Path) -> Make:
    """Makes a source that asks the loopback server and uses no cached prices unless a test says so."""

    def make_source(ticker: str = "AAPL", **options: Any) -> YahooSource:
        settings = {"session": server.session(), "cache": tmp_path, "cache_ttl": 0.0, **options}
        return YahooSource(ticker, **settings)

    return make_source


def sample(name: str) -> list[str]:
    with SAMPLE.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def numbers(name: str) -> list[float]:
    return [float(text) for text in sample(name)]


def bars_from(day: date, *closes: float | None) -> list[Bar]:
    """Daily bars, the first of them on that day."""
    return [daily_bar(day + timedelta(days=row), close) for row, close in enumerate(closes)]


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a fresh interpreter that sees nothing but the given settings of proxies and caches."""
    root = str(SAMPLE.parents[2])
    whole = {**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.run([sys.executable, "-c", code], env=whole, capture_output=True, text=True, timeout=120)


# --- the sample and the prices ---


def test_the_sample_is_as_its_readme_says() -> None:
    readme = (SAMPLE.parent / "README.md").read_text()
    assert hashlib.sha256(SAMPLE.read_bytes()).hexdigest() in readme
    dates = sample("timestamp")
    assert f"{len(dates):,} rows" in readme
    assert dates == sorted(set(dates))


def test_prices_and_dates_equal_the_sample(server: YahooServer, make: Make) -> None:
    source = make(**WHOLE_SAMPLE)
    whole = collect(source)
    assert (source.name, source.columns, source.length, source.timezone) == ("AAPL", ("Close",), 3270, None)
    np.testing.assert_array_equal(whole.time, np.array(sample("timestamp"), "datetime64[ns]"), strict=True)
    assert first_column(whole) == numbers("close")
    several = make(**WHOLE_SAMPLE, column=["volume", "Open"])
    assert several.columns == ("Volume", "Open")
    np.testing.assert_array_equal(collect(several).values, np.column_stack([numbers("volume"), numbers("open")]))
    chunked = make(**WHOLE_SAMPLE, chunk_size=1500)
    assert [len(chunk) for chunk in chunked.chunks()] == [1500, 1500, 270]
    assert_same(collect(chunked, 1400), whole[1400:])
    server.series["AAPL"] = read_sample(adjusted=True)
    assert first_column(collect(make(**WHOLE_SAMPLE))) == numbers("adj_close")
    assert first_column(collect(make(**WHOLE_SAMPLE, adjusted=False))) == numbers("close")


def test_a_price_that_yahoo_lacks_is_missing(server: YahooServer, make: Make) -> None:
    server.series["GAP"] = bars_from(date(2012, 1, 3), 1.0, None, 3.0)
    assert first_column(collect(make("GAP"))) == [1, None, 3]


def test_intraday_bars_carry_utc(server: YahooServer, make: Make) -> None:
    opening = datetime(2013, 3, 1, 9, 30, tzinfo=EXCHANGE)
    server.series["AAPL"] = [minute_bar(opening + timedelta(minutes=i), 430.0 + i) for i in range(3)]
    source = make(interval="1m", period="1d")
    assert source.timezone == "America/New_York"
    assert collect(source).time.astype("datetime64[m]").astype(str).tolist() == [f"2013-03-01T14:3{i}" for i in range(3)]


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ({}, "2008-03-03", "2013-03-01"),
        ({"period": "ytd"}, "2013-01-02", "2013-03-01"),
        ({"period": "max"}, "2000-03-01", "2013-03-01"),
        ({"period": "1mo", "end": "2010-02-01"}, "2010-01-04", "2010-01-29"),
        ({"start": "2012-12-31"}, "2012-12-31", "2013-03-01"),
    ],
)
def test_a_period_reaches_back_from_the_end(make: Make, options: dict[str, Any], first: str, last: str) -> None:
    whole = collect(make(**options))
    assert [str(day)[:10] for day in (whole.time[0], whole.time[-1])] == [first, last]


# --- failures ---


@pytest.mark.parametrize(
    ("ticker", "mode", "words"),
    [
        ("NOSUCH", "normal", "knows no such ticker; look it up"),
        ("AAPL", "empty", "no price"),
        ("AAPL", "null", "no price"),
        ("AAPL", "rate_limit", "HTTP 429); wait some minutes"),
        ("AAPL", "server_error", "server failed"),
        ("AAPL", "maintenance", "server failed"),
        ("AAPL", "black_hole", "no answer from Yahoo within 0.3 s"),
    ],
)
@pytest.mark.parametrize("dates", [{}, WHOLE_SAMPLE], ids=["period", "dates"])
def test_each_failure_is_one_sentence(
    server: YahooServer, make: Make, capfd: Any, ticker: str, mode: Mode, words: str, dates: dict[str, str]
) -> None:
    server.mode = mode
    with pytest.raises(SourceError) as caught:
        make(ticker, **dates, timeout=0.3 if mode == "black_hole" else 20.0)
    assert caught.value.exit_code == 1
    assert str(caught.value).startswith(f"{ticker}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_no_network_is_told(server: YahooServer, make: Make) -> None:
    with pytest.raises(SourceError, match=r"AAPL: no network \(the name of Yahoo's server could not be resolved\); check"):
        make(session=server.session(UNRESOLVABLE))
    server.close()
    with pytest.raises(SourceError, match=r"AAPL: no network \(the connection to Yahoo's server failed\); check"):
        make()


def test_a_program_without_an_answer_ends(server: YahooServer, tmp_path: Path) -> None:
    server.mode = "black_hole"
    code = (
        "import sys\n"
        "from autoencoder.core.errors import SourceError\n"
        "from autoencoder.sources.yahoo import YahooSource\n"
        "try: YahooSource('AAPL', timeout=1.0)\n"
        "except SourceError as error: print(error); sys.exit(error.exit_code)"
    )
    run = run_python(code, XDG_CACHE_HOME=str(tmp_path), **server.environment())
    assert (run.returncode, run.stderr) == (1, "")
    assert "no answer from Yahoo within 1 s" in run.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ticker": ""}, "ticker is ''; it must be a Yahoo symbol"),
        ({"ticker": "../../x"}, "ticker is '../../x'; it must be a Yahoo symbol"),
        ({"ticker": "AAPL; rm"}, "ticker is 'AAPL; rm'; it must be a Yahoo symbol"),
        ({"ticker": "AAPL?range=max"}, "must be a Yahoo symbol"),
        ({"ticker": "A" * 33}, "must be a Yahoo symbol"),
        ({"interval": "1w"}, "interval is '1w'; did you mean '1wk'?"),
        ({"period": "5yr"}, "period is '5yr'; did you mean '5y'?"),
        ({"column": "Clsoe"}, "column is 'Clsoe'; did you mean 'Close'?"),
        ({"column": []}, "column is []; it must name one or more of Open, High, Low, Close, Volume"),
        ({"column": ["Close", "close"]}, "each once"),
        ({"start": "2012-01-02", "end": "2012-01-02"}, "start must be before end"),
        ({"start": "01/02/2012"}, "start is '01/02/2012'; it must be a day written as YYYY-MM-DD"),
        ({"start": "9999-12-31"}, "start is 9999-12-31, a day to come"),
        ({"period": "ytd", "end": "2012-01-02"}, "period is 'ytd' and end is given"),
        ({"follow": True, "end": "2012-01-02"}, "end is 2012-01-02 and follow is on"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(server: YahooServer, make: Make, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make(**options)
    assert caught.value.exit_code == 2
    assert words in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("ticker", ["AAPL", "brk-b", "^GSPC", "EURUSD=X", "ES=F", "0700.HK", "M&M.NS", "DX-Y.NYB", "BTC-USD"])
def test_symbols_of_every_kind_are_taken(ticker: str) -> None:
    request = check_request(ticker, "5y", None, None, "1d", True)
    assert request.ticker == ticker.upper()


# --- the cache ---


def age_cache(folder: Path, age: timedelta) -> datetime:
    """Make the cached answer to the default request older; returns the moment it now claims to be of."""
    prices = load_prices(folder, REQUEST)
    assert prices is not None
    moment = prices.fetched - age
    save_prices(folder, REQUEST, replace(prices, fetched=moment))
    return moment


def test_a_fresh_download_is_not_repeated(server: YahooServer, make: Make, tmp_path: Path) -> None:
    said: list[str] = []
    first = collect(make())

    def asks(**options: Any) -> bool:
        server.requests.clear()
        again = make(cache_ttl=3600.0, warn=said.append, **options)
        if not server.requests:
            assert_same(collect(again), first)
        return server.requests != []

    assert not asks(column="Close")
    (note,) = said
    assert note.startswith("AAPL: using prices cached 2")
    assert all(asks(**other) for other in ({"interval": "1wk"}, {"period": "1y"}, {"adjusted": False}, {"start": "2010-01-01"}))
    age_cache(tmp_path, timedelta(hours=2))
    assert asks()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("rate_limit", "HTTP 429"), ("server_error", "server failed"), ("black_hole", "no answer from Yahoo within 0.3 s")],
)
def test_cached_prices_stand_in_for_yahoo(server: YahooServer, make: Make, tmp_path: Path, mode: Mode, reason: str) -> None:
    said: list[str] = []
    fetched = collect(make())
    moment = age_cache(tmp_path, timedelta(days=400))
    server.mode = mode
    cached = collect(make(warn=said.append, timeout=0.3 if mode == "black_hole" else 20.0))
    assert cached.values.tolist() == fetched.values.tolist()
    (note,) = said
    assert reason in note
    assert note.endswith(f"; using prices cached {moment:%Y-%m-%d %H:%M} UTC")


def test_the_cache_hides_no_unknown_ticker_and_no_damage(server: YahooServer, make: Make, tmp_path: Path) -> None:
    whole = collect(make())
    (kept,) = tmp_path.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert_same(collect(make(cache_ttl=3600.0)), whole)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    del server.series["AAPL"]
    with pytest.raises(SourceError, match="knows no such ticker"):
        make()


def test_an_unwritable_cache_costs_a_warning(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    source = make(cache=tmp_path / "file" / "cache", warn=said.append)
    assert source.length == 1259
    assert "could not be kept" in said[0]


def test_the_cache_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "lstm-autoencoder" / "yahoo"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_folder() == Path.home() / ".cache" / "lstm-autoencoder" / "yahoo"


# --- following ---


class EndOfScript(Exception):
    """The steps of a script are all done."""


class Script:
    """Stands for the clock and the waiting of a followed source: each wait does the next step on a list."""

    def __init__(self, now: datetime, *steps: Callable[[], None]) -> None:
        self.now = now
        self._steps = list(steps)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        if not self._steps:
            raise EndOfScript
        self._steps.pop(0)()

    def follow(self, make: Make, *arguments: Any, **options: Any) -> list[Chunk]:
        """The chunks of a followed source up to the end of the script."""
        source = make(*arguments, follow=True, sleep=self.sleep, clock=self.clock, **options)
        assert source.length is None and source.mutable
        chunks: list[Chunk] = []
        with pytest.raises(EndOfScript):
            chunks.extend(with_rows(source))
        return chunks


def days_and_closes(chunk: Chunk) -> list[tuple[str, float | None]]:
    return [(str(day)[:10], close) for day, close in zip(chunk.time, first_column(chunk), strict=True)]


def test_following_yields_complete_bars_once(server: YahooServer, make: Make) -> None:
    bars = server.series["AAPL"] = bars_from(date(2013, 2, 26), 1.0, 2.0, 3.0)

    def change_the_last_bar() -> None:
        bars[-1] = daily_bar(date(2013, 2, 28), 3.5)

    def pass_midnight() -> None:
        script.now = datetime(2013, 3, 2, 0, 0, tzinfo=EXCHANGE)

    begin_a_new_bar = partial(bars.append, daily_bar(date(2013, 3, 1), 4.0))
    noon = datetime(2013, 2, 28, 12, 0, tzinfo=EXCHANGE)
    script = Script(noon, change_the_last_bar, begin_a_new_bar, lambda: None, pass_midnight, lambda: None)
    history, first, second = map(days_and_closes, script.follow(make))
    assert history == [("2013-02-26", 1.0), ("2013-02-27", 2.0)]
    assert (first, second) == ([("2013-02-28", 3.5)], [("2013-03-01", 4.0)])


def test_following_outlives_failures(server: YahooServer, make: Make) -> None:
    bars = server.series["AAPL"] = bars_from(date(2013, 2, 26), 1.0)
    said: list[str] = []

    def fail() -> None:
        server.mode = "server_error"
        bars.extend(bars_from(date(2013, 2, 26) + timedelta(days=len(bars)), 1.0 + len(bars)))

    recover = partial(setattr, server, "mode", "normal")
    script = Script(datetime(2013, 6, 1, tzinfo=UTC), fail, fail, recover, fail, recover)
    assert [len(chunk) for chunk in script.follow(make, poll_seconds=30.0, warn=said.append)] == [1, 2, 1]
    assert len(said) == 2
    assert all("server failed" in note and note.endswith("trying again every 30 s") for note in said)


def test_following_can_begin_with_a_forming_bar(server: YahooServer, make: Make) -> None:
    server.series["NEW"] = bars_from(date(2013, 2, 26), 1.0)
    noon = datetime(2013, 2, 26, 12, 0, tzinfo=EXCHANGE)
    script = Script(noon, lambda: setattr(script, "now", noon + timedelta(days=1)))
    assert [days_and_closes(chunk) for chunk in script.follow(make, "NEW")] == [[("2013-02-26", 1.0)]]


def test_following_minutes_goes_by_utc(server: YahooServer, make: Make) -> None:
    opening = datetime(2013, 3, 1, 9, 30, tzinfo=EXCHANGE)
    bars = server.series["AAPL"] = [minute_bar(opening + timedelta(minutes=minute), 1.0 + minute) for minute in range(2)]

    def go_on() -> None:
        bars.append(minute_bar(opening + timedelta(minutes=2), 3.0))
        script.now = opening + timedelta(minutes=2, seconds=1)

    script = Script(opening + timedelta(seconds=90), go_on)
    minutes = [
        chunk.time.astype("datetime64[m]").astype(str).tolist() for chunk in script.follow(make, interval="1m", period="1d")
    ]
    assert minutes == [["2013-03-01T14:30"], ["2013-03-01T14:31"]]


# --- imports ---


def test_the_import_is_light() -> None:
    modules = ", ".join(f"autoencoder.sources.{name}" for name in ("files", "yahoo"))
    run = run_python(f"import sys, {modules}; print({{'pandas', 'pyarrow', 'yfinance', 'curl_cffi'}} & set(sys.modules))")
    assert run.stdout == "set()\n"


@pytest.mark.slow
def test_tensorflow_works_in_either_order(server: YahooServer, tmp_path: Path) -> None:
    tensorflow = "import tensorflow; print(int(tensorflow.reduce_sum(tensorflow.ones(3))))"
    download = "from autoencoder.sources.yahoo import YahooSource; print(YahooSource('AAPL', cache_ttl=0).length)"
    environment = {"XDG_CACHE_HOME": str(tmp_path), **server.environment()}
    orders = [f"{tensorflow}\n{download}", f"{download}\n{tensorflow}"]
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda code: run_python(code, **environment), orders))
    assert [run.stdout for run in runs] == ["3\n1259\n", "1259\n3\n"]


def test_config_lists_every_interval() -> None:
    line = next(line for line in (ROOT / "config.yaml").read_text().splitlines() if line.strip().startswith("interval: 1d"))
    assert tuple(line.split("#")[1].split()) == tuple(INTERVALS)
