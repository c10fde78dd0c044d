"""Adapting: only a better model takes over, a worse one is taken back, and an anomaly that lasts is not learnt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from program import ROOT, Outcome, finish, metrics, rows, start, write_csv

from autoencoder.adaptation.adaptive import AdaptiveDetector
from autoencoder.adaptation.calibration import rescale
from autoencoder.adaptation.job import Job, Result, perform
from autoencoder.adaptation.shadow import Beside, InStep
from autoencoder.adaptation.trial import Trial
from autoencoder.assembly import make_adaptive
from autoencoder.config import load
from autoencoder.core.errors import ModelError
from autoencoder.core.events import CONFIRMED, DECLARED, DROPPED, PROMOTED, ROLLED_BACK, STARTED
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Detections
from autoencoder.scorers.base import Array
from autoencoder.scorers.gaussian import WindowedGaussianScorer
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.scorers.nearest_window import NearestWindow
from autoencoder.scorers.seasonal import SeasonalScorer
from data.synthetic import SyntheticSource

TRAINING, COUNT, CHANGE = 400, 2600, 1000
BASE = [
    "adaptation.enabled=true",
    "adaptation.deterministic=true",
    "adaptation.patience=5",
    "adaptation.history=1000",
    "adaptation.early=null",
]
GAUSSIAN = [*BASE, "detector=windowed_gaussian", "windowed_gaussian.window=2000"]
FIELDS = ("predictions", "errors", "thresholds", "scores", "anomalies")
quick = settings(
    deadline=None, max_examples=3, derandomize=True, phases=(Phase.explicit, Phase.generate)
)  # one stream takes seconds


def stream(count: int = COUNT, shift: float = 0.0, *, gaps: bool = False, seed: int = 0) -> Array:
    """Noise whose level jumps at ``CHANGE``."""
    random = np.random.default_rng(seed)
    values = 50 + random.normal(size=(count, 1)) + shift * (np.arange(count) >= CHANGE)[:, None]
    if gaps:
        values[random.random(count) < 0.03] = np.nan
    return np.asarray(values)


def make(*texts: str, points: int = TRAINING) -> AdaptiveDetector:
    return make_adaptive(load(None, {}, [*GAUSSIAN, *texts]), points)


def judge(detector: AdaptiveDetector, values: Array, cuts: list[int] | None = None, first: int = 0) -> Detections:
    parts = np.split(np.arange(len(values)), sorted(cuts or []))
    return Detections.concatenate([detector.process(part + first, values[part]) for part in parts])


def events(detector: AdaptiveDetector) -> list[str]:
    return [each.event for each in detector.adaptations]


def assert_same(one: Detections, other: Detections) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


# --- the law ---


@quick
@given(cuts=st.lists(st.integers(0, COUNT), max_size=15), seed=st.integers(0, 3))
def test_cutting_the_stream_makes_no_difference_to_verdicts_or_adaptations(cuts: list[int], seed: int) -> None:
    values = stream(shift=30.0, gaps=True, seed=seed)
    whole, cut = make(), make()
    assert_same(judge(cut, values, cuts), judge(whole, values))
    kept = [(each.row, each.event) for each in cut.adaptations]
    assert kept == [(each.row, each.event) for each in whole.adaptations]
    assert PROMOTED in events(whole)


@quick
@given(place=st.integers(0, COUNT))
def test_a_loaded_detector_goes_on_exactly(place: int) -> None:
    values = stream(shift=30.0, gaps=True)
    whole, first, second = make(), make(), make()
    expected = judge(whole, values)
    judge(first, values[:place])
    second.load(unpack(pack(first.state()), "x"), {})
    assert_same(judge(second, values[place:], first=place), expected[place:])
    assert [(each.row, each.event) for each in second.adaptations] == [(each.row, each.event) for each in whole.adaptations]


def test_a_damaged_state_is_told() -> None:
    detector = make()
    judge(detector, stream(800))
    for key, value in (("kind", "other"), ("adaptations", "{"), ("watch", "x")):
        with pytest.raises(ModelError):
            make().load({**unpack(pack(detector.state()), "x"), key: value}, {})


LSTM = [
    "network.steps=16",
    "network.hidden=[8]",
    "network.latent=3",
    "training.steps=100",
    "adaptation.patience=4",
    "adaptation.history=800",
]


def make_lstm(*texts: str) -> AdaptiveDetector:
    return make_adaptive(load(None, {}, [*BASE, *LSTM, *texts]), 300)


def growing_wave(count: int = 1000) -> Array:
    """A season that is four times as high from row 500 on, with gaps."""
    values = 10 + (wave(count, 16) - 10) * np.where(np.arange(count) >= 500, 4.0, 1.0)[:, None]
    values[::97] = np.nan
    return np.asarray(values)


@pytest.fixture(scope="module")
def lstm_whole() -> tuple[Detections, list[tuple[int, str]]]:
    """What the autoencoder says of the growing wave in one chunk, and what was done about it."""
    detector = make_lstm()
    detections = judge(detector, growing_wave())
    return detections, [(each.row, each.event) for each in detector.adaptations]


def test_the_autoencoder_in_step_is_chunk_invariant(lstm_whole: tuple[Detections, list[tuple[int, str]]]) -> None:
    detector = make_lstm()
    cuts = [1, 299, 301, 517, *range(560, 640), 803, 804]
    assert_same(judge(detector, growing_wave(), cuts), lstm_whole[0])
    assert [(each.row, each.event) for each in detector.adaptations] == lstm_whole[1]
    assert PROMOTED in {event for _, event in lstm_whole[1]}


@pytest.mark.parametrize("place", [450, 575, 700])
def test_the_autoencoder_in_step_goes_on_exactly(place: int, lstm_whole: tuple[Detections, list[tuple[int, str]]]) -> None:
    first, second = make_lstm(), make_lstm()
    judge(first, growing_wave()[:place])
    second.load(unpack(pack(first.state()), "x"), {})
    assert_same(judge(second, growing_wave()[place:], first=place), lstm_whole[0][place:])
    assert [(each.row, each.event) for each in second.adaptations] == lstm_whole[1]


# --- drift or anomaly ---


def test_a_change_that_stays_is_learnt_and_alarms_stop() -> None:
    values = stream(shift=30.0)
    detector = make()
    detections = judge(detector, values)
    assert events(detector)[:3] == [DECLARED, STARTED, PROMOTED]
    promoted = next(each.row for each in detector.adaptations if each.event == PROMOTED)
    assert CHANGE + 5 * 48 <= promoted <= CHANGE + 12 * 48
    assert detections.anomalies[CHANGE:promoted].mean() > 0.1
    assert detections.anomalies[promoted + 1 :].mean() < 0.01


def test_a_stream_that_does_not_change_keeps_its_model() -> None:
    detector = make()
    detections = judge(detector, stream(4000))
    assert PROMOTED not in events(detector)
    assert detections.anomalies[TRAINING:].mean() < 0.005


def test_an_anomaly_that_lasts_is_not_learnt_before_patience_is_over() -> None:
    values = stream()
    values[CHANGE : CHANGE + 150] += 30  # three blocks; patience is five
    detector = make()
    judge(detector, values)
    assert PROMOTED not in events(detector)


@pytest.mark.parametrize("kind", ["flat line", "plateau"])
def test_the_autoencoder_does_not_learn_what_lasts_but_ends(kind: str) -> None:
    values, places = wave(1500, 16), [slice(600, 700), slice(1100, 1200)]  # six windows
    for place in places:
        values[place] = values[place.start] if kind == "flat line" else values[place] + 8
    detector = make_lstm("adaptation.patience=10")
    detections = judge(detector, values)
    assert PROMOTED not in events(detector)
    assert all(detections.anomalies[place.start : place.start + 16].any() for place in places)
    if kind == "flat line":  # a plateau is felt only at its ends: windows are centred
        first, second = (np.nanmedian(detections.errors[place]) for place in places)
        assert second > 0.7 * first > np.nanmedian(detections.errors[400:600])


@pytest.mark.parametrize("back", [800, 1500])
def test_a_sensor_that_is_stuck_teaches_nothing_and_ends_no_run(back: int) -> None:
    values = wave(1500, 16)
    values[600:back] = values[600]
    detector = make_lstm("adaptation.patience=10")
    detections = judge(detector, values)
    while_stuck = [each for each in detector.adaptations if each.row < back]
    assert any("hardly moves" in each.details["why"] for each in while_stuck if each.event == DROPPED)
    assert PROMOTED not in {each.event for each in while_stuck}
    assert len(while_stuck) < 15  # it is tried again, at longer and longer intervals
    assert detections.anomalies[650:back].all()
    assert detections.anomalies[back + 60 :].sum() < 0.01 * len(values)


def test_a_schedule_trains_without_any_drift() -> None:
    detector = make("adaptation.every=600")
    judge(detector, stream())
    assert {each.details["reason"] for each in detector.adaptations if each.event == STARTED} == {"schedule"}


# --- safe ---


class Spoilt(InStep):
    """A shadow whose candidates look better than they are."""

    def poll(self) -> Result | None:
        result = super().poll()
        if result is None or not result.state:
            return result
        state = {**result.state, "centre": np.array([500.0]), "recent": np.full((40, 1), 5.0)}
        return replace(result, fault="", state=state)


def spoil(detector: AdaptiveDetector) -> AdaptiveDetector:
    detector._shadow = Spoilt(lambda kind: WindowedGaussianScorer(window=2000))
    return detector


def test_a_promotion_that_turns_out_worse_is_rolled_back() -> None:
    detector = spoil(make("adaptation.every=900", "adaptation.history=2000"))
    detections = judge(detector, stream(3000))
    assert [event for event in events(detector) if event in (PROMOTED, ROLLED_BACK, CONFIRMED)][:2] == [PROMOTED, ROLLED_BACK]
    back = next(each for each in detector.adaptations if each.event == ROLLED_BACK)
    assert back.details["loss"] > back.details["loss_of_the_model_before"]
    assert np.abs(detections.predictions[back.row + 1 : back.row + 100] - 50).max() < 3


def test_a_candidate_that_is_not_better_is_dropped_and_says_why() -> None:
    random = np.random.default_rng(0)
    scorer = WindowedGaussianScorer(window=100)
    scorer.fit(random.normal(size=(300, 1)))
    held_back, usual = random.normal(size=(200, 1)), scorer.calibration_errors
    job = Job("model", scorer.state(), {}, usual, 40 + random.normal(size=(300, 1)), held_back, np.ones(200, bool), 48)
    result = perform(job, lambda kind: WindowedGaussianScorer(window=100))
    assert "its loss on held-back points" in result.fault
    too_short = perform(replace(job, training=np.zeros((5, 1))), lambda kind: WindowedGaussianScorer(window=100))
    assert too_short.fault and not too_short.state


@pytest.mark.parametrize(
    ("loss", "alarms", "candidate_alarms", "recall", "taken"),
    [
        (0.97, 0.0, 0.0, 1.0, True),
        (0.99, 0.0, 0.0, 1.0, False),  # no gain to speak of
        (1.01, 0.1, 0.0, 1.0, True),  # as good, and calmer
        (1.08, 1.0, 0.0, 1.0, True),  # the present model alarms about everything
        (1.08, 0.1, 0.0, 1.0, False),
        (1.08, 1.0, 0.9, 1.0, False),
        (1.12, 1.0, 0.0, 1.0, False),
        (0.5, 1.0, 0.0, 0.9, False),  # it misses too much
    ],
)
def test_a_candidate_is_better_if_it_gains_or_calms_and_misses_nothing(
    loss: float, alarms: float, candidate_alarms: float, recall: float, taken: bool
) -> None:
    assert (Trial(1.0, loss, alarms, candidate_alarms, 1.0, recall).fault == "") is taken


def test_rescaled_errors_have_the_level_and_spread_of_the_others_and_their_own_tail() -> None:
    random = np.random.default_rng(0)
    errors, like = random.exponential(size=2001), 5 + 3 * random.exponential(size=300)
    rescaled = rescale(errors, like)
    assert np.median(rescaled) == pytest.approx(np.median(like))
    assert np.quantile(rescaled, 0.1) == pytest.approx(np.quantile(like, 0.1))
    np.testing.assert_array_equal(np.argsort(rescaled), np.argsort(errors))


@pytest.mark.parametrize(
    ("stretched", "expected"),  # the upper half of the few errors beside the lower one -> that of the rescaled ones
    [(0.1, 0.25), (0.8, 1.0), (2.0, 2.0), (20.0, 3.0)],
)
def test_the_upper_half_of_few_errors_is_believed_as_far_as_the_lower_one_bears_it_out(stretched: float, expected: float) -> None:
    errors = np.abs(np.random.default_rng(0).normal(size=2001))
    middle = float(np.median(errors))
    like = np.where(errors > middle, middle + stretched * (errors - middle), errors)
    np.testing.assert_allclose(rescale(errors, like)[errors > middle] - middle, expected * (errors[errors > middle] - middle))


def test_windows_with_a_flagged_point_stay_out_of_the_memory() -> None:
    def memory(flagged: bool) -> Array:
        made = NearestWindow(512, 8, lag=16, exclude_anomalies=True)
        made.fit(np.random.default_rng(0).normal(size=(200, 8)) * 0.1, gap=4)
        odd = np.full((64, 8), 2.0)
        for part in (odd, np.zeros((64, 8)), np.zeros((64, 8)), np.zeros((64, 8))):
            made.compare(part)
            made.exclude(np.full(64, flagged and part is odd))
        return made.compare(odd)

    assert memory(flagged=False).max() < 0.1
    assert memory(flagged=True).min() > 1.0


# --- the shadow's process ---


def wave(count: int, period: float, seed: int = 0) -> Array:
    noise = np.random.default_rng(seed).normal(scale=0.2, size=count)
    return np.asarray(10 + 3 * np.sin(2 * np.pi * np.arange(count) / period) + noise)[:, None]


def test_a_shadow_process_trains_the_lstm_on_from_the_present_weights() -> None:
    from autoencoder.config import dump

    config = load(None, {}, [*BASE, "training.steps=60", "network.hidden=[8]", "network.steps=16"])
    scorer = LstmAutoencoderScorer(sequence_length=16, units=(8,), max_steps=60, exclude_anomalies=True)
    scorer.fit(wave(400, 24))
    training = 3 * wave(400, 24, seed=1)
    training[100:110] = np.nan
    job = Job(
        "model",
        scorer.state(),
        scorer.artifacts(),
        scorer.calibration_errors,
        training,
        3 * wave(200, 24, seed=2),
        np.ones(200, bool),
        16,
    )
    shadow = Beside(dump(config))
    shadow.begin(job)
    assert shadow._process
    shadow._process.wait(timeout=120)
    result = shadow.poll()
    assert result and result.figures, result
    assert shadow.poll() is None
    candidate = LstmAutoencoderScorer(sequence_length=16, units=(8,), exclude_anomalies=True)
    candidate.load(result.state, result.files)
    assert np.isfinite(candidate.process(3 * wave(100, 24, seed=3))[0]).all()


def test_a_shadow_process_that_fails_is_told_and_one_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    job = Job("model", {}, {}, np.ones(50), np.zeros((5, 1)), np.zeros((5, 1)), np.ones(5, bool), 48)
    broken = Beside("no: config")
    broken.begin(job)
    assert broken._process and broken._folder
    folder = Path(broken._folder.name)
    broken._process.wait(timeout=60)
    result = broken.poll()
    assert result and "failed with code 1" in result.fault
    assert not folder.exists()
    broken.begin(job)
    broken.stop()
    assert broken.poll() is None


ORPHAN = """
import sys, time
import numpy as np
from autoencoder.adaptation.job import Job
from autoencoder.adaptation.shadow import Beside
from autoencoder.config import dump, load

