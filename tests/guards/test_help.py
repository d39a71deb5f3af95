"""What ``--help`` says, of the program and of each command, is what its golden file says."""

from __future__ import annotations

import re

import pytest

from rh_async.__main__ import main
from tests.guards.golden import compare_folder

_COMMAND = re.compile(r"^│ ([a-z]\S*) ", re.MULTILINE)


def test_help_of_every_command_is_that_of_its_golden_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def helped(*words: str) -> str:
        assert main([*words, "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        return "\n".join(line.rstrip() for line in lines)

    program = helped()
    epilogue = program.rpartition("╯")[2]
    commands = {name: helped(name).removesuffix(epilogue) for name in _COMMAND.findall(program)}
    assert {"run", "batch", "resume"} <= commands.keys()
    compare_folder("help", {"rh-async": program, **commands})
