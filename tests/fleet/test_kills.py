"""A stream whose workers, or whose driver with all there is, are killed loses no row and judges none twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import NEWCOMERS, Local
from helpers.cli import finish, start, wait_until
from helpers.fleet import lines_of, write_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java, and there is none"),
]

BATCHES = 4


def below(pid: int) -> list[int]:
    """The processes that a process and those below it have started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):  # the JVM starts them in any of its threads
        with suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *below(child)]
    return found


def workers(pid: int) -> list[int]:
    """The Python workers of Spark below a process; what has started them is none."""
    named = []
    for each in below(pid):
        with suppress(OSError):
            if b"pyspark.daemon" in Path(f"/proc/{each}/cmdline").read_bytes():
                named.append(each)
    return [each for each in named if any(each in below(other) for other in named)]


def test_kills_lose_nothing_and_double_nothing(local: Local, tmp_path: Path) -> None:
    write_files(tmp_path / "in", pq.read_table(local.folder / "rows.parquet"), BATCHES)
    source = ("--format", "parquet", "--option", "path=in", "--option", "maxFilesPerTrigger=1", "--trigger", "available-now")
    places = ("--model", local.folder / "model", "--out", "out", "--checkpoint", "state", "--buckets", "2", *NEWCOMERS)
    batches = tmp_path / "out" / "batches"

    def wait_for(number: int) -> None:
        wait_until(lambda: len([*batches.glob("*.json")]) >= number, process, patience=400.0)

    small = {**os.environ, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}  # compiles less
    with start("fleet", *source, *places, folder=tmp_path, env=small) as process:
        wait_for(1)
        for pid in [*below(process.pid), process.pid]:  # the driver and all
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with start("fleet", *source, *places, folder=tmp_path, env=small) as process:
        wait_for(2)
        for pid in workers(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        outcome = finish(process, patience=400.0)
    assert outcome.code == 0, outcome.err
    found = [pq.read_table(path) for path in sorted((tmp_path / "out" / "detections").glob("*/*.parquet"))]
    assert lines_of(pa.concat_tables(found)) == local.lines
    figures = [json.loads(path.read_text()) for path in sorted(batches.glob("*.json"))]
    assert [each["batch"] for each in figures] == list(range(BATCHES))
    assert any(each["reloaded"] for each in figures[2:])  # by the workers that took the place of those
