"""Holds a request against what its model is documented to take. Pure: whoever calls has looked into the files.

What is documented refuses; what the documents contradict, or do not speak of, warns.
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
_EVERYWHERE = frozenset({"webhookUrl"})
_NAMED = {"image": "an image", "video": "a video", "audio": "a sound"}
_SOUND_SLACK = 0.5  #: seconds; an encoder fills its last frame of sound


def check(request: Request, seen: Mapping[Path, MediaInfo | Issue]) -> tuple[Issue, ...]:
    """Everything that is wrong with a request and its files.

    :param seen: what each of its local files is, or why it can be nothing.
    """
    return (*_check_fields(request), *check_files(request, seen))


def check_files(request: Request, seen: Mapping[Path, MediaInfo | Issue]) -> Iterator[Issue]:
    """Everything that is wrong with a request's files."""
    limits = limits_of(request)
    for media in request.media():
        facts = seen[media.path]
        if isinstance(facts, Issue):
            yield facts
        else:
            yield from _Check(media, facts, limits.get(media.field), request.endpoint).issues()


def limits_of(request: Request) -> Mapping[str, MediaLimits]:
    """The documented limits of each media field of a request."""
    if not isinstance(request, ModelRequest):
        return request.limits
    model = find_model(request.endpoint)
    return model.limits(request.fields) if model else {}