config = load(None, {}, ["training.steps=100000", "network.steps=16", "network.hidden=[8]"])
values = np.sin(np.arange(600) / 4)[:, None] + np.random.default_rng(0).normal(0, 0.1, (600, 1))
shadow = Beside(dump(config))
shadow.begin(Job("baseline", {}, {}, np.ones(50), values, values, np.ones(600, bool), 16))
print(shadow._process.pid, flush=True)
time.sleep(600)
"""


def test_a_shadow_process_whose_run_is_killed_ends_and_takes_its_folder_with_it(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, env=env) as run:
        assert run.stdout
        shadow = int(run.stdout.readline())
        assert list(tmp_path.glob("autoencoder-*"))
        run.kill()
    assert eventually(lambda: not list(tmp_path.glob("autoencoder-*")))
    assert eventually(lambda: not Path(f"/proc/{shadow}/stat").exists() or " Z " in Path(f"/proc/{shadow}/stat").read_text())


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = monotonic() + seconds
    while not holds() and monotonic() < end:
        sleep(0.1)
    return holds()


# --- early start ---


def test_verdicts_begin_at_point_50_and_anomalies_are_found_before_anything_is_trained() -> None:
    found: list[bool] = []
    false: list[float] = []
    for seed in range(6):
        source = SyntheticSource(points=1400, seed=seed, clean=150, rate=8.0)
        chunk = source.rows(0, 1400)
        detector = make("adaptation.early=50", points=1_000_000)
        detections = judge(detector, chunk.values)
        assert np.isnan(detections.thresholds[:50]).all() and np.isfinite(detections.thresholds[50:]).all()
        labels = np.asarray(chunk.labels)
        near = np.convolve(labels, np.ones(49))[: len(labels)] > 0.5
        found += [
            bool(detections.anomalies[event.start : event.end].any()) for event in source.events(0, 1400) if event.end <= 1400
        ]
        false.append(float(detections.anomalies[50:][~near[50:]].mean()))
    assert np.mean(found) >= 0.6
    assert np.mean(false) < 0.01


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("shape", ["saw", "square", "a peak a day"])
def test_a_season_with_jumps_is_known_after_a_few_of_them(shape: str, noise: float) -> None:
    place = np.arange(700) % 24
    season = {"saw": place, "square": 10.0 * (place < 8), "a peak a day": 20.0 * (place == 5)}[shape]
    values = season + np.random.default_rng(0).normal(scale=noise, size=700)
    detector = make("adaptation.early=50", points=1_000_000)
    assert not judge(detector, values[:, None]).anomalies[150:].any()


@quick
@given(cuts=st.lists(st.integers(0, 500), max_size=10), place=st.integers(50, 500))
def test_the_seasonal_forecast_is_chunk_invariant_and_resumes_exactly(cuts: list[int], place: int) -> None:
    values = wave(500, 24)
    values[::37] = np.nan

    def fresh() -> SeasonalScorer:
        scorer = SeasonalScorer()
        scorer.fit(values[:50])
        return scorer

    errors, predictions = fresh().process(values)
    cut = fresh()
    np.testing.assert_array_equal(np.concatenate([cut.process(part)[0] for part in np.split(values, sorted(cuts))]), errors)
    first, second = fresh(), SeasonalScorer()
    first.process(values[:place])
    second.load(unpack(pack(first.state()), "x"), {})
    np.testing.assert_array_equal(second.process(values[place:])[1], predictions[place:])
    assert np.nanmedian(np.abs(predictions[200:] - values[200:])) < 0.3


def test_a_detector_that_is_not_better_than_the_baseline_does_not_take_over() -> None:
    detector = make("adaptation.early=50", points=600)
    judge(detector, wave(1300, 24))  # a moving mean knows no season
    assert set(events(detector)) == {STARTED, DROPPED}
    assert detector.adaptation_report()["baseline_until_row"] is None
    assert not detector.has_model


# --- the program ---

Program = Callable[..., Outcome]
FLAGS = tuple(flag for text in GAUSSIAN for flag in ("--set", text))


def test_a_run_leaves_its_adaptations_and_a_repeated_one_the_same(program: Program, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "shift.csv", range(COUNT), stream(shift=30.0)[:, 0])
    for name in ("one", "two"):
        assert program("--source", "csv", "--path", path, "--out", name, "--set", f"training.points={TRAINING}", *FLAGS).code == 0
    records = [json.loads(line) for line in (tmp_path / "one" / "adaptations.jsonl").read_text().splitlines()]
    assert [record["event"] for record in records][:3] == [DECLARED, STARTED, PROMOTED]
    assert records[0]["tests"] and records[2]["candidate_loss"] < records[2]["loss"]
    report = metrics(tmp_path / "one")["adaptation"]
    assert (report["promoted"], report["rolled_back"]) == (1, 0)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_stdin_needs_no_training_file_with_an_early_start(tmp_path: Path) -> None:
    text = "\n".join(f"{value:.4f}" for value in stream(700)[:, 0]) + "\n"
    flags = [*FLAGS, "--set", "adaptation.early=50", "--set", "training.points=300", "--plot", "none"]
    run = start("--source", "stdin", "--out", "run", *flags, folder=tmp_path, stdin=-1)
    outcome = finish(run, text=text)
    assert outcome.code == 0, outcome.err
    written = rows(tmp_path / "run")
    assert len(written) == 700
    assert [row["threshold"] != "" for row in written[:52]] == [False] * 50 + [True] * 2
    assert "baseline_until_row" in metrics(tmp_path / "run")["adaptation"]
