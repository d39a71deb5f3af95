"""Brings results into the output folder: under safe names of their own, each beside a file that tells its story."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import anyio
from attrs import asdict, define, field, frozen

from rh_async._extensions import KNOWN, possible
from rh_async._files import in_thread
from rh_async._memory import Earlier
from rh_async._request import brief
from rh_async._types import Result, TaskId, Upload
from rh_async.errors import RHError, SaveError

from ._carrier import Carrier
from ._entries import Entry
from ._names import Names, Subject

T = TypeVar("T")

_STEM = 100
"""Bytes that are left of a stem which another task has taken, so that the task id fits behind it."""


@frozen
class _Label:
    """The names of one result's outputs.

    :param own: put behind the stem; "" if the name is free.
    """

    name: str
    many: bool
    own: str = ""

    def __call__(self, _task_id: TaskId, index: int, kind: str) -> str:
        stem, suffix = _split(self.name, kind)
        if self.own:
            stem = f"{stem.encode()[:_STEM].decode(errors='ignore')}__{self.own}"
        return f"{stem}{f'_{index + 1}' if self.many else ''}{suffix}"


@define(eq=False, kw_only=True)
class Shelf:
    """The output folder of one batch."""

    carrier: Carrier
    folder: Path
    names: Names
    _taken: dict[str, TaskId] = field(factory=dict, init=False)  #: names that are being filled
    _naming: anyio.Lock = field(factory=anyio.Lock, init=False)  #: from the look at a name until it is taken

    async def save(self, entry: Entry, past: Earlier, result: Result) -> tuple[Path, ...]:
        """Bring a result to disk, and its story beside each output.

        :raises SaveError: the disk refused.
        :raises RHError: an output could not be fetched.
        """
        async with self._naming:
            label = await off_loop(self.folder, partial(self._label, entry, past, result))
            taken = [name.casefold() for name in _targets(label, result)]
            self._taken.update(dict.fromkeys(taken, result.task_id))
        try:
            paths = await self.carrier.save(result, self.folder, name=label)
            await off_loop(self.folder, partial(_tell_beside, paths, story(entry, past, result, paths)))
        finally:
            for name in taken:
                self._taken.pop(name, None)
        return paths

    def holds(self, paths: tuple[Path, ...]) -> bool:
        """Whether outputs are there, and their story beside those that lie here. Blocks: call it off the loop."""
        told = all(_beside(path).exists() for path in paths if path.parent == self.folder)
        return bool(paths) and told and all(path.exists() for path in paths)

    def _label(self, entry: Entry, past: Earlier, result: Result) -> _Label:
        """The template's names, or with the task id behind them where another task has one of them."""
        subject = Subject(
            clip=entry.clip,
            character=entry.characters[0] if entry.characters else None,
            task_id=result.task_id,
            number=entry.number,
            model="" if entry.request is None else entry.request.endpoint,
            key=past.key,
        )
        label = _Label(self.names.name(subject), len(result.outputs) > 1)
        known = () if past.record is None else past.record.paths
        mine = (name for name in _targets(label, result) if str(self.folder / name) not in known)
        if any(self._another(name, result.task_id) for name in mine):
            return _Label(label.name, label.many, result.task_id)
        return label

    def _another(self, name: str, task_id: TaskId) -> bool:
        """Whether a name is another task's, as far as the file beside it and those on their way tell."""
        if task_id in name:
            return False
        path = self.folder / name
        return self._taken.get(name.casefold(), task_id) != task_id or (path.exists() and _owner(path) != task_id)


async def off_loop(path: Path, act: Callable[[], T]) -> T:
    """Work on the disk in a thread.

    :raises SaveError: the disk refused.
    :raises OutOfResources: the machine lacks what that takes.
    """
    try:
        return await in_thread(act)
    except RHError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise SaveError(f"{path} cannot be written: {why}", why=why, phase="download") from error


def story(entry: Entry, past: Earlier, result: Result, paths: tuple[Path, ...]) -> dict[str, Any]:
    """What made these outputs: enough to make them again, and to account for them."""
    request = entry.request
    return {
        "number": entry.number,
        "origin": entry.origin,
        "task_id": result.task_id,
        "key": past.key,
        "model": None if request is None else request.endpoint,
        "request": {} if request is None else request.parameters(),
        "sources": {str(path): sha256 for path, sha256 in past.sha256s.items()},
        "usage": asdict(result.usage),
        "list_price": None if entry.price is None else asdict(entry.price),
        "submitted_utc": result.submitted_utc,
        "noticed_utc": result.noticed_utc,
        "seconds": seconds_of(result),
        "outputs": [path.name for path in paths],
    }


def seconds_of(result: Result) -> float | None:
    """From acceptance to notice."""
    return None if result.submitted_utc is None else (result.noticed_utc - result.submitted_utc).total_seconds()


def as_json(value: Mapping[str, Any], *, indent: int | None = None) -> str:
    """As text in ASCII, which whatever name a file has survives."""
    return json.dumps(value, default=_plain, indent=indent)


def _plain(value: object) -> object:
    if isinstance(value, Upload):
        return value.file_name or value.sha256
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _targets(label: _Label, result: Result) -> list[str]:
    """Every name that an output may get: what it is may show only once it comes."""
    outputs = enumerate(result.outputs)
    return [label(result.task_id, index, kind) for index, output in outputs for kind in possible(output)]


def _split(name: str, kind: str) -> tuple[str, str]:
    """A name's stem, and the suffix of what the output really is."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    if suffix[1:].lower() not in KNOWN:
        stem, suffix = name, ""
    return stem, suffix if suffix and kind == "bin" else f".{kind}"


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _owner(path: Path) -> str | None:
    try:
        told = json.loads(_beside(path).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return told.get("task_id") if isinstance(told, dict) else None


def _tell_beside(paths: tuple[Path, ...], facts: Mapping[str, Any]) -> None:
    request = {name: _short(value) for name, value in facts["request"].items()}
    for path in paths:
        _write(_beside(path), as_json({**facts, "request": request}, indent=2) + "\n")


def _short(value: object) -> object:
    return brief(value) if isinstance(value, str) and value.startswith("data:") else value


def _write(path: Path, text: str) -> None:
    """Let a file appear whole or not at all."""
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        with part.open("w", encoding="ascii") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
