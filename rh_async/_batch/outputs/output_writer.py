"""Writes results into the output folder of a batch, under safe names, each output beside its sidecar."""

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
from rh_async._batch.session_port import PriorAttempt, SessionPort
from rh_async._media.file_extension import KNOWN, possible_extensions, stated_extension
from rh_async._media.file_io import in_thread
from rh_async.errors import NotFound, RHError, SaveError
from rh_async.types import Output, Result, TaskId

from .output_copies import is_same_file, link_or_copy_all
from .output_naming import NameFields, OutputNaming
from .sidecar import request_metadata, sidecar_metadata, to_json, write_sidecars

T = TypeVar("T")

_STEM = 100
"""Bytes that are left of a stem whose name another task has taken, so that the task id fits behind it."""


@frozen
class FileNames:
    """The names of one result's outputs.

    :param many: whether the result has several outputs, which are numbered then.
    :param task_id: put behind the stem; "" if the plain name is free.
    """

    name: str
    many: bool
    task_id: str = ""

    def __call__(self, _task_id: TaskId, index: int, kind: str) -> str:
        stem, suffix = _split(self.name, kind)
        if self.task_id:
            stem = f"{stem.encode()[:_STEM].decode(errors='ignore')}__{self.task_id}"
        return f"{stem}{f'_{index + 1}' if self.many else ''}{suffix}"

    def possible_names(self, result: Result) -> list[str]:
        """Return every name that an output may get: its file type may be known only after the download."""
        outputs = enumerate(result.outputs)
        return [self(result.task_id, index, kind) for index, output in outputs for kind in possible_extensions(output)]

    def stated_names(self, result: Result) -> list[str]:
        """Return the names of the outputs by the file types that the server states."""
        kinds = enumerate(stated_extension(output) or "bin" for output in result.outputs)
        return [self(result.task_id, index, kind) for index, kind in kinds]


