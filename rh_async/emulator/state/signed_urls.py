"""Signed links that die: the only way to a file (contract 4.5, 5.1)."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from attrs import field, frozen
from yarl import URL

LINK_SECONDS = 86_400  #: seconds, the exact window of a real signature


class InvalidLink(Exception):
    """A link that was never signed here, or not for this path, or not for this long."""


@frozen
class UrlSigner:
    """Makes and checks links.

    :param origin: where the server listens, so that a forged ``Host`` can not steer a link.
    :param clock: what expiry is measured by.
    """

    origin: str
    _secret: bytes = field(repr=False)
    _clock: Callable[[], float]

    def sign(self, path: str) -> str:
        """Return a link to a path of this server, good for a day from now."""
        start = math.floor(self._clock())
        window = f"{start};{start + LINK_SECONDS}"
        return (
            f"{self.origin}{path}?q-sign-algorithm=sha1&q-ak=emulator&q-sign-time={window}&q-key-time={window}"
            f"&q-header-list=host&q-url-param-list=&q-signature={self._signature(path, window)}"
        )

    def check(self, path: str, query: Mapping[str, str]) -> None:
        """Accept a link as this server signed it; otherwise say :class:`BadLink`."""
        window = query.get("q-sign-time", "")
        if not hmac.compare_digest(self._signature(path, window), query.get("q-signature", "")):
            raise InvalidLink("SignatureDoesNotMatch")
        if self._clock() >= float(window.partition(";")[2]):
            raise InvalidLink("Request has expired")

    def verified_path(self, url: str) -> str | None:
        """Return the path of a link to this server after checking it, None for a link to anywhere else."""
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            return None
        self.check(parts.path, URL(url).query)
        return parts.path

    def _signature(self, path: str, window: str) -> str:
        return hmac.digest(self._secret, f"{path}\n{window}".encode(), "sha1").hex()
