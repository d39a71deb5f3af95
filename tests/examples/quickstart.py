"""Makes one video and prints where it lies."""

from __future__ import annotations

import asyncio

from rh_async import KlingMotionControl, Session


async def main() -> None:
    async with Session() as session:
        result = await session.run(KlingMotionControl("hero.png", "clips/dance.mp4"), output_dir="out")
    print(*result.paths, result.usage.money)


if __name__ == "__main__":
    asyncio.run(main())
