"""Streams of several columns, clean and with faults in known columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoencoder.core.types import Array

KINDS = ("seasonal", "walk", "counts", "independent")  # of streams; the columns of all but the last depend on each other
ALONE = ("spike", "level", "stuck", "noise")  # faults of a column that it shows by itself
JOINT = ("swap", "lag", "decouple")  # faults of its dependence alone
GAP = 350  # points from fault to fault
NEAR = 200  # points before a fault that tell how a column moves there
LONGEST_LAG = 48  # points
TRIES = 24  # columns that a fault of the dependence is tried in: two that move alike can be swapped without a trace
LEAST_CHANGE = 1.0  # deviations of the column near by that it changes its values by, at least


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    kind: str
    start: int
    end: int  # row behind it
    columns: tuple[int, ...]  # that are at fault


@dataclass(frozen=True, slots=True)
class ColumnStream:
    """One stream of N points and F columns."""

    clean: Array  # (N, F)
    faulty: Array  # (N, F)
    faults: tuple[Fault, ...]


def column_stream(kind: str, columns: int, points: int, train: int, seed: int) -> ColumnStream:
    """A stream of that kind; after ``train`` points a fault comes every ``GAP``. The same seed gives the same stream.

    >>> stream = column_stream("seasonal", 8, 3000, 1000, seed=0)
    >>> stream.clean.shape, stream.faults[0].kind, stream.faults[0].start
    ((3000, 8), 'spike', 1350)
    """
    clean, other = (_plant(kind, columns, points, seed, run) for run in (0, 1))
    random = np.random.default_rng((seed, KINDS.index(kind), 2))
    faulty, faults, kinds = clean.copy(), [], (*ALONE, *(() if kind == "independent" else JOINT))
    for number, start in enumerate(range(train + GAP, points - NEAR, GAP)):
        fault = kinds[number % len(kinds)]
        length = int(random.integers(1, 4) if fault == "spike" else random.integers(40, 120))
        for _ in range(TRIES):
            changed, at_fault = _broken(fault, clean, other, start, start + length, random)
            if kind == "counts":
                changed = np.maximum(np.rint(changed), 0.0)
            if fault in ALONE or _change(clean, changed, start, at_fault[0]) >= LEAST_CHANGE:
                faulty[start : start + length] = changed
                faults.append(Fault(fault, start, start + length, at_fault))
                break
    return ColumnStream(clean, faulty, tuple(faults))


def _plant(kind: str, columns: int, points: int, seed: int, run: int) -> Array:
    """Values (N, F) of one run of a plant that follows from the kind and the seed."""
    plant = np.random.default_rng((seed, KINDS.index(kind)))
    random = np.random.default_rng((seed, KINDS.index(kind), 3, run))
    level, unit, rows = plant.uniform(10, 200, columns), plant.uniform(0.5, 20, columns), np.arange(points)[:, None]
    causes = max(1, min(4, columns // 4))
    loads = plant.normal(size=(causes, columns))
    loads /= np.linalg.norm(loads, axis=0)
    if kind == "seasonal":
        phase, height = plant.uniform(0, 2 * np.pi, columns), plant.uniform(0.5, 2, columns)
        common = height * np.sin(2 * np.pi * rows / 48 + phase) + _smooth(random, points, causes, 0.9) @ loads
        return level + unit * (common + 0.3 * random.normal(size=(points, columns)))
    if kind == "walk":
        walks = 0.1 * np.cumsum(random.normal(size=(points, causes)), axis=0)
        return level + unit * (walks @ loads + 0.3 * _smooth(random, points, columns, 0.5))
    if kind == "counts":
        load = 0.4 * np.sin(2 * np.pi * rows / 96) + 0.25 * _smooth(random, points, 1, 0.95)
        return random.poisson(level * np.exp(load + 0.05 * _smooth(random, points, columns, 0.9))).astype(float)
    periods, height = plant.integers(20, 90, columns), plant.uniform(0, 2, columns)
    memories = plant.uniform(0, 0.95, columns)
    own = np.hstack([_smooth(random, points, 1, float(memory)) for memory in memories])
    return level + unit * (height * np.sin(2 * np.pi * rows / periods) + own)


def _smooth(random: np.random.Generator, points: int, columns: int, memory: float) -> Array:
    """Autoregressive noise (N, K) of deviation 1."""
    from scipy.signal import lfilter

    noise = random.normal(size=(points + NEAR, columns))
    return np.asarray(lfilter([np.sqrt(1 - memory**2)], [1.0, -memory], noise, axis=0)[NEAR:])


def _broken(
    fault: str, clean: Array, other: Array, start: int, end: int, random: np.random.Generator
) -> tuple[Array, tuple[int, ...]]:
    """Values (M, F) of the rows with the fault, in a column by chance, and the columns at fault."""
    column, sign = int(random.integers(clean.shape[1])), random.choice([-1.0, 1.0])
    rows, changed = slice(start, end), clean[start:end].copy()
    before = clean[start - NEAR : start]  # (P, F)
    step = 1.4826 * float(np.median(np.abs(np.diff(before[:, column])))) + 1e-9
    if fault == "spike":
        changed[:, column] += sign * 8 * step
    elif fault == "level":
        changed[:, column] += sign * 4 * max(step, 0.5 * float(before[:, column].std()))
    elif fault == "stuck":
        changed[:, column] = changed[0, column]
    elif fault == "noise":
        changed[:, column] += 3 * step * random.normal(size=end - start)
    elif fault == "swap":
        alike = np.atleast_2d(np.corrcoef(before.T))[column]
        partner = int(np.argmin(np.where(np.arange(len(alike)) == column, np.inf, alike)))
        middle, spread = before.mean(axis=0), before.std(axis=0)
        scaled = (clean[rows] - middle) / spread
        changed[:, column] = middle[column] + spread[column] * scaled[:, partner]
        changed[:, partner] = middle[partner] + spread[partner] * scaled[:, column]
        return changed, (column, partner)
    elif fault == "lag":
        lags = range(4, LONGEST_LAG + 1, 4)
        most = max(lags, key=lambda lag: float(np.mean((clean[rows, column] - clean[start - lag : end - lag, column]) ** 2)))
        changed[:, column] = clean[start - most : end - most, column]
    else:  # another run of the same plant, which begins where this one is
        changed[:, column] = other[rows, column] - other[start - NEAR : start, column].mean() + before[:, column].mean()
    return changed, (column,)


def _change(clean: Array, changed: Array, start: int, column: int) -> float:
    """Root mean square of what a fault changes in a column, in robust deviations of the points before it."""
    before = clean[start - NEAR : start, column]
    usual = 1.4826 * float(np.median(np.abs(before - np.median(before)))) + 1e-9
    return float(np.sqrt(np.mean(np.square(changed[:, column] - clean[start : start + len(changed), column])))) / usual
