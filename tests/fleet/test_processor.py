"""The processor under Spark's own harness, without a session: what an attempt leaves that Spark has given up is not taken for the state."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import Local
from fleet.test_bucket import normal
from helpers.fleet import lines_of
from pyspark.sql import Row
from pyspark.sql.streaming.tws_tester import TwsTester

from autoencoder.core.errors import ModelFileError
from autoencoder.fleet import rows
from autoencoder.fleet.processor import FleetProcessor

KEY = 3


def judged(tester: TwsTester, table: pa.Table) -> tuple[pa.Table, dict[str, Any]]:
    """Detections and report of a batch, whose rows come in two blobs."""
    half = len(table) // 2
    packed = [Row(bucket=KEY, rows=rows.to_bytes(part)) for part in (table.slice(half), table.slice(0, half))]
    found = {row[rows.KIND]: row[rows.ROWS] for row in tester.test(KEY, packed)}
    report: dict[str, Any] = json.loads(found[rows.REPORT])
    return rows.from_bytes(found[rows.DETECTIONS]), report


def test_what_a_failed_attempt_did_is_forgotten(quick: Local) -> None:
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    thirds = [table.slice(start, 1000) for start in range(0, len(table), 1000)]
    tester = TwsTester(FleetProcessor(SimpleNamespace(kit=quick.kit())))  # type: ignore[arg-type]
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


def test_a_state_of_another_format_is_refused(quick: Local) -> None:
    tester = TwsTester(FleetProcessor(SimpleNamespace(kit=quick.kit())))  # type: ignore[arg-type]
    table = normal(pq.read_table(quick.folder / "rows.parquet")).slice(0, 24)
    judged(tester, table)
    tester.updateValueState("token", KEY, (99, "token"))
    with pytest.raises(ModelFileError, match="format 99"):
        judged(tester, table)
