"""App: the server as an ASGI application: its routes, the token, and refusals as problem JSON (RFC 9457)."""

from __future__ import annotations

import hmac

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from autoencoder import __version__
from autoencoder.serve import routes
from autoencoder.serve.openapi import problem, problems
from autoencoder.serve.points import Refusal
from autoencoder.serve.routes import Service

OPEN_PATHS = ("/health",)  # that ask for no token


def make_app(service: Service, token: str | None) -> ASGIApp:
    """The routes, behind the token where there is one."""
    app = FastAPI(title="autoencoder", version=__version__, docs_url=None, redoc_url=None, responses=problems(400, 401))
    for make in routes.ROUTERS:
        app.include_router(make(service))

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
