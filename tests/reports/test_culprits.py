"""Culprits: shares of columns add up to one, are kept with their incident, and are said in the same words everywhere."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.detections import INCIDENT, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import ColumnShare, Incident, column_shares
from autoencoder.reports.logs import log_line
from autoencoder.reports.tracker import IncidentTracker
from autoencoder.reports.wording import columns_text, seen_text

NAMES = ("flow", "pressure", "heat")
FLOW, HEAT = ColumnShare("flow", 0.75, 29.0, 32.0), ColumnShare("heat", 0.25, None, 70.5)
SHARED = replace(INCIDENT, peak_value=(29.0, 1.0, 5.0), expected=(32.0, 1.0, 70.5), columns=(FLOW, HEAT))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(contributions=st.lists(st.floats(0, 1e100), min_size=2, max_size=100))
def test_shares_add_up_to_one_and_fall(contributions: list[float]) -> None:
    names = [f"column {number}" for number in range(len(contributions))]
    found = column_shares(names, np.array(contributions), contributions, contributions)
    shares = [each.share for each in found]
    assert sum(shares) == pytest.approx(1.0, abs=1e-9)
    assert shares == sorted(shares, reverse=True)
    assert all(share > 0 for share in shares)
    if max(contributions) > 0:
        assert found[0].value == max(contributions)


def test_a_column_that_is_well_is_not_named() -> None:
    found = column_shares(NAMES, np.array([9.0, 0.001, 0.0]), (1.0, 2.0, 3.0), (1.0, float("nan"), 3.0))
    assert found == (ColumnShare("flow", 1.0, 1.0, 1.0),)


def three_columns(contributions: list[list[float]]) -> Detections:
    """Detections of three columns, all of them flagged."""
    plain, values = scored([1] * len(contributions)), np.arange(3.0 * len(contributions)).reshape(-1, 3)
    return replace(plain, values=values, predictions=values + 1, contributions=np.array(contributions))


def test_an_incident_names_what_made_all_of_it() -> None:
    detections = three_columns([[1.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 2.0, np.nan]])
    whole, cut = IncidentTracker(columns=NAMES), IncidentTracker(columns=NAMES)
    whole.process(detections)
    cut.process(detections[:2])
    resumed = IncidentTracker(columns=NAMES)
    resumed.load(unpack(pack(cut.state()), "x"))
    resumed.process(detections[2:])
    (one,) = whole.finish()
    assert [(each.name, each.share) for each in one.columns] == [("heat", 0.625), ("pressure", 0.25), ("flow", 0.125)]
    assert (one.columns[0].value, one.columns[0].expected) == (one.peak_value[2], one.expected[2])
    assert resumed.finish() == [one]
    assert Incident.from_record(json.loads(one.to_json())) == one


def test_columns_are_objects_in_json_and_absent_where_there_is_one() -> None:
    assert json.loads(SHARED.to_json())["columns"] == [
        {"name": "flow", "share": 0.75, "value": 29.0, "expected": 32.0},
        {"name": "heat", "share": 0.25, "value": None, "expected": 70.5},
    ]
    assert "columns" not in json.loads(INCIDENT.to_json())


@pytest.mark.parametrize("columns", [3, [3], [{"name": "a"}], [{"name": "a", "share": "x", "value": 1, "expected": 1}]])
def test_damaged_columns_are_refused(columns: object) -> None:
    with pytest.raises(ValueError, match=r"no incident|could not convert"):
        Incident.from_record({**json.loads(SHARED.to_json()), "columns": columns})


def test_the_worst_columns_are_said_with_what_was_seen() -> None:
    text = "'flow' 75 %: seen 29, expected 32; 'heat' 25 %: seen unknown, expected 70.5"
    assert seen_text(SHARED) == text
    assert f"  {text} at 2025-01-02T01:00:00Z, score 0.9500  " in log_line(SHARED)
    assert columns_text(SHARED) == "flow 75 %, heat 25 %"
    steering = replace(SHARED, columns=(replace(FLOW, name="a\x1b[2Jb\n"),))
    assert seen_text(steering).isprintable()
