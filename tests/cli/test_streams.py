"""Standard streams that are closed: no file that is opened later takes their numbers, and no command fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.quick]

_ENVIRONMENT = {**os.environ, "RUNNINGHUB_API_KEY": "0" * 32}


@pytest.mark.parametrize("closed", ["<&- >&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_ends_no_command_in_a_traceback(closed: str, tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m rh_async jobs --journal {tmp_path / 'jobs.db'} {closed}"
    done = subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=_ENVIRONMENT
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_output_is_never_written_into_an_open_file(tmp_path: Path) -> None:
    script = (
        "import rh_async.__main__ as door\n"
        "door._open_standard_streams()\n"
        f"kept = open({str(tmp_path / 'kept')!r}, 'w')\n"
        "assert kept.fileno() > 2\n"
        "print('lost', flush=True)\n"
    )
    command = f'exec {sys.executable} -c "$SCRIPT" <&- >&-'
    done = subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False,
        env={**_ENVIRONMENT, "SCRIPT": script},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "kept").read_bytes() == b""


@pytest.mark.parametrize("option", ["--help", "batch --help", "--version"])
def test_output_that_is_not_read_is_no_error(option: str) -> None:
    command = f"{sys.executable} -m rh_async {option} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(  # noqa: S603 - our own command
        ["/bin/bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=_ENVIRONMENT
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
