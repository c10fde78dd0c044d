"""scores.csv and incidents.jsonl: what is written, in which form, and that it can be read back."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.detections import HOSTILE, scored, with_gaps
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError, ResumeError, RunError
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import Incident
from autoencoder.reports.scores_csv import ResultWriter, header, read_scores, rows_text, series_field
from autoencoder.reports.sinks import Batch

quick = settings(deadline=None, max_examples=50, derandomize=True)


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def statuses(folder: Path) -> list[tuple[int, str, int]]:
    found = map(json.loads, (folder / "incidents.jsonl").read_text().splitlines())
    return [(line["id"], line["status"], line["n_points"]) for line in found]


# --- rows ---


def test_unknown_fields_are_empty_and_columns_are_fields() -> None:
    lines = parsed(rows_text(with_gaps([False, False, True, False, False]), "Z"))
    assert header(("cpu",)) == ["time", "value", "prediction", "error", "threshold", "score", "anomaly"]
    assert lines[0] == ["2024-01-01T00:00:00Z", "100.0", "", "", "", "", "0"]
    assert lines[2] == ["2024-01-01T02:00:00Z", repr(100 + 2 / 3), "100.166667", "1.1", "0.5", "0.5", "1"]
    assert lines[4] == ["2024-01-01T04:00:00Z", "", "", "", "", "", "0"]
    names = header(("cpu", 'odd, "name"\n'))
    assert names[1:5] == ["value_cpu", "value_odd_ _name__", "prediction_cpu", "prediction_odd_ _name__"]
    assert len(parsed(",".join(names))) == 1
    lines = parsed(rows_text(with_gaps([False] * 4, columns=2, dated=False), ""))
    assert [(line[0], len(line)) for line in lines] == [(row, len(names)) for row in "0123"]


@quick
@given(values=st.lists(st.floats(allow_infinity=False), min_size=1, max_size=40))
def test_values_come_back_bit_for_bit(values: list[float]) -> None:
    nothing, column = np.full(len(values), np.nan), np.array(values)[:, None]
    whole = Detections(np.arange(len(values)), column, column * np.nan, nothing, nothing, nothing, nothing == 0)
    back = [float(line[1]) if line[1] else math.nan for line in parsed(rows_text(whole, ""))]
    assert back == pytest.approx(values, nan_ok=True, rel=0, abs=0)


@quick
@given(st.text(max_size=12), st.text(max_size=12))
def test_a_series_name_is_one_field_of_plain_text(one: str, other: str) -> None:
    ((field,),) = csv.reader([series_field(one) or '""'])
    assert field.isprintable() and not set(field) & set(";|")
    assert field[:1] not in ("=", "+", "@")
    assert (series_field(one) == series_field(other)) == (one == other)


# --- writing ---


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    writer = ResultWriter(tmp_path, ("value",), "Z")
    whole = with_gaps([False, False, True, True, False, False])
    for start in range(0, 6, 2):
        writer.write(Batch(whole[start : start + 2]))
        assert len((tmp_path / "scores.csv").read_text().splitlines()) == 3 + start  # there at once
    writer.close()
    back = read_scores(tmp_path)
    np.testing.assert_array_equal(back.time, whole.time)
    np.testing.assert_array_equal(back.values, whole.values)
    np.testing.assert_allclose(back.predictions, whole.predictions, rtol=1e-8)
    np.testing.assert_array_equal(back.anomalies, whole.anomalies)
    np.testing.assert_array_equal(read_scores(tmp_path, max_rows=2).time, whole.time[-2:])


def test_the_rows_of_a_series_are_told_from_others(tmp_path: Path) -> None:
    writer = ResultWriter(tmp_path, ("value",), "", of_many=True)
    writer.write(Batch(with_gaps([False] * (len(HOSTILE) + 1), dated=False)[:-1], series=HOSTILE))
    for row, name in enumerate(HOSTILE):
        assert read_scores(tmp_path, name).time.tolist() == [row]
    assert len(read_scores(tmp_path)) == len(HOSTILE)


def test_several_open_incidents_stand_last(tmp_path: Path) -> None:
    one = Incident(1, "a", "a", "a", (1.0,), (0.0,), 0.5, 1, 3, 3, True, "web")
    two = replace(one, id=2, series="db")
    nothing, series = scored([0]), ["web"]
    writer = ResultWriter(tmp_path, ("value",), "", of_many=True)
    writer.write(Batch(nothing, [], [one, two], series=series))
    writer.write(Batch(nothing, [], [replace(one, n_points=2), two], series=series))
    assert statuses(tmp_path) == [(1, "open", 2), (2, "open", 1)]
    writer.write(Batch(nothing, [two], [one], series=series))
    assert statuses(tmp_path) == [(2, "closed", 1), (1, "open", 1)]
    writer.flush()
    kept = writer.sizes
    writer.write(Batch(nothing, [one], [replace(one, id=3)], series=series))
    writer.close(resumable=True)
    assert statuses(tmp_path) == [(2, "closed", 1), (1, "closed", 1), (3, "open", 1)]

    again = ResultWriter(tmp_path, ("value",), "", kept, of_many=True)
    again.write(Batch(scored([]), [], [one], series=[]))
    assert statuses(tmp_path) == [(2, "closed", 1), (1, "open", 1)]
    again.close([one])
    assert statuses(tmp_path) == [(2, "closed", 1), (1, "closed", 1)]
    assert len(read_scores(tmp_path)) == 3


def test_files_that_are_not_those_of_the_run_are_refused(tmp_path: Path) -> None:
    scores, secret = tmp_path / "scores.csv", tmp_path / "secret"
    secret.write_bytes(b"mine")
    for make in (lambda: scores.symlink_to(secret), lambda: os.mkfifo(scores)):
        make()
        with pytest.raises(ResumeError, match=r"scores\.csv is a link, or no file"):
            ResultWriter(tmp_path, ("value",), "")
        scores.unlink()
    assert secret.read_bytes() == b"mine"
    ResultWriter(tmp_path, ("value",), "").close()
    with pytest.raises(ResumeError, match="fewer than its checkpoint says"):
        ResultWriter(tmp_path, ("value",), "", (9999, 0))


def test_a_folder_that_was_moved_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    writer = ResultWriter(tmp_path / "run", ("value",), "")
    writer.flush()
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="was moved or removed"):
        writer.flush()


@pytest.mark.parametrize("content", ["", "a,b\n1\n", "time,value\n1,x\n", "time,value,error\n1,2\n", "time\n\xff\n"])
def test_scores_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "scores.csv").write_text(content, encoding="latin-1")
    with pytest.raises(ModelFileError, match=r"scores\.csv cannot be read"):
        read_scores(tmp_path)
