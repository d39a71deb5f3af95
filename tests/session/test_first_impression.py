"""The README's example of testing one's own code, as its reader meets it: in a process of its own, in real time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.session.conftest import Media

pytestmark = pytest.mark.processes

_PROGRAM = """
import asyncio, json, sys
from rh_async import DreamActor, Session
from rh_async.emulator import Emulator


async def main():
    async with Emulator(seed=1, scale=0.001) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            await session.run(DreamActor(sys.argv[1], sys.argv[2]))
        print(json.dumps({"tasks": len(server.ledger.tasks), "questions": len(server.ledger.calls)}))


asyncio.run(main())
"""
_PATIENCE = 30.0  # seconds; it took 41 before


def test_the_readmes_example_is_over_in_a_moment(media: Media) -> None:
    """Few questions are little time: the first four come within three seconds of the task's acceptance."""
    command = [sys.executable, "-c", _PROGRAM, str(media.images[0]), str(media.videos[0])]
    done = subprocess.run(  # noqa: S603 - our own program
        command, capture_output=True, check=True, timeout=_PATIENCE, cwd=Path(__file__).parents[2]
    )
    told = json.loads(done.stdout)
    assert told["tasks"] == 1
    assert told["questions"] <= 4
