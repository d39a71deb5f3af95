"""From what was typed to a plan: every file looked into, with a line that says how far that is. Nothing is sent."""

from __future__ import annotations

import asyncio
import logging
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen
from rich.console import Console
from rich.status import Status
from rich.text import Text

from rh_async import Request
from rh_async._batch.manifest.row_parser import RowIssue, RowParser
from rh_async._batch.planning.path_lookup import find_on_disk
from rh_async._cli.exit_codes import UsageError
from rh_async._cli.options.batch_model_options import BatchModelOptions
from rh_async._cli.options.batch_options import BatchCommand
from rh_async._cli.options.connection import site_of
from rh_async._cli.options.prerequisites import need_media
from rh_async._journal.reader import saved_paths, task_ids
from rh_async.batch import Plan, Prober, RequestFactory, plan_folder, plan_manifest
from rh_async.models.base import MediaValue, media_value
from rh_async.models.catalog import Param, find_model

_SENT = "nothing was sent"
_MANY = 200  #: files that take long enough to be told of
_TASK_ID = re.compile(r"[0-9]{15,19}")
_HOLES = {"{image}": "IMAGE", "{clip}": "VIDEO"}


async def make_plan(command: BatchCommand, console: Console) -> Plan:
    """Look at everything, and say what would be sent.

    :param console: where to say how far that is.
    :raises UsageError: the options make no request of their model, or the ``media`` extra is missing.
    """
    await asyncio.to_thread(_check, command.options)
    looking = _Looking(console)
    with looking.shown():
        return await (_from_folder if command.sources.manifest is None else _from_manifest)(command, looking.prober())


def _check(options: BatchModelOptions) -> None:
    need_media("batch", "looks into videos")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with a file is in the plan, in our words
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors go to stderr, which nobody set up
    for problem in RowParser(Path(), {}).read({"model": options.model}).problems:
        if problem.column == "model":
            raise UsageError(f"{_typed(problem)}; {_SENT}")


async def _from_folder(command: BatchCommand, prober: Prober) -> Plan:
    sources = command.sources
    return await plan_folder(
        command.clips,
        sources.image,
        make=await asyncio.to_thread(_maker, command.options),
        pair=sources.pair,
        recursive=sources.recursive,
        outputs=await asyncio.to_thread(_outputs, command),
        include_outputs=sources.include_outputs,
        limit=sources.limit,
        shuffle=None if sources.shuffle is None else Random(sources.shuffle),
        prober=prober,
    )


async def _from_manifest(command: BatchCommand, prober: Prober) -> Plan:
    sources = command.sources
    assert sources.manifest is not None  # noqa: S101 - for the type checker: chosen by it
    return await plan_manifest(
        sources.manifest,
        defaults=await asyncio.to_thread(_defaults, command),
        limit=sources.limit,
        shuffle=None if sources.shuffle is None else Random(sources.shuffle),
        prober=prober,
    )


def _outputs(command: BatchCommand) -> list[Path | str]:
    """Where outputs go, and every file the journal has as one: `resume` tells of it nowhere else. Blocks."""
    journal_file, out, site = command.running.journal_file, command.running.out, site_of(command.running.base_url)
    return (
        [out]
        if journal_file is None
        else [out, *saved_paths(journal_file.path), *_named_for_tasks(out, task_ids(journal_file.path, site))]
    )


def _named_for_tasks(out: Path, known: Collection[str]) -> Iterator[Path]:
    """Files called after a task of ours: a run that was killed between a file and its story left no other word."""
    if known and out.is_dir():
        yield from (path for path in out.iterdir() if not set(_TASK_ID.findall(path.name)).isdisjoint(known))


def _maker(options: BatchModelOptions) -> RequestFactory:
    """What makes a request of a couple. Blocks: the catalogue is a file."""
    if options.is_motion:
        return lambda image, clip: options.model_options(image, clip).request()
    return _Filling(options.model, _with_holes(options), options.webhook_url, RowParser(Path(), {})).request


def _with_holes(options: BatchModelOptions) -> Mapping[str, str]:
    """An endpoint's fields, with a hole for each of the two files."""
    fields = options.fields()
    for hole, kind in _HOLES.items():
        if hole not in fields.values():
            fields[_media_field(options.model, kind, fields, hole)] = hole
    return fields


def _media_field(endpoint: str, kind: str, taken: Mapping[str, str], hole: str) -> str:
    model = find_model(endpoint)
    free = [one for one in (model.params.values() if model else ()) if one.type == kind and one.name not in taken]
    if not free:
        advice = f"say it with --field NAME={hole}, or write a manifest"
        raise UsageError(f"nothing tells which field of {endpoint:.80} takes the {hole.strip('{}')}: {advice}; {_SENT}")
    return next((one for one in free if one.required), free[0]).name


@frozen
class _Filling:
    """Puts the two files of a job into an endpoint's fields."""

    endpoint: str
    fields: Mapping[str, str]
    webhook_url: str | None
    reader: RowParser

    def request(self, image: Path, clip: Path) -> Request:
        files = {"{image}": image, "{clip}": clip}
        row: dict[str, Any] = {name: files.get(value, value) for name, value in self.fields.items()}
        hook = {} if self.webhook_url is None else {"webhook_url": self.webhook_url}
        made = self.reader.read({"model": self.endpoint, **row, **hook})
        if made.request is None:
            raise UsageError("; ".join(map(_typed, made.problems)) + f"; {_SENT}")
        return made.request


def _typed(problem: RowIssue) -> str:
    option = "--model" if problem.column == "model" else f"--field {problem.column}".strip()
    return f"{option}: {problem.message}. {problem.hint}"


def _defaults(command: BatchCommand) -> dict[str, Any]:
    """What rows that do not say ask for; paths begin here, not at the manifest. Blocks: the catalogue is a file."""
    options = command.options
    said = {
        "model": options.model,
        "image": _image(command.sources.image[0]) if command.sources.image else None,
        "webhook_url": options.webhook_url,
        **options.model_options(Path(), Path()).given(),
    }
    return {name: value for name, value in said.items() if value is not None} | _field_defaults(options)


def _image(words: str) -> MediaValue:
    found = media_value(words)
    return find_on_disk(found) if isinstance(found, Path) else found


def _field_defaults(options: BatchModelOptions) -> dict[str, Any]:
    if not options.field:
        return {}
    model = find_model(options.model)
    params = model.params if model else {}
    return {name: _as_given(value, params.get(name)) for name, value in options.fields().items()}


def _as_given(value: str, param: Param | None) -> Any:
    if param is None or not param.is_media:
        return value
    files = [media_value(one.strip()) for one in value.split(";") if one.strip()]
    return files if param.multiple else next(iter(files), value)


@define
class _Looking:
    """Says how many files have been looked into: in place on a terminal, in a line every so often elsewhere."""

    _console: Console
    _status: Status = field(init=False)
    _told: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._status = Status("Looking for files …", console=self._console)

    def prober(self) -> Prober:
        return Prober(progress=self._tell)

    def shown(self) -> Any:
        return self._status

    def _tell(self, done: int, wanted: int) -> None:
        words = f"Looking into files: {done:,} of {wanted:,}"
        if self._console.is_terminal:
            self._status.update(Text(words))
        elif done * 10 // wanted > self._told and wanted >= _MANY:
            self._told = done * 10 // wanted
            self._console.print(words)
