"""The NAB score: against the official scorer's published figures, a plain twin, and its own laws."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.benchmark.datasets import nab_files
from autoencoder.benchmark.nab import PROFILES, FileCounts, FileResult, nab_counts, nab_scores, probation_points
from autoencoder.benchmark.nab_run import read_results
from autoencoder.core.errors import InputError
from benchmark.folders import BENCHMARKS, needs_nab, property_test

START = np.datetime64("2014-04-01T00:00:00", "ns")
STEP = np.timedelta64(5, "m")


def file_result(scores: np.ndarray, spans: list[tuple[int, int]]) -> FileResult:
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
        spans = list(zip(cuts[0::2], cuts[1::2], strict=False))
        scores = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 12, points) / 11
        results[f"category/{number}.csv"] = file_result(scores, spans)
    return results


def naive_score(results: dict[str, FileResult], profile: str, threshold: float) -> float:
    """The definition point by point, without any array operation."""
    weights = PROFILES[profile]
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
                raw += weights.false_positive * (2 / (1 + math.exp(5 * position)) - 1 if position < 3 else -1.0)
            else:
                raw -= weights.false_positive
        raw += weights.true_positive * sum(found.values()) - weights.false_negative * (len(spans) - len(found))
    silence = -weights.false_negative * windows
    return 100 * (raw - silence) / (weights.true_positive * windows - silence)


def score_of(rows: list[int], spans: list[tuple[int, int]], points: int = 200, profile: str = "standard") -> float:
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


def test_unknown_score_counts_as_zero() -> None:
    scores = alarms([60], 100)
    unknown = np.where(scores == 0, np.nan, scores)
    assert nab_scores({"a": file_result(unknown, [(50, 70)])}) == nab_scores({"a": file_result(scores, [(50, 70)])})


def test_silence_scores_0_and_beats_false_alarms() -> None:
    assert score_of([30], [(50, 60)], 100) == pytest.approx(-100 * 0.11 / 2)
    flat = nab_scores({"a": file_result(np.zeros(1000), [(995, 1000)])})["standard"]
    assert flat.score == 0.0
    assert math.isinf(flat.threshold)


@pytest.mark.parametrize("profile", ["standard", "reward_low_FN_rate"])
def test_missed_window_is_half_the_score(profile: str) -> None:
    assert score_of([50], [(50, 60), (150, 160)], profile=profile) == pytest.approx(50)


def test_early_alarms_earn_more_and_late_ones_cost_more() -> None:
    score = {row: score_of([row], [(100, 120)]) for row in (50, 100, 110, 119, 120, 130, 199)}
    assert score[100] == pytest.approx(100)
    assert score[100] > score[110] > score[119] > 0 > score[120] > score[130] > score[199]
    assert score[199] == pytest.approx(score[50]) == pytest.approx(-100 * 0.11 / 2)


def test_counts_of_windows_and_false_alarms() -> None:
    scores = 0.9 * alarms([10, 55, 56, 80, 81, 82], 200)  # row 10 lies in probation
    counts = nab_counts({"a": file_result(scores, [(50, 60), (150, 160)]), "b": file_result(np.zeros(50), [])}, 0.9)
    assert counts == {"a": FileCounts(1, 1, 3), "b": FileCounts(0, 0, 0)}


def test_probation_is_15_percent_and_at_most_750() -> None:
    assert [probation_points(points) for points in (0, 1, 100, 4999, 5000, 20000)] == [0, 0, 15, 749, 750, 750]
    assert score_of(list(range(15)), [(50, 60)], 100) == pytest.approx(0)  # neither right nor wrong
    scores = nab_scores({"a": file_result(alarms([50], 100), [(5, 12), (50, 60)])})  # a window that it hides is not asked for
    assert scores["standard"].score == pytest.approx(100)


def test_window_of_one_point() -> None:
    assert score_of([50, 51], [(50, 51)], 100) == pytest.approx(100 - 100 * 0.11 / 2)


def test_no_windows_no_score() -> None:
    for score in nab_scores({"a": file_result(np.ones(100), [])}).values():
        assert math.isnan(score.score)


def test_window_ends_between_two_points() -> None:
    exact = file_result(alarms([50], 100), [(50, 60)])
    half = np.timedelta64(150, "s")
    first, last = exact.windows[0]
    loose = FileResult(exact.timestamps, exact.anomaly_scores, [(first - half, last + half)])
    assert nab_scores({"a": loose}) == nab_scores({"a": exact})


def test_where_time_jumps_back_rows_count() -> None:
    result = file_result(alarms([70], 100), [(60, 70)])
    result.timestamps[80:90] = result.timestamps[60:70]  # the clock was set back
    assert nab_counts({"a": result}, 1.0)["a"] == FileCounts(0, 1, 1)


def test_window_without_points() -> None:
    result = file_result(np.zeros(100), [])
    window = (np.datetime64("2020-01-01", "ns"), np.datetime64("2020-01-02", "ns"))
    with pytest.raises(InputError, match=r"art/x\.csv: the window from 2020-01-01.* holds no point"):
        nab_scores({"art/x.csv": FileResult(result.timestamps, result.anomaly_scores, [window])})
