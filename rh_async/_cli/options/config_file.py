"""Reads options from a TOML file: one table per command; the command line and the environment override it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from cyclopts import App
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Dict

from rh_async._cli.exit_codes import UsageError

DEFAULT_CONFIG = Path("rh-async.toml")


def from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in options that neither the command line nor the environment sets; the default file may be missing.

    :raises UsageError: the given file cannot be read, or has no table for the command.
    """
    given = [token.value for argument in arguments if argument.name == "--config" for token in argument.tokens]
    path = Path(given[-1]) if given else DEFAULT_CONFIG
    tables = _read(path, required=bool(given))
    if given and not isinstance(tables.get(commands[-1]), dict):
        raise UsageError(f"--config {path} has no [{commands[-1]}] table; nothing was sent")
    Dict(tables, source=str(path))(app, commands, arguments)


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not required:
            return {}
        raise UsageError(f"--config {path} cannot be read: {error.strerror or error}; nothing was sent") from error
    except (ValueError, RecursionError) as error:  # not TOML, or not UTF-8
        raise UsageError(f"--config {path} is no TOML: {error}; nothing was sent") from error
