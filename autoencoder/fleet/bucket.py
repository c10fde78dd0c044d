"""Bucket: some of the series, as a panel that is kept between batches, and the pieces from which it is made again."""

from __future__ import annotations

import json
import math
import sys
import uuid
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoencoder.config import Config
from autoencoder.core.detector import Detector
from autoencoder.core.pieces import CODEC, put_together, take_apart
from autoencoder.core.types import Bools
from autoencoder.factory.detectors import make_detector, make_newcomer
from autoencoder.factory.rules import settings_of
from autoencoder.factory.runs import make_panel
from autoencoder.fleet import rows
from autoencoder.fleet.notes import gather
from autoencoder.fleet.rows import Points
from autoencoder.models import LONE, SavedModel
from autoencoder.newcomer import FOLLOWS, Newcomer
from autoencoder.panel.panel import Panel
from autoencoder.panel.series import Series
from autoencoder.reports.incidents import Incident, time_text
from autoencoder.reports.sinks import Batch
from autoencoder.sources.chunk import Chunk, HandedOver

FORMAT = 6  # of pieces; raised when their meaning changes
READABLE = (4, 5, FORMAT)
REPLAYED = 32  # most rows of a series that are kept instead of its state: to judge them again takes about as long as to read one
SLACK = 2.0  # bytes of pieces for each of the whole one, beyond which another whole one takes their place
EMPTY_SHARE = 0.5  # of the rows of a batch without any value, beyond which that is told
LEAST_BYTES = 1 << 20  # of pieces that are worth the effort
BEFORE = np.iinfo(np.int64).min  # the time of the newest row where there is none
# of a series its name, why it is left out, the time of its newest row, and its state; of a large array in states its digest and content
_STATES = pa.schema({"name": pa.string(), "text": pa.string(), "newest": pa.int64(), "content": pa.large_binary()})


@dataclass(frozen=True)
class Kit:
    """What a worker needs to judge series.

    Attributes:
        config: settings.
        columns: names of the F columns of values.
        model: with which series begin; a stream may have one after the other.
        max_series: of a bucket; rows of more are rejected.
        key: tells the buckets of one query from those of others in the same process.
    """

    config: Config
    columns: tuple[str, ...]
    model: SavedModel
    max_series: int
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @cached_property
    def contents(self) -> dict[str, bytes]:
        """The large arrays of the model, by their digests, which no bucket needs to keep."""
        found: dict[str, bytes] = {}
        shared = {key: part for key, part in self.model.state.items() if key not in ("series", LONE)}
        for older in (False, True):  # as checkpoints up to format 5 name them, too
            take_apart(shared, lambda digest, content: found.setdefault(digest, content()), older=older)
        return found

    def panel(self, notes: list[str]) -> Panel:
        """A panel without series; ``notes`` takes what there is to tell of some."""
        source = HandedOver("the fleet", self.columns, "UTC", has_series=True)
        panel = make_panel(self.config, source, self.model, notes.append, adapts=False)
        panel.max_warnings = sys.maxsize
        return panel


