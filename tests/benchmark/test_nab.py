"""The NAB score: against the official scorer's published figures, a plain twin, and its own laws."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.benchmark.nab import nab_files, read_results
from autoencoder.benchmark.nab_score import PROFILES, FileCounts, FileResult, nab_counts, nab_scores, probation_points
from autoencoder.core.errors import InputError
from benchmark.folders import BENCHMARKS, needs_nab, property_test

START = np.datetime64("2014-04-01T00:00:00", "ns")
STEP = np.timedelta64(5, "m")
Spans = list[tuple[int, int]]


def file_result(scores: np.ndarray, spans: Spans) -> FileResult:
    """A file with a point every five minutes and windows over the rows [start, end)."""
    times = START + STEP * np.arange(len(scores))
    return FileResult(times, np.asarray(scores, dtype=float), [(times[start], times[end - 1]) for start, end in spans])


@st.composite
def corpora(draw: st.DrawFn) -> dict[str, FileResult]:
    """One to three files with up to three windows each, at least one in all, and scores with ties."""
    results = {}
    for number in range(draw(st.integers(1, 3))):
        points = draw(st.integers(60, 120))
        cuts = sorted(draw(st.sets(st.integers(20, points - 1), min_size=2 * (number == 0), max_size=6)))
        scores = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 12, points) / 11
        results[f"category/{number}.csv"] = file_result(scores, list(zip(cuts[0::2], cuts[1::2], strict=False)))
    return results


def naive_score(results: dict[str, FileResult], profile: str, threshold: float) -> float:
    """The definition point by point, without any array operation."""
    false_alarm, miss = PROFILES[profile]
    raw, windows = 0.0, 0
    for result in results.values():
        times = list(result.timestamps)
        spans = [(times.index(first), times.index(last)) for first, last in result.windows]
        windows += len(spans)
        found: dict[tuple[int, int], float] = {}
        for row in range(min(int(0.15 * len(times)), 750), len(times)):
            if not result.anomaly_scores[row] >= threshold:
                continue
            here = [span for span in spans if span[0] <= row <= span[1]]
            before = [span for span in spans if span[1] < row]
            if here:
                first, last = here[0]
                position = -(last - row + 1) / (last - first + 1)
                worth = (2 / (1 + math.exp(5 * position)) - 1) / (2 / (1 + math.exp(-5)) - 1)
                found[here[0]] = max(found.get(here[0], 0.0), worth)
            elif before and before[-1][1] > before[-1][0]:
                first, last = before[-1]
                position = (row - last) / (last - first)
                raw += false_alarm * (2 / (1 + math.exp(5 * position)) - 1 if position < 3 else -1.0)
            else:
                raw -= false_alarm
        raw += sum(found.values()) - miss * (len(spans) - len(found))
    return 100 * (raw + miss * windows) / (windows + miss * windows)


def score_of(rows: list[int], spans: Spans, points: int = 100, profile: str = "standard") -> float:
    """The score of a file with alarms at these rows; a perfect file beside it makes sure that silence scores less."""
    results = {"file": file_result(alarms(rows, points), spans), "perfect": file_result(alarms([50], 100), [(50, 60)])}
    return (nab_scores(results)[profile].score * (len(spans) + 1) - 100) / len(spans)


def alarms(rows: list[int], points: int) -> np.ndarray:
    scores = np.zeros(points)
    scores[rows] = 1.0
    return scores


@needs_nab
@pytest.mark.parametrize("detector", ["windowedGaussian", "numenta"])
def test_published_detectors_get_official_scores(detector: str) -> None:
    official = json.loads((BENCHMARKS / "nab/golden/scores.json").read_text())[detector]
    files = nab_files(BENCHMARKS / "nab")
    results = read_results(BENCHMARKS / "nab/golden", detector, files)
    scores = nab_scores(results)
    assert {profile: round(score.score, 2) for profile, score in scores.items()} == official
    counts = nab_counts(results, scores["standard"].threshold)
    assert all(counts[file.name].found + counts[file.name].missed == len(file.windows) for file in files)


@property_test
@given(corpora(), st.sampled_from(sorted(PROFILES)))
def test_sweep_finds_what_every_threshold_finds(results: dict[str, FileResult], profile: str) -> None:
    thresholds = {math.inf} | {float(score) for result in results.values() for score in result.anomaly_scores}
    score = nab_scores(results)[profile]
    assert score.score == pytest.approx(max(naive_score(results, profile, threshold) for threshold in thresholds), abs=1e-9)
    assert score.score == pytest.approx(naive_score(results, profile, score.threshold), abs=1e-9)


@property_test
@given(corpora(), st.floats(-0.1, 1.1))
def test_counts_equal_their_naive_twin(results: dict[str, FileResult], threshold: float) -> None:
    for name, result in results.items():
        rows = range(probation_points(len(result.timestamps)), len(result.timestamps))
        flagged = [result.timestamps[row] for row in rows if result.anomaly_scores[row] >= threshold]
        found = sum(any(first <= time <= last for time in flagged) for first, last in result.windows)
        false = sum(not any(first <= time <= last for first, last in result.windows) for time in flagged)
        assert nab_counts(results, threshold)[name] == FileCounts(found, len(result.windows) - found, false)


FALSE_ALARM = -100 * 0.11 / 2
EARLY: Spans = [(50, 60)]
SCORES = {  # alarms, windows, score
    "a false alarm": ([30], EARLY, FALSE_ALARM),
    "one long after a window": ([99], EARLY, FALSE_ALARM),
    "a window found at its first point": ([50], EARLY, 100),
    "a window of one point, and an alarm right behind it": ([50, 51], [(50, 51)], 100 + FALSE_ALARM),
    "probation, which is neither right nor wrong": (list(range(15)), EARLY, 0),
    "one of two windows, which is half the score": ([50], [(50, 60), (80, 90)], 50),
}


@pytest.mark.parametrize("case", SCORES)
def test_score_of_known_alarms(case: str) -> None:
    rows, spans, score = SCORES[case]
    assert score_of(rows, spans) == pytest.approx(score)


def test_silence_scores_0_and_may_be_best() -> None:
    flat = nab_scores({"a": file_result(np.zeros(1000), [(995, 1000)])})["standard"]
    assert flat.score == 0.0
    assert math.isinf(flat.threshold)
    for score in nab_scores({"a": file_result(np.ones(100), [])}).values():
        assert math.isnan(score.score)  # without a window there is no score


def test_probation_is_15_percent_and_at_most_750() -> None:
    assert [probation_points(points) for points in (0, 1, 100, 4999, 5000, 20000)] == [0, 0, 15, 749, 750, 750]
    scores = nab_scores({"a": file_result(alarms([50], 100), [(5, 12), (50, 60)])})  # a window that it hides is not asked for
    assert scores["standard"].score == pytest.approx(100)


def test_equal_results_score_alike() -> None:
    exact = file_result(alarms([50], 100), EARLY)
    unknown = exact._replace(anomaly_scores=np.where(exact.anomaly_scores == 0, np.nan, exact.anomaly_scores))
    half, (first, last) = np.timedelta64(150, "s"), exact.windows[0]
    loose = exact._replace(windows=[(first - half, last + half)])  # ends between two points
    assert nab_scores({"a": exact}) == nab_scores({"a": unknown}) == nab_scores({"a": loose})


def test_where_time_jumps_back_rows_count() -> None:
    result = file_result(alarms([70], 100), [(60, 70)])
    result.timestamps[80:90] = result.timestamps[60:70]  # the clock was set back
    assert nab_counts({"a": result}, 1.0)["a"] == FileCounts(0, 1, 1)


def test_window_without_points() -> None:
    window = (np.datetime64("2020-01-01", "ns"), np.datetime64("2020-01-02", "ns"))
    with pytest.raises(InputError, match=r"art/x\.csv: the window from 2020-01-01.* holds no point"):
        nab_scores({"art/x.csv": file_result(np.zeros(100), [])._replace(windows=[window])})
