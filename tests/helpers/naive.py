"""Plain, slow twins of the numerical kernels: written to be checked by reading, not to be run on much."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist, median

# --- thresholds ---

Memory = list[tuple[float, float]]  # recent errors and the limits that judged them, oldest first
Estimate = Callable[[Memory], float]

MINIMUM, STEP = 30, 32


def rolling_limits(
    estimate: Estimate, window: int, primed: Sequence[float], errors: Sequence[float], smoothing: float | None = None
) -> list[float]:
    """Limits of errors judged one by one; with ``smoothing``, levels for smoothed errors are turned into limits for raw ones."""
    memory: Memory = []
    level, seen, smoothed = math.nan, 0, math.nan
    weight = 1.0 if smoothing is None else 2 / (smoothing + 1)

    def judge(error: float) -> float:
        nonlocal smoothed, seen
        smoothed = level if smoothed > level else smoothed
        smoothed = error if math.isnan(smoothed) else smoothed
        limit = level + (1 - weight) / weight * (level - smoothed)
        remembered = error
        if not error > limit:
            remembered = smoothed = smoothed + weight * (error - smoothed)  # with weight 1, the error itself
        memory.append((remembered, math.inf if math.isnan(level) else level))
        del memory[:-window]
        seen += 1
        return limit

    for error in primed:
        if not math.isnan(error):
            judge(error)
    if len(memory) >= MINIMUM:
        level = estimate(memory)
        for _ in range(20):
            before = level
            memory[:] = [(remembered, level) for remembered, _ in memory]
            level = estimate(memory)
            if before - level <= 1e-3 * abs(before):
                break
    limits = []
    for error in errors:
        if math.isnan(error):
            limits.append(math.nan)
            continue
        limits.append(judge(error))
        if seen % STEP == 0 and seen >= MINIMUM:
            level = estimate(memory)
    return limits


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; exact for constant values."""
    if min(values) == max(values):
        return values[0], 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def sigma_estimate(memory: Memory, budget: float) -> float:
    mean, deviation = moments([min(error, limit) for error, limit in memory])
    return mean + NormalDist().inv_cdf(1 - budget) * deviation


