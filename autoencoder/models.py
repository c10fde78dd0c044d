"""Models: what detectors have learnt, saved in a folder by one run and used by others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoencoder.core.errors import ModelFileError, NotFittedError
from autoencoder.core.state import Reader, State, from_files, pack, to_files, unpack
from autoencoder.detector import Detector
from autoencoder.reports.run_folder import DETECTOR, MAX_MODEL_BYTES, RunFolder, has, read_model

if TYPE_CHECKING:
    from autoencoder.panel.panel import Panel
    from autoencoder.panel.series import Series


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model in a run folder: of one detector, or of one for each series."""

    folder: Path  # where it lies
    state: State  # of the detector that serves a series without one of its own
    files: dict[str, bytes]  # of the network

    @staticmethod
    def read(folder: Path, kind: str) -> SavedModel:
        """The model in a folder; ModelFileError where it is missing, damaged, or not of that kind of detector."""
        state, files = read_model(folder)
        made = Reader(state, f"the model in {folder}").text("detector")
        if made != kind:
            raise ModelFileError(
                f"--model {folder} holds a model of {made:.40}, this run asks for {kind}; "
                "leave out --detector, or train another model"
            )
        return SavedModel(folder, state, files)

    @staticmethod
    def given_to(folder: Path) -> SavedModel | None:
        """What ``keep_in`` put into a run's folder; None where the run trains a model of its own."""
        state, files = read_model(folder) if has(folder, DETECTOR) else ({}, {})
        return SavedModel(folder, state, files) if state.get("given") is True else None

    def keep_in(self, folder: RunFolder) -> None:
        """Put the model into the run's own folder, so that the run does not need the other one again."""
        folder.write_model({**self.state, "given": True}, self.files)

    def require_columns(self, name: str, columns: tuple[str, ...]) -> None:
        """Raise ModelFileError where the model was trained on more or fewer columns than the source of that name has."""
        trained, found = Reader(self.state, f"the model in {self.folder}").integer("features", 1), len(columns)
        if trained != found:
            raise ModelFileError(
                f"--model {self.folder} was trained on {trained} column{'s' * (trained > 1)}, {name} has {found} "
                f"({', '.join(columns)}); choose as many with --column, in the same order"
            )

    def apply_to(self, detector: Detector, series: str | None) -> None:
        """Give a detector what was learnt of its series, or of the one that stands for all, where it is not known."""
        try:
            state, files = self._of(series)
            detector.current.load_model(state, files)
        except (ModelFileError, NotFittedError) as error:
            raise type(error)(f"--model {self.folder}: {error}") from error

    def _of(self, series: str | None) -> tuple[State, dict[str, bytes]]:
        saved = Reader(self.state, "the detector")
        if series is None or "series" not in self.state:
            return self.state, self.files
        try:
            names = json.loads(saved.text("names"))
        except (ValueError, RecursionError):
            raise ModelFileError("the names of its series are damaged; copy the run folder again or train again") from None
        place = str(names.index(series)) if isinstance(names, list) and series in names else ""
        blob = to_files({"blob": saved.state("series").get(place)}).get("blob")
        if blob is None:
            return self.state, self.files
        own = Reader(unpack(blob, f"the model of series {series!r:.60}"), "the detector")
        return own.state("model"), to_files(own.state("files")) or self.files


def save_model(folder: RunFolder, kind: str, panel: Panel) -> str | None:
    """Save what the detectors of a panel, of that kind, have learnt; returns why that cannot be done, None where it can.

    With several series, the one that was trained on most points also stands for those that are not known.
    """
    learnt = [one for one in panel.scored if one.detector.has_model]
    if not learnt:
        return None
    main = max(learnt, key=lambda one: one.detector.current.training_points)
    files = dict(main.detector.current.scorer.artifacts())
    state: State = {"detector": kind, **main.detector.current.state()}
    if main.name is not None:
        packed = {str(place): _pack(one, files) for place, one in enumerate(learnt)}
        if (size := sum(map(len, packed.values()))) > MAX_MODEL_BYTES:
            return f"the models of {len(learnt):,} series take {size:,} bytes; more than {MAX_MODEL_BYTES:,} are not saved"
        state |= {"names": json.dumps([one.name for one in learnt]), "series": from_files(packed)}
    folder.write_model(state, files)
    return None


def _pack(one: Series, files: dict[str, bytes]) -> bytes:
    """The model of a series; its files where they are not those of all."""
    own = dict(one.detector.current.scorer.artifacts())
    return pack({"model": one.detector.current.state(), "files": from_files({} if own == files else own)})
