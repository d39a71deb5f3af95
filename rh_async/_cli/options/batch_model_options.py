"""Options of ``rh-async batch`` about the model: the same for every job, or for rows that do not set them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from attrs import frozen
from cyclopts import Group, Parameter

from rh_async._cli.exit_codes import UsageError
from rh_async.models.kling import Orientation
from rh_async.models.media_limits import MediaLimits
from rh_async.models.registry import DEFAULT_MODEL, aliases, one_of_each_series

from .model_options import ModelOptions, option_help

_Flag = Annotated[bool, Parameter(show_default=False)]
_Strings = Annotated[tuple[str, ...], Parameter(show_default=False)]
_SENT = "nothing was sent"


def _limits_help() -> str:
    return " ".join(f"{spec.series}: {_media_limits(spec.limits)}." for spec in one_of_each_series())


def _media_limits(limits: Any) -> str:
    return "; ".join(
        f"{'image' if 'image' in name.lower() else 'video'} {_limits(one)}" for name, one in limits.items()
    )


def _limits(limits: MediaLimits) -> str:
    parts = [" or ".join(limits.kinds)]
    if limits.max_mb is not None:
        parts.append(f"up to {limits.max_mb:g} MB")
    if limits.px is not None:
        parts.append(f"sides of {limits.px[0]} to {limits.px[1]} px")
    if limits.seconds is not None:
        parts.append(f"{limits.seconds[0]:g} to {limits.seconds[1]:g} s")
    return ", ".join(parts)


@Parameter(name="*", group=Group("Model", sort_key=2))
@frozen(kw_only=True)
class BatchModelOptions:
    """Options of the model: the same for every job, or for rows that do not set them."""

    model: Annotated[
        str,
        Parameter(help=f"{', '.join(aliases())}, or the endpoint of any other model with --field."
                  f" {_limits_help()}"),
    ] = DEFAULT_MODEL  # fmt: skip
    orientation: Annotated[
        Orientation | None,
        Parameter(help=option_help("orientation", "whether the character faces as in the video (the default; clips of 3"
                                   " to 30 s) or as in the image (3 to 10 s)")),
    ] = None  # fmt: skip
    prompt: Annotated[str | None, Parameter(help=option_help("prompt", "up to 2,500 characters"))] = None
    negative_prompt: Annotated[str | None, Parameter(help=option_help("negative_prompt", "up to 2,500 characters"))] = (
        None
    )
    no_sound: Annotated[
        _Flag,
        Parameter(help=option_help("keep_original_sound", "do not keep the clip's sound (by default it is)")),
    ] = False
    element: Annotated[
        _Strings, Parameter(help=option_help("elements", "an element's id; may be given several times"))
    ] = ()
    field: Annotated[
        _Strings,
        Parameter(help="name=value: a field of another model's endpoint; may be given several times. {image} and {clip}"
                  " stand for the two files, where the catalogue does not say which fields they are."),
    ] = ()  # fmt: skip
    webhook_url: Annotated[str | None, Parameter(help="an address the server calls when a job is over.")] = None

    @property
    def is_motion(self) -> bool:
        """Return whether the model has a name of its own, not only an endpoint."""
        return self.model in aliases()

    def check(self) -> None:
        """Check the options as a whole, before any clip is probed.

        :raises UsageError: the model does not take what is given.
        """
        if not self.is_motion:
            self._check_endpoint()
        elif self.field:
            raise UsageError(f"{self.model} has options of its own; --field is for other endpoints; {_SENT}")
        else:
            self.model_options(Path("image.png"), Path("clip.mp4")).request()

    def _check_endpoint(self) -> None:
        plain = BatchModelOptions(model=self.model, field=self.field, webhook_url=self.webhook_url)
        if self != plain:
            raise UsageError(f"{self.model:.80} takes its options as --field name=value; {_SENT}")
        self.fields()

    def model_options(self, image: Path, video: Path) -> ModelOptions:
        """Return the options that ``rh-async run`` would have for one job."""
        return ModelOptions(
            image=image,
            video=video,
            model=self.model,
            orientation=self.orientation,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            no_sound=self.no_sound,
            elements=self.element,
            webhook_url=self.webhook_url,
        )

    def fields(self) -> dict[str, str]:
        """Return the fields of an endpoint, as typed.

        :raises UsageError: one is not ``name=value``, or is given twice.
        """
        pairs = [one.partition("=") for one in self.field]
        for name, equals, _ in pairs:
            if not (name.strip() and equals):
                raise UsageError(f"--field {name!r} is not name=value; {_SENT}")
        values = {name.strip(): value for name, _, value in pairs}
        if len(values) < len(pairs):
            raise UsageError(f"a --field is given twice; {_SENT}")
        return values
