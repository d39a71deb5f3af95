"""Connects to the server: the address comes from the command line, the API key from the environment only."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from attrs import field, frozen
from cyclopts import Parameter

from rh_async import CHINA_SITE, GLOBAL_SITE, RetryPolicy, Session, Timeouts
from rh_async._cli.exit_codes import UsageError
from rh_async.batch import LocalFiles
from rh_async.client import resolve_base_url
from rh_async.errors import ConfigurationError
from rh_async.events import Event
from rh_async.types import OnExit

_KEYS = "RUNNINGHUB_API_KEY", "RH_API_KEY"
_ADDRESSES = "RUNNINGHUB_BASE_URL", "RH_API_BASE_URL"

BaseUrl = Annotated[
    str | None,
    Parameter(
        name="--base-url",
        help=f"the site, {GLOBAL_SITE} or {CHINA_SITE}; by default {' or '.join(_ADDRESSES)} from the environment,"
        f" else the first. The key comes from {' or '.join(_KEYS)} in the environment and is no option: a process list"
        " would show it.",
    ),
]

# For one short call at a terminal: a wrong port must not take five minutes to be reported.
_SHORT_RETRY = RetryPolicy(give_up_after=30.0, max_delay=5.0)
_SHORT_TIMEOUTS = Timeouts(connect=10.0, read=10.0)


@frozen
class Connection:
    """The server's address as it was given; None where none was.

    :raises UsageError: there is no API key, or the address is none.
    """

    base_url: str | None = field()

    def __attrs_post_init__(self) -> None:
        if self.base_url is not None and not self.base_url.strip():
            raise UsageError(f"--base-url is empty: give {GLOBAL_SITE} or {CHINA_SITE}, or leave it out")
        if not any(os.environ.get(name, "").strip() for name in _KEYS):
            raise UsageError(f"there is no API key: set {' or '.join(_KEYS)} in the environment")
        self.session()

    @property
    def address(self) -> str:
        """Return the address, for messages."""
        given = [self.base_url, *map(os.environ.get, _ADDRESSES)]
        return next(filter(None, given), GLOBAL_SITE).strip()

    @property
    def site(self) -> str:
        """Return the address as the journal stores it."""
        return site_of(self.base_url)

    def session(
        self,
        on_event: Callable[[Event], object] | None = None,
        *,
        journal: Path | None = None,
        on_exit: OnExit = "detach",
        in_flight: int | Literal["auto"] = "auto",
        files: LocalFiles | None = None,
    ) -> Session:
        """Make a session for jobs: they are billed, so outages are waited out."""
        return self._make(on_event=on_event, journal=journal, on_exit=on_exit, in_flight=in_flight, files=files)

    def short_session(self, on_event: Callable[[Event], object], *, journal: Path | None = None) -> Session:
        """Make a session for one short call, which is given up soon."""
        return self._make(on_event=on_event, journal=journal, retry=_SHORT_RETRY, timeouts=_SHORT_TIMEOUTS)

    def command(self, *arguments: str) -> str:
        """Write a command for the same server, quoted for the shell."""
        address = [] if self.base_url is None else ["--base-url", self.base_url]
        return shlex.join(["rh-async", *arguments, *address])

    def status_command(self, task_id: str) -> str:
        """Write the command that gets a task's status."""
        return self.command("status", task_id)

    def _make(self, **settings: Any) -> Session:
        try:
            return Session(base_url=self.base_url, trust_env=True, **settings)
        except ConfigurationError as error:
            message = re.sub(r"^base_url( =)?", "the base url", error.message)
            raise UsageError(f"{message}; nothing was sent") from error


def site_of(base_url: str | None) -> str:
    """Return the address as the journal stores it; needs no API key.

    :raises ConfigurationError: it is no address.
    """
    return resolve_base_url(base_url)
