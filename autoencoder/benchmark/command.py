"""The command ``bench``: its command line, and a configuration turned into detectors for each benchmark."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from autoencoder.benchmark.budget import budget_report, run_budget
from autoencoder.benchmark.datasets import nab_files, ucr_files
from autoencoder.benchmark.drift import ADAPTIVE, STATIC, MakeDetector, drift_report, run_drift
from autoencoder.benchmark.drift_streams import CHANGES, EVENTS
from autoencoder.benchmark.matrix_profile import find_discord
from autoencoder.benchmark.nab_run import draw_file, find_file, nab_report, read_published, run_nab
from autoencoder.benchmark.report import Report, open_results
from autoencoder.benchmark.speed import FULL, QUICK, run_speed, speed_report
from autoencoder.benchmark.speed_runs import Execute
from autoencoder.benchmark.ucr import RESULTS, Finder, find_by_scorer, run_ucr, ucr_report
from autoencoder.config import Config, load
from autoencoder.console import Console
from autoencoder.factory.detectors import make_adaptive, make_detector, make_scorer
from autoencoder.interrupts import SignalGuard
from autoencoder.reports.run_folder import RunFolder
from autoencoder.scorers import SCORERS
from autoencoder.scorers.base import Scorer
from autoencoder.thresholds import THRESHOLDS

DETECTORS = tuple(SCORERS)
MATRIX_PROFILE = "matrix_profile"
BASELINES = ("windowed_gaussian", "isolation_forest_sliding", "half_space_trees")  # beside which adaptation is measured
ALL = "all"
# settings that results do not depend on, and files of the program that they do depend on
WITHOUT_EFFECT = {"source", "follow", "detector", "plot", "checkpoint", "synthetic", "yfinance", "csv"}
RESULT_CODE = (
    "detector.py",
    *(f"{package}/*.py" for package in ("adaptation", "scorers", "thresholds", "network", "benchmark")),
    "reports/incidents.py",
)


def parser(program: str = "python main.py") -> argparse.ArgumentParser:
    """The command line of ``bench``."""
    top = argparse.ArgumentParser(prog=f"{program} bench", description="Measures how good the detectors are.")
    top.set_defaults(command="bench", known=(), detector=None)
    benchmarks = top.add_subparsers(dest="what", required=True, metavar="nab|ucr|budget|drift|speed")

    def add(name: str, text: str, detectors: Sequence[str] = (), **numbers: tuple[int, int, str]) -> argparse.ArgumentParser:
        """A benchmark; ``numbers`` are flags with their least value, their default and what they mean."""
        bench = benchmarks.add_parser(name, parents=[_common()], help=text)
        for flag, (least, usual, meaning) in numbers.items():
            what = f"{meaning} (default: {usual})"
            bench.add_argument(f"--{flag}", type=_at_least(least), default=usual, metavar="N", help=what)
        if detectors:
            names = f"{', '.join(detectors)}, or {ALL}; repeatable (default: the configuration's)"
            bench.add_argument("--detector", action="append", choices=(*detectors, ALL), metavar="NAME", help=names)
            bench.set_defaults(known=detectors)
        return bench

    nab = add("nab", "score on the Numenta Anomaly Benchmark", DETECTORS)
    nab.add_argument("--path", type=Path, required=True, metavar="DIR", help="folder with data/<category>/<file>.csv and labels/")
    nab.add_argument("--file", metavar="NAME", help="score only this file, and draw its plot")
    ucr = add("ucr", "accuracy on the UCR Time Series Anomaly Archive", (*DETECTORS, MATRIX_PROFILE))
    ucr.add_argument("--path", type=Path, required=True, metavar="DIR", help="folder with NNN_UCR_Anomaly_<...>.txt")
    sizes = {"streams": (1, 100, "clean streams"), "points": (1000, 20_000, "points of a stream")}
    add("budget", "false alarms of every threshold on clean streams", DETECTORS, **sizes)
    speed = add("speed", "latency, throughput, training, start and memory, beside rivals")
    drift = add("drift", "streams that change for good, with adaptation and without", seeds=(1, 20, "streams of a kind"))
    for bench in (speed, drift):
        bench.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    kinds = (*CHANGES, *EVENTS)
    drift.add_argument("--kind", action="append", choices=kinds, help="only this change or event; repeatable (default: all)")
    return top


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    out = "folder of the results; what is done there is kept"
    common.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)
    config = "yaml file with settings (default: config.yaml)"
    common.add_argument("--config", type=Path, metavar="FILE", help=config)
    common.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; repeatable")
    common.add_argument("--seed", type=int, help="everything random follows from it (default: 0)")
    common.add_argument("--verbose", action="store_true", help="let the libraries' own log lines through, and show tracebacks")
    return common


def _at_least(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        number = int(text) if text.isdigit() else -1
        if number < least:
            raise argparse.ArgumentTypeError(f"found {text!r}; give a whole number of at least {least:,}")
        return number

    return count


def bench(arguments: argparse.Namespace, execute: Execute, console: Console) -> int:
    """Run the benchmark that ``parser`` read and print its report; returns the exit code. ``execute`` is what ``bench speed`` measures.

    Raises:
        AutoencoderError: the data or a setting cannot be used, or results cannot be written.
    """
    changes = {} if arguments.seed is None else {"seed": arguments.seed}
    config = load(arguments.config, changes, arguments.set)
    wanted = arguments.detector or [config.detector]
    names = arguments.known if ALL in wanted else dict.fromkeys(wanted)
    chosen = {name: config.model_copy(update={"detector": name}) for name in names}
    speed = partial(_speed, execute=execute)
    commands: dict[str, Callable[..., int]] = {"nab": _nab, "ucr": _ucr, "budget": _budget, "drift": _drift, "speed": speed}
    return commands[arguments.what](arguments, chosen, config, console)


# each benchmark is given the configuration, and with another detector by its name, as often as detectors are measured


def _nab(arguments: argparse.Namespace, chosen: Mapping[str, Config], config: Config, console: Console) -> int:
    files = nab_files(arguments.path)
    wanted = find_file(files, arguments.file) if arguments.file else None
    for one in chosen.values():
        _scorer_maker(one)
    detectors = {name: partial(make_detector, one) for name, one in chosen.items()}
    folder = open_results(arguments.out, _settings("nab", config))
    if wanted:
        with SignalGuard(), console.bars():
            plots = [draw_file(wanted, folder.path, name, make, console) for name, make in detectors.items()]
        for plot in plots:
            console.print(f"{plot}")
        return 0
    others = read_published(arguments.path, files, console)
    with SignalGuard(), console.bars():
        cooldown = config.incidents.cooldown
        outcomes = {name: run_nab(files, folder.path, name, make, cooldown, console) for name, make in detectors.items()}
    return _finish(folder, nab_report(files, outcomes, others), console)


def _ucr(arguments: argparse.Namespace, chosen: Mapping[str, Config], config: Config, console: Console) -> int:
    files = ucr_files(arguments.path)
    own = {name: partial(find_by_scorer, _scorer_maker(one)) for name, one in chosen.items() if name != MATRIX_PROFILE}
    finders: dict[str, Finder] = {name: own.get(name, find_discord) for name in chosen}
    folder = open_results(arguments.out, _settings("ucr", config))
    with SignalGuard(), console.bars():
        outcomes = {name: run_ucr(files, folder.path, name, find, console) for name, find in finders.items()}
    folder.write(RESULTS, (folder.path / next(iter(finders)) / RESULTS).read_bytes())
    return _finish(folder, ucr_report(files, outcomes), console)


def _budget(arguments: argparse.Namespace, chosen: Mapping[str, Config], config: Config, console: Console) -> int:
    scorers = {name: _scorer_maker(one) for name, one in chosen.items()}
    thresholds = {kind: partial(make, window=config.threshold.window) for kind, make in THRESHOLDS.items()}
    streams, points = arguments.streams, arguments.points
    folder = open_results(arguments.out, {**_settings("budget", config), "streams": streams, "points": points})
    training = config.training.points or round(points * config.training.fraction)
    with SignalGuard(), console.bars():
        cases = run_budget((streams, points, training), config.seed, thresholds, scorers, console)
    return _finish(folder, budget_report(cases), console)


def _scorer_maker(config: Config) -> Callable[[], Scorer]:
    make_scorer(config)  # a package that is missing is named before anything is measured
    return partial(make_scorer, config)


def _drift(arguments: argparse.Namespace, chosen: Mapping[str, Config], config: Config, console: Console) -> int:
    with_changes = {"enabled": True, "synchronous": True, "cold_start_points": None}
    adaptive = config.model_copy(update={"adaptation": config.adaptation.model_copy(update=with_changes)})
    detectors: dict[str, MakeDetector] = {ADAPTIVE: partial(make_adaptive, adaptive), STATIC: partial(make_detector, config)}
    if not arguments.quick:
        detectors |= {name: partial(make_detector, config.model_copy(update={"detector": name})) for name in BASELINES}
    seeds = range(config.seed, config.seed + (1 if arguments.quick else arguments.seeds))
    kinds = arguments.kind or [*CHANGES, *EVENTS]
    points = {kind: 6000 if arguments.quick else 50_000 if kind == "none" else 8500 for kind in kinds}
    folder = open_results(arguments.out, {**_settings("drift", adaptive), "quick": arguments.quick})
    with SignalGuard(), console.bars():
        cases = run_drift(detectors, seeds, points, folder.path, console)
    return _finish(folder, drift_report(cases, adaptive.adaptation.confirm_windows), console)


def _speed(
    arguments: argparse.Namespace, chosen: Mapping[str, Config], config: Config, console: Console, *, execute: Execute
) -> int:
    sizes = QUICK if arguments.quick else FULL
    folder = open_results(arguments.out, {**_settings("speed", config), "quick": arguments.quick})
    with SignalGuard(), console.bars():
        results = run_speed(config, sizes, execute, console)
    return _finish(folder, speed_report(results, sizes), console)


def _finish(folder: RunFolder, report: Report, console: Console) -> int:
    report.write(folder)
    sys.stdout.write(report.text)
    sys.stdout.flush()
    console.print(f"{folder.path}: summary.md, summary.json")
    return 0


def _settings(benchmark: str, config: Config) -> dict[str, Any]:
    """All that results depend on, with a digest of the program, so that results of an older one are not taken for its own."""
    package = Path(__file__).resolve().parents[1]
    code = (path.read_bytes() for pattern in RESULT_CODE for path in sorted(package.glob(pattern)))
    digest = hashlib.sha256(b"".join(code)).hexdigest()[:12]
    return {"benchmark": benchmark, "program": digest, **config.model_dump(mode="json", exclude=WITHOUT_EFFECT)}
