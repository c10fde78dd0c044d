"""Summary of ``bench drift``: a table of all detectors on all changes, and the bars that adaptation is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from autoencoder.benchmark.bars import Bar, at_least, at_most, bars_table
from autoencoder.benchmark.drift_streams import CHANGES, EVENT, EVENTS, PERIOD
from autoencoder.benchmark.results import Summary, table
from autoencoder.benchmark.run_drift import LAST, NOISY, Case
from autoencoder.benchmark.speed.measure import Spread

ADAPTIVE, STILL = "adaptation", "no adaptation"
HARMFUL = ("level shift", "growing amplitude", "changed period", "rising noise")  # the changes that a detector must follow
CALM = "none"
SLACK = 3  # windows after enough is known of a change within which alarms stop
LOST = 0.05  # of the recall, at most
HARMED = 0.5  # share of the streams that a detector which does not adapt must fail on; else they are too easy
WRONG = 1  # promotions that made things worse on streams that do not change, at most
BUDGETS = 1.5  # false alarms there, at most, in budgets
SLOWER = 2.0  # 99th percentile of the time a point takes while a model trains beside, by that without
HEADER = (
    *("change, detector", "streams", "alarms stop after", "never", "false alarms before", "after", "recall before", "after"),
    *("promotions", "wrong"),
)


def drift_summary(cases: Sequence[Case], pauses: Mapping[str, float], patience: int = 10) -> Summary:
    """Summary of a run, in which a change had to stay for ``patience`` windows."""
    groups = _by_change_and_detector(cases)
    ordered = [
        (kind, name)
        for kind in (*CHANGES, *EVENTS)
        for name in dict.fromkeys(case.detector for case in cases)
        if (kind, name) in groups
    ]
    figures = [{"kind": kind, "detector": name, **_figures(groups[kind, name])} for kind, name in ordered]
    bars = drift_bars(cases, pauses, patience)
    text = (
        "# Drift\n\nStreams that change for good, or in which an event lasts, with anomalies before and after. Alarms have stopped where "
        f"at most {NOISY:.0%} of {LAST} normal points are flagged; points are counted from the end of the change or the beginning of the "
        f"event, medians over the streams (a window is {PERIOD} points).\n\nBars:\n\n{bars_table(bars)}\n"
        f"{table(HEADER, list(map(_row, figures)))}"
    )
    data = {
        "benchmark": "drift",
        "bars": [asdict(bar) for bar in bars],
        "figures": figures,
        "pauses": dict(pauses),
        "streams": [asdict(case) for case in cases],
    }
    return Summary(text, "", data)


def drift_bars(cases: Sequence[Case], pauses: Mapping[str, float], patience: int = 10) -> list[Bar]:
    """The figures beside what they should be; a stream on which alarms never stop counts as endless."""
    groups = _by_change_and_detector(cases)
    bars = []
    for kind in HARMFUL:
        ours, still = groups.get((kind, ADAPTIVE), []), groups.get((kind, STILL), [])
        known = {case.seed: case for case in still}
        pairs = [(case, known[case.seed]) for case in ours if case.seed in known]
        lost = [case.recall_before - case.recall_after for case in ours]
        bars += [
            at_most(f"{kind}: points until alarms stop", (patience + SLACK) * PERIOD, Spread.of(map(_quiet, ours))),
            at_most(f"{kind}: recall before less recall after, mean", LOST, _mean(lost)),
            at_least(f"{kind}: share of streams harmed without adaptation", HARMED, _mean([_is_harmed(*pair) for pair in pairs])),
        ]
    calm = groups.get((CALM, ADAPTIVE), [])
    wrong = [float(sum(case.wrong for case in calm))] if calm else []
    bars += [
        at_most(f"no change: promotions that made it worse, in {len(calm)} streams", WRONG, Spread.of(wrong)),
        at_most("no change: false alarms, in budgets", BUDGETS, Spread.of(case.false_after / case.budget for case in calm)),
    ]
    for kind in EVENTS:
        held = groups.get((kind, ADAPTIVE), [])
        early = (
            [float(sum(case.first_promotion is not None and case.first_promotion < patience * PERIOD for case in held))]
            if held
            else []
        )
        bars.append(
            at_most(f"{kind}, {EVENT} points: learnt before patience is over, in {len(held)} streams", 0, Spread.of(early))
        )
    slower = [pauses["p99_training"] / pauses["p99_without"]] if pauses else []
    bars.append(at_most("99th percentile of a point's time while a model trains / without", SLOWER, Spread.of(slower)))
    return bars


def _by_change_and_detector(cases: Sequence[Case]) -> dict[tuple[str, str], list[Case]]:
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.kind, case.detector), []).append(case)
    return groups


def _quiet(case: Case) -> float:
    return float("inf") if case.quiet_after is None else float(case.quiet_after)


def _mean(values: Sequence[float]) -> Spread:
    known = [float(value) for value in values if value == value]
    return Spread(float(np.mean(known)), min(known), max(known)) if known else Spread.of([])


def _is_harmed(ours: Case, still: Case) -> bool:
    """Whether the same stream gives false alarms for longer, or hides anomalies, where nothing adapts."""
    return _quiet(still) > _quiet(ours) or still.recall_after < ours.recall_after - LOST


def _figures(group: Sequence[Case]) -> dict[str, Any]:
    quiet = [case.quiet_after for case in group if case.quiet_after is not None]
    means = {
        name: float(np.nanmean([getattr(case, name) for case in group]))
        for name in ("false_before", "false_after", "recall_before", "recall_after")
    }
    return {
        "streams": len(group),
        "quiet_after": float(np.median(quiet)) if quiet else None,
        "slowest": max(quiet, default=None),
        "never": len(group) - len(quiet),
        **means,
        "promotions": sum(case.promotions for case in group),
        "wrong": sum(case.wrong for case in group),
        "longest_pause": max(case.pause for case in group),
    }


def _row(figure: Mapping[str, Any]) -> list[str]:
    quiet = "-" if figure["quiet_after"] is None else f"{figure['quiet_after']:,.0f} (at most {figure['slowest']:,})"
    return [
        f"{figure['kind']}, {figure['detector']}",
        f"{figure['streams']}",
        quiet,
        f"{figure['never']}",
        f"{figure['false_before']:.2%}",
        f"{figure['false_after']:.2%}",
        f"{figure['recall_before']:.2f}",
        f"{figure['recall_after']:.2f}",
        f"{figure['promotions']}",
        f"{figure['wrong']}",
    ]
