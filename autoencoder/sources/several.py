"""Several: files of one kind, or tickers, as series of one source, and what most of the tickers do as another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import InputError
from autoencoder.core.types import Array, Integers
from autoencoder.sources.chunk import ASIDE, Chunk, Source, skip_rows
from autoencoder.sources.files import FileSource

MARKET = "market"  # the series
FEWEST = 3  # tickers whose median is no single one's
START = 100.0  # level of that series before the first return
_ROWS = 1 << 14  # of a chunk


class SeveralFiles(Source):
    """The rows of several files, one file after the other; each is a series that has the file's name.

    A file that holds series itself gives one for each of them.

    Raises:
        InputError: the files have different columns, or times of different kinds.
    """

    has_series = True

    def __init__(self, files: Sequence[FileSource]) -> None:
        first = files[0]
        for other in files[1:]:
            for what, one, two in (
                ("the columns", _listed(other), _listed(first)),
                ("times", _kind_of_time(other), _kind_of_time(first)),
            ):
                if one != two or other.columns != first.columns:
                    remedy = "judge them in runs of their own"
                    raise InputError(f"{other.path} has {what} {one} and {first.path} {two}; {remedy}")
        self._files = files
        self.name = f"{first.name} and {len(files) - 1} more"
        self.columns, self.timezone = first.columns, first.timezone
        self.length = sum(file.length or 0 for file in files)
        self.series = [name for file, label in zip(files, _labels(files), strict=True) for name in _names(file, label)]

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on."""
        yield from skip_rows(self._rows(), start)

    def _rows(self) -> Iterator[Chunk]:
        before = 0  # series of the files before
        for file in self._files:
            for chunk in file.chunks():
                own = np.zeros(len(chunk), np.int64) if chunk.series is None else chunk.series
                yield Chunk(chunk.time, chunk.values, chunk.labels, own + before)
            before += len(_names(file, ""))


def _labels(files: Sequence[FileSource]) -> list[str]:
    """A name for each file that no other one has."""
    stems = [Path(file.path).name.split(".")[0] for file in files]
    return stems if len(set(stems)) == len(stems) else [str(file.path) for file in files]


def _names(file: FileSource, label: str) -> list[str]:
    return [f"{label} {series}".strip() for series in file.series] if file.has_series else [label]


def _kind_of_time(file: FileSource) -> str:
    first = next(file.chunks())
    return (
        "that are counts"
        if first.time.dtype.kind == "i"
        else f"with the zone {file.timezone}"
        if file.timezone
        else "without a zone"
    )


def _listed(file: FileSource) -> str:
    return ", ".join(file.columns[:5]) + (", ..." if len(file.columns) > 5 else "")


class MarketSource(Source):
    """The rows of several tickers in order of time, those of one time in order of tickers.

    With ``FEWEST`` and more, the median of their returns makes the level of the market, which each row has beside its prices, and which
    is the last row of each time. A level is that of its own bar, and knows no later one.

    Raises:
        InputError: a ticker has times of another kind.
    """

    has_series, mutable = True, True

    def __init__(self, tickers: Sequence[Source]) -> None:
        names = [ticker.name for ticker in tickers]
        if len({ticker.timezone is None for ticker in tickers}) > 1:
            raise InputError(f"{', '.join(names)}: their times are of different kinds; judge them in runs of their own")
        first, chunks = tickers[0], [Chunk.concatenate(list(ticker.chunks())) for ticker in tickers]
        self.name = f"{names[0]} and {len(names) - 1} more"
        self.columns, self.timezone = first.columns, first.timezone
        has_market = len(tickers) >= FEWEST and chunks[0].aside is not None
        self.series = [*names, *([MARKET] if has_market else [])]
        self._rows = _merged(chunks, has_market=has_market)
        self.length = len(self._rows)

    def chunks(self, start: int = 0) -> Iterator[Chunk]:
        """Yield the rows from ``start`` on."""
        return self._rows.split(_ROWS, start)


def _merged(chunks: Sequence[Chunk], *, has_market: bool) -> Chunk:
    """The rows of several series in order of time, with the market's level beside them and behind them."""
    sizes = [len(chunk) for chunk in chunks]
    owner = np.repeat(np.arange(len(chunks)), sizes)
    whole = Chunk.concatenate(chunks)
    if has_market:
        moments, places = np.unique(whole.time.view(np.int64), return_inverse=True)
        times = moments.view("datetime64[ns]")
        levels = market_levels(places, owner, whole.values[:, 0])
        assert whole.aside is not None
        aside = whole.aside.copy()
        aside[:, ASIDE.index("market")] = levels[places]
        session = np.full(len(times), -1.0)
        session[places] = aside[:, ASIDE.index("session")]
        own = Chunk(
            times,
            np.repeat(START * levels[:, None], whole.values.shape[1], axis=1),
            aside=np.column_stack([np.full(len(times), np.nan), np.ones(len(times)), session]),
        )
        owner = np.append(owner, np.full(len(times), len(chunks)))
        whole = Chunk.concatenate([Chunk(whole.time, whole.values, aside=aside), own])
    order = np.lexsort((owner, whole.time))
    whole = whole[order]
    return Chunk(whole.time, whole.values, series=owner[order], aside=whole.aside)


def market_levels(places: npt.NDArray[np.intp], owner: Integers, prices: Array) -> Array:
    """Level of the market (T,), 1 before the first return, at times whose places those of prices (N,) of each owner (N,) are.

    Its log return at a time is the median of those of all owners that have a price then, each since its own price before.

    >>> market_levels(np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1.1, 5, 5.5, 7, 3.5])).round(3).tolist()
    [1.0, 1.1]
    """
    table = np.full((places.max() + 1, owner.max() + 1), np.nan)  # (T, S) of log returns
    for one in range(table.shape[1]):
        rows = np.flatnonzero((owner == one) & (prices > 0))
        table[places[rows[1:]], one] = np.diff(np.log(prices[rows]))
    known = ~np.isnan(table).all(axis=1)
    returns = np.zeros(len(table))
    returns[known] = np.nanmedian(table[known], axis=1)
    return np.asarray(np.exp(np.cumsum(returns)))
