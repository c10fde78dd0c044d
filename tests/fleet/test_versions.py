"""A stream takes up another model without a stop: what judged a series goes on until the series is known to the new one."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet.conftest import Local
from fleet.test_bucket import normal
from fleet.test_processor import judged, shared
from fleet.test_query import follow, found
from helpers.fleet import lines_of, write_files
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql.streaming.tws_tester import TwsTester

from autoencoder.core.errors import ResumeError
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import Bucket
from autoencoder.fleet.processor import FleetProcessor
from autoencoder.models import SavedModel

BRIDGE = 100  # points of a series that say what is usual for it: ``NEWCOMERS`` of the conftest
CHANGE = 1200  # the row before which the model changes; 100 of each series come before


def changed(local: Local, cuts: list[int], reloads: set[int], second: int = 10**9) -> pa.Table:
    """Detections where the model changes at the row ``CHANGE``, and back at ``second``; the bucket is made again before some pieces."""
    table = normal(pq.read_table(local.folder / "rows.parquet"))
    kits, bucket, parts = {name: local.kit(model=name) for name in ("model", "other")}, Bucket(local.kit()), []
    pieces: list[bytes] = []
    cuts = sorted({0, CHANGE, *cuts, *([second] if second < len(table) else []), len(table)})
    for place, (start, end) in enumerate(itertools.pairwise(cuts)):
        if place in reloads and pieces:
            bucket = Bucket(bucket.kit, pieces)
        if start in (CHANGE, second):
            bucket.take_up(kits["other" if start == CHANGE else "model"])
        parts.append(bucket.process(table.slice(start, end - start))[0][rows.DETECTIONS])
        whole = bucket.is_worth_a_whole_piece
        pieces = bucket.pieces(whole=True) if whole else [*pieces, *bucket.pieces()]
    return pa.concat_tables(parts)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(cuts=st.lists(st.integers(0, 2880), max_size=6), reloads=st.sets(st.integers(0, 8)))
def test_cuts_and_reloads_change_nothing_about_a_change(quick: Local, cuts: list[int], reloads: set[int]) -> None:
    assert lines_of(changed(quick, cuts, reloads)) == lines_of(changed(quick, [], set()))


@pytest.mark.slow
@pytest.mark.parametrize("second", [10**9, 1800])  # by then no series knows the other model
def test_series_go_on_until_they_are_known_to_the_other_model(local: Local, second: int) -> None:
    whole = lines_of(changed(local, [], set(), second))
    assert lines_of(changed(local, [700, 1500, 2500], {1, 2, 3, 4, 5}, second)) == whole
    for name, lines in local.lines.items():
        known = CHANGE // 12 + (BRIDGE if name != "s5" else 0)  # that series was a newcomer, and has gathered its points already
        assert whole[name][:known] == lines[:known]
        assert whole[name][known:] != lines[known:]
        assert len(whole[name]) == len(lines)


def test_the_processor_follows_the_model_of_the_batch(quick: Local, tmp_path: Path) -> None:
    table = normal(pq.read_table(quick.folder / "rows.parquet"))
    first, second = quick.kit(), quick.kit(model="other")
    kits = shared(tmp_path, first, second)
    tester = TwsTester(FleetProcessor(kits))
    parts = [judged(tester, table.slice(0, CHANGE))[0]]
    token, pieces = tester.peekValueState("token", 3), list(tester.peekListState("pieces", 3))
    kits.chosen = second.model.digest
    judged(tester, table.slice(CHANGE, 600))  # fails then
    tester.updateValueState("token", 3, token)
    tester.updateListState("pieces", 3, pieces)
    for start, count, reloaded in ((CHANGE, 600, True), (CHANGE + 600, 1080, False)):
        detections, report = judged(tester, table.slice(start, count))
        parts.append(detections)
        assert report["reloaded"] == reloaded
    assert lines_of(pa.concat_tables(parts)) == lines_of(changed(quick, [], set()))


def versions_of(spark: Any, local: Local, place: Path, told: list[str]) -> Any:
    """The models of a stream whose model lies in ``place``."""
    from autoencoder.fleet.versions import Versions

    kit, folder = local.kit(), place / "model"
    read = lambda: SavedModel.read(folder, kit.config.detector)  # noqa: E731
    return Versions(spark, str(place / "checkpoint"), read, folder, lambda model: replace(kit, model=model), told.append)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stream_takes_up_what_took_the_place_of_its_model(spark: Any, local: Local, tmp_path: Path) -> None:
    from autoencoder.fleet import versions

    def change(name: str) -> None:
        shutil.copytree(local.folder / name, tmp_path / "draft")
        assert versions.take_place(tmp_path / "model", tmp_path / "draft", local.kit().config.detector)

    table, told, source = pq.read_table(local.folder / "rows.parquet"), [], tmp_path / "in"
    write_files(source, table.slice(0, CHANGE), 1)
    for number, (start, end) in enumerate([(CHANGE, 2000), (2000, 2400)], 1):
        pq.write_table(table.slice(start, end - start), source / f"{number}.parquet")
        os.utime(source / f"{number}.parquet", (number, number))
    shutil.copytree(local.folder / "model", tmp_path / "model")
    after = {0: lambda: change("other")}
    go_on = partial(follow, spark, local, source, tmp_path, buckets=2, files=1)
    go_on(versions=versions_of(spark, local, tmp_path, told), after=lambda batch: after.get(batch, lambda: None)())
    assert len(told) == 1 and told[0].startswith("batch 1: the model of digest")
    assert lines_of(found(tmp_path)) == {name: lines[:200] for name, lines in lines_of(changed(local, [], set())).items()}

    for path in (tmp_path / "checkpoint" / "commits").glob("*2*"):
        path.unlink()  # as a kill would have left it
    change("model")  # which that batch is not to be judged by, as it was tried before
    pq.write_table(table.slice(2400), source / "3.parquet")
    assert len(go_on(versions=versions_of(spark, local, tmp_path, told))) == 2
    assert len(told) == 2 and told[1].startswith("batch 3: ")
    assert lines_of(found(tmp_path)) == lines_of(changed(local, [], set(), second=2400))


@pytest.mark.slow
def test_a_model_that_took_no_place_is_refused(spark: Any, quick: Local, tmp_path: Path) -> None:
    told: list[str] = []
    shutil.copytree(quick.folder / "model", tmp_path / "model")
    versions = versions_of(spark, quick, tmp_path, told)
    versions.begin(quick.model())
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(quick.folder / "other", tmp_path / "model")
    (tmp_path / "model" / "lineage.json").write_text('["0123", "4567"]')
    for batch in range(3):
        versions.choose(batch)
    assert len(told) == 1 and "the stream goes on with the model that it has" in told[0] and "--model" in told[0]
    with pytest.raises(
        ResumeError, match=r"begun with a model of digest .* did not take its place; give that one, or begin anew"
    ):
        versions_of(spark, quick, tmp_path, told).begin(quick.model("other"))
