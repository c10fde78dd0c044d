"""Arguments: what is typed -> which command, file and flags that is."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from autoencoder import __version__

# command with flags of its own -> the module with its DESCRIPTION, its ``add_arguments`` and its ``main``
APART = {
    "fleet": "fleet.arguments",
    "report": "commands.report",
    "feedback": "commands.feedback",
    "alert-test": "commands.alert_test",
    "bench": "benchmark.command",
    "dashboard": "dashboard.command",
}
COMMANDS = ("run", "train", "serve", *APART)
VERBOSE = "let the libraries' own log lines through, and show tracebacks"


class Flag(NamedTuple):
    """A flag that changes a setting."""

    setting: str  # its key; empty where that depends on the source
    sources: tuple[str, ...]  # that it means something to; all where none is named
    help: str
    options: Mapping[str, Any] = {}  # of argparse
    group: str = "source"  # of the help


KINDS = ("synthetic", "yfinance", "csv", "stdin", "prometheus")
YAHOO, CSV, LINES, PROMETHEUS, HTTP = ("yfinance",), ("csv",), ("csv", "stdin"), ("prometheus",), ("http",)
MANY, NAME, DATE = {"action": "append"}, {"metavar": "NAME"}, {"metavar": "DATE"}
SOURCES = f"where the points come from: {', '.join(KINDS)} (default: synthetic)"
COLUMNS = "column with the values; repeat it for several that are judged together, or all: each column on its own"
FLAGS = {
    "source": Flag("source", (), SOURCES, {"choices": KINDS, "metavar": "KIND"}),
    "ticker": Flag("yfinance.ticker", YAHOO, "yfinance: e.g. AAPL; repeat it for several and their market", MANY),
    "period": Flag("yfinance.period", YAHOO, "yfinance: how far back, e.g. 5y (default), 6mo, max"),
    "start": Flag("yfinance.start", YAHOO, "yfinance: first day, YYYY-MM-DD, instead of a period", DATE),
    "end": Flag("yfinance.end", YAHOO, "yfinance: day after the last one", DATE),
    "interval": Flag("yfinance.interval", YAHOO, "yfinance: length of a bar, e.g. 1d (default), 1h, 5m"),
    "path": Flag("csv.path", CSV, "csv: a csv, csv.gz, JSON or parquet file", {"metavar": "FILE"}),
    "column": Flag("", (*LINES, *YAHOO, *HTTP), f"{COLUMNS} (default: the obvious one)", MANY | NAME),
    "time_column": Flag("csv.time_column", LINES, "column with the times (default: the obvious one)", NAME),
    "label_column": Flag("csv.label_column", CSV, "csv: 0/1 column with known anomalies, for the metrics", NAME),
    "series_column": Flag("csv.series_column", LINES, "csv: column that names a row's series, e.g. host; all are judged", NAME),
    "url": Flag("prometheus.url", PROMETHEUS, "prometheus: address of the server, e.g. http://localhost:9090"),
    "query": Flag(
        *("prometheus.query", PROMETHEUS, "prometheus: what is asked for; each series that it gives is judged on its own"),
        {"metavar": "PROMQL"},
    ),
    "step": Flag("prometheus.step", PROMETHEUS, "prometheus: time between two points, e.g. 60s (default)"),
    "follow": Flag(
        *("follow", (*LINES, *YAHOO, *PROMETHEUS), "go on as lines, bars or points are added"),
        {"action": "store_const", "const": True},
    ),
    "host": Flag("serve.host", HTTP, "address to listen on (default: 127.0.0.1)", {"metavar": "ADDRESS"}, "serve"),
    "port": Flag("serve.port", HTTP, "port to listen on (default: 8000; 0: any free one)", {"type": int}, "serve"),
    "detector": Flag(
        "detector", (), "lstm_autoencoder (default), isolation_forest, ...; config.yaml names them all", NAME, "run"
    ),
    "plot": Flag("plot.kind", (), "a window, plot.png (default), or nothing", {"choices": ("live", "file", "none")}, "run"),
    "seed": Flag("seed", (), "everything random follows from it (default: 0)", {"type": int}, "run"),
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
        "          serve: judge points that come over HTTP; --out holds the state\n"
        "          fleet: judge many series on Spark\n"
        "          report: what another budget or cooldown would have flagged in a run\n"
        "          feedback: say that an incident of a run was a false alarm\n"
        "          alert-test: send each alert channel that is switched on an alert now\n"
        "          bench: measure the detectors on benchmarks\n"
        "          dashboard: watch runs in a browser\n"
        f"the last six have flags of their own: {prog} bench --help\n",
        epilog="examples:\n"
        f"  {prog} metrics.csv\n"
        f"  {prog} --source synthetic\n"
        f"  {prog} --source yfinance --ticker AAPL --ticker MSFT\n"
        f"  {prog} --source csv --path metrics.csv --column cpu\n"
        f"  {prog} --source csv --path metrics.csv --series-column host\n"
        f"  {prog} --source prometheus --url http://host:9090 --query up\n"
        f"  some-producer | {prog} --source stdin\n"
        f"  {prog} train --source csv --path metrics.csv --out model\n"
        f"  {prog} --source csv --path new.csv --model model\n"
        f"  {prog} serve --out state --port 8000\n"
        f"  {prog} report runs/one --set threshold.budget=0.01\n"
        f"  {prog} feedback runs/one --incident 12 --label false --for 90d\n\n"
        "exit codes: 0 done, or SIGTERM ended a run that follows, serves or reads a pipe,\n"
        "            1 the run failed, 2 wrong usage, config or input,\n"
        "            130 interrupted",
    )
    commands = f"{', '.join(COMMANDS)} (default: run), and the files to judge; each of several is a series"
    top.add_argument("words", nargs="*", metavar="COMMAND | FILE", help=commands)
    _add_flags(top)
    return top


def _add_flags(top: argparse.ArgumentParser) -> None:
    groups = {name: top.add_argument_group(name) for name in ("source", "serve", "run")}
    for name, flag in FLAGS.items():
        groups[flag.group].add_argument(f"--{name.replace('_', '-')}", help=flag.help, **flag.options)
    add = groups["run"].add_argument
    add("--config", type=Path, metavar="FILE", help="yaml file with settings (default: config.yaml)")
    changed = "change one setting, e.g. threshold.budget=0.01; repeatable"
    add("--set", action="append", default=[], metavar="KEY=VALUE", help=changed)
    add("--model", type=Path, metavar="RUN_DIR", help="use the model of that run folder, train nothing")
    add("--out", type=Path, metavar="DIR", help="run folder (default: runs/<UTC time>-<source>)")
    add("--resume", action="store_true", help="go on with the run in --out that was cut off, or begin it")
    add("--verbose", action="store_true", help=VERBOSE)
    add("--version", action="version", version=f"autoencoder {__version__}")


def module_of(command: str) -> ModuleType:
    """The module of a command with flags of its own."""
    return import_module(f"autoencoder.{APART[command]}")


def parser_of(command: str) -> argparse.ArgumentParser:
    """The command line of a command with flags of its own."""
    module = module_of(command)
    form = argparse.RawDescriptionHelpFormatter if "\n" in module.DESCRIPTION else argparse.HelpFormatter
    made = Parser(prog=f"{program_name()} {command}", description=module.DESCRIPTION, formatter_class=form)
    made.set_defaults(command=command)
    module.add_arguments(made)
    made.add_argument("--verbose", action="store_true", help=VERBOSE)
    return made


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of whichever command they are for."""
    if argv and argv[0] in APART:
        return parser_of(argv[0]).parse_args(argv[1:])
    top = parser()
    return _told_apart(top, top.parse_intermixed_args(argv))


def _told_apart(top: argparse.ArgumentParser, arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments with the command and the file that their words are."""
    words = arguments.words
    arguments.command = words.pop(0) if words and words[0] in COMMANDS else "run"
    if arguments.command in APART:
        top.error(f"{arguments.command} must come first, before its flags: {top.prog} {arguments.command} ...")
    if arguments.command == "serve":
        return _serving(top, arguments)
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


def _serving(top: argparse.ArgumentParser, arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments of ``serve``, which begins and goes on with one command and draws nothing unless it is asked to."""
    for word in (*arguments.words, arguments.path, arguments.source):
        if word:
            top.error(f"{word!r} means nothing to serve, whose points come over HTTP; leave it out")
    if not arguments.out:
        top.error("serve needs --out DIR, the folder of its state")
    arguments.source, arguments.resume, arguments.plot = "http", True, arguments.plot or "none"
    return arguments
