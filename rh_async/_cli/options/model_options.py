"""From words to a request: which model takes which option, and whether the two files are what they should be."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

from attrs import frozen

from rh_async import CharacterMotionTransfer, DreamActor, InvalidRequestError, KlingMotionControl, Request
from rh_async._cli.exit_codes import UsageError
from rh_async.batch import LocalFiles
from rh_async.models.base import MediaFile
from rh_async.models.kling import KlingModel, Orientation

Model = Literal["kling-v3.0-std", "kling-v3.0-pro", "kling-v2.6-std", "kling-v2.6-pro", "dreamactor-v2", "wan2.2"]

_KLING_2 = frozenset({"--orientation", "--prompt", "--no-sound"})
_KLING_3 = _KLING_2 | {"--negative-prompt", "--element"}
_TAKEN: Mapping[Model, frozenset[str]] = MappingProxyType(
    {
        "kling-v3.0-std": _KLING_3,
        "kling-v3.0-pro": _KLING_3,
        "kling-v2.6-std": _KLING_2,
        "kling-v2.6-pro": _KLING_2,
        "dreamactor-v2": frozenset(),
        "wan2.2": frozenset(),
    }
)
_OTHERS: Mapping[Model, Callable[..., Request]] = MappingProxyType(
    {"dreamactor-v2": DreamActor, "wan2.2": CharacterMotionTransfer}
)
_PICTURES = frozenset({"jpg", "png", "gif", "bmp", "webp", "heic", "avif"})
_FILMS = frozenset({"mp4", "mov", "webm", "mkv", "avi"})


@frozen(kw_only=True)
class ModelOptions:
    """What was typed; None where nothing was."""

    image: str | Path
    video: str | Path
    model: Model = "kling-v3.0-std"
    orientation: Orientation | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    no_sound: bool = False
    elements: tuple[str, ...] = ()
    webhook_url: str | None = None

    def request(self) -> Request:
        """What a caller would write.

        :raises UsageError: the model does not take it.
        """
        self._check_options()
        try:
            return self._made()
        except InvalidRequestError as error:
            raise UsageError(f"{_as_typed(error.message)}; nothing was sent") from error

    def _check_options(self) -> None:
        for option in self._given():
            if option not in _TAKEN[self.model]:
                others = ", ".join(model for model, taken in _TAKEN.items() if option in taken)
                raise UsageError(f"{self.model} does not take {option} (these do: {others}); nothing was sent")

    def _given(self) -> list[str]:
        options = {
            "--orientation": self.orientation,
            "--prompt": self.prompt,
            "--negative-prompt": self.negative_prompt,
            "--no-sound": self.no_sound or None,
            "--element": self.elements or None,
        }
        return [option for option, value in options.items() if value is not None]

    def _made(self) -> Request:
        both: dict[str, Any] = {"image": self.image, "video": self.video, "webhook_url": self.webhook_url}
        if self.model in _OTHERS:
            return _OTHERS[self.model](**both)
        return KlingMotionControl(
            **both,
            model=cast("KlingModel", self.model),
            orientation=self.orientation or "video",
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            keep_original_sound=not self.no_sound,
            elements=self.elements,
        )


def check_files(model_options: ModelOptions, request: Request, known: LocalFiles) -> None:
    """Read both files before the first is uploaded. Blocks: call it off the event loop.

    :param known: where what was read is kept, so that nothing reads the files once more.

    :raises UsageError: one is missing, unreadable or of a kind the model does not take, or the two are swapped.
    """
    files = {_role(media): media for media in request.media()}
    kinds = {role: _kind(role, media.path, known) for role, media in files.items()}
    if kinds.get("IMAGE") in _FILMS and kinds.get("VIDEO") in _PICTURES:
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
    return " or ".join(kind.upper() if kind in _PICTURES | _FILMS else kind for kind in kinds)


def _role(media: MediaFile) -> str:
    return "IMAGE" if "image" in media.field else "VIDEO"


def _kind(role: str, path: Path, known: LocalFiles) -> str | None:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            what = "a directory" if stat.S_ISDIR(facts.st_mode) else "no ordinary file"
            raise UsageError(f"{role} {path} is {what}; nothing was sent")
        if not facts.st_size:
            raise UsageError(f"{role} {path} is empty; nothing was sent")
        return known.read(path, facts).kind
    except OSError as error:
        raise UsageError(f"{role} {path} cannot be read: {error.strerror or error}; nothing was sent") from error


def _as_typed(message: str) -> str:
    """A refusal of a request's field, in the words of the command line."""

    def typed(field: re.Match[str]) -> str:
        name = re.sub(r"_|(?<=[a-z])(?=[A-Z])", "-", field[1]).lower()
        return f"{name.upper()} " if name in {"image", "video"} else f"--{name} "

    # What a program can give besides, nobody can type.
    said = message.replace("link, a data URI, Media or an Upload", "link or a data URI")
    return re.sub(r"^\w+\.(\w+) = ", typed, said)
