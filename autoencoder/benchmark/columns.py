"""``bench columns``: does a detector find faults of several columns, and name the column that is at fault?"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from autoencoder.benchmark.column_streams import ALONE, JOINT, KINDS, ColumnStream, column_stream
from autoencoder.benchmark.runner import Bench, Report, Summary, at_least, at_most, grouped, table, targets_table
from autoencoder.config import Config
from autoencoder.core.types import Array, Bools, Time
from autoencoder.detector import StreamDetector
from autoencoder.factory.detectors import make_detector
from autoencoder.factory.runs import gaps_of, make_tracker
from autoencoder.reports.incidents import Incident

CASES = "cases.jsonl"
TRAIN, REST, QUICK_REST = 1500, 6000, 2600  # points
SIZES = (8, 32)  # columns
MARGIN = 5  # points behind a fault in which a flag still finds it
TOP, MIN_TOP_1, MIN_TOP_3, MIN_RECALL = 3, 0.8, 0.95, 0.8
MAX_BUDGETS = 3.0  # of normal points flagged, in the median over the clean streams
CHUNK = 4096
INTRODUCTION = (
    "Seeded streams whose columns depend on each other or not, clean and with faults in known columns: those that a column shows by\n"
    f"itself ({', '.join(ALONE)}), and those of its dependence alone ({', '.join(JOINT)}).\n"
)


@dataclass(frozen=True, slots=True)
class Case:
    """A stream with its faults."""

    kind: str
    columns: int
    seed: int
    budgets: float  # share of the clean stream's points that is flagged, in budgets
    faults: Sequence[str]
    found: Sequence[bool]
    ranks: Sequence[
        int
    ]  # of the first column at fault among those that the incident names, 0 where it names none; of those found


def run(bench: Bench) -> Report:
    """Run the detector over a stream of each kind, size and seed."""
    quick, config = bench.arguments.quick, bench.config
    seeds = range(config.seed, config.seed + (1 if quick else bench.arguments.seeds))
    jobs = [(kind, size, seed) for size in (SIZES[:1] if quick else SIZES) for seed in seeds for kind in KINDS]
    bench.open_results(quick=quick)
    names = {job: "{1} columns, {0}, seed {2}".format(*job) for job in jobs}
    rest = QUICK_REST if quick else REST
    cases = bench.run_cases(
        CASES, Case, names, lambda job: _measure(config, *job, rest), lambda case: (case.kind, case.columns, case.seed)
    )
    return report(cases)


def _measure(config: Config, kind: str, columns: int, seed: int, rest: int) -> Case:
    stream = column_stream(kind, columns, TRAIN + rest, TRAIN, seed)
    time = np.datetime64("2026-01-01", "ns") + np.arange(len(stream.clean)) * np.timedelta64(60, "s")
    detector = make_detector(config.model_copy(update={"seed": seed}), TRAIN)
    detector.process(time[:TRAIN], stream.clean[:TRAIN])
    flags, _ = _judged(config, copy.deepcopy(detector), time[TRAIN:], stream.clean[TRAIN:])
    budgets = float(flags.mean()) / detector.share
    return Case(kind, columns, seed, budgets, *_found(stream, *_judged(config, detector, time[TRAIN:], stream.faulty[TRAIN:])))


def _judged(config: Config, detector: StreamDetector, time: Time, values: Array) -> tuple[Bools, list[Incident]]:
    """Flags (N,) and incidents of points (N,), (N, F) whose columns are called by their numbers."""
    tracker = make_tracker(config.incidents, columns=[str(number) for number in range(values.shape[1])])
    tracker.set_gaps(*gaps_of(config.incidents, config.network.sequence_length, detector.interval))
    flags, incidents = [], []
    for first in range(0, len(values), CHUNK):
        detections = detector.process(time[first : first + CHUNK], values[first : first + CHUNK])
        flags.append(detections.anomalies)
        incidents += tracker.process(detections)
    return np.concatenate(flags), incidents + tracker.finish()


def _found(
    stream: ColumnStream, flags: Bools, incidents: Sequence[Incident]
) -> tuple[tuple[str, ...], tuple[bool, ...], tuple[int, ...]]:
    """Kinds of the faults, which are found, and the rank of the culprit in the worst incident that meets each of these."""
    found, ranks = [], []
    for fault in stream.faults:
        first, last = fault.start - TRAIN, fault.end - TRAIN + MARGIN
        found.append(bool(flags[first:last].any()))
        if found[-1]:
            worst = max(
                (each for each in incidents if each.first_row < last and each.last_row >= first), key=lambda each: each.n_points
            )
            names = [int(column.name) for column in worst.columns]
            ranks.append(next((rank for rank, name in enumerate(names, 1) if name in fault.columns), 0))
    return tuple(fault.kind for fault in stream.faults), tuple(found), tuple(ranks)


def report(cases: Sequence[Case]) -> Report:
    """A table by size and kind of stream, one by fault, and the bars."""
    groups = grouped(cases, lambda case: (case.columns, case.kind))
    rows = [[f"{kind}, {columns} columns", *_cells(group)] for (columns, kind), group in groups.items()]
    header = ["stream", "budgets", "found alone", "found joint", "top 1", "top 3"]
    faults = [
        [fault, *(f"{_recall(group, (fault,)):.2f}" for group in grouped(cases, lambda case: case.columns).values())]
        for fault in (*ALONE, *JOINT)
    ]
    sizes = [f"{columns} columns" for columns in dict.fromkeys(case.columns for case in cases)]
    targets = []
    for columns, group in grouped(cases, lambda case: case.columns).items():
        where = f"{columns} columns: "
        targets += [
            at_least(f"{where}culprit first", MIN_TOP_1, Summary.of([_top(group, 1)])),
            at_least(f"{where}culprit among the first {TOP}", MIN_TOP_3, Summary.of([_top(group, TOP)])),
            at_least(f"{where}faults of the dependence found", MIN_RECALL, Summary.of([_recall(group, JOINT)])),
            at_most(f"{where}clean points flagged, in budgets", MAX_BUDGETS, Summary.of([case.budgets for case in group])),
        ]
    parts = ["# Several columns\n", INTRODUCTION, table(header, rows), table(["found", *sizes], faults), targets_table(targets)]
    return Report("\n".join(parts), {"benchmark": "columns", "cases": [asdict(case) for case in cases]})


def _cells(cases: Sequence[Case]) -> list[str]:
    numbers = (_recall(cases, ALONE), _recall(cases, JOINT), _top(cases, 1), _top(cases, TOP))
    return [
        str(Summary.of([case.budgets for case in cases])),
        *("-" if number != number else f"{number:.2f}" for number in numbers),
    ]


def _recall(cases: Iterable[Case], kinds: Sequence[str]) -> float:
    return _mean(found for case in cases for fault, found in zip(case.faults, case.found, strict=True) if fault in kinds)


def _top(cases: Iterable[Case], most: int) -> float:
    return _mean(1 <= rank <= most for case in cases for rank in case.ranks)


def _mean(numbers: Iterable[bool]) -> float:
    known = list(numbers)
    return float(np.mean(known)) if known else float("nan")
