"""Which call answers at which path, by which method, and in which shape it refuses; and where faults come between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from attrs import frozen

from rh_async.emulator.faults.definitions import Fault, RouteName
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.faults.responses import Scene, misbehave
from rh_async.emulator.http.admin_handlers import Control
from rh_async.emulator.http.bearer_auth import ASKED, FAULT
from rh_async.emulator.http.file_handlers import FileCalls
from rh_async.emulator.http.payloads import Json, Refused, envelope_refusal, flat_refusal, price_refusal, upload_refusal
from rh_async.emulator.http.task_handlers import TaskCalls
from rh_async.emulator.listener import Door
from rh_async.emulator.state.call_rate_limit import Throttle
from rh_async.emulator.state.signed_urls import Signer

_LARGEST_BODY = 64 << 20  #: bytes of JSON, room for data URIs
_HAS_EFFECTS = frozenset({"submit", "upload", "cancel"})


@frozen(kw_only=True)
class House:
    """The rooms that requests pass through.

    :param stopping: set when the server stops.
    """

    tasks: TaskCalls
    files: FileCalls
    faults: FaultInjector
    links: Signer
    door: Door
    throttle: Throttle
    control: Control
    stopping: asyncio.Event


@frozen
class Route:
    """One call of the API; ``name`` is what faults call it."""

    name: RouteName
    method: str
    path: str
    call: Callable[[web.Request], Awaitable[web.StreamResponse]]
    refusal: Callable[[Refused], Json]
    house: House

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, honestly or as the script has it."""
        door, faults = self.house.door, self.house.faults
        door.enter(request)
        try:
            response = await self._answer(request)
        except ConnectionError:  # the caller has gone, before it had said everything or heard it
            response = web.Response(status=444)
        faults.answered(self.name)
        if not door.is_open:
            response.force_close()
        elif isinstance(response, web.Response):  # and so leaves in one piece
            door.leave(request)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """A call that comes too fast is refused before anything looks at it; faults strike those let through."""
        if self.name != "download" and not self.house.throttle.admits(self.name):
            await _drained(request)
            return self.house.throttle.refuse(self.refusal)
        fault = self.house.faults.strike(self.name)
        return await (self._honest(request) if fault is None else self._faulty(request, fault))

    async def _honest(self, request: web.Request) -> web.StreamResponse:
        """Answer; a refusal is an answer like any other, with HTTP 200 (contract 3.3)."""
        if request.method != self.method:
            return web.json_response(self.refusal(Refused("1009")))
        try:
            return await self.call(request)
        except Refused as refused:
            return web.json_response(self.refusal(refused))

    async def _faulty(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        request[FAULT] = fault.kind
        answer = await self._before(request, fault)
        self.house.faults.note(fault, self.name, request.get(ASKED, ""))
        scene = Scene(request, fault, self.refusal, self.house.links, self.house.faults, self.house.stopping)
        return await misbehave(scene, answer)

    async def _before(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """Carry the request out if the fault lets it, or at least read it; a question is always written down."""
        unread = fault.kind == "drop_before_body"
        if fault.accepted or not (unread or self.name in _HAS_EFFECTS):
            return await self._honest(request)
        if self.name == "submit":
            await self.house.tasks.spoil_submit(request, unread=unread)
        elif not unread:
            await _drained(request)
        return None


async def _drained(request: web.Request) -> None:
    async for _ in request.content.iter_any():
        pass


def build_app(house: House) -> web.Application:
    """Put every call at its path."""
    v2, tasks, files = "/openapi/v2", house.tasks, house.files
    routes = [
        Route("query", "POST", f"{v2}/query", tasks.query, flat_refusal, house),
        Route("queue_status", "GET", f"{v2}/queue/status", tasks.queue_status, envelope_refusal, house),
        Route("upload", "POST", f"{v2}/media/upload/binary", files.upload, upload_refusal, house),
        Route("price", "POST", f"{v2}/price-preview/{{endpoint:.+}}", tasks.price, price_refusal, house),
        Route("account", "POST", "/uc/openapi/accountStatus", tasks.account, envelope_refusal, house),
        Route("app_demo", "GET", "/api/webapp/apiCallDemo", tasks.app_demo, envelope_refusal, house),
        Route("cancel", "POST", "/task/openapi/cancel", tasks.cancel, envelope_refusal, house),
        Route("submit", "POST", f"{v2}/{{endpoint:.+}}", tasks.submit, flat_refusal, house),
        Route("download", "GET", "/input/{name:.+}", files.uploaded, envelope_refusal, house),
        Route("download", "GET", "/output/{task_id}/{name}", files.result, envelope_refusal, house),
    ]
    app = web.Application(client_max_size=_LARGEST_BODY)
    for route in routes:
        app.router.add_route("*", route.path, route.serve)
    app.on_response_prepare.append(files.note_download)
    house.control.add_to(app)
    return app
