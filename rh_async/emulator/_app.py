"""Which call answers at which path, by which method, and in which shape it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from attrs import frozen

from rh_async.emulator._answers import (
    Json,
    Refused,
    envelope_refusal,
    flat_refusal,
    price_refusal,
    upload_refusal,
)
from rh_async.emulator._files import FileCalls
from rh_async.emulator._ledger import Ledger
from rh_async.emulator._tasks import TaskCalls

_LARGEST_BODY = 64 << 20  #: bytes of JSON, room for data URIs


@frozen
class Route:
    """One call of the API; ``name`` is what faults call it."""

    name: str
    method: str
    path: str
    call: Callable[[web.Request], Awaitable[web.StreamResponse]]
    refusal: Callable[[Refused], Json]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; a refusal is an answer like any other, with HTTP 200 (contract 3.3)."""
        if request.method != self.method:
            return web.json_response(self.refusal(Refused("1009")))
        try:
            return await self.call(request)
        except Refused as refused:
            return web.json_response(self.refusal(refused))


def build_app(tasks: TaskCalls, files: FileCalls, ledger: Ledger) -> web.Application:
    """Put every call at its path."""
    v2 = "/openapi/v2"
    routes = [
        Route("query", "POST", f"{v2}/query", tasks.query, flat_refusal),
        Route("queue_status", "GET", f"{v2}/queue/status", tasks.queue_status, envelope_refusal),
        Route("upload", "POST", f"{v2}/media/upload/binary", files.upload, upload_refusal),
        Route("price", "POST", f"{v2}/price-preview/{{endpoint:.+}}", tasks.price, price_refusal),
        Route("account", "POST", "/uc/openapi/accountStatus", tasks.account, envelope_refusal),
        Route("cancel", "POST", "/task/openapi/cancel", tasks.cancel, envelope_refusal),
        Route("submit", "POST", f"{v2}/{{endpoint:.+}}", tasks.submit, flat_refusal),
    ]
    app = web.Application(client_max_size=_LARGEST_BODY)
    for route in routes:
        app.router.add_route("*", route.path, route.serve)
    app.router.add_get("/input/{name:.+}", files.uploaded)
    app.router.add_get("/output/{task_id}/{name}", files.result)
    app.on_response_prepare.append(files.note_download)
    _add_ledger(app, ledger)
    return app


def _add_ledger(app: web.Application, ledger: Ledger) -> None:
    async def show(_request: web.Request) -> web.Response:
        return web.json_response(ledger.as_json())

    app.router.add_get("/_emulator/ledger", show)
