"""Parses links without changing a byte: the server compares a signed link's request target with what it signed. Pure.

What a URL parser would normalise (``%2F``, ``+``, ``~``, an empty query) stays as it was written. Only what no request
line can carry (a space, a control character, a character outside ASCII) is percent-encoded, as UTF-8.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin

from attrs import evolve, field, frozen

_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(
    r"(?:(?P<user>[^\\\s]*)@)?(?P<host>\[[\w:.%]+\]|[^\[\]:@\\\s]+)(?::(?P<port>[0-9]*))?", re.DOTALL
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")
_PORTS = {"http": 80, "https": 443}


class BadLink(ValueError):
    """A link that cannot be fetched; the text says why and shows nothing that is secret."""


@frozen(kw_only=True)
class Link:
    """An http or https link.

    :param user: user name and password, as they were written; None without.
    :param host: a name or an address, an IPv6 address without its brackets.
    :param target: path and query, as they go into the request line.
    """

    scheme: str
    user: str | None = field(default=None, repr=False)
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port: without what may be secret, which is the user, the path and the signature."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    def resolve_redirect(self, location: str) -> Link:
        """Build the link that a ``Location`` names, relative to this one.

        :raises BadLink: it cannot be fetched.
        """
        location = location.strip(" \t\r\n")
        if _SCHEME.match(location):
            return parse_link(location)
        if location.startswith("//"):
            return parse_link(f"{self.scheme}:{location}")
        wanted = location.partition("#")[0]
        path = self.target.partition("?")[0]
        if wanted.startswith("?"):
            wanted = path + wanted
        elif not wanted.startswith("/"):
            wanted = urljoin(path, wanted) if wanted else self.target
        return evolve(self, target=quote_unsendable(wanted))


def parse_link(text: str) -> Link:
    """Parse an absolute link.

    :raises BadLink: it is not an absolute link, or not http or https.
    """
    given = text.strip(" \t\r\n")
    if (absolute := _ABSOLUTE.fullmatch(given.partition("#")[0])) is None:
        raise BadLink(_describe(given))
    scheme, authority, rest = (str(part) for part in absolute.groups())
    if (parts := _AUTHORITY.fullmatch(authority)) is None:
        raise BadLink("the link names no host")
    host = parts["host"].strip("[]").rstrip()
    port = int(parts["port"] or _PORTS[scheme.lower()])
    if not host or not 0 < port < 65536:
        raise BadLink("the link names no host" if not host else f"the link names port {port}")
    target = quote_unsendable(rest if rest.startswith("/") else f"/{rest}")
    return Link(scheme=scheme.lower(), user=parts["user"], host=host, port=port, target=target)


def _describe(text: str) -> str:
    scheme = _SCHEME.match(text)
    if scheme is None or scheme.group().lower() in {"http:", "https:"}:
        return "the link is no whole http or https link"
    return f"the link begins with {scheme.group():.20}, not with http: or https:"


def quote_unsendable(text: str) -> str:
    """Percent-encode, as UTF-8, what no request line can carry; leave the rest of the text as it is."""
    return _UNSENDABLE.sub(lambda found: "".join(f"%{byte:02X}" for byte in _bytes_of(found.group())), text)


def _bytes_of(character: str) -> bytes:
    try:
        # A byte of a header that is not UTF-8 was decoded to a lone surrogate: it is sent as the byte it was.
        return character.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return character.encode(errors="surrogatepass")
