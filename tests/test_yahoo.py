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
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yahoo_server import EXCHANGE, SAMPLE, Bar, Mode, YahooServer, daily_bar, minute_bar, read_sample

from data.series import Chunk, DataError, InputError
from data.yahoo import YahooSource
from data.yahoo.cache import cache_file, default_folder, load_prices, save_prices
from data.yahoo.download import explain
from data.yahoo.prices import COLUMNS, Prices, bar_end, check_request, complete_bars

WHOLE_SAMPLE = {"start": "2000-01-01", "end": "2013-04-01"}
UNRESOLVABLE = "x" * 64  # longer than a host name's part may be: it is refused on this machine, no name server is asked


@pytest.fixture
def server() -> Iterator[YahooServer]:
    with YahooServer() as yahoo:
        yield yahoo


@pytest.fixture
def make(server: YahooServer, tmp_path: Path) -> Callable[..., YahooSource]:
    """Makes a source that asks the loopback server and uses no cached prices unless a test says so."""

    def make_source(ticker: str = "AAPL", **options: Any) -> YahooSource:
        settings = {"session": server.session(), "cache_dir": tmp_path, "cache_max_age": 0.0, **options}
        return YahooSource(ticker, **settings)

    return make_source


def join(source: YahooSource) -> Chunk:
    """All that a bounded source yields, as one chunk."""
    chunks = list(source.chunks())
    return Chunk(np.concatenate([chunk.time for chunk in chunks]), np.concatenate([chunk.values for chunk in chunks]))


