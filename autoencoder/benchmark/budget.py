"""Does a threshold flag as many normal points as it was told to? Measured on clean streams, where every flag is a false alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autoencoder.benchmark.clean_streams import clean_stream
from autoencoder.benchmark.report import Report, grouped, table
from autoencoder.console import Console
from autoencoder.detector import MAX_CALIBRATION_ERRORS
from autoencoder.scorers.base import Array, Scorer
from autoencoder.thresholds.base import Threshold

MakeThreshold = Callable[[float], Threshold]  # share of normal points that may be flagged
MakeScorers = Mapping[str, Callable[[], Scorer]]  # by name

BUDGETS = (1e-2, 1e-3, 1e-4)
KEPT = (0.5, 2.0)  # realised / asked within which a budget counts as kept
SCORED_EVERY = 11  # one stream of so many is scored by real detectors, which train for each; coprime with the number of kinds
LAST_VALUE = "last value"  # the model of the quick errors: the next value is as the last
EXACT = "(exact)"  # a threshold that each normal point passes with the asked probability


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

    @property
    def ratio(self) -> float:
        """Realised share over asked share."""
        return _ratio([self])


def run_budget(
    sizes: Sequence[int], seed: int, thresholds: Mapping[str, MakeThreshold], scorers: MakeScorers, console: Console
) -> list[Case]:
    """Judge clean streams with every threshold at every budget; ``sizes`` are the streams, points of each, points that train.

    The threshold alone is under test where the errors are those of the simplest forecast, the last value: how far each point lies
    from the one before. They drift, swing and hang together as the stream does. One stream in ``SCORED_EVERY`` is judged with the
    errors of real detectors, too. The first ``training`` points of each are not counted.

    Raises:
        TrainingError: the training part is too short for a detector.
    """
    streams, points, training = sizes
    bar = console.progress("streams")
    cases: list[Case] = []
    for number in range(streams):
        kind, values = clean_stream(number, points, seed)
        bar(number, streams, kind)
        for model, normal, errors in _errors(values, training, scorers if number % SCORED_EVERY == 0 else {}, console):
            for name, make in thresholds.items():
                for budget in BUDGETS:
                    judged, flagged = count_flags(make(budget), normal, errors)
                    cases.append(Case(model, number, kind, name, budget, judged, flagged))
    bar.finish()
    return cases


def _errors(values: Array, training: int, scorers: MakeScorers, console: Console) -> Iterator[tuple[str, Array, Array]]:
    """Name of a model, its errors of the training part and its errors after that, for each model that scores values (N,)."""
    steps = np.abs(np.diff(values, prepend=np.nan))
    yield LAST_VALUE, steps[:training], steps[training:]
    for name, make in scorers.items():
        bar = console.progress(f"training {name}")
        scorer = make()
        scorer.fit(values[:training, None], bar)
        bar.finish()
        yield name, scorer.calibration_errors[-MAX_CALIBRATION_ERRORS:], scorer.process(values[training:, None])[0]


def count_flags(threshold: Threshold, normal: Array, errors: Array) -> tuple[int, int]:
    """How many of errors (N,) could be judged and how many were flagged, by a threshold fitted to normal errors (M,)."""
    threshold.fit(normal)
    limits = threshold.process(errors)
    known = ~np.isnan(errors) & ~np.isnan(limits)
    return int(known.sum()), int((errors[known] > limits[known]).sum())


def budget_report(cases: Sequence[Case]) -> Report:
    """Report of a run."""
    groups = grouped(cases, lambda case: (case.model, case.threshold, case.budget))
    judged = int(np.median([case.judged for case in cases]))
    figures = [
        {"model": model, "threshold": threshold, "budget": budget, **_figures(group)}
        for (model, threshold, budget), group in groups.items()
    ]
    figures += [{"model": "any", "threshold": EXACT, "budget": budget, **_exact_figures(judged, budget)} for budget in BUDGETS]
    header = ["errors of", "threshold", "budget", "streams", "median", f"within {KEPT[0]:g} to {KEPT[1]:g}", "5 % to 95 %"]
    text = (
        "# Budget\n\nShare of normal points flagged / share asked for, stream by stream, on clean streams; the training part does "
        f'not count. "{EXACT}" is what chance leaves of a perfect threshold over {judged:,} points.\n\n'
        + table(header, list(map(_row, figures)))
    )
    kinds = _kinds_table([case for case in cases if case.model == LAST_VALUE and case.budget == BUDGETS[1]])
    details = f"All streams of a kind together, errors of {LAST_VALUE}, budget {BUDGETS[1]:g}:\n\n{kinds}"
    return Report(text, details, {"benchmark": "budget", "figures": figures, "streams": list(map(asdict, cases))})


def _figures(group: Sequence[Case]) -> dict[str, Any]:
    ratios = np.array([case.ratio for case in group])
    low, median, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    kept = float(((ratios >= KEPT[0]) & (ratios <= KEPT[1])).mean())
    return {"streams": len(group), "median": float(median), "kept": kept, "low": float(low), "high": float(high)}


def _exact_figures(judged: int, budget: float) -> dict[str, Any]:
    from scipy.stats import binom

    due = judged * budget
    low, median, high = binom.ppf([0.05, 0.5, 0.95], judged, budget) / due
    kept = binom.cdf(np.floor(KEPT[1] * due), judged, budget) - binom.cdf(np.ceil(KEPT[0] * due) - 1, judged, budget)
    return {"streams": None, "median": float(median), "kept": float(kept), "low": float(low), "high": float(high)}


def _row(figure: Mapping[str, Any]) -> list[str]:
    names = [figure["model"], figure["threshold"], f"{figure['budget']:g}"]
    streams = "" if figure["streams"] is None else f"{figure['streams']}"
    spread = f"{figure['low']:.2f} to {figure['high']:.2f}"
    return [*names, streams, f"{figure['median']:.2f}", f"{figure['kept']:.0%}", spread]


def _kinds_table(cases: Sequence[Case]) -> str:
    groups = grouped(cases, lambda case: (case.kind, case.threshold))
    kinds, thresholds = (list(dict.fromkeys(names)) for names in zip(*groups, strict=True))
    rows = [[kind, *(f"{_ratio(groups[kind, threshold]):.2f}" for threshold in thresholds)] for kind in kinds]
    return table(["kind", *thresholds], rows)


def _ratio(cases: Sequence[Case]) -> float:
    """Share of the points of all these cases, of one budget, that were flagged, over the share asked for."""
    judged = sum(case.judged for case in cases)
    return sum(case.flagged for case in cases) / judged / cases[0].budget if judged else float("nan")
