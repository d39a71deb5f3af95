"""Makes a video of every clip of a folder, and tells the good ends from the bad by type."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rh_async import DreamActor, Failed, Session, Succeeded
from rh_async.errors import JobFailed


async def main() -> None:
    requests = [DreamActor("hero.png", clip) for clip in sorted(Path("clips").glob("*.mp4"))]
    async with Session() as session:
        async for outcome in session.map(requests, output_dir="out"):
            match outcome:
                case Succeeded(request=request, result=result):
                    print(request.video, result.task_id, outcome.paths[0].name)
                case Failed(request=request, error=JobFailed() as error):
                    print(request.video, error.code, error.reason)
                case Failed(error=error):
                    print(outcome.request.video, error)


if __name__ == "__main__":
    asyncio.run(main())
