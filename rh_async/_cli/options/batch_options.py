"""Options of ``rh-async batch`` about its run, and the command line as a whole.

Each option can also stand in the settings file and in a variable of the environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal

from attrs import field, frozen
from cyclopts import Group, Parameter, Token

from rh_async._cli.exit_codes import UsageError
from rh_async.batch import OutputNaming
from rh_async.models.base import media_value

from .batch_model_options import BatchModelOptions
from .batch_sources import SourceOptions
from .config_file import DEFAULT_CONFIG
from .connection import BaseUrl
from .journal_options import JournalFile, JournalPath

_Flag = Annotated[bool, Parameter(show_default=False)]
_SENT = "nothing was sent"


def _in_flight(_kind: type, tokens: Sequence[Token]) -> int | str:
    given = tokens[0].value
    if given == "auto":
        return given
    if given.isdecimal() and int(given) >= 1:
        return int(given)
    raise ValueError(f'"{given}" is neither auto nor a whole number of at least 1')


def _budget(_kind: type, tokens: Sequence[Token]) -> Decimal:
    given = tokens[0].value
    try:
        amount = Decimal(given)
    except InvalidOperation:
        amount = Decimal()
    if not (amount.is_finite() and amount > 0):
        raise ValueError(f'"{given}" is no amount of money above 0')
    return amount


@Parameter(name="*", group=Group("Run", sort_key=3))
@frozen(kw_only=True)
class BatchRunOptions:
    """How the batch is run and recorded.

    :raises UsageError: two options contradict each other.
    :raises ConfigurationError: --naming has an unknown field.
    """

    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="a folder for the videos, a .json beside each, and batch.jsonl.")
    ] = Path("out")
    naming: Annotated[
        str,
        Parameter(help=f"the names of the videos, made of {OutputNaming.placeholders()}."),
    ] = OutputNaming().template
    in_flight: Annotated[
        int | Literal["auto"],
        Parameter(converter=_in_flight, help="how many jobs run at once, at most; auto: as many as the account takes."),
    ] = "auto"
    budget: Annotated[
        Decimal | None,
        Parameter(converter=_budget, help="in the account's currency (USD on the global site, CNY on the China site):"
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
        Parameter(help="write every refusal and warning of the plan into this file: .txt for people, .csv for a"
                  " spreadsheet, .json for a program."),
    ] = None  # fmt: skip
    skip_refused: Annotated[_Flag, Parameter(help="go on without the jobs that the plan refuses.")] = False
    retry_failed: Annotated[
        _Flag, Parameter(help="submit again the jobs that failed in an earlier run; their cost is shown first.")
    ] = False
    json: Annotated[
        _Flag,
        Parameter(help="one JSON object per line on stdout: plan (with every issue), outcome, progress, end; with"
                  " --check the plan alone."),
    ] = False  # fmt: skip
    journal: JournalPath = None
    new_journal: Annotated[
        _Flag, Parameter(help="the journal is meant to be new: go on although it has none of the folder's jobs.")
    ] = False
    no_journal: Annotated[
        _Flag, Parameter(help="keep no record: the same command submits every job again, and all are billed again.")
    ] = False
    base_url: BaseUrl = None
    config: Annotated[
        Path | None,
        Parameter(show_default=False,
                  help=f"a TOML file with these options in its table [batch]; by default {DEFAULT_CONFIG},"
                  " if there is one."),
    ] = None  # fmt: skip

    def __attrs_post_init__(self) -> None:
        OutputNaming(self.naming)
        for option, given in (("--journal", self.journal), ("--retry-failed", self.retry_failed or None)):
            if self.no_journal and given is not None:
                raise UsageError(f"{option} is about the journal, and --no-journal does without one; {_SENT}")

    @property
    def journal_file(self) -> JournalFile | None:
        """Return the journal; None for none."""
        return None if self.no_journal else JournalFile(self.journal)


@frozen
class BatchCommand:
    """The command line as a whole.

    :raises UsageError: it names no jobs, or names them twice.
    """

    clips: tuple[str, ...] = ()
    sources: SourceOptions = field(factory=SourceOptions)
    options: BatchModelOptions = field(factory=BatchModelOptions)
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
        for given in (*self.clips, *self.sources.image):
            if isinstance(media_value(given), str):
                raise UsageError(f"{given:.80} is a link: links belong into a manifest; {_SENT}")

    def _check_manifest(self) -> None:
        if self.clips:
            raise UsageError(f"the jobs come from CLIPS or from --manifest, not from both; {_SENT}")
        if len(self.sources.image) > 1 or self.sources.pair != "one" or self.sources.recursive:
            raise UsageError(f"with --manifest there is one --image at most, and no --pair or --recursive; {_SENT}")
