"""Models: what detectors have learnt, saved in a folder by one run and used by others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autoencoder.core.errors import ModelFileError, NotFittedError
from autoencoder.core.state import Reader, State, pack, unpack
from autoencoder.detector import Detector
from autoencoder.reports.run_folder import DETECTOR, MAX_MODEL_BYTES, RunFolder, has, read_model

if TYPE_CHECKING:
    from autoencoder.panel.panel import Panel
    from autoencoder.panel.series import Series


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model in a run folder: of one detector, or of one for each series.

    Attributes:
        folder: where it lies.
        state: of the detector that serves a series without one of its own.
        files: of the network.
    """

    folder: Path
    state: State
    files: dict[str, bytes]

    @staticmethod
    def read(folder: Path, kind: str) -> SavedModel:
        """The model in a folder, of the kind of detector that is asked for.

        Raises:
            ModelFileError: missing, damaged, or of another kind of detector.
        """
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
        """What ``keep_in`` put into a run's folder; None where the run trains a model of its own.

        Raises:
            ModelFileError: damaged.
        """
        state, files = read_model(folder) if has(folder, DETECTOR) else ({}, {})
        return SavedModel(folder, state, files) if state.get("given") is True else None

    def keep_in(self, folder: RunFolder) -> None:
        """Put the model into the run's own folder, so that the run does not need the other one again."""
        folder.write_model({**self.state, "given": True}, self.files)

    def require_columns(self, name: str, columns: tuple[str, ...]) -> None:
        """See that the model fits a source of that name.

        Raises:
            ModelFileError: it was trained on more or fewer columns.
        """
        trained, found = Reader(self.state, f"the model in {self.folder}").integer("features", 1), len(columns)
        if trained != found:
            raise ModelFileError(
                f"--model {self.folder} was trained on {trained} column{'s' * (trained > 1)}, {name} has {found} "
                f"({', '.join(columns)}); choose as many with --column, in the same order"
            )

    def apply_to(self, detector: Detector, series: str | None) -> None:
        """Give a detector what was learnt of its series, or of the one that stands for all, where it is not known.

        Raises:
            ModelFileError: damaged, or of another kind of detector.
        """
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
        place = names.index(series) if isinstance(names, list) and series in names else None
        blob = saved.state("series").get(str(place))
        if not isinstance(blob, np.ndarray) or blob.dtype != np.uint8:
            return self.state, self.files
        own = unpack(blob.tobytes(), f"the model of series {series!r:.60}")
        files = {
            name: data.tobytes()
            for name, data in Reader(own, "the detector").state("files").items()
            if isinstance(data, np.ndarray)
        }
        return Reader(own, "the detector").state("model"), files or self.files


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
        packed = {str(place): _packed(one, files) for place, one in enumerate(learnt)}
        if (size := sum(map(len, packed.values()))) > MAX_MODEL_BYTES:
            return f"the models of {len(learnt):,} series take {size:,} bytes; more than {MAX_MODEL_BYTES:,} are not saved"
        state |= {"names": json.dumps([one.name for one in learnt]), "series": dict(packed)}
    folder.write_model(state, files)
    return None


def _packed(one: Series, files: dict[str, bytes]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The model of a series as one array; its files where they are not those of all."""
    own = dict(one.detector.current.scorer.artifacts())
    differ = {} if own == files else {name: np.frombuffer(data, np.uint8) for name, data in own.items()}
    return np.frombuffer(pack({"model": one.detector.current.state(), "files": dict(differ)}), np.uint8)
