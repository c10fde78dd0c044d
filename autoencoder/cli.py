"""Command line: arguments -> config -> command."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from autoencoder import __version__
from autoencoder.core.errors import ConfigError, ResumeError, format_error
from autoencoder.core.extras import missing_package, require
from autoencoder.interrupts import Terminated

if TYPE_CHECKING:
    from autoencoder.config import Config
    from autoencoder.console import Console

COMMANDS = ("run", "train", "report", "bench", "dashboard")
# flag -> the setting it changes, and the sources that it means something to: all where none is named
FLAGS = {
    "source": ("source",),
    "ticker": ("yfinance.ticker", "yfinance"),
    "period": ("yfinance.period", "yfinance"),
    "start": ("yfinance.start", "yfinance"),
    "end": ("yfinance.end", "yfinance"),
    "interval": ("yfinance.interval", "yfinance"),
    "path": ("csv.path", "csv"),
    "column": ("", "csv", "stdin", "yfinance"),  # which setting that is depends on the source
    "time_column": ("csv.time_column", "csv", "stdin"),
    "label_column": ("csv.label_column", "csv"),
    "series_column": ("csv.series_column", "csv", "stdin"),
    "follow": ("follow", "csv", "stdin", "yfinance"),
    "detector": ("detector",),
    "plot": ("plot.kind",),
    "seed": ("seed",),
}


class Parser(argparse.ArgumentParser):
    """Tells of wrong usage in one line, as of every other error."""

    def error(self, message: str) -> NoReturn:  # noqa: D102 - as in argparse
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def program_name() -> str:
    """What a user types to start the program."""
    return {"main.py": "python main.py", "__main__.py": "python -m autoencoder"}.get(Path(sys.argv[0]).name, "autoencoder")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    prog = program_name()
    top = Parser(
        prog=prog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Finds anomalies in a stream of numbers as they arrive.\n\n"
        "commands: run (when none is named): judge a source and leave a run folder\n"
        "          train: train on a source and save the model, which stands at its end\n"
        "          report: what another budget or cooldown would have flagged in a run\n"
        "          bench: measure the detectors on benchmarks\n"
        "          dashboard: watch runs in a browser\n"
        f"the last three have flags of their own: {prog} bench --help\n",
        epilog="examples:\n"
        f"  {prog} metrics.csv\n"
        f"  {prog} --source synthetic\n"
        f"  {prog} --source yfinance --ticker AAPL --period 5y\n"
        f"  {prog} --source csv --path metrics.csv --column cpu\n"
        f"  {prog} --source csv --path metrics.csv --series-column host\n"
        f"  some-producer | {prog} --source stdin\n"
        f"  {prog} train --source csv --path metrics.csv --out model\n"
        f"  {prog} --source csv --path new.csv --model model\n"
        f"  {prog} report runs/one --set threshold.budget=0.01\n\n"
        "exit codes: 0 done, or SIGTERM ended a run that follows or reads a pipe,\n"
        "            1 the run failed, 2 wrong usage, config or input,\n"
        "            130 interrupted",
    )
    commands = f"{', '.join(COMMANDS)} (default: run), and the files to judge; each of several is a series"
    top.add_argument("words", nargs="*", metavar="COMMAND | FILE", help=commands)
    _add_flags(top)
    return top


def _add_flags(top: argparse.ArgumentParser) -> None:
    add = top.add_argument_group("source").add_argument
    add("--source", choices=("synthetic", "yfinance", "csv", "stdin"), help="where the points come from (default: synthetic)")
    add("--ticker", help="yfinance: e.g. AAPL")
    add("--period", help="yfinance: how far back, e.g. 5y (default), 6mo, max")
    add("--start", metavar="DATE", help="yfinance: first day, YYYY-MM-DD, instead of a period")
    add("--end", metavar="DATE", help="yfinance: day after the last one")
    add("--interval", help="yfinance: length of a bar, e.g. 1d (default), 1h, 5m")
    add("--path", metavar="FILE", help="csv: a csv, csv.gz, JSON or parquet file")
    add(
        "--column",
        action="append",
        metavar="NAME",
        help="column with the values; repeat it for several that are judged together, or all: each column on its own "
        "(default: the obvious one)",
    )
    add("--time-column", metavar="NAME", help="column with the times (default: the obvious one)")
    add("--label-column", metavar="NAME", help="csv: 0/1 column with known anomalies, for the metrics")
    add("--series-column", metavar="NAME", help="csv: column that names a row's series, e.g. host; all are judged")
    add("--follow", action="store_const", const=True, help="go on as lines or bars are added")
    add = top.add_argument_group("run").add_argument
    add("--config", type=Path, metavar="FILE", help="yaml file with settings (default: config.yaml)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting, e.g. threshold.budget=0.01; repeatable",
    )
    add("--detector", metavar="NAME", help="lstm_autoencoder (default), isolation_forest, ...; config.yaml names them all")
    add("--model", type=Path, metavar="RUN_DIR", help="use the model of that run folder, train nothing")
    add("--plot", choices=("live", "file", "none"), help="a window, plot.png (default), or nothing")
    add("--out", type=Path, metavar="DIR", help="run folder (default: runs/<UTC time>-<source>)")
    add("--resume", action="store_true", help="go on with the run in --out that was cut off, or begin it")
    add("--seed", type=int, help="everything random follows from it (default: 0)")
    add("--verbose", action="store_true", help="let the libraries' own log lines through, and show tracebacks")
    add("--version", action="version", version=f"autoencoder {__version__}")


def read_config(arguments: argparse.Namespace, warn: Callable[[str], object] = str) -> Config:
    """The configuration that files and flags make together; ``warn`` is told of former names of settings."""
    from autoencoder.config import load
    from autoencoder.reports.run_folder import CONFIG, has, require_inside

    whole = arguments.resume and has(arguments.out, CONFIG)  # else it begins
    saved = arguments.out if whole else arguments.model
    file = require_inside(saved, CONFIG) if saved and has(saved, CONFIG) else None
    given = {flag: value for flag in FLAGS if (value := getattr(arguments, flag)) is not None}
    changes = {key: given[flag] for flag, (key, *_) in FLAGS.items() if key and flag in given}
    renamed: dict[str, None] = {}

    def resolved() -> Config:
        return load(arguments.config, changes, arguments.set, saved=file, whole=whole, warn=renamed.setdefault)

    config = resolved()
    for flag in given:
        _, *sources = FLAGS[flag]
        if sources and config.source not in sources:
            name = "--" + flag.replace("_", "-")
            raise ConfigError(f"{name} means nothing to --source {config.source}; leave it out, or add --source {sources[0]}")
    if arguments.column:  # the source may come from a file
        changes["yfinance.column" if config.source == "yfinance" else "csv.columns"] = arguments.column
        config = resolved()
    for sentence in renamed:
        warn(sentence)
    return config


def _execute(config: Config, out: Path, model: Path | None) -> None:
    """Train into ``out``, or with a model score into it, in silence."""
    from autoencoder.commands.run import run
    from autoencoder.commands.train import RunOptions, train
    from autoencoder.console import Console

    (run if model else train)(config, RunOptions(out, model), Console(io.StringIO()))


def call(arguments: argparse.Namespace, console: Console, began: float) -> int:
    """Call the command; returns the exit code."""
    if arguments.command == "bench":
        from autoencoder.benchmark.command import bench

        return bench(arguments, _execute, console)
    if arguments.command == "report":
        from autoencoder.commands.report import report

        return report(arguments, console)
    if arguments.command == "dashboard":
        from autoencoder.dashboard.command import dashboard

        return dashboard(arguments, console)
    if arguments.resume and not arguments.out:
        raise ConfigError("--resume needs --out DIR, the folder of the run that was cut off")
    if arguments.model and arguments.command == "train":
        raise ConfigError("--model means nothing to train; leave one of them out")
    if arguments.resume and arguments.command == "train":
        raise ConfigError("--resume means nothing to train, which leaves nothing to go on with; leave it out")
    config = None
    try:
        from autoencoder.commands.run import run
        from autoencoder.commands.train import RunOptions, train

        config = read_config(arguments, console.print)
        _require_run(arguments, config)
        _require_packages(arguments, config)
        command = {"run": run, "train": train}[arguments.command]
        return command(config, RunOptions(arguments.out, arguments.model, arguments.resume, began), console)
    except Terminated as stop:
        if arguments.command == "train" or not _is_endless(arguments, config):
            raise
        console.print(_told(stop))  # such a run has no other end
        return 0


def _is_endless(arguments: argparse.Namespace, config: Config | None) -> bool:
    """Whether a run ends only when it is told to, or when a pipe is closed; the configuration may not be read yet."""
    if config is None:
        return bool(arguments.follow) or arguments.source == "stdin"
    return config.follow or config.source == "stdin" or (config.source == "synthetic" and config.synthetic.points is None)


def _require_run(arguments: argparse.Namespace, config: Config) -> None:
    """Raise ResumeError where there is no run to go on with, and nothing says which one is to begin."""
    from autoencoder.reports.run_folder import CHECKPOINT, CONFIG, has

    if not arguments.resume or has(arguments.out, CONFIG) or has(arguments.out, CHECKPOINT):
        return
    asked = (getattr(arguments, flag) for flag in FLAGS if flag != "plot")
    says = arguments.set or arguments.config or arguments.model or config.source != "synthetic"
    if not says and all(value is None for value in asked):
        raise ResumeError(
            f"--resume: {arguments.out} holds no run to go on with; give the --out folder of the run that was cut off, "
            "or say what is to begin, e.g. with --source"
        )


def _told(interrupt: KeyboardInterrupt) -> str:
    return str(interrupt) or "interrupted"


def _require_packages(arguments: argparse.Namespace, config: Config) -> None:
    """See that what a run needs in the end is there in the beginning."""
    from autoencoder.reports.run_folder import CONFIG, has

    if arguments.command == "run" and config.plot.kind != "none":
        require("matplotlib", purpose="the plot", otherwise=", or add --plot none")
    if config.source == "yfinance":
        require("yfinance", purpose="--source yfinance")
    goes_on = arguments.resume and has(arguments.out, CONFIG)
    if config.detector == "lstm_autoencoder" and not (arguments.model or goes_on):
        require("tensorflow", "onnx", purpose="training", otherwise=", or use a saved model with --model")


def guarded_call(arguments: argparse.Namespace, console: Console, began: float) -> int:
    """As ``call``, but whatever goes wrong is one line on the console."""
    try:
        return call(arguments, console, began)
    except KeyboardInterrupt as interrupt:
        console.print(_told(interrupt))
        return 130
    except Exception as error:
        if arguments.verbose:
            traceback.print_exc()
        fault = (missing_package(error) if isinstance(error, ModuleNotFoundError) else None) or error
        console.print(f"error: {format_error(fault)}")
        return getattr(fault, "exit_code", None) or 1


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of whichever command they are for."""
    if argv[:1] == ["bench"]:
        from autoencoder.benchmark.command import parser as bench_parser

        return bench_parser(program_name()).parse_args(argv[1:])
    if argv[:1] == ["report"]:
        from autoencoder.commands.report import parser as report_parser

        return report_parser(program_name(), Parser).parse_args(argv)
    if argv[:1] == ["dashboard"]:
        from autoencoder.dashboard.command import parser as dashboard_parser

        return dashboard_parser(program_name()).parse_args(argv)
    top = parser()
    return _told_apart(top, top.parse_intermixed_args(argv))


