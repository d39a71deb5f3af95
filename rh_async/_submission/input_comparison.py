"""Tells by content whether two submissions ask for the same: files by their hash, links without their query. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from rh_async._journal.records import SubmissionRecord, SubmissionState
from rh_async.errors import KeyConflict
from rh_async.models.base import Request, short_repr
from rh_async.models.derived_key import is_derived

_LINKS = ("http://", "https://")
_AS_TYPED = (*_LINKS, "data:", "Upload(")
_LONG = 500
_DIGITS = 16  # 64 bits: two contents do not meet in one by chance
_ANOTHER_KEY = "Give this job another key; nothing was sent."


def contents_of(request: Request, sha256s: Mapping[Path, str]) -> str:
    """Each field of a request as a digest of its content, as JSON: what a journal keeps to compare requests by.

    A link counts without its query: it is signed anew each time, and names the same file.

    :param sha256s: of the request's local files.
    """
    named = request.fingerprint(sha256s)
    return json.dumps({name: _digest(value) for name, value in named.items() if value is not None})


def new_record(key: str, request: Request, sha256s: Mapping[Path, str]) -> SubmissionRecord:
    """What is asked for, as a journal has it before anything is sent.

    :param sha256s: of the request's local files.
    """
    return SubmissionRecord(
        key=key,
        attempt=1,
        state=SubmissionState.CLAIMED,
        owner="",
        endpoint=request.endpoint,
        inputs=json.dumps({name: _shown(value) for name, value in request.parameters().items()}, default=short_repr),
        contents=contents_of(request, sha256s),
    )


def check_same_inputs(known: SubmissionRecord, asked: SubmissionRecord) -> None:
    """Refuse a key that was given to a job with other inputs, whose result would be taken for this job's.

    :param known: the attempt that has the key.
    :param asked: what is asked for now, under the same key.
    :raises KeyConflict: the two ask for different things.
    """
    if not known.endpoint or not (differing := _differing(known, asked)):  # "": an adopted task
        return
    then, now = json.loads(known.inputs), json.loads(asked.inputs)
    task = f" as task {known.task_id}" if known.task_id else ""
    words = f"the key was submitted{task} with {_listed(known, then, differing)}; now it is asked for with"
    alike = all(then.get(name) == now.get(name) for name in differing)
    content = ", whose content is another" if alike and known.endpoint == asked.endpoint else ""
    message = f"{words} {_listed(asked, now, differing)}{content}"
    raise KeyConflict(message, key=asked.key, advice=_ANOTHER_KEY)


def _differing(known: SubmissionRecord, asked: SubmissionRecord) -> list[str]:
    """What differs, in the order of the fields; ``endpoint`` for the model."""
    model = ["endpoint"] if known.endpoint != asked.endpoint else []
    if known.contents and asked.contents:
        then, now = json.loads(known.contents), json.loads(asked.contents)
        return [*model, *(name for name in {**then, **now} if then.get(name) != now.get(name))]
    if is_derived(known.key):  # from the content, whatever the files were called
        return []
    then, now = json.loads(known.inputs), json.loads(asked.inputs)
    return [*model, *(name for name in {**then, **now} if not _alike(then.get(name), now.get(name)))]


def _alike(then: object, now: object) -> bool:
    """Whether two inputs may be the same, where no digest was kept: files by name, links and uploads always."""
    if isinstance(then, str) and isinstance(now, str):
        both_typed = then.lower().startswith(_AS_TYPED) and now.lower().startswith(_AS_TYPED)
        return both_typed or Path(then).name == Path(now).name
    return then == now


def _shown(value: object) -> object:
    """A value a person recognises: paths as text, long texts by their ends."""
    if isinstance(value, Path):
        return str(value)
    return short_repr(value) if isinstance(value, str) and len(value) > _LONG else value


def _listed(record: SubmissionRecord, inputs: Mapping[str, object], differing: list[str]) -> str:
    return ", ".join(_each(record, inputs, differing))


def _each(record: SubmissionRecord, inputs: Mapping[str, object], differing: list[str]) -> Iterator[str]:
    for name in differing:
        if name == "endpoint":
            yield f"the model {record.endpoint}"
        else:
            yield f"{name} = {short_repr(inputs[name])}" if inputs.get(name) is not None else f"no {name}"


def _digest(value: object) -> str:
    text = json.dumps(_bare(value), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:_DIGITS]


def _bare(value: object) -> object:
    """A value whose links have lost their query and fragment."""
    if isinstance(value, str):
        return value.partition("#")[0].partition("?")[0] if value.lower().startswith(_LINKS) else value
    if isinstance(value, Mapping):
        return {key: _bare(inner) for key, inner in value.items()}
    return [_bare(inner) for inner in value] if isinstance(value, list | tuple) else value
