"""The NAB score: against the official scorer's published figures, a plain twin, and its own laws."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.benchmark.corpora import nab_files, read_nab_results
from autoencoder.benchmark.nab import PROFILES, FileResult, nab_counts, nab_score_at, nab_scores, probation_points
from data.chunk import InputError

BENCHMARKS = Path(os.environ.get("BENCHMARKS", Path(__file__).resolve().parents[1] / "../shared/benchmarks"))
needs_nab = pytest.mark.skipif(not (BENCHMARKS / "nab").is_dir(), reason=f"no benchmark data at {BENCHMARKS / 'nab'}")
property_test = settings(deadline=None, max_examples=40, derandomize=True)

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


@needs_nab
@pytest.mark.parametrize("detector", ["windowedGaussian", "numenta"])
def test_published_detectors_get_the_official_scores(detector: str) -> None:
    official = json.loads((BENCHMARKS / "nab/golden/scores.json").read_text())[detector]
    results = read_nab_results(BENCHMARKS / "nab/golden", detector, nab_files(BENCHMARKS / "nab"))
    scores = nab_scores(results)
    assert {profile: round(score.score, 2) for profile, score in scores.items()} == official
    for profile, score in scores.items():
        assert nab_score_at(results, profile, score.threshold) == pytest.approx(score.score, abs=1e-9)


@needs_nab
def test_counts_of_a_published_detector_cover_every_window() -> None:
    files = nab_files(BENCHMARKS / "nab")
    results = read_nab_results(BENCHMARKS / "nab/golden", "numenta", files)
    counts = nab_counts(results, nab_scores(results)["standard"].threshold)
    assert sum(count.true_positives + count.false_negatives for count in counts.values()) == sum(
        len(file.windows) for file in files
    )
    assert all(counts[file.name].true_positives <= len(file.windows) for file in files)


@property_test
@given(corpora(), st.sampled_from(sorted(PROFILES)))
def test_the_sweep_finds_what_trying_every_threshold_finds(results: dict[str, FileResult], profile: str) -> None:
    thresholds = {math.inf} | {float(score) for result in results.values() for score in result.anomaly_scores}
    score = nab_scores(results)[profile]
    assert score.score == pytest.approx(max(naive_score(results, profile, threshold) for threshold in thresholds), abs=1e-9)
    assert score.score == pytest.approx(naive_score(results, profile, score.threshold), abs=1e-9)


@property_test
@given(corpora(), st.sampled_from(sorted(PROFILES)), st.floats(-0.1, 1.1))
def test_a_fixed_threshold_scores_as_the_definition_says(results: dict[str, FileResult], profile: str, threshold: float) -> None:
    assert nab_score_at(results, profile, threshold) == pytest.approx(naive_score(results, profile, threshold), abs=1e-9)


@property_test
@given(corpora(), st.integers(-3, 3))
def test_a_rising_transformation_of_the_scores_changes_nothing(results: dict[str, FileResult], shift: int) -> None:
    changed = {
        name: FileResult(result.timestamps, np.exp(3 * result.anomaly_scores + shift), result.windows)
        for name, result in results.items()
    }
    assert {profile: score.score for profile, score in nab_scores(changed).items()} == pytest.approx(
        {profile: score.score for profile, score in nab_scores(results).items()}
    )


@property_test
@given(corpora(), st.randoms(use_true_random=False))
def test_the_order_of_files_changes_nothing(results: dict[str, FileResult], random: Random) -> None:
    names = list(results)
    random.shuffle(names)
    shuffled = nab_scores({name: results[name] for name in names})
    for profile, score in nab_scores(results).items():
        assert shuffled[profile].score == pytest.approx(score.score)


@property_test
@given(corpora())
def test_alarms_at_the_first_point_of_every_window_score_100(results: dict[str, FileResult]) -> None:
    perfect = {
        name: FileResult(
            result.timestamps, np.isin(result.timestamps, [first for first, _ in result.windows]).astype(float), result.windows
        )
        for name, result in results.items()
    }
    for score in nab_scores(perfect).values():
        assert score.score == pytest.approx(100)
        assert score.threshold == 1


@property_test
@given(corpora(), st.sampled_from([0.0, 0.5, 1.0, math.nan]))
def test_constant_scores_can_only_flag_all_or_nothing(results: dict[str, FileResult], constant: float) -> None:
    same = {
        name: FileResult(result.timestamps, np.full(len(result.timestamps), constant), result.windows)
        for name, result in results.items()
    }
    level = {
        name: FileResult(result.timestamps, np.zeros(len(result.timestamps)), result.windows) for name, result in same.items()
    }
    for profile, score in nab_scores(same).items():
        assert score.score == pytest.approx(max(0.0, naive_score(level, profile, 0.0)), abs=1e-9)


def test_an_unknown_score_counts_as_zero() -> None:
    scores = np.zeros(100)
    scores[60] = 1.0
    unknown = np.where(scores == 0, np.nan, scores)
    assert nab_scores({"a": file_result(unknown, [(50, 70)])}) == nab_scores({"a": file_result(scores, [(50, 70)])})


def test_a_detector_that_never_speaks_scores_0_and_one_that_only_cries_wolf_is_best_silent() -> None:
    scores = np.zeros(100)
    scores[30] = 1.0
    result = {"a": file_result(scores, [(50, 60)])}
    assert nab_score_at(result, "standard", 2.0) == 0.0
    assert nab_score_at(result, "standard", 1.0) == pytest.approx(-100 * 0.11 / 2)
    flat = {"a": file_result(np.zeros(1000), [(995, 1000)])}
    assert nab_scores(flat)["standard"].score == 0.0
    assert math.isinf(nab_scores(flat)["standard"].threshold)


def test_a_missed_window_costs_twice_where_misses_are_to_be_few() -> None:
    scores = np.zeros(200)
    scores[50] = 1.0
    result = {"a": file_result(scores, [(50, 60), (150, 160)])}
    assert nab_score_at(result, "standard", 1.0) == pytest.approx(50)
    assert nab_score_at(result, "reward_low_FN_rate", 1.0) == pytest.approx(50)
    assert nab_counts(result, 1.0, "standard")["a"].raw == pytest.approx(0)
    assert nab_counts(result, 1.0, "reward_low_FN_rate")["a"].raw == pytest.approx(-1)


def test_early_alarms_in_a_window_earn_more_and_late_false_alarms_cost_more() -> None:
    def score(row: int) -> float:
        scores = np.zeros(200)
        scores[row] = 1.0
        return nab_score_at({"a": file_result(scores, [(100, 120)])}, "standard", 1.0)

    assert score(100) == pytest.approx(100)
    assert score(100) > score(110) > score(119) > 0 > score(120) > score(130) > score(199)
    assert score(199) == score(50) == pytest.approx(-100 * 0.11 / 2)


def test_counts_name_found_and_missed_windows_and_false_alarms() -> None:
    scores = np.zeros(200)
    scores[[10, 55, 56, 80, 81, 82]] = 0.9  # row 10 lies in probation
    counts = nab_counts({"a": file_result(scores, [(50, 60), (150, 160)]), "b": file_result(np.zeros(50), [])}, 0.9)
    assert (counts["a"].true_positives, counts["a"].false_negatives, counts["a"].false_positives) == (1, 1, 3)
    assert (counts["b"].true_positives, counts["b"].false_negatives, counts["b"].false_positives, counts["b"].raw) == (0, 0, 0, 0)


def test_probation_is_15_percent_of_a_file_and_at_most_750_points() -> None:
    assert [probation_points(points) for points in (0, 1, 100, 4999, 5000, 20000)] == [0, 0, 15, 749, 750, 750]


def test_alarms_during_probation_are_neither_right_nor_wrong() -> None:
    scores = np.zeros(100)
    scores[:15] = 1.0
    assert nab_score_at({"a": file_result(scores, [(50, 60)])}, "standard", 1.0) == 0.0


def test_a_window_that_probation_hides_is_not_asked_for() -> None:
    scores = np.zeros(100)
    scores[50] = 1.0
    assert nab_scores({"a": file_result(scores, [(5, 12), (50, 60)])})["standard"].score == pytest.approx(100)


def test_a_window_of_one_point_can_be_found_and_leaves_no_mercy_behind_it() -> None:
    scores = np.zeros(100)
    scores[[50, 51]] = 1.0
    assert nab_score_at({"a": file_result(scores, [(50, 51)])}, "standard", 1.0) == pytest.approx(100 - 100 * 0.11 / 2)


def test_a_corpus_without_windows_has_no_score() -> None:
    for score in nab_scores({"a": file_result(np.ones(100), [])}).values():
        assert math.isnan(score.score)
    assert all(math.isnan(score.score) for score in nab_scores({}).values())


def test_window_ends_between_two_points_take_in_the_points_within() -> None:
    scores = np.zeros(100)
    scores[50] = 1.0
    exact = file_result(scores, [(50, 60)])
    half = np.timedelta64(150, "s")
    first, last = exact.windows[0]
    loose = FileResult(exact.timestamps, exact.anomaly_scores, [(first - half, last + half)])
    assert nab_scores({"a": loose}) == nab_scores({"a": exact})


def test_where_time_jumps_back_a_window_is_the_rows_between_its_ends() -> None:
    scores = np.zeros(100)
    scores[70] = 1.0
    result = file_result(scores, [(60, 70)])
    result.timestamps[80:90] = result.timestamps[60:70]  # the clock was set back
    counts = nab_counts({"a": result}, 1.0)["a"]
    assert (counts.true_positives, counts.false_negatives, counts.false_positives) == (0, 1, 1)


def test_a_window_without_points_is_an_error_that_names_file_and_window() -> None:
    result = file_result(np.zeros(100), [])
    window = (np.datetime64("2020-01-01", "ns"), np.datetime64("2020-01-02", "ns"))
    with pytest.raises(InputError, match=r"art/x\.csv: the window from 2020-01-01.* holds no point"):
        nab_scores({"art/x.csv": FileResult(result.timestamps, result.anomaly_scores, [window])})


def test_scores_and_timestamps_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="100 timestamps but 99 scores"):
        FileResult(START + STEP * np.arange(100), np.zeros(99), [])
