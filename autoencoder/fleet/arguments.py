"""The command line of ``fleet``, which can be read without Spark."""

from __future__ import annotations

import argparse
from pathlib import Path

from autoencoder.console import Console
from autoencoder.core.errors import ConfigError
from autoencoder.core.extras import require

DESCRIPTION = """Judges many series as an operator of Spark.

  fleet --format F --option KEY=VALUE --model DIR --out DIR --checkpoint DIR   judge a stream
  fleet --format F --option KEY=VALUE --model DIR --out DIR --backfill         judge all rows of a table once
  fleet train --format F --option KEY=VALUE --model DIR                        train on some of the series, and save the model"""


def add_arguments(made: argparse.ArgumentParser) -> None:
    """The flags of ``fleet``."""
    made.add_argument("what", nargs="?", choices=("train",), metavar="train", help="train instead of judging")
    add = made.add_argument_group("rows").add_argument
    add("--format", required=True, metavar="NAME", help="Spark's name of the source: parquet, csv, json, kafka, delta, rate, ...")
    add("--option", action="append", default=[], metavar="KEY=VALUE", help="of Spark's reader, e.g. path=DIR; repeatable")
    add(
        "--schema",
        metavar="DDL",
        help="of the rows, e.g. 'series string, time timestamp, value double' (default: that of the files)",
    )
    add("--series-column", default="series", metavar="NAME", help="column that names a row's series (default: series)")
    add("--time-column", default="time", metavar="NAME", help="column with the times (default: time)")
    add("--column", action="append", metavar="NAME", help="column with the values; repeat it for several (default: value)")
    add = made.add_argument_group("judge").add_argument
    add("--model", type=Path, required=True, metavar="DIR", help="folder of the model; train makes it")
    add("--out", metavar="PATH", help="folder of detections, incidents, rejected rows and the figures of batches")
    add(
        "--sink",
        default="parquet",
        metavar="NAME",
        help="Spark's name of the output: parquet (default), csv, json, delta, kafka, ...",
    )
    add("--sink-option", action="append", default=[], metavar="KEY=VALUE", help="of Spark's writer; repeatable")
    add("--checkpoint", metavar="PATH", help="folder from which a stream goes on")
    add(
        "--trigger",
        default="1 minute",
        metavar="TIME",
        help="time between batches (default: 1 minute), or available-now: what is there",
    )
    add("--backfill", action="store_true", help="judge all rows of a table once, and leave no state")
    count = "parts of the series, a task each (default: as many as cores, or as --max-series needs); a checkpoint keeps them"
    add("--buckets", type=int, metavar="N", help=count)
    add("--max-series", type=int, metavar="N", help="rows of more are rejected (default: 5,000 for each of --buckets)")
    add(
        "--alerts",
        type=Path,
        metavar="DIR",
        help="folder of this machine in which alerts wait, where the settings switch on a channel",
    )
    add = made.add_argument_group("train").add_argument
    add("--sample-series", type=int, default=200, metavar="N", help="series that train (default: 200)")
    add("--sample-points", type=int, default=2000, metavar="N", help="newest points of each (default: 2,000)")
    add = made.add_argument_group("all").add_argument
    add("--config", type=Path, metavar="FILE", help="yaml file with settings (default: config.yaml)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; repeatable")
    add("--master", metavar="URL", help="of Spark (default: this machine, or that of spark-submit)")


def main(arguments: argparse.Namespace, console: Console) -> int:
    """Run the command with Spark; returns the exit code. Raises ConfigError: an argument is missing or out of range."""
    arguments.column = arguments.column or ["value"]
    for name in ("buckets", "max_series", "sample_series", "sample_points"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be 1 or more")
    if arguments.what != "train":
        if not (arguments.checkpoint or arguments.backfill):
            raise ConfigError("a stream needs --checkpoint PATH, from which it goes on; or add --backfill")
        if not arguments.out and "path" not in " ".join(arguments.sink_option) and arguments.sink != "kafka":
            raise ConfigError("the output needs --out PATH, a folder")
    require("pyspark", purpose="fleet")
    from autoencoder.fleet.command import fleet

    return fleet(arguments, console)
