"""Takes jobs in a web handler: answers at once, and lets the job go on in the session."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from rh_async import DreamActor, RHError, Session
from rh_async.errors import InvalidRequestError

SESSION = web.AppKey("session", Session)


async def open_session(app: web.Application) -> AsyncIterator[None]:
    async with Session(journal="jobs.db") as session:
        app[SESSION] = session
        yield


async def create(request: web.Request) -> web.Response:
    asked = await request.json()
    try:
        job = request.app[SESSION].submit_nowait(
            DreamActor(asked["image"], asked["video"]), idempotency_key=asked["id"]
        )
    except InvalidRequestError as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error
    try:
        task_id = await job.accepted()
    except RHError as error:
        raise web.HTTPBadGateway(text=str(error)) from error
    return web.json_response({"task": task_id}, status=202)


def make_app() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(open_session)
    app.router.add_post("/jobs", create)
    return app


if __name__ == "__main__":
    web.run_app(make_app())
