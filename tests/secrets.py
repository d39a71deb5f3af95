"""Watches everything a test lets out for an API key: logs, reprs, events, errors, files, requests to the outside."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from rh_async import RHError, Session
from rh_async._runtime.notifier import EventNotifier
from rh_async.emulator import Emulator

_SHORTEST = 16  #: a shorter "key" in a test is a word that occurs anyway


@define(eq=False)
class Watch:
    """What one test has let out, and the keys that must not be in it."""

    sessions: list[Session] = field(factory=list)
    servers: list[Emulator] = field(factory=list)
    errors: list[RHError] = field(factory=list)
    records: list[logging.LogRecord] = field(factory=list)
    events: list[str] = field(factory=list)
    folder: Path | None = None

    def attach(self, patch: pytest.MonkeyPatch) -> None:
        """Listen from now on, until the patch is undone."""
        self._note(patch, Session, "__init__", self.sessions)
        self._note(patch, Emulator, "__attrs_post_init__", self.servers)
        self._note(patch, RHError, "__init__", self.errors)
        tell = EventNotifier.__call__

        def told(observer: EventNotifier, event: Any) -> None:
            self.events.append(repr(event))
            tell(observer, event)

        patch.setattr(EventNotifier, "__call__", told)

    def leaks(self) -> list[str]:
        """Every text with a key in it, and every request that carried one outside."""
        keys = self._keys()
        found = [text for text in self._texts() if any(key in text for key in keys)]
        found += [str(path) for path in self._files() if any(key.encode() in path.read_bytes() for key in keys)]
        return found + [repr(leak) for server in self.servers for leak in server.ledger.key_leaks]

    def _keys(self) -> set[str]:
        keys = {key for server in self.servers for key in server.keys.values()}
        keys |= {session._lifetime.transport.api_key for session in self._made()}
        return {key for key in keys if len(key) >= _SHORTEST}

    def _made(self) -> list[Session]:
        return [session for session in self.sessions if _is_made(session)]

    def _texts(self) -> Iterator[str]:
        yield from self.events
        for record in self.records:
            yield f"{record.getMessage()} {vars(record)!r}"
        for error in self.errors:
            yield f"{error} {error!r} {vars(error)!r} {getattr(error, '__notes__', '')!r} {error.__cause__!r}"
        for session in self._made():
            yield f"{session!r} {session._lifetime.transport!r} {session._lifetime.runtime!r}"

    def _files(self) -> list[Path]:
        paths = self.folder.rglob("*") if self.folder is not None else ()
        return [path for path in paths if path.is_file() and path.stat().st_size < 1_000_000]

    def _note(self, patch: pytest.MonkeyPatch, kind: type, name: str, into: list[Any]) -> None:
        made = getattr(kind, name)

        def making(self: object, *args: Any, **options: Any) -> None:
            into.append(self)
            made(self, *args, **options)

        patch.setattr(kind, name, making)


def _is_made(session: Session) -> bool:
    """Tell whether a session was made, and not refused by its constructor.

    The attributes are read by name, and not by ``hasattr``: once renamed, no session would be looked at any more, and
    nothing would say so but the type checker.
    """
    try:
        _ = session._lifetime.transport, session._lifetime.runtime
    except AttributeError:
        return False
    return True


class Listener(logging.Handler):
    """Keeps every record of every logger."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.DEBUG)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)
