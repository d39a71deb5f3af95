"""Entry point of ``rh-async``: without the ``cli`` extra, say in one line how to install it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

_EXTRA = ("cyclopts", "rich", "platformdirs")


def main(tokens: Sequence[str] | None = None) -> int:
    """Run ``rh-async`` and return its exit code.

    :param tokens: its arguments; by default the process's own.
    """
    _open_standard_streams()
    if any(find_spec(name) is None for name in _EXTRA):
        sys.stderr.write("rh-async: the command line is not installed: pip install 'rh-async[cli]'\n")
        return 2
    try:
        from ._cli import run  # noqa: PLC0415 - without the extra its imports fail
    except KeyboardInterrupt:
        return 130
    return run(sys.argv[1:] if tokens is None else tokens)


def _open_standard_streams() -> None:
    """Open the null device in place of each standard stream that was closed before the start.

    Otherwise the next file that is opened, the journal perhaps, gets the stream's number, and what is printed is
    written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - lives as long as the process


if __name__ == "__main__":
    sys.exit(main())
