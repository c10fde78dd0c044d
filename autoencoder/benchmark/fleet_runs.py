"""Measured runs for ``bench fleet``: batches on Spark, and the same in this process, of series that have seen as much as they remember."""

from __future__ import annotations

import ctypes
import io
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import cached_property, lru_cache
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoencoder.commands.train import RunOptions, train
from autoencoder.config import Config
from autoencoder.config.sources import Csv
from autoencoder.console import Console
from autoencoder.core.types import Array
from autoencoder.fleet import rows
from autoencoder.fleet.bucket import REPLAYED, Bucket, Kit
from autoencoder.models import SavedModel, save_model
from autoencoder.panel.panel import Panel
from autoencoder.reports.run_folder import RunFolder
from autoencoder.sources.chunk import Chunk

START = np.datetime64("2025-01-01", "us")
MINUTE = np.timedelta64(60, "s")
SET_CHILD_SUBREAPER = 36  # of Linux's prctl
POINTS = 40_000  # of a series, before it repeats itself
LONG = 10_000  # kinds for each point of a long season
COLUMNS = ("value",)
SCHEMA = "series string, time timestamp, value double"


# --- processor time ---


def below(pid: int) -> list[int]:
    """The processes that a process and those below it have started, and that go on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):  # the JVM starts them in any of its threads
        with suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *below(child)]
    return found


def tree_seconds() -> float:
    """Processor seconds of this process and of all below it: of Spark's JVM, its Python workers, and what these start."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what outlives a worker stays below this process
    ticks = 0
    for pid in [os.getpid(), *below(os.getpid())]:
        with suppress(OSError):  # its own, and those of children that have ended
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- series ---


@lru_cache(64)
def signal(kind: int) -> Array:
    """Values (N,) of a clean series of a kind: of its own season, size and noise; from ``LONG`` on the season is a multiple of it."""
    steps, noise = np.arange(POINTS), np.random.default_rng(kind)
    phase = 2 * np.pi * steps / (kind // LONG or 24 + 5 * (kind % 9))
    season = np.sin(phase) + 0.4 * np.sin(2 * phase)
    values: Array = (1 + kind % 7) * (10 + season + noise.normal(size=POINTS) * (0.05 + 0.02 * (kind % 5)))
    return values.round(6)


def table_of(names: Sequence[str], start: int, stop: int) -> pa.Table:
    """Rows [start, stop) of series, in order of time; ``k3-17`` is of the kind 3, whatever else is behind it."""
    kinds = [int(name.partition("-")[0][1:]) for name in names]
    values = np.stack([signal(kind).take(range(start, stop), mode="wrap") for kind in kinds], axis=1)
    times = np.repeat(START + np.arange(start, stop) * MINUTE, len(names))
    series = pa.DictionaryArray.from_arrays(np.tile(np.arange(len(names), dtype=np.int32), stop - start), list(names))
    time = pa.array(times, pa.timestamp("us", "UTC"))
    return pa.table({"series": series.cast(pa.string()), "time": time, "value": values.ravel()})


def normal(table: pa.Table) -> pa.Table:
    """The rows as a bucket takes them."""
    nothing = pa.nulls(len(table), pa.string())
    return pa.table(
        [table["series"], table["time"].cast(pa.int64()), table["value"], nothing, nothing],
        ["series", "time", "value_0", "reason", "row"],
    )


# --- models ---


def kit_of(config: Config, folder: Path, points: int, seed: int) -> Kit:
    """A kit with a network that was trained on so many points of each of 20 series."""
    folder.mkdir(parents=True)
    pq.write_table(table_of([f"k{kind}" for kind in range(1000, 1020)], 0, points), folder / "training.parquet")
    csv = Csv(path=str(folder / "training.parquet"), columns=COLUMNS, series_column="series", time_column="time")
    whole = config.training.model_copy(update={"points": None})
    chosen = config.model_copy(update={"source": "csv", "csv": csv, "seed": seed, "training": whole})
    train(chosen, RunOptions(folder / "model"), Console(io.StringIO()))
    return Kit(config, COLUMNS, SavedModel.read(folder / "model", config.detector), 1_000_000)


class CopiedModel(SavedModel):
    """A model that knows any number of series: ``k3-17`` stands where ``k3`` stood."""

    @cached_property
    def packed(self) -> dict[str, bytes]:
        """See ``SavedModel.packed``."""
        return _Copies(super().packed)


class _Copies(dict[str, bytes]):
    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.partition("-")[0], default)


