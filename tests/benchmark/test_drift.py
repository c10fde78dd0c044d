"""bench drift: its streams are what they say, its figures are right, and a small run leaves them all."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from helpers.cli import TINY_LSTM, Program

from autoencoder.benchmark.drift import Case, drift_targets, measure
from autoencoder.benchmark.drift_streams import CHANGE, CHANGES, EVENT, EVENTS, SETTLED, TRAINING, DriftStream, drift_stream
from autoencoder.detector import Detector


@pytest.mark.parametrize("kind", [*CHANGES, *EVENTS])
def test_stream_is_seeded_and_clean_at_first(kind: str) -> None:
    stream, again, other = drift_stream(kind, 6000, 3), drift_stream(kind, 6000, 3), drift_stream(kind, 6000, 4)
    np.testing.assert_array_equal(stream.values, again.values)
    assert (stream.values != other.values).any()
    assert not stream.labels[:TRAINING].any()
    for first, last in ((TRAINING, CHANGE), (CHANGE, CHANGE + SETTLED), (CHANGE + SETTLED, 6000)):
        assert any(first <= start and end <= last for start, end in stream.events)
    inside = [row for start, end in stream.events for row in range(start, end)]
    assert sorted(set(inside)) == np.flatnonzero(stream.labels).tolist()


@pytest.mark.parametrize(
    ("kind", "level", "season", "noise"),  # after the change / before; None where that says nothing
    [
        ("trend", None, None, 1.0),
        ("level shift", 3.0, 3.0, 3.0),
        ("growing amplitude", 1.0, 3.5, None),
        ("changed period", 1.0, 1.0, 1.0),
        ("rising noise", 1.0, None, 3.0),
        ("none", 1.0, 1.0, 1.0),
    ],
)
def test_change_is_what_it_says(kind: str, level: float | None, season: float | None, noise: float | None) -> None:
    stream = drift_stream(kind, 8000, 0)
    calm = ~stream.labels

    def look(first: int, last: int) -> list[float]:
        """Level, height of the season and noise of a stretch."""
        values = stream.values[first:last][calm[first:last]]
        steps = np.diff(stream.values[first:last])[calm[first : last - 1] & calm[first + 1 : last]]
        return [np.median(values), np.ptp(np.quantile(values, [0.05, 0.95])), np.median(np.abs(np.diff(steps)))]

    before, after = look(TRAINING, CHANGE), look(CHANGE + SETTLED, 8000)
    assert (after[0] > before[0] + 50) == (kind in ("trend", "level shift"))
    for early, late, wanted in zip(before, after, (level, season, noise), strict=True):
        assert wanted is None or late / early == pytest.approx(wanted, rel=0.25)
    assert (stream.change is None) == (kind == "none")


@pytest.mark.parametrize("kind", EVENTS)
def test_event_lasts_and_changes_nothing_else(kind: str) -> None:
    for seed in (0, 5, 150):
        stream, still = drift_stream(kind, 6000, seed), drift_stream("none", 6000, seed)
        rows = slice(stream.settled, stream.settled + EVENT)
        assert stream.change is None and stream.settled >= CHANGE
        assert (stream.values[rows] != still.values[rows]).sum() >= EVENT - 1  # a stuck value is the first one
        assert stream.labels[rows].all()
        for one, other in ((stream.values, still.values), (stream.labels, still.labels)):
            np.testing.assert_array_equal(np.delete(one, rows), np.delete(other, rows))


def measure_flags(flags: np.ndarray, stream: DriftStream) -> Case:
    """The case of a detector that flags these rows."""
    scripted = SimpleNamespace(adaptations=(), current=SimpleNamespace(share=0.001))
    scripted.process = lambda time, values: SimpleNamespace(anomalies=flags)
    return measure("scripted", cast(Detector, scripted), stream, 0)


def test_figures_of_known_flags() -> None:
    stream = drift_stream("level shift", 8500, 0)
    flags = np.zeros(8500, dtype=bool)
    flags[[start for start, _ in stream.events[1::2]]] = True  # every other anomaly
    flags[CHANGE : CHANGE + 700] = True  # alarms, as no model fits
    case = measure_flags(flags, stream)
    assert case.quiet_after is not None
    assert 700 - 2 * 48 <= case.quiet_after <= 700  # the last flags may lie in the echo of an anomaly
    assert case.false_before == case.false_after == 0
    assert case.recall_before == pytest.approx(0.5, abs=0.1) and case.recall_after == pytest.approx(0.5, abs=0.1)
    assert measure_flags(np.ones(8500, dtype=bool), stream).quiet_after is None


def case_of(**changes: object) -> Case:
    """A case of a good adaptive detector, but for the changes."""
    figures: dict[str, Any] = {
        **{"detector": "adaptation", "kind": "level shift", "seed": 0, "quiet_after": 500, "false_before": 0.001},
        **{"false_after": 0.001, "recall_before": 1.0, "recall_after": 1.0, "promotions": 1, "wrong": 0},
        **{"first_promotion": 490, "budget": 0.001},
    }
    return Case(**{**figures, **changes})


HARMED = case_of(detector="no adaptation", quiet_after=None)


@pytest.mark.parametrize(
    ("cases", "are_kept"),
    [
        ((case_of(), HARMED), True),
        ((case_of(quiet_after=None), HARMED), False),
        ((case_of(recall_after=0.8), HARMED), False),
        ((case_of(), case_of(detector="no adaptation", quiet_after=10)), False),  # too easy
        ((case_of(kind="stuck sensor", first_promotion=None),), True),
        ((case_of(kind="stuck sensor", first_promotion=480),), True),
        ((case_of(kind="stuck sensor", first_promotion=479),), False),
        ((case_of(kind="none", promotions=1, wrong=1),), True),
        ((case_of(kind="none", promotions=2, wrong=2),), False),
        ((case_of(kind="none", false_after=0.002),), False),
    ],
)
def test_targets(cases: tuple[Case, ...], are_kept: bool) -> None:
    kept = [target.kept for target in drift_targets(cases) if target.kept is not None]
    assert kept and all(kept) is are_kept


@pytest.mark.slow
def test_small_run_is_kept(program: Program, tmp_path: Path) -> None:
    flags = ("--quick", "--kind", "rising noise", *TINY_LSTM, "--out", "out")
    done = program("bench", "drift", *flags)
    assert done.code == 0, done.err
    assert sum(line.startswith("| rising noise, ") for line in done.out.splitlines()) == 2
    lines = (tmp_path / "out" / "streams.jsonl").read_text().splitlines()
    assert {json.loads(line)["detector"] for line in lines} == {"adaptation", "no adaptation"}
    again = program("bench", "drift", *flags)
    assert again.code == 0 and again.out == done.out
    assert (tmp_path / "out" / "streams.jsonl").read_text().splitlines() == lines
