"""Checks what a command needs before it starts: the media extra, a writable folder, readable files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from rh_async._cli.exit_codes import UsageError
from rh_async.batch import LocalFiles

_MEDIA = ("av", "PIL")


def need_media(command: str, does: str = "draws videos") -> None:
    """Make sure that media can be drawn and probed.

    :raises UsageError: the ``media`` extra is not installed.
    """
    if any(find_spec(name) is None for name in _MEDIA):
        raise UsageError(f"{command} {does}, which needs the media extra: pip install 'rh-async[cli,media]'")


def need_folder(out: Path, afterwards: str = "; nothing was sent") -> None:
    """Make sure that the folder exists and can be written. Blocks: call it off the event loop.

    :raises UsageError: it cannot.
    """
    try:
        str(out.absolute()).encode()
    except UnicodeEncodeError as error:  # the journal stores folders as text
        raise UsageError(f"--out {out} has a name that is not UTF-8: name another{afterwards}") from error
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror or error}{afterwards}") from error


def sha256_of(path: Path, known: LocalFiles) -> str:
    """Hash a file's content, once per command. Blocks: call it off the event loop.

    :raises UsageError: it cannot be read.
    """
    try:
        return known.read(path).sha256
    except OSError as error:
        raise UsageError(f"a file cannot be read: {error}; nothing was sent") from error
