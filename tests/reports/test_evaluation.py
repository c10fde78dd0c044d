"""Event and point scores: by hand, and against their definition."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from helpers.detections import labelled
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.reports.evaluation import events, quality_of

flags = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda bits: np.array(bits, dtype=bool))


def test_one_flag_finds_an_event() -> None:
    labels, raised = labelled(100, (20, 30), (60, 70)), labelled(100, (5, 8), (25, 27), (29, 33), (90, 91))
    assert quality_of(labels, raised, [(5, 8), (25, 33)]) == {
        **{"event_precision": 0.5, "event_recall": 0.5, "event_f1": 0.5, "detection_delay_points": 5},
        **{"known_anomalies": 2, "point_precision": 0.3, "point_recall": 0.15, "false_alarm_share": 7 / 80},
        **{"rung_anomalies": 1, "false_alarms": 1, "normal_flagged": 7},
    }
    silent = quality_of(labels, raised, [(5, 8), (25, 33)], alarms=[(5, 8)])
    assert (silent["event_recall"], silent["rung_anomalies"], silent["false_alarms"]) == (0.5, 0, 1)
    assert quality_of(labelled(100, (25, 28)), raised, [(10, 20), (20, 30)])["event_precision"] == 0.5  # touching, yet two
    assert quality_of(labelled(50, (10, 12), (30, 33)), raised[:50], [(0, 50)])["event_precision"] == 1


def test_nothing_to_compare_is_unknown_not_zero() -> None:
    nothing, something = labelled(10), labelled(10, (2, 4))
    silent, wolf = quality_of(something, nothing, []), quality_of(nothing, something, [(2, 4)])
    assert all(math.isnan(silent[name]) for name in ("event_precision", "event_f1", "point_precision", "detection_delay_points"))
    assert (silent["event_recall"], wolf["event_precision"], wolf["known_anomalies"]) == (0, 0, 0)
    assert math.isnan(wolf["event_recall"]) and math.isnan(wolf["point_recall"])
    assert math.isnan(quality_of(~nothing, nothing, [])["false_alarm_share"])
    assert quality_of(something, ~something, [(6, 9)])["event_f1"] == 0


@settings(deadline=None, max_examples=40, derandomize=True)
@given(flags, st.integers(0, 2**32 - 1))
def test_shares_are_those_of_the_definition(raised: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).random(len(raised)) < 0.3
    known, spans = events(labels), events(raised)
    assert (labelled(len(labels), *known) == labels).all()
    assert all(first[1] < second[0] for first, second in pairwise(known))
    right = [any(start < end and stop > begin for begin, end in known) for start, stop in spans]
    delays = [next((row - begin for row in range(begin, end) if raised[row]), None) for begin, end in known]
    found, quality = [delay for delay in delays if delay is not None], quality_of(labels, raised, spans)
    for name, expected in (
        ("event_precision", np.mean(right) if right else math.nan),
        ("event_recall", len(found) / len(known) if known else math.nan),
        ("detection_delay_points", np.median(found) if found else math.nan),
        ("false_alarm_share", raised[~labels].mean() if (~labels).any() else math.nan),
    ):
        np.testing.assert_equal(quality[name], expected)
