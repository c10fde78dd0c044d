"""Models: what detectors have learnt and where they stand, saved in a folder by one run and used by others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from autoencoder.core.errors import ModelFileError, NotFittedError
from autoencoder.core.state import Reader, State, from_files, pack, to_files, unpack
from autoencoder.detector import Detector
from autoencoder.reports.run_folder import (
    GIVEN,
    MAX_CHECKPOINT_BYTES,
    MAX_MODEL_BYTES,
    RunFolder,
    has,
    read_file,
    read_model,
)

if TYPE_CHECKING:
    from autoencoder.panel.panel import Panel
    from autoencoder.panel.series import Series

LONE = "lone"  # where the model of a stream without series lies beside those of several series
NO_NAME = "value"  # what a lone column is called where nobody named it


@dataclass(frozen=True)
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
        if not has(folder, GIVEN):
            return None
        return SavedModel.from_bytes(read_file(folder / GIVEN, MAX_CHECKPOINT_BYTES), folder)

    @staticmethod
    def from_bytes(content: bytes, folder: Path) -> SavedModel:
        """The model that ``to_bytes`` was asked of, which errors call ``folder``; ModelFileError where it is damaged."""
        saved = Reader(unpack(content, str(folder)), f"the model {folder}")
        return SavedModel(folder, saved.state("state"), to_files(saved.state("files")))

    def to_bytes(self) -> bytes:
        """All of it, as one file."""
        return pack({"state": self.state, "files": from_files(self.files)})

    def keep_in(self, folder: RunFolder) -> None:
        """Put the model into the run's own folder, so that the run does not need the other one again.

        It stays as it was given until the run is done, while the model that the run leaves moves on.
        """
        folder.write(GIVEN, self.to_bytes())
        folder.write_model(self.state, self.files)

    @cached_property
    def digest(self) -> str:
        """What tells it from another one: the digest of its network, or of all that was learnt where there is none."""
        return hashlib.sha256(self.files.get("model.onnx") or pack(self.state)).hexdigest()

    # --- columns ---

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it was trained on, in their order; empty where they have no names of their own."""
        saved = Reader(self.state, f"the model in {self.folder}")
        names = _names(saved.text("columns"), f"the columns of the model in {self.folder}")
        return names if are_named(names) else ()

    def in_order(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """The same columns in the order of the model, where they are those that it was trained on."""
        return self.columns if sorted(columns) == sorted(self.columns) else columns

    def require_columns(self, name: str, columns: tuple[str, ...], *, is_joint: bool = True) -> None:
        """Raise ModelFileError where the model was trained on other columns than the source of that name has, judged together or not."""
        trained, found = Reader(self.state, f"the model in {self.folder}").integer("features", 1), len(columns)
        if trained > 1 and not is_joint:
            raise ModelFileError(
                f"--model {self.folder} judges {trained} columns together, this run each column of {name} on its own; "
                "add --set columns.joint=true, or train a model with columns.joint=false"
            )
        if trained != found:
            raise ModelFileError(
                f"--model {self.folder} was trained on {trained} column{'s' * (trained > 1)}, {name} has {found} "
                f"({', '.join(columns)}); choose as many with --column"
            )
        if self.columns and are_named(columns) and self.columns != columns:
            raise ModelFileError(
                f"--model {self.folder} was trained on the column{'s' * (trained > 1)} {', '.join(self.columns)}, {name} gives "
                f"{', '.join(columns)}; choose the same with --column, rename what is the same, or train another model"
            )

    # --- detectors ---

    def apply_to(self, detector: Detector, series: str | None) -> None:
        """Let a detector go on where that of its series stood, or begin with the one that stands for all where it is not known."""
        with self._named():
            own = self._of(series)
            state, files = own or (self.state, self.files)
            detector.current.load_model(state, files, goes_on=own is not None)

    def lend_to(self, detector: Detector) -> None:
        """Let a detector begin with the one that stands for all."""
        with self._named():
            detector.current.load_model(self.state, self.files, goes_on=False)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (ModelFileError, NotFittedError) as error:
            raise type(error)(f"--model {self.folder}: {error}") from error

    def knows(self, series: str | None) -> bool:
        """Whether it holds a model of that series, None of a stream without series."""
        if not self.is_of_many:
            return series is None
        return LONE in self.state if series is None else self.packed.get(series) is not None

    def files_of(self, series: str | None) -> dict[str, bytes]:
        """Files of the network of the detector of that series, or of the one that stands for all."""
        if series is not None and b"model.onnx" not in self.packed.get(series, b""):
            return self.files  # as of nearly all, which is told without unpacking
        own = self._of(series)
        return own[1] if own else self.files

    @property
    def is_of_many(self) -> bool:
        """Whether it holds a model for each of several series."""
        return "series" in self.state

    def _of(self, series: str | None) -> tuple[State, dict[str, bytes]] | None:
        """State and files of the detector of a series, None that of a stream without series; None where it is not known."""
        if not self.is_of_many:
            return (self.state, self.files) if series is None else None
        if series is None:
            saved = Reader(self.state, "the detector")
            blob = to_files(saved.state(LONE)).get(LONE) if saved.has(LONE) else None
        else:
            blob = self.packed.get(series)
        if blob is None:
            return None
        own = Reader(unpack(blob, f"the model of series {series!r:.60}"), "the detector")
        return own.state("model"), to_files(own.state("files")) or self.files

    @cached_property
    def packed(self) -> dict[str, bytes]:
        """The models of the series that are known, each as bytes."""
        if not self.is_of_many:
            return {}
        saved = Reader(self.state, "the detector")
        blobs = to_files(saved.state("series"))
        names = _names(saved.text("names"), "the names of its series")
        return {name: blobs[str(place)] for place, name in enumerate(names) if str(place) in blobs}


def _names(text: str, what: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelFileError(f"{what} are damaged; copy the run folder again or train again")
    return tuple(names)


def are_named(columns: tuple[str, ...]) -> bool:
    """Whether columns have names of their own, and not only places."""
    return columns != (NO_NAME,) and not all(name.isdecimal() for name in columns)


def save_model(folder: RunFolder, kind: str, panel: Panel, given: SavedModel | None = None) -> str | None:
    """Save what the detectors of a panel, of that kind, have learnt and where they stand.

    With several series, the one that was trained on most points also stands for those that are not known; where the run was ``given`` a
    model, its own stays, and so do its series that have not come again. A stream without series stands beside the series of a model that
    it was given.

    Returns:
        Why that cannot be done; empty or None where it can, or nothing is judged yet.
    """
    learnt = [one for one in panel.scored if one.detector.has_model]
    if not learnt:
        why = next((reason for one in panel.scored if (reason := one.detector.lacks_model)), "")
        return why and f"no model is saved: {why}"
    main = max(learnt, key=lambda one: one.detector.current.training_points)
    state, files = main.detector.current.state(), dict(main.detector.current.scorer.artifacts())
    of_many = main.name is not None or (given is not None and given.is_of_many)
    if of_many and given:
        keys = {"detector", "columns", "names", "series"}
        state, files = {key: value for key, value in given.state.items() if key not in keys}, given.files
    state = {"detector": kind, "columns": json.dumps(panel.columns), **state}
    if of_many:
        lone = {LONE: _pack(main, files)} if main.name is None else {}
        packed = dict(given.packed) if given else {}
        room = MAX_MODEL_BYTES - sum(map(len, (*packed.values(), *lone.values())))
        for one in learnt:
            if one.name is not None:
                packed[one.name], before = _pack(one, files), packed.get(one.name, b"")
                room -= len(packed[one.name]) - len(before)
            if room < 0:  # the models of thousands may not fit into memory either
                return f"the models of {len(learnt):,} series take more than {MAX_MODEL_BYTES:,} bytes; so many are not saved"
        blobs = {str(place): blob for place, blob in enumerate(packed.values())}  # a name may be no key of an archive
        state |= {"names": json.dumps(list(packed)), "series": from_files(blobs), **({LONE: from_files(lone)} if lone else {})}
    folder.write_model(state, files)
    return None


def _pack(one: Series, files: dict[str, bytes]) -> bytes:
    """The model of a series; its files where they are not those of all."""
    own = dict(one.detector.current.scorer.artifacts())
    return pack({"model": one.detector.current.state(), "files": from_files({} if own == files else own)})
