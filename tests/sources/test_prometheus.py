"""Series of a real Prometheus, also through a server that misbehaves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.chunks import with_rows
from helpers.cli import GAUSSIAN, Program, assert_refused, assert_same_results, wave
from helpers.prometheus_server import Gate, Prometheus, backfill, needs_prometheus, says_json
from helpers.webhook_server import Say, hang_up, isolate, silence
from helpers.yahoo_server import make_certificate

from autoencoder.core.errors import InputError, SourceError
from autoencoder.sources import prometheus
from autoencoder.sources.chunk import Chunk
from autoencoder.sources.prometheus import PrometheusSource
from autoencoder.sources.prometheus_api import Access

pytestmark = [needs_prometheus, pytest.mark.timeout(60)]
HOSTS = ("a", "b", "c")
COUNT = 1200  # points of each
STEP = 60
MANY = 50_000
PASSWORD = "test"
USERS = "basic_auth_users: {me: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay}"


@dataclass(frozen=True)
class Server:
    url: str
    end: int  # seconds since 1970 of the newest sample
    samples: list[tuple[int, str, str]]  # time, host and value, by time


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three series of a sample a minute: ``b`` has a gap, and ``c`` values that are none. And a metric of many series."""
    folder = tmp_path_factory.mktemp("prometheus")
    end = int(time.time()) // STEP * STEP - STEP
    odd = {("c", COUNT - 7): "NaN", ("c", COUNT - 5): "+Inf"}
    samples = [
        (end - STEP * (COUNT - 1 - row), host, odd.get((host, row), str(value)))
        for row, value in enumerate(wave(COUNT))
        for host in HOSTS
        if not (host == "b" and 900 <= row < 960)
    ]
    lines = ["# TYPE cpu gauge"]
    lines += [f'cpu{{host="{host}",job="x"}} {value} {at}' for host in HOSTS for at, owner, value in samples if owner == host]
    backfill(folder, [*lines, "# TYPE many gauge", *(f'many{{n="{n}"}} 1 {end}' for n in range(MANY))])
    # it looks back for less than a step, so that a gap of one sample is one
    with Prometheus(folder, "{}", "--query.lookback-delta=59s") as running:
        yield Server(running.url, end, samples)


class Clock:
    """A present that only sleep moves on; the first sleep may be a longer one, as of a machine that is suspended."""

    def __init__(self, now: float, suspended: float = 0.0) -> None:
        self.now, self._suspended = now, suspended

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now, self._suspended = self.now + max(seconds, self._suspended), 0.0


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def source(
    server: Server, url: str = "", query: str = "cpu", *, behind: float = -0.5, suspended: float = 0.0, **options: Any
) -> PrometheusSource:
    """The source as it would be made so many seconds before the newest sample."""
    clock = Clock(server.end - behind, suspended)
    usual = {"history": STEP * (COUNT - 1), "delay": 0, "clock": clock, "sleep": clock.sleep, "step": STEP}
    return PrometheusSource(url or server.url, query, **{**usual, **options})


