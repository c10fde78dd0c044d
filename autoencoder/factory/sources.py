"""Sources: where the points of a configuration come from."""

from __future__ import annotations

import sys
from collections.abc import Callable

from autoencoder.config import Config
from autoencoder.core.errors import ConfigError, InputError
from autoencoder.sources.chunk import Source
from autoencoder.sources.schema import ColumnSelection

Warn = Callable[[str], None]

CHUNK_ROWS = 4096
ROWS_OF_MANY = 1 << 16  # rows of many series that are scored at a time


def open_source(config: Config, warn: Warn) -> Source:
    """The source that the configuration names; SourceError where it cannot be read, ConfigError where a setting is missing."""
    return _SOURCES[config.source](config, warn)


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
    return YahooSource(**config.yfinance.model_dump(), follow=config.follow, warn=warn)


def _columns(config: Config) -> ColumnSelection:
    chosen = config.csv
    return ColumnSelection(chosen.columns, chosen.time_column, chosen.label_column, chosen.series_column)


def _csv(config: Config, warn: Warn) -> Source:
    from autoencoder.sources.files import FileSource, FollowSource

    chosen = config.csv
    if not chosen.path:
        raise ConfigError("csv.path is not set; give --path FILE")
    if config.follow:
        return FollowSource(chosen.path, _columns(config), poll_seconds=chosen.poll_seconds, warn=warn)
    size = CHUNK_ROWS if chosen.series_column is None else ROWS_OF_MANY
    return FileSource(chosen.path, _columns(config), chunk_size=size, warn=warn)


def _stdin(config: Config, warn: Warn) -> Source:
    from autoencoder.sources.files import StdinSource

    if sys.stdin is None:
        raise InputError("stdin is closed; pipe lines of numbers into it")
    return StdinSource(sys.stdin.buffer, _columns(config), warn=warn)


_SOURCES: dict[str, Callable[[Config, Warn], Source]] = {
    "synthetic": _synthetic,
    "yfinance": _yfinance,
    "csv": _csv,
    "stdin": _stdin,
}
