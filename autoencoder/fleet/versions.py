"""Versions: the models of a stream, one after the other, each kept in the checkpoint under the first batch that it judges."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from autoencoder.core.errors import AutoencoderError, ModelFileError, ResumeError
from autoencoder.fleet import files
from autoencoder.fleet.bucket import Kit
from autoencoder.fleet.processor import MODEL, SharedKit
from autoencoder.models import SavedModel
from autoencoder.reports.run_folder import read_file

LINEAGE = "lineage.json"  # in the folder of a model that took another one's place: their digests in order, its own last


def lineage_of(folder: Path) -> list[str]:
    """Digests of the models that lay in a folder one after the other; empty where there was one alone, or it is being changed."""
    try:
        return [str(digest) for digest in json.loads(read_file(folder / LINEAGE))]
    except (ModelFileError, ValueError, TypeError):
        return []


def take_place(folder: Path, draft: Path, kind: str) -> bool:
    """Put the model in ``draft`` in the place of that in ``folder``; returns whether it is another one."""
    old, new = (SavedModel.read(each, kind).digest for each in (folder, draft))
    if old == new:
        shutil.rmtree(draft)
        return False
    (draft / LINEAGE).write_text(json.dumps([*(lineage_of(folder) or [old]), new]))
    aside = draft.with_name(f"{draft.name}.old")
    folder.rename(aside)
    draft.rename(folder)
    shutil.rmtree(aside)
    return True


class Versions:
    """Says which model judges a batch, and keeps to it whenever the batch is done again.

    A model is taken up that says it took the place of the newest one in the checkpoint; any other is refused.

    Args:
        spark: session of the stream.
        checkpoint: its folder.
        read: the model that is at hand; raises AutoencoderError where it does not fit the stream.
        folder: where that one lies.
        kit: a kit with a model.
        tell: given a sentence of each model that is taken up or refused.
    """

    def __init__(
        self,
        spark: SparkSession,
        checkpoint: str,
        read: Callable[[], SavedModel],
        folder: Path,
        kit: Callable[[SavedModel], Kit],
        tell: Callable[[str], None],
    ) -> None:
        self._spark, self._place, self._read, self._folder, self._kit, self._tell = spark, checkpoint, read, folder, kit, tell
        done = [int(name) for name in files.names(spark, f"{checkpoint}/offsets") if name.isdecimal()]
        self._next = max(done, default=-1) + 1  # batches before this one may have been tried, with the model of then
        self._first: dict[int, str] = {}  # digest of each model by the first batch that it judges
        self._refused = ""
        for name in files.names(spark, f"{checkpoint}/models"):
            number, _, digest = name.partition("-")
            self._first[int(number)] = digest

    @property
    def newest(self) -> str:
        """Digest of the newest model."""
        return self._first[max(self._first)]

    def begin(self, model: SavedModel) -> Kit:
        """The kit of the newest model; of the one at hand where there is none yet. ResumeError where that is none of its successors."""
        if not self._first:
            self._record(0, model)
        self._require(lineage_of(self._folder) or [model.digest])
        kits = {model.digest: self._kit(model)}
        for number, digest in self._first.items():
            if digest not in kits:
                place = f"{self._place}/models/{_name(number, digest)}"
                kits[digest] = self._kit(SavedModel.from_bytes(files.read(self._spark, place) or b"", Path(place)))
            SharedKit.of(kits[digest], self._spark)
        return kits[self.newest]

    def choose(self, number: int) -> None:
        """A batch is to be judged: by the model that was chosen for it, or by a new one that is at hand where it is tried first."""
        if number >= self._next and (model := self._successor()):
            self._record(number, model)
            SharedKit.of(self._kit(model), self._spark)
            self._tell(f"batch {number:,}: the model of digest {model.digest[:12]} is taken up")
        digest = self._first[max(first for first in self._first if first <= number)]
        self._spark.sparkContext.setLocalProperty(MODEL, digest)

    def _successor(self) -> SavedModel | None:
        """The model at hand, where it is to take the place of the newest; why it cannot is told once."""
        lineage = lineage_of(self._folder)
        if not lineage or lineage[-1] == self.newest:
            return None
        try:
            self._require(lineage)
            model = self._read()
            return model if model.digest == lineage[-1] else None  # else it was replaced just now
        except AutoencoderError as fault:
            if str(fault) != self._refused:
                self._tell(f"the stream goes on with the model that it has: {fault}")
            self._refused = str(fault)
            return None

    def _require(self, lineage: list[str]) -> None:
        if self.newest not in lineage:
            raise ResumeError(
                f"{self._place} was begun with a model of digest {self.newest[:12]}, --model {self._folder} has {lineage[-1][:12]}, "
                "which did not take its place; give that one, or begin anew with another --checkpoint"
            )

    def _record(self, number: int, model: SavedModel) -> None:
        files.write(self._spark, f"{self._place}/models/{_name(number, model.digest)}", model.to_bytes())
        self._first[number] = model.digest


def _name(number: int, digest: str) -> str:
    return f"{number:09}-{digest}"
