"""Processor: a bucket in Spark's state store, and the copy of it that a Python worker keeps from batch to batch."""

from __future__ import annotations

import atexit
import functools
import json
import pickle
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.sql import Row, SparkSession
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

from autoencoder.core.errors import ModelFileError
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import FORMAT, Bucket, Kit

MODEL = "fleet.model"  # names the model of a batch by its digest

MAX_COPIES = 32  # buckets that a worker keeps

# by query and bucket: the token of what this process has done last, and the bucket as it was then
_COPIES: dict[tuple[str, int], tuple[str, Bucket]] = {}


@dataclass(frozen=True)
class SharedKit:
    """A kit that is sent to each machine once, as a file; a broadcast cannot be read where Spark plans a query.

    A stream may go on with the kit of another model: ``MODEL``, a local property of Spark's context, names the model of a batch.
    """

    key: str  # of the query
    digest: str  # of the model, where the property names none

    @staticmethod
    def of(kit: Kit, spark: SparkSession) -> SharedKit:
        """Send a kit, unless it is there."""
        shared = SharedKit(kit.key, kit.model.digest)
        if any(path.endswith(shared._file(shared.digest)) for path in spark.sparkContext.listFiles):
            return shared
        path = Path(tempfile.mkdtemp(prefix="fleet-")) / shared._file(shared.digest)
        atexit.register(shutil.rmtree, path.parent, ignore_errors=True)  # workers that start later fetch it, too
        path.write_bytes(pickle.dumps(kit))
        spark.sparkContext.addFile(str(path))
        return shared

    @property
    def kit(self) -> Kit:
        """The kit of this batch, in a worker."""
        context = TaskContext.get()
        return self.of_model((context and context.getLocalProperty(MODEL)) or self.digest)

    def of_model(self, digest: str) -> Kit:
        """The kit with that model, in a worker."""
        return _kit(self._file(digest))

    def _file(self, digest: str) -> str:
        return f"fleet-{self.key}-{digest}.pickle"


@functools.lru_cache(4)
def _kit(name: str) -> Kit:
    kit: Kit = pickle.loads(Path(SparkFiles.get(name)).read_bytes())  # this program has written it
    return kit


class FleetProcessor(StatefulProcessor):  # type: ignore[misc]  # pyspark is not followed
    """Judges the points of a bucket, and saves what has changed.

    The state store holds pieces (see ``Bucket``) and a token: the digest of their model, and what is another one after every batch. A
    worker whose copy of the bucket has this token goes on with it; after a failure, or where another worker did the batch before, it makes
    the bucket from the pieces.
    """

    def __init__(self, shared: SharedKit) -> None:
        self._shared = shared

    def init(self, handle: StatefulProcessorHandle) -> None:
        """See ``StatefulProcessor.init``; a field that is added later would make old checkpoints unreadable, so bytes hold all."""
        self._token = handle.getValueState("token", "format int, token string")
        self._pieces = handle.getListState("pieces", "format int, piece binary")

    def handleInputRows(self, key: Any, rows_: Iterator[Row], timerValues: Any) -> Iterator[Row]:
        """Packed rows of a bucket -> a row for each kind of what became of them."""
        began, number, kit = time.perf_counter(), int(key[0]), self._shared.kit
        bucket, is_copy = self._bucket(kit, number)
        loaded = time.perf_counter()
        found, report = bucket.process(pa.concat_tables([rows.from_bytes(row[rows.ROWS]) for row in rows_]))
        judged = time.perf_counter()
        self._save(kit, number, bucket)
        report |= {"reloaded": not is_copy, "state_bytes": bucket.state_bytes}
        report["seconds"] = {"load": loaded - began, "judge": judged - loaded, "save": time.perf_counter() - judged}
        yield from to_output(number, found, report)

    def _bucket(self, kit: Kit, number: int) -> tuple[Bucket, bool]:
        """The bucket as it is in the state store, and whether this worker had a copy of it."""
        saved = self._token.get()
        token, copy = saved[1] if saved else "", _COPIES.pop((kit.key, number), None)
        digest = token.partition(" ")[0] or kit.model.digest
        if saved and saved[0] != FORMAT:
            raise ModelFileError(
                f"the checkpoint holds states of format {saved[0]}, this program reads {FORMAT}; begin a new --checkpoint"
            )
        is_copy = copy is not None and copy[0] == token
        if copy and is_copy:
            bucket = copy[1]
        else:
            own = kit if digest == kit.model.digest else self._shared.of_model(digest)
            bucket = Bucket(own, [piece for _, piece in self._pieces.get()] if saved else ())
        if digest != kit.model.digest:
            bucket.take_up(kit)
        return bucket, is_copy

    def _save(self, kit: Kit, number: int, bucket: Bucket) -> None:
        whole = bucket.is_worth_a_whole_piece
        piece = (FORMAT, bucket.piece(whole=whole))
        if whole:
            self._pieces.put([piece])
        else:
            self._pieces.appendValue(piece)
        token = f"{kit.model.digest} {uuid.uuid4().hex}"  # of this attempt: one that fails leaves a copy that nothing asks for
        self._token.update((FORMAT, token))
        _COPIES[kit.key, number] = token, bucket
        while len(_COPIES) > MAX_COPIES:  # the ones that have been used least lately
            _COPIES.pop(next(iter(_COPIES)), None)

    def close(self) -> None:
        """Nothing is open."""


def to_output(number: int, found: dict[str, pa.Table], report: dict[str, object]) -> Iterator[Row]:
    """What became of the rows of a bucket, as rows of ``rows.JUDGED``."""
    packed = {kind: rows.to_bytes(table) for kind, table in found.items() if len(table)}
    packed[rows.REPORT] = json.dumps({"bucket": number, **report}).encode()
    for kind, content in packed.items():
        yield Row(**{rows.BUCKET: number, rows.KIND: kind, rows.ROWS: content})
