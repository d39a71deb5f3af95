"""Shows what happens while a job runs: events of the session, and the job's own status updates."""

from __future__ import annotations

import asyncio

from rh_async import CharacterMotionTransfer, Session
from rh_async.events import Changed, Event, Submitted, Uploading


def show(event: Event) -> None:
    match event:
        case Uploading(path=path, bytes=sent, total=total):
            print(f"{path.name}: {sent:,} of {total:,} bytes")
        case Submitted(task_id=task_id):
            print("accepted as", task_id)
        case Changed(snapshot=snapshot):
            print(snapshot.task_id, snapshot.status)
        case _:
            pass


async def main() -> None:
    async with Session(on_event=show) as session:
        job = session.submit_nowait(CharacterMotionTransfer("hero.png", "clips/dance.mp4"))
        async for snapshot in job.status_updates():
            print(snapshot.status, job.eta)
        result = await job
    for output in result.outputs:
        print(output.type, output.url)


if __name__ == "__main__":
    asyncio.run(main())
