"""Writes the command that buys a job once more, from what the journal keeps of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rh_async import SubmissionRecord
from rh_async._cli.options.connection import Connection
from rh_async._cli.options.journal_options import JournalFile
from rh_async._cli.options.model_options import ModelOptions
from rh_async.models.derived_key import is_derived
from rh_async.models.registry import aliases

_IMAGES, _VIDEOS = ("imageUrl", "299##image"), ("videoUrl", "275##video")
_OPTIONS: Mapping[str, str] = MappingProxyType(
    {"characterOrientation": "--orientation", "prompt": "--prompt", "negativePrompt": "--negative-prompt"}
)
_KEPT_SOUND = (True, "yes")


def resubmit_command(record: SubmissionRecord, connection: Connection, journal_file: JournalFile) -> str | None:
    """The whole ``rh-async run`` that buys a job once more; None if no such command asks for the same."""
    model = next((name for name in aliases() if name in record.endpoint), None)
    inputs = json.loads(record.inputs)
    files = [next((inputs.pop(name) for name in names if name in inputs), None) for names in (_IMAGES, _VIDEOS)]
    sound = inputs.pop("keepOriginalSound", True)
    typed = [*files, *inputs.values()]
    if model is None or not inputs.keys() <= _OPTIONS.keys() or not all(map(_can_be_typed, typed)):
        return None
    words = [*map(str, files), *_options(inputs), *([] if sound in _KEPT_SOUND else ["--no-sound"])]
    if model != ModelOptions(image="", video="").model:
        words += ["--model", model]
    if record.folder is not None:
        words += ["-o", record.folder]
    if not is_derived(record.key):
        words += ["--key", record.key]
    return connection.command("run", *words, "--resubmit", *journal_file.arguments)


def _options(inputs: Mapping[str, str]) -> Iterator[str]:
    for name, value in inputs.items():
        if (name, value) != ("characterOrientation", "video"):  # which goes without saying
            yield from (_OPTIONS[name], value)


def _can_be_typed(value: object) -> bool:
    """Whether an input is kept whole: a long text is kept by its ends, as a repr, and so is an upload."""
    if not isinstance(value, str) or value.startswith("Upload("):
        return False
    return not (value.startswith(("'", '"')) and "..." in value)
