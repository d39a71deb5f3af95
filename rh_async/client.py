"""`Session`, the public asynchronous client, and `run`, which runs one request without a session of your own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from ._client.calls_without_submit import _CallsWithoutSubmit
from ._client.lifetime import SessionLifetime, make_runtime
from ._client.many_jobs import _ManyJobs
from ._client.options import CallOptions
from ._client.single_jobs import _SingleJobs
from ._concurrency.blocking import run_blocking
from ._http.transport import SSL, Connector, RetryPolicy, Timeouts, TraceConfig, Transport
from ._media.local_file import LocalFiles
from ._polling.policy import PollingPolicy
from ._runtime.notifier import EventNotifier
from ._runtime.settings import (
    api_key_from,
    connector_from,
    in_flight_from,
    proxy_from,
    resolve_base_url,
)
from ._transfer.download_policy import DownloadPolicy
from .models.base import Request
from .types import OnExit, Result, Secret

if TYPE_CHECKING:  # loaded only by an open session
    from .batch import OutputNaming
    from .events import Event

__all__ = ["Session", "resolve_base_url", "run"]


class Session(_SingleJobs, _ManyJobs, _CallsWithoutSubmit):
    """Submits jobs, polls them all together, and saves their outputs.

    Use it in ``async with``, or call `open` and `aclose`; that may happen in different tasks of one event loop. Before
    it is opened, a session touches no network and needs no event loop.

    :param api_key: by default ``RUNNINGHUB_API_KEY`` or ``RH_API_KEY`` from the environment.
    :param base_url: the site; by default ``RUNNINGHUB_BASE_URL`` or ``RH_API_BASE_URL``, else `GLOBAL_SITE`.
    :param journal: a file that records every submission, so that none is bought twice and none is lost; created if
        missing. None: nothing is recorded, and an ``idempotency_key`` counts only while its job lives.
    :param in_flight: how many jobs may be between their POST and their settlement, at most. ``auto`` learns how many
        the account takes: from the limit it reports, and from refusals, which cost nothing and fail no job.
    :param polling: how often the status of jobs is queried.
    :param retry: how calls that are harmless to repeat are repeated; a submit that may have arrived never is.
    :param timeouts: how long to wait for the network.
    :param ssl: as aiohttp takes it.  :param proxy: an http proxy's URL.
    :param trust_env: whether proxies are taken from the environment (``HTTPS_PROXY``, ``NO_PROXY``); no netrc is read.
    :param trace_configs: aiohttp's own tracing hooks.
    :param on_event: called with every `events.Event`; what it raises is logged, and changes nothing else.
    :param on_exit: what becomes of running jobs when the session is closed: ``detach`` lets them go on remotely,
        ``cancel`` asks the server to cancel them, ``drain`` waits for them.
    :param webhook_url: where the server announces the end of tasks, for requests that name no ``webhook_url``.
    :param downloads: how slow and how large an output may come.
    :param allow_private_links: whether an output is also fetched from a link to this machine or its network. Else only
        public addresses are, unless the API's own address is private, as an emulator's is.
    :param connector: your own aiohttp connector, for every call of the API, made with ``force_close=True``: whether a
        submit arrived on a kept-alive connection that the server has just closed could not be known. You close it.
        Outputs are fetched without it, since links are checked when they are connected.
    :param files: local files that were read already, for instance a plan's: they are not hashed once more.
    :raises ConfigurationError: a setting breaks its rule, or there is no key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        in_flight: int | Literal["auto"] = "auto",
        polling: PollingPolicy | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        ssl: SSL = None,
        proxy: str | None = None,
        trust_env: bool = False,
        trace_configs: Sequence[TraceConfig] = (),
        on_event: Callable[[Event], object] | None = None,
        on_exit: OnExit = "detach",
        webhook_url: str | None = None,
        downloads: DownloadPolicy | None = None,
        allow_private_links: bool = False,
        connector: Connector | None = None,
        files: LocalFiles | None = None,
    ) -> None:
        api_key = None if api_key is None else Secret(api_key)  # what fails below may be sent to a crash reporter
        in_flight_limit = in_flight_from(in_flight)
        self._options = CallOptions().updated(on_exit=on_exit, webhook_url=webhook_url)
        notifier = EventNotifier(on_event)
        transport = Transport(
            base_url=resolve_base_url(base_url),
            api_key=api_key_from(api_key),
            timeouts=timeouts or Timeouts(),
            retry=retry or RetryPolicy(),
            ssl=ssl,
            proxy=proxy_from(proxy),
            trust_env=trust_env,
            trace_configs=trace_configs,
            private_links=allow_private_links,
            connector=connector_from(connector),
            on_pause=notifier.report_pause,
        )
        make = partial(
            make_runtime,
            transport=transport,
            polling=polling or PollingPolicy(),
            in_flight=in_flight_limit,
            notifier=notifier,
            on_exit=on_exit,
            download_policy=downloads or DownloadPolicy(),
            journal=None if journal is None else os.fspath(journal),
            files=files or LocalFiles(),
        )
        self._lifetime = SessionLifetime(transport, make)

    def __repr__(self) -> str:
        lifetime: SessionLifetime | None = getattr(self, "_lifetime", None)  # none yet, where a setting was refused
        return "<Session>" if lifetime is None else f"<Session {lifetime.transport.base_url}>"

    # --- open and close ----------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Open the session, as ``async with`` does. Close it with `aclose`.

        :return: the session.
        :raises SessionError: it is open already, or has been closed.
        :raises JournalError: the journal cannot be used.
        """
        await self._lifetime.open()
        return self

    async def aclose(self) -> None:
        """Close the session, from any task: withdraw jobs that were not sent, finish submits that were, stop polling.

        Running jobs are treated as ``on_exit`` says. Closing it again, or without having opened it, does nothing.

        :raises SessionError: the session's services had crashed.
        """
        if failure := await self._lifetime.close():
            raise failure

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (failure := await self._lifetime.close()) and error is None:
            raise failure

    def with_options(
        self,
        *,
        output_dir: str | os.PathLike[str] | None = None,
        naming: OutputNaming | None = None,
        overwrite: bool | None = None,
        on_exit: OnExit | None = None,
        webhook_url: str | None = None,
    ) -> Session:
        """Return a view of this session whose calls use other options, where their own arguments name none.

        The view shares everything else with this session: connections, slots, journal, jobs. Making one is cheap, opens
        nothing, and is possible before and after opening; closing either closes both. What jobs share belongs to the
        session and cannot differ between views: retries, time-outs, polling, how many jobs may be in flight.

        An option that is not given stays as it is.

        :param output_dir: where `run`, `map` and `batch` save outputs, and `recovery` those whose job named no folder.
        :param naming: names the files of `run`, `map` and `batch`.
        :param overwrite: whether `run` and `map` download a file again that is there already.
        :param on_exit: what becomes of jobs of this view that run when the session is closed.
        :param webhook_url: where the server announces the end of tasks, for requests that name no ``webhook_url``.
        :raises ConfigurationError: an option breaks its rule.
        :raises InvalidRequestError: ``output_dir`` is no path.
        """
        view = copy(self)
        view._options = self._options.updated(  # noqa: SLF001 - the view is a session, too
            output_dir=output_dir, naming=naming, overwrite=overwrite, on_exit=on_exit, webhook_url=webhook_url
        )
        return view


def run(
    request: Request,
    *,
    session: Session | None = None,
    idempotency_key: str | None = None,
    resubmit: bool = False,
    output_dir: str | os.PathLike[str] | None = None,
    naming: OutputNaming | None = None,
    overwrite: bool | None = None,
) -> Result:
    """Run one request, wait for its result, and save the outputs: for scripts and notebooks, without ``await``.

    Where an event loop runs already, as in a notebook, the work is done in a thread, and this call blocks the loop. In
    asynchronous code, use `Session.run`. Ctrl-C closes the session as usual: a job that was not sent is withdrawn, a
    submit that was sent is finished, and the task ids that still run are logged.

    :param session: made for this call and not opened, with settings of your own; by default ``Session()``.
    :param idempotency_key: as in `Session.submit_nowait`.  :param resubmit: as in `Session.submit_nowait`.
    :param output_dir: as in `Session.run`.  :param naming: as in `Session.run`.  :param overwrite: as in `Session.run`.
    :raises JobError: the job did not succeed.
    :raises RHError: it was not accepted, or could not be saved.
    """

    async def main() -> Result:
        async with session or Session() as opened:
            return await opened.run(
                request,
                idempotency_key=idempotency_key,
                resubmit=resubmit,
                output_dir=output_dir,
                naming=naming,
                overwrite=overwrite,
            )

    return run_blocking(main)