@define(eq=False, kw_only=True)
class OutputWriter:
    """Writes into the output folder of one batch.

    :param duplicate_paths: by task id, the outputs that earlier runs wrote for duplicates.
    """

    port: SessionPort
    folder: Path
    naming: OutputNaming
    duplicate_paths: Mapping[str, Sequence[Path]] = field(factory=dict)
    _taken: dict[str, TaskId] = field(factory=dict, init=False)  #: names that are being written
    _choosing_names: anyio.Lock = field(factory=anyio.Lock, init=False)
    """Held from the look for a free name until the name is taken: two results must not choose the same one."""

    async def save(
        self, entry: Entry, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> tuple[Path, ...]:
        """Save a result under the entry's own names, with a sidecar beside each output.

        :param sources: files that may hold the outputs, in their order: if all are whole, they are linked or copied,
            and nothing is downloaded.
        :raises SaveError: the disk refused.
        :raises RHError: an output could not be downloaded.
        """
        async with self._choosing_names:
            names = await off_loop(self.folder, partial(self._file_names, entry, past, result, sources))
            taken = [name.casefold() for name in names.possible_names(result)]
            self._taken.update(dict.fromkeys(taken, result.task_id))
        try:
            paths = await off_loop(self.folder, partial(self._link_or_copy, names, result, sources))
            if not paths:
                paths = await self.port.save(result, self.folder, name=names)
            metadata = sidecar_metadata(entry, past, result, paths)
            await off_loop(self.folder, partial(write_sidecars, paths, metadata))
        finally:
            for name in taken:
                self._taken.pop(name, None)
        return paths

    def _link_or_copy(self, names: FileNames, result: Result, sources: tuple[Path, ...]) -> tuple[Path, ...]:
        """Link or copy outputs from the sources, or else from where a duplicate of an earlier run has them."""
        duplicates = (outputs_in_sidecar(path) for path in self.duplicate_paths.get(result.task_id, ()))
        for files in (sources, *duplicates):
            targets = self._targets_like(files, names, result)
            if files and len(files) == len(targets) and all(map(_is_complete, files)):
                self.folder.mkdir(parents=True, exist_ok=True)
                link_or_copy_all(files, targets)
                return targets
        return ()

    def _targets_like(self, files: tuple[Path, ...], names: FileNames, result: Result) -> tuple[Path, ...]:
        """Return the paths of the outputs, with the file types of the files that hold their content already."""
        if len(files) != len(result.outputs):
            return ()
        suffixes = (path.suffix[1:].lower() for path in files)
        kinds = (
            suffix if suffix in possible_extensions(output) else stated_extension(output) or "bin"
            for output, suffix in zip(result.outputs, suffixes, strict=True)
        )
        return tuple(self.folder / names(result.task_id, index, kind) for index, kind in enumerate(kinds))

    def saved_paths(
        self, entry: Entry, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> tuple[Path, ...] | None:
        """Return where an entry's outputs are in this folder, each beside its sidecar; None if any is missing. Blocks.

        :param sources: the outputs of the primary, for a duplicate, which wants names of its own. Without them any
            names will do under which an earlier run saved this entry's outputs.
        """
        if not sources and self._are_outputs_of(entry, recorded := recorded_paths(past)):
            return recorded
        names = self._file_names(entry, past, result, sources)
        found = [self._find(names, result.task_id, index, output) for index, output in enumerate(result.outputs)]
        paths = tuple(path for path in found if path is not None)
        return paths if paths and len(paths) == len(found) else None

    def _find(self, names: FileNames, task_id: TaskId, index: int, output: Output) -> Path | None:
        """Find an output by its name, whatever its file type turned out to be; its sidecar must name its task."""
        paths = (self.folder / names(task_id, index, kind) for kind in possible_extensions(output))
        return next((path for path in paths if path.is_file() and read_sidecar(path).get("task_id") == task_id), None)

    def first_path(self, entry: Entry, past: PriorAttempt, result: Result) -> Path:
        """Return where an entry's first output would be. Blocks."""
        names = self._file_names(entry, past, result).stated_names(result)
        return self.folder / next(iter(names), "")

    def _are_outputs_of(self, entry: Entry, paths: tuple[Path, ...]) -> bool:
        """Return whether these files are in the folder, and their sidecars name this entry's request."""
        request = json.loads(to_json(request_metadata(entry.request)))
        in_folder = (path.parent == self.folder and path.is_file() for path in paths)
        return bool(paths) and all(in_folder) and all(read_sidecar(path).get("request") == request for path in paths)

    def _file_names(
        self, entry: Entry, past: PriorAttempt, result: Result, sources: tuple[Path, ...] = ()
    ) -> FileNames:
        """Build names by the template, with the task id behind them where another task has one of the names."""
        fields = NameFields(
            clip=entry.clip,
            character=entry.characters[0] if entry.characters else None,
            task_id=result.task_id,
            number=entry.number,
            model="" if entry.request is None else entry.request.endpoint,
            key=past.key,
            request=entry.request,
        )
        names = FileNames(self.naming.name(fields), len(result.outputs) > 1)
        recorded = recorded_paths(past)
        new = (name for name in names.possible_names(result) if self.folder / name not in recorded)
        if any(self._is_of_another_task(name, result.task_id, sources) for name in new):
            return FileNames(names.name, names.many, result.task_id)
        return names

    def _is_of_another_task(self, name: str, task_id: TaskId, sources: tuple[Path, ...]) -> bool:
        """Return whether a name belongs to another task, by its sidecar or because it is being written now."""
        if task_id in name:
            return False
        path = self.folder / name
        if self._taken.get(name.casefold(), task_id) != task_id:
            return True
        is_foreign = path.exists() and read_sidecar(path).get("task_id") != task_id
        # A run that was killed between the link and its sidecar left a file without one; then the content decides.
        return is_foreign and not any(is_same_file(path, source) for source in sources)


async def off_loop(path: Path, act: Callable[[], T]) -> T:
    """Do blocking work on a path in a thread.

    :raises SaveError: the disk refused.
    :raises OutOfResources: the process lacks a thread or a file descriptor.
    """
    try:
        return await in_thread(act)
    except RHError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise SaveError(f"{path} cannot be written: {why}", why=why, phase="download") from error


def recorded_paths(past: PriorAttempt) -> tuple[Path, ...]:
    """Return where the journal says that an earlier run saved the outputs."""
    return () if past.record is None else tuple(map(Path, past.record.paths))


def add_earlier_paths(error: RHError, past: PriorAttempt) -> None:
    """Add to an error about an expired output where an earlier run had saved it."""
    if isinstance(error, NotFound) and (paths := recorded_paths(past)):
        where = ", ".join(map(str, paths))
        error.advice = f"An earlier run saved it as {where}, which is not there any more; the link has expired."


def _is_complete(path: Path) -> bool:
    """Return whether an output exists, with as many bytes as its sidecar states."""
    if not path.is_file():
        return False
    size, stated = path.stat().st_size, size_in_sidecar(path)
    return size > 0 and stated in {None, size}


def _split(name: str, kind: str) -> tuple[str, str]:
    """Split a name into its stem and the suffix of the output's actual file type."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    if suffix[1:].lower() not in KNOWN:
        stem, suffix = name, ""
    return stem, suffix if suffix and kind == "bin" else f".{kind}"
