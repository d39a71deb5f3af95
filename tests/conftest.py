"""Every test runs in virtual time over real sockets, may not block the loop, and may not let an API key out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.secrets import Listener, Watch
from tests.virtual_clock import VirtualClockLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on asyncio, with the clock that jumps."""
    return "asyncio", {"loop_factory": VirtualClockLoop}


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    """Make a blocking call on the loop, from our code, an error."""
    with blockbuster_ctx("rh_async") as guard:
        guard.functions["os.getcwd"].deactivate()  # the kernel answers from memory: nothing is waited for
        yield guard


@pytest.fixture(autouse=True)
def no_key_gets_out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Search whatever the test lets out for an API key; the emulator's own tests show it keys on purpose."""
    watch, root = Watch(), logging.getLogger()
    if "tmp_path" in request.fixturenames:
        watch.folder = request.getfixturevalue("tmp_path")
    watch.attach(monkeypatch)
    listener = Listener(watch.records)
    root.addHandler(listener)
    yield watch
    root.removeHandler(listener)
    if "tests/emulator" not in request.node.nodeid and "planted" not in request.node.name:
        assert watch.leaks() == []
