"""``bench fleet``: what many series cost on Spark beside a panel in one process, what they keep, and what a change of model flags."""

from __future__ import annotations

import itertools
import math
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.benchmark import fleet_runs as runs
from autoencoder.benchmark.runner import Bench, Report, Summary, Target, at_most, targets_table
from autoencoder.benchmark.speed import Results, Rounds, machine_line, ratio, rounds_table
from autoencoder.config import Config
from autoencoder.core.extras import require
from autoencoder.fleet.bucket import Kit

ON_SPARK, ALONE, SMALL = "on Spark", "in one process", "few rows"
ROWS, BATCH, STATE, HOT = "CPU a row, us", "CPU a batch, s", "state of a series, kB", "of which written with each point, kB"
RELOADED = "buckets of a batch that were loaded again"
RESIDENT = "memory of a series in a process, kB"
FLAGGED = "flagged of clean points when the model changes, %"
WARM_UP = 10  # small batches that are not measured: the JVM compiles


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    shapes: tuple[tuple[int, int], ...]  # series, and rows of each in a batch; of each number of rows two, few series first
    cycles: int  # of batches of a shape that are measured, see ``runs.cycle``
    small: int  # rows of a small batch, of a series each
    table: tuple[int, int]  # series of a table that is judged at once, and rows of each
    kinds: int  # of series; the others are copies of these
    marks: tuple[int, ...]  # points after which the state of a series is measured
    point_batches: int  # after each of them
    day: tuple[int, int, tuple[int, ...]]  # season of a metric by the minute, its training points, and marks
    changed: int  # series that get another model
    points: int  # of them until they are known to it
    training: int  # points of each of 20 series
    steps: int  # of training, at most


SHAPES = ((1_000, 100), (10_000, 100), (1_000, 10), (10_000, 10))
MARKS, DAY = (500, 1_000, 6_000, 20_000), (1_440, 4_320, (1_000, 4_000, 10_000))
FULL = Sizes(SHAPES, 2, 100, (1_000, 300), 8, MARKS, 66, DAY, 30, 1_000, 400, 1_000_000)
QUICK = Sizes(((20, 40), (40, 40), (20, 20), (40, 20)), 1, 10, (20, 30), 2, (200, 300), 3, (96, 300, (400,)), 4, 200, 300, 50)


def run(bench: Bench) -> Report:
    """Measure all of it with the default model, trained on 20 series. Raises MissingPackageError, ConfigError: there is no Spark."""
    require("pyspark", purpose="bench fleet")
    quick, config = bench.arguments.quick, bench.config
    bench.open_results(quick=quick)
    sizes = QUICK if quick else FULL
    training = {"max_steps": min(config.training.max_steps, sizes.steps), "newcomers": "own", "points": sizes.points}
    chosen = _changed(config, network={"threads": 1}, columns={"joint": True}, training=training)
    chosen = chosen.model_copy(update={"detector": "lstm_autoencoder"})
    with tempfile.TemporaryDirectory() as place:
        return fleet_report(_measure(bench, chosen, sizes, Path(place)), sizes)


def _changed(config: Config, **changes: dict[str, object]) -> Config:
    """A configuration with other values of some keys, by their groups."""
    return config.model_copy(update={name: getattr(config, name).model_copy(update=change) for name, change in changes.items()})


def _measure(bench: Bench, config: Config, sizes: Sizes, place: Path) -> Results:
    from autoencoder.fleet.command import session

    bar = bench.console.progress("fleet")
    bar(0, 4, "training")
    seeds = (config.seed, config.seed + 1)
    kit, other = (runs.kit_of(config, place / f"seed-{seed}", sizes.training, seed) for seed in seeds)
    bar(1, 4, "a change of model")
    results = {FLAGGED: _change(kit, other, sizes)}
    bar(2, 4, "states")
    bucket, states = runs.state_sizes(kit, [f"k{kind}" for kind in range(sizes.kinds)], sizes.marks, sizes.point_batches)
    period, points, marks = sizes.day
    long = replace(kit, config=_changed(kit.config, training={"points": points}))
    _, by_day = runs.state_sizes(long, [f"k{runs.LONG * period + kind}" for kind in range(3)], marks, sizes.point_batches)
    found = {f"after {mark:,} points": pair for mark, pair in states.items()}
    found |= {f"a season of {period:,} points, after {mark:,}": pair for mark, pair in by_day.items()}
    for title, sizes_of in zip((STATE, HOT), zip(*found.values(), strict=True), strict=True):
        results[title] = {when: [size / 1e3] for when, size in zip(found, sizes_of, strict=True)}
    bar(3, 4, "batches")
    full, spark = runs.saturated(kit, bucket, place / "saturated"), session()
    try:
        results |= _batches(spark, full, sizes, sizes.marks[-1] + sizes.point_batches, place)
    finally:
        spark.stop()
    bar.finish()
    return results


def _change(kit: Kit, other: Kit, sizes: Sizes) -> Rounds:
    """Flagged shares of clean series that neither model knows, after a change and after the new model took over, with and without it."""
    names, points = [f"k{kind}" for kind in range(100, 100 + sizes.changed)], sizes.points
    first, half = 2 * points, points // 2  # by then they are known to the first model
    edges = [first, first + half, first + points, first + points + half]
    found = {"with": runs.flagged_shares(kit, other, names, edges), "without": runs.flagged_shares(kit, None, names, edges)}
    when = {0: f"the {half:,} points after it", 2: f"the {half:,} points after the new one took over"}
    return {f"{text}, {how} a change": [100 * shares[place]] for place, text in when.items() for how, shares in found.items()}


