"""Reading a line from the terminal: the next line, the end of input, and input that is no terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from rh_async._cli.terminal.terminal_prompt import is_interactive, read_line


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of a terminal that stands for standard input."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours
    os.close(ours)


async def test_the_next_typed_line_is_read(keyboard: int) -> None:
    assert is_interactive()
    os.write(keyboard, b"yes\n")
    assert await read_line() == "yes\n"


async def test_the_end_of_input_is_an_empty_line(keyboard: int) -> None:
    os.write(keyboard, b"\x04")  # Ctrl-D
    assert await read_line() == ""


def piped() -> TextIO:
    reading, writing = os.pipe()
    os.close(writing)
    return os.fdopen(reading, "r")


def closed() -> TextIO:
    stdin = piped()
    stdin.close()
    return stdin


@pytest.mark.parametrize("make", [piped, closed, lambda: None])
def test_input_that_is_no_terminal_is_not_interactive(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(make)
    stdin = make()
    monkeypatch.setattr(sys, "stdin", stdin)
    assert not is_interactive()
    if stdin is not None:
        stdin.close()
