"""What a request must look like before anybody reads its meaning: header, type, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from aiohttp import web
from attrs import frozen

from rh_async.emulator.http.payloads import Json, RequestRejected

TASK_ID = web.RequestKey("asked", str)  #: the task id that a request is about, or has made
FAULT_KIND = web.RequestKey("fault", str)  #: the kind of fault that strikes it

_BEARER = re.compile(r"Bearer (\S+)")


@frozen
class ApiKeys:
    """The keys of one emulator, by the name of their type."""

    keys: Mapping[str, str]

    def holder(self, request: web.Request) -> str:
        """Return the type of the key that a request carries, or refuse it."""
        header = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if header is None:
            raise RequestRejected("1002")
        return self.type_of(header[1])

    def type_of(self, key: object) -> str:
        """Return the type of a key, or refuse it."""
        for name, known in self.keys.items():
            if key == known:
                return name
        raise RequestRejected("806")

    def confirm(self, request: web.Request, key: object) -> str:
        """Return the type of the key that a v1 call names in its body or query, or refuse it (contract 1.2).

        The vendor's own clients send it there alone. A key in the header beside it must be the same.
        """
        if not isinstance(key, str) or not key:
            raise RequestRejected("301")
        holder = self.type_of(key)
        if "Authorization" in request.headers and self.holder(request) != holder:
            raise RequestRejected("802")
        return holder


async def read_json_object(request: web.Request) -> Json:
    """Read a body that must be one JSON object, and say so."""
    return parse_json_object(request, await request.read())


def parse_json_object(request: web.Request, raw: bytes) -> Json:
    """Understand a body that must be one JSON object, and say so."""
    if request.content_type != "application/json":
        raise RequestRejected("1007")
    try:
        body = json.loads(raw)
    except ValueError as bad:
        raise RequestRejected("1007") from bad
    if not isinstance(body, dict):
        raise RequestRejected("1007")
    return body
