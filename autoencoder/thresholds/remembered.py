"""Errors as a threshold remembers them: rounded, and in sorted blocks, as of a hundred thousand series they are much of what these take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader
from autoencoder.core.types import Array, N

MAX_SINGLE = 1e38  # single precision reaches little further
LEAST_SPREAD = 1e-30  # of the largest error, so that comparable ones stay below that
FINENESS = 256.0  # steps of a spread, at least, in which errors are remembered

Singles = npt.NDArray[np.float32]
Rounded = npt.NDArray[np.int16]


def rounded(comparable: Array) -> Rounded:
    """The upper halves of numbers in single precision (bfloat16), rounded up, so that no error passes the limit that it set itself."""
    single = np.minimum(np.maximum(comparable, -MAX_SINGLE), MAX_SINGLE).astype(np.float32)
    bits = single.view(np.uint32)
    return np.asarray((bits + np.where(single > 0, 0xFFFF, 0).astype(np.uint32)) >> 16, np.uint16).view(np.int16)


def unrounded(comparable: Rounded) -> Singles:
    """What ``rounded`` gave, as numbers."""
    return (comparable.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def read_rounded(saved: Reader) -> Rounded:
    """What ``rounded`` gave, from a state; ModelFileError where it is damaged."""
    if saved.has("comparable"):  # of an older model
        return rounded(saved.array("comparable", (None,)))
    comparable = saved.integers("rounded", (None,), -0x8000, 0x7FFF).astype(np.int16)
    if not np.isfinite(unrounded(comparable)).all():
        raise saved.fault("rounded", "holds values that are not finite")
    return comparable


def coarse(errors: Array, spread: float | None = None) -> Singles:
    """Errors in steps of a ``FINENESS``-th of a spread or less, their own if None; those beyond single precision at its end."""
    single = np.minimum(errors, MAX_SINGLE).astype(np.float32)
    if spread is None:
        if not len(single):
            return single
        spread = level_and_spread(single)[1]
    step = 2.0 ** math.floor(math.log2(spread / FINENESS))  # of which single precision holds multiples exactly
    with np.errstate(over="ignore"):
        steps = single.astype(np.float64) / step
        return np.where(np.abs(steps) < 1 << 24, np.rint(steps) * step, single).astype(np.float32)


def level_and_spread(errors: Singles) -> tuple[float, float]:
    """Level and spread of errors (N,), from their lower half: anomalies sit in the upper one."""
    low, middle = quantiles(errors, [0.1, 0.5])
    # errors that hardly differ have no spread: then a difference in the sixth digit of the level is one
    least = max(1e-6 * abs(float(middle)), LEAST_SPREAD * float(errors.max()), np.finfo(float).tiny * 1e10)
    return float(middle), max(float(middle - low), least)


def in_blocks(values: npt.NDArray[N], size: int) -> npt.NDArray[N]:
    """Values (N,), each block of so many sorted."""
    return np.concatenate([np.sort(values[begin : begin + size]) for begin in range(0, len(values), size)] or [values])


def newest(values: npt.NDArray[N], count: int) -> npt.NDArray[N]:
    """The newest of sorted blocks that hold so many values: part of one would be its higher part. A block begins where values fall."""
    begins = np.flatnonzero(np.less(values[1:], values[:-1])) + 1
    left_out = int(np.searchsorted(begins, len(values) - count, side="right"))
    return values[begins[left_out - 1] :] if left_out else values


def quantiles(values: Singles, shares: Sequence[float]) -> Array:
    """``np.quantile`` of values (N,) for shares (S,) -> (S,), many times as fast."""
    ordered = np.sort(values)
    places = np.asarray(shares) * (len(ordered) - 1)
    low = places.astype(int)
    high = np.minimum(low + 1, len(ordered) - 1)
    below, above = ordered[low].astype(float), ordered[high].astype(float)
    return np.asarray(below + (above - below) * (places - low))
