"""A stream whose workers, or whose driver with all there is, are killed loses no row and judges none twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import NEWCOMERS, Local
from helpers.cli import finish, start, wait_until
from helpers.fleet import lines_of, write_files

from autoencoder.benchmark.fleet_runs import below

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900 * int(os.environ.get("FLEET_KILLS", "1"))),
    pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, and there is none"),
]

KILLS = int(os.environ.get("FLEET_KILLS", "1"))  # of workers, and as many of the driver and all
BATCHES = 4 * KILLS
DELAY = 2.0  # most seconds between the end of a batch and a kill, so that it comes anywhere in the next one


def command_of(pid: int) -> list[str]:
    """What a process was started with; nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    return []


def workers(pid: int) -> list[int]:
    """The Python workers of Spark below a process, and what keeps the buckets; what has started the workers is none."""
    of_spark = [each for each in below(pid) if "pyspark.daemon" in command_of(each)]
    each_process = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    keepers = [each for each in each_process if is_keeper(each) and int(command_of(each)[-1]) in of_spark]
    return [*keepers, *(each for each in of_spark if any(each in below(other) for other in of_spark))]


def is_keeper(pid: int) -> bool:
    """Whether a process keeps a bucket."""
    return any("fleet.keeper" in part for part in command_of(pid))


def test_kills_lose_nothing_and_double_nothing(local: Local, tmp_path: Path) -> None:
    write_files(tmp_path / "in", pq.read_table(local.folder / "rows.parquet"), BATCHES)
    source = ("--format", "parquet", "--option", "path=in", "--option", "maxFilesPerTrigger=1", "--trigger", "available-now")
    places = ("--model", local.folder / "model", "--out", "out", "--checkpoint", "state", "--buckets", "2", *NEWCOMERS)
    batches = tmp_path / "out" / "batches"
    small, chance = {**os.environ, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}, Random(0)  # compiles less

    def kill_in_next_batch(process: subprocess.Popen[str], chosen: Callable[[int], list[int]]) -> None:
        done = len([*batches.glob("*.json")])
        wait_until(lambda: len([*batches.glob("*.json")]) > done, process, patience=400.0)
        time.sleep(chance.uniform(0, DELAY))
        for pid in chosen(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    for _ in range(KILLS):
        with start("fleet", *source, *places, folder=tmp_path, env=small) as process:
            kill_in_next_batch(process, workers)
            kill_in_next_batch(process, lambda pid: [*below(pid), pid])
    with start("fleet", *source, *places, folder=tmp_path, env=small) as process:
        outcome = finish(process, patience=60.0 * BATCHES)
    assert outcome.code == 0, outcome.err
    found = [pq.read_table(path) for path in sorted((tmp_path / "out" / "detections").glob("*/*.parquet"))]
    assert lines_of(pa.concat_tables(found)) == local.lines
    figures = [json.loads(path.read_text()) for path in sorted(batches.glob("*.json"))]
    assert [each["batch"] for each in figures] == list(range(BATCHES))
    assert sum(bool(each["reloaded"]) for each in figures[1:]) >= KILLS  # by the workers that took the place of those
