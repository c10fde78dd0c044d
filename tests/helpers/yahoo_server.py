"""A loopback server that speaks enough of Yahoo's chart service for the real yfinance client, and misbehaves on demand.

It answers the cookie page, ``/v1/test/getcrumb`` and ``/v8/finance/chart/TICKER``, the latter out of ``data/samples/aapl.csv``. The real
client reaches it with the product unmodified, by ``server.environment()``, or through ``server.session()``.

For the server it is always the evening of a series' last day: ``range=5y`` means the five years up to its last bar, so a
sample that ends in 2013 answers as it would have then. The interval asked for is not looked at: bars are served as they are
held. Adjusted closes equal the closes unless the series says otherwise, and there are no split or dividend events.
"""

from __future__ import annotations

import csv
import json
import math
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "aapl.csv"
EXCHANGE = ZoneInfo("America/New_York")
OPENS, CLOSES = time(9, 30), time(16, 0)
PERIODS = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
LOOPBACK = "127.0.0.1"
HOSTS = ["*.yahoo.com", "*.finance.yahoo.com"]  # all that yfinance talks to

Mode = Literal["normal", "empty", "null", "rate_limit", "server_error", "maintenance", "black_hole", "no_tunnel"]
"""How the server behaves: ``empty`` has a chart without bars and ``null`` no chart at all, ``maintenance`` is Yahoo's page for
planned outages, ``black_hole`` takes a request and never answers it, ``no_tunnel`` is a proxy that reaches no Yahoo."""


@dataclass(frozen=True)
class Bar:
    """Prices over one interval; None is what Yahoo sends as null. ``begin`` counts seconds since 1970 UTC."""

    begin: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: int | None
    adjusted_close: float | None


def daily_bar(day: date, price: float | None, volume: int | None = 1000) -> Bar:
    """A day on which nothing moved, stamped with the opening of New York's exchange as Yahoo does."""
    begin = int(datetime.combine(day, OPENS, EXCHANGE).timestamp())
    return Bar(begin, price, price, price, price, volume, price)


def minute_bar(begin: datetime, price: float | None) -> Bar:
    """A minute on which nothing moved; ``begin`` knows its time zone."""
    return Bar(int(begin.timestamp()), price, price, price, price, 1000, price)


@lru_cache
def read_sample(*, adjusted: bool = False) -> tuple[Bar, ...]:
    """The sample's days; with ``adjusted`` their adjusted closes too, else those equal the closes."""
    bars = []
    with SAMPLE.open(newline="") as file:
        for row in csv.DictReader(file):
            begin = int(datetime.combine(date.fromisoformat(row["timestamp"]), OPENS, EXCHANGE).timestamp())
            prices = [float(row[name]) for name in ("open", "high", "low", "close")]
            adjusted_close = float(row["adj_close"]) if adjusted else prices[-1]
            bars.append(Bar(begin, *prices, int(row["volume"]), adjusted_close))
    return tuple(bars)


