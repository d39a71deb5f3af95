"""Checks one file of a request against the documented limits of its field. Pure: the caller has probed the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from rh_async._media.media_info import MediaInfo
from rh_async.issues import Issue, Severity, display_text
from rh_async.models.catalog import family_of
from rh_async.models.media_limits import MediaFile, MediaLimits

_MB = 1024 * 1024
_FAMILY_TEXT = {"image": "an image", "video": "a video", "audio": "a sound"}
_SOUND_SLACK = 0.5  #: seconds; an encoder fills its last frame of sound


@frozen
class FileCheck:
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
