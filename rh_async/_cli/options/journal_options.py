"""Where the command line keeps its journal: on the command line, in the environment, or where programs keep theirs."""

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
        help=f"the file that remembers every job, so that none is bought twice; by default {_VARIABLE} from the"
        " environment, else one in your data folder.",
    ),
]


@frozen
class JournalFile:
    """The journal as it was named on the command line; None where it was not."""

    given: Path | None = None

    @property
    def words(self) -> list[str]:
        """What names it again in a command to be copied."""
        return [] if self.given is None else ["--journal", str(self.given)]

    @property
    def path(self) -> Path:
        """Where it is, whether or not there is one yet."""
        named = self.given or os.environ.get(_VARIABLE, "").strip()
        return Path(named).expanduser() if named else user_data_path("rh-async", appauthor=False) / "journal.db"

    def made(self) -> Path:
        """Where it is; its own folder is made, for its owner alone. Blocks: call it off the loop.

        :raises UsageError: that cannot be.
        """
        if self.given is None and not os.environ.get(_VARIABLE, "").strip():
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                words = f"the journal's folder {self.path.parent} cannot be made: {error.strerror or error}"
                raise UsageError(f"{words}; name another file with --journal; nothing was sent") from error
        return self.path


_Flag = Annotated[bool, Parameter(show_default=False)]


@Parameter(name="*")
@frozen(kw_only=True)
class RunOptions:
    """How a job is remembered, and what becomes of it on Ctrl-C.

    :raises UsageError: there shall be no journal, and something that needs one.
    """

    key: Annotated[
        str | None,
        Parameter(
            help="your name for the job, which is bought once under it; by default made from model, options and files."
            " Links that are signed anew each time need one."
        ),
    ] = None
    resubmit: Annotated[_Flag, Parameter(help="submit the job once more, knowing that it is billed once more.")] = False
    cancel_on_interrupt: Annotated[
        _Flag, Parameter(help="Ctrl-C asks the server to stop the job, in place of letting it go on.")
    ] = False
    journal: JournalPath = None
    no_journal: Annotated[_Flag, Parameter(help="remember nothing: the same command buys again.")] = False

    def __attrs_post_init__(self) -> None:
        for option, given in (("--journal", self.journal), ("--key", self.key), ("--resubmit", self.resubmit)):
            if self.no_journal and given not in {None, False}:
                raise UsageError(f"{option} is about the journal, and --no-journal does without one; nothing was sent")

    @property
    def journal_file(self) -> JournalFile | None:
        """The journal; None for none."""
        return None if self.no_journal else JournalFile(self.journal)

    @property
    def on_exit(self) -> OnExit:
        """What becomes of the job when the command ends before it."""
        return "cancel" if self.cancel_on_interrupt else "detach"
