"""Turns the typed options into a request, and checks the two files before the first is uploaded."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from rh_async import Request
from rh_async._cli.exit_codes import UsageError
from rh_async.batch import LocalFiles
from rh_async.errors import InvalidRequestError
from rh_async.models.kling import Orientation
from rh_async.models.media_limits import MediaFile
from rh_async.models.registry import DEFAULT_MODEL, MODELS, ModelSpec, aliases, find_spec, takers

if TYPE_CHECKING:
    Model = str
else:
    Model = Literal[aliases()]  # the choices that --help lists and the command line accepts

_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "orientation": "--orientation",
        "prompt": "--prompt",
        "negative_prompt": "--negative-prompt",
        "keep_original_sound": "--no-sound",
        "elements": "--element",
    }
)
_IMAGE_KINDS = frozenset({"jpg", "png", "gif", "bmp", "webp", "heic", "avif"})
_VIDEO_KINDS = frozenset({"mp4", "mov", "webm", "mkv", "avi"})


@frozen(kw_only=True)
class ModelOptions:
    """The options of one job as typed; None where an option was not given."""

    image: str | Path
    video: str | Path
    model: Model = DEFAULT_MODEL
    orientation: Orientation | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    no_sound: bool = False
    elements: tuple[str, ...] = ()
    webhook_url: str | None = None

    def request(self) -> Request:
        """Make the request.

        :raises UsageError: the model does not take an option.
        """
        spec = self._spec()
        media = {"image": self.image, "video": self.video, "webhook_url": self.webhook_url}
        try:
            return spec.request(**media, **self.given())
        except InvalidRequestError as error:
            raise UsageError(f"{_as_typed(error.message)}; nothing was sent") from error

    def given(self) -> dict[str, Any]:
        """Return the options that were typed, by their names in a request."""
        options = {
            "orientation": self.orientation,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "keep_original_sound": False if self.no_sound else None,
            "elements": self.elements or None,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _spec(self) -> ModelSpec:
        spec = find_spec(self.model)
        if spec is None:
            raise UsageError(f"{self.model:.80} is no model; these are: {', '.join(aliases())}; nothing was sent")
        for name in (name for name in self.given() if name not in spec.options):
            others = ", ".join(one.alias for one in MODELS if name in one.options)
            raise UsageError(f"{self.model} does not take {_FLAGS[name]} (these do: {others}); nothing was sent")
        return spec


def option_help(name: str, text: str) -> str:
    """Write an option's help, with the models that take it."""
    only = takers(name)
    return f"{text}; {only} only." if only else f"{text}."


def check_files(model_options: ModelOptions, request: Request, known: LocalFiles) -> None:
    """Read both files before the first is uploaded. Blocks: call it off the event loop.

    :param known: where what was read is kept, so that nothing reads the files once more.

    :raises UsageError: one is missing, unreadable or of a kind the model does not take, or the two are swapped.
    """
    files = {_role(media): media for media in request.media()}
    kinds = {role: _kind(role, media.path, known) for role, media in files.items()}
    if kinds.get("IMAGE") in _VIDEO_KINDS and kinds.get("VIDEO") in _IMAGE_KINDS:
        right = shlex.join(["rh-async", "run", str(model_options.video), str(model_options.image)])
        raise UsageError(f"the image is a video and the video an image; the image comes first: {right}")
    for role, media in files.items():
        taken = media.limits.kinds if media.limits else ()
        if kinds[role] not in taken:
            found = _either(kinds[role] or "no known kind of media")
            raise UsageError(
                f"{role} {media.path} is {found}; {model_options.model} takes {_either(*taken)}; nothing was sent"
            )


def _either(*kinds: str) -> str:
    return " or ".join(kind.upper() if kind in _IMAGE_KINDS | _VIDEO_KINDS else kind for kind in kinds)


def _role(media: MediaFile) -> str:
    return "IMAGE" if "image" in media.field else "VIDEO"


def _kind(role: str, path: Path, known: LocalFiles) -> str | None:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no ordinary file"
            raise UsageError(f"{role} {path} is {kind}; nothing was sent")
        if not found.st_size:
            raise UsageError(f"{role} {path} is empty; nothing was sent")
        return known.read(path, found).kind
    except OSError as error:
        raise UsageError(f"{role} {path} cannot be read: {error.strerror or error}; nothing was sent") from error


def _as_typed(message: str) -> str:
    """Rewrite an error about a request's field in terms of the command line's options."""

    def typed(field: re.Match[str]) -> str:
        name = re.sub(r"_|(?<=[a-z])(?=[A-Z])", "-", field[1]).lower()
        return f"{name.upper()} " if name in {"image", "video"} else f"--{name} "

    # Media and Upload values exist in programs only.
    message_typed = message.replace("link, a data URI, Media or an Upload", "link or a data URI")
    return re.sub(r"^\w+\.(\w+) = ", typed, message_typed)
