"""Names outputs: a template, checked before anything is submitted, and names that every platform allows. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

from attrs import Attribute, field, frozen

from rh_async.errors import ConfigurationError
from rh_async.models.base import MediaValue, Request
from rh_async.models.media_input import Media
from rh_async.types import Upload

LONGEST = 200
"""Bytes of a name in UTF-8: file systems allow 255, and a suffix may be added."""

_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_WIDTH = re.compile(r"0?[1-9]?")


@frozen(kw_only=True)
class NameFields:
    """All that an output's name can be made of.

    :param number: the entry's number in its plan.
    :param model: the model's endpoint, or any other name of the model.
    :param request: with every option of the job; None where no request could be made.
    """

    clip: MediaValue | None
    character: MediaValue | None
    task_id: str
    number: int
    model: str
    key: str | None = None
    request: Request | None = None


_PLACEHOLDERS: Final[Mapping[str, Callable[[NameFields], str]]] = MappingProxyType(
    {
        "clip": lambda fields: stem_of(fields.clip),
        "character": lambda fields: stem_of(fields.character),
        "task_id": lambda fields: fields.task_id,
        "number": lambda fields: str(fields.number),
        "model": lambda fields: fields.model,
        "key": lambda fields: fields.key or "",
    }
)
"""What each placeholder stands for: a new one is a row here, and help and error messages list it."""
_NEVER_CUT: Final = frozenset({"task_id", "number"})
"""A name that is too long keeps these whole: the task id finds a lost output again."""


def _check_template(_self: OutputNaming, _field: Attribute[str], template: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _invalid_template(template, f"cannot be read ({error})") from error
    for text, name, spec, conversion in parts:
        if _UNSAFE.search(text) or not text.isprintable():
            raise _invalid_template(template, "holds a sign that no file name may hold")
        if name is not None and name not in _PLACEHOLDERS:
            raise _invalid_template(template, f"knows no {{{name}}}")
        if conversion or (spec and not (name == "number" and _WIDTH.fullmatch(spec))):
            raise _invalid_template(template, f"asks for {{{name}}} in a special form; only {{number:04}} has one")
    if not template.strip(". ") or len(template.encode(errors="replace")) > LONGEST // 2:
        raise _invalid_template(template, f"is empty, or longer than {LONGEST // 2} bytes")


def _invalid_template(template: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"output name {template!r} {why}",
        advice=f"Use {OutputNaming.placeholders()} and plain words; nothing was sent.",
    )


@frozen
class OutputNaming:
    """Names the outputs of a batch.

    :param template: with any of `placeholders`; the number may be padded (``{number:04}``).
    :raises ConfigurationError: the template has another placeholder, or characters that file names must not contain.
    """

    template: str = field(default="{clip}__{character}__{task_id}.mp4", validator=_check_template)

    def name(self, fields: NameFields) -> str:
        """Return a safe name of at most `LONGEST` bytes; the longest values are cut first."""
        values = {placeholder: _safe(value(fields)) for placeholder, value in _PLACEHOLDERS.items()}
        name = self._fill_in(values, fields.number)
        while (over := len(name.encode()) - LONGEST) > 0:
            longest = max(values.keys() - _NEVER_CUT, key=lambda value: (len(values[value].encode()), value))
            if not values[longest]:
                break
            values[longest] = _cut(values[longest], over)
            name = self._fill_in(values, fields.number)
        return name

    @staticmethod
    def placeholders() -> str:
        """List every placeholder of a template, as help and error messages show them."""
        return ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)

    def _fill_in(self, values: Mapping[str, str], number: int) -> str:
        # The number stays a number here: the template may ask for leading zeros.
        return _allowed(self.template.format(**{**values, "number": number}))


def stem_of(value: MediaValue | None) -> str:
    """Return the name of a file or link without its suffix, with unsafe characters replaced."""
    if value is None:
        return "none"
    if isinstance(value, Upload):
        return _safe(Path(value.file_name).stem)
    if isinstance(value, Path):
        return _safe(value.stem)
    if isinstance(value, Media):
        return _safe(Path(value.name).stem)
    return "data" if value.lower().startswith("data:") else _safe(Path(unquote(urlsplit(value).path)).stem or "link")


def _safe(text: str) -> str:
    """Replace what file names must not contain; one normal form, or macOS and Linux would name one clip differently."""
    text = unicodedata.normalize("NFC", text)
    return "".join("_" if _UNSAFE.match(char) or not char.isprintable() else char for char in text)


def _cut(text: str, over: int) -> str:
    """Shorten a text by at least as many bytes, without leaving half a character."""
    length = max(0, len(text.encode()) - max(over, 1))
    return text.encode()[:length].decode(errors="ignore")


def _allowed(name: str) -> str:
    """Make the complete name one that Windows allows too, and that is not hidden."""
    name = name.rstrip(". ").lstrip(" ")
    return f"_{name}" if _RESERVED.match(name) or name.startswith(".") or not name else name
