"""Decompresses a download that was compressed though that was not asked for."""

from __future__ import annotations

import zlib
from typing import Any

from attrs import define, field

from rh_async._http.link_client import Download
from rh_async.errors import ResponseLost

_GZIP_OR_ZLIB = 47  # zlib's number for: find out which of the two it is
_MAX_PIECE = 1024 * 1024  # bytes


@define(eq=False)
class DecompressedSource:
    """Reads a compressed response as what it was before; a few bytes may become very many, so it returns pieces."""

    _download: Download
    _decompressor: Any = field(factory=lambda: zlib.decompressobj(_GZIP_OR_ZLIB), init=False)
    _pending: bytes = field(default=b"", init=False)

    async def read(self) -> bytes:
        """Return the next bytes; none at the end.

        :raises ResponseLost: the connection broke, or the bytes are not compressed.
        """
        while not self._decompressor.eof:
            self._pending = self._pending or await self._download.read()
            if not self._pending:
                raise ResponseLost("download: the compressed bytes end too early", phase="download")
            try:
                piece: bytes = self._decompressor.decompress(self._pending, _MAX_PIECE)
            except zlib.error as error:
                raise ResponseLost(f"download: the bytes are not compressed as was said ({error})") from error
            self._pending = self._decompressor.unconsumed_tail
            if piece:
                return piece
        return b""
