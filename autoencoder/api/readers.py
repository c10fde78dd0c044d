"""Readers: files, prices and synthetic streams as pandas objects, read by the sources of the command line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoder.config import load
from autoencoder.core.extras import require
from autoencoder.factory.sources import open_source
from autoencoder.sources.chunk import Chunk

if TYPE_CHECKING:
    import pandas as pd

Columns = str | Sequence[str]


def read_csv(
    path: str | Path, column: Columns = (), *, time_column: str | None = None, label_column: str | None = None
) -> pd.DataFrame:
    """A csv, csv.gz or parquet file, as ``--source csv`` reads it: checked row by row, an unusable cell named with its line.

    Args:
        path: the file.
        column: value columns; none: the obvious one.
        time_column: None: the obvious one, or rows are counted.
        label_column: column of 0 and 1 that marks known anomalies; it becomes the last column, "label".

    Raises:
        InputError: the file cannot be read, its columns are not obvious, or a row is bad.
    """
    return _frame("csv", {"path": str(path), "columns": column, "time_column": time_column, "label_column": label_column})


def prices(ticker: str, column: Columns = "Close", **settings: Any) -> pd.DataFrame:
    """Prices from Yahoo Finance, as ``--source yfinance`` reads them.

    Args:
        ticker: Yahoo's symbol, e.g. "AAPL".
        column: Open, High, Low, Close, Volume, or several of them.
        settings: of the section ``yfinance`` of config.yaml, e.g. ``period="10y"``.

    Raises:
        SourceError: they cannot be had.
    """
    return _frame("yfinance", {"ticker": ticker, "column": column, **settings})


def synthetic(points: int = 6000, *, seed: int = 0, config: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """A stream with labelled anomalies, as ``--source synthetic`` makes it: columns "value" and "label".

    Args:
        points: how many.
        seed: everything random follows from it.
        config: settings of the section ``synthetic`` of config.yaml by dotted key, e.g. ``{"anomalies.rate": 3}``.

    >>> stream = synthetic(1000, config={"anomalies.start_after": 200})
    >>> bool(stream["label"].any())
    True
    """
    return _frame("synthetic", {**(config or {}), "points": points}, seed)


def _frame(kind: str, chosen: Mapping[str, Any], seed: int = 0) -> pd.DataFrame:
    """All points of a source that ends: its values, and "label" where labels are known, by time."""
    require("pandas", purpose="a table")
    import pandas as pd

    settings = {"source": kind, "seed": seed, **{f"{kind}.{key}": value for key, value in chosen.items()}}
    source = open_source(load(None, settings, where="the arguments"), lambda sentence: warnings.warn(sentence, stacklevel=4))
    rows = Chunk.concatenate(list(source.chunks()))
    index = pd.Index(rows.time, name="time")
    if source.timezone and isinstance(index, pd.DatetimeIndex):
        index = index.tz_localize("UTC").tz_convert(source.timezone)
    frame = pd.DataFrame(rows.values, index, list(source.columns))
    return frame if rows.labels is None else frame.assign(label=rows.labels)
