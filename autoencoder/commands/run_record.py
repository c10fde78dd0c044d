"""Run record: what a run folder says of its run, so that it can be gone through again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoencoder.core.events import DRIFT, PROMOTED
from autoencoder.core.types import Detections
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import GAPS
from autoencoder.reports.run_folder import ADAPTATIONS, read_metrics
from autoencoder.reports.scores_csv import series_name


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run folder says of its run, beside its settings."""

    series: Mapping[str | None, Detections]  # by name as in scores.csv; None where the run has one
    is_zoned: bool  # its times are in UTC; else they carry no zone
    adopted: Mapping[str | None, Sequence[int]]  # rows after which a model judged that has learnt a change
    gaps: Mapping[str | None, Mapping[str, int]]  # ``GAPS`` in points, of each series; empty where the folder does not say
    anomalies: Mapping[str | None, Sequence[tuple[int, int]]] | None  # first and last rows of those known; None: nothing is known


def read_record(folder: Path, series: Mapping[str | None, Detections]) -> RunRecord:
    """What a folder says of the run with these rows; one that was killed leaves no metrics.json, and nothing of it is known then."""
    metrics = read_metrics(folder)
    gaps: dict[str | None, dict[str, int]] = {}
    anomalies: dict[str | None, list[tuple[int, int]]] | None = None
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        found: Any = metrics["incidents"]
        others: dict[Any, Any] = {series_name(name): each for name, each in found.get("series", {}).items()}
        gaps = {name: {key: int(others.get(name, found)[key]) for key in GAPS} for name in series}
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        entries = metrics["known_anomalies"]
        anomalies = {
            None if each["series"] is None else series_name(each["series"]): [
                (int(first), int(last)) for first, last in each["rows"]
            ]
            for each in entries
        }
    is_zoned = bool(dict(metrics.get("source") or {}).get("timezone"))
    return RunRecord(series, is_zoned, _adopted(folder), gaps, anomalies)


def _adopted(folder: Path) -> dict[str | None, list[int]]:
    """What adaptations.jsonl says."""
    adopted: dict[str | None, list[int]] = {}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError), open_inside(folder / ADAPTATIONS) as file:
        for event in map(json.loads, file):
            if event["event"] == PROMOTED and event.get("reason") == DRIFT:
                name = event.get("series")
                adopted.setdefault(None if name is None else series_name(name), []).append(int(event["row"]))
    return adopted
