"""Routes: points come in, queries and events go out. A router more is an entry more in ``ROUTERS``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import Response, StreamingResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ConfigDict, Field

from autoencoder.core.errors import InputError, RunError
from autoencoder.feedback.store import MAX_NOTE, add_feedback
from autoencoder.pipeline import Run
from autoencoder.reports.files import open_inside
from autoencoder.reports.run_folder import INCIDENTS
from autoencoder.serve import journal
from autoencoder.serve.events import Events
from autoencoder.serve.intake import Intake, record_texts
from autoencoder.serve.openapi import detections_answer, points_body, problems
from autoencoder.serve.points import MAX_NAME, ONE_DOCUMENT, Refusal, inflate, read_points, too_large

MAX_ROWS = 10_000  # of an answer to a query

Name = Annotated[str, Query(min_length=1, max_length=MAX_NAME)]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes answer from: a run that goes on in another thread, and what looks on there."""

    run: Run
    intake: Intake
    events: Events
    metrics: CollectorRegistry


def points_router(service: Service) -> APIRouter:
    """The way in."""
    router, intake = APIRouter(), service.intake
    limits, columns = intake.limits, intake.source.columns
    too_much = too_large(limits.max_body_bytes)
    answers = {200: detections_answer(intake.header), **problems(409, 413, 415, 422, 429, 503)}
    body = {"requestBody": points_body(columns, limits.max_points)}

    @router.post("/points", responses=answers, openapi_extra=body, response_class=Response)
    async def post_points(request: Request) -> Response:
        """Judge points, all of them or none, and answer when they are in scores.csv; a point that comes again is not taken twice."""
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > limits.max_body_bytes:
                raise too_much
        plain = inflate(bytes(content), request.headers.get("content-encoding", ""), limits.max_body_bytes)
        points = read_points(plain, request.headers.get("content-type", ""), columns, limits.max_points)
        return Response(await intake.take(points), media_type=ONE_DOCUMENT)

    return router


def queries_router(service: Service) -> APIRouter:
    """What was decided, so far and from now on."""
    router, intake, folder = APIRouter(), service.intake, service.intake.folder

    def require(series: str) -> None:
        if series not in intake.source.newest:
            raise Refusal(404, f"there is no series {series!r:.60}; /series lists them")

    @router.get("/detections", responses={200: detections_answer(intake.header), **problems(404, 422)}, response_class=Response)
    def get_detections(series: Name, limit: Limit = 100, anomalies: bool = False) -> Response:
        """The newest points of a series, oldest first, with what was decided on them; ``anomalies``: the flagged ones alone."""
        require(series)
        found = journal.newest_of(folder, intake.header, series, limit, anomalies=anomalies)
        texts = record_texts(intake.header, found, [series] * len(found), is_seen=True) if found else []
        return Response(f'{{"detections":[{",".join(texts)}]}}', media_type=ONE_DOCUMENT)

    @router.get("/incidents", responses=problems(422))
    def get_incidents(series: Name | None = None, is_open: bool | None = None, limit: Limit = 100) -> Rows:
        """The newest incidents, oldest first, as in incidents.jsonl; ``is_open``: those alone that go on, or that are over."""
        found = _incidents(folder / INCIDENTS)
        found = [each for each in found if series is None or each["series"] == series]
        return {"incidents": [each for each in found if is_open is None or (each["status"] == "open") == is_open][-limit:]}

    @router.get("/series", responses=problems(422))
    def get_series(after: str = "", limit: Limit = 1000) -> Rows:
        """The series behind the name ``after``: their points, how many were judged and flagged, and why one is left out, if it is."""
        counts, panel = dict(service.run.statistics.series), service.run.panel
        names = sorted(name for name in counts if name is not None and name > after)[:limit]
        keys = ("points", "judged", "flagged")
        about = {name: {key: getattr(counts[name], key) for key in keys} for name in names}
        return {"series": [{"series": name, **about[name], "left_out": panel[name].left_out or None} for name in names]}

    stream: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}

    @router.get("/events", responses={**stream, **problems(404, 422, 429)}, response_class=StreamingResponse)
    async def get_events(series: Name | None = None) -> StreamingResponse:
        """Server-sent events until the client goes: ``detection`` of a flagged point, ``incident`` as one opens and closes."""
        if series is not None:
            require(series)
        return StreamingResponse(
            service.events.stream(series), headers={"Cache-Control": "no-store"}, media_type="text/event-stream"
        )

    return router


class Feedback(BaseModel):
    """What is said of an incident."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: bool  # whether it was an anomaly
    duration: str | None = Field(None, alias="for", max_length=50)
    note: str = Field("", max_length=MAX_NOTE)


def feedback_router(service: Service) -> APIRouter:
    """What people say of incidents."""
    router, folder = APIRouter(), service.intake.folder

    @router.post("/incidents/{number}/feedback", responses=problems(422, 503))
    def post_feedback(number: Annotated[int, InPath(ge=1, le=1 << 53)], said: Feedback) -> dict[str, Any]:
        """Say whether an incident was an anomaly; what is like a false alarm does not ring again ``for`` so long ("90d")."""
        try:
            made = add_feedback(folder, number, label=said.label, duration=said.duration, note=said.note)
        except (InputError, RunError) as error:
            raise Refusal(422 if isinstance(error, InputError) else 503, str(error).replace("--", "")) from None
        return {key: value for key, value in made.to_record().items() if key != "shape"}

    return router


def state_router(service: Service) -> APIRouter:
    """How the server is."""
    router, source = APIRouter(), service.intake.source

    @router.get("/health")
    async def get_health() -> dict[str, int]:
        """Points that are in scores.csv, that wait to be judged, and that are judged again after a restart."""
        return {"rows": service.run.rows, "waiting": source.waiting, "replaying": source.replaying}

    @router.get("/metrics", response_class=Response)
    def get_metrics() -> Response:
        """Where every series stands, for Prometheus."""
        return Response(generate_latest(service.metrics), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router


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


ROUTERS: tuple[Callable[[Service], APIRouter], ...] = (points_router, queries_router, feedback_router, state_router)
