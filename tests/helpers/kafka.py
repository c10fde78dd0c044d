"""A mock cluster of Kafka, and its topics as Spark's Kafka connector reads and writes them, which is no package of PyPI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from pyspark.sql import Row
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, DataSourceWriter, InputPartition, WriterCommitMessage

SCHEMA = "key binary, value binary, topic string, partition int, offset bigint, timestamp timestamp, timestampType int"
NAME = "mock_kafka"  # Spark lets no other source be called kafka
PARTITIONS = 2
SECONDS = 10.0  # that the cluster may take to answer
QUIET = {"log_level": 3}


class MockCluster:
    """A cluster in this process; it is gone with its object."""

    def __init__(self) -> None:
        self._producer = Producer({"test.mock.num.brokers": 1, **QUIET})
        brokers = self._producer.list_topics(timeout=SECONDS).brokers.values()
        self.servers = ",".join(f"{each.host}:{each.port}" for each in brokers)

    def produce(self, topic: str, messages: list[tuple[str, bytes]]) -> None:
        """Messages, each with the key that chooses its partition."""
        for key, value in messages:
            self._producer.produce(topic, value, key, partition=sum(key.encode()) % PARTITIONS)
        assert self._producer.flush(SECONDS) == 0

    def messages(self, topic: str) -> list[tuple[str, bytes]]:
        """Keys and values of all messages of a topic."""
        places = range(len(self._producer.list_topics(topic, timeout=SECONDS).topics[topic].partitions))
        ends = {place: _high(self.servers, topic, place) for place in places}
        found = [each for place, end in ends.items() for each in _read(self.servers, topic, place, 0, end)]
        return [(message.key().decode(), message.value()) for message in found]


def _consumer(servers: str) -> Any:
    return Consumer({"bootstrap.servers": servers, "group.id": "test", "enable.auto.commit": False, **QUIET})


def _high(servers: str, topic: str, place: int) -> int:
    """The offset behind the newest message of a partition."""
    consumer = _consumer(servers)
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, place), timeout=SECONDS)
    consumer.close()
    return int(end)


def _read(servers: str, topic: str, place: int, start: int, end: int) -> Iterator[Any]:
    """The messages [start, end) of a partition."""
    consumer = _consumer(servers)
    consumer.assign([TopicPartition(topic, place, start)])
    while start < end:
        for message in consumer.consume(min(end - start, 1000), SECONDS):
            assert message.error() is None
            start += 1
            yield message
    consumer.close()


@dataclass
class Slice(InputPartition):
    """Messages of a partition."""

    place: int
    start: int
    end: int


class KafkaSource(DataSource):
    """Takes the place of Spark's Kafka connector."""

    @classmethod
    def name(cls) -> str:
        return NAME

    def schema(self) -> str:
        return SCHEMA

    def streamReader(self, schema: Any) -> Reader:
        return Reader(dict(self.options))

    def writer(self, schema: Any, overwrite: bool) -> Writer:
        return Writer(dict(self.options))


class Reader(DataSourceStreamReader):
    """Reads each partition of a topic from offset to offset."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._servers, self._topic = options["kafka.bootstrap.servers"], options["subscribe"]

    def initialOffset(self) -> dict[str, int]:
        return {str(place): 0 for place in range(PARTITIONS)}

    def latestOffset(self, start: Any = None, limit: Any = None) -> dict[str, int]:
        return {str(place): _high(self._servers, self._topic, place) for place in range(PARTITIONS)}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[Slice]:
        return [Slice(int(place), start[place], end[place]) for place in end if start[place] < end[place]]

    def read(self, partition: Slice) -> Iterator[tuple[object, ...]]:  # type: ignore[override]
        for message in _read(self._servers, self._topic, partition.place, partition.start, partition.end):
            kind, milliseconds = message.timestamp()
            moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
            yield message.key(), message.value(), message.topic(), message.partition(), message.offset(), moment, kind


class Writer(DataSourceWriter):
    """Writes rows of key and value as messages."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        producer = Producer({"bootstrap.servers": self._options["kafka.bootstrap.servers"], **QUIET})
        for row in iterator:
            producer.produce(self._options["topic"], row.value, row.key)
        assert producer.flush(SECONDS) == 0
        return WriterCommitMessage()
