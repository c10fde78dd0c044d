"""bench drift: its streams are what they say, its figures are right, and a small run leaves them all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from program import Outcome

from autoencoder.benchmark.drift_streams import CHANGE, CHANGES, EVENT, EVENTS, PERIOD, SETTLED, TRAINING, drift_stream
from autoencoder.benchmark.drift_summary import drift_bars, drift_summary
from autoencoder.benchmark.run_drift import Case, judge
from autoencoder.core.types import Detections
from autoencoder.detector import Time
from autoencoder.scorers.base import Array

Program = Callable[..., Outcome]
every_kind = pytest.mark.parametrize("kind", CHANGES)


@pytest.mark.parametrize("kind", [*CHANGES, *EVENTS])
def test_a_stream_follows_from_its_seed_and_holds_no_anomaly_while_a_detector_trains(kind: str) -> None:
    stream, again, other = drift_stream(kind, 6000, 3), drift_stream(kind, 6000, 3), drift_stream(kind, 6000, 4)
    np.testing.assert_array_equal(stream.values, again.values)
    assert (stream.values != other.values).any()
    assert not stream.labels[:TRAINING].any()
    for first, last in ((TRAINING, CHANGE), (CHANGE, CHANGE + SETTLED), (CHANGE + SETTLED, 6000)):
        assert any(first <= start and end <= last for start, end in stream.events)
    inside = np.zeros(6000, dtype=bool)
    for start, end in stream.events:
        inside[start:end] = True
    np.testing.assert_array_equal(inside, stream.labels)


@every_kind
def test_a_change_changes_what_it_says_and_nothing_before(kind: str) -> None:
    stream, still = drift_stream(kind, 8000, 0), drift_stream("none", 8000, 0)
    calm = ~stream.labels

    def look(first: int, last: int) -> tuple[float, float, float]:
        """Level, height of the season and noise of a stretch."""
        rows = np.flatnonzero(calm[first:last]) + first
        values = stream.values[rows]
        steps = np.diff(stream.values[first:last])[calm[first : last - 1] & calm[first + 1 : last]]
        return (
            float(np.median(values)),
            float(np.ptp(np.quantile(values, [0.05, 0.95]))),
            float(np.median(np.abs(np.diff(steps)))),
        )

    before, after = look(TRAINING, CHANGE), look(CHANGE + SETTLED, 8000)
    ratio = [late / early for early, late in zip(before, after, strict=True)]
    expected = {
        "trend": (1.0, None, 1.0),
        "level shift": (3.0, 3.0, 3.0),
        "growing amplitude": (1.0, 3.5, None),
        "changed period": (1.0, 1.0, 1.0),
        "rising noise": (1.0, None, 3.0),
        "none": (1.0, 1.0, 1.0),
    }[kind]
    if kind == "trend":
        assert after[0] > before[0] + 50
    for found, wanted in zip(ratio[kind == "trend" :], expected[kind == "trend" :], strict=True):
        assert wanted is None or found == pytest.approx(wanted, rel=0.25)
    assert (stream.change is None) == (kind == "none")
    assert len(still.values) == len(stream.values)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_lasts_for_as_long_as_it_says_and_changes_nothing_else(kind: str) -> None:
    for seed in (0, 5, 150):
        stream, still = drift_stream(kind, 6000, seed), drift_stream("none", 6000, seed)
        rows = slice(stream.settled, stream.settled + EVENT)
        assert stream.change is None and stream.settled >= CHANGE
        assert (stream.values[rows] != still.values[rows]).sum() >= EVENT - 1  # a stuck value is the first one
        assert stream.labels[rows].all()
        outside = np.ones(6000, dtype=bool)
        outside[rows] = False
        np.testing.assert_array_equal(stream.values[outside], still.values[outside])
        np.testing.assert_array_equal(stream.labels[outside], still.labels[outside])


class Told:
    """A detector that flags what it was told to."""

    def __init__(self, flags: np.ndarray) -> None:
        self._flags = flags
        self.share = 0.001
        self.adaptations = ()

    def process(self, time: Time, values: Array) -> Detections:
        nothing = np.full(len(values), np.nan)
        return Detections(time, values, np.full(values.shape, np.nan), nothing, nothing, nothing, self._flags)


def test_figures_of_flags_that_are_known() -> None:
    stream = drift_stream("level shift", 8500, 0)
    flags = np.zeros(8500, dtype=bool)
    found = [event for number, event in enumerate(stream.events) if number % 2]  # every other anomaly
    for start, _ in found:
        flags[start] = True
    flags[CHANGE : CHANGE + 700] = True  # alarms, as no model fits
    case = judge("told", Told(flags), stream, 0)  # type: ignore[arg-type]
    assert 700 - 2 * PERIOD <= case.quiet_after <= 700  # the last flags may lie in the echo of an anomaly
    assert case.false_before == case.false_after == 0
    assert case.recall_before == pytest.approx(0.5, abs=0.1) and case.recall_after == pytest.approx(0.5, abs=0.1)
    assert judge("told", Told(np.ones(8500, dtype=bool)), stream, 0).quiet_after is None  # type: ignore[arg-type]


def test_bars_are_kept_by_what_keeps_them_only() -> None:
    def case(**changes: object) -> Case:
        figures = {
            **{"detector": "adaptation", "kind": "level shift", "seed": 0, "quiet_after": 500, "false_before": 0.001},
            **{"false_after": 0.001, "recall_before": 1.0, "recall_after": 1.0, "promotions": 1, "wrong": 0},
            **{"first_promotion": 490, "pause": 5.0, "budget": 0.001},
        }
        return Case(**{**figures, **changes})  # type: ignore[arg-type]

    def kept(*cases: Case) -> dict[str, bool | None]:
        return {bar.what: bar.kept for bar in drift_bars(cases, {})}

    harmed = case(detector="no adaptation", quiet_after=None)
    good = kept(case(), harmed)
    assert [value for value in good.values() if value is not None] and all(value is not False for value in good.values())
    assert False in kept(case(quiet_after=None), harmed).values()
    assert False in kept(case(recall_after=0.8), harmed).values()
    assert False in kept(case(), case(detector="no adaptation", quiet_after=10)).values()  # too easy
    for first, learnt_early in ((None, False), (480, False), (479, True)):
        event = case(kind="stuck sensor", first_promotion=first)
        assert (False in kept(case(), harmed, event).values()) is learnt_early
    calm = case(kind="none", promotions=2, wrong=2)
    assert False in kept(case(), harmed, calm).values()


def test_a_summary_has_a_row_for_every_detector_and_change() -> None:
    cases = [
        Case(name, kind, 0, 400, 0.001, 0.002, 1.0, 0.9, 1, 0, 300, 2.0, 0.001)
        for kind in ("trend", "none")
        for name in ("adaptation", "no adaptation")
    ]
    text = drift_summary(cases, {}).text
    assert sum("no adaptation" in line and "|" in line for line in text.splitlines()) >= 2


def test_a_small_run_leaves_its_figures_and_is_gone_on_with(program: Program, tmp_path: Path) -> None:
    flags = ("--quick", "--kind", "rising noise", "--set", "training.max_steps=100", "--out", "out")
    done = program("bench", "drift", *flags)
    assert done.code == 0, done.err
    assert "rising noise" in done.out
    lines = (tmp_path / "out" / "streams.jsonl").read_text().splitlines()
    assert {json.loads(line)["detector"] for line in lines} == {"adaptation", "no adaptation"}
    again = program("bench", "drift", *flags)
    assert again.code == 0 and again.out == done.out
    assert (tmp_path / "out" / "streams.jsonl").read_text().splitlines() == lines
