"""``bench drift``: does a detector follow a change that stays, and only that? Changes and anomalies of its streams are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from autoencoder.benchmark.drift_streams import CHANGES, EVENT, EVENTS, PERIOD, SETTLED, TRAINING, DriftStream, drift_stream
from autoencoder.benchmark.runner import Bench, Report, Summary, Target, at_least, at_most, grouped, table, targets_table
from autoencoder.core.events import CONFIRMED, PROMOTED, ROLLED_BACK, AdaptationEvent
from autoencoder.core.types import Bools
from autoencoder.detector import Detector
from autoencoder.factory.detectors import make_adaptive, make_detector

STREAMS = "streams.jsonl"
ADAPTIVE, STATIC = "adaptation", "no adaptation"
BASELINES = ("windowed_gaussian", "isolation_forest_sliding", "half_space_trees")  # beside which adaptation is measured
ECHO = PERIOD  # points after an anomaly in which a flag may belong to it
QUIET_POINTS = 100  # normal points of which at most the share ``NOISY`` is flagged where alarms have stopped
NOISY = 0.05
HARMFUL = ("level shift", "growing amplitude", "changed period", "rising noise")  # the changes that a detector must follow
SLACK = 3  # windows within which alarms stop once a change counts as one
MAX_RECALL_LOSS = 0.05
MIN_HARMED = 0.5  # share of the streams that a detector without adaptation must fail on; else they are too easy
MAX_WRONG = 1  # promotions that made things worse on streams that do not change
MAX_BUDGETS = 1.5  # false alarms there and after a change, in budgets
MIN_RECALL = 0.98  # after a change
SHARES = ("false_before", "false_after", "recall_before", "recall_after")  # columns of the table
COUNTS = ("promotions", "wrong")
HEADER = (
    *("change, detector", "streams", "alarms stop after", "never", "false alarms before", "after", "recall before", "after"),
    *COUNTS,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One detector on one stream; ``settled`` is the end of the change, or the beginning of the event."""

    detector: str  # its name
    kind: str  # of the change or event
    seed: int  # of the stream
    quiet_after: int | None  # points from ``settled`` until the alarms stopped; None where they did not
    false_before: float  # share of normal points flagged before the change
    false_after: float  # the same after the alarms stopped
    recall_before: float  # share of the anomalies found before the change
    recall_after: float  # the same of those that lie after the change and after the alarms stopped
    promotions: int  # how often another model took over
    wrong: int  # how many of those were worse on the points that followed
    first_promotion: int | None  # points from ``settled`` to the first one after the change began; None without one
    budget: float  # share of normal points that may be flagged


def run(bench: Bench) -> Report:
    """Run every detector over a stream of each kind and seed.

    A detector that does not adapt learns no event, so events are for the adaptive one alone.
    """
    quick, config = bench.arguments.quick, bench.config
    changes = {"synchronous": True, "cold_start_points": None}
    adaptive = config.model_copy(update={"adaptation": config.adaptation.model_copy(update=changes)})
    makers: dict[str, Callable[[int], Detector]] = {
        ADAPTIVE: partial(make_adaptive, adaptive),
        STATIC: partial(make_detector, config),
    }
    for name in () if quick else BASELINES:
        makers[name] = partial(make_detector, config.model_copy(update={"detector": name}))
    seeds = range(config.seed, config.seed + (1 if quick else bench.arguments.seeds))
    kinds = bench.arguments.kind or [*CHANGES, *EVENTS]
    jobs = [(name, kind, seed) for seed in seeds for kind in kinds for name in makers if kind in CHANGES or name == ADAPTIVE]
    bench.open_results(adaptive, quick=quick)

    def work(job: tuple[str, str, int]) -> Case:
        name, kind, seed = job
        points = 6000 if quick else 50_000 if kind == "none" else 8500
        return measure(name, makers[name](TRAINING), drift_stream(kind, points, seed), seed)

    names = {job: f"{job[0]}, {job[1]}" for job in jobs}
    cases = bench.run_cases(STREAMS, Case, names, work, lambda case: (case.detector, case.kind, case.seed))
    return drift_report(cases, adaptive.adaptation.confirmed[0])


