"""Documents: one JSON text that holds a whole table, as interfaces of metric stores answer, becomes lines of csv.

A Prometheus ``query_range`` (or ``query``) answer, Graphite's and Datadog's series, CloudWatch's data points and results, an array of
objects, or an object of arrays. Where it holds several series, each row names its own by the labels in which they differ.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import preview
from autoencoder.sources.layout import opened
from autoencoder.sources.numbers import INFINITE
from autoencoder.sources.schema import ColumnSelection

HEAD_BYTES = 1 << 16  # looked at to tell a document from lines
SERIES = "series"  # name of the column that keeps series apart

Tree: TypeAlias = dict[str, Any]
Points: TypeAlias = Sequence[Sequence[Any]]  # (time, value) each


class Document(NamedTuple):
    """A table as csv, a header first, and whether its column ``SERIES`` keeps several series apart."""

    text: bytes
    has_series: bool

    def select(self, selection: ColumnSelection) -> ColumnSelection:
        """The columns that are asked for, with those of the document's own series."""
        return replace(selection, series=SERIES) if self.has_series and selection.series is None else selection


class _Series(NamedTuple):
    labels: dict[str, str]
    points: Points


def is_document(head: bytes, *, is_whole: bool) -> bool:
    """Whether a text that begins so is one document, and not a JSON object a line; ``is_whole``: nothing follows."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"["):
        return True
    if not head.startswith(b"{"):
        return False
    line, newline, rest = head.partition(b"\n")
    if not newline and not is_whole:
        return len(head) >= HEAD_BYTES
    try:
        tree = json.loads(line)
    except (ValueError, RecursionError):
        return line.rstrip().endswith((b"{", b"[", b","))  # written over many lines
    return isinstance(tree, dict) and not rest.strip() and (_is_error(tree) or "hits" in tree or _holds_table(tree))


def is_line_begun(head: bytes) -> bool:
    """Whether enough of a text has come to tell a document from lines."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return b"\n" in head or len(head) >= HEAD_BYTES or not b"{".startswith(head[:1])


def read_document(data: bytes, name: str) -> Document:
    """The table of a document.

    Raises:
        InputError: it is no JSON, an error message, or holds no table.
    """
    try:
        tree = json.loads(data)
    except RecursionError:
        raise InputError(f"{name} is a JSON document that is nested too deeply; it must hold a table") from None
    except ValueError as error:
        raise InputError(f"{name} begins as a JSON document and is none ({error}); fetch it again") from None
    if isinstance(tree, dict) and _is_error(tree):
        raise InputError(f"{name} holds an error message: {preview(str(tree.get('error')))}; correct the query and ask again")
    series = _series(tree)
    if series is not None:
        return _of_series(series, name)
    records = _records(tree)
    if not records:
        raise InputError(
            f"{name} is a JSON document without a table that is known here; give an array of objects, or one JSON object a line"
        )
    return Document(_of_records(records), has_series=False)


# --- series of points ---


def _series(tree: Any) -> list[_Series] | None:
    """The series of a document of points; None where it is of another kind."""
    match tree:
        case {"data": {"result": [*results], "resultType": "matrix" | "vector"}}:
            found = [each for each in _dicts(results) if _is_result(each)]
            return [
                _Series(_texts(each.get("metric")), each["values"] if "values" in each else [each["value"]]) for each in found
            ]
        case [{"target": _, "datapoints": [*_]}, *_]:  # Graphite
            return [_Series({"target": str(each.get("target"))}, _turned(each.get("datapoints"))) for each in _dicts(tree)]
        case {"series": [{"pointlist": [*_]}, *_]}:  # Datadog
            return [_Series({"name": _datadog_name(each)}, _lists(each.get("pointlist"))) for each in _dicts(tree["series"])]
        case [[_, _], *_]:  # as charts take them
            return [_Series({}, _lists(tree))]
        case {"MetricDataResults": [*results]}:  # CloudWatch
            return _cloudwatch(_dicts(results))
    return _pairs(tree)


def _datadog_name(each: Tree) -> str:
    """Metric and scope as Datadog writes them: system.load{host:a}."""
    metric, scope = each.get("metric"), str(each.get("scope"))
    return f"{metric}{{{scope}}}" if metric else scope


def _cloudwatch(results: Sequence[Tree]) -> list[_Series]:
    """Results, those of one query joined: a long answer comes in pages."""
    pages: dict[tuple[Any, str], list[tuple[Any, Any]]] = {}
    for place, each in enumerate(results):
        points = zip(each.get("Timestamps", []), each.get("Values", []), strict=False)
        pages.setdefault((str(each.get("Id", place)), str(each.get("Label"))), []).extend(points)
    return [_Series({"label": label}, points) for (_, label), points in pages.items()]


def _pairs(tree: Any) -> list[_Series] | None:
    """The series of an object that holds nothing but arrays of (time, value)."""
    if not isinstance(tree, dict) or not tree:
        return None
    are_pairs = all(
        isinstance(each, list) and each and all(len(point) == 2 for point in _lists(each[:1]) or [[]]) for each in tree.values()
    )
    return [_Series({"name": key}, _lists(value)) for key, value in tree.items()] if are_pairs else None


def _is_result(each: Tree) -> bool:
    return isinstance(each.get("values", each.get("value")), list)


def _of_series(series: Sequence[_Series], name: str) -> Document:
    if not any(each.points for each in series):
        raise InputError(f"{name} holds no series; the query matched nothing, or the wrong time")
    names = _names([each.labels for each in series])
    label, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(f"{name} holds {count} series named {preview(label)}; give each its own name, or ask for one of them")
    several = len(series) > 1
    header = ("timestamp", "value", SERIES) if several else ("timestamp", "value")

    def rows() -> Iterator[Sequence[object]]:
        for label, each in zip(names, series, strict=True):
            for point in _lists(each.points):
                if len(point) >= 2:
                    cells = _cell(point[0]), _value(point[1])
                    yield (*cells, label) if several else cells

    return Document(_csv(header, rows()), several)


def _names(labels: Sequence[dict[str, str]]) -> list[str]:
    """A name for each set of labels: the metric's, and the labels that not all of them share."""
    keys = dict.fromkeys(key for each in labels for key in each)
    if len(keys) == 1:
        return [text for each in labels for text in [*each.values()] or [""]]
    differ = [key for key in keys if len({each.get(key) for each in labels}) > 1] or list(keys)
    return [_name(each, [key for key in differ if key != "__name__" and key in each]) for each in labels]


def _name(labels: dict[str, str], shown: Sequence[str]) -> str:
    """A series as Prometheus writes it: up{host="a"}."""
    listed = ",".join(f"{key}={json.dumps(labels[key], ensure_ascii=False)}" for key in shown)
    return f"{labels.get('__name__', '')}{{{listed}}}"


def _value(value: object) -> str:
    text = _cell(value)
    return INFINITE if text.lstrip("+-").lower() in ("inf", "infinity") else text  # a division by zero has no value


# --- records ---


def _records(tree: Any) -> list[Tree]:
    """The objects of the array that a document is about; an object of arrays is turned into one."""
    if isinstance(tree, list):
        return _dicts(tree)
    if not isinstance(tree, dict):
        return []
    columns = {
        key: value for key, value in tree.items() if isinstance(value, list) and value and not isinstance(value[0], dict | list)
    }
    if len(columns) > 1 and len(set(map(len, columns.values()))) == 1:
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    found = [_records(value) for value in tree.values() if isinstance(value, dict | list)]
    return max(found, key=len, default=[])


def _holds_table(tree: Tree) -> bool:
    """Whether an object on one line is a document, and no row: it holds series, or an array and no number beside it."""
    if _series(tree) is not None:
        return True
    return not any(isinstance(value, int | float) for value in tree.values()) and len(_records(tree)) > 0


def _is_error(tree: Tree) -> bool:
    return tree.get("status") == "error" and "error" in tree


def _of_records(records: Sequence[Tree]) -> bytes:
    rows = [opened(record.get("_source", record) if isinstance(record.get("_source"), dict) else record) for record in records]
    names = [key for key, value in rows[0].items() if not isinstance(value, list | dict)]
    return _csv(names, ([_cell(row.get(name)) for name in names] for row in rows))


# --- cells ---


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode(errors="replace")


def _cell(value: object) -> str:
    """A value as a cell on one line; numbers keep all their digits."""
    if value is None:
        return ""
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value) if isinstance(value, bool) else repr(value)


def _texts(labels: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def _dicts(values: object) -> list[Tree]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _lists(values: object) -> list[list[Any]]:
    return [list(each) for each in values if isinstance(each, list | tuple)] if isinstance(values, list) else []


def _turned(values: object) -> list[list[Any]]:
    """Graphite gives the value first."""
    return [each[1::-1] for each in _lists(values)]
