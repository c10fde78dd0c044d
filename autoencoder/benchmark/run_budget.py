"""Does a threshold flag as many normal points as it was told to? Measured on clean streams, where every flag is a false alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencoder.benchmark.results import Summary, table
from autoencoder.benchmark.streams import KINDS, clean_stream
from autoencoder.detector import LONGEST_PRIMING
from autoencoder.reports.console import Console
from autoencoder.scorers.base import Array, Scorer
from autoencoder.thresholds.base import Threshold

MakeThreshold = Callable[[float], Threshold]  # share of normal points that may be flagged

BUDGETS = (1e-2, 1e-3, 1e-4)
KEPT = (0.5, 2.0)  # realised / asked within which a budget counts as kept
SCORED = 11  # of so many streams one is judged by real detectors too, which train for each; coprime with the number of kinds
LAST_VALUE = "last value"  # the model of the quick errors: the next value is as the last
EXACT = "(exact)"  # a threshold that each normal point passes with the asked probability


@dataclass(frozen=True, slots=True)
class Case:
    """One threshold on one stream.

    Attributes:
        model: whose errors were judged.
        number: of the stream.
        kind: of the stream.
        threshold: name of the threshold.
        budget: share that was asked for.
        judged: points that had an error and a limit; none of the training part.
        flagged: points among them that were flagged.
    """

    model: str
    number: int
    kind: str
    threshold: str
    budget: float
    judged: int
    flagged: int

    @property
    def ratio(self) -> float:
        """Realised share over asked share."""
        return self.flagged / self.judged / self.budget if self.judged else float("nan")


def run_budget(
    streams: int,
    points: int,
    training: int,
    seed: int,
    thresholds: Mapping[str, MakeThreshold],
    scorers: Mapping[str, Callable[[], Scorer]],
    console: Console,
) -> list[Case]:
    """Score clean streams with every threshold at every budget.

    The threshold alone is under test where the errors are those of the simplest forecast, the last value: how far each point lies
    from the one before. They drift, swing and hang together as the stream does. One stream in eleven is judged with the errors
    of real detectors, too.

    Args:
        streams: how many.
        points: length of each.
        training: points at the start that train and are not counted.
        seed: everything random follows from it.
        thresholds: under test, by name.
        scorers: real detectors, by name.
        console: shows progress.

    Raises:
        TrainingError: the training part is too short for a detector.
    """
    bar = console.progress("streams")
    cases: list[Case] = []
    for number in range(streams):
        kind, values = clean_stream(number, points, seed)
        bar(number, streams, kind)
        for model, primed, errors in _errors(number, values, training, scorers, console):
            for name, make in thresholds.items():
                for budget in BUDGETS:
                    judged, flagged = count_flags(make(budget), primed, errors)
                    cases.append(Case(model, number, kind, name, budget, judged, flagged))
    bar.finish()
    return cases


def _errors(
    number: int, values: Array, training: int, scorers: Mapping[str, Callable[[], Scorer]], console: Console
) -> Iterator[tuple[str, Array, Array]]:
    """Name of a model, its errors of the training part and its errors after that, for each model that judges this stream."""
    steps = np.abs(np.diff(values, prepend=np.nan))
    yield LAST_VALUE, steps[:training], steps[training:]
    if number % SCORED == 0:
        for name, make in scorers.items():
            bar = console.progress(f"training {name}")
            scorer = make()
            scorer.fit(values[:training, None], bar)
            bar.finish()
            yield name, scorer.calibration_errors[-LONGEST_PRIMING:], scorer.process(values[training:, None])[0]


def count_flags(threshold: Threshold, primed: Array, errors: Array) -> tuple[int, int]:
    """How many of errors (N,) could be judged and how many were flagged, by a threshold that starts from errors (M,)."""
    threshold.fit(primed)
    limits = threshold.process(errors)
    known = ~np.isnan(errors) & ~np.isnan(limits)
    return int(known.sum()), int((errors[known] > limits[known]).sum())


def budget_summary(cases: Sequence[Case]) -> Summary:
    """Summary of a run."""
    groups: dict[tuple[str, str, float], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.model, case.threshold, case.budget), []).append(case)
    figures = [
        {"model": model, "threshold": threshold, "budget": budget, **_figures(group)}
        for (model, threshold, budget), group in groups.items()
    ]
    judged = int(np.median([case.judged for case in cases]))
    figures += [{"model": "any", "threshold": EXACT, "budget": budget, **_exact_figures(judged, budget)} for budget in BUDGETS]
    text = (
        "# Budget\n\nShare of normal points flagged / share asked for, stream by stream, on clean streams; the training part does "
        f'not count. "{EXACT}" is what chance leaves of a perfect threshold over {judged:,} points.\n\n'
        + table(
            ["errors of", "threshold", "budget", "streams", "median", f"within {KEPT[0]:g} to {KEPT[1]:g}", "5 % to 95 %"],
            [_row(figure) for figure in figures],
        )
    )
    details = f"All streams of a kind together, errors of {LAST_VALUE}, budget {BUDGETS[1]:g}:\n\n" + _kinds_table(
        [case for case in cases if case.model == LAST_VALUE and case.budget == BUDGETS[1]]
    )
    streams = [
        {"model": case.model, "stream": case.number, "kind": case.kind, "threshold": case.threshold, "budget": case.budget}
        | {"judged": case.judged, "flagged": case.flagged}
        for case in cases
    ]
    return Summary(text, details, {"benchmark": "budget", "figures": figures, "streams": streams})


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
    streams = "" if figure["streams"] is None else f"{figure['streams']}"
    spread = f"{figure['low']:.2f} to {figure['high']:.2f}"
    return [
        figure["model"],
        figure["threshold"],
        f"{figure['budget']:g}",
        streams,
        f"{figure['median']:.2f}",
        f"{figure['kept']:.0%}",
        spread,
    ]


def _kinds_table(cases: Sequence[Case]) -> str:
    names = list(dict.fromkeys(case.threshold for case in cases))
    kinds = [kind for kind in KINDS if any(case.kind == kind for case in cases)]
    rows = []
    for kind in kinds:
        groups = [[case for case in cases if case.kind == kind and case.threshold == name] for name in names]
        rows.append([kind, *(f"{_pooled(group):.2f}" for group in groups)])
    return table(["kind", *names], rows)


def _pooled(cases: Sequence[Case]) -> float:
    judged = sum(case.judged for case in cases)
    return sum(case.flagged for case in cases) / judged / cases[0].budget if judged else float("nan")