def measure(name: str, detector: Detector, stream: DriftStream, seed: int) -> Case:
    """One detector on one stream."""
    flags = detector.process(np.arange(len(stream.values)), stream.values[:, None]).anomalies
    normal = ~stream.labels
    for _, end in stream.events:
        normal[end : end + ECHO] = False
    change = stream.settled if stream.change is None else stream.change
    quiet = _quiet_from(flags, normal, stream.settled)
    stopped = quiet < len(flags) - QUIET_POINTS
    settled = max(quiet, change + SETTLED) if stopped else change + SETTLED
    promoted = [event.row for event in detector.adaptations if event.event == PROMOTED]
    return Case(
        detector=name,
        kind=stream.kind,
        seed=seed,
        quiet_after=quiet - stream.settled if stopped else None,
        false_before=_share(flags[TRAINING:change][normal[TRAINING:change]]),
        false_after=_share(flags[settled:][normal[settled:]]),
        recall_before=_recall(flags, stream.events, TRAINING, change),
        recall_after=_recall(flags, stream.events, settled, len(flags)),
        promotions=len(promoted),
        wrong=sum(map(_was_wrong, detector.adaptations)),
        first_promotion=next((row - stream.settled for row in promoted if row >= change), None),
        budget=detector.current.share,
    )


def _quiet_from(flags: Bools, normal: Bools, settled: int) -> int:
    """Row after the last flag of the last noisy run of ``QUIET_POINTS`` normal points: one with more than the share ``NOISY`` flagged.

    Only runs that reach beyond ``settled`` count; without one there is quiet from there on.
    """
    rows = np.flatnonzero(normal)
    flagged = flags[rows]
    sums = np.concatenate([[0], np.cumsum(flagged)])
    noisy = sums[QUIET_POINTS:] - sums[:-QUIET_POINTS] > NOISY * QUIET_POINTS
    ends = np.flatnonzero(noisy) + QUIET_POINTS - 1  # places in ``rows``
    ends = ends[rows[ends] >= settled]
    if not len(ends):
        return settled
    return max(settled, int(rows[np.flatnonzero(flagged[: ends[-1] + 1])[-1]]) + 1)


def _recall(flags: Bools, events: Iterable[tuple[int, int]], first: int, last: int) -> float:
    return _share(np.array([flags[start:end].any() for start, end in events if start >= first and end <= last], dtype=bool))


def _share(flags: Bools) -> float:
    return float(flags.mean()) if len(flags) else math.nan


def _was_wrong(event: AdaptationEvent) -> bool:
    """Whether this is the end of a promotion that made things worse."""
    details = event.details
    return event.event == ROLLED_BACK or (event.event == CONFIRMED and details["loss"] > details["loss_of_the_model_before"])


def drift_report(cases: Sequence[Case], patience: int = 10) -> Report:
    """Report of a run, in which a change had to stay for ``patience`` windows."""
    groups, kinds = grouped(cases, lambda case: (case.kind, case.detector)), [*CHANGES, *EVENTS]
    ordered = sorted(groups, key=lambda group: kinds.index(group[0]))  # the detectors of a kind stay in their order
    figures = [{"kind": kind, "detector": name, **_figures(groups[kind, name])} for kind, name in ordered]
    targets = drift_targets(cases, patience)
    text = (
        "# Drift\n\nStreams that change for good, or in which an event lasts, with anomalies before and after. Alarms have stopped where "
        f"at most {NOISY:.0%} of {QUIET_POINTS} normal points are flagged; points are counted from the end of the change or the beginning "
        f"of the event, medians over the streams (a window is {PERIOD} points).\n\nBars:\n\n{targets_table(targets)}\n"
        f"{table(HEADER, list(map(_row, figures)))}"
    )
    data = {"bars": list(map(asdict, targets)), "figures": figures, "streams": list(map(asdict, cases))}
    return Report(text, {"benchmark": "drift", **data})


