"""Retraining: trains candidates for a model's place, and backtests them (challengers) beside the current model (the champion)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from autoencoder.adaptation.cleaning import clean_rows, rescale
from autoencoder.core.errors import ModelFileError, TrainingError
from autoencoder.core.state import State
from autoencoder.core.types import Array, Bools, Integers
from autoencoder.scorers import SCORERS, Progress, Scorer
from autoencoder.scorers.base import Refittable
from autoencoder.scorers.seasonal import SeasonalScorer

MIN_GAIN = 0.02  # share of the current loss by which a candidate's must be lower, or may be higher where it alarms less
LOSS_PER_ALARMS = 0.1  # the latter per share of alarms: a current model that alarms all the time has its loss on few points
ALARMING = 0.02  # share of points with extreme errors from which on a model no longer fits
EXTREME = 0.005  # share of the calibration errors that are extreme
MAX_MISSED = 0.05  # share of the injected anomalies that a candidate may miss while the current model finds them
TRIMMED = 0.1  # share of the points, the worst accounted for, that a loss leaves out: anomalies lie among them
INJECTED_LOSSES = 10.0  # height of an injected anomaly, in losses of the better model
INJECTED_PER_WINDOW = 2  # anomalies of a kind


@dataclass(frozen=True, slots=True)
class ScorerSpec:
    """Name and plain parameters of a scorer, from which any process can build it.

    >>> ScorerSpec("windowed_gaussian", {"window": 100}).create().info()
    {'window': 100}
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def create(self) -> Scorer:
        """The scorer, untrained."""
        return SeasonalScorer() if self == BASELINE_SPEC else SCORERS[self.name](**self.params)


MODEL, BASELINE = "model", "baseline"  # kinds of scorer
BASELINE_SPEC = ScorerSpec("seasonal")  # detects until a model is trained


@dataclass(frozen=True, slots=True)
class SavedScorer:
    """A trained scorer as plain data."""

    spec: ScorerSpec
    state: State
    artifacts: Mapping[str, bytes]
    calibration_errors: Array  # (E,) on normal points; its threshold starts from them

    def load(self) -> Scorer:
        """A scorer that stands where the saved one stood.

        Raises:
            ModelFileError: damaged, or of another scorer.
        """
        scorer = self.spec.create()
        scorer.load(self.state, self.artifacts)
        return scorer


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What a candidate is trained on, and what it has to beat."""

    current: SavedScorer
    candidate: ScorerSpec
    training: Array  # (N, F) oldest first; rows of NaN stand for points that are excluded from training
    holdout: Array  # (M, F) the points after that, free of NaN
    clean: Bools  # (M,) which of those count
    window: int  # points
    day: int = 0  # points; see ``Scorer.day``
    is_anew: bool = False  # it does not go on from the current one, which is a baseline or looks back on less
    only_if_unfit: bool = False  # a current model that still fits is not replaced, however near the candidate comes

    @property
    def can_refit(self) -> bool:
        """Whether the candidate starts from the current model."""
        return not self.is_anew and self.current.spec == self.candidate and isinstance(self.candidate.create(), Refittable)

    def create(self) -> Scorer:
        """The candidate, untrained."""
        scorer = self.candidate.create()
        scorer.day = self.day
        return scorer


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What became of a job."""

    rejection: str  # why the candidate is dropped; empty where it is better
    figures: dict[str, float] = field(default_factory=dict)  # what the backtest measured
    scorer: SavedScorer | None = None  # the candidate at the end of its training part; None where there is none
    is_needless: bool = False  # the current model still fits


def retrain(job: TrainingJob, progress: Progress | None = None) -> TrainingResult:
    """Train candidates and backtest them; the best one is the result.

    A model that can be refitted has two: one whose network is trained further, and one that only learns scale, evidence and normal windows
    anew. The latter is better where the stream looks as before but for its size or its noise, and there is little to train on yet.
    """
    results = [_train(job, progress, retrain_network=True)]
    if job.can_refit:
        results.append(_train(job, progress, retrain_network=False))
    accepted = [result for result in results if not result.rejection]
    tried = [result for result in results if result.figures]
    # of candidates that are all rejected, the one that came closest tells why
    return min(accepted or tried or results, key=lambda result: result.figures.get("candidate_loss", np.inf))


