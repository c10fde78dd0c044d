"""Messages of a topic of Kafka are judged as on one machine, and what became of them goes to another topic."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import Local, fleet
from helpers.fleet import lines_of
from helpers.kafka import NAME, KafkaSource, MockCluster
from pyspark.sql import DataFrameWriter
from pyspark.sql.streaming import DataStreamReader

from autoencoder.reports.incidents import time_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def connector(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark's format kafka, for sources and sinks."""
    spark.dataSource.register(KafkaSource)
    for kind in (DataStreamReader, DataFrameWriter):

        def named(self: Any, name: str, given: Any = kind.format) -> Any:
            return given(self, NAME if name == "kafka" else name)

        monkeypatch.setattr(kind, "format", named)


@pytest.mark.usefixtures("connector")
def test_messages_are_judged_as_on_one_machine(spark: Any, quick: Local, tmp_path: Path) -> None:
    cluster, table = MockCluster(), pq.read_table(quick.folder / "rows.parquet")
    times = time_text(table["time"].to_numpy(), "Z")
    records = [
        (series, {"series": series, "time": time, "value": None if value is None or math.isnan(value) else value})
        for series, time, value in zip(table["series"].to_pylist(), times, table["value"].to_pylist(), strict=True)
    ]
    servers = f"kafka.bootstrap.servers={cluster.servers}"
    topics = (
        "--option",
        servers,
        "--option",
        "subscribe=metrics",
        "--sink",
        "kafka",
        "--sink-option",
        servers,
        "--sink-option",
        "topic=judged",
    )
    places = ("--model", quick.folder / "model", "--checkpoint", tmp_path / "state", "--trigger", "available-now")
    for part in (records[:1700], records[1700:]):  # the second is read from where the first one ended
        cluster.produce("metrics", [(series, json.dumps(record).encode()) for series, record in part])
        cluster.produce("metrics", [("s1", b'{"series": "s1", "ti')])
        fleet(spark, "--format", "kafka", *topics, *places)
    found = [(kind, json.loads(value)) for kind, value in cluster.messages("judged")]
    detections = [each for kind, each in found if kind == "detections"]
    columns = {name: [each.get(name) for each in detections] for name in ("value", "prediction", "error", "threshold", "score")}
    moments = pa.array([each["time"].rstrip("Z") for each in detections]).cast(pa.timestamp("us"))
    rest = {
        "series": [each["series"] for each in detections],
        "anomaly": [each["anomaly"] for each in detections],
        "time": moments,
    }
    numbers = {name: pa.array(column, pa.float64()) for name, column in columns.items()}
    assert lines_of(pa.table({**rest, **numbers})) == quick.lines
    assert [each["reason"] for kind, each in found if kind == "rejected"] == ["no series", "no series"]
    assert {each["series"] for kind, each in found if kind == "incidents"} >= {incident[0] for incident in quick.incidents}
