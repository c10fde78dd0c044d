"""A bucket judges series as one machine does, however its rows are cut and however often it is made again from its pieces."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fleet.conftest import Local, known
from helpers.fleet import TRAINING, lines_of, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import REPLAYED, Bucket


def normal(table: pa.Table) -> pa.Table:
    """Rows as Spark hands them to a bucket."""
    return pa.table(
        {
            "series": table["series"],
            "time": table["time"].cast(pa.int64()),
            "value_0": table["value"],
            "reason": pa.nulls(len(table), pa.string()),
            "row": pa.nulls(len(table), pa.string()),
        }
    )


def only(table: pa.Table, *names: str) -> pa.Table:
    """The rows of series of these names."""
    return table.filter(pc.is_in(table["series"], pa.array(names)))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(data=st.data())
def test_cuts_and_reloads_change_nothing(quick: Local, data: st.DataObject) -> None:
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=8), label="cuts"))
    bucket, pieces, found = Bucket(quick.kit()), [], []
    newest: dict[tuple[str, int], dict[str, Any]] = {}  # what was told last of an incident
    for start, end in zip([0, *cuts], [*cuts, len(table)], strict=True):
        shuffled = table.slice(start, end - start).take(np.random.default_rng(start).permutation(end - start))
        judged, _ = bucket.process(shuffled)
        found.append(judged[rows.DETECTIONS])
        for each in map(json.loads, judged[rows.INCIDENTS]["incident"].to_pylist()):
            newest[each["series"], each["first_row"]] = each
        whole = data.draw(st.booleans(), label="whole")
        pieces = bucket.pieces(whole=True) if whole else [*pieces, *bucket.pieces()]
        if data.draw(st.booleans(), label="reload"):
            bucket = Bucket(quick.kit(), pieces)
    assert lines_of(pa.concat_tables(found)) == quick.lines
    assert {known(each) for each in newest.values()} == quick.incidents


def test_what_was_not_saved_is_judged_again(quick: Local) -> None:
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    half = len(table) // 2
    bucket = Bucket(quick.kit())
    first, _ = bucket.process(table.slice(0, half))
    pieces = bucket.pieces()
    bucket.process(table.slice(half))  # whose worker is killed
    again, _ = Bucket(quick.kit(), pieces).process(table.slice(half))
    assert lines_of(pa.concat_tables([first[rows.DETECTIONS], again[rows.DETECTIONS]])) == quick.lines


@pytest.mark.slow
def test_what_a_point_changes_is_small(local: Local) -> None:
    table = normal(pq.read_table(local.folder / "rows.parquet"))
    bucket, number = Bucket(local.kit()), REPLAYED + 1
    last = len(table) - 12 * number  # a row of each series
    bucket.process(table.slice(0, last))
    [first], sizes, states = bucket.pieces(whole=True), [], 0
    for start in range(last, len(table), 12):
        bucket.process(table.slice(start, 12))
        pieces = bucket.pieces()
        sizes.append(sum(map(len, pieces)))
        states += sum("content" in rows.from_bytes(piece).schema.names for piece in pieces)
    assert sum(sizes) / number < min(12 * 500, len(first) / 10)
    assert 5 <= states < number  # the series have their turns


def test_late_and_doubled_rows_are_rejected_and_change_nothing(quick: Local) -> None:
    table = normal(only(pq.read_table(quick.folder / "rows.parquet"), "s1", "s2"))
    bucket = Bucket(quick.kit())
    first, _ = bucket.process(pa.concat_tables([table.slice(0, 200), table.slice(10, 3)]))
    second, report = bucket.process(pa.concat_tables([table.slice(200), table.slice(50, 7)]))
    assert [len(each[rows.REJECTED]) for each in (first, second)] == [3, 7]
    assert set(second[rows.REJECTED]["reason"].to_pylist()) == {"not after the newest row of its series"}
    late = json.loads(second[rows.REJECTED]["row"][0].as_py())
    assert late["series"] == "s1" and late["time"].startswith("2024-03-01T05:2")
    assert report["rejected"] == 7
    found = lines_of(pa.concat_tables([first[rows.DETECTIONS], second[rows.DETECTIONS]]))
    assert found == {name: quick.lines[name] for name in ("s1", "s2")}


def test_rows_that_cannot_be_read_are_handed_on(quick: Local) -> None:
    table = normal(table_of(TRAINING, TRAINING + 1))
    nothing = {"series": pa.nulls(1, pa.string()), "time": pa.nulls(1, pa.int64()), "value_0": pa.nulls(1, pa.float64())}
    bad = pa.table({**nothing, "reason": ["no time"], "row": ['{"series":"s1"}']})
    found, report = Bucket(quick.kit()).process(pa.concat_tables([table, bad]))
    assert found[rows.REJECTED].to_pylist() == [{"reason": "no time", "row": '{"series":"s1"}'}]
    assert report["detections"] == len(table)


def test_series_beyond_the_limit_are_rejected_and_the_others_go_on(quick: Local) -> None:
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    bucket = Bucket(quick.kit(max_series=2))
    found, report = bucket.process(only(table, "s1", "s2"))
    more, _ = bucket.process(only(normal(table_of(TRAINING + 240, TRAINING + 241)), "s1", "s2", "s3"))
    assert lines_of(found[rows.DETECTIONS]) == {name: quick.lines[name] for name in ("s1", "s2")}
    assert more[rows.REJECTED]["reason"].to_pylist() == ["too many series"]
    assert report["series"] == 2 and len(more[rows.DETECTIONS]) == 2


def test_a_model_of_other_columns_is_refused(quick: Local) -> None:
    kit: Any = quick.kit(columns=("value", "other"))
    with pytest.raises(ModelFileError, match="was trained on 1 column"):
        Bucket(kit)
