"""From one row's words to a request: which columns its model takes, and how each is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from attrs import define, field, frozen

from rh_async._request import MediaValue, ModelRequest, Request, brief, media_value, takes_file_name
from rh_async._types import Upload
from rh_async.errors import RequestRefused
from rh_async.motion import CharacterMotionTransfer, DreamActor, KlingModel, KlingMotionControl

from ._catalog import Param, endpoints, model_of
from ._findings import Finding, shown

_DEFAULT_MODEL = "kling-v3.0-std"
_COMMON = frozenset({"model", "webhook_url"})
_PAIR = frozenset({"image", "video"})
_KLING_2 = _PAIR | {"orientation", "prompt", "keep_original_sound"}
_KLING_3 = _KLING_2 | {"negative_prompt", "elements"}
_OTHERS: Mapping[str, Callable[..., Request]] = MappingProxyType(
    {"dreamactor-v2": DreamActor, "wan2.2": CharacterMotionTransfer}
)
_KLINGS: tuple[str, ...] = get_args(KlingModel)
_Outcome = tuple[Request | None, tuple["Problem", ...]]
_REMEMBERED = 100_000  #: rows; a manifest that repeats itself does so within fewer
_LONGEST_KEY = 500
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@frozen
class Problem:
    """What is wrong in a row, before anybody says which row; the words are those of `Finding`."""

    rule: str
    what: str
    remedy: str
    column: str = ""

    def finding(self, where: str) -> Finding:
        thing = f"{where}, column {shown(self.column)}" if self.column else where
        return Finding(rule=self.rule, thing=thing, what=self.what, remedy=self.remedy)


@frozen
class Made:
    """What a row came to."""

    key: str | None = None
    request: Request | None = None
    problems: tuple[Problem, ...] = ()


class _Wrong(Exception):
    """A value that cannot be what its column holds; says why, and what it should be."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.why, self.remedy = why, remedy


@define
class Reader:
    """Reads rows; what was read before is not made again.

    :param folder: which relative paths begin at.
    :param defaults: by column, for rows that do not say.
    """

    folder: Path
    defaults: Mapping[str, Any]
    _made: dict[object, _Outcome] = field(factory=dict, init=False)
    _paths: dict[str, MediaValue] = field(factory=dict, init=False)

    def read(self, values: Mapping[str, Any]) -> Made:
        """Make one row's request, or say all that is wrong with it."""
        key = values.get("key")
        asked = {name: value for name, value in values.items() if name != "key"} if key is not None else values
        name = _hashable(asked)
        made = self._made.get(name) or self._remember(name, self._make(asked))
        if key is not None and (problem := _unfit(key)):
            return Made(None, None, (*made[1], problem))
        return Made(key, *made)

    def _remember(self, name: object, made: _Outcome) -> _Outcome:
        if len(self._made) < _REMEMBERED:
            self._made[name] = made
        return made

    def media(self, value: object) -> MediaValue:
        if isinstance(value, Path | Upload):
            return value
        if not isinstance(value, str):
            raise _Wrong(f"{brief(value)} is no text", "Give a path or a link")
        return self._paths.get(value) or self._paths.setdefault(value, self._media(value))

    def _media(self, value: str) -> MediaValue:
        found = media_value(value)
        return self.folder / found if isinstance(found, Path) else found

    def _make(self, values: Mapping[str, Any]) -> _Outcome:
        model = values.get("model", self.defaults.get("model", _DEFAULT_MODEL))
        form = _form(model)
        if isinstance(form, Problem):
            return None, (form,)
        filled = {name: value for name, value in self.defaults.items() if form.takes(name)} | dict(values)
        filled.pop("model", None)
        filled.pop("key", None)
        return form.request(filled, self)


def _unfit(key: object) -> Problem | None:
    """Why the journal could not remember a job under this key."""
    if not isinstance(key, str):
        return Problem("wrong value", f"{brief(key)} is no text", "Put it in quotes", "key")
    if len(key) > _LONGEST_KEY:
        return Problem("wrong value", f"has {len(key):,} characters", f"Give {_LONGEST_KEY} at most", "key")
    if any("\ud800" <= sign <= "\udfff" for sign in key):
        return Problem("wrong value", "is no UTF-8", "Write it in plain letters", "key")
    return None


def _hashable(values: Mapping[str, Any]) -> object:
    name = tuple(values.items())
    try:
        hash(name)
    except TypeError:
        return repr(name)
    # True is 1 to a dictionary, and not to the server.
    return name if all(type(value) is str for _, value in name) else repr(name)


