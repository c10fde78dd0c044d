"""App: the server as an ASGI application: points come in, queries and events go out, and refusals are problem JSON (RFC 9457)."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from autoencoder import __version__
from autoencoder.core.errors import InputError, RunError
from autoencoder.feedback.store import MAX_NOTE, add_feedback
from autoencoder.pipeline import Run
from autoencoder.reports.files import open_inside
from autoencoder.reports.run_folder import INCIDENTS
from autoencoder.serve import journal
from autoencoder.serve.events import Events
from autoencoder.serve.intake import Intake, answer, record_texts
from autoencoder.serve.points import JSON_LINES, MAX_NAME, ONE_DOCUMENT, Refusal, inflate, read_points, too_large

OPEN_PATHS = ("/health",)  # that ask for no token
MAX_ROWS = 10_000  # of an answer to a query
PROBLEM = "application/problem+json"
RETRY = (429, 503)  # statuses with which the same request may be taken later

Name = Annotated[str, Query(min_length=1, max_length=MAX_NAME)]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
Rows = dict[str, list[dict[str, Any]]]
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes answer from: a run that goes on in another thread, and what looks on there."""

    run: Run
    intake: Intake
    events: Events
    metrics: CollectorRegistry


def make_app(service: Service, token: str | None) -> ASGIApp:
    """The routes, behind the token where there is one."""
    app = FastAPI(title="autoencoder", version=__version__, docs_url=None, redoc_url=None, responses=problems(400, 401))
    for add in (_add_points, _add_queries, _add_events, _add_feedback, _add_state):
        add(app, service)

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        what = "; ".join(f"{'.'.join(map(str, each['loc'][1:])) or 'the body'}: {each['msg']}" for each in error.errors())
        return problem(Refusal(422, f"{what}; /openapi.json says what is allowed"))

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> JSONResponse:
        there = ", ".join(sorted(app.openapi()["paths"]))
        where = f"{request.method} {request.url.path:.80}"
        response = problem(Refusal(error.status_code, f"{where}: {error.detail}; there are {there}, see /openapi.json"))
        response.headers.update(error.headers or {})
        return response

    return _Bearer(app, token) if token else app


class _Bearer:
    """Lets requests through that bring the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        kind, _, token = given.partition(b" ")
        is_known = hmac.compare_digest(token.strip(), self._token) and kind.lower() == b"bearer"
        if is_known or scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        refusal = problem(Refusal(401, "the token is missing or wrong; send the header Authorization: Bearer TOKEN"))
        refusal.headers["WWW-Authenticate"] = "Bearer"
        await refusal(scope, receive, send)


# --- routes ---


def _add_points(app: FastAPI, service: Service) -> None:
    intake = service.intake
    limits, columns = intake.limits, intake.source.columns
    answers = {200: detections_answer(intake.header), **problems(409, 413, 415, 422, 429, 503)}
    body = {"requestBody": points_body(columns, limits.max_points)}

    @app.post("/points", responses=answers, openapi_extra=body, response_class=Response)
    async def post_points(request: Request) -> Response:
        """Judge points, all of them or none, and answer when they are in scores.csv; a point that comes again is not taken twice."""
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > limits.max_body_bytes:
                raise too_large(limits.max_body_bytes)
        plain = inflate(bytes(content), request.headers.get("content-encoding", ""), limits.max_body_bytes)
        points = read_points(plain, request.headers.get("content-type", ""), columns, limits.max_points)
        return Response(await intake.take(points), media_type=ONE_DOCUMENT)


def _add_queries(app: FastAPI, service: Service) -> None:
    intake, folder = service.intake, service.intake.folder

    @app.get("/detections", responses={200: detections_answer(intake.header), **problems(404, 422)}, response_class=Response)
    def get_detections(series: Name, limit: Limit = 100, anomalies: bool = False) -> Response:
        """The newest points of a series, oldest first, with what was decided on them; ``anomalies``: the flagged ones alone."""
        _require(service, series)
        found = journal.newest_of(folder, intake.header, series, limit, anomalies=anomalies)
        texts = record_texts(intake.header, found, [series] * len(found), is_seen=True)
        return Response(answer(texts), media_type=ONE_DOCUMENT)

    @app.get("/incidents", responses=problems(422))
    def get_incidents(series: Name | None = None, is_open: bool | None = None, limit: Limit = 100) -> Rows:
        """The newest incidents, oldest first, as in incidents.jsonl; ``is_open``: those alone that go on, or that are over."""
        found = [each for each in _incidents(folder / INCIDENTS) if series in (None, each["series"])]
        return {"incidents": [each for each in found if is_open in (None, each["status"] == "open")][-limit:]}

    @app.get("/series", responses=problems(422))
    def get_series(after: str = "", limit: Limit = 1000) -> Rows:
        """The series behind the name ``after``: their points, how many were judged and flagged, and why one is left out, if it is."""
        counts, panel = dict(service.run.statistics.series), service.run.panel
        names = sorted(name for name in counts if name is not None and name > after)[:limit]
        about = {name: {key: getattr(counts[name], key) for key in ("points", "judged", "flagged")} for name in names}
        return {"series": [{"series": name, **about[name], "left_out": panel[name].left_out or None} for name in names]}


def _add_events(app: FastAPI, service: Service) -> None:
    stream: dict[int | str, Schema] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}

    @app.get("/events", responses={**stream, **problems(404, 422, 429)}, response_class=StreamingResponse)
    async def get_events(series: Name | None = None) -> StreamingResponse:
        """Server-sent events until the client goes: ``detection`` of a flagged point, ``incident`` as one opens and closes."""
        if series is not None:
            _require(service, series)
        texts = service.events.stream(series)
        return StreamingResponse(texts, headers={"Cache-Control": "no-store"}, media_type="text/event-stream")


class Feedback(BaseModel):
    """What is said of an incident."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: bool  # whether it was an anomaly
    duration: str | None = Field(None, alias="for", max_length=50)
    note: str = Field("", max_length=MAX_NOTE)