def sample_column(name: str) -> list[str]:
    with SAMPLE.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a fresh interpreter that sees nothing but the given settings of proxies and caches."""
    root = str(SAMPLE.parents[2])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- the sample and the prices ---------------------------------------------------------------------------------------------


def test_the_sample_is_the_one_that_its_readme_describes() -> None:
    readme = (SAMPLE.parent / "README.md").read_text()
    assert hashlib.sha256(SAMPLE.read_bytes()).hexdigest() in readme
    dates = sample_column("timestamp")
    assert f"{len(dates):,} rows" in readme
    assert dates == sorted(set(dates))


def test_closes_and_dates_equal_those_of_the_sample(make: Callable[..., YahooSource]) -> None:
    source = make(**WHOLE_SAMPLE)
    whole = join(source)
    assert (source.name, source.columns, source.points, source.timezone) == ("AAPL", ("Close",), 3270, None)
    assert whole.time.dtype == np.dtype("datetime64[ns]")
    assert whole.time.tolist() == np.array(sample_column("timestamp"), "datetime64[ns]").tolist()
    assert whole.values[:, 0].tolist() == [float(close) for close in sample_column("close")]


def test_the_environment_alone_leads_an_unmodified_program_to_the_server(server: YahooServer, tmp_path: Path) -> None:
    code = (
        "from data.yahoo import YahooSource\n"
        "for chunk in YahooSource('aapl', start='2000-01-01', end='2013-04-01').chunks():\n"
        "    for time, (close,) in zip(chunk.time.astype('datetime64[D]'), chunk.values): print(time, float(close))"
    )
    run = run_python(code, XDG_CACHE_HOME=str(tmp_path), **server.environment())
    rows = zip(sample_column("timestamp"), sample_column("close"), strict=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == [f"{day} {float(close)}" for day, close in rows]
    assert {path.name for path in (tmp_path / "lstm-autoencoder" / "yahoo").iterdir()} > {"yfinance"}


def test_prices_are_adjusted_unless_told_otherwise(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    server.series["AAPL"] = read_sample(adjusted=True)
    adjusted, raw = make(**WHOLE_SAMPLE), make(**WHOLE_SAMPLE, adjusted=False)
    assert join(adjusted).values[:, 0].tolist() == [float(close) for close in sample_column("adj_close")]
    assert join(raw).values[:, 0].tolist() == [float(close) for close in sample_column("close")]


def test_several_columns_come_in_the_order_asked_for(make: Callable[..., YahooSource]) -> None:
    source = make(**WHOLE_SAMPLE, column=["volume", "Open"])
    expected = [[float(x), float(y)] for x, y in zip(sample_column("volume"), sample_column("open"), strict=True)]
    assert source.columns == ("Volume", "Open")
    assert join(source).values.tolist() == expected


def test_a_price_that_yahoo_lacks_is_missing_and_not_zero(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    days = [date(2012, 1, 3), date(2012, 1, 4), date(2012, 1, 5)]
    server.series["GAP"] = [daily_bar(day, price) for day, price in zip(days, [1.0, None, 3.0], strict=True)]
    np.testing.assert_array_equal(join(make("GAP")).values[:, 0], [1.0, np.nan, 3.0])


def test_bars_within_a_day_carry_utc_and_name_the_zone_of_the_exchange(
    server: YahooServer, make: Callable[..., YahooSource]
) -> None:
    opening = datetime(2013, 3, 1, 9, 30, tzinfo=EXCHANGE)
    server.series["AAPL"] = [minute_bar(opening + timedelta(minutes=i), 430.0 + i) for i in range(3)]
    source = make(interval="1m", period="1d")
    assert source.timezone == "America/New_York"
    assert join(source).time.astype("datetime64[m]").astype(str).tolist() == [f"2013-03-01T14:3{i}" for i in range(3)]


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ({}, "2008-03-03", "2013-03-01"),
        ({"period": "ytd"}, "2013-01-02", "2013-03-01"),
        ({"period": "max"}, "2000-03-01", "2013-03-01"),
        ({"period": "1mo", "end": "2010-02-01"}, "2010-01-04", "2010-01-29"),
        ({"start": date(2012, 12, 31)}, "2012-12-31", "2013-03-01"),
    ],
)
def test_a_period_reaches_back_from_the_end(
    make: Callable[..., YahooSource], options: dict[str, Any], first: str, last: str
) -> None:
    whole = join(make(**options))
    assert [str(day)[:10] for day in (whole.time[0], whole.time[-1])] == [first, last]


def test_chunks_hold_at_most_chunk_size_points(make: Callable[..., YahooSource]) -> None:
    source = make(**WHOLE_SAMPLE, chunk_size=1500)
    assert [len(chunk) for chunk in source.chunks()] == [1500, 1500, 270]


# --- failures --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ticker", "mode", "words"),
    [
        ("NOSUCH", "normal", "knows no such ticker"),
        ("AAPL", "empty", "no price"),
        ("AAPL", "null", "no price"),
        ("AAPL", "rate_limit", "HTTP 429"),
        ("AAPL", "server_error", "server failed"),
        ("AAPL", "maintenance", "server failed"),
        ("AAPL", "black_hole", "no answer from Yahoo within 0.3 s"),
    ],
)
@pytest.mark.parametrize("dates", [{}, WHOLE_SAMPLE], ids=["period", "dates"])
def test_each_failure_of_yahoo_is_one_sentence(
    server: YahooServer,
    make: Callable[..., YahooSource],
    capfd: pytest.CaptureFixture[str],
    ticker: str,
    mode: Mode,
    words: str,
    dates: dict[str, str],
) -> None:
    server.mode = mode
    with pytest.raises(DataError) as caught:
        make(ticker, **dates, deadline=0.3 if mode == "black_hole" else 20.0)
    assert caught.value.exit_code == 1
    assert str(caught.value).startswith(f"{ticker}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_name_that_cannot_be_resolved_is_no_network(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    with pytest.raises(DataError, match=r"AAPL: no network \(the name of Yahoo's server could not be resolved\); check"):
        make(session=server.session(UNRESOLVABLE))


def test_a_refused_connection_is_no_network(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    server.close()
    with pytest.raises(DataError, match=r"AAPL: no network \(the connection to Yahoo's server failed\); check"):
        make()


@pytest.mark.parametrize(("mode", "words"), [("no_tunnel", "no network"), ("black_hole", "no answer from Yahoo within 1 s")])
def test_a_program_that_gets_no_answer_says_so_and_ends(server: YahooServer, tmp_path: Path, mode: Mode, words: str) -> None:
    server.mode = mode
    code = (
        "import sys\n"
        "from data.series import DataError\n"
        "from data.yahoo import YahooSource\n"
        "try: YahooSource('AAPL', deadline=1.0)\n"
        "except DataError as error: print(error); sys.exit(error.exit_code)"
    )
    run = run_python(code, XDG_CACHE_HOME=str(tmp_path), **server.environment())
    assert (run.returncode, run.stderr) == (1, "")
    assert words in run.stdout


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
        ({"start": date.max}, "start is 9999-12-31, a day to come"),
        ({"period": "ytd", "end": "2012-01-02"}, "period is 'ytd' and end is given"),
        ({"follow": True, "end": "2012-01-02"}, "end is 2012-01-02 and follow is on"),
        ({"deadline": 0.0}, "deadline is 0.0; it must be a number above 0"),
        ({"poll": float("inf")}, "poll is inf; it must be a number above 0"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_asked_of_the_network(
    server: YahooServer, make: Callable[..., YahooSource], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        make(**options)
    assert caught.value.exit_code == 2
    assert words in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("ticker", ["AAPL", "brk-b", "^GSPC", "EURUSD=X", "ES=F", "0700.HK", "M&M.NS", "DX-Y.NYB", "BTC-USD"])
def test_symbols_of_every_kind_of_yahoo_s_are_taken(ticker: str) -> None:
    request = check_request(ticker, period="5y", start=None, end=None, interval="1d", adjusted=True)
    assert request.ticker == ticker.upper()


# --- the cache -------------------------------------------------------------------------------------------------------------


def age_cache(folder: Path, age: timedelta) -> datetime:
    """Make the cached answer to the default request older; returns the moment it now claims to be of."""
    request = check_request("AAPL", period="5y", start=None, end=None, interval="1d", adjusted=True)
    prices = load_prices(folder, request)
    assert prices is not None
    moment = prices.fetched - age
    save_prices(folder, request, replace(prices, fetched=moment))
    return moment


def test_a_fresh_download_is_not_repeated_and_that_is_said(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    said: list[str] = []
    first = join(make())
    server.requests.clear()
    second = join(make(cache_max_age=3600.0, warn=said.append, column="Close"))
    assert server.requests == []
    assert second.time.tolist() == first.time.tolist()
    assert second.values.tolist() == first.values.tolist()
    (note,) = said
    assert note.startswith("AAPL: using prices cached 2")


def test_an_older_download_is_repeated(server: YahooServer, make: Callable[..., YahooSource], tmp_path: Path) -> None:
    make()
    age_cache(tmp_path, timedelta(hours=2))
    server.requests.clear()
    make(cache_max_age=3600.0)
    assert server.requests != []


@pytest.mark.parametrize("options", [{"interval": "1wk"}, {"period": "1y"}, {"adjusted": False}, {"start": "2010-01-01"}])
def test_another_request_does_not_get_the_cached_prices(
    server: YahooServer, make: Callable[..., YahooSource], options: dict[str, Any]
) -> None:
    make()
    server.requests.clear()
    make(cache_max_age=3600.0, **options)
    assert server.requests != []


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("rate_limit", "HTTP 429"), ("server_error", "server failed"), ("black_hole", "no answer from Yahoo within 0.3 s")],
)
def test_cached_prices_of_any_age_stand_in_while_yahoo_fails(
    server: YahooServer, make: Callable[..., YahooSource], tmp_path: Path, mode: Mode, reason: str
) -> None:
    said: list[str] = []
    fetched = join(make())
    moment = age_cache(tmp_path, timedelta(days=400))
    server.mode = mode
    cached = join(make(warn=said.append, deadline=0.3 if mode == "black_hole" else 20.0))
    assert cached.values.tolist() == fetched.values.tolist()
    (note,) = said
    assert reason in note
    assert note.endswith(f"; using prices cached {moment:%Y-%m-%d %H:%M} UTC")


def test_cached_prices_do_not_hide_that_yahoo_has_none(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    make()
    del server.series["AAPL"]
    with pytest.raises(DataError, match="knows no such ticker"):
        make()


def test_a_damaged_cache_file_is_fetched_anew(server: YahooServer, make: Callable[..., YahooSource], tmp_path: Path) -> None:
    whole = join(make())
    (kept,) = tmp_path.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    again = join(make(cache_max_age=3600.0))
    assert again.values.tolist() == whole.values.tolist()
    assert len(list(tmp_path.glob("*.npz"))) == 1


def test_a_cache_folder_that_cannot_be_written_costs_a_warning_only(make: Callable[..., YahooSource], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    source = make(cache_dir=tmp_path / "file" / "cache", warn=said.append)
    assert source.points == 1259
    assert "could not be kept" in said[0]


def test_the_default_cache_folder_follows_the_xdg_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "lstm-autoencoder" / "yahoo"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_folder() == Path.home() / ".cache" / "lstm-autoencoder" / "yahoo"


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    days=st.lists(st.dates(date(1970, 1, 1), date(2100, 1, 1)), min_size=1, max_size=8, unique=True),
    price=st.floats(allow_nan=True, allow_infinity=False),
    cut=st.floats(0.0, 1.0, exclude_max=True),
)
def test_the_cache_gives_back_what_was_saved_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, days: list[date], price: float, cut: float
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    request = check_request("AAPL", period="1y", start=None, end=None, interval="1d", adjusted=True)
    values = np.full((len(days), len(COLUMNS)), price)
    saved = Prices(np.array(sorted(days), "datetime64[ns]"), values, "Asia/Tokyo", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC))
    save_prices(folder, request, saved)
    loaded = load_prices(folder, request)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.time, saved.time)
    np.testing.assert_array_equal(loaded.values, saved.values)
    assert (loaded.timezone, loaded.fetched) == (saved.timezone, saved.fetched)
    file = cache_file(folder, request)
    file.write_bytes(file.read_bytes()[: int(cut * file.stat().st_size)])
    assert load_prices(folder, request) is None


# --- following -------------------------------------------------------------------------------------------------------------


class Script:
    """Stands for the clock and the waiting of a followed source: each wait does the next thing on a list."""

    def __init__(self, now: datetime, *steps: Callable[[], None]) -> None:
        self.now = now
        self._steps = iter(steps)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        next(self._steps)()


def days_and_closes(source: YahooSource) -> list[list[tuple[str, float]]]:
    """What each chunk of a followed source holds."""
    return [
        [(str(day)[:10], float(close)) for day, (close,) in zip(chunk.time, chunk.values, strict=True)]
        for chunk in source.chunks()
    ]


def test_following_yields_each_bar_once_and_only_when_it_is_complete(
    server: YahooServer, make: Callable[..., YahooSource]
) -> None:
    bars: list[Bar] = [daily_bar(date(2013, 2, 26), 1.0), daily_bar(date(2013, 2, 27), 2.0), daily_bar(date(2013, 2, 28), 3.0)]
    server.series["AAPL"] = bars

    def change_the_last_bar() -> None:
        bars[-1] = daily_bar(date(2013, 2, 28), 3.5)

    def begin_a_new_bar() -> None:
        bars.append(daily_bar(date(2013, 3, 1), 4.0))

    def pass_midnight() -> None:
        script.now = datetime(2013, 3, 2, 0, 0, tzinfo=EXCHANGE)

    noon = datetime(2013, 2, 28, 12, 0, tzinfo=EXCHANGE)
    script = Script(noon, change_the_last_bar, begin_a_new_bar, lambda: None, pass_midnight, lambda: None)
    source = make(follow=True, max_polls=5, sleep=script.sleep, clock=script.clock)
    assert source.points is None
    history, first, second = days_and_closes(source)
    assert history == [("2013-02-26", 1.0), ("2013-02-27", 2.0)]
    assert first == [("2013-02-28", 3.5)]
    assert second == [("2013-03-01", 4.0)]


def test_following_outlives_failures_warns_once_an_outage_and_loses_no_bar(
    server: YahooServer, make: Callable[..., YahooSource]
) -> None:
    bars = [daily_bar(date(2013, 2, 26), 1.0)]
    server.series["AAPL"] = bars
    said: list[str] = []

    def fail() -> None:
        server.mode = "server_error"
        bars.append(daily_bar(date(2013, 2, 26) + timedelta(days=len(bars)), 1.0 + len(bars)))

    def recover() -> None:
        server.mode = "normal"

    script = Script(datetime(2013, 6, 1, tzinfo=UTC), fail, fail, recover, fail, recover)
    source = make(follow=True, max_polls=5, poll=30.0, sleep=script.sleep, clock=script.clock, warn=said.append)
    assert [len(chunk) for chunk in days_and_closes(source)] == [1, 2, 1]
    assert len(said) == 2
    assert all("server failed" in note and note.endswith("trying again every 30 s") for note in said)


def test_following_can_begin_with_a_bar_that_is_still_forming(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    server.series["NEW"] = [daily_bar(date(2013, 2, 26), 1.0)]

    def pass_midnight() -> None:
        script.now += timedelta(days=1)

    script = Script(datetime(2013, 2, 26, 12, 0, tzinfo=EXCHANGE), pass_midnight)
    source = make("NEW", follow=True, max_polls=1, sleep=script.sleep, clock=script.clock)
    assert days_and_closes(source) == [[("2013-02-26", 1.0)]]


def test_following_minutes_goes_by_utc(server: YahooServer, make: Callable[..., YahooSource]) -> None:
    opening = datetime(2013, 3, 1, 9, 30, tzinfo=EXCHANGE)
    bars = [minute_bar(opening, 1.0), minute_bar(opening + timedelta(minutes=1), 2.0)]
    server.series["AAPL"] = bars

    def go_on() -> None:
        bars.append(minute_bar(opening + timedelta(minutes=2), 3.0))
        script.now = opening + timedelta(minutes=2, seconds=1)

    script = Script(opening + timedelta(seconds=90), go_on)
    source = make(interval="1m", period="1d", follow=True, max_polls=1, sleep=script.sleep, clock=script.clock)
    minutes = [chunk.time.astype("datetime64[m]").astype(str).tolist() for chunk in source.chunks()]
    assert minutes == [["2013-03-01T14:30"], ["2013-03-01T14:31"]]


@pytest.mark.parametrize(
    ("begin", "interval", "end"),
    [
        ("2013-03-01T14:30", "90m", "2013-03-01T16:00"),
        ("2013-03-01", "1d", "2013-03-02"),
        ("2013-02-25", "1wk", "2013-03-04"),
        ("2012-02-01", "1mo", "2012-03-01"),
        ("2012-11-15", "3mo", "2013-02-01"),
    ],
)
def test_a_bar_ends_with_its_interval(begin: str, interval: str, end: str) -> None:
    assert bar_end(np.datetime64(begin, "ns"), interval) == np.datetime64(end, "ns")


@pytest.mark.parametrize(("now", "complete"), [("2013-03-01T14:59:59", 1), ("2013-03-01T15:00:00", 2)])
def test_a_day_ends_at_midnight_of_the_exchange(now: str, complete: int) -> None:
    days = np.array(["2013-02-28", "2013-03-01"], "datetime64[ns]")
    prices = Prices(days, np.ones((2, len(COLUMNS))), "Asia/Tokyo", datetime(2013, 3, 1, tzinfo=UTC))
    assert len(complete_bars(prices, "1d", datetime.fromisoformat(now).replace(tzinfo=UTC))) == complete


# --- imports ---------------------------------------------------------------------------------------------------------------


def test_importing_the_source_imports_neither_pandas_nor_yfinance() -> None:
    run = run_python("import sys, data.yahoo; print({'pandas', 'yfinance', 'curl_cffi'} & set(sys.modules))")
    assert run.stdout == "set()\n"


def test_tensorflow_and_the_download_work_in_either_order(server: YahooServer, tmp_path: Path) -> None:
    tensorflow = "import tensorflow; print(int(tensorflow.reduce_sum(tensorflow.ones(3))))"
    download = "from data.yahoo import YahooSource; print(YahooSource('AAPL', cache_max_age=0).points)"
    environment = {"XDG_CACHE_HOME": str(tmp_path), **server.environment()}
    orders = [f"{tensorflow}\n{download}", f"{download}\n{tensorflow}"]
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda code: run_python(code, **environment), orders))
    assert [run.stdout for run in runs] == ["3\n1259\n", "1259\n3\n"]


def test_a_curl_that_was_spoilt_by_tensorflow_is_named() -> None:
    from curl_cffi.requests.exceptions import ImpersonateError

    assert "import curl_cffi first" in str(explain("AAPL", ImpersonateError("Impersonating chrome150 is not supported")))
