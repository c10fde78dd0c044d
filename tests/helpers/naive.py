"""Plain, slow twins of the numerical kernels: written to be checked by reading, not to be run on much."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import median


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; exact for constant values."""
    if min(values) == max(values):
        return values[0], 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def solved(square: list[list[float]], right: list[float]) -> list[float]:
    """Gauss and Jordan; the square is symmetric and positive."""
    rows = [[*row, value] for row, value in zip(square, right, strict=True)]
    for i, pivot in enumerate(rows):
        rows[i] = [value / pivot[i] for value in pivot]
        for j, row in enumerate(rows):
            if j != i:
                rows[j] = [value - row[i] * other for value, other in zip(row, rows[i], strict=True)]
    return [row[-1] for row in rows]


# --- isolation forest ---


def forest_features(past: Sequence[float], newest: float) -> tuple[list[float], float]:
    """Features of a point of one column and the median of the points before it."""
    window = len(past)
    latest = [*past[1:], newest]
    ordered, half = sorted(latest), window // 2
    expected = median(past)
    quartiles = ordered[3 * window // 4] - ordered[window // 4]
    return [newest - expected, newest - past[-1], quartiles, median(latest[-half:]) - median(latest[:half])], expected


def search_length(count: int) -> float:
    """Mean length of an unsuccessful search in a binary search tree of ``count`` points."""
    if count <= 1:
        return 0.0
    return 1.0 if count == 2 else 2 * (math.log(count - 1) + 0.5772156649015329) - 2 * (count - 1) / count


def isolation_score(trees: Sequence[Sequence[tuple[int, float, int, int, int]]], samples: int, point: Sequence[float]) -> float:
    """2^(-E[h] / c) of a point; a node is (column or -1, threshold, left, right, points that reached it)."""
    lengths = []
    for tree in trees:
        node, steps = 0, 0
        while tree[node][0] >= 0:
            column, threshold, left, right, _ = tree[node]
            node, steps = (left if point[column] <= threshold else right), steps + 1
        lengths.append(steps + search_length(tree[node][4]))
    return 2 ** (-math.fsum(lengths) / len(lengths) / search_length(samples))


# --- baselines ---


def gaussian_error(past: Sequence[float], newest: float, floor: float) -> float:
    """How many deviations of the points before it a point lies off their mean."""
    mean, deviation = moments(past)
    return abs(newest - mean) / max(deviation, floor)


# --- windows ---


def windows(rows: Sequence[Sequence[float]], steps: int, stride: int) -> list[list[list[float]]]:
    """Every window of a series of rows, oldest first: the means of ``steps`` stretches of ``stride`` rows each."""
    found = []
    for start in range(len(rows) - steps * stride + 1):
        stretches = [rows[start + step * stride : start + (step + 1) * stride] for step in range(steps)]
        found.append([[math.fsum(column) / stride for column in zip(*stretch, strict=True)] for stretch in stretches])
    return found


def autocorrelation(values: Sequence[float]) -> list[float]:
    """Autocorrelation at lags 0, 1, ... up to half the length, after the least-squares line is taken off."""
    n = len(values)
    middle, mean = (n - 1) / 2, math.fsum(values) / n
    slope = math.fsum((i - middle) * (v - mean) for i, v in enumerate(values)) / math.fsum((i - middle) ** 2 for i in range(n))
    rest = [v - mean - slope * (i - middle) for i, v in enumerate(values)]
    variance = math.fsum(r * r for r in rest) / n
    return [math.fsum(rest[i] * rest[i + lag] for i in range(n - lag)) / (n - lag) / variance for lag in range(n // 2 + 1)]


# --- novelty and alarms ---


def nearest_remembered(
    windows: Sequence[Sequence[float]], kept: Sequence[Sequence[float]], size: int, lag: int, block: int, every: int
) -> list[float]:
    """Distance of each of windows (N, D) to the nearest one remembered; stream windows enter block by block, once older than the lag."""
    stream: list[Sequence[float]] = []
    waiting: list[Sequence[float]] = []
    distances = []
    for position, window in enumerate(windows, 1):
        distances.append(min(math.dist(window, other) / math.sqrt(len(window)) for other in [*kept, *stream]))
        if (position - 1) % every == 0:
            waiting.append(window)
        if position % block == 0:
            while len(waiting) > -(-lag // every):
                stream.append(waiting.pop(0))
                if len(kept) + len(stream) > size:
                    stream.pop(0)
    return distances


def outside_the_range(values: Sequence[float], training: Sequence[float]) -> list[float]:
    """How far each value lies outside all values before it, as a share of their range."""
    everything, shares = [*training, *values], []
    for place in range(len(training), len(everything)):
        low, high = min(everything[:place]), max(everything[:place])
        far = max(0.0, everything[place] - high, low - everything[place])
        shares.append(min(far, 100 * (high - low)) / (high - low))
    return shares


def rises(scores: Sequence[float], refractory: int) -> list[float]:
    """Each score that lies above those of the refractory points before it, else 0."""
    known = [0.0 if math.isnan(score) else float(score) for score in scores]
    return [score if score > max([0.0, *known[max(0, row - refractory) : row]]) else 0.0 for row, score in enumerate(known)]


# --- evidence of the linear forecast ---


def linear_evidence(
    past: Sequence[float], models: Sequence[tuple[int, Sequence[float], float]], burst: int, longest: int
) -> list[float]:
    """Sizes of the errors of the newest of ``past`` at each horizon, root mean square of the newest one-step errors, repetitions.

    A model is a horizon, the weights of its lags, oldest first, and a constant.
    """

    def error(place: int, model: tuple[int, Sequence[float], float]) -> float:
        horizon, weights, constant = model
        last = place - horizon
        lags = past[last - len(weights) + 1 : last + 1]
        return past[place] - constant - math.fsum(weight * lag for weight, lag in zip(weights, lags, strict=True))

    newest = len(past) - 1
    errors = [abs(error(newest, model)) for model in models]
    repeated = 0
    while repeated < longest and past[newest - repeated - 1] == past[newest]:
        repeated += 1
    return [*errors, math.sqrt(math.fsum(error(newest - back, models[0]) ** 2 for back in range(burst)) / burst), repeated]


# --- surprise of evidence ---


def surprise(training: Sequence[float], asked: float, guess: float, tail: float = 0.1, pieces: int = 8) -> float:
    """Minus the logarithm of the probability that evidence is as large, by straight lines between quantiles and an exponential tail."""
    ordered, nats = sorted(training), -math.log(tail)

    def quantile(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = min(int(place), len(ordered) - 1)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    knots = [quantile(1 - math.exp(-nats * piece / pieces)) for piece in range(pieces + 1)]
    found = 0.0
    for low, high in itertools.pairwise(knots):
        if low < high:
            found += nats / pieces * min(max((asked - low) / (high - low), 0.0), 1.0)
    above = [value - knots[-1] for value in training if value > knots[-1]]
    scale = (sum(above) + guess) / (len(above) + 1)
    return found + max(asked - knots[-1], 0.0) / scale


# --- sources ---


def transformed(kind: str, times: Sequence[float], values: Sequence[float], series: Sequence[int]) -> list[float]:
    """Values of rows of several series -> their rate, difference, logarithm or difference of logarithms."""
    before: dict[int, float] = {}
    known: dict[int, tuple[float, float]] = {}  # newest time and value
    out = []
    for time, value, one in zip(times, values, series, strict=True):
        if kind.startswith("log"):
            value = math.log(value) if value > 0 else math.nan
        result = value if kind == "log" else value - before.get(one, math.nan)
        if kind == "rate":
            then, last = known.get(one, (time, math.nan))
            increase = value if value < last else value - last
            result = increase / (time - then) if time > then and not math.isnan(last) else math.nan
            if not math.isnan(value):
                known[one] = time, value
        before[one] = value
        out.append(result)
    return out


# --- dependence of columns ---


def partial_residual(
    scaled: Sequence[float], covariance: Sequence[Sequence[float]], ridge: float, rows: int, column: int
) -> float:
    """What the other columns do not explain of one, less by the leverage of those others: a ridge regression solved for it alone."""
    others = [other for other in range(len(scaled)) if other != column]
    square = [[covariance[a][b] + ridge * (a == b) for b in others] for a in others]
    weights = solved([list(row) for row in square], [covariance[a][column] for a in others])
    explained = sum(weight * scaled[other] for weight, other in zip(weights, others, strict=True))
    heights = solved([list(row) for row in square], [scaled[other] for other in others])
    leverage = sum(height * scaled[other] for height, other in zip(heights, others, strict=True)) / rows
    return (scaled[column] - explained) / math.sqrt(1.0 + leverage)


# --- seasonal residual ---


def seasonal_residual(
    training: Sequence[float], values: Sequence[float], period: int, newest: int, cycles: int, patience: int, fineness: float
) -> list[float]:
    """Evidence of values after a training part, each usual value and the level followed as the definition has it."""
    steps = sorted(abs(b - a) for a, b in zip(training, training[period:], strict=False) if not math.isnan(b - a))
    middle = len(steps) // 2
    median = steps[middle] if len(steps) % 2 else (steps[middle - 1] + steps[middle]) / 2
    unit = 1.4826 * median / math.sqrt(2)
    step = 2.0 ** math.floor(math.log2(unit / fineness))  # in which usual values are remembered
    usual: dict[int, float] = {}
    level, deviation, residuals, found, away = math.nan, unit, [0.0] * (newest - 1), [], 0
    for row, value in enumerate([*training, *values]):
        phase = row % period
        is_first = not math.isnan(value) and phase not in usual
        residuals.append(0.0 if math.isnan(value) or is_first else value - usual[phase] - level)
        signs = {math.copysign(1, each) if each else 0 for each in residuals[-newest:]}
        one_sided = signs in ({1.0}, {-1.0})
        found.append(min(abs(each) for each in residuals[-newest:]) / unit if one_sided else 0.0)
        away = away + 1 if found[-1] > 3 else 0
        if is_first:
            level = value if math.isnan(level) else level
            usual[phase] = step * round((value - level) / step)
        elif not math.isnan(value) and not 0 < away <= patience:
            clipped = math.copysign(min(abs(residuals[-1]), 3 * deviation), residuals[-1])
            usual[phase] = step * round((usual[phase] + clipped / min(row // period + 1, cycles)) / step)
            level += clipped / period
            deviation = max(deviation + (math.sqrt(math.pi / 2) * abs(clipped) - deviation) / period, unit)
    return found[len(training) :]
