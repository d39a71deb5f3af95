"""What a command needs beyond the core: asked for before it begins, named in one line."""

from __future__ import annotations

from importlib.util import find_spec

from ._exits import Misuse

_MEDIA = ("av", "PIL")


def need_media(command: str) -> None:
    """Make sure that media can be drawn.

    :raises Misuse: the ``media`` extra is not installed.
    """
    if any(find_spec(name) is None for name in _MEDIA):
        raise Misuse(f"{command} draws videos, which needs the media extra: pip install 'rh-async[cli,media]'")
