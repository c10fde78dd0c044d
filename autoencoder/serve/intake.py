"""Intake: the points of a request become an answer: what is new is judged, what was sent again gets the answer of then."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoencoder.config.schema import Serve
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import time_text
from autoencoder.reports.scores_csv import header
from autoencoder.serve import journal
from autoencoder.serve.journal import Key
from autoencoder.serve.points import Points, Refusal, name_text
from autoencoder.serve.source import RequestSource

Known = dict[Key, Detections]  # rows of scores.csv


@dataclass(eq=False)
class Intake:
    """Takes the points of requests, all of one or none.

    A point whose series has a newer one, or that very one, is looked up in scores.csv: sent again with the same values, it is answered as
    it was, and not taken twice.
    """

    source: RequestSource  # judges what is new
    folder: Path  # of the run
    limits: Serve  # most points that may wait, and most series

    def __post_init__(self) -> None:
        self.header = header(self.source.columns, of_many=True)

    async def take(self, points: Points) -> bytes:
        """The answer to a request, as JSON. Raises Refusal: a point that came too late, too many series, too much that waits."""
        source, known = self.source, Known()
        times = self._times(points)
        keys = list(zip(points.series, times, strict=True))
        while old := {key for key in keys if key not in known and key[1] <= source.accepted.get(key[0], key[1] - 1)}:
            await source.settled()  # what is under way stands in scores.csv then
            known |= await asyncio.to_thread(journal.find, self.folder, self.header, old)
            self._require_same(points, keys, old, known)
        new = [row for row, key in enumerate(keys) if key not in known]
        rows: dict[int, str] = {}
        if new:
            self._require_room(points, new)
            names = [points.series[row] for row in new]
            detections = await source.submit(names, [times[row] for row in new], [points.values[row] for row in new])
            rows = dict(zip(new, record_texts(self.header, detections, names, is_seen=False), strict=True))
        if seen := [row for row, key in enumerate(keys) if key in known]:
            detections = Detections.concatenate([known[keys[row]] for row in seen])
            texts = record_texts(self.header, detections, [points.series[row] for row in seen], is_seen=True)
            rows |= zip(seen, texts, strict=True)
        return answer([rows[row] for row in range(len(keys))])

    def _times(self, points: Points) -> list[int]:
        """The times of points; where they have none, that of the server, and a nanosecond later for each further point of a series."""
        if given := [moment for moment in points.times if moment is not None]:
            return given
        newest, now, times = dict[str, int](), time.time_ns(), []
        for name in points.series:
            newest[name] = max(now, newest.get(name, self.source.accepted.get(name, 0)) + 1)
            times.append(newest[name])
        return times

    def _require_same(self, points: Points, keys: list[Key], old: set[Key], known: Known) -> None:
        """Refuse points that came too late, or that had other values when they came first."""
        for row, key in enumerate(keys):
            if key not in old:
                continue
            place, found = points.places[row], known.get(key)
            if found is None:
                (last,) = time_text(np.array([self.source.accepted[key[0]]], "datetime64[ns]"), "Z")
                what = f"its series has points up to {last} and none of this time; send points in ascending order"
                raise points.refusal(place, what, 409)
            before = found.values[0].tolist()
            if not np.array_equal(before, points.values[row], equal_nan=True):
                was = "/".join(map(repr, before))
                raise points.refusal(place, f"its time came before with the value {was}; send each time of a series once", 409)

    def _require_room(self, points: Points, new: list[int]) -> None:
        accepted, limits = self.source.accepted, self.limits
        if (waiting := self.source.waiting) + len(new) > limits.max_waiting:
            raise Refusal(429, f"{waiting:,} points wait to be judged; send the request again in a moment, or less at a time")
        others = {points.series[row] for row in new} - accepted.keys()
        if len(accepted) + len(others) > limits.max_series:
            row = next(row for row in new if points.series[row] in others)
            what = f"its series is new, and there are {len(accepted):,}; at most serve.max_series are taken"
            raise points.refusal(points.places[row], what, 409)


def answer(records: Sequence[str]) -> bytes:
    """The answer that holds these records."""
    return f'{{"detections":[{",".join(records)}]}}'.encode()


def record_texts(names: list[str], detections: Detections, series: Sequence[str], *, is_seen: bool) -> list[str]:
    """A JSON object for each of N rows of ``series`` (N,), with the columns and digits of scores.csv; NaN is null.

    ``is_seen`` says that they were judged before.
    """
    width = detections.values.shape[1]
    kinds = ["%r"] * width + ["%.9g"] * (width + 3)
    keys = (json.dumps(name).replace("%", "%%") for name in names[1:-2])
    form = ",".join(f"{key}:{kind}" for key, kind in zip(keys, kinds, strict=True))
    numbers = "\n".join([form % row for row in zip(*(column.tolist() for column in detections.numbers), strict=True)])
    for unknown in (":nan", ":inf", ":-inf"):
        numbers = numbers.replace(unknown, ":null")
    rows = zip(series, time_text(detections.time, "Z"), numbers.splitlines(), detections.anomalies.tolist(), strict=True)
    end = f',"seen":{json.dumps(is_seen)}}}'
    return [
        f'{{"series":{name_text(name)},"time":"{moment}",{text},"anomaly":{"true" if flag else "false"}{end}'
        for name, moment, text, flag in rows
    ]