def _train(job: TrainingJob, progress: Progress | None, *, retrain_network: bool) -> TrainingResult:
    """Train and backtest one candidate; one that cannot be trained is rejected."""
    try:
        candidate = job.create()
        if job.can_refit:
            assert isinstance(candidate, Refittable)
            candidate.load(job.current.state, job.current.artifacts)
            candidate.refit(job.training, progress, freeze_network=not retrain_network)
        else:
            candidate.fit(job.training[~np.isnan(job.training).any(axis=1)], progress)
        if job.is_anew and job.current.spec != BASELINE_SPEC and candidate.window <= job.window:
            return TrainingResult("no season is found that the present model has no room for")
        errors, known = candidate.calibration_errors, job.current.calibration_errors
        # the tail of the training part's own errors says little: that of the current model stands for it
        errors = rescale(known, errors) if len(known) and len(errors) else errors
        saved = SavedScorer(job.candidate, candidate.state(), candidate.artifacts(), errors)
        backtest = compare(_before_holdout(job), saved, job.holdout, job.clean, job.window)
        rejection = backtest.rejection_of_new if job.is_anew else backtest.rejection
        is_needless = job.only_if_unfit and backtest.current_fits
        if is_needless:
            rejection = (
                f"the present model still fits: {backtest.alarms:.1%} of the held-back points look abnormal to it, "
                f"and it finds {backtest.recall:.0%} of injected anomalies"
            )
        if job.is_anew and not rejection:
            saved = _trained_on_all(job, progress)
    except (TrainingError, ModelFileError) as error:  # the stream goes on with the current model
        return TrainingResult(str(error))
    return TrainingResult(rejection, {**asdict(backtest), "retrained": float(retrain_network)}, saved, is_needless)


def _trained_on_all(job: TrainingJob, progress: Progress | None) -> SavedScorer:
    """A model that begins anew: what it would be without adaptation."""
    scorer = job.create().fit(np.concatenate([job.training, job.holdout]), progress)
    return SavedScorer(job.candidate, scorer.state(), scorer.artifacts(), scorer.calibration_errors)


def _before_holdout(job: TrainingJob) -> SavedScorer:
    """The current scorer before the held-back points, as far as these have changed it.

    The baseline is what the stream has made of it, so it processes the training part anew. A model has only remembered them.
    """
    if job.current.spec != BASELINE_SPEC:
        return job.current
    scorer = job.current.load()
    scorer.reset()
    scorer.process(job.training)
    return SavedScorer(BASELINE_SPEC, scorer.state(), {}, job.current.calibration_errors)


# --- backtest ---


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """The current scorer and the candidate on a stretch of the stream that neither was trained on."""

    loss: float  # typical distance of a point from the prediction, in the data's unit (of several columns in their deviations)
    candidate_loss: float
    alarms: float  # share of the points with errors as only ``EXTREME`` of the calibration errors
    candidate_alarms: float
    recall: float  # share of the injected anomalies with an error above nearly all of the stretch without them
    candidate_recall: float

    @property
    def current_fits(self) -> bool:
        """Whether the current scorer neither alarms all the time nor misses what the candidate finds."""
        return self.alarms < ALARMING and self.recall >= self.candidate_recall - MAX_MISSED

    @property
    def rejection(self) -> str:
        """Why the candidate is not better; empty where it is."""
        is_calmer = self.alarms >= ALARMING and self.candidate_alarms <= self.alarms / 2
        tolerance = max(MIN_GAIN, LOSS_PER_ALARMS * self.alarms) if is_calmer else -MIN_GAIN
        if not self.candidate_loss <= (1.0 + tolerance) * self.loss:
            return f"its loss on held-back points is {self.candidate_loss:.4g}, the present model's {self.loss:.4g}"
        if not self.candidate_recall >= self.recall - MAX_MISSED:
            return f"it finds {self.candidate_recall:.0%} of injected anomalies, the present model {self.recall:.0%}"
        return ""

    @property
    def rejection_of_new(self) -> str:
        """The same for a model that begins anew, by what both find and flag: what looks back on less may be nearer and see less."""
        if not self.candidate_recall >= self.recall:
            return f"it finds {self.candidate_recall:.0%} of injected anomalies, the present detector {self.recall:.0%}"
        if self.candidate_alarms > 2.0 * max(self.alarms, ALARMING):
            return f"{self.candidate_alarms:.1%} of the held-back points look abnormal to it, {self.alarms:.1%} to the present detector"
        return ""


