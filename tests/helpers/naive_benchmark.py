"""Plain, slow twins of what the benchmarks measure by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from helpers.naive import moments, solved


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
        fitted = solved(square, right)
        residuals = {
            place: abs(series[place] - math.fsum(a * b for a, b in zip(inputs[place], fitted, strict=True))) for place in inputs
        }
        spread = 1.4826 * median(residuals[place] for place in taught) + 1e-12
        weights = {place: min(1.0, 1.5 * spread / max(residuals[place], 1e-300)) for place in taught}
    return [math.nan if place < lags or math.isnan(value) else scale * residuals[place] for place, value in enumerate(column)]


def _largest(columns: Sequence[Sequence[float]], train: int) -> list[float]:
    units = []
    for column in columns:
        usual = [error for error in column[:train] if not math.isnan(error)]
        units.append((median(usual) or math.fsum(usual) / len(usual) or 1.0) if usual else 1.0)
    scaled = [[error / unit for error, unit in zip(row, units, strict=True)] for row in zip(*columns, strict=True)]
    return [max((error for error in row if not math.isnan(error)), default=math.nan) for row in scaled]
