"""Authenticates requests by the API key in the header, or, for v1 calls, in the body or query (contract 1.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web
from attrs import frozen

from rh_async.emulator.state.rejections import RequestRejected

_BEARER = re.compile(r"Bearer (\S+)")


@frozen
class ApiKeys:
    """The API keys of one emulator, by key type."""

    keys: Mapping[str, str]

    def authenticate(self, request: web.Request) -> str:
        """Return the type of the key in the ``Authorization`` header.

        :raises RequestRejected: the header is missing or malformed, or the key is unknown.
        """
        header = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if header is None:
            raise RequestRejected("1002")
        return self._key_type(header[1])

    def authenticate_v1(self, request: web.Request, key: object) -> str:
        """Return the type of the key that a v1 call has in its body or query.

        The vendor's own clients send the key only there. If the header has a key too, it must be the same (contract
        1.2).

        :raises RequestRejected: the key is missing or unknown, or is not the one in the header.
        """
        if not isinstance(key, str) or not key:
            raise RequestRejected("301")
        key_type = self._key_type(key)
        if "Authorization" in request.headers and self.authenticate(request) != key_type:
            raise RequestRejected("802")
        return key_type

    def _key_type(self, key: str) -> str:
        for key_type, known in self.keys.items():
            if key == known:
                return key_type
        raise RequestRejected("806")
