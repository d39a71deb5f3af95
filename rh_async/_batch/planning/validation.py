"""Checks a request against the documented limits of its model. Pure: the caller has probed the files.

A documented limit is an error. A limit that the documents contradict, or do not state, is a warning: an error would
stop jobs that the server may take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path

from attrs import field, frozen

from rh_async._media.media_info import MediaInfo
from rh_async.issues import Issue, Severity, display_text
from rh_async.models.base import ModelRequest, Request, short_repr
from rh_async.models.catalog import Model, Param, family_of, find_model
from rh_async.models.media_limits import MediaFile, MediaLimits

_MB = 1024 * 1024
_FIELDS_OF_ANY_MODEL = frozenset({"webhookUrl"})
_FAMILY_TEXT = {"image": "an image", "video": "a video", "audio": "a sound"}
_SOUND_SLACK = 0.5  #: seconds; an encoder fills its last frame of sound


def check(request: Request, media_info: Mapping[Path, MediaInfo | Issue]) -> tuple[Issue, ...]:
    """Find everything that is wrong with a request and its files.

    :param seen: what each of its local files is, or why it can be nothing.
    """
    return (*_check_fields(request), *check_files(request, media_info))


def check_files(request: Request, media_info: Mapping[Path, MediaInfo | Issue]) -> Iterator[Issue]:
    """Find everything that is wrong with a request's files."""
    limits = limits_of(request)
    for media in request.media():
        info = media_info[media.path]
        if isinstance(info, Issue):
            yield info
        else:
            yield from _FileCheck(media, info, limits.get(media.field), request.endpoint).issues()


def limits_of(request: Request) -> Mapping[str, MediaLimits]:
    """Return the documented limits of each media field of a request."""
    if not isinstance(request, ModelRequest):
        return request.limits
    model = find_model(request.endpoint)
    return model.limits(request.fields) if model else {}


