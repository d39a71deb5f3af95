"""Receives RunningHub's webhooks, so that the end of a job is noticed at once and not at the next poll.

A delivery is not signed: whatever it says, the session only polls the job that it names.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from hmac import compare_digest

from aiohttp import web

from rh_async import DreamActor, Session

SESSION = web.AppKey("session", Session)


async def open_session(app: web.Application) -> AsyncIterator[None]:
    async with Session(journal="jobs.db") as session:
        app[SESSION] = session
        yield


async def create(request: web.Request) -> web.Response:
    asked = await request.json()
    webhook = f"{os.environ['PUBLIC_URL']}/runninghub/{os.environ['WEBHOOK_SECRET']}"
    job = request.app[SESSION].submit_nowait(
        DreamActor(asked["image"], asked["video"], webhook_url=webhook), idempotency_key=asked["id"]
    )
    return web.json_response({"task": await job.accepted()}, status=202)


async def receive(request: web.Request) -> web.Response:
    if not compare_digest(request.match_info["secret"], os.environ["WEBHOOK_SECRET"]):
        raise web.HTTPNotFound
    job = await request.app[SESSION].handle_webhook(await request.read(), token=request.query.get("rh_nonce", ""))
    print("not ours" if job is None else f"{job.task_id} may have ended")
    return web.Response()


def make_app() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(open_session)
    app.router.add_post("/jobs", create)
    app.router.add_post("/runninghub/{secret}", receive)
    return app


if __name__ == "__main__":
    web.run_app(make_app())
