"""The emulator's own pages, by which other processes read the ledger and write the script.

They want a token in a header, and a local name in ``Host``. The emulator listens where any page in a browser can send
requests to, by itself or through a name that resolves to this machine. Such a page knows no token, and a header of its
own costs it a question that the emulator never allows.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from attrs import field, frozen
from yarl import URL

from rh_async.emulator.faults.definitions import Fault
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.state.call_rate_limit import RateLimiter, parse_rate_limit
from rh_async.emulator.state.ledger import Ledger

HEADER = "X-Emulator-Token"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

Page = Callable[[web.Request], Awaitable[web.Response]]


@frozen(kw_only=True)
class AdminHandlers:
    """The handlers of these pages.

    :param token: what whoever calls them must know.
    :param host: where the emulator listens, a local name like the usual ones.
    """

    token: str = field(repr=False)
    host: str
    ledger: Ledger
    faults: FaultInjector
    rate_limiter: RateLimiter

    def add_to(self, app: web.Application) -> None:
        """Put every page at its path."""
        pages: list[tuple[str, str, Page]] = [
            ("GET", "/_emulator/ledger", self._read_ledger),
            ("POST", "/_emulator/faults", self._add_faults),
            ("DELETE", "/_emulator/faults", self._clear_faults),
            ("PUT", "/_emulator/rate_limit", self._set_rate_limit),
        ]
        for method, path, page in pages:
            app.router.add_route(method, path, self._guarded(page))

    def _guarded(self, page: Page) -> Page:
        async def guard(request: web.Request) -> web.Response:
            if (why := self._objection(request)) is not None:
                return web.json_response({"error": why}, status=403)
            try:
                return await page(request)
            except (TypeError, ValueError) as bad:
                return web.json_response({"error": str(bad)}, status=400)

        return guard

    def _objection(self, request: web.Request) -> str | None:
        if _named(request.host) not in _LOCAL | {self.host}:
            return f"Host names {request.host!r}: use a local address"
        token = request.headers.get(HEADER, "")
        if not hmac.compare_digest(token.encode(errors="replace"), self.token.encode()):
            return f"the header {HEADER} must hold the token that the emulator told at its start"
        return None

    async def _read_ledger(self, _request: web.Request) -> web.Response:
        return web.json_response(self.ledger.as_json())

    async def _add_faults(self, request: web.Request) -> web.Response:
        faults = _faults(await request.json())
        self.faults.add(*faults)
        return web.json_response({"added": len(faults)})

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self.faults.clear()
        return web.json_response({})

    async def _set_rate_limit(self, request: web.Request) -> web.Response:
        limit = parse_rate_limit(await request.json())
        self.rate_limiter.limit = limit
        return web.json_response({"rate_limit": None if limit is None else limit.as_json()})


def _named(host: str) -> str:
    """The name or address in a ``Host`` header, without its port; "" if that is none."""
    try:
        return URL(f"http://{host}").host or ""
    except ValueError:
        return ""


def _faults(script: Any) -> list[Fault]:
    return [Fault(**fault) for fault in (script if isinstance(script, list) else [script])]
