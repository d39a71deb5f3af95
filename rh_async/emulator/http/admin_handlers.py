"""Handles the admin endpoints, with which another process reads the ledger and schedules faults.

They require a token in a header, and a local name in ``Host``. Any web page in a browser can send requests to the
emulator's port, directly or through a name that resolves to this machine. Such a page does not know the token, and a
request with a header of its own needs a CORS preflight, which the emulator never allows.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from attrs import field, frozen
from yarl import URL

from rh_async.emulator.faults.definitions import Fault
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.state.call_rate_limit import RateLimiter, parse_rate_limit
from rh_async.emulator.state.ledger import Ledger

TOKEN_HEADER = "X-Emulator-Token"  # noqa: S105 - the name of a header
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

Handler = Callable[[web.Request], Awaitable[web.Response]]


@frozen(kw_only=True)
class AdminHandlers:
    """The handlers of these endpoints.

    :param token: the value that the header must have.
    :param host: where the emulator listens, which counts as a local name.
    """

    token: str = field(repr=False)
    host: str
    ledger: Ledger
    injector: FaultInjector
    rate_limiter: RateLimiter

    def add_to(self, app: web.Application) -> None:
        """Add the endpoints to an application."""
        endpoints: list[tuple[str, str, Handler]] = [
            ("GET", "/_emulator/ledger", self._read_ledger),
            ("POST", "/_emulator/faults", self._add_faults),
            ("DELETE", "/_emulator/faults", self._clear_faults),
            ("PUT", "/_emulator/rate_limit", self._set_rate_limit),
        ]
        for method, path, handler in endpoints:
            app.router.add_route(method, path, self._guarded(handler))

    def _guarded(self, handler: Handler) -> Handler:
        """Wrap a handler: check the request's host and token first, and answer a wrong body with HTTP 400."""

        async def guard(request: web.Request) -> web.Response:
            if (problem := self._access_problem(request)) is not None:
                return web.json_response({"error": problem}, status=403)
            try:
                return await handler(request)
            except (TypeError, ValueError) as error:
                return web.json_response({"error": str(error)}, status=400)

        return guard

    def _access_problem(self, request: web.Request) -> str | None:
        """Return why a request is not allowed; None if it is."""
        if _host_name(request.host) not in _LOCAL_HOSTS | {self.host}:
            return f"Host names {request.host!r}: use a local address"
        token = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(token.encode(errors="replace"), self.token.encode()):
            return f"the header {TOKEN_HEADER} must hold the admin token"
        return None

    async def _read_ledger(self, _request: web.Request) -> web.Response:
        return web.json_response(self.ledger.as_json())

    async def _add_faults(self, request: web.Request) -> web.Response:
        body = await request.json()
        faults = [Fault(**fault) for fault in (body if isinstance(body, list) else [body])]
        self.injector.add(*faults)
        return web.json_response({"added": len(faults)})

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self.injector.clear()
        return web.json_response({})

    async def _set_rate_limit(self, request: web.Request) -> web.Response:
        limit = parse_rate_limit(await request.json())
        self.rate_limiter.limit = limit
        return web.json_response({"rate_limit": None if limit is None else limit.as_json()})


def _host_name(host: str) -> str:
    """Return the name or address in a ``Host`` header, without the port; "" if there is none."""
    try:
        return URL(f"http://{host}").host or ""
    except ValueError:
        return ""
