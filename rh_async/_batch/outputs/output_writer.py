"""Brings results into the output folder: under safe names of their own, each beside a file that tells its story."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from attrs import define, field, frozen

from rh_async._batch.planning.plan import Entry
from rh_async._batch.recorded_outputs.sidecar_reader import outputs_in_sidecar, read_sidecar, size_in_sidecar
from rh_async._batch.running.session_port import PriorAttempt, SessionPort
from rh_async._media.file_extension import KNOWN, possible_extensions, stated_extension
from rh_async._media.file_io import in_thread
from rh_async.errors import NotFound, RHError, SaveError
from rh_async.types import Output, Result, TaskId

from .output_copies import put_all, same
from .output_naming import NameFields, OutputNaming
from .sidecar import as_json, asked_for, story, tell_beside

T = TypeVar("T")

_STEM = 100
"""Bytes that are left of a stem which another task has taken, so that the task id fits behind it."""


@frozen
class FileNames:
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
class OutputWriter:
    """The output folder of one batch.

    :param twins: where earlier runs put outputs of entries that shared a job, by its task.
    """

    port: SessionPort
    folder: Path
    naming: OutputNaming
    duplicate_paths: Mapping[str, Sequence[Path]] = field(factory=dict)
    _taken: dict[str, TaskId] = field(factory=dict, init=False)  #: names that are being filled
    _choosing_names: anyio.Lock = field(factory=anyio.Lock, init=False)  #: from the look at a name until it is taken

    async def save(
        self, entry: Entry, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> tuple[Path, ...]:
        """Bring a result to disk under the entry's own names, and its story beside each output.

        :param sources: where its outputs may be already, in their order: if they are, they are linked or copied from
            there, and nothing is fetched.
        :raises SaveError: the disk refused.
        :raises RHError: an output could not be fetched.
        """
        async with self._choosing_names:
            label = await off_loop(self.folder, partial(self._label, entry, past, result, sources))
            taken = [name.casefold() for name in _targets(label, result)]
            self._taken.update(dict.fromkeys(taken, result.task_id))
        try:
            paths = await off_loop(self.folder, partial(self._put, label, result, sources))
            if not paths:
                paths = await self.port.save(result, self.folder, name=label)
            await off_loop(self.folder, partial(tell_beside, paths, story(entry, past, result, paths)))
        finally:
            for name in taken:
                self._taken.pop(name, None)
        return paths

    def _put(self, label: FileNames, result: Result, sources: tuple[Path, ...]) -> tuple[Path, ...]:
        """Link or copy outputs from where they are, or else from where another entry with the same job has them."""
        shared = (outputs_in_sidecar(path) for path in self.duplicate_paths.get(result.task_id, ()))
        for known in (sources, *shared):
            paths = self._as_sources(label, result, known)
            if _put(known, paths):
                return paths
        return ()

    def saved_paths(
        self, entry: Entry, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> tuple[Path, ...] | None:
        """Where an entry's outputs are in this folder already, each with its story beside it. Blocks.

        :param sources: where those of another entry with the same job are: this one wants names of its own. Without
            them, whatever an earlier run called this entry's outputs is good.
        """
        if not sources and self._told_of(entry, recorded := recorded_paths(past)):
            return recorded
        label = self._label(entry, past, result, sources)
        named = [self._there(label, result.task_id, index, output) for index, output in enumerate(result.outputs)]
        paths = tuple(path for path in named if path is not None)
        return paths if paths and len(paths) == len(named) else None

    def _there(self, label: FileNames, task_id: TaskId, index: int, output: Output) -> Path | None:
        """Where an output lies by its name, whatever it turned out to be, with its story beside it."""
        paths = (self.folder / label(task_id, index, kind) for kind in possible_extensions(output))
        return next((path for path in paths if path.is_file() and read_sidecar(path).get("task_id") == task_id), None)

    def _as_sources(self, label: FileNames, result: Result, sources: tuple[Path, ...]) -> tuple[Path, ...]:
        """The names of outputs that are what these files are."""
        kinds = [path.suffix[1:].lower() for path in sources]
        outputs = list(enumerate(result.outputs))
        if len(kinds) != len(outputs):
            return ()
        return tuple(
            self.folder
            / label(
                result.task_id,
                index,
                kind if kind in possible_extensions(output) else stated_extension(output) or "bin",
            )
            for (index, output), kind in zip(outputs, kinds, strict=True)
        )

    def first_path(self, entry: Entry, past: PriorAttempt, result: Result) -> Path:
        """Where an entry's first output would be. Blocks."""
        label = self._label(entry, past, result)
        names = (
            label(result.task_id, index, stated_extension(output) or "bin")
            for index, output in enumerate(result.outputs)
        )
        return self.folder / next(names, "")

    def _told_of(self, entry: Entry, paths: tuple[Path, ...]) -> bool:
        """Whether these outputs lie here, and their stories say that this entry wanted them."""
        request = json.loads(as_json(asked_for(entry.request)))
        here = (path.parent == self.folder and path.is_file() for path in paths)
        return bool(paths) and all(here) and all(read_sidecar(path).get("request") == request for path in paths)

    def _label(self, entry: Entry, past: PriorAttempt, result: Result, sources: tuple[Path, ...] = ()) -> FileNames:
        """The template's names, or with the task id behind them where another task has one of them."""
        subject = NameFields(
            clip=entry.clip,
            character=entry.characters[0] if entry.characters else None,
            task_id=result.task_id,
            number=entry.number,
            model="" if entry.request is None else entry.request.endpoint,
            key=past.key,
        )
        label = FileNames(self.naming.name(subject), len(result.outputs) > 1)
        known = recorded_paths(past)
        mine = (name for name in _targets(label, result) if self.folder / name not in known)
        if any(self._another(name, result.task_id, sources) for name in mine):
            return FileNames(label.name, label.many, result.task_id)
        return label

    def _another(self, name: str, task_id: TaskId, sources: tuple[Path, ...]) -> bool:
        """Whether a name is another task's, as far as the file beside it and those on their way tell."""
        if task_id in name:
            return False
        path = self.folder / name
        if self._taken.get(name.casefold(), task_id) != task_id:
            return True
        theirs = path.exists() and read_sidecar(path).get("task_id") != task_id
        # A run that was killed between the link and its story left no word of whose it is; the content tells.
        return theirs and not any(same(path, source) for source in sources)


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


