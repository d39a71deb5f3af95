"""Uploads local files: read, hashed, streamed, and each content only once however many jobs share it.

Nothing here is paid, so everything here is repeated freely; a file that changes on the way is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Hashable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import anyio
from attrs import define, evolve, field, frozen

from rh_async._api.endpoints import decode_upload, encode_upload
from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._concurrency.single_flight import SingleFlight
from rh_async._http.transport import FileBody, Transport
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async._media.file_io import in_thread, is_shortage
from rh_async._media.local_file import FileIdentity, LocalFile, LocalFiles, read_file
from rh_async._printable import one_line
from rh_async.errors import InvalidMedia
from rh_async.events import Event, Uploaded, Uploading, Warned
from rh_async.models.media_limits import MediaFile, MediaLimits
from rh_async.types import Upload

from .upload_checks import check_limits, extension, identify, unreadable, warn_if_too_large

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_AT_ONCE = 8  # each holds a descriptor, a connection and a chunk in memory
_URL_LIFETIME = 23 * 3600.0  # seconds: an hour less than the signature's 24 h (contract 5.1)
_REMEMBERED = 10_000  # uploads: memory stays bounded over a run of very many files
_SHA256 = re.compile(r"[0-9a-f]{64}")


@frozen
class _CachedUpload:
    """An upload that may be used again.

    :param file: what was sent: it is sent again when the URL has expired.
    :param expires_at: when its URL expires, on the loop's clock.
    :param expires_utc: the same by the time of day, which goes on while the computer sleeps.
    :param from_journal: whether an earlier session has sent it.
    """

    upload: Upload
    file: LocalFile
    limits: MediaLimits | None
    expires_at: float
    expires_utc: float
    from_journal: bool = False


@define(eq=False, kw_only=True, repr=False)
class Uploads:
    """The upload cache of one session.

    :param tasks: where shared work runs, so that a caller who is cancelled does not cancel it for the other callers.
    :param emit: receives the events.
    :param wall: returns the time of day.
    :param journal: keeps uploads for later sessions.
    :param files: what was read of local files, by this session or by a plan.
    """

    transport: Transport
    tasks: SessionTasks
    emit: Callable[[Event], None]
    wall: Callable[[], datetime]
    journal: SubmissionJournal | None = None
    files: LocalFiles = field(factory=LocalFiles)
    _warned: bool = field(default=False, init=False)
    _reads: dict[FileIdentity, SingleFlight[LocalFile]] = field(factory=dict, init=False)
    _transfers: dict[str, SingleFlight[_CachedUpload]] = field(factory=dict, init=False)  #: by SHA-256
    _latest: dict[str, _CachedUpload] = field(factory=dict, init=False)  #: by SHA-256; also after `invalidate`
    _slots: anyio.CapacityLimiter = field(factory=lambda: anyio.CapacityLimiter(_AT_ONCE), init=False)

    async def read(self, media: MediaFile) -> LocalFile:
        """Read a file once, while it stays as it is: a ``stat`` here, and an open only if it is new or has changed.

        :raises InvalidMedia: it cannot be read, or is not what the field takes.
        """
        identity = await in_thread(partial(identify, media))
        check_size = partial(check_limits, media, size=identity.size)
        if (file := self.files.known(media.path, identity)) is None:
            read = partial(in_thread, partial(_read, media, identity, check_size))
            file = self.files.add(await self._shared(self._reads, identity, read))
            self._reads.pop(identity, None)  # from now on `files` knows it
        check_size(file.kind)
        return file if file.path == media.path else evolve(file, path=media.path)

    async def upload(self, media: MediaFile) -> Upload:
        """Read a file and upload it, unless the server has its content already.

        :raises InvalidMedia: it cannot be read, is not what the field takes, or changed on the way.
        :raises RHError: it could not be uploaded.
        """
        return await self.ensure_uploaded(await self.read(media), media.limits)

    async def ensure_uploaded(self, file: LocalFile, limits: MediaLimits | None = None) -> Upload:
        """Upload a file, unless the server has its content already and the URL has not expired.

        :raises InvalidMedia: it changed on the way.
        :raises RHError: it could not be uploaded.
        """
        return (await self._cached_or_sent(file, limits)).upload

    async def refresh_url(self, upload: Upload) -> Upload:
        """Return the same upload with a URL that has not expired: if need be, the file is sent again.

        A submit with an expired URL would be accepted, and its job fail. Uploads of other programs stay as they are.

        :raises InvalidMedia: the file has changed since it was sent.
        """
        cached = self._latest.get(upload.sha256)
        if cached is None:
            return upload
        if self._is_fresh(cached):
            return cached.upload
        file = await self.read(MediaFile(cached.file.path, "", cached.limits))
        if file.sha256 != upload.sha256:
            raise InvalidMedia(f"{file.path} changed since it went up; nothing was submitted")
        return await self.ensure_uploaded(file, cached.limits)

    async def invalidate(self, uploads: Iterable[Upload]) -> bool:
        """Forget those uploads that an earlier session has sent: the server refused them, so it may have lost them.

        :return: whether there were any, so that another attempt is of use.
        """
        transfers = {upload.sha256: self._transfers.get(upload.sha256) for upload in uploads}
        stale = [sha256 for sha256, sent in transfers.items() if sent and sent.values and sent.values[0].from_journal]
        # Only those: what this session has sent was there a moment ago, and sending it again would not help.
        for sha256 in stale:
            del self._transfers[sha256]
            if self.journal is not None:
                await self.journal.forget_upload(sha256)
        return bool(stale)

    async def _cached_or_sent(self, file: LocalFile, limits: MediaLimits | None) -> _CachedUpload:
        sent = self._transfers.get(file.sha256)
        if sent is not None and sent.values and not self._is_fresh(sent.values[0]):
            del self._transfers[file.sha256]
        cached = await self._shared(self._transfers, file.sha256, lambda: self._find_or_send(file, limits))
        if len(self._latest) >= _REMEMBERED:
            del self._latest[next(iter(self._latest))]
        self._latest[file.sha256] = cached
        return cached

    def _is_fresh(self, cached: _CachedUpload) -> bool:
        """Whether a URL has not expired by either clock: one stands still during sleep, the other can be set."""
        return anyio.current_time() < cached.expires_at and self.wall().timestamp() < cached.expires_utc

    async def _shared(self, running: dict[K, SingleFlight[T]], key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Share one run of some work between all callers that have the same key."""
        while True:
            flight = running.get(key)
            mine = flight is None or flight.error is not None
            if flight is None or mine:
                _forget_oldest(running)
                flight = running[key] = SingleFlight[T]()
                self.tasks.start_soon(flight.run, work)
            try:
                return await flight.value()
            except InvalidMedia:
                if mine:
                    raise
            # The caller that began it has another file with the same content, which changed or is gone, or a field that
            # does not take it: that says nothing of this caller's file, which is tried on its own.

    # --- one upload --------------------------------------------------------------------------------------------------

    async def _find_or_send(self, file: LocalFile, limits: MediaLimits | None) -> _CachedUpload:
        if (cached := await self._from_journal(file, limits)) is not None:
            return cached
        warn_if_too_large(file, limits)
        async with self._slots:
            sent = await self.transport.with_retries(lambda: self._attempt(file, limits))
        # Kept for later sessions: a job that is continued after a crash does not send its files once more.
        if self.journal is not None:
            await self.journal.save_upload(sent.upload, life=_URL_LIFETIME)
        return sent

    async def _from_journal(self, file: LocalFile, limits: MediaLimits | None) -> _CachedUpload | None:
        found = None if self.journal is None else await self.journal.find_upload(file.sha256, file.size)
        if found is None:
            return None
        upload, lifetime = found
        now, now_utc = anyio.current_time(), self.wall().timestamp()
        return _CachedUpload(upload, file, limits, now + lifetime, now_utc + lifetime, from_journal=True)

    async def _attempt(self, file: LocalFile, limits: MediaLimits | None) -> _CachedUpload:
        # The file may have waited for minutes: for a slot, or for the network. A changed one must not go up in vain.
        if await in_thread(partial(identify, MediaFile(file.path, ""))) != file.identity:
            raise InvalidMedia(f"{file.path} changed while it waited to go up; nothing was submitted")
        body = FileBody(
            path=file.path, name=f"media.{extension(file)}", size=file.size, progress=self._report_progress(file)
        )
        # The URL's lifetime counts from before the upload: the server signs it at some time during the call.
        began, began_utc = anyio.current_time(), self.wall().timestamp()
        response = await self.transport.send(encode_upload(), decode_upload, file=body)
        # What was sent may differ from what was hashed, and the job's key names the hash: nothing is bought with it.
        if body.sha256 != file.sha256:
            raise InvalidMedia(f"{file.path} changed while it went up; nothing was submitted")
        self._compare_name(response.file_name, file.sha256)
        upload = Upload(file_name=response.file_name, url=response.url, sha256=file.sha256, size=file.size)
        self.emit(Uploaded(path=file.path, upload=upload))
        return _CachedUpload(upload, file, limits, began + _URL_LIFETIME, began_utc + _URL_LIFETIME)

    def _compare_name(self, file_name: str, sha256: str) -> None:
        """Warn, once, if the server's name of a file holds another hash: that it is the content's is not documented."""
        named = _SHA256.search(file_name)
        if named is not None and named.group() != sha256 and not self._warned:
            self._warned = True
            message = f"the server calls an upload {one_line(file_name)}, and its SHA-256 is {sha256}"
            log.warning("rh_async.upload_name %s", message)
            self.emit(Warned(code="upload_name", message=message))

    def _report_progress(self, file: LocalFile) -> Callable[[int], None]:
        return lambda sent: self.emit(Uploading(path=file.path, bytes=sent, total=file.size))


def _read(media: MediaFile, identity: FileIdentity, accept: Callable[[str | None], None]) -> LocalFile:
    try:
        return read_file(media.path, identity, accept)
    except InvalidMedia:
        raise
    except OSError as error:
        if is_shortage(error):
            raise
        raise unreadable(media, error) from error


def _forget_oldest(running: dict[Any, Any]) -> None:
    """Keep memory bounded over a run of very many files; what is forgotten is read or sent once more."""
    if len(running) >= _REMEMBERED:
        done = (key for key, flight in running.items() if flight.done.is_set())
        if (oldest := next(done, None)) is not None:
            del running[oldest]
