"""The calls about files: uploads in, and both kinds of file out through signed links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

from aiohttp import BodyPartReader, web
from attrs import define, field

from rh_async.emulator.http.bearer_auth import ApiKeys
from rh_async.emulator.http.payloads import Json, RequestRejected
from rh_async.emulator.outputs.task_results import TaskResults
from rh_async.emulator.state.file_store import KINDS, FileStore, StoredFile
from rh_async.emulator.state.ledger import DownloadRecord, KeyLeakRecord, Ledger, UploadRecord
from rh_async.emulator.state.signed_urls import InvalidLink

_BLOCK = 1 << 20


@define(eq=False, kw_only=True)
class FileHandlers:
    """The handlers of these calls."""

    _clock: Callable[[], float]
    _api_keys: ApiKeys
    _store: FileStore
    _results: TaskResults
    _ledger: Ledger
    _answers: count[int] = field(factory=count, init=False)

    async def upload(self, request: web.Request) -> web.Response:
        """Keep one file (contract 5.1)."""
        try:
            self._api_keys.holder(request)
        except RequestRejected as refused:  # a bad key has a code of its own here
            raise RequestRejected("401") from refused
        if request.content_type != "multipart/form-data":
            raise RequestRejected("301")
        try:
            stored, file_name = await self._receive(request)
        except ValueError as malformed:
            raise RequestRejected("301") from malformed
        known_length = request.content_length is not None
        self._ledger.uploads.append(
            UploadRecord(
                at=self._clock(),
                sha256=stored.sha256,
                size=stored.size,
                file_name=file_name,
                had_content_length=known_length,
            )
        )
        if not known_length:
            raise RequestRejected("808", "APIKEY_UPLOAD_FAILED: Content-Length required")
        return web.json_response(self._kept(stored))

    async def uploaded(self, request: web.Request) -> web.StreamResponse:
        """Serve an uploaded file."""
        self._check_link(request)
        stored = self._store.named(request.match_info["name"])
        return _file(stored.path if stored else None)

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Serve what a task made."""
        self._check_link(request)
        return _file(await self._results.path(request.match_info["task_id"]))

    async def note_download(self, request: web.Request, response: web.StreamResponse) -> None:
        """Write down every answer to a request for a file, as it goes out."""
        if request.path.startswith(("/input/", "/output/")):
            record = DownloadRecord(at=self._clock(), path=request.path, status=response.status)
            self._ledger.downloads.append(record)

    def _check_link(self, request: web.Request) -> None:
        """A link is its own permission: a key beside it is a leak."""
        if "Authorization" in request.headers:
            self._ledger.key_leaks.append(KeyLeakRecord(at=self._clock(), path=request.path))
            raise web.HTTPBadRequest(text="<Error><Code>InvalidArgument</Code></Error>", content_type="application/xml")
        try:
            self._store.links.check(request.path, request.query)
        except InvalidLink as bad:
            text = f"<Error><Code>AccessDenied</Code><Message>{bad}</Message></Error>"
            raise web.HTTPForbidden(text=text, content_type="application/xml") from bad

    async def _receive(self, request: web.Request) -> tuple[StoredFile, str]:
        """Read the one part that an upload has."""
        reader = await request.multipart()
        part = await reader.next()
        if not isinstance(part, BodyPartReader) or part.name != "file" or not part.filename:
            raise RequestRejected("301")
        extension = Path(part.filename).suffix.removeprefix(".").lower()
        if extension not in KINDS:
            raise RequestRejected("1013")
        stored = await self._store.keep(extension, _blocks(part))
        if await reader.next() is not None:
            raise RequestRejected("301")
        return stored, part.filename

    def _kept(self, stored: StoredFile) -> Json:
        """Answer in turn the way the server does, the way its page does, and the way one copy of the page does."""
        turn = next(self._answers)
        name = "filename" if turn % 4 == 3 else "fileName"
        data = {"type": stored.kind, "download_url": self._store.link(stored), name: stored.name}
        data["size"] = str(stored.size)
        if turn % 2:
            return {"code": 0, "message": "success", "data": data}
        return {"code": 0, "msg": "success", "errorMessages": None, "data": data}


async def _blocks(part: BodyPartReader) -> AsyncIterator[bytes]:
    """Gather a part into pieces worth a trip to a thread."""
    block = bytearray()
    while chunk := await part.read_chunk(_BLOCK):
        block += chunk
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


class FileAnswer(web.FileResponse):
    """A file going out, which still knows its path."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, chunk_size=_BLOCK)
        self.path = path


def _file(path: Path | None) -> web.StreamResponse:
    if path is None:
        raise web.HTTPNotFound(text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")
    return FileAnswer(path)
