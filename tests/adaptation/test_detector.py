"""Adapting: only a better model takes over, a worse one is rolled back, and an anomaly that lasts is not learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import Outcome, finish, metrics, rows, start, write_csv
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adaptation.helpers import (
    CHANGE,
    COUNT,
    GAUSSIAN,
    SMALL,
    TRAINING,
    Record,
    assert_same,
    cut,
    detect,
    events,
    make,
    make_lstm,
    record,
    shifted,
    wave,
)
from autoencoder.adaptation.detector import AdaptiveDetector
from autoencoder.adaptation.retraining import BacktestResult, ScorerSpec, TrainingResult
from autoencoder.adaptation.schedule import AdaptationConfig
from autoencoder.adaptation.trainer import SyncTrainer, Trainer
from autoencoder.config import load
from autoencoder.core.errors import ModelFileError
from autoencoder.core.events import CONFIRMED, DECLARED, DROPPED, PROMOTED, ROLLED_BACK, STARTED
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array, Detections, Time
from autoencoder.detector import StreamDetector
from autoencoder.factory.detectors import make_adaptive, make_detector
from autoencoder.scorers.base import Scorer
from autoencoder.sources.synthetic import SyntheticSource
from autoencoder.thresholds import THRESHOLDS
from autoencoder.thresholds.budget import Budget

quick = settings(
    deadline=None, max_examples=3, derandomize=True, phases=(Phase.explicit, Phase.generate)
)  # one stream takes seconds


# --- the law ---


PLACES = st.lists(st.integers(0, COUNT), max_size=15)


@quick
@given(cuts=PLACES, saved=PLACES, seed=st.integers(0, 3))
def test_cutting_and_resuming_change_nothing(cuts: list[int], saved: list[int], seed: int) -> None:
    values, whole = shifted(gaps=True, seed=seed), make()
    expected = detect(whole, values)
    found, done = cut(make, values, cuts, saved)
    assert_same(found, expected)
    assert done == record(whole)
    assert PROMOTED in events(whole)


def gappy(count: int, change: int) -> tuple[Time, Array]:
    """Hours (N,) and a daily season (N, 1) that is lifted from row ``change`` on, with rows and cells missing."""
    values = wave(count, 24) + 30.0 * (np.arange(count) >= change)[:, None]
    values[np.random.default_rng(1).random(count) < 0.02] = np.nan
    kept = np.delete(np.arange(count), np.r_[500:507, 620:650, 900:911, 1400:1590])
    return (np.datetime64("2024-03-04", "ns") + kept * np.timedelta64(1, "h")), values[kept]


@cache
def judged_at_once(early: str) -> tuple[Detections, Record]:
    """What is found in a stream with gaps that is not cut, and what is done."""
    whole = make(f"adaptation.cold_start_points={early}")
    return whole.process(*gappy(2000, 800)), record(whole)


@quick
@given(cuts=st.lists(st.integers(0, 1700), max_size=15), saved=st.lists(st.integers(0, 1700), max_size=5))
def test_cutting_changes_nothing_where_rows_are_missing(cuts: list[int], saved: list[int]) -> None:
    time, values = gappy(2000, 800)
    for early in ("null", "50"):
        expected, expected_record = judged_at_once(early)
        found, done = cut(partial(make, f"adaptation.cold_start_points={early}"), values, cuts, saved, time)
        assert_same(found, expected)
        assert done == expected_record
    assert np.isnan(expected.thresholds[np.isnan(values[:, 0])]).all()


def test_gaps_are_filled_as_without_adaptation() -> None:
    time, values = gappy(2000, 5000)
    config = load(None, {}, [*GAUSSIAN, "windowed_gaussian.window=48"])
    expected = make_detector(config, TRAINING).process(time, values)
    detector = make_adaptive(config, TRAINING)
    assert_same(detector.process(time, values), expected)
    assert not detector.adaptations


def test_the_share_of_each_column_is_kept() -> None:
    values = np.hstack([wave(500, 16, seed) for seed in range(3)])
    values[450, 1] += 20
    shares = detect(make_lstm(), values).contributions
    assert shares.shape == (500, 3)
    assert shares[450].argmax() == 1


@pytest.mark.parametrize(("key", "value"), [("kind", "other"), ("adaptations", "{"), ("watch", "x")])
def test_damaged_state(key: str, value: str) -> None:
    detector = make()
    detect(detector, shifted(800))
    with pytest.raises(ModelFileError):
        make().load({**unpack(pack(detector.state()), "x"), key: value}, {})


def growing_wave(count: int = 1000) -> Array:
    """A season that is four times as high from row 500 on, with gaps."""
    values = 10 + (wave(count, 16) - 10) * np.where(np.arange(count) >= 500, 4.0, 1.0)[:, None]
    values[::97] = np.nan
    return np.asarray(values)


@pytest.mark.slow
def test_cutting_and_resuming_with_autoencoder() -> None:
    for enabled in ("true", "auto"):  # which judges ahead of the blocks
        build = partial(make_lstm, f"adaptation.enabled={enabled}")
        whole, values = build(), growing_wave()
        expected = detect(whole, values)
        assert PROMOTED in events(whole)
        for cuts, saved in (([1, 299, 301, 517, *range(560, 640), 803, 804], []), ([], [450, 575, 700])):
            found, done = cut(build, values, cuts, saved)
            assert_same(found, expected)
            assert done == record(whole)


# --- drift or anomaly ---


def test_lasting_change_is_learnt() -> None:
    detector = make()
    detections = detect(detector, shifted())
    assert events(detector)[:3] == [DECLARED, STARTED, PROMOTED]
    promoted = next(row for row, event in record(detector) if event == PROMOTED)
    assert CHANGE + 5 * 48 <= promoted <= CHANGE + 12 * 48
    assert detections.anomalies[CHANGE:promoted].mean() > 0.1
    assert detections.anomalies[promoted + 1 :].mean() < 0.01


def test_steady_stream_keeps_its_model() -> None:
    detector = make()
    detections = detect(detector, shifted(4000, shift=0.0))
    assert PROMOTED not in events(detector)
    assert detections.anomalies[TRAINING:].mean() < 0.005


def test_short_event_is_not_learnt() -> None:
    values = shifted(shift=0.0)
    values[CHANGE : CHANGE + 150] += 30  # three blocks; a change takes five
    detector = make()
    detect(detector, values)
    assert PROMOTED not in events(detector)


@pytest.mark.parametrize("kind", ["flat line", "plateau"])
def test_autoencoder_learns_no_long_event(kind: str) -> None:
    values, places = wave(1500, 16), [slice(600, 700), slice(1100, 1200)]  # six windows
    for place in places:
        values[place] = values[place.start] if kind == "flat line" else values[place] + 8
    detector = make_lstm("adaptation.confirm_windows=10")
    detections = detect(detector, values)
    assert PROMOTED not in events(detector)
    assert all(detections.anomalies[place.start : place.start + 16].any() for place in places)
    if kind == "flat line":  # a plateau shows only at its ends: windows are centred
        first, second = (np.nanmedian(detections.errors[place]) for place in places)
        assert second > 0.7 * first > np.nanmedian(detections.errors[400:600])


@pytest.mark.parametrize("back", [800, 1500])
def test_stuck_sensor_teaches_nothing(back: int) -> None:
    values = wave(1500, 16)
    values[600:back] = values[600]
    detector = make_lstm("adaptation.confirm_windows=10")
    detections = detect(detector, values)
    while_stuck = [each for each in detector.adaptations if each.row < back]
    reasons = [each.details["why"] for each in while_stuck if each.event == DROPPED]
    assert all("hardly moves" in why for why in reasons)
    assert bool(reasons) == (back - 600 > 50 * 16)  # what is quiet is an outage for five times as long as anything else
    assert PROMOTED not in {each.event for each in while_stuck}
    assert len(while_stuck) < 15  # it is tried again, at longer and longer intervals
    assert detections.anomalies[650:back].all()
    assert detections.anomalies[back + 60 :].sum() < 0.01 * len(values)


def test_schedule_trains_without_drift() -> None:
    detector = make("adaptation.retrain_every=600")
    detect(detector, shifted(shift=0.0))
    assert {each.details["reason"] for each in detector.adaptations if each.event == STARTED} == {"schedule"}


def with_trainer(trainer: Trainer, **config: int) -> AdaptiveDetector:
    """A windowed Gaussian whose candidates a given trainer trains."""

    def build(scorer: Scorer, points: int) -> StreamDetector:
        return StreamDetector(scorer, lambda share: THRESHOLDS["tail"](budget=share), Budget.parse(0.001), points)

    model = ScorerSpec("windowed_gaussian", {"window": 2000})
    return AdaptiveDetector(build, model, trainer, AdaptationConfig(**config, training_points=TRAINING))


def test_training_waits_for_a_free_trainer() -> None:
    trainer = SyncTrainer()
    trainer.is_free = False  # the process of another series runs
    detector, values = with_trainer(trainer, confirm_windows=5, buffer_points=1000), shifted()
    detect(detector, values[:2000])
    assert events(detector) == [DECLARED]
    trainer.is_free = True
    detect(detector, values[2000:], first=2000)
    assert events(detector)[:3] == [DECLARED, STARTED, PROMOTED]


class Late(SyncTrainer):
    """A trainer whose results come four blocks after it began."""

    calls = 0

    def poll(self) -> TrainingResult | None:
        self.calls += self._result is not None
        self.is_free = self.calls in (0, 5)
        return super().poll() if self.calls == 5 else None


def test_first_model_goes_on_with_what_came_while_it_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BacktestResult, "rejection_of_new", "")  # whether it is better is not the point
    time, values = (part[:1100] for part in gappy(2000, 5000))
    detector = with_trainer(Late(), cold_start_points=50)
    detections = detector.process(time, values)
    started, promoted = (next(row for row, event in record(detector) if event == wanted) for wanted in (STARTED, PROMOTED))
    assert promoted > started + 3 * 48
    model, known, rest = (
        ScorerSpec("windowed_gaussian", {"window": 2000}).create(),
        slice(0, started + 1),
        slice(started + 1, None),
    )
    plain = StreamDetector(model, lambda share: THRESHOLDS["tail"](budget=share), Budget.parse(0.001), started + 1)
    plain.process(time[known], values[known])
    expected = plain.process(time[rest], values[rest])
    assert_same(detections[promoted + 1 :], expected[promoted - started :])


# --- rollback ---


class Spoilt(SyncTrainer):
    """A trainer whose candidates look better than they are."""

    def poll(self) -> TrainingResult | None:
        result = super().poll()
        if not result or not result.scorer:
            return result
        state = {**result.scorer.state, "centre": np.array([500.0]), "recent": np.full((40, 1), 5.0)}
        return replace(result, rejection="", scorer=replace(result.scorer, state=state))


def test_worse_model_is_rolled_back() -> None:
    detector = with_trainer(Spoilt(), confirm_windows=5, retrain_every=900, buffer_points=2000)
    detections = detect(detector, shifted(3000, shift=0.0))
    assert [event for event in events(detector) if event in (PROMOTED, ROLLED_BACK, CONFIRMED)][:2] == [PROMOTED, ROLLED_BACK]
    back = next(each for each in detector.adaptations if each.event == ROLLED_BACK)
    assert back.details["loss"] > back.details["loss_of_the_model_before"]
    assert np.abs(detections.predictions[back.row + 1 : back.row + 100] - 50).max() < 3


def test_model_of_what_was_no_change_goes_at_once() -> None:
    values, back = shifted(shift=0.0), CHANGE + 400
    values[CHANGE:back] += 30  # eight blocks; a change takes six
    detector = make()
    detections = detect(detector, values)
    assert events(detector)[2:4] == [PROMOTED, ROLLED_BACK]
    gone = next(row for row, event in record(detector) if event == ROLLED_BACK)
    assert back < gone < back + 5 * 48
    assert detections.anomalies[gone + 1 :].mean() < 0.01


def test_plateau_as_long_as_a_change_must_stay_is_not_learnt() -> None:
    for first in (CHANGE, CHANGE + 12, CHANGE + 47):
        values = shifted(shift=0.0)
        values[first : first + 5 * 48] += 30
        detector = make()
        detect(detector, values)
        assert not detector.adaptations


# --- cold start ---


def test_baseline_detects_from_point_50() -> None:
    found: list[bool] = []
    false: list[float] = []
    for seed in range(6):
        source = SyntheticSource(length=1400, seed=seed, start_after=150, rate=8.0, chunk_size=1400)
        chunk = next(source.chunks())
        detections = detect(make("adaptation.cold_start_points=50", points=1_000_000), chunk.values)
        assert np.isnan(detections.thresholds[:50]).all() and np.isfinite(detections.thresholds[50:]).all()
        labels = np.asarray(chunk.labels)
        near = np.convolve(labels, np.ones(49))[: len(labels)] > 0.5
        whole = [event for event in source.events(1400) if event.end <= 1400]
        found += [bool(detections.anomalies[event.start : event.end].any()) for event in whole]
        false.append(float(detections.anomalies[50:][~near[50:]].mean()))
    assert np.mean(found) >= 0.7
    assert np.mean(false) < 0.01


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("shape", ["saw", "square", "a peak a day"])
def test_baseline_knows_a_season_with_jumps(shape: str, noise: float) -> None:
    place = np.arange(700) % 24
    season = {"saw": place, "square": 10.0 * (place < 8), "a peak a day": 20.0 * (place == 5)}[shape]
    values = season + np.random.default_rng(0).normal(scale=noise, size=700)
    detector = make("adaptation.cold_start_points=50", points=1_000_000)
    assert not detect(detector, values[:, None]).anomalies[150:].any()


def test_baseline_stays_where_it_is_better() -> None:
    detector = make("adaptation.cold_start_points=50", points=600)
    detect(detector, wave(1300, 24))  # a moving mean knows no season
    assert set(events(detector)) == {STARTED, DROPPED}
    assert detector.adaptation_report()["baseline_until_row"] is None
    assert not detector.has_model


def test_first_model_is_that_of_a_stream_that_is_not_adaptive() -> None:
    texts, values = [*SMALL, "adaptation.cold_start_points=50"], wave(700, 16)
    values[150:153] += 4.0  # of an anomaly both learn the same
    config = load(None, {}, texts)
    adaptive = make_adaptive(config, 300)
    detections = detect(adaptive, values)
    row = next(each.row for each in adaptive.adaptations if each.event == PROMOTED)
    plain = make_detector(config, row + 1, fills_gaps=False).process(np.arange(len(values)), values)
    assert 299 <= row < 600
    assert ROLLED_BACK not in events(adaptive)
    assert_same(detections[row + 1 : row + 50], plain[row + 1 : row + 50])


@pytest.mark.slow
def test_season_is_learnt_once_it_can_be() -> None:
    time = np.datetime64("2024-03-04", "ns") + np.arange(1500) * np.timedelta64(5, "m")
    values, detector = wave(1500, 288, noise=0.1), make_lstm()
    detector.process(time[:550], values[:550])
    assert detector.lacks_season == "a daily season needs 771 points; 550 seen so far"
    assert not detector.adaptations
    detections = detector.process(time[550:], values[550:])
    assert [(each.event, each.details["reason"]) for each in detector.adaptations[:2]] == [
        (STARTED, "season"),
        (PROMOTED, "season"),
    ]
    assert (detector.current.scorer.window, detector.lacks_season) == (288, "")
    assert detections.anomalies.sum() < 5


def test_season_needs_room() -> None:
    time = np.datetime64("2024-03-04", "ns") + np.arange(1500) * np.timedelta64(1, "m")
    detector = make("adaptation.cold_start_points=50", points=1000)
    detector.process(time[:500], shifted(500))
    assert detector.lacks_season == "a daily season needs 3,843 points; 500 seen so far"
    plain = make_detector(load(None, {}, GAUSSIAN), 400)
    plain.process(time, shifted(1500))
    assert plain.lacks_season == "a daily season needs 2,880 points; 400 trained the model"


# --- the program ---

Program = Callable[..., Outcome]
FLAGS = tuple(flag for text in GAUSSIAN for flag in ("--set", text))


def test_run_writes_its_adaptations(program: Program, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "shift.csv", range(COUNT), shifted()[:, 0])
    for name in ("one", "two"):
        assert program("--source", "csv", "--path", path, "--out", name, "--set", f"training.points={TRAINING}", *FLAGS).code == 0
    records = [json.loads(line) for line in (tmp_path / "one" / "adaptations.jsonl").read_text().splitlines()]
    assert [each["event"] for each in records][:3] == [DECLARED, STARTED, PROMOTED]
    assert records[0]["tests"] and records[2]["candidate_loss"] < records[2]["loss"]
    report = metrics(tmp_path / "one")["adaptation"]
    assert (report["promoted"], report["rolled_back"]) == (1, 0)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_a_change_is_followed_by_default(program: Program, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "shift.csv", range(COUNT), shifted()[:, 0])
    settings = ["--detector", "windowed_gaussian", "--set", f"training.points={TRAINING}"]
    outcome = program(path, "--out", "one", *settings)
    assert outcome.code == 0
    promoted = [json.loads(line) for line in (tmp_path / "one" / "adaptations.jsonl").read_text().splitlines()]
    assert PROMOTED in [each["event"] for each in promoted]
    assert f"the stream has changed for good, seen at {promoted[0]['row']}: 1 new model took over" in outcome.err
    outcome = program(path, "--out", "two", *settings, "--set", "adaptation.enabled=false")
    assert outcome.code == 0 and "changed" not in outcome.err
    before = slice(0, promoted[0]["row"])
    assert rows(tmp_path / "one")[before] == rows(tmp_path / "two")[before]


def test_stdin_with_cold_start(tmp_path: Path) -> None:
    text = "\n".join(f"{value:.4f}" for value in shifted(700)[:, 0]) + "\n"
    flags = [*FLAGS, "--set", "adaptation.cold_start_points=50", "--set", "training.points=300", "--plot", "none"]
    outcome = finish(start("--source", "stdin", "--out", "run", *flags, folder=tmp_path, stdin=-1), text=text)
    assert outcome.code == 0, outcome.err
    written = rows(tmp_path / "run")
    assert len(written) == 700
    assert [row["threshold"] != "" for row in written[:52]] == [False] * 50 + [True] * 2
    assert "baseline_until_row" in metrics(tmp_path / "run")["adaptation"]
