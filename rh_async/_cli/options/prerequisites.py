"""What a command needs beyond the core: asked for before it begins, named in one line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from rh_async._cli.exit_codes import UsageError
from rh_async.batch import LocalFiles

_MEDIA = ("av", "PIL")


def need_media(command: str, does: str = "draws videos") -> None:
    """Make sure that media can be drawn, or looked into.

    :raises UsageError: the ``media`` extra is not installed.
    """
    if any(find_spec(name) is None for name in _MEDIA):
        raise UsageError(f"{command} {does}, which needs the media extra: pip install 'rh-async[cli,media]'")


def need_folder(out: Path, afterwards: str = "; nothing was sent") -> None:
    """Make sure that there is a folder to write to. Blocks: call it off the loop.

    :raises UsageError: there is none.
    """
    try:
        str(out.absolute()).encode()
    except UnicodeEncodeError as error:  # the journal remembers folders as text
        raise UsageError(f"--out {out} has a name that is not UTF-8: name another{afterwards}") from error
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror or error}{afterwards}") from error


def sha256_of(path: Path, known: LocalFiles) -> str:
    """Tell a file's content from every other. Blocks: call it off the loop.

    :raises UsageError: it cannot be read.
    """
    try:
        return known.read(path).sha256
    except OSError as error:
        raise UsageError(f"a file cannot be read: {error}; nothing was sent") from error
