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
_Words = Annotated[tuple[str, ...], Parameter(show_default=False)]
_SENT = "nothing was sent"


def _limits_in_words() -> str:
    return " ".join(f"{spec.series}: {_both(spec.limits)}." for spec in one_of_each_series())


def _both(limits: Any) -> str:
    return "; ".join(f"{'image' if 'image' in name.lower() else 'video'} {_words(one)}" for name, one in limits.items())


def _words(limits: MediaLimits) -> str:
    said = [" or ".join(limits.kinds)]
    if limits.max_mb is not None:
        said.append(f"up to {limits.max_mb:g} MB")
    if limits.px is not None:
        said.append(f"sides of {limits.px[0]} to {limits.px[1]} px")
    if limits.seconds is not None:
        said.append(f"{limits.seconds[0]:g} to {limits.seconds[1]:g} s")
    return ", ".join(said)


@Parameter(name="*", group=Group("Model", sort_key=2))
@frozen(kw_only=True)
class BatchModelOptions:
    """What is asked of the model, the same for every job or for rows that do not say."""

    model: Annotated[
        str,
        Parameter(help=f"{', '.join(aliases())}, or the endpoint of any other model with --field."
                  f" {_limits_in_words()}"),
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
        _Words, Parameter(help=option_help("elements", "an element's id; may be given several times"))
    ] = ()
    field: Annotated[
        _Words,
        Parameter(help="name=value: a field of another model's endpoint; may be given several times. {image} and {clip}"
                  " stand for the two files, where the catalogue does not tell their fields."),
    ] = ()  # fmt: skip
    webhook_url: Annotated[str | None, Parameter(help="an address the server calls when a job is over.")] = None

    @property
    def is_motion(self) -> bool:
        """Whether it is one of the models the command line knows by name."""
        return self.model in aliases()

    def check(self) -> None:
        """Look at them as a whole, before any clip is looked at.

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
        """What a single ``run`` would ask for."""
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
        """The fields of an endpoint, as typed.

        :raises UsageError: one is not ``name=value``, or is given twice.
        """
        pairs = [one.partition("=") for one in self.field]
        for name, equals, _ in pairs:
            if not (name.strip() and equals):
                raise UsageError(f"--field {name!r} is not name=value; {_SENT}")
        named = {name.strip(): value for name, _, value in pairs}
        if len(named) < len(pairs):
            raise UsageError(f"a --field is given twice; {_SENT}")
        return named
