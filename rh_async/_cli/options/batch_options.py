"""What was typed for a batch, in three groups: what goes in, what is asked of the model, how it is run.

Each option is a word of the command line, a line of the settings file and a variable of the environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from attrs import field, frozen
from cyclopts import Group, Parameter, Token
from cyclopts.validators import Number

from rh_async._batch.manifest.column_help import explained
from rh_async._cli.exit_codes import UsageError
from rh_async.batch import OutputNaming, Pair
from rh_async.models.base import MediaLimits, media_value
from rh_async.models.bytedance import DreamActor
from rh_async.models.kling import KlingMotionControl, Orientation
from rh_async.models.wan import CharacterMotionTransfer

from .config_file import USUAL
from .connection import BaseUrl
from .journal_options import JournalFile, JournalPath
from .model_options import Model, ModelOptions

_Flag = Annotated[bool, Parameter(show_default=False)]
_Words = Annotated[tuple[str, ...], Parameter(show_default=False)]
_LEAST_ONE = Number(gte=1)
_SENT = "nothing was sent"


def _limits_in_words() -> str:
    models = {
        "kling": KlingMotionControl("i.png", "v.mp4"),
        "dreamactor-v2": DreamActor("i.png", "v.mp4"),
        "wan2.2": CharacterMotionTransfer("i.png", "v.mp4"),
    }
    return " ".join(f"{name}: {_both(request.limits)}." for name, request in models.items())


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


@Parameter(name="*", group=Group("What goes in", sort_key=1))
@frozen(kw_only=True)
class SourceOptions:
    """Where the jobs come from."""

    image: Annotated[
        _Words,
        Parameter(help="character images: a file, a folder, a pattern; may be given several times. With --manifest, one"
                  " for rows that name none."),
    ] = ()  # fmt: skip
    pair: Annotated[
        Pair,
        Parameter(help="who goes with whom: one image for all clips, the same name but for the suffix, every"
                  " combination (product), or in order (zip)."),
    ] = "one"  # fmt: skip
    recursive: Annotated[_Flag, Parameter(help="search folders with all that is in them.")] = False
    include_outputs: Annotated[
        _Flag,
        Parameter(help="take outputs of earlier runs as inputs, too. Without it, these are left out: what lies in an"
                  " output folder inside a folder of clips, what has our .json beside it, what batch.jsonl names."),
    ] = False  # fmt: skip
    manifest: Annotated[
        Path | None,
        Parameter(help="in place of CLIPS: one row per job, in a .csv or .txt file as Excel writes it, a .jsonl, .json"
                  f" or .toml file. Columns: {', '.join(column.name for column in explained())}; paths begin at the"
                  " manifest's own folder. Other columns are carried into batch.jsonl."),
    ] = None  # fmt: skip
    manifest_columns: Annotated[
        _Flag,
        Parameter(help="explain the columns of a manifest, with --model ENDPOINT those of that model, and stop."),
    ] = False  # fmt: skip
    limit: Annotated[int | None, Parameter(validator=_LEAST_ONE, help="only the first so many jobs.")] = None
    shuffle: Annotated[
        int | None,
        Parameter(
            name="--shuffle", help="put the jobs into an order made from this number; --limit then picks at random."
        ),
    ] = None


@Parameter(name="*", group=Group("What is asked for", sort_key=2))
@frozen(kw_only=True)
class Options:
    """What is asked of the model, the same for every job or for rows that do not say."""

    model: Annotated[
        str,
        Parameter(help=f"{', '.join(get_args(Model))}, or the endpoint of any other model with --field."
                  f" {_limits_in_words()}"),
    ] = "kling-v3.0-std"  # fmt: skip
    orientation: Annotated[
        Orientation | None,
        Parameter(help="whether the character faces as in the video (the default; clips of 3 to 30 s) or as in the"
                  " image (3 to 10 s); kling only."),
    ] = None  # fmt: skip
    prompt: Annotated[str | None, Parameter(help="up to 2,500 characters; kling only.")] = None
    negative_prompt: Annotated[str | None, Parameter(help="up to 2,500 characters; kling-v3.0 only.")] = None
    no_sound: Annotated[_Flag, Parameter(help="do not keep the clip's sound (by default it is); kling only.")] = False
    element: Annotated[_Words, Parameter(help="an element's id; may be given several times; kling-v3.0 only.")] = ()
    field: Annotated[
        _Words,
        Parameter(help="name=value: a field of another model's endpoint; may be given several times. {image} and {clip}"
                  " stand for the two files, where the catalogue does not tell their fields."),
    ] = ()  # fmt: skip
    webhook_url: Annotated[str | None, Parameter(help="an address the server calls when a job is over.")] = None

    @property
    def is_motion(self) -> bool:
        """Whether it is one of the models the command line knows by name."""
        return self.model in get_args(Model)

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
        plain = Options(model=self.model, field=self.field, webhook_url=self.webhook_url)
        if self != plain:
            raise UsageError(f"{self.model:.80} takes its options as --field name=value; {_SENT}")
        self.fields()

    def model_options(self, image: Path, video: Path) -> ModelOptions:
        """What a single ``run`` would ask for."""
        return ModelOptions(
            image=image,
            video=video,
            model=self.model,  # type: ignore[arg-type]
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


def _width(_kind: type, tokens: Sequence[Token]) -> int | str:
    word = tokens[0].value
    if word == "auto":
        return word
    if word.isdecimal() and int(word) >= 1:
        return int(word)
    raise ValueError(f'"{word}" is neither auto nor a whole number of at least 1')


def _money(_kind: type, tokens: Sequence[Token]) -> Decimal:
    word = tokens[0].value
    try:
        amount = Decimal(word)
    except InvalidOperation:
        amount = Decimal()
    if not (amount.is_finite() and amount > 0):
        raise ValueError(f'"{word}" is no amount of money above 0')
    return amount


@Parameter(name="*", group=Group("How it is run", sort_key=3))
@frozen(kw_only=True)
class BatchRunOptions:
    """How the batch is run and remembered.

    :raises UsageError: two options say different things.
    :raises ConfigurationError: there is no such name for outputs.
    """

    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="a folder for the videos, a .json beside each, and batch.jsonl.")
    ] = Path("out")
    naming: Annotated[
        str, Parameter(help="what the videos are called: {clip}, {character}, {task_id}, {number}, {model}, {key}.")
    ] = OutputNaming().template
    in_flight: Annotated[
        int | Literal["auto"],
        Parameter(converter=_width, help="how many jobs run at once, at most; auto: as many as the account takes."),
    ] = "auto"
    budget: Annotated[
        Decimal | None,
        Parameter(converter=_money, help="in the account's currency (USD on the global site, CNY on the China site):"
                  " start nothing that could pass it; exit code 4."),
    ] = None  # fmt: skip
    yes: Annotated[
        bool,
        Parameter(name=["--yes", "-y"], show_default=False,
                  help="run without asking; where standard input is no terminal, nothing is asked anyway."),
    ] = False  # fmt: skip
    check: Annotated[
        _Flag,
        Parameter(help="plan, and stop: nothing is sent, no key is needed. Exit code 0 if all of it can be sent, else"
                  " 2."),
    ] = False  # fmt: skip
    report: Annotated[
        Path | None,
        Parameter(help="write all that the plan refuses or doubts into this file: .txt for people, .csv for a"
                  " spreadsheet, .json for a program."),
    ] = None  # fmt: skip
    skip_refused: Annotated[_Flag, Parameter(help="go on without the jobs that the plan refuses.")] = False
    retry_failed: Annotated[
        _Flag, Parameter(help="buy again what an earlier run was told had failed; what that costs is said first.")
    ] = False
    json: Annotated[
        _Flag,
        Parameter(help="one JSON object per line on stdout: plan (with every issue), outcome, progress, end; with"
                  " --check the plan alone."),
    ] = False  # fmt: skip
    journal: JournalPath = None
    new_journal: Annotated[
        _Flag, Parameter(help="the journal is meant to be new: go on though it knows none of the folder's jobs.")
    ] = False
    no_journal: Annotated[_Flag, Parameter(help="remember nothing: the same command buys everything again.")] = False
    base_url: BaseUrl = None
    config: Annotated[
        Path | None,
        Parameter(show_default=False,
                  help=f"a TOML file with these options in its table [batch]; by default {USUAL}, if there is one."),
    ] = None  # fmt: skip

    def __attrs_post_init__(self) -> None:
        OutputNaming(self.naming)
        for option, given in (("--journal", self.journal), ("--retry-failed", self.retry_failed or None)):
            if self.no_journal and given is not None:
                raise UsageError(f"{option} is about the journal, and --no-journal does without one; {_SENT}")

    @property
    def journal_file(self) -> JournalFile | None:
        """The journal; None for none."""
        return None if self.no_journal else JournalFile(self.journal)


@frozen
class BatchCommand:
    """A whole command line.

    :raises UsageError: it names no jobs, or names them twice.
    """

    clips: tuple[str, ...] = ()
    sources: SourceOptions = field(factory=SourceOptions)
    options: Options = field(factory=Options)
    running: BatchRunOptions = field(factory=BatchRunOptions)

    def __attrs_post_init__(self) -> None:
        if self.sources.manifest is None:
            self._check_folder()
        else:
            self._check_manifest()
        self.options.check()

    def _check_folder(self) -> None:
        if not self.clips:
            raise UsageError(
                f"there are no clips: rh-async batch clips/ --image hero.png, or --manifest jobs.csv; {_SENT}"
            )
        if not self.sources.image:
            clips = shlex.join(self.clips[:3])
            raise UsageError(f"there is no character image: rh-async batch {clips} --image hero.png; {_SENT}")
        for one in (*self.clips, *self.sources.image):
            if isinstance(media_value(one), str):
                raise UsageError(f"{one:.80} is a link: links belong into a manifest; {_SENT}")

    def _check_manifest(self) -> None:
        if self.clips:
            raise UsageError(f"the jobs come from CLIPS or from --manifest, not from both; {_SENT}")
        if len(self.sources.image) > 1 or self.sources.pair != "one" or self.sources.recursive:
            raise UsageError(f"with --manifest there is one --image at most, and no --pair or --recursive; {_SENT}")
