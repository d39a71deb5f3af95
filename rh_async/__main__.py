"""The door from the shell: whoever has not installed the command line is told how, in one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

_EXTRA = ("cyclopts", "rich", "platformdirs")


def main(tokens: Sequence[str] | None = None) -> int:
    """Run ``rh-async`` and return its exit code.

    :param tokens: its arguments; by default the process's own.
    """
    if any(find_spec(name) is None for name in _EXTRA):
        sys.stderr.write("rh-async: the command line is not installed: pip install 'rh-async[cli]'\n")
        return 2
    try:
        from ._cli import run  # noqa: PLC0415 - a library user has none of what it needs
    except KeyboardInterrupt:
        return 130
    return run(sys.argv[1:] if tokens is None else tokens)


if __name__ == "__main__":
    sys.exit(main())