def _batches(spark: Any, kit: Kit, sizes: Sizes, begin: int, place: Path) -> Results:
    """Batches of each shape, on Spark and in this process, one shape after the other."""
    us: Rounds = {}
    whole: Rounds = {}
    resident: Rounds = {}
    reloaded: Rounds = {}
    names = runs.names_of(sizes.kinds, sizes.small)
    tables = [runs.table_of(names, begin + tick, begin + tick + 1) for tick in range(WARM_UP + sizes.cycles * runs.cycle(1))]
    whole[SMALL] = runs.by_cycle(runs.on_spark(spark, kit, tables, place / SMALL)[0][WARM_UP:], 1)
    for series, count in sizes.shapes:
        names, what = runs.names_of(sizes.kinds, series), f"{series:,} series x {count:,} rows"
        edges = [begin, *range(begin + 1, begin + 2 + count * sizes.cycles * runs.cycle(count), count)]
        tables = [runs.table_of(names, start, stop) for start, stop in itertools.pairwise(edges)]
        alone, each = runs.in_process(kit, tables)
        seconds, loaded = runs.on_spark(spark, kit, tables, place / what)
        whole[what] = runs.by_cycle(seconds[1:], count)
        for how, found in ((ON_SPARK, whole[what]), (ALONE, runs.by_cycle(alone[1:], count))):
            us[f"{what}, {how}"] = [1e6 * one / (series * count) for one in found]
        reloaded[what] = loaded[1:]
        if all(series > before for before, _ in sizes.shapes[: sizes.shapes.index((series, count))]):
            resident[what] = [each / 1e3]  # later ones use the memory of these again
    series, count = sizes.table
    names, what = runs.names_of(sizes.kinds, series), f"a table of {series:,} series x {count:,} rows"
    tables = [runs.table_of(names, begin, begin + count)]
    for how, found in (
        (ON_SPARK, runs.at_once(kit, tables[0], place / what)),
        (ALONE, runs.in_process(kit, tables)[0]),
    ):
        us[f"{what}, {how}"] = [1e6 * one / (series * count) for one in found]
    return {ROWS: us, BATCH: whole, RESIDENT: resident, RELOADED: reloaded}


def fleet_targets(results: Results) -> list[Target]:
    """The figures beside what they should be."""
    us, whole = results[ROWS], results[BATCH]
    shapes = list(dict.fromkeys(name.rpartition(", ")[0] for name in us))
    first, _, _, large, at_once = shapes
    ratios = {what: ratio(us[f"{what}, {ON_SPARK}"], us[f"{what}, {ALONE}"]) for what in shapes}
    fixed = float(np.median(whole[SMALL]))
    growth = [
        at_most(f"{few} -> {many}: how far the exponent of CPU in rows is from 1", 0.05, _from_one(whole, few, many, fixed))
        for few, many in zip(shapes[0:4:2], shapes[1:4:2], strict=True)
    ]
    return [
        at_most(f"CPU a row, {first}: on Spark / in one process", 2, ratios[first]),
        at_most(f"CPU a row, {large}: on Spark / in one process", 2, ratios[large]),
        at_most(f"CPU a row, {at_once}: on Spark / in one process", 1.2, ratios[at_once]),
        at_most("CPU seconds of a batch of few rows", 2, Summary.of(whole[SMALL])),
        at_most("state of a series, kB, at most", 60, Summary.of([max(each for [each] in results[STATE].values())])),
        at_most("of which written with each point, kB, at most", 5, Summary.of([max(each for [each] in results[HOT].values())])),
        *growth,
    ]


def _from_one(whole: Rounds, few: str, many: str, fixed: float) -> Summary:
    """How far the exponent is from 1 with which the CPU of a batch, but for what one of few rows takes, grows with its rows."""
    by = math.log(_series(many) / _series(few))
    pairs = [(small - fixed, large - fixed) for small, large in zip(whole[few], whole[many], strict=True)]
    return Summary.of(abs(math.log(large / max(small, 1e-9)) / by - 1) for small, large in pairs if large > 0)


def _series(what: str) -> int:
    return int(what.partition(" ")[0].replace(",", ""))


def million(results: Results) -> str:
    """What a million series at a point a minute take, from the figures."""
    largest = next(name for name in reversed(results[ROWS]) if "table" not in name and name.endswith(ON_SPARK))
    us = float(np.median(results[ROWS][largest]))
    [memory], [state] = list(results[RESIDENT].values())[-1], list(results[STATE].values())[-1]
    return (
        f"A million series at a point a minute are {1e6 / 60:,.0f} rows a second: {us / 60:,.1f} cores like these at {us:,.0f} us a row, "
        f"{memory:,.0f} GB of memory for the copies of their buckets, and {state:,.0f} GB of state.\n"
    )


def fleet_report(results: Results, sizes: Sizes) -> Report:
    """Report of a run."""
    targets, machine = fleet_targets(results), machine_line()
    quick = "With --quick: it shows that everything runs; the figures say little.\n\n" if sizes == QUICK else ""
    text = (
        f"# Fleet\n\n{machine}. CPU is that of all processes, a mean of as many batches as it takes to save each state once; medians of "
        f"such cycles, and their lowest and highest. Series remember all that they can, and are copies of {sizes.kinds}.\n\n"
        f"{quick}Bars:\n\n{targets_table(targets)}\n{million(results)}\n"
        + "\n".join(map(rounds_table, results, results.values()))
    )
    bars = [asdict(target) for target in targets]
    return Report(text, {"benchmark": "fleet", "machine": machine, "sizes": asdict(sizes), "bars": bars, "results": results})