def rows(source: PrometheusSource, chunks: list[Chunk]) -> list[tuple[int, str, float]]:
    return [
        (int(at) // 10**9, source.series[place], value)
        for chunk in chunks
        for at, place, value in zip(chunk.time.view(np.int64), chunk.series, chunk.values[:, 0].tolist(), strict=True)
    ]


def same(some: list[tuple[int, str, float]], others: list[tuple[int, str, float]]) -> bool:
    return [repr(row) for row in some] == [repr(row) for row in others]  # NaN is NaN


def test_a_history_is_read_whole_in_pages_with_the_labels(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [
        (at, f'cpu{{host="{host}",job="x"}}', math.nan if math.isinf(float(value)) else float(value))
        for at, host, value in server.samples
    ]
    whole = source(server)
    assert same(rows(whole, [*whole.chunks()]), expected) and whole.length == len(expected)
    monkeypatch.setattr(prometheus, "PAGE_POINTS", 300)
    with Gate(server.url) as gate:
        paged = source(server, gate.url)
        assert same(rows(paged, [*paged.chunks()]), expected)
        assert len(gate.ranges) == COUNT // 100  # of 100 points each


def test_a_series_may_have_more_points_than_prometheus_gives_at_once(server: Server) -> None:
    dense = source(server, query="time()", step=0.5, history=10_000)
    (chunk,) = (Chunk.concatenate([*dense.chunks()]),)
    assert dense.series == ["time()"] and len(chunk) == 20_001
    assert np.array_equal(chunk.time.view(np.int64) / 1e9, chunk.values[:, 0])
    assert np.unique(np.diff(chunk.time)) == np.timedelta64(500, "ms")


def test_a_run_finds_what_it_finds_in_a_csv_file_with_the_same_data(program: Program, server: Server) -> None:
    names = {host: f'"cpu{{host=""{host}"",job=""x""}}"' for host in HOSTS}
    lines = [f"{at},{value.replace('+Inf', 'NaN')},{names[host]}" for at, host, value in server.samples]
    Path("cpu.csv").write_text("\n".join(["timestamp,value,host", *lines]) + "\n")
    assert program("cpu.csv", "--series-column", "host", "--out", "csv", *GAUSSIAN).code == 0
    ago = int(time.time()) - server.end + STEP * COUNT  # from the first sample on, give or take a step without samples
    call = ("--source", "prometheus", "--url", server.url, "--query", "cpu", "--set", f"prometheus.history={ago}")
    outcome = program(*call, "--set", "prometheus.delay=0", "--out", "o", *GAUSSIAN)
    assert outcome.code == 0 and outcome.err.count("infinite") == 1
    assert_same_results(Path("csv"), Path("o"))


@pytest.mark.parametrize("cut", [1, 3, 700, 2998])  # also between two series of the same time
@pytest.mark.parametrize("follow", [False, True])
def test_a_run_goes_on_behind_any_row(server: Server, monkeypatch: pytest.MonkeyPatch, cut: int, follow: bool) -> None:
    monkeypatch.setattr(prometheus, "PAGE_POINTS", 900)
    whole = source(server)
    expected = rows(whole, [*whole.chunks()])
    first = source(server, follow=follow)
    parts, done = [], 0
    for chunk in first.chunks():
        parts.append(chunk[: cut - done])
        done += len(parts[-1])
        if done == cut:
            break
    memory = first.memory(cut)
    again = source(server, follow=follow, behind=-0.5 if follow else -7200)
    again.recall(memory)
    rest = again.chunks(cut)
    count = len(expected) - cut
    chunks = [*rest] if not follow else []
    while sum(map(len, chunks)) < count:
        chunks += islice(rest, 1)
    assert same(rows(first, parts) + rows(again, chunks), expected)


def test_a_run_follows_and_catches_up(server: Server) -> None:
    live = source(server, follow=True, behind=600.5, suspended=300, delay=5.0, history=STEP)
    got: list[tuple[int, str, float]] = []
    for chunk in with_rows(live):
        got += rows(live, [chunk])
        if got[-1][0] >= server.end - STEP:
            break
    assert live.clock() == pytest.approx(server.end - STEP + 5, abs=0.1)
    expected = [each for each in server.samples if server.end - 720 <= each[0] <= server.end - STEP]
    assert [(at, name[10]) for at, name, _ in got] == [(at, host) for at, host, _ in expected]


FAULTS = [
    Say(429, {"Retry-After": "0"}),
    500,
    503,
    hang_up,
    says_json(200, b'{"status":"success","data":{"resultType":"matrix","res', 5000),
    says_json(200, b'{"status":"success","data":{"resultType":"matrix","res'),
    says_json(200, {"status": "success", "warnings": ["store a is down"], "data": {"resultType": "matrix", "result": []}}),
    says_json(200, {"status": "error", "errorType": "timeout", "error": "query timed out"}),
    says_json(503, {"status": "error", "errorType": "unavailable", "error": "starting"}),
    silence,
]


@pytest.mark.parametrize("follow", [False, True])
def test_whatever_goes_wrong_for_a_while_is_said_once_and_loses_nothing(server: Server, follow: bool) -> None:
    said: list[str] = []
    access = Access(retries=3 if follow else len(FAULTS), backoff=0.001, max_backoff=0.01, timeout=0.3)
    with Gate(server.url, [] if follow else FAULTS) as gate:
        shaky = source(server, gate.url, access=access, warn=said.append, follow=follow, behind=1190 * follow, history=600)
        chunks = with_rows(shaky)
        parts = [*islice(chunks, 1 if follow else None)]
        if follow:  # more faults than retries, and some that are final at the start
            gate.first += [*FAULTS, 400, 401]
            while (parts[-1].time[-1].astype("datetime64[s]").astype(int)) < server.end:
                parts += islice(chunks, 1)
    begin = server.end - 600 - 1200 * follow
    expected = [(at, host) for at, host, _ in server.samples if at >= begin]
    assert [(at, name[10]) for at, name, _ in rows(shaky, parts)] == expected
    trouble = [sentence for sentence in said if "infinite" not in sentence]
    assert trouble == [f"{gate.url}: it answers HTTP 429; trying again", f"{gate.url} answers again"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (FAULTS[1], "it answers HTTP 500"),
        (hang_up, "no connection, or it broke off"),
        (FAULTS[4], "its answer is cut off"),
        (FAULTS[5], "its answer is cut off"),
        (FAULTS[6], r"its answer is incomplete \(store a is down\)"),
        (FAULTS[7], "timeout: query timed out"),
        (silence, "no answer within 0.1 s"),
        (
            says_json(200, {"status": "success", "data": {"result": [{"metric": {}, "values": [[1, "high"]]}]}}),
            "no points .*'high'",
        ),
    ],
)
def test_what_goes_wrong_for_good_is_one_sentence(server: Server, fault: Any, words: str) -> None:
    access = Access(retries=1, backoff=0.001, timeout=0.1)
    with Gate(server.url) as gate, pytest.raises(SourceError, match=words):
        gate.then = fault
        source(server, gate.url, access=access, history=STEP * 9)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says_json(200, b"<html>"), "does not answer as Prometheus does"),
        (says_json(200, {"status": "success", "data": {}}), "does not answer as Prometheus does"),
        (Say(302, {"Location": "/login"}), "a redirect"),
        (says_json(422, {"status": "error", "errorType": "execution", "error": "many-to-many matching"}), "many-to-many"),
        (says_json(200, {"status": "success", "data": {"result": [{"metric": {}, "histograms": []}]}}), "native histogram"),
        (403, "refuses access without a token"),
    ],
)
def test_a_strange_answer_is_one_sentence(server: Server, answer: Any, words: str) -> None:
    with Gate(server.url, [answer]) as gate, pytest.raises(InputError, match=words):
        source(server, gate.url)