def quantile_estimate(memory: Memory, budget: float) -> float:
    flags = sum(error > limit for error, limit in memory)
    allowed = math.ceil(len(memory) * budget + math.sqrt(len(memory) * budget))
    ascending = sorted(error for error, _ in memory)
    for _ in range(min(flags - allowed, int(0.05 * len(memory)))):
        ascending.pop()
    n = len(ascending)
    near = max(min(16, n // 4), min(math.ceil(2 * budget * n), n // 8), int(budget * n))
    far = min(4 * near, (n + near + 1) // 2)
    # straight line through (log share above, error) at both ranks, followed to the budget
    share_near, share_far = (near - 0.5) / n, (far - 0.5) / n
    slope = (ascending[-near] - ascending[-far]) / (math.log(share_near) - math.log(share_far))
    return ascending[-near] + slope * (math.log(budget) - math.log(share_near))


def nonparametric_estimate(memory: Memory, pruning: float) -> float:
    smoothed = [error for error, limit in memory if error <= limit]
    if len(smoothed) < 0.8 * len(memory):
        smoothed = [min(error, limit) for error, limit in memory]
    mean, deviation = moments(smoothed)
    epsilon, best = mean + 10 * deviation, -math.inf
    for half_deviations in range(4, 21) if deviation else ():
        candidate = mean + half_deviations / 2 * deviation
        above = [value for value in smoothed if value > candidate]
        if not above:
            continue
        rest_mean, rest_deviation = moments([value for value in smoothed if value <= candidate])
        fall = (mean - rest_mean) / mean + (deviation - rest_deviation) / deviation
        gain = fall / (len(above) + len(_runs(smoothed, candidate)) ** 2)
        if gain >= best - 1e-12:  # of candidates that remove the same errors, the highest
            epsilon, best = candidate, gain
    highest = _highest_normal(smoothed, epsilon, pruning)
    return max(epsilon, highest / (1 - pruning))


def _highest_normal(smoothed: Sequence[float], epsilon: float, pruning: float) -> float:
    below = [value for value in smoothed if value <= epsilon]
    peaks = sorted(map(max, _runs(smoothed, epsilon)))  # ascending
    if not below:
        return max(peaks)
    highest = max(below)
    for peak in peaks:
        if (peak - highest) / peak >= pruning:
            return highest
        highest = peak
    return highest


def _runs(values: Sequence[float], limit: float) -> list[list[float]]:
    """The stretches of consecutive values above the limit."""
    runs: list[list[float]] = []
    inside = False
    for value in values:
        if value > limit:
            runs = [*runs[:-1], [*runs[-1], value]] if inside else [*runs, [value]]
        inside = value > limit
    return runs


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


# --- benchmarks ---


def most_anomalous(errors: Sequence[float], span: int) -> int:
    """The first place whose centred mean of known errors is highest."""
    width = max(1, span // 2)
    best, best_mean = -1, -math.inf
    for place in range(len(errors)):
        around = errors[max(0, place - width // 2) : place + (width + 1) // 2]
        known = [error for error in around if not math.isnan(error)]
        if known and math.fsum(known) / len(known) > best_mean + 1e-9:
            best, best_mean = place, math.fsum(known) / len(known)
    return best


def diff_errors(rows: Sequence[Sequence[float]], train: int) -> list[float]:
    """Of the columns' steps since the last known value the largest, each in units of its median in the training part."""
    return _largest([[*_steps(column)] for column in zip(*rows, strict=True)], train)


def _steps(column: Sequence[float]) -> Iterator[float]:
    last = math.nan
    for place, value in enumerate(column):
        first_known = next((each for each in column if not math.isnan(each)), 0.0)
        before = first_known if place and math.isnan(last) else last
        yield abs(value - before)
        last = last if math.isnan(value) else value


def ar_errors(rows: Sequence[Sequence[float]], train: int, lags: int = 24) -> list[float]:
    """The same of the errors of a linear regression on the last ``lags`` values, with Huber's weights, fitted to the training part."""
    return _largest([_regression_errors(column, train, lags) for column in zip(*rows, strict=True)], train)


def _regression_errors(column: Sequence[float], train: int, lags: int) -> list[float]:
    filled: list[float] = []
    for value in column:
        known = filled[-1] if filled else next(each for each in column if not math.isnan(each))
        filled.append(known if math.isnan(value) else value)
    level = median(filled[:train])
    scale = 1.4826 * median(abs(value - level) for value in filled[:train]) or moments(filled[:train])[1] or 1.0
    series = [(value - level) / scale for value in filled]
    inputs = {place: [*series[place - lags : place], 1.0] for place in range(lags, len(series))}
    taught = [place for place in range(lags, train) if not math.isnan(column[place])]
    weights = dict.fromkeys(taught, 1.0)
    for _ in range(12):
        square = [
            [math.fsum(weights[place] * inputs[place][i] * inputs[place][j] for place in taught) for j in range(lags + 1)]
            for i in range(lags + 1)
        ]
        ridge = 1e-6 * math.fsum(square[i][i] for i in range(lags + 1)) / (lags + 1)
        for i in range(lags + 1):
            square[i][i] += ridge
        right = [math.fsum(weights[place] * inputs[place][i] * series[place] for place in taught) for i in range(lags + 1)]
        fitted = _solved(square, right)
        residuals = {
            place: abs(series[place] - math.fsum(a * b for a, b in zip(inputs[place], fitted, strict=True))) for place in inputs
        }
        spread = 1.4826 * median(residuals[place] for place in taught) + 1e-12
        weights = {place: min(1.0, 1.5 * spread / max(residuals[place], 1e-300)) for place in taught}
    return [math.nan if place < lags or math.isnan(value) else scale * residuals[place] for place, value in enumerate(column)]


def _solved(square: list[list[float]], right: list[float]) -> list[float]:
    """Gauss and Jordan; the square is symmetric and positive."""
    rows = [[*row, value] for row, value in zip(square, right, strict=True)]
    for i, pivot in enumerate(rows):
        rows[i] = [value / pivot[i] for value in pivot]
        for j, row in enumerate(rows):
            if j != i:
                rows[j] = [value - row[i] * other for value, other in zip(row, rows[i], strict=True)]
    return [row[-1] for row in rows]


def _largest(columns: Sequence[Sequence[float]], train: int) -> list[float]:
    units = []
    for column in columns:
        usual = [error for error in column[:train] if not math.isnan(error)]
        units.append((median(usual) or math.fsum(usual) / len(usual) or 1.0) if usual else 1.0)
    scaled = [[error / unit for error, unit in zip(row, units, strict=True)] for row in zip(*columns, strict=True)]
    return [max((error for error in row if not math.isnan(error)), default=math.nan) for row in scaled]


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
    weights = _solved([list(row) for row in square], [covariance[a][column] for a in others])
    explained = sum(weight * scaled[other] for weight, other in zip(weights, others, strict=True))
    heights = _solved([list(row) for row in square], [scaled[other] for other in others])
    leverage = sum(height * scaled[other] for height, other in zip(heights, others, strict=True)) / rows
    return (scaled[column] - explained) / math.sqrt(1.0 + leverage)


# --- seasonal residual ---


def seasonal_residual(
    training: Sequence[float], values: Sequence[float], period: int, newest: int, cycles: int, patience: int
) -> list[float]:
    """Evidence of values after a training part, each usual value and the level followed as the definition has it."""
    steps = sorted(abs(b - a) for a, b in zip(training, training[period:], strict=False) if not math.isnan(b - a))
    middle = len(steps) // 2
    median = steps[middle] if len(steps) % 2 else (steps[middle - 1] + steps[middle]) / 2
    unit = 1.4826 * median / math.sqrt(2)
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
            usual[phase] = value - level
        elif not math.isnan(value) and not 0 < away <= patience:
            clipped = math.copysign(min(abs(residuals[-1]), 3 * deviation), residuals[-1])
            usual[phase] += clipped / min(row // period + 1, cycles)
            level += clipped / period
            deviation = max(deviation + (math.sqrt(math.pi / 2) * abs(clipped) - deviation) / period, unit)
    return found[len(training) :]