@frozen
class _FileCheck:
    media: MediaFile
    info: MediaInfo
    limits: MediaLimits | None
    model: str

    def issues(self) -> Iterator[Issue]:
        yield from self._unusual_properties()
        if self.limits is None:
            return
        if self.limits.kinds and self.info.kind not in self.limits.kinds:
            yield self._kind_issue(self.limits.kinds)
            return
        yield from self._check_size(self.limits)
        yield from self._check_seconds(self.limits)
        if self.info.width and self.info.height:
            yield from self._check_px(self.limits)
            yield from self._check_box(self.limits)
            yield from self._check_aspect(self.limits)

    def _issue(self, rule: str, message: str, hint: str, *, severity: Severity = "error") -> Issue:
        return Issue(rule=rule, subject=display_text(self.media.path), message=message, hint=hint, severity=severity)

    def _takes(self, message: str) -> str:
        return f"{self.model} takes {message}"

    def _unusual_properties(self) -> Iterator[Issue]:
        info = self.info
        if info.alpha:
            message = "has transparent parts, of which no model's documents speak"
            yield self._issue("transparency", message, "Put it on a plain background to be sure", severity="warning")
        if info.mode == "CMYK":
            message = "holds CMYK colours, which are for print and may come out wrong"
            yield self._issue("CMYK colours", message, "Convert it to RGB to be sure", severity="warning")
        if info.animated and info.kind == "png":
            yield self._issue("animated image", "is animated; its first frame may be all that is used",
                                "Save one frame as an image", severity="warning")  # fmt: skip
        if not info.decoded:
            yield self._issue("not decoded", self._not_decoded(), "Open it once to be sure", severity="warning")
        if info.sound is not None and info.seconds is not None and info.sound - info.seconds > _SOUND_SLACK:
            message = (
                f"its sound lasts {info.sound:.2f} s, its picture {info.seconds:.2f} s;"
                " limits and price are taken by the picture"
            )
            yield self._issue("sound outlasts picture", message, "Cut the sound to be sure", severity="warning")
        if not _is_utf8(self.media.path):
            message = "has a name that is not UTF-8; outputs will spell those bytes as '_'"
            yield self._issue("name not UTF-8", message, "Rename it to be sure", severity="warning")

    def _not_decoded(self) -> str:
        info = self.info
        if not info.width:
            return f"is a {info.kind}, which cannot be looked into here"
        return f"has {info.width * info.height / 1e6:.0f} megapixels: checked by its header, not decoded to its end"

    def _kind_issue(self, kinds: tuple[str, ...]) -> Issue:
        info, expected = self.info, family_of(kinds[0])
        article = "an animated " if info.animated else "a sound, " if info.family == "audio" else ""
        message = f"is {article}{info.kind} by content; {self._takes(' or '.join(kinds))} in {self.media.field}"
        family_text = _FAMILY_TEXT.get(expected or "")
        if family_text is None or expected == info.family:
            return self._issue("kind of file", message, f"Convert it to {kinds[0]}")
        return self._issue("kind of file", message, f"Give {family_text}")  # no program makes a video of a photograph

    def _check_size(self, limits: MediaLimits) -> Iterator[Issue]:
        size = self.info.size / _MB
        if limits.max_mb is not None and size > limits.max_mb:
            message = f"has {size:.1f} MB; {self._takes(f'{limits.max_mb:g} MB at maximum')}"
            yield self._issue("too many MB", message, "Compress it more, or cut it")
        if limits.warn_mb is not None and size > limits.warn_mb:
            message = f"has {size:.1f} MB; one document of {self.model} says {limits.warn_mb:g} MB, another allows more"
            yield self._issue("perhaps too many MB", message, "Try one before sending many", severity="warning")

    def _check_seconds(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.seconds is None or self.info.seconds is None:
            return
        (minimum, maximum), seconds = limits.seconds, self.info.seconds
        reason = f" with {limits.seconds_reason}" if limits.seconds_reason else ""
        allowed = f"{self._takes(f'{minimum:g} to {maximum:g} s')}{reason}"
        if seconds < minimum:
            yield self._issue("too short", f"lasts {seconds:.2f} s; {allowed}", "Give a longer video")
        if seconds > maximum:
            yield self._issue("too long", f"lasts {seconds:.2f} s; {allowed}", f"Cut it to {maximum:g} s")

    def _dimensions(self) -> str:
        info = self.info
        stored = f" as shown (stored as {info.stored[0]} × {info.stored[1]})" if info.stored else ""
        return f"{info.width} × {info.height} px{stored}"

    def _check_px(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.px is None:
            return
        (minimum, maximum), (width, height) = limits.px, (self.info.width, self.info.height)
        message = f"has {self._dimensions()}; {self._takes(f'{minimum} to {maximum} px on each side')}"
        if min(width, height) < minimum:
            yield self._issue("too few pixels", message, "Give a larger one")
        if max(width, height) > maximum:
            yield self._issue("too many pixels", message, "Scale it down")

    def _check_box(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.box is None:
            return
        (long_least, short_least), (long_most, short_most) = limits.box
        width, height = self.info.width, self.info.height
        allowed = f"{long_least} × {short_least} to {long_most} × {short_most} px, either way round"
        message = f"has {self._dimensions()}; {self._takes(allowed)}"
        if max(width, height) < long_least or min(width, height) < short_least:
            yield self._issue("too few pixels", message, "Give a larger one")
        if max(width, height) > long_most or min(width, height) > short_most:
            yield self._issue("too many pixels", message, "Scale it down")

    def _check_aspect(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.aspect is None:
            return
        (minimum, maximum), ratio = limits.aspect, self.info.width / self.info.height
        if not minimum <= ratio <= maximum:
            sides = f" ({self._dimensions()})" if self.info.stored else ""
            message = f"is {ratio:.2f} times as wide as high{sides}; {self._takes(f'{minimum:g} to {maximum:g}')}"
            yield self._issue("shape", message, "Crop it")


def _is_utf8(path: Path) -> bool:
    return str(path).isascii() or not any("\udc80" <= character <= "\udcff" for character in str(path))


def _check_fields(request: Request) -> Iterator[Issue]:
    """Check the fields of a `ModelRequest` against the catalogue; other requests checked theirs when they were made."""
    if not isinstance(request, ModelRequest):
        return
    model = find_model(request.endpoint)
    if model is None:
        message = "is not in the catalogue this plan is made with; its fields go as they are"
        yield Issue(rule="unknown model", subject=request.endpoint, message=message, hint="Try one before sending many",
                      severity="warning")  # fmt: skip
        return
    for name in sorted(request.fields.keys() - model.params.keys() - _FIELDS_OF_ANY_MODEL):
        known = ", ".join(model.params)
        subject, hint = f"{model.endpoint}, {display_text(name)}", f"It takes {known}"
        message = "no such field is known"
        yield Issue(rule="unknown field", subject=subject, message=message, hint=hint, severity="warning")
    for param in model.params.values():
        yield from _FieldCheck(model, param, request.fields.get(param.name)).issues()


@frozen
class _FieldCheck:
    model: Model
    param: Param
    value: object = field()

    def issues(self) -> Iterator[Issue]:
        if self.value is None:
            if self.param.required and self.param.default is None:
                yield self._issue("missing field", "is required, and missing", "Give it")
            return
        most = self.param.max_items
        if isinstance(self.value, list | tuple) and most is not None and len(self.value) > most:
            yield self._issue("too many items", f"has {len(self.value)} items", f"Give {most} at most")
        yield from self._check_choice()
        yield from self._check_length()
        yield from self._check_range()

    def _check_choice(self) -> Iterator[Issue]:
        options = self.param.options
        values = self.value if isinstance(self.value, list | tuple) else (self.value,)
        if options and not all(str(value) in options for value in values):
            yield self._issue(
                "not an option", f"{short_repr(self.value)} is no option", f"Give one of {', '.join(options)}"
            )

    def _check_length(self) -> Iterator[Issue]:
        minimum, maximum = self.param.length
        if not isinstance(self.value, str) or self.param.is_media:
            return
        if len(self.value) < minimum or (maximum is not None and len(self.value) > maximum):
            allowed = f"Give {minimum:,} to {maximum:,}" if maximum is not None else f"Give {minimum:,} at least"
            yield self._issue("length of text", f"has {len(self.value):,} characters", allowed)

    def _check_range(self) -> Iterator[Issue]:
        minimum, maximum = self.param.value_range
        if not isinstance(self.value, Real) or isinstance(self.value, bool):
            return
        value = float(self.value)
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            text = (
                f"Give {'any' if minimum is None else f'{minimum:g}'} to {'any' if maximum is None else f'{maximum:g}'}"
            )
            yield self._issue("out of range", f"{short_repr(self.value)} is out of range", text)

    def _issue(self, rule: str, message: str, hint: str) -> Issue:
        subject, has_extra = f"{self.model.endpoint}, {self.param.name}", not self.model.partial  # contract 11
        return Issue(
            rule=rule, subject=subject, message=message, hint=hint, severity="error" if has_extra else "warning"
        )
