"""The methods of `Session` that submit nothing: prices and checks, tasks and journal, the account, and files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rh_async._client.session_base import _SessionBase
from rh_async._journal.records import SubmissionRecord, SubmissionState
from rh_async._submission.arguments import (
    media_source_from,
    output_dir_from,
    request_from,
    states_from,
    task_id_from,
)
from rh_async.models.base import Request
from rh_async.models.media_input import BinaryFile, Media, Picture
from rh_async.types import Account, Result, Snapshot, Upload

if TYPE_CHECKING:  # loaded only by an open session
    from rh_async._runtime.statistics import Statistics
    from rh_async.batch import Issue, Price


class _CallsWithoutSubmit(_SessionBase):
    """Asks and transfers; nothing is bought."""

    async def price(self, request: Request) -> Price:
        """Ask the server what a request would cost. Its media are uploaded for that; nothing is submitted.

        :raises ApiError: the server has no price for the request, or rejects it.
        :raises RHError: the server did not answer.
        """
        from rh_async.models.prices import Price  # noqa: PLC0415 - loaded by an open session

        runtime = self._lifetime.require_open()
        quote = await runtime.run_in_session(partial(runtime.services.calls.price, request))
        return Price(quote.amount, quote.currency)

    async def check(self, request: Request) -> tuple[Issue, ...]:
        """Find what is wrong with a request, or doubtful, before it is submitted; nothing is sent.

        Its files are read and compared with what the model is documented to take, as a batch's are. Without the
        ``media`` extra, only their kind, size and length are compared, and an issue says so.

        :return: every issue; the server would refuse those with `Issue.is_error`. Empty if there is none.
        """
        from rh_async.batch import check_request  # noqa: PLC0415 - loaded by an open session

        if not any(request_from(request).sources()):
            return await check_request(request)
        async with self._lifetime.require_open(asking=False).services.spool.files(request) as with_files:
            return await check_request(with_files)

    async def find(self, key: str) -> SubmissionRecord | None:
        """Find the last attempt of a key in the journal; None if it was never submitted. The server is not asked.

        :raises RHError: there is no journal, or it cannot be used.
        """
        return await self._lifetime.require_open(asking=False).services.recovery.open_journal().find(key)

    def jobs(
        self, *, state: SubmissionState | str | Iterable[SubmissionState | str] | None = None, prefix: str = ""
    ) -> AsyncIterator[SubmissionRecord]:
        """Iterate over the journal's records, in the order of submission, read as they are asked for.

        :param state: only attempts in this state, or in one of these.
        :param prefix: only those whose key begins with it.
        :raises InvalidRequestError: there is no such state.
        :raises SessionError: there is no journal, or the session is not open here.
        """
        return self._lifetime.require_open(asking=False).services.recovery.records(states_from(state), prefix)

    async def get_status(self, task_id: str) -> Snapshot:
        """Query a task once, now.

        :raises InvalidRequestError: that is no task id.
        :raises NotFound: the server does not know the task, or no longer.
        :raises RHError: the server did not answer.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(partial(runtime.services.calls.get_status, task_id_from(task_id)))

    async def cancel(self, task_id: str) -> Snapshot:
        """Ask the server to cancel a task, and return its status afterwards; it may have been done already.

        :raises InvalidRequestError: that is no task id.
        :raises NotFound: the server does not know the task, or no longer.
        :raises RHError: the server did not answer.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(partial(runtime.services.account_api.cancel, task_id_from(task_id)))

    def statistics(self) -> Statistics:
        """Summarize the session: its jobs and requests, how late ends are detected, and learnt run times.

        :raises SessionError: the session is not open here.
        """
        return self._lifetime.require_open(asking=False).services.statistics()

    async def account(self) -> Account:
        """Query the account: kind of key, concurrency limit, tasks and wallet.

        :raises AuthenticationFailed: the key is refused.
        :raises RHError: the server did not answer.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(runtime.services.account_api.account)

    async def upload(
        self, source: str | os.PathLike[str] | Media | BinaryFile | Picture | AsyncIterable[bytes]
    ) -> Upload:
        """Upload media; the `Upload` can be used in a request wherever a path can.

        :param source: a local file's path, or `Media`, or what `Media` is made of: an open binary file, a Pillow image,
            an asynchronous iterable of bytes.
        :raises InvalidRequestError: it is none of these.
        :raises InvalidMedia: it cannot be read.
        :raises RHError: it could not be uploaded.
        """
        runtime = self._lifetime.require_open()
        return await runtime.run_in_session(partial(runtime.services.calls.upload, media_source_from(source)))

    async def save(
        self, result: Result, output_dir: str | os.PathLike[str], *, overwrite: bool = False
    ) -> tuple[Path, ...]:
        """Download every output of a result to a folder, named by task id and index.

        :param overwrite: whether a file that is there already is downloaded again.
        :raises SaveError: the file cannot be written.
        :raises RHError: an output could not be downloaded.
        """
        runtime = self._lifetime.require_open(asking=False)
        folder = output_dir_from(output_dir) or Path()
        return await runtime.run_in_session(partial(runtime.services.calls.save, result, folder, overwrite=overwrite))

    @property
    def unanswered_for(self) -> float:
        """How many seconds ago the first call began, if none was ever answered: the address may be wrong. Else 0."""
        transport = self._lifetime.transport
        if transport.server_responded or transport.first_call_at is None:
            return 0.0
        return asyncio.get_running_loop().time() - transport.first_call_at
