"""``bench columns``: does a detector find faults of several columns, and name the column that is at fault?"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from autoencoder.benchmark.runner import Bench, Report, Summary, at_least, at_most, grouped, table, targets_table
from autoencoder.config import Config
from autoencoder.core.types import Array, Bools, Time
from autoencoder.detector import StreamDetector
from autoencoder.factory.detectors import make_detector
from autoencoder.factory.runs import gaps_of, make_tracker
from autoencoder.reports.incidents import Incident

KINDS = ("seasonal", "walk", "counts", "independent")  # of streams; the columns of all but the last depend on each other
ALONE = ("spike", "level", "stuck", "noise")  # faults of a column that it shows by itself
JOINT = ("swap", "lag", "decouple")  # faults of its dependence alone
GAP = 350  # points from fault to fault
NEAR = 200  # points before a fault that tell how a column moves there
LONGEST_LAG = 48  # points
TRIES = 24  # columns that a fault of the dependence is tried in: two that move alike can be swapped without a trace
LEAST_CHANGE = 1.0  # deviations of the column near by that it changes its values by, at least
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
    # of the first column at fault among those that the incident names, 0 where it names none; of those found
    ranks: Sequence[int]


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


# --- streams of several columns, clean and with faults in known columns ---


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    kind: str
    start: int
    end: int  # row behind it
    columns: tuple[int, ...]  # that are at fault


@dataclass(frozen=True, slots=True)
class ColumnStream:
    """One stream of N points and F columns."""

    clean: Array  # (N, F)
    faulty: Array  # (N, F)
    faults: tuple[Fault, ...]


def column_stream(kind: str, columns: int, points: int, train: int, seed: int) -> ColumnStream:
    """A stream of that kind; after ``train`` points a fault comes every ``GAP``. The same seed gives the same stream.

    >>> stream = column_stream("seasonal", 8, 3000, 1000, seed=0)
    >>> stream.clean.shape, stream.faults[0].kind, stream.faults[0].start
    ((3000, 8), 'spike', 1350)
    """
    clean, other = (_plant(kind, columns, points, seed, run) for run in (0, 1))
    random = np.random.default_rng((seed, KINDS.index(kind), 2))
    faulty, faults, kinds = clean.copy(), [], (*ALONE, *(() if kind == "independent" else JOINT))
    for number, start in enumerate(range(train + GAP, points - NEAR, GAP)):
        fault = kinds[number % len(kinds)]
        length = int(random.integers(1, 4) if fault == "spike" else random.integers(40, 120))
        for _ in range(TRIES):
            changed, at_fault = _broken(fault, clean, other, start, start + length, random)
            if kind == "counts":
                changed = np.maximum(np.rint(changed), 0.0)
            if fault in ALONE or _change(clean, changed, start, at_fault[0]) >= LEAST_CHANGE:
                faulty[start : start + length] = changed
                faults.append(Fault(fault, start, start + length, at_fault))
                break
    return ColumnStream(clean, faulty, tuple(faults))


def _plant(kind: str, columns: int, points: int, seed: int, run: int) -> Array:
    """Values (N, F) of one run of a plant that follows from the kind and the seed."""
    plant = np.random.default_rng((seed, KINDS.index(kind)))
    random = np.random.default_rng((seed, KINDS.index(kind), 3, run))
    level, unit, rows = plant.uniform(10, 200, columns), plant.uniform(0.5, 20, columns), np.arange(points)[:, None]
    causes = max(1, min(4, columns // 4))
    loads = plant.normal(size=(causes, columns))
    loads /= np.linalg.norm(loads, axis=0)
    if kind == "seasonal":
        phase, height = plant.uniform(0, 2 * np.pi, columns), plant.uniform(0.5, 2, columns)
        common = height * np.sin(2 * np.pi * rows / 48 + phase) + _smooth(random, points, causes, 0.9) @ loads
        return level + unit * (common + 0.3 * random.normal(size=(points, columns)))
    if kind == "walk":
        walks = 0.1 * np.cumsum(random.normal(size=(points, causes)), axis=0)
        return level + unit * (walks @ loads + 0.3 * _smooth(random, points, columns, 0.5))
    if kind == "counts":
        load = 0.4 * np.sin(2 * np.pi * rows / 96) + 0.25 * _smooth(random, points, 1, 0.95)
        return random.poisson(level * np.exp(load + 0.05 * _smooth(random, points, columns, 0.9))).astype(float)
    periods, height = plant.integers(20, 90, columns), plant.uniform(0, 2, columns)
    memories = plant.uniform(0, 0.95, columns)
    own = np.hstack([_smooth(random, points, 1, float(memory)) for memory in memories])
    return level + unit * (height * np.sin(2 * np.pi * rows / periods) + own)


def _smooth(random: np.random.Generator, points: int, columns: int, memory: float) -> Array:
    """Autoregressive noise (N, K) of deviation 1."""
    from scipy.signal import lfilter

    noise = random.normal(size=(points + NEAR, columns))
    return np.asarray(lfilter([np.sqrt(1 - memory**2)], [1.0, -memory], noise, axis=0)[NEAR:])


def _broken(
    fault: str, clean: Array, other: Array, start: int, end: int, random: np.random.Generator
) -> tuple[Array, tuple[int, ...]]:
    """Values (M, F) of the rows with the fault, in a column by chance, and the columns at fault."""
    column, sign = int(random.integers(clean.shape[1])), random.choice([-1.0, 1.0])
    rows, changed = slice(start, end), clean[start:end].copy()
    before = clean[start - NEAR : start]  # (P, F)
    step = 1.4826 * float(np.median(np.abs(np.diff(before[:, column])))) + 1e-9
    if fault == "spike":
        changed[:, column] += sign * 8 * step
    elif fault == "level":
        changed[:, column] += sign * 4 * max(step, 0.5 * float(before[:, column].std()))
    elif fault == "stuck":
        changed[:, column] = changed[0, column]
    elif fault == "noise":
        changed[:, column] += 3 * step * random.normal(size=end - start)
    elif fault == "swap":
        alike = np.atleast_2d(np.corrcoef(before.T))[column]
        partner = int(np.argmin(np.where(np.arange(len(alike)) == column, np.inf, alike)))
        middle, spread = before.mean(axis=0), before.std(axis=0)
        scaled = (clean[rows] - middle) / spread
        changed[:, column] = middle[column] + spread[column] * scaled[:, partner]
        changed[:, partner] = middle[partner] + spread[partner] * scaled[:, column]
        return changed, (column, partner)
    elif fault == "lag":
        lags = range(4, LONGEST_LAG + 1, 4)
        most = max(lags, key=lambda lag: float(np.mean((clean[rows, column] - clean[start - lag : end - lag, column]) ** 2)))
        changed[:, column] = clean[start - most : end - most, column]
    else:  # another run of the same plant, which begins where this one is
        changed[:, column] = other[rows, column] - other[start - NEAR : start, column].mean() + before[:, column].mean()
    return changed, (column,)


def _change(clean: Array, changed: Array, start: int, column: int) -> float:
    """Root mean square of what a fault changes in a column, in robust deviations of the points before it."""
    before = clean[start - NEAR : start, column]
    usual = 1.4826 * float(np.median(np.abs(before - np.median(before)))) + 1e-9
    return float(np.sqrt(np.mean(np.square(changed[:, column] - clean[start : start + len(changed), column])))) / usual
