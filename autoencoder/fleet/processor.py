"""Processor: a bucket in Spark's state store, of which a process beside Spark's workers keeps a copy from batch to batch."""

from __future__ import annotations

import atexit
import json
import os
import pickle
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark import SparkFiles, TaskContext
from pyspark.sql import Row, SparkSession
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

from autoencoder.core.errors import ModelFileError
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import FORMAT, READABLE, Kit
from autoencoder.fleet.keeper import Task, ask, kit_of

MODEL = "fleet.model"  # names the model of a batch by its digest


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
    def chosen(self) -> str:
        """Digest of the model of this batch, in a worker."""
        context = TaskContext.get()
        digest: str | None = context and context.getLocalProperty(MODEL)
        return digest or self.digest

    @property
    def kit(self) -> Kit:
        """The kit of this batch, in a worker."""
        return kit_of(self.path(self.chosen))

    def path(self, digest: str) -> str:
        """Where the kit with that model lies, in a worker."""
        return str(SparkFiles.get(self._file(digest)))

    def _file(self, digest: str) -> str:
        return f"fleet-{self.key}-{digest}.pickle"


class FleetProcessor(StatefulProcessor):  # type: ignore[misc]  # pyspark is not followed
    """Judges the points of a bucket, and saves what has changed.

    The state store holds pieces (see ``Bucket``) and a token: the digest of their model, and what is another one after every batch. A
    keeper whose copy of the bucket has this token goes on with it; after a failure, or where another machine did the batch before, it
    makes the bucket from the pieces.
    """

    def __init__(self, shared: SharedKit) -> None:
        self._shared = shared

    def init(self, handle: StatefulProcessorHandle) -> None:
        """See ``StatefulProcessor.init``; a field that is added later would make old checkpoints unreadable, so bytes hold all."""
        self._token = handle.getValueState("token", "format int, token string")
        self._pieces = handle.getListState("pieces", "format int, piece binary")

    def handleInputRows(self, key: Any, rows_: Iterator[Row], timerValues: Any) -> Iterator[Row]:
        """Packed rows of a bucket -> a row for each kind of what became of them."""
        number, chosen, saved = int(key[0]), self._shared.chosen, self._token.get()
        if saved and saved[0] not in READABLE:
            raise ModelFileError(
                f"the checkpoint holds states of format {saved[0]}, this program reads {FORMAT}; begin a new --checkpoint"
            )
        before = saved[1] if saved else ""
        after = f"{chosen} {uuid.uuid4().hex}"  # of this attempt: one that fails leaves a copy that nothing asks for
        made_with, kit = (self._shared.path(digest or chosen) for digest in (before.partition(" ")[0], chosen))
        task = Task(made_with, kit, before, after, tuple(row[rows.ROWS] for row in rows_))
        owner = os.getppid() if TaskContext.get() else os.getpid()  # Spark's, of all its workers
        pieces = (piece for _, piece in self._pieces.get()) if saved else ()
        outcome = ask(self._shared.key, number, owner, task, pieces)
        new = [(FORMAT, piece) for piece in outcome.pieces]
        if outcome.is_whole:
            self._pieces.put(new)
        else:
            self._pieces.appendList(new)
        self._token.update((FORMAT, after))
        yield from to_output(number, outcome.found, outcome.report)

    def close(self) -> None:
        """Nothing is open."""


def to_output(number: int, found: dict[str, bytes], report: dict[str, object]) -> Iterator[Row]:
    """What became of the rows of a bucket, as rows of ``rows.JUDGED``."""
    for kind, content in {**found, rows.REPORT: json.dumps({"bucket": number, **report}).encode()}.items():
        yield Row(**{rows.BUCKET: number, rows.KIND: kind, rows.ROWS: content})
