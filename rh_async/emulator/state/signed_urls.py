"""Signs and verifies the links of files, which expire after a day (contract 4.5, 5.1)."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from attrs import field, frozen
from yarl import URL

LINK_SECONDS = 86_400  #: contract 5.1: how long a real link is valid


class InvalidLink(Exception):
    """The link was not signed by this server for this path, or has expired."""


@frozen
class UrlSigner:
    """Signs and verifies links.

    :param origin: scheme, host and port of this server; a request's ``Host`` header cannot change where links lead.
    :param clock: used for the expiry.
    """

    origin: str
    _secret: bytes = field(repr=False)
    _clock: Callable[[], float]

    def sign(self, path: str) -> str:
        """Return a link to a path of this server, valid for a day."""
        start = math.floor(self._clock())
        window = f"{start};{start + LINK_SECONDS}"
        return (
            f"{self.origin}{path}?q-sign-algorithm=sha1&q-ak=emulator&q-sign-time={window}&q-key-time={window}"
            f"&q-header-list=host&q-url-param-list=&q-signature={self._signature(path, window)}"
        )

    def verify(self, path: str, query: Mapping[str, str]) -> None:
        """Check the signature and the expiry of a link.

        :raises InvalidLink: one of them is wrong.
        """
        window = query.get("q-sign-time", "")
        if not hmac.compare_digest(self._signature(path, window), query.get("q-signature", "")):
            raise InvalidLink("SignatureDoesNotMatch")
        if self._clock() >= float(window.partition(";")[2]):
            raise InvalidLink("Request has expired")

    def verified_path(self, url: str) -> str | None:
        """Verify a link to this server and return its path; return None for a link to another server.

        :raises InvalidLink: this server did not sign the link, or the link has expired.
        """
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            return None
        self.verify(parts.path, URL(url).query)
        return parts.path

    def _signature(self, path: str, window: str) -> str:
        return hmac.digest(self._secret, f"{path}\n{window}".encode(), "sha1").hex()
