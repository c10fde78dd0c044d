"""Finds anomalies in streams of numbers: arguments -> config -> command. ``python main.py --help`` tells the rest."""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402 - the clock starts before anything is imported
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from contextlib import nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, NoReturn  # noqa: E402

# the matrices here are small: shared out over threads they take ten times as long. Read when numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoencoder.config import Config
    from autoencoder.console import Console

COMMANDS = ("run", "train", "bench", "dashboard")
# flag -> the setting it changes
SETTINGS = {
    "source": "source",
    "ticker": "yfinance.ticker",
    "period": "yfinance.period",
    "start": "yfinance.start",
    "end": "yfinance.end",
    "interval": "yfinance.interval",
    "path": "csv.path",
    "time_column": "csv.time_column",
    "label_column": "csv.label_column",
    "series_column": "csv.series_column",
    "follow": "follow",
    "detector": "detector",
    "plot": "plot.kind",
    "seed": "seed",
}
# flag -> the sources that it means something to
SERVES = {
    "ticker": ("yfinance",),
    "period": ("yfinance",),
    "start": ("yfinance",),
    "end": ("yfinance",),
    "interval": ("yfinance",),
    "path": ("csv",),
    "column": ("csv", "stdin", "yfinance"),
    "time_column": ("csv", "stdin"),
    "label_column": ("csv",),
    "series_column": ("csv", "stdin"),
    "follow": ("csv", "stdin", "yfinance"),
}


class Parser(argparse.ArgumentParser):
    """Tells of wrong usage in one line, as of every other error."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end the program."""
        self.exit(2, f"error: {message}; see python {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(
        prog="main.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Finds anomalies in a stream of numbers as they arrive.\n\n"
        "commands: run (when none is named): judge a source and leave a run folder\n"
        "          train: train on the first part of a source and save the model\n"
        "          bench: measure the detectors on benchmarks; see main.py bench --help\n"
        "          dashboard: watch runs in a browser; see main.py dashboard --help\n",
        epilog="examples:\n"
        "  python main.py --source synthetic\n"
        "  python main.py --source yfinance --ticker AAPL --period 5y\n"
        "  python main.py --source csv --path metrics.csv --column cpu\n"
        "  python main.py --source csv --path metrics.csv --series-column host\n"
        "  some-producer | python main.py --source stdin\n"
        "  python main.py train --source csv --path metrics.csv --out model\n"
        "  python main.py --source csv --path new.csv --model model\n\n"
        "exit codes: 0 done, 1 the run failed, 2 wrong usage, config or input,\n"
        "            130 interrupted",
    )
    top.add_argument(
        "command",
        nargs="?",
        default="run",
        choices=COMMANDS,
        metavar="COMMAND",
        help="run, train, bench or dashboard (default: run)",
    )
    source = top.add_argument_group("source")
    source.add_argument(
        "--source", choices=("synthetic", "yfinance", "csv", "stdin"), help="where the points come from (default: synthetic)"
    )
    source.add_argument("--ticker", help="yfinance: e.g. AAPL")
    source.add_argument("--period", help="yfinance: how far back, e.g. 5y (default), 6mo, max")
    source.add_argument("--start", metavar="DATE", help="yfinance: first day, YYYY-MM-DD, instead of a period")
    source.add_argument("--end", metavar="DATE", help="yfinance: day after the last one")
    source.add_argument("--interval", help="yfinance: length of a bar, e.g. 1d (default), 1h, 5m")
    source.add_argument("--path", metavar="FILE", help="csv: a csv, csv.gz or parquet file")
    source.add_argument(
        "--column",
        action="append",
        metavar="NAME",
        help="column with the values; repeat it for several (default: the obvious one)",
    )
    source.add_argument("--time-column", metavar="NAME", help="column with the times (default: the obvious one)")
    source.add_argument("--label-column", metavar="NAME", help="csv: 0/1 column with known anomalies, for the metrics")
    source.add_argument(
        "--series-column", metavar="NAME", help="csv: column that names a row's series, e.g. host; all are judged"
    )
    source.add_argument("--follow", action="store_const", const=True, help="go on as lines or bars are added")
    common = top.add_argument_group("run")
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="yaml file with settings (default: config.yaml beside main.py)"
    )
    common.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting, e.g. threshold.budget=0.01; repeatable",
    )
    common.add_argument(
        "--detector", metavar="NAME", help="lstm_autoencoder (default), isolation_forest, ...; config.yaml names them all"
    )
    common.add_argument("--model", type=Path, metavar="RUN_DIR", help="use the model of that run folder, train nothing")
    common.add_argument("--plot", choices=("live", "file", "none"), help="a window, plot.png (default), or nothing")
    common.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/<UTC time>-<source>)")
    common.add_argument("--resume", action="store_true", help="go on with the run in --out that was cut off")
    common.add_argument("--seed", type=int, help="everything random follows from it (default: 0)")
    common.add_argument("--verbose", action="store_true", help="let the libraries' own log lines through, and show tracebacks")
    return top


