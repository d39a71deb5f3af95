"""Every test runs in virtual time over real sockets, and may not block the loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.virtual_clock import VirtualClockLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on asyncio, with the clock that jumps."""
    return "asyncio", {"loop_factory": VirtualClockLoop}


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    """Make a blocking call on the loop, from our code, an error."""
    with blockbuster_ctx("rh_async") as guard:
        yield guard
