"""Points: the series that a JSON document of (time, value) pairs holds, as metric stores answer, and their names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from autoencoder.core.errors import InputError
from autoencoder.sources.cells import preview

Tree: TypeAlias = dict[str, Any]
Points: TypeAlias = Sequence[Sequence[Any]]  # (time, value) each


class Series(NamedTuple):
    """The points of one thing, and what tells it from others."""

    labels: dict[str, str]
    points: Points


def find_series(tree: Any) -> list[Series] | None:
    """The series of a document of points; None where it is of another kind."""
    match tree:
        case {"data": {"result": [*results], "resultType": "matrix" | "vector"}}:
            found = [each for each in dicts_of(results) if _is_result(each)]
            return [
                Series(texts_of(each.get("metric")), each["values"] if "values" in each else [each["value"]]) for each in found
            ]
        case [{"target": _, "datapoints": [*_]}, *_]:  # Graphite
            return [Series({"target": str(each.get("target"))}, _turned(each.get("datapoints"))) for each in dicts_of(tree)]
        case {"series": [{"pointlist": [*_]}, *_]}:  # Datadog
            return [Series({"name": _datadog_name(each)}, lists_of(each.get("pointlist"))) for each in dicts_of(tree["series"])]
        case [[_, _], *_]:  # as charts take them
            return [Series({}, lists_of(tree))]
        case {"MetricDataResults": [*results]}:  # CloudWatch
            return _cloudwatch(dicts_of(results))
    return _pairs(tree)


def _datadog_name(each: Tree) -> str:
    """Metric and scope as Datadog writes them: system.load{host:a}."""
    metric, scope = each.get("metric"), str(each.get("scope"))
    return f"{metric}{{{scope}}}" if metric else scope


def _cloudwatch(results: Sequence[Tree]) -> list[Series]:
    """Results, those of one query joined: a long answer comes in pages."""
    pages: dict[tuple[Any, str], list[tuple[Any, Any]]] = {}
    for place, each in enumerate(results):
        points = zip(each.get("Timestamps", []), each.get("Values", []), strict=False)
        pages.setdefault((str(each.get("Id", place)), str(each.get("Label"))), []).extend(points)
    return [Series({"label": label}, points) for (_, label), points in pages.items()]


def _pairs(tree: Any) -> list[Series] | None:
    """The series of an object that holds nothing but arrays of (time, value)."""
    if not isinstance(tree, dict) or not tree:
        return None
    are_pairs = all(
        isinstance(each, list) and each and all(len(point) == 2 for point in lists_of(each[:1]) or [[]]) for each in tree.values()
    )
    return [Series({"name": key}, lists_of(value)) for key, value in tree.items()] if are_pairs else None


def _is_result(each: Tree) -> bool:
    return isinstance(each.get("values", each.get("value")), list)


# --- names ---


def different_names(labels: Sequence[dict[str, str]], name: str) -> list[str]:
    """A name for each set of labels, of the document ``name``. Raises InputError: two of them are equal."""
    names = _names(labels)
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


def _turned(values: object) -> list[list[Any]]:
    """Graphite gives the value first."""
    return [each[1::-1] for each in lists_of(values)]