def _told_apart(top: argparse.ArgumentParser, arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments with the command and the file that their words are."""
    words = arguments.words
    arguments.command = words.pop(0) if words and words[0] in COMMANDS else "run"
    if not words:
        return arguments
    for word in words:
        if not (os.sep in word or "." in word or Path(word).exists()):
            top.error(f"{word!r} is neither a command ({', '.join(COMMANDS)}) nor a file")
    if arguments.path is not None or arguments.source not in (None, "csv"):
        other = f"--source {arguments.source}" if arguments.path is None else f"--path {arguments.path}"
        top.error(f"the file {words[0]!r} means nothing beside {other}; leave one of them out")
    arguments.source, arguments.path = "csv", words[0] if len(words) == 1 else words
    return arguments


def main(argv: list[str] | None = None, began: float | None = None) -> int:
    """Run the program with these arguments, or this process's own; ``began`` is its ``time.perf_counter()``. Returns its exit code."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        from autoencoder.console import Console, quiet_libraries

        with nullcontext(sys.stderr) if arguments.verbose and sys.stderr else quiet_libraries() as stream:
            return guarded_call(arguments, Console(stream), time.perf_counter() if began is None else began)
    except ModuleNotFoundError as error:
        if not (missing := missing_package(error)):
            raise
        sys.stderr.write(f"error: {missing}\n")
        return 2