def drift_targets(cases: Sequence[Case], patience: int = 10) -> list[Target]:
    """The figures beside what they should be; a stream on which alarms never stop counts as endless."""
    groups = grouped(cases, lambda case: (case.kind, case.detector))
    targets = []
    for kind in HARMFUL:
        ours = groups.get((kind, ADAPTIVE), [])
        static = {case.seed: case for case in groups.get((kind, STATIC), [])}
        lost = [case.recall_before - case.recall_after for case in ours]
        pairs = [(case, static[case.seed]) for case in ours if case.seed in static]
        # false alarms for longer, or anomalies hidden, where nothing adapts
        harmed = [
            _delay(still) > _delay(case) or still.recall_after < case.recall_after - MAX_RECALL_LOSS for case, still in pairs
        ]
        delays = Summary.of(map(_delay, ours))
        targets += [
            at_most(f"{kind}: points until alarms stop", (patience + SLACK) * PERIOD, delays),
            at_most(f"{kind}: recall before less recall after, mean", MAX_RECALL_LOSS, _mean(lost)),
            at_least(f"{kind}: recall after, mean", MIN_RECALL, _mean([case.recall_after for case in ours])),
            at_most(
                f"{kind}: false alarms after, in budgets, mean",
                MAX_BUDGETS,
                _mean([each.false_after / each.budget for each in ours]),
            ),
            at_least(f"{kind}: share of streams harmed without adaptation", MIN_HARMED, _mean(harmed)),
        ]
    calm = groups.get(("none", ADAPTIVE), [])
    wrong, excess = _sum([case.wrong for case in calm]), Summary.of(case.false_after / case.budget for case in calm)
    targets += [
        at_most(f"no change: promotions that made it worse, in {len(calm)} streams", MAX_WRONG, wrong),
        at_most("no change: false alarms, in budgets", MAX_BUDGETS, excess),
    ]
    for kind in EVENTS:
        held = groups.get((kind, ADAPTIVE), [])
        early = _sum([case.first_promotion is not None and case.first_promotion < patience * PERIOD for case in held])
        what = f"{kind}, {EVENT} points: learnt before patience is over, in {len(held)} streams"
        targets.append(at_most(what, 0, early))
    return targets


def _delay(case: Case) -> float:
    return math.inf if case.quiet_after is None else float(case.quiet_after)


def _mean(values: Sequence[float]) -> Summary:
    known = [float(value) for value in values if value == value]
    return Summary(float(np.mean(known)), min(known), max(known)) if known else Summary.of([])


def _sum(counts: Sequence[int]) -> Summary:
    return Summary.of([float(sum(counts))] if counts else [])


def _figures(group: Sequence[Case]) -> dict[str, Any]:
    quiet = [case.quiet_after for case in group if case.quiet_after is not None]
    return {
        "streams": len(group),
        "quiet_after": float(np.median(quiet)) if quiet else None,
        "slowest": max(quiet, default=None),
        "never": len(group) - len(quiet),
        **{name: float(np.nanmean([getattr(case, name) for case in group])) for name in SHARES},
        **{name: sum(getattr(case, name) for case in group) for name in COUNTS},
    }


def _row(figure: Mapping[str, Any]) -> list[str]:
    quiet = "-" if figure["quiet_after"] is None else f"{figure['quiet_after']:,.0f} (at most {figure['slowest']:,})"
    shares = [f"{figure[name]:.2{'%' if name.startswith('false') else 'f'}}" for name in SHARES]
    counts = [f"{figure[name]}" for name in COUNTS]
    return [f"{figure['kind']}, {figure['detector']}", f"{figure['streams']}", quiet, f"{figure['never']}", *shares, *counts]
