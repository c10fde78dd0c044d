"""``bench budget``: does a threshold flag as many normal points as it was told to?

Clean streams do everything that normal data does and hold no anomaly, so every flag there is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autoencoder.benchmark.runner import Bench, Report, grouped, table
from autoencoder.core.types import Array
from autoencoder.detector import MAX_CALIBRATION_ERRORS
from autoencoder.scorers.base import DECADES, Scorer
from autoencoder.thresholds import THRESHOLDS
from autoencoder.thresholds.base import Threshold
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold

BUDGETS = (1e-2, 1e-3, 1e-4)
KEPT = (0.5, 2.0)  # realised / asked within which a budget counts as kept
SCORED_EVERY = 11  # one stream of so many is scored by real detectors, which train for each; coprime with the number of kinds
LAST_VALUE = "last value"  # the model of the quick errors: the next value is as the last
EXACT = "(exact)"  # a threshold that each normal point passes with the asked probability
PROMISED = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # shares of the normal points that a score of 0.1, 0.2, ... stands for
KINDS = ("white", "trend", "wandering level", "two seasons", "changing spread", "heavy tails", "memory", "mixture")


@dataclass(frozen=True, slots=True)
class Case:
    """One threshold on one stream."""

    model: str  # whose errors were judged
    stream: int  # its number
    kind: str  # of the stream
    threshold: str  # its name
    budget: float  # share that was asked for
    judged: int  # points with an error and a threshold, outside the training part
    flagged: int  # points among them


@dataclass(frozen=True, slots=True)
class Reached:
    """How many points of one stream have a score that one normal point in so many is promised to have."""

    model: str
    stream: int
    judged: int
    points: tuple[int, ...]  # for each of ``PROMISED``


def run(bench: Bench) -> Report:
    """Judge clean streams with every threshold at every budget; the training part of each does not count.

    The threshold alone is under test where the errors are those of the simplest forecast, the last value: how far each point lies
    from the one before. They drift, swing and hang together as the stream does. One stream in ``SCORED_EVERY`` is judged with the
    errors of real detectors, too.
    """
    scorers, config = bench.scorers(), bench.config
    streams, points = bench.arguments.streams, bench.arguments.points
    bench.open_results(streams=streams, points=points)
    training = config.training.points or round(points * config.training.fraction)

    def judge(number: int) -> tuple[list[Case], list[Reached]]:
        kind, values = clean_stream(number, points, config.seed)
        cases, reached = [], []
        for model, *errors in _errors(bench, values, training, scorers if number % SCORED_EVERY == 0 else {}):
            cases += [
                Case(
                    model, number, kind, name, budget, *count_flags(make(budget=budget, window=config.threshold.window), *errors)
                )
                for name, make in THRESHOLDS.items()
                for budget in BUDGETS
            ]
            normal, judged = errors
            reached.append(Reached(model, number, *count_scores(normal, judged, config.threshold.window)))
        return cases, reached

    done = bench.run_jobs({number: KINDS[number % len(KINDS)] for number in range(streams)}, judge)
    return _report([case for cases, _ in done for case in cases], [one for _, reached in done for one in reached])


def _errors(
    bench: Bench, values: Array, training: int, scorers: Mapping[str, Callable[[], Scorer]]
) -> Iterator[tuple[str, Array, Array]]:
    """Name of a model, its errors of the training part and its errors after that, for each model that scores values (N,)."""
    steps = np.abs(np.diff(values, prepend=np.nan))
    yield LAST_VALUE, steps[:training], steps[training:]
    for name, make in scorers.items():
        with bench.training() as progress:
            scorer = make().fit(values[:training, None], progress)
        yield name, scorer.calibration_errors[-MAX_CALIBRATION_ERRORS:], scorer.score(values[training:, None]).own_errors


def count_flags(threshold: Threshold, normal: Array, errors: Array) -> tuple[int, int]:
    """How many of errors (N,) could be judged and how many were flagged, by a threshold fitted to normal errors (M,)."""
    threshold.fit(normal)
    limits = threshold.process(errors)
    known = ~np.isnan(errors) & ~np.isnan(limits)
    return int(known.sum()), int((errors[known] > limits[known]).sum())


def count_scores(normal: Array, errors: Array, window: int = 4000) -> tuple[int, tuple[int, ...]]:
    """How many of errors (N,) have a score, and how many one that ``PROMISED`` shares of them are to have, after normal errors (M,)."""
    threshold = PeaksOverThreshold(window=window)
    threshold.fit(normal)
    _, probabilities = threshold.judge(errors)
    known = probabilities[~np.isnan(probabilities)]
    return len(known), tuple(int(np.count_nonzero(known <= share)) for share in PROMISED)


def _reliability(reached: Sequence[Reached]) -> tuple[list[dict[str, Any]], str]:
    """What scores promise beside what is found, over all streams of a model, as figures and as a table."""
    figures: list[dict[str, Any]] = []
    for model, group in grouped(reached, lambda one: one.model).items():
        judged = sum(one.judged for one in group)
        for place, promised in enumerate(PROMISED):
            found = sum(one.points[place] for one in group) / judged if judged else np.nan
            ratios = [one.points[place] / one.judged / promised for one in group if one.judged]
            figures.append(
                {"model": model, "promised": promised, "found": found, "median_ratio": float(np.median(ratios or [np.nan]))}
            )
    rows = [
        [
            one["model"],
            f"{-np.log10(one['promised']) / DECADES:.1f}",
            f"{one['promised']:g}",
            f"{one['found']:.2g}",
            f"{one['median_ratio']:.2f}",
        ]
        for one in figures
    ]
    return figures, table(["errors of", "score", "promised", "found", "median of found / promised"], rows)


def _report(cases: Sequence[Case], reached: Sequence[Reached]) -> Report:
    from scipy.stats import binom

    figures: list[dict[str, Any]] = []
    for (model, threshold, budget), group in grouped(cases, lambda case: (case.model, case.threshold, case.budget)).items():
        ratios = np.array([case.flagged / case.judged / budget if case.judged else np.nan for case in group])
        figures.append({"model": model, "threshold": threshold, "budget": budget, "streams": len(group), **_spread(ratios)})
    judged = int(np.median([case.judged for case in cases]))
    for budget in BUDGETS:
        ratios = binom.ppf((np.arange(10_000) + 0.5) / 10_000, judged, budget) / (judged * budget)  # of as many streams
        figures.append({"model": "any", "threshold": EXACT, "budget": budget, "streams": None, **_spread(ratios)})
    header = ["errors of", "threshold", "budget", "streams", "median", f"within {KEPT[0]:g} to {KEPT[1]:g}", "5 % to 95 %"]
    rows = []
    for one in figures:
        shares = [f"{one['median']:.2f}", f"{one['kept']:.0%}", f"{one['low']:.2f} to {one['high']:.2f}"]
        rows.append([one["model"], one["threshold"], f"{one['budget']:g}", f"{one['streams'] or ''}", *shares])
    text = (
        "# Budget\n\nShare of normal points flagged / share asked for, stream by stream, on clean streams; the training part does "
        f'not count. "{EXACT}" is what chance leaves of a perfect threshold over {judged:,} points.\n\n{table(header, rows)}'
    )
    reliability, scores = _reliability(reached)
    text += f"\n## Scores\n\nShare of normal points whose score is as high, promised and found, over all streams.\n\n{scores}"
    data = {"benchmark": "budget", "figures": figures, "reliability": reliability, "streams": list(map(asdict, cases))}
    return Report(text, data)


def _spread(ratios: Array) -> dict[str, float]:
    low, median, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    kept = float(((ratios >= KEPT[0]) & (ratios <= KEPT[1])).mean())
    return {"median": float(median), "kept": kept, "low": float(low), "high": float(high)}


def clean_stream(number: int, points: int, seed: int) -> tuple[str, Array]:
    """Stream ``number`` of the collection: its kind and its values (N,); kinds take turns, and no two streams are alike.

    >>> [clean_stream(number, 10, seed=0)[0] for number in (0, 1, 8)]
    ['white', 'trend', 'white']
    """
    kind = KINDS[number % len(KINDS)]
    return kind, _draw(kind, points, np.random.default_rng((seed, number)))


def _draw(kind: str, points: int, random: np.random.Generator) -> Any:
    """Values (N,) with noise of deviation about 1."""
    from scipy.signal import lfilter

    rows = np.arange(points)

    def season(period: int) -> Array:
        return np.asarray(np.sin(2 * np.pi * (rows / period + random.random())))

    def remembering(shocks: Array, memory: float) -> Array:
        """x[t] = memory x[t - 1] + shock[t], scaled to the shocks' own deviation."""
        return np.asarray(lfilter([np.sqrt(1.0 - memory**2)], [1.0, -memory], shocks))

    match kind:
        case "trend":
            return random.choice((-1.0, 1.0)) * random.uniform(5.0, 50.0) * rows / points + random.normal(size=points)
        case "wandering level":
            return np.cumsum(random.uniform(0.02, 0.2) * random.normal(size=points)) + random.normal(size=points)
        case "two seasons":
            short = int(random.integers(20, 100))
            seasons = random.uniform(2.0, 8.0) * season(short) + random.uniform(0.5, 4.0) * season(7 * short)
            return seasons + random.normal(size=points)
        case "changing spread":  # up to threefold over a season
            period = int(random.integers(100, 1000))
            return np.exp(random.uniform(0.2, 0.55) * season(period)) * random.normal(size=points)
        case "heavy tails":  # the heaviest of Student's t that still have a variance
            return random.standard_t(3, size=points) / np.sqrt(3.0)
        case "memory":
            return remembering(random.normal(size=points), random.uniform(0.3, 0.95))
        case "mixture":  # all move together, and the noise has memory and a heavier tail than the normal
            noise = remembering(random.standard_t(6, size=points) / np.sqrt(1.5), random.uniform(0.2, 0.7))
            spread = np.exp(random.uniform(0.1, 0.4) * season(int(random.integers(100, 1000))))
            normal = sum(_draw(part, points, random) for part in ("trend", "wandering level", "two seasons"))
            return normal / np.sqrt(3.0) + spread * noise
    return random.normal(size=points)
