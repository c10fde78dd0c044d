"""``bench speed``: one point, bulk, many series, training, start, memory, growth, beside rivals and all in one run."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from autoencoder.benchmark import speed_runs as runs
from autoencoder.benchmark.runner import Bench, Report, Summary, Target, at_least, at_most, table, targets_table
from autoencoder.config import Config

Rounds = dict[str, list[float]]  # what was measured -> a figure for each round, or batch
Results = dict[str, Rounds]  # by table

OURS, PROCESS, PREDICT, FIT = "this program", "this program, as a process", "Keras model.predict", "Keras fit"
RIVALS = {"isolation_forest": "isolation forest", "half_space_trees": "half-space trees (river)"}
ONE, TAIL = "one point, us", "one point, us, 99th percentile"
BULK, SERIES = "in bulk, points a second", "many series, points a second"
TRAINING, START = "training to the same loss, s", "start to first detection, s"
MEMORY, GROWTH = "peak memory by points through a pipe, MB", "file to scores.csv by points, s"
BULK_SHARE = 4  # a rival gets so many times as many points in bulk as it took one by one
MIN_BULK = 2000  # and at least so many
TRAINING_WINDOWS = 1500
# of a cold start: more than a window, so that the first detection is among them; the end of the run counts, too
FIRST_LINES = 200
LIBRARIES = ("numpy", "onnxruntime", "tensorflow", "keras", "river")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int  # of everything but training, memory and growth
    seconds: float  # that a contestant gets points one by one, a round
    bulk: int  # points in bulk, a round
    series: tuple[int, ...]  # numbers of them
    ticks: int  # of many series, a round; some ticks cost more, as thresholds learn in blocks
    memory: tuple[int, ...]  # numbers of points through a pipe
    growth: tuple[int, ...]  # numbers of points from a file
    races: int  # of training
    steps: int  # of training, at most


GROWING = (10_000, 30_000, 100_000, 300_000)
FULL = Sizes(3, 1.5, 150_000, (1, 100, 1_000), 32, (10_000, 300_000), GROWING, 2, 1_000_000)
QUICK = Sizes(1, 0.1, 2_000, (1, 5), 3, (1_000, 2_000), (1_000, 2_000), 1, 50)


def run(bench: Bench) -> Report:
    """Measure everything with the default model, which is trained first. Raises RunError: a process that was measured failed."""
    quick, config = bench.arguments.quick, bench.config
    bench.open_results(quick=quick)
    sizes = QUICK if quick else FULL
    training = config.training.model_copy(update={"max_steps": min(config.training.max_steps, sizes.steps)})
    default = config.model_copy(update={"training": training, "detector": "lstm_autoencoder"})
    with tempfile.TemporaryDirectory() as place:
        return speed_report(_measure(bench, default, sizes, Path(place)), sizes)


def _measure(bench: Bench, config: Config, sizes: Sizes, place: Path) -> Results:
    import keras

    values, lines = runs.stream_lines(config, max(*sizes.growth, *sizes.memory, sizes.bulk))
    configs = {OURS: config} | {name: config.model_copy(update={"detector": kind}) for kind, name in RIVALS.items()}
    programs = {name: runs.Program.train_in(one, place / one.detector, lines) for name, one in configs.items()}
    program = programs[OURS]
    model = keras.models.load_model(program.model / "model.keras")
    windows = runs.windows_of(values[: MIN_BULK + sizes.bulk // 15], model.input_shape[1])
    bar = bench.console.progress("speed")
    bar(0, 4, "points")
    results = _points(program, {**programs, **runs.keras_networks(model, windows)}, sizes)
    bar(1, 4, "many series")
    results[SERIES] = {f"{count:,}": program.many_series(values, count, sizes.rounds, sizes.ticks) for count in sizes.series}
    bar(2, 4, "training")
    races = [runs.training_race(windows[:TRAINING_WINDOWS], config, config.seed + seed) for seed in range(sizes.races)]
    results[TRAINING] = {OURS: [ours for ours, _ in races], FIT: [theirs for _, theirs in races]}
    bar(3, 4, "start and growth")
    results[START] = {OURS: [program.as_process(FIRST_LINES, piped=True)[0] for _ in range(sizes.rounds)]}
    results[MEMORY] = {f"{points:,}": [program.as_process(points, piped=True)[1] / 1e6] for points in sizes.memory}
    results[GROWTH] = {f"{points:,}": [points / program.bulk_rate(points)] for points in sizes.growth}
    bar.finish()
    return results


def _points(program: runs.Program, contestants: Mapping[str, runs.Program | runs.Network], sizes: Sizes) -> Results:
    """Points one after the other, and all at once; in each round all take turns, so that other load falls on all of them."""
    medians: Rounds = {name: [] for name in contestants}
    tails: Rounds = {name: [] for name in contestants}
    rates: Rounds = {name: [] for name in (PROCESS, *contestants)}
    program.as_process(MIN_BULK)  # compiles what Python has not compiled yet
    for _ in range(sizes.rounds):
        rates[PROCESS].append(sizes.bulk / program.as_process(sizes.bulk)[0])
        for name, contestant in contestants.items():
            times = contestant.one_by_one(sizes.seconds)
            medians[name].append(float(np.median(times)))
            tails[name].append(float(np.quantile(times, 0.99)))
            rates[name].append(contestant.bulk_rate(min(sizes.bulk, max(MIN_BULK, BULK_SHARE * len(times)))))
    return {ONE: medians, TAIL: tails, BULK: rates}


def speed_targets(results: Results) -> list[Target]:
    """The figures beside what they should be."""
    ours, training = results[ONE][OURS], results[TRAINING]
    series, rates = list(results[SERIES].items())[-1]
    (short, low), *_, (long, high) = results[MEMORY].items()
    return [
        at_least("model.predict / this program, one point", 300, ratio(results[ONE][PREDICT], ours)),
        at_most("99th percentile / median, one point", 5, ratio(results[TAIL][OURS], ours)),
        at_least("points a second, file to scores.csv, as a process", 50_000, Summary.of(results[BULK][PROCESS])),
        at_least(f"points a second, {series} series with one model", 30_000, Summary.of(rates)),
        at_least("Keras fit / this program, time to the same loss", 2.5, ratio(training[FIT], training[OURS])),
        at_most(f"seconds from process start to the end of a run of {FIRST_LINES} points", 1, Summary.of(results[START][OURS])),
        at_most(f"memory at {long} points / at {short}", 1.3, ratio(high, low)),
        at_most("growth of time with points, exponent", 1.05, Summary.of([_growth_exponent(results[GROWTH])])),
    ]


def _growth_exponent(seconds: Rounds) -> float:
    """Exponent e of seconds ~ points ** e, by least squares of the logarithms.

    >>> round(_growth_exponent({"10": [2.0], "100": [20.0], "1,000": [200.0]}), 6)
    1.0
    """
    points = [int(name.replace(",", "")) for name in seconds]
    return float(np.polyfit(np.log(points), np.log([np.median(rounds) for rounds in seconds.values()]), 1)[0])


def ratio(above: Sequence[float], below: Sequence[float]) -> Summary:
    """Of two that ran in the same rounds: a round's load falls on both, so the rounds are compared one by one."""
    return Summary.of(first / second for first, second in zip(above, below, strict=True))


def speed_report(results: Results, sizes: Sizes) -> Report:
    """Report of a run."""
    targets, machine = speed_targets(results), machine_line()
    quick = "With --quick: it shows that everything runs; the figures say little.\n\n" if sizes == QUICK else ""
    text = (
        f"# Speed\n\n{machine}. Medians of repeated rounds, and their lowest and highest. Keras and tf.function run the network "
        "alone on ready windows; the other rows are whole programs, from line to written row.\n\n"
        f"{quick}Bars:\n\n{targets_table(targets)}\n" + "\n".join(map(rounds_table, results, results.values()))
    )
    bars = [asdict(target) for target in targets]
    return Report(text, {"benchmark": "speed", "machine": machine, "sizes": asdict(sizes), "bars": bars, "results": results})


def rounds_table(title: str, rows: Rounds) -> str:
    """The figures of a table, summarised."""
    found = {name: Summary.of(rounds) for name, rounds in rows.items()}
    return table([title, "median", "lowest to highest"], [[name, str(one), one.extent()] for name, one in found.items()])


def machine_line() -> str:
    """Processor, cores, load, Python and libraries of this machine."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    load = os.getloadavg()[0]
    return f"{processor}, {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}, {libraries}"