def recorded_paths(past: PriorAttempt) -> tuple[Path, ...]:
    """Where the journal has an earlier run's outputs."""
    return () if past.record is None else tuple(map(Path, past.record.paths))


def say_where_it_was(error: RHError, past: PriorAttempt) -> None:
    """Let an error over an output that is gone say where an earlier run had saved it."""
    if isinstance(error, NotFound) and (paths := recorded_paths(past)):
        where = ", ".join(map(str, paths))
        error.advice = f"An earlier run saved it as {where}, which is not there any more; the link has expired."


def _put(sources: tuple[Path, ...], targets: tuple[Path, ...]) -> bool:
    """Link or copy outputs that are all there and whole; whether that was done."""
    if not sources or len(sources) != len(targets) or not all(map(_whole, sources)):
        return False
    targets[0].parent.mkdir(parents=True, exist_ok=True)
    put_all(sources, targets)
    return True


def _whole(path: Path) -> bool:
    """Whether an output is there, with as many bytes as its story tells."""
    if not path.is_file():
        return False
    size, told = path.stat().st_size, size_in_sidecar(path)
    return size > 0 and told in {None, size}


def _targets(label: FileNames, result: Result) -> list[str]:
    """Every name that an output may get: what it is may show only once it comes."""
    outputs = enumerate(result.outputs)
    return [label(result.task_id, index, kind) for index, output in outputs for kind in possible_extensions(output)]


def _split(name: str, kind: str) -> tuple[str, str]:
    """A name's stem, and the suffix of what the output really is."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    if suffix[1:].lower() not in KNOWN:
        stem, suffix = name, ""
    return stem, suffix if suffix and kind == "bin" else f".{kind}"
