"""Trial: which of two models accounts better for a stretch of the stream that neither was trained on, and which finds more in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.adaptation.calibration import calm_rows
from autoencoder.scorers.base import Array, Scorer

GAIN = 0.02  # share of the present model's loss by which a candidate's must be smaller, or may be larger where it alarms less
LOUD = 0.1  # the latter, where the present model alarms about everything: losses of few points say little beside that
ALARMS = 0.02  # share of points with errors beyond those of the training part from which on a model is out of tune
RARE = 0.005  # share of the training part's errors that are beyond, too
LOST = 0.05  # share of the injected anomalies that a candidate may miss while the present model finds them
TRIMMED = 0.1  # share of the points, the worst accounted for, that say nothing of a model: anomalies lie among them
SIZE = 10.0  # height of an injected anomaly, in typical misses of the better model
STEP = 2  # anomalies of a kind in a window

Copy = Callable[[], Scorer]  # a scorer as it stood at the end of its training part
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trial:
    """How both did.

    Attributes:
        loss: typical distance of a point from the prediction, in the data's unit (of several columns in their deviations).
        candidate_loss: the same of the candidate.
        alarms: share of the points with errors as only ``RARE`` of the training part had.
        candidate_alarms: the same of the candidate.
        recall: share of the injected anomalies with an error above all those of the stretch without them.
        candidate_recall: the same of the candidate.
    """

    loss: float
    candidate_loss: float
    alarms: float
    candidate_alarms: float
    recall: float
    candidate_recall: float

    @property
    def fault(self) -> str:
        """Why the candidate is not better; empty where it is."""
        calmer = self.alarms >= ALARMS and self.candidate_alarms <= self.alarms / 2
        gain = max(GAIN, LOUD * self.alarms) if calmer else -GAIN
        if not self.candidate_loss <= (1.0 + gain) * self.loss:
            return f"its loss on held-back points is {self.candidate_loss:.4g}, the present model's {self.loss:.4g}"
        if not self.candidate_recall >= self.recall - LOST:
            return f"it finds {self.candidate_recall:.0%} of injected anomalies, the present model {self.recall:.0%}"
        return ""

    def report(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


def compare(present: Copy, candidate: Copy, usual: tuple[Array, Array], values: Array, normal: Bools, span: int) -> Trial:
    """Let both models judge a stretch.

    Args:
        present: the model that judges now.
        candidate: the one that would take its place.
        usual: errors of normal points that each of them is known by.
        values: (N, F) of the stretch, free of NaN.
        normal: (N,) which of them count.
        span: points of a window.
    """
    scale = np.maximum(values[normal].std(axis=0), np.finfo(float).tiny)  # (F,)
    rows = calm_rows(normal, span)
    rows = rows[rows >= min(span, len(values) // 3)]  # before that, a window may reach into another part of the stream
    judged = [_judge(copy, values) for copy in (present, candidate)]
    misses = [loss_of(predictions[rows], values[rows], scale) for _, predictions in judged]
    injected = _inject(values, SIZE * min(misses) * scale, span, rows)
    recalls = [_recall(copy, errors[rows], injected) for copy, (errors, _) in zip((present, candidate), judged, strict=True)]
    alarms = [_beyond(errors[rows], known) for (errors, _), known in zip(judged, usual, strict=True)]
    unit = float(scale[0]) if values.shape[1] == 1 else 1.0
    return Trial(misses[0] * unit, misses[1] * unit, *alarms, *recalls)


def _beyond(errors: Array, usual: Array) -> float:
    known = errors[~np.isnan(errors)]
    return float((known > np.quantile(usual, 1.0 - RARE)).mean()) if len(known) and len(usual) else float("nan")


def loss_of(predictions: Array, values: Array, scale: Array) -> float:
    """Mean distance of predictions (N, F) from values (N, F) in units (F,), without the largest ``TRIMMED`` share; NaN for none."""
    distances = (np.abs(predictions - values) / scale).mean(axis=1)
    known = np.sort(distances[~np.isnan(distances)])
    kept = known[: max(1, round((1.0 - TRIMMED) * len(known)))]
    return float(kept.mean()) if len(kept) else float("nan")


def _judge(copy: Copy, values: Array) -> tuple[Array, Array]:
    return copy().process(values)


def _inject(values: Array, size: Array, span: int, rows: npt.NDArray[np.int64]) -> list[tuple[Array, list[slice]]]:
    """Copies of values (N, F), each with anomalies of one kind that are ``size`` (F,) high, and where those are."""
    half = max(1, span // 2)
    places = rows[:: max(1, span // STEP)]
    copies = []
    for kind, length in (("spike", 1), ("dip", 1), ("plateau", half), ("flat", half)):
        changed = values.copy()
        spans: list[slice] = []
        for place in places[places + length <= len(values)].tolist():
            if spans and place < spans[-1].stop + half:
                continue
            here = slice(place, place + length)
            changed[here] = values[place] if kind == "flat" else values[here] + (-size if kind == "dip" else size)
            spans.append(here)
        copies.append((changed, spans))
    return copies


def _recall(copy: Copy, calm: Array, injected: list[tuple[Array, list[slice]]]) -> float:
    """Share of injected anomalies whose highest error lies above nearly all of the ``calm`` errors (M,)."""
    known = calm[~np.isnan(calm)]
    if not len(known):
        return float("nan")
    limit = float(np.quantile(known, 1.0 - TRIMMED / 5))
    found = [
        bool((errors[place] > limit).any())
        for changed, places in injected
        for errors in [_judge(copy, changed)[0]]
        for place in places
    ]
    return float(np.mean(found)) if found else float("nan")