def state_sizes(
    kit: Kit, names: Sequence[str], marks: Sequence[int], points: int
) -> tuple[Bucket, dict[int, tuple[float, float]]]:
    """Judge series point after point; bytes a series after each mark: of all of it, and of what each of so many next points changes."""
    bucket, sizes, begun = Bucket(kit), {}, 0
    for mark in marks:
        bucket.process(normal(table_of(names, begun, mark)))
        whole = _size(bucket.pieces(whole=True)) / len(names)
        pieces = []
        for place in range(mark, mark + points):
            bucket.process(normal(table_of(names, place, place + 1)))
            pieces.append(_size(bucket.pieces()) / len(names))
        sizes[mark], begun = (whole, float(np.mean(pieces))), mark + points
    return bucket, sizes


def _size(pieces: Sequence[bytes]) -> int:
    return sum(map(len, pieces))


def saturated(kit: Kit, bucket: Bucket, folder: Path) -> Kit:
    """The kit with a model in which series stand where those of a bucket stood, and any number of copies of them."""
    with_series = RunFolder(folder)
    save_model(with_series, kit.config.detector, bucket.panel, given=kit.model)
    with_series.close()
    saved = SavedModel.read(folder, kit.config.detector)
    return Kit(kit.config, COLUMNS, CopiedModel(saved.folder, saved.state, saved.files), kit.max_series)


# --- runs ---


def names_of(kinds: int, series: int) -> list[str]:
    """So many series of these kinds."""
    return [f"k{place % kinds}-{place}" for place in range(series)]


def in_process(kit: Kit, tables: Sequence[pa.Table]) -> tuple[list[float], float]:
    """Processor seconds of each table in a panel of this process, and the bytes that a series takes after the first."""
    panel: Panel = kit.panel([])
    seconds, before, each = [], resident_bytes(), 0.0
    for table in tables:
        began = process_time()
        names = table["series"].unique()
        place = pc.index_in(table["series"], names).to_numpy().astype(np.int64)
        time, values = table["time"].to_numpy().astype("datetime64[ns]"), table["value"].to_numpy()
        panel.process(Chunk(time, values[:, None], series=place), names.to_pylist())
        seconds.append(process_time() - began)
        each = each or (resident_bytes() - before) / len(panel)
    return seconds, each


def on_spark(
    spark: Any, kit: Kit, tables: Sequence[pa.Table], place: Path, *, streams: bool = True
) -> tuple[list[float], list[float]]:
    """Each table as a batch of a stream, or all as one table -> processor seconds of all processes, and buckets that were loaded again."""
    from autoencoder.fleet.output import BatchWriter, Output
    from autoencoder.fleet.query import judge

    for number, table in enumerate(tables):
        path = place / "in" / f"{number:04}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        os.utime(path, (number, number))
    marks, reloaded = [tree_seconds()], []

    def on_batch(figures: dict[str, Any]) -> None:
        marks.append(tree_seconds())
        reloaded.append(float(figures["reloaded"]))

    writer = BatchWriter(Output("parquet", {}, str(place / "out"), kit.key), COLUMNS, on_batch)
    if not streams:
        writer(judge(spark.read.schema(SCHEMA).parquet(str(place / "in")), kit).frame, None)
    else:
        frame = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(str(place / "in"))
        stream = judge(frame, kit).frame.writeStream.foreachBatch(writer)
        query = stream.option("checkpointLocation", str(place / "state")).trigger(availableNow=True).start()
        query.awaitTermination()
    return np.diff(marks).tolist(), reloaded


def at_once(kit: Kit, table: pa.Table, place: Path) -> list[float]:
    """Processor seconds of a table that Spark judges at once, in a process whose JVM is that of such tables."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_at_once, kit, table, place).result()


def _at_once(kit: Kit, table: pa.Table, place: Path) -> list[float]:
    from autoencoder.fleet.command import session

    spark = session(streams=False)
    try:
        for rows_, name in ((table.slice(0, 100), "first"), (table, "all")):  # the JVM has started then
            seconds, _ = on_spark(spark, kit, [rows_], place / name, streams=False)
    finally:
        spark.stop()
    return seconds


def cycle(count: int) -> int:
    """Batches of so many rows of each series in which the state of each is saved once."""
    return REPLAYED // count + 1


def by_cycle(figures: Sequence[float], count: int) -> list[float]:
    """Figures (N,) of batches of so many rows of each series -> their means by cycle."""
    means: list[float] = np.reshape(figures, (-1, cycle(count))).mean(axis=1).tolist()
    return means


def flagged_shares(kit: Kit, other: Kit | None, names: Sequence[str], edges: Sequence[int]) -> list[float]:
    """Shares of points that are flagged between edges, at the first of which another model is taken up, if there is one."""
    bucket, shares = Bucket(kit), []
    bucket.process(normal(table_of(names, 0, edges[0])))
    if other:
        bucket.take_up(other)
    for start, stop in itertools.pairwise(edges):
        judged, _ = bucket.process(normal(table_of(names, start, stop)))
        shares.append(float(np.mean(judged[rows.DETECTIONS]["anomaly"].to_numpy(zero_copy_only=False))))
    return shares
