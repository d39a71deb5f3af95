"""Keeps a journal, and picks up what an earlier run of the program left."""

from __future__ import annotations

import asyncio

from rh_async import KlingMotionControl, Session, SubmitUnknown


async def main() -> None:
    async with Session(journal="jobs.db") as session:
        resumed = await session.recovery.resume(output_dir="out")
        for job in resumed.jobs:
            print("still running:", job.task_id)
        try:
            result = await session.run(
                KlingMotionControl("hero.png", "clips/dance.mp4"), idempotency_key="scene-9", output_dir="out"
            )
        except SubmitUnknown as error:
            print("not sent again:", error.key, error.advice)
        else:
            print(result.task_id, *result.paths)
        for record in await session.recovery.unconfirmed():
            print(record.key, record.state.value)


if __name__ == "__main__":
    asyncio.run(main())
