"""Documents: one JSON text that holds a whole table, as interfaces of metric stores answer, becomes lines of csv.

A Prometheus ``query_range`` (or ``query``) answer, Graphite's and Datadog's series, CloudWatch's data points and results, an array of
objects, an object of arrays, or names and rows. Where it holds several series, each row names its own by the labels in which they differ.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import ColumnType, column_type, preview
from autoencoder.sources.layout import opened
from autoencoder.sources.numbers import INFINITE
from autoencoder.sources.schema import ColumnSelection, is_usual_time

HEAD_BYTES = 1 << 16  # looked at to tell a document from lines
MAX_BYTES = 64 << 20  # of a document, which takes many times as much memory
MAX_DEPTH = 20  # of the objects around a table
SERIES = "series"  # name of the column that keeps series apart

Tree: TypeAlias = dict[str, Any]


class _Table(NamedTuple):
    """The rows of one thing, and what tells it from others."""

    labels: dict[str, str]
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


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
    if not isinstance(tree, dict) or rest.strip():
        return False
    return ("error" in tree and tree.get("status") == "error") or "hits" in tree or _holds_table(tree, is_whole)


def is_line_begun(head: bytes) -> bool:
    """Whether enough of a text has come to tell a document from lines."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return b"\n" in head or len(head) >= HEAD_BYTES or not b"{".startswith(head[:1])


def read_table(
    head: bytes, rest: Iterable[bytes], name: str, selection: ColumnSelection, *, is_whole: bool
) -> tuple[Iterable[bytes], ColumnSelection, str]:
    """A text that begins with ``head`` as lines, the columns that are asked for in them, and what a row is called in messages.

    Where it is a document, its rows are lines of csv, and a column keeps its several series apart.

    Raises:
        InputError: the document is no JSON, too long, an error message, or holds no table.
    """
    blocks = chain((head,), rest)
    if not is_document(head, is_whole=is_whole):
        return blocks, selection, "line"
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) > MAX_BYTES:
            most = f"a JSON document of more than {MAX_BYTES:,} bytes"
            raise InputError(f"{name} is {most}; ask for a shorter time, or write one JSON object a line")
    text, has_series = _to_csv(bytes(data), name)
    return (text,), replace(selection, series=SERIES) if has_series and selection.series is None else selection, "record"


def _to_csv(data: bytes, name: str) -> tuple[bytes, bool]:
    """A document as csv, a header first, and whether its column ``SERIES`` keeps several series apart."""
    try:
        tree = json.loads(data)
    except RecursionError:
        raise InputError(f"{name} is a JSON document that is nested too deeply; it must hold a table") from None
    except ValueError as error:
        raise InputError(f"{name} begins as a JSON document and is none ({error}); fetch it again") from None
    is_empty = False
    match tree:
        case {"results": [{"statement_id": _, "error": fault}, *_]}:  # InfluxDB
            raise InputError(f"{name} holds an error message: {preview(str(fault))}; correct the query and ask again")
        case {"results": [{"statement_id": _, **rest}, *_]}:
            is_empty = "series" not in rest
        case {"status": "error", "error": fault}:
            raise InputError(f"{name} holds an error message: {preview(str(fault))}; correct the query and ask again")
    tables = _series(tree)
    if is_empty or (tables is not None and not any(each.rows for each in tables)):
        raise InputError(f"{name} holds no series; the query matched nothing, or the wrong time")
    return _joined(tables or _tables(tree) or [_records_alone(tree, name)], name)


def _joined(tables: Sequence[_Table], name: str) -> tuple[bytes, bool]:
    """Tables as one, in which a last column says which of them a row is of."""
    columns, is_one = tables[0].columns, len(tables) == 1
    if any(each.columns != columns for each in tables):
        raise InputError(f"{name} holds {len(tables)} tables with different columns; ask for one of them")
    labels = [[]] if is_one else [[_cell(label)] for label in different_names([each.labels for each in tables], name)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns if is_one else [*columns, SERIES])
    for label, each in zip(labels, tables, strict=True):
        writer.writerows([*map(_cell, row), *label] for row in each.rows)
    return out.getvalue().encode(errors="replace"), not is_one