@frozen
class _Form:
    """How a model's rows are written.

    :param model: as the manifest names it.
    :param columns: how each is read, by its name.
    :param needed: which must be there.
    :param build: makes the request.
    :param is_open: whether it may take columns that nobody documented.
    """

    model: str
    columns: Mapping[str, Callable[[object, Reader], object]]
    needed: frozenset[str]
    build: Callable[..., Request]
    is_open: bool = False

    def takes(self, name: str) -> bool:
        return self.is_open or name in self.columns or name in _COMMON

    def request(self, values: Mapping[str, Any], reader: Reader) -> _Outcome:
        read: dict[str, object] = {}
        problems = [self._unknown(name) for name in values if not self.takes(name)]
        problems += [self._missing(name) for name in sorted(self.needed - values.keys())]
        for name, value in values.items():
            try:
                read[name] = self.columns.get(name, _guessed(name))(value, reader)
            except _Wrong as wrong:
                problems.append(Problem("wrong value", wrong.why, wrong.remedy, name))
        if problems:
            return None, tuple(problems)
        try:
            return self.build(**read), ()
        except RequestRefused as error:
            return None, (_refusal(error),)

    def _unknown(self, name: str) -> Problem:
        near = get_close_matches(name, self.columns, 1)
        taken = f"t takes {', '.join(sorted(self.columns))}"
        remedy = f"Did you mean {near[0]}? I{taken}" if near else f"Remove it; i{taken}"
        return Problem("unknown column", f"{self.model} takes no such column", remedy, name)

    def _missing(self, name: str) -> Problem:
        needs = " and ".join(sorted(self.needed))
        return Problem("missing column", f"is missing or empty; {self.model} needs {needs}", "Fill it", name)


def _refusal(error: RequestRefused) -> Problem:
    place, _, what = error.message.partition(" = ")
    return Problem("wrong value", what or place, "Correct it", place.rpartition(".")[2] if what else "")


def _form(model: object) -> _Form | Problem:
    known = (*_KLINGS, *_OTHERS)
    if not isinstance(model, str):
        return Problem("unknown model", f"{brief(model)} is no text", f"Give one of {', '.join(known)}", "model")
    if model in known:
        return _motion_form(model)
    if model in endpoints() or "/" in model:
        return _endpoint_form(model)
    near = get_close_matches(model, (*known, *endpoints()), 1, 0.5)
    remedy = f"{f'Did you mean {near[0]}? ' if near else ''}Give one of {', '.join(known)}, or an endpoint"
    return Problem("unknown model", f"{brief(model)} is no model", remedy, "model")


@cache
def _motion_form(model: str) -> _Form:
    build = _OTHERS.get(model, lambda **fields: KlingMotionControl(model=model, **fields))  # type: ignore[arg-type]
    names = _PAIR if model in _OTHERS else _KLING_3 if model.startswith("kling-v3.0") else _KLING_2
    return _Form(model, {name: _READ[name] for name in names | {"webhook_url"}}, _PAIR, build)


@cache
def _endpoint_form(endpoint: str) -> _Form:
    model = model_of(endpoint)
    params = model.params if model else {}
    is_whole = model is not None and not model.partial  # what is known in part refuses nothing (contract 11)
    columns = {name: _by_type(param) for name, param in params.items()} | {"webhook_url": _READ["webhook_url"]}
    needed = frozenset(name for name, one in params.items() if is_whole and one.required and one.default is None)

    def build(*, webhook_url: str | None = None, **fields: object) -> Request:
        return ModelRequest(endpoint, fields, webhook_url=webhook_url)

    return _Form(endpoint, columns, needed, build, is_open=model is None)


def _media(value: object, reader: Reader) -> object:
    return reader.media(value)


def _text(value: object, _: Reader) -> object:
    return value


def _flag(value: object, _: Reader) -> object:
    if isinstance(value, bool):
        return value
    try:
        return _WORDS[str(value).lower()]
    except KeyError:
        raise _Wrong(f"{brief(value)} is neither yes nor no", "Write true or false") from None


def _items(value: object, _: Reader) -> object:
    if not isinstance(value, str):
        return value
    return (
        _json(value)
        if value.lstrip().startswith(("[", "{"))
        else [one.strip() for one in value.split(";") if one.strip()]
    )


def _json(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"{brief(value)} is no JSON", "Write it as JSON") from error


def _number(kind: type[int | float]) -> Callable[[object, Reader], object]:
    def read(value: object, _: Reader) -> object:
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            raise _Wrong(f"{brief(value)} is no number", "Write digits") from None

    return read


def _several(value: object, reader: Reader) -> object:
    items = _items(value, reader)
    return [reader.media(one) for one in items] if isinstance(items, list) else [reader.media(items)]


def _by_type(param: Param) -> Callable[[object, Reader], object]:
    if param.is_media:
        return _several if param.multiple else _media
    if param.type == "COMPLEX" or param.multiple:
        return _items
    return {"INT": _number(int), "FLOAT": _number(float), "BOOLEAN": _flag}.get(param.type, _text)


def _guessed(name: str) -> Callable[[object, Reader], object]:
    """How to read a column that nobody documented: as media where its name says so."""
    if takes_file_name(name) and name.endswith(("image", "video", "audio")):
        return _media
    return _media if name.endswith(("Url", "_url")) else _several if name.endswith(("Urls", "_urls")) else _text


_READ: Mapping[str, Callable[[object, Reader], object]] = MappingProxyType(
    {
        "image": _media,
        "video": _media,
        "orientation": _text,
        "prompt": _text,
        "negative_prompt": _text,
        "keep_original_sound": _flag,
        "elements": _items,
        "webhook_url": _text,
    }
)
