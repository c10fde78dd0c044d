"""OpenAPI: the schemas of points, detections and problems, as the columns of a run make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from autoencoder.serve.points import JSON_LINES, MAX_NAME, ONE_DOCUMENT, Refusal

Schema = dict[str, Any]

PROBLEM = "application/problem+json"
RETRY = (429, 503)  # statuses with which the same request may be taken later

NUMBER: Schema = {"type": ["number", "null"]}


def problem(error: Refusal) -> JSONResponse:
    """A refusal as an answer."""
    body = {"type": "about:blank", "title": HTTPStatus(error.status).phrase, "status": error.status, "detail": error.detail}
    body |= {} if error.line is None else {"line": error.line}
    return JSONResponse(body, error.status, {"Retry-After": "1"} if error.status in RETRY else None, PROBLEM)


def problems(*statuses: int) -> dict[int | str, Schema]:
    """What is said of the refusals with these statuses."""
    texts = {key: {"type": "string"} for key in ("type", "title", "detail")}
    schema = _object({**texts, "status": {"type": "integer"}, "line": {"type": "integer"}}, [*texts, "status"])
    return {each: {"description": HTTPStatus(each).phrase, "content": {PROBLEM: {"schema": schema}}} for each in statuses}


def points_body(columns: Iterable[str], max_points: int) -> Schema:
    """The body of a request that brings points."""
    time = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "null"}]}
    name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
    point = _object({"series": name, "time": time, **dict.fromkeys(columns, NUMBER)}, columns)
    array = {"type": "array", "items": point, "minItems": 1, "maxItems": max_points}
    lines = {"schema": {"type": "string", "description": "a point a line"}}
    return {"required": True, "content": {ONE_DOCUMENT: {"schema": {"anyOf": [point, array]}}, JSON_LINES[0]: lines}}


def detections_answer(names: Iterable[str]) -> Schema:
    """The answer that holds rows of scores.csv, whose columns have these names."""
    known = {name: NUMBER for name in names if name not in ("time", "series", "anomaly")}
    flags = {name: {"type": "boolean"} for name in ("anomaly", "seen")}
    row = _object({"series": {"type": "string"}, "time": {"type": "string"}, **known, **flags})
    return {"content": {ONE_DOCUMENT: {"schema": _object({"detections": {"type": "array", "items": row}})}}}


def _object(properties: Mapping[str, Any], required: Iterable[str] | None = None) -> Schema:
    needed = [*(properties if required is None else required)]
    return {"type": "object", "properties": dict(properties), "required": needed, "additionalProperties": False}
