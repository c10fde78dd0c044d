"""A model of some series, the run of one machine that a fleet must equal, and a session of Spark."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from helpers.cli import GAUSSIAN, QUIET, ROOT, TINY_LSTM, finish, incidents, start
from helpers.fleet import POINTS, TRAINING, Lines, by_series, table_of

from autoencoder.config import load
from autoencoder.console import Console
from autoencoder.fleet.arguments import add_arguments
from autoencoder.fleet.bucket import Kit
from autoencoder.models import SavedModel
from autoencoder.reports.run_folder import CONFIG

NEWCOMERS = ("--set", "training.newcomers=own", "--set", "training.points=100")  # how series begin that the model does not know


@dataclass(frozen=True)
class Local:
    """What one machine makes of the series."""

    folder: Path  # holds ``model``, ``other`` (of another training), ``run`` and the rows that were judged, as ``rows.parquet``

    @property
    def lines(self) -> Lines:
        """Lines of scores.csv by series."""
        return by_series((self.folder / "run" / "scores.csv").read_text().splitlines()[1:])

    @property
    def incidents(self) -> set[tuple[object, ...]]:
        """What is known of each incident."""
        return {known(each) for each in incidents(self.folder / "run")}

    def kit(self, columns: tuple[str, ...] = ("value",), max_series: int = 1000, model: str = "model") -> Kit:
        """What a worker needs to do the same."""
        config = load(None, {"network.threads": 1}, NEWCOMERS[1::2], saved=self.folder / model / CONFIG)
        return Kit(config, columns, self.model(model), max_series)

    def model(self, name: str = "model") -> SavedModel:
        """One of the models."""
        return SavedModel.read(self.folder / name, load(None, saved=self.folder / name / CONFIG).detector)


def fleet(spark: Any, *arguments: object) -> str:
    """What the command ``fleet`` tells, with the columns of the tests and as they begin series; raises what it would tell of a failure."""
    from pyspark.errors import PySparkException

    from autoencoder.fleet.command import _run, _told, _train

    parser, told = argparse.ArgumentParser(), io.StringIO()
    add_arguments(parser)
    typed = parser.parse_args([*map(str, arguments), "--buckets", "2", *NEWCOMERS])
    typed.column = ["value"]
    try:
        assert (_train if typed.what else _run)(spark, typed, Console(told)) == 0
    except PySparkException as error:
        raise _told(error) from error
    return told.getvalue()


def known(incident: dict[str, Any]) -> tuple[object, ...]:
    """An incident without its number, and without how it ended: a stream of files may go on."""
    return tuple(incident[key] for key in ("series", "start", "end", "peak_time", "severity", "first_row", "n_points", "alarm"))


def _judged(folder: Path, *detector: str) -> Local:
    """Train on the first part of all series but one, which is a newcomer then, and judge the rest."""
    training, judged = table_of(0, TRAINING), table_of(TRAINING, TRAINING + POINTS)
    pq.write_table(training.filter([name != "s5" for name in training["series"].to_pylist()]), folder / "training.parquet")
    pq.write_table(judged, folder / "rows.parquet")
    many = ("--series-column", "series", *QUIET)
    for arguments in (
        ("train", "training.parquet", *many, "--out", "model", *detector),
        ("train", "training.parquet", *many, "--out", "other", *detector, "--seed", "7", "--set", "training.points=250"),
        ("rows.parquet", *many, "--out", "run", "--model", "model", *NEWCOMERS),
    ):
        outcome = finish(start(*arguments, folder=folder), patience=600.0)
        assert outcome.code == 0, outcome.err
    return Local(folder)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Local:
    """With a detector that is trained in a moment."""
    return _judged(tmp_path_factory.mktemp("quick"), *GAUSSIAN, "--set", "threshold.budget=0.01")


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Local:
    """With an LSTM autoencoder."""
    return _judged(tmp_path_factory.mktemp("local"), *TINY_LSTM, "--set", "threshold.budget=0.01")


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A session that runs two tasks at a time, and one that fails again."""
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, and there is none")
    from pyspark.sql import SparkSession

    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "OPENBLAS_NUM_THREADS": "1",
    }
    os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # compiles less: short-lived
    builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.python.authenticate.socketTimeout", "5m")
    session = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
