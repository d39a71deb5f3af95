"""Turns the options of ``rh-async batch`` into a plan: probes every file and shows its progress. Nothing is sent."""

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
from rh_async._batch.manifest.manifest_row import RowIssue
from rh_async._batch.manifest.row_parser import RowParser
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
_MIN_LOGGED = 200  #: files; fewer are probed before a log line would help
_TASK_ID = re.compile(r"[0-9]{15,19}")
_PLACEHOLDERS = {"{image}": "IMAGE", "{clip}": "VIDEO"}


async def make_plan(command: BatchCommand, console: Console) -> Plan:
    """Probe every file, and plan what would be sent.

    :param console: for the progress.
    :raises UsageError: the options make no request of their model, or the ``media`` extra is missing.
    """
    await asyncio.to_thread(_check, command.options)
    progress = _ProbeProgress(console)
    with progress.status:
        plan = _plan_folder if command.sources.manifest is None else _plan_manifest
        return await plan(command, Prober(progress=progress.update))


def _check(options: BatchModelOptions) -> None:
    need_media("batch", "probes videos")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # the plan says what is wrong with a file
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # without a handler its errors would go to stderr
    for issue in RowParser(Path(), {}).parse({"model": options.model}).issues:
        if issue.column == "model":
            raise UsageError(f"{_as_option(issue)}; {_SENT}")


async def _plan_folder(command: BatchCommand, prober: Prober) -> Plan:
    sources = command.sources
    return await plan_folder(
        command.clips,
        sources.image,
        make=await asyncio.to_thread(_request_factory, command.options),
        pair=sources.pair,
        recursive=sources.recursive,
        outputs=await asyncio.to_thread(_outputs, command),
        include_outputs=sources.include_outputs,
        limit=sources.limit,
        shuffle=None if sources.shuffle is None else Random(sources.shuffle),
        prober=prober,
    )


async def _plan_manifest(command: BatchCommand, prober: Prober) -> Plan:
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
    """Return the output folder, and every output that the journal has: no input may be one. Blocks."""
    journal_file, out, site = command.running.journal_file, command.running.out, site_of(command.running.base_url)
    if journal_file is None:
        return [out]
    known = task_ids(journal_file.path, site)
    return [out, *saved_paths(journal_file.path), *_named_after_tasks(out, known)]


def _named_after_tasks(out: Path, known: Collection[str]) -> Iterator[Path]:
    """Find files named after a journaled task: a run killed between a file and its sidecar left no other trace."""
    if known and out.is_dir():
        yield from (path for path in out.iterdir() if not set(_TASK_ID.findall(path.name)).isdisjoint(known))


def _request_factory(options: BatchModelOptions) -> RequestFactory:
    """Return what makes a request of an image and a clip. Blocks: the catalogue is a file."""
    if options.is_motion:
        return lambda image, clip: options.model_options(image, clip).request()
    template = _with_placeholders(options)
    return _EndpointTemplate(options.model, template, options.webhook_url, RowParser(Path(), {})).request


def _with_placeholders(options: BatchModelOptions) -> Mapping[str, str]:
    """Return an endpoint's fields, with a placeholder for each of the two files."""
    fields = options.fields()
    for placeholder, kind in _PLACEHOLDERS.items():
        if placeholder not in fields.values():
            fields[_media_field(options.model, kind, fields, placeholder)] = placeholder
    return fields


def _media_field(endpoint: str, kind: str, taken: Mapping[str, str], placeholder: str) -> str:
    model = find_model(endpoint)
    free = [one for one in (model.params.values() if model else ()) if one.type == kind and one.name not in taken]
    if not free:
        unknown = f"the catalogue does not say which field of {endpoint:.80} takes the {placeholder.strip('{}')}"
        raise UsageError(f"{unknown}: add --field NAME={placeholder}, or write a manifest; {_SENT}")
    return next((one for one in free if one.required), free[0]).name


@frozen
class _EndpointTemplate:
    """Makes requests of an endpoint: puts the two files of a job into its fields."""

    endpoint: str
    fields: Mapping[str, str]
    webhook_url: str | None
    parser: RowParser

    def request(self, image: Path, clip: Path) -> Request:
        files = {"{image}": image, "{clip}": clip}
        row: dict[str, Any] = {name: files.get(value, value) for name, value in self.fields.items()}
        webhook = {} if self.webhook_url is None else {"webhook_url": self.webhook_url}
        parsed = self.parser.parse({"model": self.endpoint, **row, **webhook})
        if parsed.request is None:
            raise UsageError("; ".join(map(_as_option, parsed.issues)) + f"; {_SENT}")
        return parsed.request


def _as_option(issue: RowIssue) -> str:
    option = "--model" if issue.column == "model" else f"--field {issue.column}".strip()
    return f"{option}: {issue.message}. {issue.hint}"


def _defaults(command: BatchCommand) -> dict[str, Any]:
    """Return the values of rows that do not set them; paths are relative to the current folder. Blocks."""
    options = command.options
    values = {
        "model": options.model,
        "image": _image(command.sources.image[0]) if command.sources.image else None,
        "webhook_url": options.webhook_url,
        **options.model_options(Path(), Path()).given(),
    }
    return {name: value for name, value in values.items() if value is not None} | _field_defaults(options)


def _image(given: str) -> MediaValue:
    value = media_value(given)
    return find_on_disk(value) if isinstance(value, Path) else value


def _field_defaults(options: BatchModelOptions) -> dict[str, Any]:
    if not options.field:
        return {}
    model = find_model(options.model)
    params = model.params if model else {}
    return {name: _field_value(value, params.get(name)) for name, value in options.fields().items()}


def _field_value(value: str, param: Param | None) -> Any:
    if param is None or not param.is_media:
        return value
    files = [media_value(one.strip()) for one in value.split(";") if one.strip()]
    return files if param.multiple else next(iter(files), value)


@define
class _ProbeProgress:
    """Shows how many files have been probed: in place on a terminal, with a line per tenth elsewhere."""

    _console: Console
    status: Status = field(init=False)
    _tenths: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.status = Status("Looking for files …", console=self._console)

    def update(self, done: int, total: int) -> None:
        """Show that so many files of all have been probed."""
        message = f"Probing files: {done:,} of {total:,}"
        if self._console.is_terminal:
            self.status.update(Text(message))
        elif done * 10 // total > self._tenths and total >= _MIN_LOGGED:
            self._tenths = done * 10 // total
            self._console.print(message)