class YahooServer:
    """The loopback server; a context manager.

    Attributes:
        series: bars in order of time, by ticker; any other ticker is unknown. May be changed while serving.
        mode: how it behaves; may be changed while serving.
        requests: the paths, with their query, that were asked for so far.
    """

    def __init__(self, mode: Mode = "normal") -> None:
        """Start serving on ports of 127.0.0.1 that are free."""
        self.series: dict[str, Sequence[Bar]] = {"AAPL": read_sample()}
        self.mode: Mode = mode
        self.requests: list[str] = []
        self.closing = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="yahoo-server-")
        self._certificate = make_certificate(Path(self._folder.name, "server.pem"))
        self._plain = _Server(self, _ChartHandler)
        self.secure = _Server(self, _ChartHandler, self._certificate)
        self._proxy = _Server(self, _ProxyHandler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving: requests in the black hole are dropped, later connections refused."""
        self.closing.set()
        for server in (self._plain, self.secure, self._proxy):
            server.shutdown()
            server.server_close()
        self._folder.cleanup()

    def environment(self) -> dict[str, str]:
        """The two variables that lead an unmodified yfinance to a proxy, which hands every tunnel to a TLS server on this machine."""
        proxy = f"http://{LOOPBACK}:{self._proxy.server_port}"
        return {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(self._certificate)}

    def session(self, host: str = LOOPBACK) -> Any:
        """A session for yfinance whose every request goes to this server's port of ``host``."""
        from curl_cffi import CurlOpt, requests

        address = f"http://{host}:{self._plain.server_port}"

        class RedirectedSession(requests.Session):
            def request(self, method: str, url: str, **options: Any) -> Any:
                return super().request(method, f"{address}{urlsplit(url).path}", **options)

        # Proxies that the environment may name are for other hosts than this machine.
        return RedirectedSession(impersonate="chrome", curl_options={CurlOpt.NOPROXY: "*"})

    def reply(self, path: str) -> tuple[int, str]:
        """Status and body of the answer to a GET of ``path``."""
        self.requests.append(path)
        match self.mode:
            case "black_hole":
                self.closing.wait()
                return 503, "closing"
            case "rate_limit":
                return 429, "Too Many Requests\r\n"
            case "server_error":
                return 500, "<html><body>Internal Server Error</body></html>"
            case "maintenance":
                return 200, "<html><body>Will be right back...</body></html>"
        url = urlsplit(path)
        if url.path == "/v1/test/getcrumb":
            return 200, "loopback"
        if url.path.startswith("/v8/finance/chart/"):
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            return self._chart(url.path.rsplit("/", 1)[-1], query)
        return 404, "<html><body>Not Found</body></html>"

    def _chart(self, ticker: str, query: Mapping[str, str]) -> tuple[int, str]:
        bars = self.series.get(ticker)
        if bars is None:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return 404, json.dumps({"chart": {"result": None, "error": error}})
        if self.mode == "null":
            return 200, json.dumps({"chart": {"result": None, "error": None}})
        chosen = [] if self.mode == "empty" else choose(bars, query)
        return 200, json.dumps({"chart": {"result": [chart_result(ticker, chosen, query)], "error": None}})


def choose(bars: Sequence[Bar], query: Mapping[str, str]) -> list[Bar]:
    """The bars from period1 up to but without period2, or those of the range that ends with the last bar."""
    if "period1" in query:
        return [bar for bar in bars if int(query["period1"]) <= bar.begin < int(query["period2"])]
    last = datetime.fromtimestamp(bars[-1].begin, EXCHANGE).date()
    first_day = range_start(query["range"], last)
    first = datetime.combine(first_day, time.min, EXCHANGE).timestamp() if first_day > date.min else -math.inf
    return [bar for bar in bars if bar.begin >= first]


def range_start(period: str, last: date) -> date:
    """The first day of the range that ends on the day ``last``, both included: "5y", 2013-03-01 -> 2008-03-02."""
    if period == "max":
        return date.min
    if period == "ytd":
        return last.replace(month=1, day=1)
    count = int(period.rstrip("dmoy"))
    if period.endswith("d"):
        return last - timedelta(days=count - 1)
    months = last.year * 12 + last.month - 1 - count * (12 if period.endswith("y") else 1)
    day_before = date(months // 12, months % 12 + 1, min(last.day, 28))
    return day_before + timedelta(days=1)


def chart_result(ticker: str, bars: Sequence[Bar], query: Mapping[str, str]) -> dict[str, Any]:
    """The ``result`` of Yahoo's chart answer; without bars it has no ``timestamp`` and an empty quote, as Yahoo's has."""
    interval = query.get("interval", "1d")
    meta: dict[str, Any] = {"currency": "USD", "symbol": ticker, "exchangeName": "NMS", "instrumentType": "EQUITY"}
    meta |= {"gmtoffset": -18000, "timezone": "EST", "exchangeTimezoneName": EXCHANGE.key}
    meta |= {"dataGranularity": interval, "range": query.get("range", ""), "validRanges": PERIODS}
    if interval[-1] in "mh":
        meta["tradingPeriods"] = []
        for day in sorted({datetime.fromtimestamp(bar.begin, EXCHANGE).date() for bar in bars}):
            opens, closes = (int(datetime.combine(day, at, EXCHANGE).timestamp()) for at in (OPENS, CLOSES))
            meta["tradingPeriods"].append([{"timezone": "EST", "gmtoffset": -18000, "start": opens, "end": closes}])
    if not bars:
        return {"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}}
    quote = {name: [getattr(bar, name) for bar in bars] for name in ("open", "high", "low", "close", "volume")}
    indicators = {"quote": [quote], "adjclose": [{"adjclose": [bar.adjusted_close for bar in bars]}]}
    return {"meta": meta, "timestamp": [bar.begin for bar in bars], "indicators": indicators}


def make_certificate(path: Path, hosts: Sequence[str] = HOSTS) -> Path:
    """A PEM file with a key and a certificate for ``hosts`` that vouches for itself, valid for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Throwaway test authority")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(pem, private, serialization.NoEncryption()) + builder.sign(key, hashes.SHA256()).public_bytes(pem)
    )
    return path


class _Server(ThreadingHTTPServer):
    """One listening port, served by threads that hold up neither close() nor the end of the process."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        yahoo: YahooServer,
        handler: type[BaseHTTPRequestHandler],
        certificate: Path | None = None,
    ) -> None:
        super().__init__((LOOPBACK, 0), handler)
        self.yahoo = yahoo
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake is left to the thread of the connection; here it would block the accepting one.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that gives up in the midst of an answer is part of the play."""


class _ChartHandler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: in two, the second waits 40 ms for the first to be acknowledged

    def do_GET(self) -> None:
        status, text = self.server.yahoo.reply(self.path)
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if text.startswith("{") else "text/html")
        self.send_header("Content-Length", str(len(body)))
        expires = (datetime.now(UTC) + timedelta(days=365)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        self.send_header("Set-Cookie", f"A3=d=loopback; Expires={expires}; Domain=.yahoo.com; Path=/; Secure")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing; ``YahooServer.requests`` is the log."""


class _ProxyHandler(_ChartHandler):
    wbufsize = 0

    def do_CONNECT(self) -> None:
        if self.server.yahoo.mode == "no_tunnel":
            self.send_error(502, "Bad Gateway")
            return
        with socket.create_connection((LOOPBACK, self.server.yahoo.secure.server_port)) as upstream:
            self.send_response(200, "Connection established")
            self.end_headers()
            other = {self.connection: upstream, upstream: self.connection}
            while True:  # until one side closes
                for side in select.select(list(other), [], [])[0]:
                    data = side.recv(65536)
                    if not data:
                        return
                    other[side].sendall(data)
