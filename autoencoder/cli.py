"""Command line: arguments -> config -> command."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from autoencoder.arguments import APART, FLAGS, module_of, parse, parser
from autoencoder.core.errors import ConfigError, ResumeError, format_error
from autoencoder.core.extras import missing_package, require
from autoencoder.interrupts import Terminated

__all__ = ["call", "guarded_call", "main", "parse", "parser", "read_config"]

if TYPE_CHECKING:
    from autoencoder.config import Config
    from autoencoder.console import Console


def read_config(arguments: argparse.Namespace, warn: Callable[[str], object] = str) -> Config:
    """The configuration that files and flags make together; ``warn`` is told of former names of settings."""
    from autoencoder.config import load
    from autoencoder.reports.run_folder import CONFIG, has, require_inside

    whole = arguments.resume and has(arguments.out, CONFIG)  # else it begins
    saved = arguments.out if whole else arguments.model
    file = require_inside(saved, CONFIG) if saved and has(saved, CONFIG) else None
    given = {flag: value for flag in FLAGS if (value := getattr(arguments, flag)) is not None}
    changes = {FLAGS[flag].setting: value for flag, value in given.items() if FLAGS[flag].setting}
    renamed: dict[str, None] = {}

    def resolved() -> Config:
        return load(arguments.config, changes, arguments.set, saved=file, whole=whole, warn=renamed.setdefault)

    config = resolved()
    for flag in given:
        sources = FLAGS[flag].sources
        if sources and config.source not in sources:
            name = "--" + flag.replace("_", "-")
            if arguments.command == "serve":
                raise ConfigError(f"{name} means nothing to serve, whose points come over HTTP; leave it out")
            other = "type serve" if sources[0] == "http" else f"add --source {sources[0]}"
            raise ConfigError(f"{name} means nothing to --source {config.source}; leave it out, or {other}")
    if config.source == "http" and arguments.command != "serve":
        raise ConfigError("points come over HTTP to the command serve alone; type serve, or give another --source")
    if arguments.column:  # the source may come from a file
        changes["yfinance.column" if config.source == "yfinance" else "csv.columns"] = arguments.column
        config = resolved()
    for sentence in renamed:
        warn(sentence)
    return config


def call(arguments: argparse.Namespace, console: Console, began: float) -> int:
    """Call the command; returns the exit code."""
    if arguments.command in APART:
        code: int = module_of(arguments.command).main(arguments, console)
        return code
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
        options = RunOptions(arguments.out, arguments.model, arguments.resume, began)
        if arguments.command == "serve":
            from autoencoder.serve.command import serve

            return serve(config, options, console)
        return {"run": run, "train": train}[arguments.command](config, options, console)
    except Terminated as stop:
        if arguments.command == "train" or not _is_endless(arguments, config):
            raise
        console.print(_told(stop))  # such a run has no other end
        return 0


def _is_endless(arguments: argparse.Namespace, config: Config | None) -> bool:
    """Whether a run ends only when it is told to, or when a pipe is closed; the configuration may not be read yet."""
    if config is None:
        return bool(arguments.follow) or arguments.source in ("stdin", "http")
    return (
        config.follow or config.source in ("stdin", "http") or (config.source == "synthetic" and config.synthetic.points is None)
    )


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

    if arguments.command != "train" and config.plot.kind != "none":
        require("matplotlib", purpose="the plot", otherwise=", or add --plot none")
    if arguments.command == "run" and config.metrics.port is not None:
        require("prometheus_client", purpose="metrics.port")
    if config.source == "yfinance":
        require("yfinance", "exchange_calendars", purpose="--source yfinance")
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
