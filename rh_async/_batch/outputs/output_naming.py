"""Names outputs: a template, checked before anything is submitted, and names that every platform allows. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from urllib.parse import unquote, urlsplit

from attrs import Attribute, field, frozen

from rh_async.errors import ConfigurationError
from rh_async.models.base import MediaValue
from rh_async.models.media_input import Media
from rh_async.types import Upload

PLACEHOLDERS = ("clip", "character", "task_id", "number", "model", "key")
LONGEST = 200
"""Bytes of a name in UTF-8: file systems allow 255, and a suffix may be added."""

_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_WIDTH = re.compile(r"0?[1-9]?")


@frozen(kw_only=True)
class NameFields:
    """The values of a template's placeholders.

    :param number: the entry's number in its plan.
    :param model: the model's endpoint, or any other name of the model.
    """

    clip: MediaValue | None
    character: MediaValue | None
    task_id: str
    number: int
    model: str
    key: str | None = None


def _check_template(_self: OutputNaming, _field: Attribute[str], template: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _invalid_template(template, f"cannot be read ({error})") from error
    for text, name, spec, conversion in parts:
        if _UNSAFE.search(text) or not text.isprintable():
            raise _invalid_template(template, "holds a sign that no file name may hold")
        if name is not None and name not in PLACEHOLDERS:
            raise _invalid_template(template, f"knows no {{{name}}}")
        if conversion or (spec and not (name == "number" and _WIDTH.fullmatch(spec))):
            raise _invalid_template(template, f"asks for {{{name}}} in a special form; only {{number:04}} has one")
    if not template.strip(". ") or len(template.encode(errors="replace")) > LONGEST // 2:
        raise _invalid_template(template, f"is empty, or longer than {LONGEST // 2} bytes")


def _invalid_template(template: str, why: str) -> ConfigurationError:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    return ConfigurationError(
        f"output name {template!r} {why}", advice=f"Use {known} and plain words; nothing was sent."
    )


@frozen
class OutputNaming:
    """Names the outputs of a batch.

    :param template: with any of ``{clip}``, ``{character}``, ``{task_id}``, ``{number}``, ``{model}``, ``{key}``;
        the number may be padded (``{number:04}``).
    :raises ConfigurationError: the template has another placeholder, or characters that file names must not contain.
    """

    template: str = field(default="{clip}__{character}__{task_id}.mp4", validator=_check_template)

    def name(self, fields: NameFields) -> str:
        """Return a safe name of at most `LONGEST` bytes.

        The longest of the other values are cut first; the task id stays whole, because it finds a lost output again.
        """
        values = {
            "clip": stem_of(fields.clip),
            "character": stem_of(fields.character),
            "model": _safe(fields.model),
            "key": _safe(fields.key or ""),
            "task_id": _safe(fields.task_id),
        }
        name = self._fill_in(values, fields.number)
        while (over := len(name.encode()) - LONGEST) > 0:
            longest = max(values.keys() - {"task_id"}, key=lambda value: (len(values[value].encode()), value))
            if not values[longest]:
                break
            values[longest] = _cut(values[longest], over)
            name = self._fill_in(values, fields.number)
        return name

    def _fill_in(self, values: Mapping[str, str], number: int) -> str:
        return _allowed(self.template.format(number=number, **values))


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
