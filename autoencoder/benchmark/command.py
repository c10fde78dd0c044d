"""The command ``bench``: its command line, and the benchmark that it names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from autoencoder.benchmark import budget, columns, drift, fleet, nab, series, speed, ucr
from autoencoder.benchmark.drift_streams import CHANGES, EVENTS
from autoencoder.benchmark.runner import Bench, Report
from autoencoder.config import load
from autoencoder.console import Console
from autoencoder.interrupts import SignalGuard
from autoencoder.scorers import SCORERS

DETECTORS = tuple(SCORERS)
ALL = "all"
DESCRIPTION = "Measures how good the detectors are."
BENCHMARKS: dict[str, Callable[[Bench], Report | None]] = {
    "nab": nab.run,
    "ucr": ucr.run,
    "series": series.run,
    "budget": budget.run,
    "columns": columns.run,
    "drift": drift.run,
    "speed": speed.run,
    "fleet": fleet.run,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``bench``, and those of each benchmark."""
    parser.set_defaults(known=(), detector=None)
    benchmarks = parser.add_subparsers(dest="what", required=True, metavar="|".join(BENCHMARKS))

    def add(name: str, text: str, detectors: Sequence[str] = (), path: str = "") -> argparse.ArgumentParser:
        bench = benchmarks.add_parser(name, parents=[_common()], help=text)
        if path:
            bench.add_argument("--path", type=Path, required=True, metavar="DIR", help=f"folder with {path}")
        if detectors:
            names = f"{', '.join(detectors)}, or {ALL}; repeatable (default: the configuration's)"
            bench.add_argument("--detector", action="append", choices=(*detectors, ALL), metavar="NAME", help=names)
            bench.set_defaults(known=detectors)
        return bench

    def count(bench: argparse.ArgumentParser, flag: str, least: int, usual: int, meaning: str) -> None:
        bench.add_argument(flag, type=_at_least(least), default=usual, metavar="N", help=f"{meaning} (default: {usual})")

    one = add("nab", "score on the Numenta Anomaly Benchmark", DETECTORS, "data/<category>/<file>.csv and labels/")
    one.add_argument("--file", metavar="NAME", help="score only this file, and draw its plot")
    layout = "<set>/<name>_<train>.csv or .csv.gz of timestamp,value[,more],label"
    one = add("series", "ranks, events and false alarms on labelled series, beside two controls", DETECTORS, layout)
    one.add_argument("--file", metavar="NAME", help="score only this file, and draw its worst misses and false alarms")
    one.add_argument("--evidence", action="store_true", help="also measure what is lost without each part of the evidence")
    names = (*DETECTORS, ucr.MATRIX_PROFILE)
    add("ucr", "accuracy on the UCR Time Series Anomaly Archive", names, "NNN_UCR_Anomaly_<...>.txt")
    one = add("budget", "false alarms of every threshold on clean streams", DETECTORS)
    count(one, "--streams", 1, 100, "clean streams")
    count(one, "--points", 1000, 20_000, "points of a stream")
    one = add("drift", "streams that change for good, with adaptation and without")
    count(one, "--seeds", 1, 20, "streams of a kind")
    kinds = (*CHANGES, *EVENTS)
    one.add_argument("--kind", action="append", choices=kinds, help="only this change or event; repeatable (default: all)")
    several = add("columns", "faults of several columns in streams that are known, and which column is named")
    count(several, "--seeds", 1, 3, "streams of a kind and size")
    timed = add("speed", "latency, throughput, training, start and memory, beside rivals")
    for bench in (one, several, timed, add("fleet", "what many series cost on Spark, beside a panel in one process")):
        bench.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    out = "folder of the results; what is done there is kept"
    common.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)
    config = "yaml file with settings (default: config.yaml)"
    common.add_argument("--config", type=Path, metavar="FILE", help=config)
    common.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; repeatable")
    common.add_argument("--seed", type=int, help="everything random follows from it (default: 0)")
    verbose = "let the libraries' own log lines through, and show tracebacks"
    common.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=verbose)
    return common


def _at_least(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        number = int(text) if text.isdigit() else -1
        if number < least:
            raise argparse.ArgumentTypeError(f"found {text!r}; give a whole number of at least {least:,}")
        return number

    return count


def main(arguments: argparse.Namespace, console: Console) -> int:
    """Run a benchmark and print its report; returns the exit code.

    Raises:
        AutoencoderError: the data or a setting cannot be used, or results cannot be written.
    """
    changes = {} if arguments.seed is None else {"seed": arguments.seed}
    config = load(arguments.config, changes, arguments.set)
    wanted = arguments.detector or [config.detector]
    names = arguments.known if ALL in wanted else dict.fromkeys(wanted)
    chosen = {name: config.model_copy(update={"detector": name}) for name in names}
    started = Bench(arguments, config, chosen, console)
    with SignalGuard(), console.bars():
        report = BENCHMARKS[arguments.what](started)
    if report:
        report.write(started.results)
        sys.stdout.write(report.text)
        sys.stdout.flush()
        console.print(f"{arguments.out}: summary.md, summary.json")
    return 0