class Bucket:
    """A panel of the bucket's series, and the pieces that say what it remembers.

    A piece holds states of series, or rows that came after them, which are judged again when a bucket is made from its pieces: a state is
    much to write for few rows. Each series has its turn, so that about as many states are written with each batch.
    """

    def __init__(self, kit: Kit, pieces: Iterable[bytes] = ()) -> None:
        self.kit = kit
        self._notes: list[str] = []
        self.panel = kit.panel(self._notes)
        self._newest: dict[str, int] = {}  # time of each series' newest row
        self._kept: set[str] = set()  # digests of the large arrays that are in pieces
        self._since: dict[str, int] = {}  # rows of each series since its state was saved
        self._unsaved: list[Points] = []  # since the newest piece
        self.state_bytes = self._whole_bytes = 0  # of all pieces since the last whole one, and of that one
        self._load(pieces)

    def __len__(self) -> int:
        return len(self.panel)

    # --- points ---

    def process(self, table: pa.Table) -> tuple[dict[str, pa.Table], dict[str, object]]:
        """Rows as ``query.normalise`` makes them -> tables of what became of them by kind, and the figures of a report."""
        is_bad = pc.is_valid(table["reason"])
        bad, points = table.filter(is_bad), Points.of(table.filter(pc.invert(is_bad)), len(self.kit.columns))
        rejected = list(zip(bad["reason"].to_pylist(), bad["row"].to_pylist(), strict=True))
        for find, reason in ((self._has_room, "too many series"), (self._is_new, "not after the newest row of its series")):
            kept = find(points)
            rejected += [(reason, text) for text in self._texts(points.where(~kept))]
            points = points.where(kept)
        batch, names = self._judge(points)
        found = {
            rows.DETECTIONS: rows.detections_table(batch.detections, names, self.kit.columns),
            rows.INCIDENTS: rows.incidents_table(*self._incidents(batch, set(names))),
            rows.REJECTED: rows.rejected_table([reason for reason, _ in rejected], [text for _, text in rejected]),
        }
        if np.count_nonzero(np.isnan(points.values).all(axis=1)) > EMPTY_SHARE * len(points.time):
            self._notes.append(f"of {len(points.time):,} rows that came together most have no value: was a column renamed?")
        notes, newest = gather((note, 1) for note in self._notes), int(points.time.max()) if len(points.time) else None
        self._notes.clear()
        return found, {**{kind: len(each) for kind, each in found.items()}, "series": len(self), "newest": newest, "notes": notes}

    def _has_room(self, points: Points) -> Bools:
        """Which points (N,) are of a series that is known, or for which there is room."""
        room, known = self.kit.max_series - len(self), np.ones(len(points.names), bool)
        for place, name in enumerate(points.names):
            if name not in self._newest:
                known[place] = room > 0
                room -= 1
        return known[points.series]

    def _is_new(self, points: Points) -> Bools:
        """Which points (N,) come after all before them in their series."""
        newest = np.array([self._newest.get(name, BEFORE) for name in points.names], np.int64)
        is_first = np.diff(points.series, prepend=-1) > 0
        is_later = np.diff(points.time, prepend=BEFORE) > 0
        return (is_first | is_later) & (points.time > newest[points.series])

    def _texts(self, points: Points) -> list[str]:
        """Points as JSON text."""
        times = time_text(points.time.astype("datetime64[us]"), "Z")
        values = [[None if math.isnan(value) else value for value in row] for row in points.values.tolist()]
        each = zip(points.series.tolist(), times, values, strict=True)
        return [
            json.dumps({"series": points.names[place], "time": moment, **dict(zip(self.kit.columns, row, strict=True))})
            for place, moment, row in each
        ]

    def _judge(self, points: Points) -> tuple[Batch, list[str]]:
        """What became of points (N,), and the names of their series (N,)."""
        time = points.time.astype("datetime64[us]").astype("datetime64[ns]")
        batch = self.panel.process(Chunk(time, points.values, series=points.series), points.names)
        self._unsaved.append(points)
        last = np.flatnonzero(np.diff(points.series, append=-1))
        counts = np.diff(last, prepend=-1)
        for place, newest, count in zip(points.series[last].tolist(), points.time[last].tolist(), counts.tolist(), strict=True):
            name = points.names[place]
            self._newest[name] = newest
            self._since[name] = self._since.get(name, 0) + count
        return batch, [points.names[place] for place in points.series.tolist()]

    def _incidents(self, batch: Batch, names: set[str]) -> tuple[list[Incident], list[Incident]]:
        """The incidents of a batch that ended, and that go on in series of these names, numbered by the rows that they began with."""
        going_on = [each for each in batch.open if each.series in names]
        closed, is_open = ([replace(each, id=each.first_row + 1) for each in some] for some in (batch.closed, going_on))
        return closed, is_open

    # --- another model ---

    def take_up(self, kit: Kit) -> None:
        """Go on with another model: what judges a series goes on until its next points have said what is usual for it with that one."""
        before, self.kit, self.panel = self.panel, kit, kit.panel(self._notes)
        for old in before:
            one = self._follow(old.name, old.detector)
            self.panel.restore(old.name, {**old.state(), "detector": one.detector.state()}, {}, old.left_out)
        self.state_bytes = self._whole_bytes = 0

    def _follow(self, name: str | None, before: Detector | None) -> Series:
        """A series as one that is to learn what is usual for itself, and is judged by a detector from ``before`` meanwhile."""
        one = self.panel.add(name)
        detector = one.detector
        if not isinstance(detector, Newcomer):
            detector = make_newcomer(settings_of(self.kit.config, name), detector.current, name)
        if before:
            detector.follow(before)
        one.detector, one.start = detector, None
        return one

    # --- memory ---

    def pieces(self, *, whole: bool = False) -> list[bytes]:
        """What the newest pieces do not say, or all that is remembered: one piece at least, as Spark keeps no empty list."""
        due = [name for name in self._newest if whole or self._since[name] > REPLAYED]
        left = [points.where(~np.isin(points.names, due)[points.series]).table() for points in self._unsaved]
        tables = [self._states(due, whole=whole), *left]
        self._since |= {name: _turn(name) if whole else 0 for name in due}
        self._unsaved.clear()
        pieces = [rows.to_bytes(table, CODEC) for table in tables if len(table)] or [rows.to_bytes(_STATES.empty_table())]
        for piece in pieces:
            self._count(piece, is_first=whole)
        return pieces

    def _states(self, names: Sequence[str], *, whole: bool) -> pa.Table:
        kept = set[str]() if whole else self._kept
        saved: list[dict[str, object]] = []

        def put(digest: str, content: Callable[[], bytes]) -> None:
            if digest not in kept and digest not in self.kit.contents:
                kept.add(digest)
                saved.append({"text": digest, "content": content()})

        for name in names:
            one = self.panel[name]
            state = take_apart(one.state(), put, 0)  # compressed with those of all
            saved.append({"name": name, "text": one.left_out, "newest": self._newest[name], "content": state})
        self._kept = kept
        return pa.Table.from_pylist(saved, _STATES)

    def _count(self, piece: bytes, *, is_first: bool) -> None:
        if is_first or not self.state_bytes:
            self.state_bytes, self._whole_bytes = 0, len(piece)
        self.state_bytes += len(piece)

    @property
    def is_worth_a_whole_piece(self) -> bool:
        """Whether another model was taken up, or the pieces have become so much more than the first one that much may be outdated."""
        return not self._whole_bytes or self.state_bytes > max(LEAST_BYTES, SLACK * self._whole_bytes)

    def _load(self, pieces: Iterable[bytes]) -> None:
        contents = dict(self.kit.contents)
        latest: dict[str, tuple[str, bytes]] = {}
        to_judge: list[pa.Table] = []
        for piece in pieces:
            self._count(piece, is_first=False)
            table = rows.from_bytes(piece)
            if table.schema != _STATES:
                to_judge.append(table)
                continue
            for row in table.to_pylist():
                if row["name"] is None:
                    contents[row["text"]] = row["content"]
                    self._kept.add(row["text"])
                else:
                    self._newest[row["name"]] = row["newest"]
                    latest[row["name"]] = row["text"], row["content"]
        for name, (left_out, content) in latest.items():
            state = put_together(content, contents.__getitem__, f"series {name!r:.60} of the checkpoint")
            detector = state["detector"]
            if isinstance(detector, dict) and "own" in detector:
                settings = settings_of(self.kit.config, name)
                self._follow(name, make_detector(settings, 1) if FOLLOWS in detector else None)
            self.panel.restore(name, state, self.kit.model.files, left_out)
        self._since = {name: _turn(name) for name in self._newest}
        for points in (Points.of(table, len(self.kit.columns)) for table in to_judge):
            self._judge(points.where(self._is_new(points)))  # those after the states
        self._unsaved.clear()
        self._notes.clear()


def _turn(name: str) -> int:
    """Rows of a series that count as judged since its state was saved, so that not all have their turn at once."""
    return zlib.crc32(name.encode()) % REPLAYED
