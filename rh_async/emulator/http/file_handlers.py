"""Handles the calls about files: uploads, and downloads of uploaded files and results through signed links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

from aiohttp import BodyPartReader, web
from attrs import define, field

from rh_async.emulator.http.bearer_auth import ApiKeys
from rh_async.emulator.http.payloads import Json
from rh_async.emulator.outputs.task_results import TaskResults
from rh_async.emulator.state.file_store import FILE_KINDS, FileStore, StoredFile
from rh_async.emulator.state.ledger import DownloadRecord, KeyLeakRecord, Ledger, UploadRecord
from rh_async.emulator.state.rejections import RequestRejected
from rh_async.emulator.state.signed_urls import InvalidLink

_BLOCK = 1 << 20


class FileDownload(web.FileResponse):
    """A response with a file, whose path a fault can read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, chunk_size=_BLOCK)
        self.path = path


@define(eq=False, kw_only=True)
class FileHandlers:
    """The handlers of these calls."""

    _clock: Callable[[], float]
    _api_keys: ApiKeys
    _file_store: FileStore
    _results: TaskResults
    _ledger: Ledger
    _upload_responses: count[int] = field(factory=count, init=False)

    async def upload(self, request: web.Request) -> web.Response:
        """Store one file (contract 5.1)."""
        try:
            self._api_keys.authenticate(request)
        except RequestRejected as rejected:  # contract 5.1: on this call a bad key has a code of its own
            raise RequestRejected("401") from rejected
        if request.content_type != "multipart/form-data":
            raise RequestRejected("301")
        try:
            stored, file_name = await self._receive(request)
        except ValueError as error:
            raise RequestRejected("301") from error
        # Recorded even if it is rejected for its missing length, because the content has arrived.
        has_length = request.content_length is not None
        self._ledger.uploads.append(
            UploadRecord(
                at=self._clock(),
                sha256=stored.sha256,
                size=stored.size,
                file_name=file_name,
                had_content_length=has_length,
            )
        )
        if not has_length:
            raise RequestRejected("808", "APIKEY_UPLOAD_FAILED: Content-Length required")
        return web.json_response(self._upload_payload(stored))

    async def download_upload(self, request: web.Request) -> web.StreamResponse:
        """Send an uploaded file."""
        self._check_link(request)
        stored = self._file_store.find(request.match_info["name"])
        return _file_response(stored.path if stored else None)

    async def download_result(self, request: web.Request) -> web.StreamResponse:
        """Send the file that a task delivers."""
        self._check_link(request)
        return _file_response(await self._results.find(request.match_info["task_id"]))

    async def record_download(self, request: web.Request, response: web.StreamResponse) -> None:
        """Record the response to a request for a file, just before it is sent."""
        if request.path.startswith(("/input/", "/output/")):
            record = DownloadRecord(at=self._clock(), path=request.path, status=response.status)
            self._ledger.downloads.append(record)

    def _check_link(self, request: web.Request) -> None:
        """Verify the link of a download, and reject and record an API key in its header.

        The signature is all that a file host needs; a client that sends its API key there leaks it.
        """
        if "Authorization" in request.headers:
            self._ledger.key_leaks.append(KeyLeakRecord(at=self._clock(), path=request.path))
            raise web.HTTPBadRequest(text="<Error><Code>InvalidArgument</Code></Error>", content_type="application/xml")
        try:
            self._file_store.url_signer.verify(request.path, request.query)
        except InvalidLink as error:
            text = f"<Error><Code>AccessDenied</Code><Message>{error}</Message></Error>"
            raise web.HTTPForbidden(text=text, content_type="application/xml") from error

    async def _receive(self, request: web.Request) -> tuple[StoredFile, str]:
        """Read the one part of an upload; return the stored file and the name that the client gave it."""
        reader = await request.multipart()
        part = await reader.next()
        if not isinstance(part, BodyPartReader) or part.name != "file" or not part.filename:
            raise RequestRejected("301")
        extension = Path(part.filename).suffix.removeprefix(".").lower()
        if extension not in FILE_KINDS:
            raise RequestRejected("1013")
        stored = await self._file_store.save(extension, _read_blocks(part))
        if await reader.next() is not None:
            raise RequestRejected("301")
        return stored, part.filename

    def _upload_payload(self, stored: StoredFile) -> Json:
        """Report a stored file, in turn in each of the shapes that captures and pages show (contract 5.1, 12.9)."""
        turn = next(self._upload_responses)
        name = "filename" if turn % 4 == 3 else "fileName"
        data = {"type": stored.kind, "download_url": self._file_store.link(stored), name: stored.name}
        data["size"] = str(stored.size)
        if turn % 2:
            return {"code": 0, "message": "success", "data": data}
        return {"code": 0, "msg": "success", "errorMessages": None, "data": data}


async def _read_blocks(part: BodyPartReader) -> AsyncIterator[bytes]:
    """Read a part in blocks that are large enough to be written in a thread."""
    block = bytearray()
    while chunk := await part.read_chunk(_BLOCK):
        block += chunk
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _file_response(path: Path | None) -> web.StreamResponse:
    if path is None:
        raise web.HTTPNotFound(text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")
    return FileDownload(path)
