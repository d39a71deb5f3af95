"""Writes the command that submits a job once more, from its record in the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rh_async._cli.options.connection import Connection
from rh_async._cli.options.journal_options import JournalFile
from rh_async._cli.options.model_options import ModelOptions
from rh_async.journal import SubmissionRecord
from rh_async.models.derived_key import is_derived
from rh_async.models.registry import aliases

_IMAGE_FIELDS, _VIDEO_FIELDS = ("imageUrl", "299##image"), ("videoUrl", "275##video")
_OPTIONS: Mapping[str, str] = MappingProxyType(
    {"characterOrientation": "--orientation", "prompt": "--prompt", "negativePrompt": "--negative-prompt"}
)
_SOUND_ON = (True, "yes")


def resubmit_command(record: SubmissionRecord, connection: Connection, journal_file: JournalFile) -> str | None:
    """Write the ``rh-async run`` that submits the same job once more; None if no command line can."""
    model = next((name for name in aliases() if name in record.endpoint), None)
    inputs = json.loads(record.inputs)
    files = [
        next((inputs.pop(name) for name in names if name in inputs), None) for names in (_IMAGE_FIELDS, _VIDEO_FIELDS)
    ]
    sound = inputs.pop("keepOriginalSound", True)
    values = [*files, *inputs.values()]
    if model is None or not inputs.keys() <= _OPTIONS.keys() or not all(map(_is_whole, values)):
        return None
    arguments = [*map(str, files), *_options(inputs), *([] if sound in _SOUND_ON else ["--no-sound"])]
    if model != ModelOptions(image="", video="").model:
        arguments += ["--model", model]
    if record.folder is not None:
        arguments += ["-o", record.folder]
    if not is_derived(record.key):
        arguments += ["--key", record.key]
    return connection.command("run", *arguments, "--resubmit", *journal_file.arguments)


def _options(inputs: Mapping[str, str]) -> Iterator[str]:
    for name, value in inputs.items():
        if (name, value) != ("characterOrientation", "video"):  # the default
            yield from (_OPTIONS[name], value)


def _is_whole(value: object) -> bool:
    """Return whether the journal has a value whole: it keeps the ends of a long text, and an upload's repr."""
    if not isinstance(value, str) or value.startswith("Upload("):
        return False
    return not (value.startswith(("'", '"')) and "..." in value)
