"""Finds anomalies in streams of numbers: arguments -> config -> command. ``python main.py --help`` tells the rest."""

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402 - the clock starts before anything is imported
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

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
    "follow": "follow",
    "detector": "detector",
    "plot": "plot.kind",
    "seed": "seed",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="main.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Finds anomalies in a stream of numbers as they arrive.\n\n"
        "commands: run (when none is named): judge a source and leave a run folder\n"
        "          train: train on the first part of a source and save the model\n",
        epilog="examples:\n"
        "  python main.py --source synthetic\n"
        "  python main.py --source yfinance --ticker AAPL --period 5y\n"
        "  python main.py --source csv --path metrics.csv --column cpu\n"
        "  some-producer | python main.py --source stdin\n"
        "  python main.py train --source csv --path metrics.csv --out model\n"
        "  python main.py --source csv --path new.csv --model model\n\n"
        "exit codes: 0 done, 1 the run failed, 2 wrong usage, config or input, 130 interrupted",
    )
    top.add_argument(
        "command", nargs="?", default="run", choices=("run", "train"), metavar="COMMAND", help="run or train (default: run)"
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
        "--detector", metavar="NAME", help="lstm_autoencoder (default), isolation_forest or isolation_forest_sliding"
    )
    common.add_argument("--model", type=Path, metavar="RUN_DIR", help="use the model of that run folder, train nothing")
    common.add_argument("--plot", choices=("live", "file", "none"), help="a window, plot.png (default), or nothing")
    common.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/<UTC time>-<source>)")
    common.add_argument("--resume", action="store_true", help="go on with the run in --out that was cut off")
    common.add_argument("--seed", type=int, help="everything random follows from it (default: 0)")
    common.add_argument("--verbose", action="store_true", help="let the libraries' own log lines through, and show tracebacks")
    return top


def changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings that the flags change."""
    out = {key: value for flag, key in SETTINGS.items() if (value := getattr(arguments, flag)) is not None}
    if arguments.column:
        source = arguments.source or "csv"
        out |= {"yfinance.column": arguments.column[0]} if source == "yfinance" else {"csv.columns": arguments.column}
    return out


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    arguments = parser().parse_intermixed_args(argv)
    from autoencoder.reports.console import Console, silence_libraries

    console = Console(sys.stderr if arguments.verbose else silence_libraries())
    from autoencoder import commands
    from autoencoder.config import load
    from autoencoder.errors import AutoencoderError, ConfigError
    from data.series import DataError

    try:
        if arguments.resume and not arguments.out:
            raise ConfigError("--resume needs --out DIR, the folder of the run that was cut off")
        saved = arguments.out if arguments.resume else arguments.model
        config_file = saved / "config.yaml" if saved and (saved / "config.yaml").is_file() else None
        config = load(arguments.config, changes(arguments), arguments.set, saved=config_file, whole=arguments.resume)
        options = commands.Options(arguments.out, arguments.model, arguments.resume, BEGAN)
        command = {"run": commands.run, "train": commands.train}[arguments.command]
        return command(config, options, console)
    except (AutoencoderError, DataError) as error:
        if arguments.verbose:
            raise
        console.say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        console.say("interrupted")
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
