"""Sources: where the points of a configuration come from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from autoencoder.config import Config
from autoencoder.config.sources import duration
from autoencoder.core.errors import ConfigError, InputError
from autoencoder.core.http import secret
from autoencoder.sources.chunk import Source
from autoencoder.sources.reading import Reading
from autoencoder.sources.schema import ALL, ColumnSelection

Warn = Callable[[str], None]

CHUNK_ROWS = 4096
ROWS_OF_MANY = 1 << 16  # rows of many series that are scored at a time


def open_source(config: Config, warn: Warn) -> Source:
    """The source that the configuration names; SourceError where it cannot be read, ConfigError where a setting is missing."""
    source = _SOURCES[config.source](config, warn)
    if len(source.columns) > 1 and not is_joint(config):
        from autoencoder.sources.wrapped import ColumnSeries

        source = ColumnSeries(source)
    transform = config.input.transform
    if transform == "auto" or transform == "none" or transform == "prices":
        return source
    from autoencoder.sources.wrapped import TransformedSource

    return TransformedSource(source, transform, warn)


def is_joint(config: Config) -> bool:
    """Whether one detector judges all columns."""
    if config.columns.joint is not None:
        return config.columns.joint
    return config.source == "yfinance" or config.csv.columns != (ALL,)


def _synthetic(config: Config, warn: Warn) -> Source:
    from autoencoder.sources.synthetic import KINDS, Signal, SyntheticSource

    chosen, anomalies = config.synthetic, config.synthetic.anomalies
    signal = chosen.model_dump(include={"level", "trend", "drift", "level_shift", "level_shift_at", "noise", "missing"})
    signal |= chosen.season.model_dump() | {f"long_{name}": value for name, value in chosen.long_season}
    return SyntheticSource(
        length=chosen.points,
        seed=config.seed,
        signal=Signal(**signal),
        kinds=tuple(kind for kind in KINDS if getattr(anomalies, kind)),
        rate=anomalies.rate,
        size=anomalies.size,
        start_after=anomalies.start_after,
        interval=chosen.interval,
        points_per_second=chosen.points_per_second,
    )


def _yfinance(config: Config, warn: Warn) -> Source:
    from autoencoder.sources.yahoo import YahooSource

    if not config.yfinance.ticker:
        raise ConfigError("yfinance.ticker is not set; give --ticker, e.g. --ticker AAPL")
    chosen = config.yfinance.model_dump() | {"follow": config.follow, "warn": warn, "aside": config.judges_prices}
    if isinstance(config.yfinance.ticker, str):
        return YahooSource(**chosen)
    from autoencoder.sources.several import MarketSource

    if len({ticker.strip().upper() for ticker in config.yfinance.ticker}) < len(config.yfinance.ticker):
        raise ConfigError("yfinance.ticker names a ticker twice; name each once")
    if config.follow:
        raise ConfigError("--follow takes one ticker, and several are given; follow each in a run of its own")
    return MarketSource([YahooSource(**{**chosen, "ticker": ticker}) for ticker in config.yfinance.ticker])


def _columns(config: Config) -> ColumnSelection:
    chosen = config.csv
    return ColumnSelection(chosen.columns, chosen.time_column, chosen.label_column, chosen.series_column)


def _reading(config: Config) -> Reading:
    chosen = config.input
    return Reading(None if chosen.decimal == "auto" else chosen.decimal, None if chosen.dates == "auto" else chosen.dates)


def _csv(config: Config, warn: Warn) -> Source:
    from autoencoder.sources.files import FileSource
    from autoencoder.sources.live import FollowSource

    chosen = config.csv
    if not chosen.path:
        raise ConfigError("csv.path is not set; give --path FILE")
    if not isinstance(chosen.path, str):
        return _files(config, chosen.path, warn)
    if config.follow:
        return FollowSource(chosen.path, _columns(config), chosen.poll_seconds, warn, reading=_reading(config))
    source = FileSource(chosen.path, _columns(config), CHUNK_ROWS, warn, reading=_reading(config))
    if source.has_series:
        source.chunk_size = ROWS_OF_MANY
    return source


def _files(config: Config, paths: Sequence[str], warn: Warn) -> Source:
    from autoencoder.sources.files import FileSource
    from autoencoder.sources.several import SeveralFiles

    if config.follow:
        raise ConfigError(f"--follow takes one file, and {len(paths)} are given; follow each in a run of its own")
    if len(set(paths)) < len(paths):
        raise ConfigError("csv.path names a file twice; name each once")
    return SeveralFiles([FileSource(path, _columns(config), ROWS_OF_MANY, warn, reading=_reading(config)) for path in paths])


def _stdin(config: Config, warn: Warn) -> Source:
    from autoencoder.sources.live import StdinSource

    if sys.stdin is None:
        raise InputError("stdin is closed; pipe lines of numbers into it")
    return StdinSource(sys.stdin.buffer, _columns(config), warn, _reading(config))


def _prometheus(config: Config, warn: Warn) -> Source:
    from autoencoder.sources.prometheus import PrometheusSource
    from autoencoder.sources.prometheus_api import Access

    chosen, http = config.prometheus, config.prometheus.http
    if not chosen.url or not chosen.query:
        missing = "query" if chosen.url else "url"
        raise ConfigError(f"prometheus.{missing} is not set; give --{missing}, as in --url http://localhost:9090 --query up")
    secrets = {
        name: secret(f"prometheus.http.{name}", variable) if (variable := getattr(http, name)) else None
        for name in ("token_env", "user_env", "password_env", "ca_env")
    }
    ca_file = secrets["ca_env"]
    if ca_file and not Path(ca_file).is_file():
        raise ConfigError(f"the environment variable {http.ca_env} holds no path of a file; set it to that of the certificates")
    login = (secrets["user_env"], secrets["password_env"]) if secrets["user_env"] and secrets["password_env"] else None
    limits = http.model_dump(include={"insecure", "timeout", "retries", "backoff", "max_backoff"})
    return PrometheusSource(
        chosen.url,
        chosen.query,
        step=duration(chosen.step),
        history=duration(chosen.history),
        delay=duration(chosen.delay),
        max_series=chosen.max_series,
        follow=config.follow,
        access=Access(secrets["token_env"], login, ca_file, **limits),
        warn=warn,
    )


_SOURCES: dict[str, Callable[[Config, Warn], Source]] = {
    "synthetic": _synthetic,
    "yfinance": _yfinance,
    "csv": _csv,
    "stdin": _stdin,
    "prometheus": _prometheus,
}