def _add_feedback(app: FastAPI, service: Service) -> None:
    @app.post("/incidents/{number}/feedback", responses=problems(422, 503))
    def post_feedback(number: Annotated[int, InPath(ge=1, le=1 << 53)], said: Feedback) -> dict[str, Any]:
        """Say whether an incident was an anomaly; what is like a false alarm does not ring again ``for`` so long ("90d")."""
        try:
            made = add_feedback(service.intake.folder, number, label=said.label, duration=said.duration, note=said.note)
        except (InputError, RunError) as error:
            raise Refusal(422 if isinstance(error, InputError) else 503, str(error).replace("--", "")) from None
        return {key: value for key, value in made.to_record().items() if key != "shape"}


def _add_state(app: FastAPI, service: Service) -> None:
    source = service.intake.source

    @app.get("/health")
    async def get_health() -> dict[str, int]:
        """Points that are in scores.csv, that wait to be judged, and that are judged again after a restart."""
        return {"rows": service.run.rows, "waiting": source.waiting, "replaying": source.replaying}

    @app.get("/metrics", response_class=Response)
    def get_metrics() -> Response:
        """Where every series stands, for Prometheus."""
        return Response(generate_latest(service.metrics), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _require(service: Service, series: str) -> None:
    if series not in service.intake.source.newest:
        raise Refusal(404, f"there is no series {series!r:.60}; /series lists them")


def _incidents(path: Path) -> list[dict[str, Any]]:
    """The newest incidents by number: the file may be in the middle of a change, where the first line of a number is the newer one."""
    found: dict[int, dict[str, Any]] = {}
    with open_inside(path) as file:
        file.seek(max(0, file.seek(0, 2) - journal.LOOK_BACK))
        lines = file.read().split(b"\n")
    for line in lines:
        try:
            record = json.loads(line)
            found.setdefault(record["id"], record)
        except (ValueError, TypeError, KeyError):
            continue
    return [found[number] for number in sorted(found)]


# --- what answers are, in the words of OpenAPI ---

NUMBER: Schema = {"type": ["number", "null"]}
TEXT: Schema = {"type": "string"}


def problem(error: Refusal) -> JSONResponse:
    """A refusal as an answer."""
    body = {"type": "about:blank", "title": HTTPStatus(error.status).phrase, "status": error.status, "detail": error.detail}
    body |= {} if error.line is None else {"line": error.line}
    return JSONResponse(body, error.status, {"Retry-After": "1"} if error.status in RETRY else None, PROBLEM)


def problems(*statuses: int) -> dict[int | str, Schema]:
    """What is said of the refusals with these statuses."""
    texts = dict.fromkeys(("type", "title", "detail"), TEXT)
    schema = _object({**texts, "status": {"type": "integer"}, "line": {"type": "integer"}}, [*texts, "status"])
    return {each: {"description": HTTPStatus(each).phrase, "content": {PROBLEM: {"schema": schema}}} for each in statuses}


def points_body(columns: Iterable[str], max_points: int) -> Schema:
    """The body of a request that brings points."""
    time = {"anyOf": [{**TEXT, "format": "date-time"}, {"type": "number"}, {"type": "null"}]}
    name = {**TEXT, "minLength": 1, "maxLength": MAX_NAME}
    point = _object({"series": name, "time": time, **dict.fromkeys(columns, NUMBER)}, columns)
    array = {"type": "array", "items": point, "minItems": 1, "maxItems": max_points}
    lines = {"schema": {**TEXT, "description": "a point a line"}}
    return {"required": True, "content": {ONE_DOCUMENT: {"schema": {"anyOf": [point, array]}}, JSON_LINES[0]: lines}}


def detections_answer(names: Iterable[str]) -> Schema:
    """The answer that holds rows of scores.csv, whose columns have these names."""
    known = {name: NUMBER for name in names if name not in ("time", "series", "anomaly")}
    flags = {name: {"type": "boolean"} for name in ("anomaly", "seen")}
    row = _object({"series": TEXT, "time": TEXT, **known, **flags})
    return {"content": {ONE_DOCUMENT: {"schema": _object({"detections": {"type": "array", "items": row}})}}}


def _object(properties: Mapping[str, Any], required: Iterable[str] | None = None) -> Schema:
    needed = [*(properties if required is None else required)]
    return {"type": "object", "properties": dict(properties), "required": needed, "additionalProperties": False}
