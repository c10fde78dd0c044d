"""Documents: one JSON text that holds a whole table, as interfaces of metric stores answer, becomes lines of csv.

A Prometheus ``query_range`` (or ``query``) answer, Graphite's and Datadog's series, CloudWatch's data points and results, an array of
objects, an object of arrays, or names and rows. Where it holds several series, each row names its own by the labels in which they differ.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import ColumnType, column_type, preview
from autoencoder.sources.layout import opened
from autoencoder.sources.numbers import INFINITE
from autoencoder.sources.points import Series, Tree, dicts_of, different_names, find_series, lists_of, texts_of
from autoencoder.sources.schema import ColumnSelection, is_usual_time

HEAD_BYTES = 1 << 16  # looked at to tell a document from lines
MAX_DEPTH = 20  # of the objects around a table
NO_SERIES = "{} holds no series; the query matched nothing, or the wrong time"
SERIES = "series"  # name of the column that keeps series apart


class Document(NamedTuple):
    """A table as csv, a header first, and whether its column ``SERIES`` keeps several series apart."""

    text: bytes
    has_series: bool

    def select(self, selection: ColumnSelection) -> ColumnSelection:
        """The columns that are asked for, with those of the document's own series."""
        return replace(selection, series=SERIES) if self.has_series and selection.series is None else selection


class _Table(NamedTuple):
    labels: dict[str, str]
    records: list[Tree]  # at least one


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
    return _is_error(tree) or "hits" in tree or _holds_table(tree, is_whole)


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
    match tree:
        case {"results": [{"statement_id": _, "error": fault}, *_]}:  # InfluxDB
            raise InputError(f"{name} holds an error message: {preview(str(fault))}; correct the query and ask again")
        case {"results": [{"statement_id": _, **rest}, *_]} if "series" not in rest:
            raise InputError(NO_SERIES.format(name))
    if isinstance(tree, dict) and _is_error(tree):
        raise InputError(f"{name} holds an error message: {preview(str(tree.get('error')))}; correct the query and ask again")
    series = find_series(tree)
    if series is not None:
        return _of_series(series, name)
    if tables := _tables(tree):
        return _of_tables(tables, name)
    if (found := _nested_tables(tree)) > 1:
        raise InputError(f"{name} holds {found} tables; ask for one of them")
    records = _records(tree[0] if found else tree)
    if not records:
        raise InputError(
            f"{name} is a JSON document without a table that is known here; give an array of objects, or one JSON object a line"
        )
    return Document(_of_records(records), has_series=False)


# --- series of points ---


def _of_series(series: Sequence[Series], name: str) -> Document:
    if not any(each.points for each in series):
        raise InputError(NO_SERIES.format(name))
    names = different_names([each.labels for each in series], name)
    several = len(series) > 1
    header = ("timestamp", "value", SERIES) if several else ("timestamp", "value")

    def rows() -> Iterator[Sequence[object]]:
        for label, each in zip(names, series, strict=True):
            for point in lists_of(each.points):
                if len(point) >= 2:
                    cells = _cell(point[0]), _value(point[1])
                    yield (*cells, label) if several else cells

    return Document(_csv(header, rows()), several)


def _value(value: object) -> str:
    text = _cell(value)
    return INFINITE if text.lstrip("+-").lower() in ("inf", "infinity") else text  # a division by zero has no value


# --- tables of names and rows ---


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
            return [_Table({"__name__": str(tree.get("name", "")), **texts_of(tree.get("tags"))}, records)]
    inner = dicts_of(tree) if isinstance(tree, list) else tree.values() if isinstance(tree, dict) else ()
    return [table for each in inner for table in _tables(each, depth + 1)] if depth < MAX_DEPTH else []


def _of_tables(tables: Sequence[_Table], name: str) -> Document:
    if len(tables) == 1:
        return Document(_of_records(tables[0].records), has_series=False)
    if len({tuple(each.records[0]) for each in tables}) > 1:
        raise InputError(f"{name} holds {len(tables)} tables with different columns; ask for one of them")
    labels = different_names([each.labels for each in tables], name)
    records = [{**row, SERIES: label} for label, each in zip(labels, tables, strict=True) for row in each.records]
    return Document(_of_records(records), has_series=True)


# --- records ---


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
    if find_series(tree) is not None or _tables(tree):
        return True
    records = _records(tree)
    if not any(isinstance(value, int | float) for value in tree.values()):
        return len(records) > 0
    are_timed = bool(records) and _has_time(opened(records[0]))
    if _has_time(tree) or "value" in tree:  # a row, unless it stands alone and holds others
        return is_whole and are_timed and len(records) > 1
    return are_timed or (is_whole and (bool(records) or _holds_array(tree)))


def _has_time(row: Tree) -> bool:
    return any(
        is_usual_time(key) if isinstance(value, int | float) else isinstance(value, str) and column_type(value) is ColumnType.TIME
        for key, value in row.items()
    )


def _holds_array(tree: Tree) -> bool:
    """Whether there is an array in an object, or in those inside it."""
    return any(isinstance(value, list) for value in opened(tree).values())


def _nested_tables(tree: Any) -> int:
    """How many tables an array holds whose objects are no rows, but each a table with times (Open-Meteo, of several places)."""
    objects = dicts_of(tree)
    if not objects or _has_time(opened(objects[0])):
        return 0
    inner = _records(objects[0])
    return len(objects) if inner and _has_time(opened(inner[0])) else 0


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