@frozen
class _Check:
    media: MediaFile
    facts: MediaInfo
    limits: MediaLimits | None
    model: str

    def issues(self) -> Iterator[Issue]:
        yield from self._oddities()
        if self.limits is None:
            return
        if self.limits.kinds and self.facts.kind not in self.limits.kinds:
            yield self._kind(self.limits.kinds)
            return
        yield from self._size(self.limits)
        yield from self._seconds(self.limits)
        if self.facts.width and self.facts.height:
            yield from self._px(self.limits)
            yield from self._box(self.limits)
            yield from self._aspect(self.limits)

    def _issue(self, rule: str, what: str, hint: str, *, severity: Severity = "error") -> Issue:
        return Issue(rule=rule, subject=display_text(self.media.path), message=what, hint=hint, severity=severity)

    def _takes(self, what: str) -> str:
        return f"{self.model} takes {what}"

    def _oddities(self) -> Iterator[Issue]:
        facts = self.facts
        if facts.alpha:
            what = "has transparent parts, of which no model's documents speak"
            yield self._issue("transparency", what, "Put it on a plain background to be sure", severity="warning")
        if facts.mode == "CMYK":
            what = "holds CMYK colours, which are for print and may come out wrong"
            yield self._issue("CMYK colours", what, "Convert it to RGB to be sure", severity="warning")
        if facts.animated and facts.kind == "png":
            yield self._issue("animated image", "is animated; its first frame may be all that is used",
                                "Save one frame as an image", severity="warning")  # fmt: skip
        if not facts.decoded:
            yield self._issue("not decoded", self._not_decoded(), "Open it once to be sure", severity="warning")
        if facts.sound is not None and facts.seconds is not None and facts.sound - facts.seconds > _SOUND_SLACK:
            what = (
                f"its sound lasts {facts.sound:.2f} s, its picture {facts.seconds:.2f} s;"
                " limits and price are taken by the picture"
            )
            yield self._issue("sound outlasts picture", what, "Cut the sound to be sure", severity="warning")
        if not _is_utf8(self.media.path):
            what = "has a name that is not UTF-8; outputs will spell those bytes as '_'"
            yield self._issue("name not UTF-8", what, "Rename it to be sure", severity="warning")

    def _not_decoded(self) -> str:
        facts = self.facts
        if not facts.width:
            return f"is a {facts.kind}, which cannot be looked into here"
        return f"has {facts.width * facts.height / 1e6:.0f} megapixels: judged by its header, not decoded to its end"

    def _kind(self, kinds: tuple[str, ...]) -> Issue:
        facts, wanted = self.facts, family_of(kinds[0])
        article = "an animated " if facts.animated else "a sound, " if facts.family == "audio" else ""
        what = f"is {article}{facts.kind} by content; {self._takes(' or '.join(kinds))} in {self.media.field}"
        named = _NAMED.get(wanted or "")
        if named is None or wanted == facts.family:
            return self._issue("kind of file", what, f"Convert it to {kinds[0]}")
        return self._issue("kind of file", what, f"Give {named}")  # no program makes a video of a photograph

    def _size(self, limits: MediaLimits) -> Iterator[Issue]:
        size = self.facts.size / _MB
        if limits.max_mb is not None and size > limits.max_mb:
            what = f"has {size:.1f} MB; {self._takes(f'{limits.max_mb:g} MB at most')}"
            yield self._issue("too many MB", what, "Compress it more, or cut it")
        if limits.warn_mb is not None and size > limits.warn_mb:
            what = f"has {size:.1f} MB; one document of {self.model} says {limits.warn_mb:g} MB, another allows more"
            yield self._issue("perhaps too many MB", what, "Try one before sending many", severity="warning")

    def _seconds(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.seconds is None or self.facts.seconds is None:
            return
        (least, most), seconds = limits.seconds, self.facts.seconds
        reason = f" with {limits.seconds_reason}" if limits.seconds_reason else ""
        allowed = f"{self._takes(f'{least:g} to {most:g} s')}{reason}"
        if seconds < least:
            yield self._issue("too short", f"lasts {seconds:.2f} s; {allowed}", "Give a longer video")
        if seconds > most:
            yield self._issue("too long", f"lasts {seconds:.2f} s; {allowed}", f"Cut it to {most:g} s")

    def _sides(self) -> str:
        facts = self.facts
        stored = f" as shown (stored as {facts.stored[0]} × {facts.stored[1]})" if facts.stored else ""
        return f"{facts.width} × {facts.height} px{stored}"

    def _px(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.px is None:
            return
        (least, most), (width, height) = limits.px, (self.facts.width, self.facts.height)
        what = f"has {self._sides()}; {self._takes(f'{least} to {most} px on each side')}"
        if min(width, height) < least:
            yield self._issue("too few pixels", what, "Give a larger one")
        if max(width, height) > most:
            yield self._issue("too many pixels", what, "Scale it down")

    def _box(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.box is None:
            return
        (long_least, short_least), (long_most, short_most) = limits.box
        width, height = self.facts.width, self.facts.height
        allowed = f"{long_least} × {short_least} to {long_most} × {short_most} px, either way round"
        what = f"has {self._sides()}; {self._takes(allowed)}"
        if max(width, height) < long_least or min(width, height) < short_least:
            yield self._issue("too few pixels", what, "Give a larger one")
        if max(width, height) > long_most or min(width, height) > short_most:
            yield self._issue("too many pixels", what, "Scale it down")

    def _aspect(self, limits: MediaLimits) -> Iterator[Issue]:
        if limits.aspect is None:
            return
        (least, most), ratio = limits.aspect, self.facts.width / self.facts.height
        if not least <= ratio <= most:
            sides = f" ({self._sides()})" if self.facts.stored else ""
            what = f"is {ratio:.2f} times as wide as high{sides}; {self._takes(f'{least:g} to {most:g}')}"
            yield self._issue("shape", what, "Crop it")


def _is_utf8(path: Path) -> bool:
    return str(path).isascii() or not any("\udc80" <= sign <= "\udcff" for sign in str(path))


def _check_fields(request: Request) -> Iterator[Issue]:
    """A motion request has checked its own; any other is held against the catalogue."""
    if not isinstance(request, ModelRequest):
        return
    model = find_model(request.endpoint)
    if model is None:
        what = "is not in the catalogue this plan is made with; its fields go as they are"
        yield Issue(rule="unknown model", subject=request.endpoint, message=what, hint="Try one before sending many",
                      severity="warning")  # fmt: skip
        return
    for name in sorted(request.fields.keys() - model.params.keys() - _EVERYWHERE):
        known = ", ".join(model.params)
        subject, hint = f"{model.endpoint}, {display_text(name)}", f"It takes {known}"
        what = "no such field is known"
        yield Issue(rule="unknown field", subject=subject, message=what, hint=hint, severity="warning")
    for param in model.params.values():
        yield from _Value(model, param, request.fields.get(param.name)).issues()


@frozen
class _Value:
    model: Model
    param: Param
    value: object = field()

    def issues(self) -> Iterator[Issue]:
        if self.value is None:
            if self.param.required and self.param.default is None:
                yield self._issue("missing field", "is required, and missing", "Give it")
            return
        if (
            isinstance(self.value, list | tuple)
            and self.param.max_items is not None
            and len(self.value) > self.param.max_items
        ):
            yield self._issue("too many items", f"has {len(self.value)} items", f"Give {self.param.max_items} at most")
        yield from self._choice()
        yield from self._length()
        yield from self._range()

    def _choice(self) -> Iterator[Issue]:
        options = self.param.options
        values = self.value if isinstance(self.value, list | tuple) else (self.value,)
        if options and not all(str(value) in options for value in values):
            yield self._issue(
                "not an option", f"{short_repr(self.value)} is no option", f"Give one of {', '.join(options)}"
            )

    def _length(self) -> Iterator[Issue]:
        least, most = self.param.length
        if not isinstance(self.value, str) or self.param.is_media:
            return
        if len(self.value) < least or (most is not None and len(self.value) > most):
            allowed = f"Give {least:,} to {most:,}" if most is not None else f"Give {least:,} at least"
            yield self._issue("length of text", f"has {len(self.value):,} characters", allowed)

    def _range(self) -> Iterator[Issue]:
        least, most = self.param.value_range
        if not isinstance(self.value, Real) or isinstance(self.value, bool):
            return
        value = float(self.value)
        if (least is not None and value < least) or (most is not None and value > most):
            said = f"Give {'any' if least is None else f'{least:g}'} to {'any' if most is None else f'{most:g}'}"
            yield self._issue("out of range", f"{short_repr(self.value)} is out of range", said)

    def _issue(self, rule: str, what: str, hint: str) -> Issue:
        subject, whole = f"{self.model.endpoint}, {self.param.name}", not self.model.partial  # contract 11
        return Issue(rule=rule, subject=subject, message=what, hint=hint, severity="error" if whole else "warning")