def _cell(value: object) -> str:
    """A value as a cell on one line; numbers keep all their digits."""
    if value is None:
        return ""
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value) if isinstance(value, bool) else repr(value)


# --- series of points ---


def _series(tree: Any) -> list[_Table] | None:
    """The series of a document of (time, value) pairs; None where it is of another kind."""
    match tree:
        case {"data": {"result": [*results], "resultType": "matrix" | "vector"}}:
            known = [each for each in dicts_of(results) if isinstance(each.get("values", each.get("value")), list)]
            return [_of_points(texts_of(each.get("metric")), each.get("values", [each.get("value")])) for each in known]
        case [{"target": _, "datapoints": [*_]}, *_]:  # Graphite, which gives the value first
            return [
                _of_points({"target": str(each.get("target"))}, [point[1::-1] for point in lists_of(each.get("datapoints"))])
                for each in dicts_of(tree)
            ]
        case {"series": [{"pointlist": [*_]}, *_]}:  # Datadog, which writes metric and scope as system.load{host:a}
            found = [(each.get("metric"), str(each.get("scope")), each.get("pointlist")) for each in dicts_of(tree["series"])]
            return [_of_points({"name": f"{name}{{{scope}}}" if name else scope}, points) for name, scope, points in found]
        case [[_, _], *_]:  # as charts take them
            return [_of_points({}, tree)]
        case {"MetricDataResults": [*results]}:  # CloudWatch, a long answer of which comes in pages
            pages: dict[tuple[str, str], list[Any]] = {}
            for place, each in enumerate(dicts_of(results)):
                points = zip(each.get("Timestamps", []), each.get("Values", []), strict=False)
                pages.setdefault((str(each.get("Id", place)), str(each.get("Label"))), []).extend(points)
            return [_of_points({"label": label}, points) for (_, label), points in pages.items()]
    if isinstance(tree, dict) and tree and all(map(_are_pairs, tree.values())):
        return [_of_points({"name": key}, value) for key, value in tree.items()]
    return None


def _are_pairs(points: Any) -> bool:
    return isinstance(points, list) and bool(points) and all(len(point) == 2 for point in lists_of(points[:1]) or [[]])


def _of_points(labels: dict[str, str], points: Any) -> _Table:
    """Pairs of time and value; a value without end is a division by zero, which has none."""
    rows = [(point[0], _cell(point[1])) for point in lists_of(points) if len(point) >= 2]
    cells = [(at, INFINITE if value.lstrip("+-").lower() in ("inf", "infinity") else value) for at, value in rows]
    return _Table(labels, ("timestamp", "value"), cells)


# --- tables of names and rows, and records ---


def _tables(tree: Any, depth: int = 0) -> list[_Table]:
    """The tables of a document that gives names and rows, as InfluxDB 1.x and pandas (orient="split") do."""
    match tree:
        case {"columns": [str(), *_] as names, "values": [[*_], *_] as rows} | {
            "columns": [str(), *_] as names,
            "data": [[*_], *_] as rows,
        }:
            records = [dict(zip(map(str, names), row, strict=False)) for row in lists_of(rows)]
            index = tree.get("index")
            if isinstance(index, list) and len(index) == len(records) and not any(map(is_usual_time, records[0])):
                is_time = column_type(_cell(index[0])) in (ColumnType.NUMBER, ColumnType.TIME)
                records = [{"time" if is_time else "index": at, **record} for at, record in zip(index, records, strict=True)]
            return [_of_records(records, {"__name__": str(tree.get("name", "")), **texts_of(tree.get("tags"))})]
    inner = dicts_of(tree) if isinstance(tree, list) else tree.values() if isinstance(tree, dict) else ()
    return [table for each in inner for table in _tables(each, depth + 1)] if depth < MAX_DEPTH else []


