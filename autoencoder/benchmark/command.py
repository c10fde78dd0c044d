"""The command ``bench``: its command line, and a configuration turned into detectors for each benchmark."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from autoencoder.assembly import make_adaptive, make_detector, make_scorer
from autoencoder.benchmark.corpora import nab_files, ucr_files
from autoencoder.benchmark.drift_streams import CHANGES, EVENTS
from autoencoder.benchmark.drift_summary import ADAPTIVE, STILL, drift_summary
from autoencoder.benchmark.matrix_profile import find_discord
from autoencoder.benchmark.results import Summary, open_results
from autoencoder.benchmark.run_budget import budget_summary, run_budget
from autoencoder.benchmark.run_drift import Case, Make, measure_pauses, run_drift
from autoencoder.benchmark.run_nab import MakeDetector, draw_file, find_file, nab_summary, published, run_nab
from autoencoder.benchmark.run_speed import run_speed
from autoencoder.benchmark.run_ucr import RESULTS, Finder, find_by_scorer, run_ucr, ucr_summary
from autoencoder.benchmark.speed.growth import draw_growth
from autoencoder.benchmark.speed.results import FULL, QUICK
from autoencoder.benchmark.speed.summary import growth_panels, speed_summary
from autoencoder.config import Config, load
from autoencoder.interrupts import Interrupts
from autoencoder.reports.console import Console
from autoencoder.reports.runs import RunFolder
from autoencoder.scorers import SCORERS
from autoencoder.scorers.base import Progress, Scorer
from autoencoder.thresholds import THRESHOLDS

DETECTORS = tuple(SCORERS)
MATRIX_PROFILE = "matrix_profile"
GROWTH = "growth.png"
BASELINES = ("windowed_gaussian", "isolation_forest_sliding", "half_space_trees")  # beside which adaptation is measured
ALL = "all"
# settings that results do not depend on, and files of the program that they do depend on
WITHOUT_EFFECT = {"source", "follow", "detector", "plot", "checkpoint", "synthetic", "yfinance", "csv"}
RESULT_CODE = (
    "detector.py",
    *(f"{package}/*.py" for package in ("adaptation", "scorers", "thresholds", "network", "benchmark")),
    "reports/alarms.py",
)


def parser() -> argparse.ArgumentParser:
    """The command line of ``bench``."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the results; what is done there is kept"
    )
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="yaml file with settings (default: config.yaml beside main.py)"
    )
    common.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; repeatable")
    common.add_argument("--seed", type=int, help="everything random follows from it (default: 0)")
    common.add_argument("--verbose", action="store_true", help="let the libraries' own log lines through, and show tracebacks")
    top = argparse.ArgumentParser(prog="main.py bench", description="Measures how good the detectors are.")
    benchmarks = top.add_subparsers(dest="what", required=True, metavar="nab|ucr|budget|drift|speed")

    nab = benchmarks.add_parser("nab", parents=[common], help="score on the Numenta Anomaly Benchmark")
    nab.add_argument("--path", type=Path, required=True, metavar="DIR", help="folder with data/<category>/<file>.csv and labels/")
    nab.add_argument("--file", metavar="NAME", help="judge only this file, and draw its picture")
    _add_detectors(nab, DETECTORS)

    ucr = benchmarks.add_parser("ucr", parents=[common], help="accuracy on the UCR Time Series Anomaly Archive")
    ucr.add_argument("--path", type=Path, required=True, metavar="DIR", help="folder with NNN_UCR_Anomaly_<...>.txt")
    _add_detectors(ucr, (*DETECTORS, MATRIX_PROFILE))

    budget = benchmarks.add_parser("budget", parents=[common], help="false alarms of every threshold on clean streams")
    budget.add_argument("--streams", type=_at_least(1), default=100, metavar="N", help="clean streams (default: 100)")
    budget.add_argument("--points", type=_at_least(1000), default=20_000, metavar="N", help="points of a stream (default: 20000)")
    _add_detectors(budget, DETECTORS)

    speed = benchmarks.add_parser(
        "speed", parents=[common], help="latency, throughput, training, start and memory, beside rivals"
    )
    speed.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    speed.set_defaults(known=(), detector=None)

    drift = benchmarks.add_parser("drift", parents=[common], help="streams that change for good, with adaptation and without")
    drift.add_argument("--seeds", type=_at_least(1), default=20, metavar="N", help="streams of a kind (default: 20)")
    drift.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    drift.add_argument(
        "--kind", action="append", choices=(*CHANGES, *EVENTS), help="only this change or event; repeatable (default: all)"
    )
    drift.set_defaults(known=(), detector=None)
    top.set_defaults(command="bench")
    return top


