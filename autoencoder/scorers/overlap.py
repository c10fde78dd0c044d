"""Overlap: windows of whole numbers that overlap, saved as what each adds to one before it; nothing is lost.

The numbers of a window that an earlier one has, too, are that one's but for the centre and the scale of each window. So they are told by a
slope, an offset and a remainder, most of which is 0: it takes a third of the bytes once it is compressed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State
from autoencoder.core.types import frozen

Codes = npt.NDArray[np.int8]
Wide = np.int16  # holds products of a number and a slope

BITS = 5  # of a slope behind its binary point
ONE = 1 << BITS


def fold(codes: Codes, lag: int, shift: int) -> State:
    """Windows (N, D), each of which begins with the numbers that the one ``lag`` before it has from place ``shift`` on -> a state.

    Where they do not, the state is only larger. Without room for that (``lag`` >= N or ``shift`` >= D) it holds all numbers.
    """
    if not (0 < lag < len(codes) and 0 < shift < codes.shape[1]):
        lag, shift = len(codes), codes.shape[1]
    wide = codes.astype(np.int64)
    before, after = wide[: len(codes) - lag, shift:], wide[lag:, : codes.shape[1] - shift]  # (N - lag, D - shift)
    size, sums = max(1, before.shape[1]), before.sum(axis=1)
    squares = size * np.einsum("nd,nd->n", before, before) - sums * sums
    products = size * np.einsum("nd,nd->n", before, after) - sums * after.sum(axis=1)
    slopes = np.rint(np.clip(ONE * products / np.maximum(squares, 1), 0, 127)).astype(np.int8)
    offsets = np.rint(np.clip(after.sum(axis=1) / size - slopes * sums / (ONE * size), -128, 127)).astype(np.int8)
    # one place of all windows after the other, as neighbours are alike there; modulo 256, as all sums are
    rest = (after.T - _guess(before.T, slopes.astype(Wide), offsets.astype(Wide))).astype(np.int8)
    parts = {"first": (codes[:lag].T, codes[lag:, codes.shape[1] - shift :].T), "later": (slopes, offsets, rest)}
    joined: State = {key: frozen(np.concatenate([part.ravel() for part in some])) for key, some in parts.items()}
    return {"count": len(codes), "lag": lag, "shift": shift, **joined}


def unfold(state: State, width: int, owner: str) -> Codes:
    """What ``fold`` was given, windows of ``width`` (D); ``owner`` is what errors speak of. Raises ModelFileError: damaged."""
    saved = Reader(state, owner)
    is_older = saved.has("told")  # what an older program has left, window by window
    new, told = (
        saved.integers(key, (None,), -128, 127).astype(Wide) for key in (("new", "told") if is_older else ("first", "later"))
    )
    count = saved.integer("count", 0, len(new) + len(told))
    lag, shift = saved.integer("lag", 0, count), saved.integer("shift", 0, width)
    rows = count - lag
    if len(new) != lag * width + rows * shift or len(told) != rows * (2 + width - shift) or (rows and not (lag and shift)):
        raise saved.fault("count", f"does not go with windows of {width:,} numbers")

    def by_place(numbers: npt.NDArray[Wide], places: int, windows: int) -> npt.NDArray[Wide]:
        return np.ascontiguousarray(numbers.reshape(windows, places).T) if is_older else numbers.reshape(places, windows)

    codes = np.empty((width, count), np.int8)
    codes[:, :lag] = by_place(new[: lag * width], width, lag)
    codes[width - shift :, lag:] = by_place(new[lag * width :], shift, rows)
    slopes, offsets, rest = told[:rows], told[rows : 2 * rows], by_place(told[2 * rows :], width - shift, rows)
    for stop in range(width - shift, 0, -shift) if rows else ():  # the numbers of a window from the last to the first
        start = max(0, stop - shift)
        codes[start:stop, lag:] = _guess(codes[start + shift : stop + shift, :rows], slopes, offsets) + rest[start:stop]
    return np.ascontiguousarray(codes.T)


def _guess(before: npt.NDArray[np.integer], slopes: npt.NDArray[Wide], offsets: npt.NDArray[Wide]) -> npt.NDArray[Wide]:
    """What numbers (W, N) of windows are expected to be in those ``lag`` behind them, of the same slopes and offsets (N,)."""
    return np.asarray((before * slopes + ONE // 2 >> BITS) + offsets)
