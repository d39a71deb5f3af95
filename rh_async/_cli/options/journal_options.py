"""Options about the journal: where it is, and how a single job is kept in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter
from platformdirs import user_data_path

from rh_async._cli.exit_codes import UsageError
from rh_async.types import OnExit

_VARIABLE = "RH_ASYNC_JOURNAL"

JournalPath = Annotated[
    Path | None,
    Parameter(
        name="--journal",
        help=f"the file that records every job, so that none is billed twice; by default {_VARIABLE} from the"
        " environment, else one in your data folder.",
    ),
]


@frozen
class JournalFile:
    """The journal's file.

    :param given: as named on the command line; None for the default.
    """

    given: Path | None = None

    @property
    def arguments(self) -> list[str]:
        """Return the options that name it again in a command to be copied."""
        return [] if self.given is None else ["--journal", str(self.given)]

    @property
    def path(self) -> Path:
        """Return its path; the file may not exist yet."""
        path = self.given or os.environ.get(_VARIABLE, "").strip()
        return Path(path).expanduser() if path else user_data_path("rh-async", appauthor=False) / "journal.db"

    def prepare(self) -> Path:
        """Return its path; make the default folder if it is missing, private to the user. Blocks.

        :raises UsageError: the folder cannot be made.
        """
        if self.given is None and not os.environ.get(_VARIABLE, "").strip():
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                message = f"the journal's folder {self.path.parent} cannot be made: {error.strerror or error}"
                raise UsageError(f"{message}; name another file with --journal; nothing was sent") from error
        return self.path


_Flag = Annotated[bool, Parameter(show_default=False)]


@Parameter(name="*")
@frozen(kw_only=True)
class RunOptions:
    """How ``rh-async run`` records its job, and what Ctrl-C does to it.

    :raises UsageError: there shall be no journal, and an option needs one.
    """

    key: Annotated[
        str | None,
        Parameter(
            help="your name for the job, which is submitted once under it; by default made from model, options and"
            " files. Links that are signed anew each time need one."
        ),
    ] = None
    resubmit: Annotated[_Flag, Parameter(help="submit the job once more, knowing that it is billed once more.")] = False
    cancel_on_interrupt: Annotated[
        _Flag, Parameter(help="on Ctrl-C, ask the server to cancel the job, in place of letting it go on.")
    ] = False
    journal: JournalPath = None
    no_journal: Annotated[
        _Flag, Parameter(help="keep no record: the same command submits the job again, and is billed again.")
    ] = False

    def __attrs_post_init__(self) -> None:
        for option, given in (("--journal", self.journal), ("--key", self.key), ("--resubmit", self.resubmit)):
            if self.no_journal and given not in {None, False}:
                raise UsageError(f"{option} is about the journal, and --no-journal does without one; nothing was sent")

    @property
    def journal_file(self) -> JournalFile | None:
        """Return the journal; None for none."""
        return None if self.no_journal else JournalFile(self.journal)

    @property
    def on_exit(self) -> OnExit:
        """Return what becomes of the job when the command ends first."""
        return "cancel" if self.cancel_on_interrupt else "detach"
