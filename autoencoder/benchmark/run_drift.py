"""Does a detector follow a change that stays, and only that? Measured on streams whose changes and anomalies are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.adaptation.detector import AdaptiveDetector
from autoencoder.benchmark.drift_streams import CHANGE, PERIOD, SETTLED, TRAINING, DriftStream, drift_stream
from autoencoder.core.events import CONFIRMED, PROMOTED, ROLLED_BACK, STARTED
from autoencoder.detector import Detector
from autoencoder.reports.console import Console

STREAMS = "streams.jsonl"
ECHO = PERIOD  # points after an anomaly in which a flag may speak of it
LAST = 100  # normal points of which not more than ``NOISY`` may be flagged where alarms have stopped
NOISY = 0.05
PACE = 0.005  # seconds between two points while pauses are measured

Make = Callable[[int], Detector]  # points of the training part -> a detector


@dataclass(frozen=True, slots=True)
class Case:
    """One detector on one stream.

    Attributes:
        detector: its name.
        kind: of the change or event.
        seed: of the stream.
        quiet_after: points from the end of the change, or the beginning of the event, until the alarms stopped; None where they did not.
        false_before: share of normal points flagged before the change.
        false_after: the same after the alarms stopped.
        recall_before: share of the anomalies found before the change.
        recall_after: the same of those that lie after the change and after the alarms stopped.
        promotions: how often another model took over.
        wrong: how many of those were worse on the points that followed.
        first_promotion: points from the same place to the first of them after it began; None without one.
        pause: longest time in seconds that a training in step took; 0 without one.
        budget: share of normal points that may be flagged.
    """

    detector: str
    kind: str
    seed: int
    quiet_after: int | None
    false_before: float
    false_after: float
    recall_before: float
    recall_after: float
    promotions: int
    wrong: int
    first_promotion: int | None
    pause: float
    budget: float


def run_drift(
    detectors: Mapping[str, Make],
    kinds: Sequence[str],
    seeds: int,
    points: Mapping[str, int],
    seed: int,
    folder: Path,
    console: Console,
) -> list[Case]:
    """Score every stream with every detector; what ``folder`` holds already is not done again.

    Args:
        detectors: by name.
        kinds: of change or event.
        seeds: streams of a kind.
        points: of a stream, by kind.
        seed: everything random follows from it.
        folder: of the results.
        console: shows progress.
    """
    path = folder / STREAMS
    cases = [Case(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    done = {(case.detector, case.kind, case.seed) for case in cases}
    wanted = [(name, kind, seed + number) for number in range(seeds) for kind in kinds for name in detectors]
    bar = console.progress("streams")
    for number, (name, kind, stream_seed) in enumerate(wanted):
        bar(number, len(wanted), f"{name}, {kind}")
        if (name, kind, stream_seed) in done:
            continue
        case = judge(name, detectors[name](TRAINING), drift_stream(kind, points[kind], stream_seed), stream_seed)
        cases.append(case)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(case)) + "\n")
    bar.finish()
    return [case for case in cases if (case.detector, case.kind, case.seed) in set(wanted)]


def judge(name: str, detector: Detector, stream: DriftStream, seed: int) -> Case:
    """One detector on one stream."""
    detections = detector.process(np.arange(len(stream.values)), stream.values[:, None])
    flags, normal = detections.anomalies, _normal(stream)
    change = stream.settled if stream.change is None else stream.change
    quiet = _quiet_from(flags, normal, stream.settled)
    stopped = quiet < len(flags) - LAST
    record = detector.adaptations
    promoted = [each.row for each in record if each.event == PROMOTED]
    settled = max(quiet, change + SETTLED) if stopped else change + SETTLED
    return Case(
        detector=name,
        kind=stream.kind,
        seed=seed,
        quiet_after=quiet - stream.settled if stopped else None,
        false_before=_share(flags[TRAINING:change][normal[TRAINING:change]]),
        false_after=_share(flags[settled:][normal[settled:]]),
        recall_before=_recall(flags, stream.events, TRAINING, change),
        recall_after=_recall(flags, stream.events, settled, len(flags)),
        promotions=len(promoted),
        wrong=sum(_was_wrong(each.event, each.details) for each in record),
        first_promotion=next((row - stream.settled for row in promoted if row >= change), None),
        pause=detector.longest_pause if isinstance(detector, AdaptiveDetector) else 0.0,
        budget=detector.share,
    )


def _normal(stream: DriftStream) -> npt.NDArray[np.bool_]:
    normal = ~stream.labels
    for start, end in stream.events:
        normal[start : end + ECHO] = False
    return normal


def _quiet_from(flags: npt.NDArray[np.bool_], normal: npt.NDArray[np.bool_], settled: int) -> int:
    """Row from which on there is quiet: after the last flag in a run of ``LAST`` normal points of which more than ``NOISY`` were flagged.

    Only runs that reach beyond ``settled`` count; without one there is quiet from there on.
    """
    rows = np.flatnonzero(normal)
    flagged = flags[rows]
    sums = np.concatenate([[0], np.cumsum(flagged)])
    ends = np.flatnonzero(sums[LAST:] - sums[:-LAST] > NOISY * LAST) + LAST - 1  # places in ``rows``
    ends = ends[rows[ends] >= settled]
    if not len(ends):
        return settled
    return max(settled, int(rows[np.flatnonzero(flagged[: ends[-1] + 1])[-1]]) + 1)


def _recall(flags: npt.NDArray[np.bool_], events: Iterable[tuple[int, int]], first: int, last: int) -> float:
    found = [bool(flags[start:end].any()) for start, end in events if start >= first and end <= last]
    return float(np.mean(found)) if found else float("nan")


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def _was_wrong(event: str, details: Mapping[str, Any]) -> bool:
    return event == ROLLED_BACK or (event == CONFIRMED and details["loss"] > details["loss_of_the_model_before"])


def measure_pauses(make: Callable[[int], AdaptiveDetector], seed: int, *, longest: float = 180.0) -> dict[str, float]:
    """How long a point takes while a shadow trains in a process of its own, beside how long without: seconds.

    Points come one at a time, ``PACE`` seconds apart.
    """
    stream = drift_stream("changed period", CHANGE + 200_000, seed)
    detector, row = make(TRAINING), CHANGE - 500
    detector.process(np.arange(row), stream.values[:row, None])
    seconds: dict[bool, list[float]] = {False: [], True: []}
    began = perf_counter()
    while not any(each.event == PROMOTED for each in detector.adaptations) and perf_counter() - began < longest:
        training = bool(detector.adaptations) and detector.adaptations[-1].event == STARTED
        at = perf_counter()
        detector.process(np.arange(row, row + 1), stream.values[row : row + 1, None])
        seconds[training].append(perf_counter() - at)
        row += 1
        sleep(PACE)
    detector.stop()
    without, beside = (np.array(seconds[key] or [np.nan]) for key in (False, True))
    return {
        "p99_without": float(np.quantile(without, 0.99)),
        "p99_training": float(np.quantile(beside, 0.99)),
        "longest": float(beside.max()),
        "points_training": len(seconds[True]),
    }