def compare(current: SavedScorer, candidate: SavedScorer, values: Array, clean: Bools, window: int) -> BacktestResult:
    """Backtest both scorers, as they stood before NaN-free values (N, F), of which the ``clean`` (N,) ones count."""
    scale = std_of(values[clean])  # (F,)
    rows = clean_rows(clean, window)
    rows = rows[rows >= min(window, len(values) // 3)]  # before that, a window may reach into another part of the stream
    scored = [(scorer, *scorer.load().process(values)) for scorer in (current, candidate)]
    losses = [trimmed_loss(predictions[rows], values[rows], scale) for _, _, predictions in scored]
    injected = list(_inject(values, INJECTED_LOSSES * min(losses) * scale, window, rows))
    recalls = [_recall(scorer, errors[rows], injected) for scorer, errors, _ in scored]
    alarms = [_extreme_share(errors[rows], scorer.calibration_errors) for scorer, errors, _ in scored]
    unit = unit_of(scale)
    return BacktestResult(losses[0] * unit, losses[1] * unit, *alarms, *recalls)


def std_of(values: Array) -> Array:
    """Standard deviations (F,) of values (N, F), above 0."""
    std: Array = np.maximum(values.std(axis=0), np.finfo(float).tiny)
    return std


def unit_of(scale: Array) -> float:
    """What a loss in units of scale (F,) is multiplied by: of one column into the data's unit, of several it stays."""
    return float(scale[0]) if len(scale) == 1 else 1.0


def trimmed_loss(predictions: Array, values: Array, scale: Array) -> float:
    """Mean distance of predictions (N, F) from values (N, F) in units (F,), without the largest ``TRIMMED`` share; NaN for none."""
    distances = (np.abs(predictions - values) / scale).mean(axis=1)
    known = np.sort(distances[~np.isnan(distances)])
    kept = known[: max(1, round((1.0 - TRIMMED) * len(known)))]
    return float(kept.mean()) if len(kept) else float("nan")


def _extreme_share(errors: Array, calibration_errors: Array) -> float:
    """Share of errors (N,) beyond all but ``EXTREME`` of the calibration errors (E,); NaN where unknown."""
    known = errors[~np.isnan(errors)]
    if not len(known) or not len(calibration_errors):
        return float("nan")
    return float((known > np.quantile(calibration_errors, 1.0 - EXTREME)).mean())


def _inject(values: Array, height: Array, window: int, rows: Integers) -> Iterator[tuple[Array, list[slice]]]:
    """Copies of values (N, F), each with anomalies of one kind and ``height`` (F,), and where these are."""
    half = max(1, window // 2)
    starts = rows[:: max(1, window // INJECTED_PER_WINDOW)]
    for kind, length in (("spike", 1), ("dip", 1), ("plateau", half), ("flat", half)):
        changed = values.copy()
        places: list[slice] = []
        for start in starts[starts + length <= len(values)].tolist():
            if places and start < places[-1].stop + half:
                continue
            place = slice(start, start + length)
            changed[place] = values[start] if kind == "flat" else values[place] + (-height if kind == "dip" else height)
            places.append(place)
        yield changed, places


def _recall(scorer: SavedScorer, clean_errors: Array, injected: list[tuple[Array, list[slice]]]) -> float:
    """Share of injected anomalies whose highest error lies above nearly all of the errors (M,) without them; NaN where unknown."""
    known = clean_errors[~np.isnan(clean_errors)]
    if not len(known):
        return float("nan")
    limit = float(np.quantile(known, 1.0 - TRIMMED / 5))
    scored = [(scorer.load().process(changed)[0], places) for changed, places in injected]
    found = [bool((errors[place] > limit).any()) for errors, places in scored for place in places]
    return float(np.mean(found)) if found else float("nan")