def read_config(arguments: argparse.Namespace, warn: Callable[[str], object] = str) -> Config:
    """The configuration that files and flags make together; ``warn`` is told of former names of settings.

    Raises:
        ConfigError: a setting is wrong, or a flag means nothing to the source.
    """
    from autoencoder.config import load
    from autoencoder.core.errors import ConfigError
    from autoencoder.reports.run_folder import CONFIG, has, require_inside

    saved = arguments.out if arguments.resume else arguments.model
    changes = {key: value for flag, key in SETTINGS.items() if (value := getattr(arguments, flag)) is not None}

    renamed: dict[str, None] = {}

    def resolved() -> Config:
        file = require_inside(saved, CONFIG) if saved and has(saved, CONFIG) else None
        return load(arguments.config, changes, arguments.set, saved=file, whole=arguments.resume, warn=renamed.setdefault)

    config = resolved()
    for flag, sources in SERVES.items():
        if getattr(arguments, flag) is not None and config.source not in sources:
            name = "--" + flag.replace("_", "-")
            raise ConfigError(f"{name} means nothing to --source {config.source}; leave it out, or add --source {sources[0]}")
    if arguments.column:  # which setting that is depends on the source, and that may come from a file
        changes["yfinance.column" if config.source == "yfinance" else "csv.columns"] = arguments.column
        config = resolved()
    for sentence in renamed:
        warn(sentence)
    return config


def call(arguments: argparse.Namespace, console: Console) -> int:
    """Call the command; returns the exit code.

    Raises:
        SourceError, AutoencoderError: it cannot do what was asked.
    """
    if arguments.command == "bench":
        from autoencoder.benchmark.command import bench

        return bench(arguments, console)
    if arguments.command == "dashboard":
        from autoencoder.dashboard.command import dashboard

        return dashboard(arguments, console)
    from autoencoder.commands.run import run
    from autoencoder.commands.setup import RunOptions
    from autoencoder.commands.train import train
    from autoencoder.core.errors import ConfigError

    if arguments.resume and not arguments.out:
        raise ConfigError("--resume needs --out DIR, the folder of the run that was cut off")
    if arguments.model and (arguments.resume or arguments.command == "train"):
        raise ConfigError(f"--model means nothing to {'--resume' if arguments.resume else 'train'}; leave one of them out")
    if arguments.resume and arguments.command == "train":
        raise ConfigError("--resume means nothing to train, which leaves nothing to go on with; leave it out")
    options = RunOptions(arguments.out, arguments.model, arguments.resume, BEGAN)
    command = {"run": run, "train": train}[arguments.command]
    return command(read_config(arguments, console.say), options, console)


def guarded_call(arguments: argparse.Namespace, console: Console) -> int:
    """As ``call``, but whatever goes wrong is one line on the console."""
    try:
        return call(arguments, console)
    except KeyboardInterrupt:
        console.say("interrupted")
        return 130
    except Exception as error:
        if arguments.verbose:
            traceback.print_exc()
        from autoencoder.core.errors import sentence_of

        console.say(f"error: {sentence_of(error)}")
        return getattr(error, "exit_code", None) or 1


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv[:1] == ["bench"]:
            from autoencoder.benchmark.command import parser as bench_parser

            arguments = bench_parser().parse_args(argv[1:])
        elif argv[:1] == ["dashboard"]:
            from autoencoder.dashboard.command import parser as dashboard_parser

            arguments = dashboard_parser().parse_args(argv)
        else:
            arguments = parser().parse_intermixed_args(argv)
        from autoencoder.console import Console, quiet_libraries

        with nullcontext(sys.stderr) if arguments.verbose and sys.stderr else quiet_libraries() as stream:
            return guarded_call(arguments, Console(stream))
    except KeyboardInterrupt:  # before there was a console
        return 130


if __name__ == "__main__":
    code = main()
    from autoencoder.interrupts import ignore_signals

    ignore_signals()  # all is done and said; taking the interpreter down takes a moment
    raise SystemExit(code)
