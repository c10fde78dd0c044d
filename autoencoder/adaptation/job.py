"""Job: what a candidate is trained on and has to beat, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autoencoder.adaptation.calibration import rescale
from autoencoder.adaptation.trial import compare
from autoencoder.core.errors import ModelError, TrainingError
from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array, Progress, Refittable, Scorer

BASELINE, MODEL = "baseline", "model"
Make = Callable[[str], Scorer]  # an untrained scorer of a kind: BASELINE or MODEL
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Job:
    """What a candidate is trained on, and what it has to beat.

    Attributes:
        kind: of the present scorer, BASELINE or MODEL; a candidate for the first of them is trained from nothing.
        state: of the present scorer.
        files: of the present scorer.
        usual: (E,) errors of the present scorer on normal points.
        training: (N, F) oldest first; rows of NaN stand for what is in quarantine.
        held_back: (M, F) the points after that.
        normal: (M,) which of those count.
        span: points of a window.
    """

    kind: str
    state: State
    files: Files
    usual: Array
    training: Array
    held_back: Array
    normal: npt.NDArray[np.bool_]
    span: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it.

    Attributes:
        fault: why the candidate is dropped; empty where it is better.
        figures: what the trial measured.
        state: of the candidate, as it stood at the end of its training part.
        files: of the candidate.
    """

    fault: str
    figures: dict[str, float] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    files: Files = field(default_factory=dict)


def perform(job: Job, make: Make, progress: Progress | None = None) -> Result:
    """Train candidates and try them; the best one is the result.

    A model that can be trained on has two: one that is trained, and one that only learns scale, units and normal windows anew. The latter
    is the better one where the stream looks as before but for its size or its noise, and there is little to train on yet.
    """
    faults, best = [], None
    for retrain in (True, False) if job.kind == MODEL and isinstance(make(MODEL), Refittable) else (True,):
        try:
            candidate = _candidate(job, make, progress, retrain=retrain)
            result = _try(job, make, candidate, retrain=retrain)
        except (TrainingError, ModelError) as error:  # the stream goes on with the model it has
            faults.append(Result(str(error)))
            continue
        if result.fault:
            faults.append(result)
        elif best is None or result.figures["candidate_loss"] < best.figures["candidate_loss"]:
            best = result
    if best is None:  # the one that came closest tells why
        tried = [fault for fault in faults if fault.figures] or faults
        best = min(tried, key=lambda fault: fault.figures.get("candidate_loss", np.inf))
    return best


def _candidate(job: Job, make: Make, progress: Progress | None, *, retrain: bool) -> Scorer:
    candidate = make(MODEL)
    if job.kind == MODEL and isinstance(candidate, Refittable):
        candidate.load(job.state, job.files)
        candidate.refit(job.training, progress, freeze_network=not retrain)
    else:
        candidate.fit(job.training[~np.isnan(job.training).any(axis=1)], progress)
    return candidate


def _try(job: Job, make: Make, candidate: Scorer, *, retrain: bool) -> Result:
    """Try a candidate beside the present model, both as they stand before the points that were held back."""
    state, files = candidate.state(), candidate.artifacts()
    present, trained = _copies(make, job.kind, _before(job, make), job.files), _copies(make, MODEL, state, files)
    # the tail of the training part's own errors says little: that of the model before stands for it
    usual = candidate.calibration_errors
    usual = rescale(job.usual, usual) if len(job.usual) and len(usual) else usual
    trial = compare(present, trained, (job.usual, usual), job.held_back, job.normal, job.span)
    return Result(trial.fault, {**trial.report(), "retrained": float(retrain)}, state, files)


def _before(job: Job, make: Make) -> State:
    """State of the present scorer before the points that were held back, as far as these have changed it.

    A baseline is what the stream has made of it, so it goes through the training part anew. A model has only remembered them.
    """
    if job.kind != BASELINE:
        return job.state
    scorer = make(BASELINE)
    scorer.load(job.state, job.files)
    scorer.reset()
    scorer.process(job.training)
    return scorer.state()


def _copies(make: Make, kind: str, state: State, files: Files) -> Callable[[], Scorer]:
    def copy() -> Scorer:
        scorer = make(kind)
        scorer.load(state, files)
        return scorer

    return copy


# --- how a job and a result are written down ---


def freeze_files(files: Files) -> State:
    """Files as a state."""
    return {name: np.frombuffer(content, np.uint8) for name, content in files.items()}


def thaw_files(state: State) -> dict[str, bytes]:
    """Files that ``freeze_files`` gave."""
    return {name: np.asarray(content, np.uint8).tobytes() for name, content in state.items()}


def freeze(job: Job) -> State:
    """A job as a state."""
    return {
        "kind": job.kind,
        "state": job.state,
        "files": freeze_files(job.files),
        "usual": job.usual,
        "training": job.training,
        "held_back": job.held_back,
        "normal": job.normal.astype(np.int64),
        "span": job.span,
    }


def thaw(state: State) -> Job:
    """The job that ``freeze`` gave."""
    saved = Reader(state, "a job")
    return Job(
        saved.text("kind"),
        saved.state("state"),
        thaw_files(saved.state("files")),
        saved.array("usual", (None,)),
        saved.array("training", (None, None), finite=False),
        saved.array("held_back", (None, None)),
        saved.integers("normal", (None,)).astype(bool),
        saved.integer("span", 1),
    )


def freeze_result(result: Result) -> State:
    """A result as a state."""
    known = {name: value for name, value in result.figures.items() if np.isfinite(value)}
    return {
        "fault": result.fault,
        "figures": dict(known),
        "state": result.state,
        "files": freeze_files(result.files),
    }


def thaw_result(state: State) -> Result:
    """The result that ``freeze_result`` gave."""
    saved = Reader(state, "the result of a training")
    figures = saved.state("figures")
    return Result(
        saved.text("fault"),
        {name: Reader(figures, "a trial").number(name) for name in figures},
        saved.state("state"),
        thaw_files(saved.state("files")),
    )
