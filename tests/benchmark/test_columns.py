"""bench columns: its streams hold what they say, and its figures are those of the incidents."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import Program
from helpers.detections import INCIDENT

from autoencoder.benchmark.columns import ALONE, JOINT, KINDS, TRAIN, Case, ColumnStream, Fault, _found, column_stream, report
from autoencoder.reports.incidents import ColumnShare, Incident

TRAINING, POINTS = 600, 5000


@pytest.mark.parametrize("kind", KINDS)
def test_faults_are_where_they_are_said_to_be(kind: str) -> None:
    stream = column_stream(kind, 8, POINTS, TRAINING, seed=1)
    expected = np.zeros(stream.clean.shape, bool)
    for fault in stream.faults:
        expected[fault.start : fault.end, list(fault.columns)] = True
        assert (stream.clean[fault.start : fault.end] != stream.faulty[fault.start : fault.end]).any()
    assert not (stream.clean != stream.faulty)[~expected].any()
    assert stream.faults[0].start > TRAINING
    found = {fault.kind for fault in stream.faults}
    assert set(ALONE) <= found
    assert bool(found & set(JOINT)) == (kind != "independent")
    again = column_stream(kind, 8, POINTS, TRAINING, seed=1)
    np.testing.assert_array_equal(again.faulty, stream.faulty)


def test_a_broken_dependence_does_not_show_in_its_column() -> None:
    stream = column_stream("seasonal", 8, 20_000, TRAINING, seed=0)
    for fault in stream.faults:
        if fault.kind in JOINT:
            column, rows = fault.columns[0], slice(fault.start, fault.end)
            low, high = np.quantile(stream.clean[:, column], [0.0, 1.0])
            assert (stream.faulty[rows, column] > low - 0.3 * (high - low)).all()
            assert (stream.faulty[rows, column] < high + 0.3 * (high - low)).all()


def test_the_culprit_is_looked_for_in_the_incident_that_meets_the_fault() -> None:
    def incident(first: int, last: int, *names: str) -> Incident:
        shares = tuple(ColumnShare(name, 1 / len(names), 0.0, 0.0) for name in names)
        values = dict(zip(("id", "start", "end", "peak_time"), (1, "", "", ""), strict=True))
        rows = {"first_row": first, "last_row": last, "n_points": last - first, "columns": shares}
        return Incident(**{**{key: getattr(INCIDENT, key) for key in INCIDENT.__slots__}, **values, **rows})

    faults = (Fault("spike", TRAIN + 10, TRAIN + 12, (3,)), Fault("swap", TRAIN + 50, TRAIN + 60, (1, 2)))
    faults += (Fault("stuck", TRAIN + 90, TRAIN + 95, (0,)), Fault("lag", TRAIN + 120, TRAIN + 130, (5,)))
    flags = np.zeros(200, bool)
    flags[[11, 55, 57, 97]] = True
    incidents = [incident(11, 11, "4", "3"), incident(40, 41, "0"), incident(55, 57, "2", "7"), incident(97, 98, "6")]
    stream = ColumnStream(np.empty((0, 8)), np.empty((0, 8)), faults)
    assert _found(stream, flags, incidents) == (("spike", "swap", "stuck", "lag"), (True, True, True, False), (2, 1, 0))


def test_bars_and_tables() -> None:
    cases = [Case("walk", 8, 0, 1.5, ("spike", "lag", "swap"), (True, True, False), (1, 4))]
    text = report(cases).text
    assert "| walk, 8 columns | 1.5 | 1.00 | 0.50 | 0.50 | 0.50 |" in " ".join(text.split())
    assert "| 8 columns: culprit first " in text
    assert json.loads(json.dumps(report(cases).data))["cases"][0]["ranks"] == [1, 4]


def test_a_quick_run_is_kept(program: Program, tmp_path: Path) -> None:
    command = ("bench", "columns", "--quick", "--set", "detector=windowed_gaussian", "--out", "out")
    done = program(*command)
    assert done.code == 0, done.err
    lines = (tmp_path / "out/cases.jsonl").read_text()
    assert lines.count("\n") == len(KINDS)
    assert program(*command).out == done.out
    assert (tmp_path / "out/cases.jsonl").read_text() == lines
