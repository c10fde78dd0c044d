"""Plain, slow twins of the thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

from helpers.naive import moments

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