def test_an_answer_without_points_is_asked_for_again_while_following(server: Server) -> None:
    said: list[str] = []
    odd = says_json(200, {"status": "success", "data": {"result": [{"metric": {}, "values": "x"}]}})
    with Gate(server.url) as gate:
        live = source(server, gate.url, follow=True, warn=said.append, behind=STEP, history=0)
        gate.first.append(odd)
        assert [len(chunk) for chunk in islice(with_rows(live), 2)] == [3, 3]
    assert said[0].startswith(f"{gate.url}: its answer holds no points") and said[1:] == [f"{gate.url} answers again"]


@pytest.mark.parametrize(
    "fault",
    [
        silence,
        says_json(422, {"status": "error", "errorType": "execution", "error": "query processing would load too many samples"}),
        says_json(503, {"status": "error", "errorType": "timeout", "error": "query timed out"}),
        says_json(200, b"x" * (2 << 20)),
    ],
)
def test_less_is_asked_for_where_it_was_too_much(server: Server, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    monkeypatch.setattr("autoencoder.sources.prometheus_api.MAX_ANSWER_BYTES", 1 << 20)
    with Gate(server.url, [fault, fault]) as gate:
        patient = source(server, gate.url, access=Access(retries=0, timeout=0.3))
        assert patient.length == len(server.samples) and len(gate.ranges) == 2 + 16
        gate.then = fault
        with pytest.raises(SourceError):
            source(server, gate.url, access=Access(retries=0, timeout=0.05), history=STEP)


def test_series_that_come_later_are_taken_in_up_to_the_limit(server: Server) -> None:
    said: list[str] = []
    query = f'cpu{{host="a"}} or (cpu{{host!="a"}} and on () (vector(time()) >= {server.end}))'
    live = source(server, query=query, follow=True, behind=STEP, history=STEP, max_series=2, warn=said.append)
    got = rows(live, [*islice(with_rows(live), 2)])
    assert [(at - server.end, name[10]) for at, name, _ in got] == [(-120, "a"), (-60, "a"), (0, "a"), (0, "b")]
    assert said == [f'{live.name}: series beyond 2 (prometheus.max_series) are left out, first cpu{{host="c",job="x"}}']


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--query", "cpu["], ["refuses the query", "parse error"]),
        (["--query", "cpu[5m]"], ["refuses the query", "range vector"]),
        (["--query", "no_such_metric"], ["gives nothing from", "prometheus.history"]),
        (["--query", "many"], ["gives 50,000 series", "at most 10,000"]),
        (["--url", "http://127.0.0.1:9/"], ["127.0.0.1:9: the connection is refused", "check that it is up"]),
        (["--url", "127.0.0.1:9090"], ["prometheus.url is '127.0.0.1:9090'", "http://localhost:9090"]),
        (["--url", "http://me:word@127.0.0.1:9"], ["user and password into environment variables"]),
        (["--step", "soon"], ["prometheus.step is 'soon'"]),
        (["--set", "prometheus.http.token_env=s3cr3t"], ["token_env is no name of an environment variable"]),
        (["--set", "prometheus.http.token_env=NO_SUCH"], ["NO_SUCH, which is not set"]),
        (["--set", "prometheus.http.user_env=HOME"], ["belong together"]),
        (["--set", "prometheus.http.ca_env=NO_FILE"], ["NO_FILE holds no path of a file"]),
    ],
)
def test_the_wrong_thing_is_one_sentence(
    program: Program, server: Server, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.setenv("NO_FILE", "/no/such/file")
    at = f"prometheus.delay={time.time() - server.end}"
    usual = ("--url", server.url, "--query", "cpu", "--set", "prometheus.http.retries=0", "--set", at)
    outcome = program("--source", "prometheus", *usual, *GAUSSIAN, *arguments, "--out", "o")
    assert_refused(outcome, words, 1 if "refused" in words[0] else 2)
    assert not {"word", "s3cr3t"} & set(outcome.err.replace(":", " ").replace("@", " ").split())


def test_a_token_goes_out_and_a_wrong_one_is_one_sentence(server: Server) -> None:
    with Gate(server.url, authorization="Bearer right") as gate:
        assert source(server, gate.url, access=Access(token="right", login=("me", "x")), history=0).length == 3
        with pytest.raises(InputError, match=r"refuses the token or password that was sent \(HTTP 401\)"):
            source(server, gate.url, access=Access(token="wrong"))


def test_a_password_and_a_certificate_come_from_the_environment(
    program: Program, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = make_certificate(tmp_path / "server.pem", ["localhost"])
    (tmp_path / "web.yml").write_text(f"tls_server_config: {{cert_file: {pem}, key_file: {pem}}}\n{USERS}\n")
    for name, value in {"ME": "me", "WORD": PASSWORD, "CA": str(pem)}.items():
        monkeypatch.setenv(name, value)
    config = "global: {scrape_interval: 1s}"
    with Prometheus(tmp_path, config, f"--web.config.file={tmp_path}/web.yml") as secure:
        url = f"https://localhost:{secure.port}"
        call = ["--source", "prometheus", "--url", url, "--query", "time()", "--set", "prometheus.step=1", *GAUSSIAN]
        call += ["--set", "prometheus.history=400"]
        ca, login = (
            ["--set", "prometheus.http.ca_env=CA"],
            [
                *("--set", "prometheus.http.user_env=ME"),
                *("--set", "prometheus.http.password_env=WORD"),
            ],
        )
        assert_refused(program(*call, *login, "--out", "o"), ["certificate is not trusted"])
        assert_refused(program(*call, *ca, "--out", "o"), ["refuses access without a token (HTTP 401)"])
        wrong = [argument.replace("https", "http") for argument in call]
        assert_refused(program(*wrong, "--out", "o"), ["does not answer as Prometheus does (HTTP 400)"])
        assert program(*call, *ca, *login, "--out", "o").code == 0
        assert PASSWORD not in (tmp_path / "o" / "config.yaml").read_text()
        insecure = program(*call, *login, "--set", "prometheus.http.insecure=true", "--out", "p")
        assert insecure.code == 0 and "arning" not in insecure.err