def _records_alone(tree: Any, name: str) -> _Table:
    """The array of objects that a document is about. Raises InputError: there is none, or one of several places."""
    objects = dicts_of(tree)
    inner = _records(objects[0]) if objects and not _has_time(opened(objects[0])) else []
    if inner and _has_time(opened(inner[0])):  # no rows, but a table with times each (Open-Meteo)
        if len(objects) > 1:
            raise InputError(f"{name} holds {len(objects)} tables; ask for one of them")
        tree = tree[0]
    records = _records(tree)
    if not records:
        what = "is a JSON document without a table that is known here"
        raise InputError(f"{name} {what}; give an array of objects, or one JSON object a line")
    return _of_records(records)


def _of_records(records: Sequence[Tree], labels: dict[str, str] | None = None) -> _Table:
    rows = [opened(record["_source"] if isinstance(record.get("_source"), dict) else record) for record in records]
    names = [key for key, value in rows[0].items() if not isinstance(value, list | dict)]
    return _Table(labels or {}, names, [[row.get(name) for name in names] for row in rows])


def _records(tree: Any, depth: int = 0) -> list[Tree]:
    """The objects of the array that a document is about; an object of arrays is turned into one."""
    if isinstance(tree, list):
        return dicts_of(tree)
    if not isinstance(tree, dict) or depth > MAX_DEPTH:
        return []
    columns = {
        key: value for key, value in tree.items() if isinstance(value, list) and value and not isinstance(value[0], dict | list)
    }
    if len(columns) > 1 and len(set(map(len, columns.values()))) == 1:
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    found = [_records(value, depth + 1) for value in tree.values() if isinstance(value, dict | list)]
    return max(found, key=len, default=[])


def _holds_table(tree: Tree, is_whole: bool) -> bool:
    """Whether an object on one line is a document, and no row; where more may follow (not ``is_whole``), only what no row looks like."""
    if _series(tree) is not None or _tables(tree):
        return True
    records = _records(tree)
    if not any(isinstance(value, int | float) for value in tree.values()):
        return len(records) > 0
    are_timed = bool(records) and _has_time(opened(records[0]))
    if _has_time(tree) or "value" in tree:  # a row, unless it stands alone and holds others
        return is_whole and are_timed and len(records) > 1
    return are_timed or (is_whole and (bool(records) or any(isinstance(value, list) for value in opened(tree).values())))


def _has_time(row: Tree) -> bool:
    return any(
        is_usual_time(key) if isinstance(value, int | float) else isinstance(value, str) and column_type(value) is ColumnType.TIME
        for key, value in row.items()
    )


# --- names ---


def different_names(labels: Sequence[dict[str, str]], name: str) -> list[str]:
    """A name for each set of labels: the metric's, and the labels that not all of them share. Raises InputError: two are equal."""
    keys = dict.fromkeys(key for each in labels for key in each)
    if len(keys) == 1:
        names = [text for each in labels for text in [*each.values()] or [""]]
    else:
        differ = [key for key in keys if len({each.get(key) for each in labels}) > 1] or list(keys)
        names = [_name(each, [key for key in differ if key != "__name__" and key in each]) for each in labels]
    label, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(f"{name} holds {count} series named {preview(label)}; give each its own name, or ask for one of them")
    return names


def full_name(labels: dict[str, str]) -> str:
    """A series with all of its labels; empty where it has none.

    >>> full_name({"job": "node", "__name__": "up", "host": "a"}), full_name({"__name__": "up"})
    ('up{host="a",job="node"}', 'up')
    """
    return _name(labels, sorted(labels.keys() - {"__name__"})).removesuffix("{}")


def _name(labels: dict[str, str], shown: Sequence[str]) -> str:
    """A series as Prometheus writes it: up{host="a"}."""
    listed = ",".join(f"{key}={json.dumps(labels[key], ensure_ascii=False)}" for key in shown)
    return f"{labels.get('__name__', '')}{{{listed}}}"


# --- parts of a tree ---


def texts_of(labels: object) -> dict[str, str]:
    """The labels of an object, as texts; none where it is no object."""
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def dicts_of(values: object) -> list[Tree]:
    """The objects of an array."""
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def lists_of(values: object) -> list[list[Any]]:
    """The arrays of an array."""
    return [list(each) for each in values if isinstance(each, list | tuple)] if isinstance(values, list) else []
