"""Names outputs: a template, checked before anything is bought, and names that are safe on every platform. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
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
    """What a name may speak of.

    :param number: of the job in its plan.
    :param model: its endpoint, or any word for it.
    """

    clip: MediaValue | None
    character: MediaValue | None
    task_id: str
    number: int
    model: str
    key: str | None = None


def _checked(_self: OutputNaming, _field: Attribute[str], template: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _refused(template, f"cannot be read ({error})") from error
    for text, name, spec, conversion in parts:
        if _UNSAFE.search(text) or not text.isprintable():
            raise _refused(template, "holds a sign that no file name may hold")
        if name is not None and name not in PLACEHOLDERS:
            raise _refused(template, f"knows no {{{name}}}")
        if conversion or (spec and not (name == "number" and _WIDTH.fullmatch(spec))):
            raise _refused(template, f"asks for {{{name}}} in a special form; only {{number:04}} has one")
    if not template.strip(". ") or len(template.encode(errors="replace")) > LONGEST // 2:
        raise _refused(template, f"is empty, or longer than {LONGEST // 2} bytes")


def _refused(template: str, why: str) -> ConfigurationError:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    return ConfigurationError(
        f"output name {template!r} {why}", advice=f"Use {known} and plain words; nothing was sent."
    )


@frozen
class OutputNaming:
    """Names for outputs.

    :param template: with any of ``{clip}``, ``{character}``, ``{task_id}``, ``{number}``, ``{model}``, ``{key}``;
        the number may be padded (``{number:04}``).
    :raises ConfigurationError: the template has another placeholder, or what no file name may have.
    """

    template: str = field(default="{clip}__{character}__{task_id}.mp4", validator=_checked)

    def name(self, subject: NameFields) -> str:
        """A safe name of at most `LONGEST` bytes, in which the task id stays whole."""
        words = {
            "clip": stem_of(subject.clip),
            "character": stem_of(subject.character),
            "model": _safe(subject.model),
            "key": _safe(subject.key or ""),
            "task_id": _safe(subject.task_id),
        }
        name = self._filled(words, subject.number)
        while (over := len(name.encode()) - LONGEST) > 0:
            longest = max(words.keys() - {"task_id"}, key=lambda word: (len(words[word].encode()), word))
            if not words[longest]:
                break
            words[longest] = _cut(words[longest], over)
            name = self._filled(words, subject.number)
        return name

    def _filled(self, words: Mapping[str, str], number: int) -> str:
        return _whole(self.template.format(number=number, **words))


def clashes(names: Iterable[str]) -> frozenset[str]:
    """Which names are there twice, on a disk that does not tell large letters from small."""
    seen: set[str] = set()
    twice: set[str] = set()
    for name in names:
        folded = name.casefold()
        (twice if folded in seen else seen).add(folded)
    return frozenset(twice)


def stem_of(value: MediaValue | None) -> str:
    """What a file or link is called, safely, without its suffix."""
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
    text = unicodedata.normalize("NFC", text)
    return "".join("_" if _UNSAFE.match(sign) or not sign.isprintable() else sign for sign in text)


def _cut(text: str, over: int) -> str:
    room = max(0, len(text.encode()) - max(over, 1))
    return text.encode()[:room].decode(errors="ignore")


def _whole(name: str) -> str:
    name = name.rstrip(". ").lstrip(" ")
    return f"_{name}" if _RESERVED.match(name) or name.startswith(".") or not name else name