def _add_detectors(to: argparse.ArgumentParser, names: Sequence[str]) -> None:
    to.add_argument(
        "--detector",
        action="append",
        choices=(*names, ALL),
        metavar="NAME",
        help=f"{', '.join(names)}, or {ALL}; repeatable (default: the configuration's)",
    )
    to.set_defaults(known=names)


def _at_least(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        number = int(text) if text.isdigit() else -1
        if number < least:
            raise argparse.ArgumentTypeError(f"found {text!r}; give a whole number of at least {least:,}")
        return number

    return count


def bench(arguments: argparse.Namespace, console: Console) -> int:
    """Run the benchmark that ``parser`` read and print its summary; returns the exit code.

    Raises:
        DataError, AutoencoderError: the data or a setting cannot be used, or results cannot be written.
    """
    changes = {} if arguments.seed is None else {"seed": arguments.seed}
    config = load(arguments.config, changes, arguments.set, warn=console.say)
    names = _chosen(arguments, config)
    commands = {"nab": _nab, "ucr": _ucr, "budget": _budget, "drift": _drift, "speed": _speed}
    return commands[arguments.what](arguments, names, config, console)


def _chosen(arguments: argparse.Namespace, config: Config) -> list[str]:
    wanted = arguments.detector or [config.detector]
    return list(arguments.known if ALL in wanted else dict.fromkeys(wanted))


def _nab(arguments: argparse.Namespace, names: Sequence[str], config: Config, console: Console) -> int:
    files = nab_files(arguments.path)
    wanted = find_file(files, arguments.file) if arguments.file else None
    detectors = {name: _detector_maker(config, name) for name in names}
    folder = open_results(arguments.out, _settings("nab", config))
    if wanted:
        with Interrupts(), console.bars():
            pictures = [draw_file(wanted, folder.path, name, make, console) for name, make in detectors.items()]
        for picture in pictures:
            console.say(f"{picture}")
        return 0
    others = published(arguments.path, files, console)
    with Interrupts(), console.bars():
        refractory = config.incidents.cooldown
        outcomes = {name: run_nab(files, folder.path, name, make, refractory, console) for name, make in detectors.items()}
    return _finish(folder, nab_summary(files, outcomes, others), console)


def _ucr(arguments: argparse.Namespace, names: Sequence[str], config: Config, console: Console) -> int:
    files = ucr_files(arguments.path)
    finders = {name: _finder(config, name) for name in names}
    folder = open_results(arguments.out, _settings("ucr", config))
    with Interrupts(), console.bars():
        outcomes = {name: run_ucr(files, folder.path, name, find, console) for name, find in finders.items()}
    folder.write(RESULTS, (folder.path / names[0] / RESULTS).read_bytes())
    return _finish(folder, ucr_summary(files, outcomes), console)


def _budget(arguments: argparse.Namespace, names: Sequence[str], config: Config, console: Console) -> int:
    scorers = {name: _scorer_maker(config, name) for name in names}
    thresholds = {kind: partial(make, window=config.threshold.window) for kind, make in THRESHOLDS.items()}
    size = {"streams": arguments.streams, "points": arguments.points}
    folder = open_results(arguments.out, {**_settings("budget", config), **size})
    training = config.training.points or round(arguments.points * config.training.fraction)
    with Interrupts(), console.bars():
        cases = run_budget(**size, training=training, seed=config.seed, thresholds=thresholds, scorers=scorers, console=console)
    return _finish(folder, budget_summary(cases), console)


def _speed(arguments: argparse.Namespace, names: Sequence[str], config: Config, console: Console) -> int:
    sizes = QUICK if arguments.quick else FULL
    folder = open_results(arguments.out, {**_settings("speed", config), "quick": arguments.quick})
    with Interrupts(), console.bars():
        results = run_speed(config, sizes, console)
    draw_growth(growth_panels(results), folder.path / GROWTH)
    return _finish(folder, speed_summary(results), console)


def _drift(arguments: argparse.Namespace, names: Sequence[str], config: Config, console: Console) -> int:
    with_changes = {"enabled": True, "synchronous": True, "cold_start_points": None}
    adaptive = config.model_copy(update={"adaptation": config.adaptation.model_copy(update=with_changes)})
    detectors: dict[str, Make] = {
        ADAPTIVE: lambda points: make_adaptive(adaptive, points),
        STILL: lambda points: make_detector(config, points),
        **{name: _maker(_for_detector(config, name)) for name in BASELINES if not arguments.quick},
    }
    seeds = 1 if arguments.quick else arguments.seeds
    kinds = arguments.kind or [*CHANGES, *EVENTS]
    points = {kind: 6000 if arguments.quick else 50_000 if kind == "none" else 8500 for kind in kinds}
    folder = open_results(arguments.out, {**_settings("drift", adaptive), "quick": arguments.quick})
    cases: list[Case] = []
    with Interrupts(), console.bars():
        for group, judges in (
            (CHANGES, detectors),
            (EVENTS, {ADAPTIVE: detectors[ADAPTIVE]}),
        ):  # who does not adapt learns no event
            wanted = [kind for kind in kinds if kind in group]
            cases += run_drift(judges, wanted, seeds, points, config.seed, folder.path, console)
        beside = adaptive.model_copy(update={"adaptation": adaptive.adaptation.model_copy(update={"synchronous": False})})
        pauses = {} if arguments.quick else measure_pauses(lambda count: make_adaptive(beside, count), config.seed)
    return _finish(folder, drift_summary(cases, pauses, adaptive.adaptation.confirm_windows), console)


def _maker(config: Config) -> Make:
    return lambda points: make_detector(config, points)


def _finish(folder: RunFolder, summary: Summary, console: Console) -> int:
    summary.write(folder)
    sys.stdout.write(summary.text)
    sys.stdout.flush()
    console.say(f"{folder.path}: summary.md, summary.json")
    return 0


def _settings(benchmark: str, config: Config) -> dict[str, Any]:
    return {"benchmark": benchmark, "program": _program(), **config.model_dump(mode="json", exclude=WITHOUT_EFFECT)}


def _program() -> str:
    """Short digest of the program, so that results of an older one are not taken for its own."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for pattern in RESULT_CODE:
        for path in sorted(package.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _for_detector(config: Config, name: str) -> Config:
    return config.model_copy(update={"detector": name})


def _detector_maker(config: Config, name: str) -> MakeDetector:
    chosen = _for_detector(config, name)
    make_scorer(chosen)  # a package that is missing is told before anything is judged
    return lambda points, progress: make_detector(chosen, points, progress)


def _scorer_maker(config: Config, name: str) -> Callable[[], Scorer]:
    chosen = _for_detector(config, name)
    make_scorer(chosen)
    return lambda: make_scorer(chosen)


def _finder(config: Config, name: str) -> Finder:
    if name == MATRIX_PROFILE:
        return find_discord
    make = _scorer_maker(config, name)

    def find(values: Any, train: int, progress: Progress) -> int:
        return find_by_scorer(make, values, train, progress)

    return find
