"""Validate the settings of a session: its arguments, and the environment where an argument is not given."""

from __future__ import annotations

import os
import re
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args
from urllib.parse import urlsplit

from rh_async._api.error_codes import GLOBAL_SITE
from rh_async._http.connection_pools import is_proxy
from rh_async._http.transport import Connector
from rh_async.errors import ConfigurationError
from rh_async.types import OnExit, Secret

_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb"
_API_SUFFIX = "/openapi/v2"  # the vendor's own plug-in writes it into its address (contract 1.4)


def api_key_from(given: Secret | None) -> Secret:
    """Return the API key: the argument, or else from the environment.

    :raises ConfigurationError: there is none, or it cannot be one. The message does not show it.
    """
    from_environment = Secret(os.environ.get("RUNNINGHUB_API_KEY") or os.environ.get("RH_API_KEY") or "")
    key = Secret((given or from_environment).strip())
    if not key:
        raise ConfigurationError("there is no API key: give api_key= or set RUNNINGHUB_API_KEY")
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        raise ConfigurationError("the API key stands in quotes: paste it without them")
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigurationError("the API key has spaces or characters no key has: check what was pasted")
    return key


def resolve_base_url(given: str | None) -> str:
    """Return the API's address: the argument, or else from the environment, or else the global site.

    Needs no API key: a journal is read by its site without one.

    :raises ConfigurationError: it cannot be one. The message does not show it: it may hold a password.
    """
    named = given or os.environ.get("RUNNINGHUB_BASE_URL") or os.environ.get("RH_API_BASE_URL") or GLOBAL_SITE
    url = named.strip().rstrip("/").removesuffix(_API_SUFFIX)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"base_url must look like {GLOBAL_SITE}, without user name or password")
    return url


def proxy_from(given: str | None) -> str | None:
    """Return the proxy's address.

    :raises ConfigurationError: it cannot be one. The message does not show it: it may hold a password.
    """
    if given is not None and not is_proxy(given):
        words = "proxy must look like http://host:port, with user:password@ before the host if need be"
        raise ConfigurationError(words)
    return given


def connector_from(given: Connector | None) -> Connector | None:
    """Return the caller's connector.

    :raises ConfigurationError: it keeps connections alive. A submit on a connection that the server has just closed
        fails after its headers were sent, and then whether it arrived is unknown.
    """
    if given is not None and not (isinstance(given, Connector) and given.force_close):
        raise ConfigurationError(f"connector = {given!r:.80}: must be an aiohttp connector with force_close=True")
    return given


def in_flight_from(given: int | Literal["auto"]) -> int | None:
    """Return how many jobs may be in flight; None to learn it.

    :raises ConfigurationError: it is neither ``auto`` nor a positive whole number.
    """
    if given == "auto":
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ConfigurationError(f"in_flight = {given!r}: must be 'auto' or a whole number of at least 1")
    return given


def on_exit_from(given: OnExit) -> OnExit:
    """Return what becomes of running jobs when the session is closed.

    :raises ConfigurationError: there is no such way.
    """
    if given not in get_args(OnExit):
        raise ConfigurationError(f"on_exit = {given!r}: must be one of {', '.join(get_args(OnExit))}")
    return given


def webhook_url_from(given: str | None) -> str | None:
    """Return the webhook's address.

    :raises ConfigurationError: it cannot be one.
    """
    if given is not None and not (isinstance(given, str) and given.lower().startswith(("http://", "https://"))):
        raise ConfigurationError(f"webhook_url = {given!r:.80}: must start with http:// or https://")
    return given


def budget_from(given: Decimal | float | None) -> Decimal | None:
    """Return the budget as an exact amount.

    :raises ConfigurationError: it is no amount.
    """
    try:
        return None if given is None else Decimal(str(given))
    except InvalidOperation:
        raise ConfigurationError(f"budget = {given!r:.80}: must be an amount of money") from None
