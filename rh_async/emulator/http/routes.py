"""Which call answers at which path, by which method, and in which shape it refuses; and where faults come between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from attrs import frozen

from rh_async.emulator.faults.definitions import Fault, RouteName
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.faults.responses import FaultContext, respond_with_fault
from rh_async.emulator.http.admin_handlers import AdminHandlers
from rh_async.emulator.http.bearer_auth import FAULT_KIND, TASK_ID
from rh_async.emulator.http.file_handlers import FileHandlers
from rh_async.emulator.http.payloads import Json, RequestRejected, envelope_error, flat_error, price_error, upload_error
from rh_async.emulator.http.task_handlers import TaskHandlers
from rh_async.emulator.listener import Listener
from rh_async.emulator.state.call_rate_limit import RateLimiter
from rh_async.emulator.state.signed_urls import UrlSigner

_MAX_BODY_BYTES = 64 << 20  #: bytes of JSON, room for data URIs
_CHANGES_STATE = frozenset({"submit", "upload", "cancel"})


@frozen(kw_only=True)
class Components:
    """The rooms that requests pass through.

    :param stopping: set when the server stops.
    """

    tasks: TaskHandlers
    files: FileHandlers
    faults: FaultInjector
    links: UrlSigner
    listener: Listener
    rate_limiter: RateLimiter
    control: AdminHandlers
    stopping: asyncio.Event


@frozen
class Route:
    """One call of the API; ``name`` is what faults call it."""

    name: RouteName
    method: str
    path: str
    call: Callable[[web.Request], Awaitable[web.StreamResponse]]
    refusal: Callable[[RequestRejected], Json]
    house: Components

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, honestly or as the script has it."""
        listener, faults = self.house.listener, self.house.faults
        listener.enter(request)
        try:
            response = await self._answer(request)
        except ConnectionError:  # the caller has gone, before it had said everything or heard it
            response = web.Response(status=444)
        faults.answered(self.name)
        if not listener.is_listening:
            response.force_close()
        elif isinstance(response, web.Response):  # and so leaves in one piece
            listener.leave(request)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """A call that comes too fast is refused before anything looks at it; faults strike those let through."""
        if self.name != "download" and not self.house.rate_limiter.try_acquire(self.name):
            await _read_to_end(request)
            return self.house.rate_limiter.refuse(self.refusal)
        fault = self.house.faults.strike(self.name)
        return await (self._respond(request) if fault is None else self._respond_with_fault(request, fault))

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        """Answer; a refusal is an answer like any other, with HTTP 200 (contract 3.3)."""
        if request.method != self.method:
            return web.json_response(self.refusal(RequestRejected("1009")))
        try:
            return await self.call(request)
        except RequestRejected as refused:
            return web.json_response(self.refusal(refused))

    async def _respond_with_fault(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        request[FAULT_KIND] = fault.kind
        answer = await self._execute_if_accepted(request, fault)
        self.house.faults.note(fault, self.name, request.get(TASK_ID, ""))
        context = FaultContext(request, fault, self.refusal, self.house.links, self.house.faults, self.house.stopping)
        return await respond_with_fault(context, answer)

    async def _execute_if_accepted(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """Carry the request out if the fault lets it, or at least read it; a question is always written down."""
        unread = fault.kind == "drop_before_body"
        if fault.accepted or not (unread or self.name in _CHANGES_STATE):
            return await self._respond(request)
        if self.name == "submit":
            await self.house.tasks.record_unexecuted_submit(request, unread=unread)
        elif not unread:
            await _read_to_end(request)
        return None


async def _read_to_end(request: web.Request) -> None:
    async for _ in request.content.iter_any():
        pass


def build_app(house: Components) -> web.Application:
    """Put every call at its path."""
    v2, tasks, files = "/openapi/v2", house.tasks, house.files
    routes = [
        Route("query", "POST", f"{v2}/query", tasks.query, flat_error, house),
        Route("queue_status", "GET", f"{v2}/queue/status", tasks.queue_status, envelope_error, house),
        Route("upload", "POST", f"{v2}/media/upload/binary", files.upload, upload_error, house),
        Route("price", "POST", f"{v2}/price-preview/{{endpoint:.+}}", tasks.price, price_error, house),
        Route("account", "POST", "/uc/openapi/accountStatus", tasks.account, envelope_error, house),
        Route("app_demo", "GET", "/api/webapp/apiCallDemo", tasks.app_demo, envelope_error, house),
        Route("cancel", "POST", "/task/openapi/cancel", tasks.cancel, envelope_error, house),
        Route("submit", "POST", f"{v2}/{{endpoint:.+}}", tasks.submit, flat_error, house),
        Route("download", "GET", "/input/{name:.+}", files.uploaded, envelope_error, house),
        Route("download", "GET", "/output/{task_id}/{name}", files.result, envelope_error, house),
    ]
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    for route in routes:
        app.router.add_route("*", route.path, route.serve)
    app.on_response_prepare.append(files.note_download)
    house.control.add_to(app)
    return app
