"""Routes each request to its handler, after the rate limit and the faults have been applied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from attrs import frozen

from rh_async.emulator.faults.definitions import Fault, RouteName
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.http.account_handlers import AccountHandlers
from rh_async.emulator.http.admin_handlers import AdminHandlers
from rh_async.emulator.http.fault_responses import FaultContext, respond_with_fault
from rh_async.emulator.http.file_handlers import FileHandlers
from rh_async.emulator.http.payloads import Json, envelope_error, price_error, task_error, upload_error
from rh_async.emulator.http.request_context import FAULT_KIND, TASK_ID
from rh_async.emulator.http.task_handlers import TaskHandlers
from rh_async.emulator.listener import Listener
from rh_async.emulator.state.call_rate_limit import RateLimiter
from rh_async.emulator.state.rejections import RequestRejected
from rh_async.emulator.state.signed_urls import UrlSigner

_MAX_BODY_BYTES = 64 << 20  #: of JSON, which may contain data URIs
_CHANGES_STATE = frozenset({"submit", "upload", "cancel"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ErrorPayload = Callable[[RequestRejected], Json]


@frozen(kw_only=True)
class Components:
    """The parts of an emulator that requests use.

    :param stopping: set when the server stops.
    """

    tasks: TaskHandlers
    account: AccountHandlers
    files: FileHandlers
    admin: AdminHandlers
    injector: FaultInjector
    url_signer: UrlSigner
    listener: Listener
    rate_limiter: RateLimiter
    stopping: asyncio.Event


@frozen
class Route:
    """One call of the API.

    :param name: what faults call it.
    :param error_payload: builds an error in the shape of this call.
    """

    name: RouteName
    method: str
    handler: Handler
    error_payload: ErrorPayload
    components: Components

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request."""
        listener, injector = self.components.listener, self.components.injector
        listener.request_started(request)
        try:
            response = await self._respond(request)
        except ConnectionError:  # the client has disconnected: there is no connection to respond on
            response = web.Response(status=444)
        # Decided before the response is sent: a client that has read it may send its next request at once.
        injector.after_response(self.name)
        if not listener.is_listening:
            response.force_close()  # the next request must need a new connection, to be refused
        elif isinstance(response, web.Response):  # it is sent at once; a stream may keep the connection busy
            listener.request_finished(request)
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        """Respond with or without a fault; a call above the rate limit uses up no fault."""
        components = self.components
        if self.name != "download" and not components.rate_limiter.try_acquire(self.name):
            await _read_to_end(request)
            return self._respond_rate_limited()
        fault = components.injector.next_fault(self.name)
        return await (self._respond_normally(request) if fault is None else self._respond_with_fault(request, fault))

    def _respond_rate_limited(self) -> web.Response:
        limit = self.components.rate_limiter.limit
        headers = {} if limit is None or limit.retry_after is None else {"Retry-After": f"{limit.retry_after:g}"}
        if limit is not None and limit.response == "429":
            return web.json_response({"error": "too many requests"}, status=429, headers=headers)
        return web.json_response(self.error_payload(RequestRejected("1003")), headers=headers)

    async def _respond_normally(self, request: web.Request) -> web.StreamResponse:
        """Respond without a fault; a rejected request gets HTTP 200 too (contract 3.3)."""
        if request.method != self.method:
            return web.json_response(self.error_payload(RequestRejected("1009")))
        try:
            return await self.handler(request)
        except RequestRejected as rejected:
            return web.json_response(self.error_payload(rejected))

    async def _respond_with_fault(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        components = self.components
        request[FAULT_KIND] = fault.kind  # for the ledger's record of the submit
        normal = await self._execute_if_accepted(request, fault)
        # Recorded after the execution, because only then is the id of the created task known.
        components.injector.record(fault, self.name, request.get(TASK_ID, ""))
        context = FaultContext(
            request, fault, self.error_payload, components.url_signer, components.injector, components.stopping
        )
        return await respond_with_fault(context, normal)

    async def _execute_if_accepted(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """Execute the request if the fault comes after that; otherwise read and record it.

        A call that changes no state is executed in any case, so that the ledger has a record of it.
        """
        reads_body = fault.kind != "drop_before_body"
        if fault.accepted or (reads_body and self.name not in _CHANGES_STATE):
            return await self._respond_normally(request)
        if self.name == "submit":
            await self.components.tasks.record_unexecuted_submit(request, read_body=reads_body)
        elif reads_body:
            await _read_to_end(request)
        return None


async def _read_to_end(request: web.Request) -> None:
    async for _ in request.content.iter_any():
        pass


def build_app(components: Components) -> web.Application:
    """Build the application with all calls of the API and the admin endpoints."""
    v2, tasks, account, files = "/openapi/v2", components.tasks, components.account, components.files
    calls: list[tuple[RouteName, str, str, Handler, ErrorPayload]] = [
        ("query", "POST", f"{v2}/query", tasks.query, task_error),
        ("queue_status", "GET", f"{v2}/queue/status", account.queue_status, envelope_error),
        ("upload", "POST", f"{v2}/media/upload/binary", files.upload, upload_error),
        ("price", "POST", f"{v2}/price-preview/{{endpoint:.+}}", account.price_preview, price_error),
        ("account", "POST", "/uc/openapi/accountStatus", account.account_status, envelope_error),
        ("app_demo", "GET", "/api/webapp/apiCallDemo", account.app_demo, envelope_error),
        ("cancel", "POST", "/task/openapi/cancel", tasks.cancel, envelope_error),
        ("submit", "POST", f"{v2}/{{endpoint:.+}}", tasks.submit, task_error),  # after the other v2 paths
        ("download", "GET", "/input/{name:.+}", files.download_upload, envelope_error),
        ("download", "GET", "/output/{task_id}/{name}", files.download_result, envelope_error),
    ]
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    for name, method, path, handler, error_payload in calls:
        route = Route(name, method, handler, error_payload, components)
        app.router.add_route("*", path, route.serve)  # a wrong method is rejected in the call's own shape
    app.on_response_prepare.append(files.record_download)
    components.admin.add_to(app)
    return app
