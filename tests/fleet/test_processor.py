"""The processor under Spark's own harness, without a session: what an attempt leaves that Spark has given up is not taken for the state."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import Local
from fleet.test_bucket import normal
from fleet.test_kills import is_keeper
from helpers.fleet import lines_of
from pyspark.sql import Row
from pyspark.sql.streaming.tws_tester import TwsTester

from autoencoder.benchmark.fleet_runs import below
from autoencoder.core.errors import ModelFileError
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import Kit
from autoencoder.fleet.keeper import Task, ask
from autoencoder.fleet.processor import FleetProcessor

KEY = 3


def judged(tester: TwsTester, table: pa.Table) -> tuple[pa.Table, dict[str, Any]]:
    """Detections and report of a batch, whose rows come in two blobs."""
    half = len(table) // 2
    packed = [Row(bucket=KEY, rows=rows.to_bytes(part)) for part in (table.slice(half), table.slice(0, half))]
    found = {row[rows.KIND]: row[rows.ROWS] for row in tester.test(KEY, packed)}
    report: dict[str, Any] = json.loads(found[rows.REPORT])
    return rows.from_bytes(found[rows.DETECTIONS]), report


def shared(folder: Path, *kits: Kit) -> Any:
    """Kits as Spark would have sent them, the first one chosen for the next batch."""
    for kit in kits:
        (folder / kit.model.digest).write_bytes(pickle.dumps(kit))
    return SimpleNamespace(key=str(folder), chosen=kits[0].model.digest, path=lambda digest: str(folder / digest))


def keepers() -> set[int]:
    """The processes below this one that keep a bucket."""
    return set(filter(is_keeper, below(os.getpid())))


def test_what_a_failed_attempt_did_is_forgotten(quick: Local, tmp_path: Path) -> None:
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    thirds = [table.slice(start, 1000) for start in range(0, len(table), 1000)]
    tester = TwsTester(FleetProcessor(shared(tmp_path, quick.kit())))
    found, first = judged(tester, thirds[0])
    parts, token, pieces = [found], tester.peekValueState("token", KEY), list(tester.peekListState("pieces", KEY))
    _, second = judged(tester, thirds[1])  # fails then: Spark has the state from before
    tester.updateValueState("token", KEY, token)
    tester.updateListState("pieces", KEY, pieces)
    found, again = judged(tester, thirds[1])
    parts.append(found)
    found, last = judged(tester, thirds[2])
    assert lines_of(pa.concat_tables([*parts, found])) == quick.lines
    assert [report["reloaded"] for report in (first, second, again, last)] == [True, False, True, False]


def test_what_keeps_a_bucket_is_started_again(quick: Local, tmp_path: Path) -> None:
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    tester = TwsTester(FleetProcessor(shared(tmp_path, quick.kit())))
    before = keepers()
    first, _ = judged(tester, table.slice(0, 1500))
    [pid] = keepers() - before
    os.kill(pid, signal.SIGKILL)
    second, report = judged(tester, table.slice(1500))
    assert lines_of(pa.concat_tables([first, second])) == quick.lines
    assert report["reloaded"]


def test_what_keeps_a_bucket_ends_with_its_owner(quick: Local, tmp_path: Path) -> None:
    kits, before = shared(tmp_path, quick.kit()), keepers()
    path = kits.path(kits.chosen)
    content = rows.to_bytes(normal(pq.read_table(quick.folder / "rows.parquet")).slice(0, 24))
    with subprocess.Popen(["sleep", "600"]) as owner:
        done = ask(kits.key, KEY, owner.pid, Task(path, path, "", "token", (content,)), ())
        [pid] = keepers() - before
        owner.kill()
    assert rows.DETECTIONS in done.found
    assert os.waitpid(pid, 0) == (pid, 0)


def test_a_fault_in_what_keeps_a_bucket_is_that_of_the_batch(quick: Local, tmp_path: Path) -> None:
    kits = shared(tmp_path, quick.kit(columns=("value", "other")))
    path = kits.path(kits.chosen)
    with pytest.raises(ModelFileError, match="was trained on 1 column"):
        ask(kits.key, KEY, os.getpid(), Task(path, path, "", "token", ()), ())


def test_a_state_of_another_format_is_refused(quick: Local, tmp_path: Path) -> None:
    tester = TwsTester(FleetProcessor(shared(tmp_path, quick.kit())))
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    judged(tester, table.slice(0, 24))
    format_, token = tester.peekValueState("token", KEY)
    tester.updateValueState("token", KEY, (4, token))  # of the version before
    judged(tester, table.slice(24, 24))
    assert tester.peekValueState("token", KEY)[0] == format_
    tester.updateValueState("token", KEY, (99, token))
    with pytest.raises(ModelFileError, match="format 99"):
        judged(tester, table.slice(48, 24))
