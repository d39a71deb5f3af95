"""Answers to a submit that are cut off, or that no server should send: it is sent once, and never called free."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from pathlib import Path

import pytest

from rh_async import DreamActor, RetryPolicy, RHError, Session, SubmitUnknown, Timeouts
from rh_async._journal.records import SubmissionState
from tests.journal.killing import rows_of
from tests.raw_server import Request, http, raw_server

TASK = {"taskId": "1990000000000000001", "status": "RUNNING", "errorCode": "", "errorMessage": "", "results": None}
WHOLE = json.dumps(TASK).encode()


def request(number: int = 0) -> DreamActor:
    return DreamActor("https://example.test/hero.png", f"https://example.test/{number}.mp4")


def reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end with a reset instead of an orderly end."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@pytest.mark.parametrize("length", [True, False], ids=["its length told", "to the end of the connection"])
@pytest.mark.parametrize("rude", [False, True], ids=["closed", "reset"])
async def test_an_answer_that_is_cut_off_anywhere_is_unknown_and_never_sent_again(rude: bool, length: bool) -> None:
    whole, posts = http(WHOLE, kind="application/json", length=length), 0
    sent = b""

    async def answer(asked: Request, writer: asyncio.StreamWriter) -> bytes | None:
        nonlocal posts
        posts += 1
        writer.write(sent)
        await writer.drain()
        if rude:
            await asyncio.sleep(0.005)
            reset(writer)
        return None

    timeouts, retry = Timeouts(connect=2, read=3), RetryPolicy(give_up_after=2)
    async with raw_server(answer) as site:
        for cut in range(len(whole)):
            sent, posts = whole[:cut], 0
            async with Session("k" * 32, base_url=site.url, timeouts=timeouts, retry=retry) as session:
                with pytest.raises(SubmitUnknown):
                    await session.submit(request(cut))
            assert posts == 1, f"after {cut} bytes"


def said(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    return http(body, status=status, kind="application/json", headers=headers)


UNKNOWN = {
    "nothing": said(b""),
    "null": said(b"null"),
    "a list": said(b"[]"),
    "no number": said(b'{"taskId":NaN}'),
    "infinity": said(b'{"taskId":1e400,"status":"RUNNING"}'),
    "a number of 5000 digits": said(b'{"taskId":' + b"9" * 5000 + b"}"),
    "nested 200,000 deep": said(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "an id of 3 MB": said(b'{"taskId":"' + b"7" * 3_000_000 + b'","status":"RUNNING"}'),
    "half a pair for an id": said(b'{"taskId":"\\ud800","status":"RUNNING"}'),
    "NUL in an id": said(b'{"taskId":"a\\u0000b","status":"RUNNING"}'),
    "terminal codes for an id": said(b'{"taskId":"\\u001b[31m1","status":"RUNNING"}'),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "reset content": said(b"", "205 Reset"),
    "a redirect": said(b"", "307 x", "Location: /openapi/v2/bytedance/dreamactor-v2"),
    "a redirect elsewhere": said(b"", "308 x", "Location: http://127.0.0.1:1/"),
    "a time-out": said(b"", "408 x"),
    "unavailable, retry at once": said(b"", "503 x", "Retry-After: 0"),
    "status 999": said(WHOLE, "999 x"),
    "no gzip": said(b"not gzip", "200 OK", "Content-Encoding: gzip"),
    "half a gzip": said(gzip.compress(WHOLE)[:40], "200 OK", "Content-Encoding: gzip"),
    "a gzip bomb": said(gzip.compress(b" " * 64_000_000), "200 OK", "Content-Encoding: gzip"),
    "a wrong chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    "a length below nothing": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc",
    "a length beyond measure": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
    "no HTTP": b"{}",
    "success without an id": said(b'{"code":0,"msg":"success"}'),
    "the server's own trouble beside a refusal": said(b'{"errorCode":"500","code":421}'),
}
ACCEPTED = {
    "a byte order mark": said(b"\xef\xbb\xbf" + WHOLE),
    "UTF-16": said(json.dumps(TASK).encode("utf-16")),
    "continue first": b"HTTP/1.1 100 Continue\r\n\r\n" + said(WHOLE),
    "a path for an id": said(b'{"taskId":"../../../etc/x","status":"RUNNING"}'),
    "a huge number beside the id": said(b'{"taskId":"1","status":"RUNNING","x":' + b"9" * 4000 + b"}"),
}


@pytest.mark.parametrize("name", [*UNKNOWN, *ACCEPTED])
async def test_an_answer_that_no_server_should_send_is_handled_and_the_submit_sent_once(
    name: str, tmp_path: Path
) -> None:
    posts = 0

    async def answer(asked: Request, writer: asyncio.StreamWriter) -> bytes:
        nonlocal posts
        await asyncio.sleep(0)
        if asked.target.endswith("/query"):
            return said(b'{"taskId":"x","status":"RUNNING"}')
        posts += asked.method == "POST" and "/bytedance/" in asked.target
        return {**UNKNOWN, **ACCEPTED}[name]

    book, timeouts = tmp_path / "journal.db", Timeouts(connect=2, read=3)
    error: RHError | None = None
    async with (
        raw_server(answer) as site,
        Session(
            "k" * 32, base_url=site.url, journal=book, timeouts=timeouts, retry=RetryPolicy(give_up_after=1)
        ) as session,
    ):
        try:
            await session.submit(request())
        except RHError as failed:
            error = failed
    assert posts == 1
    (row,) = rows_of(book)
    if name in ACCEPTED:
        assert (error, row.state) == (None, SubmissionState.SUBMITTED)
    else:
        assert isinstance(error, SubmitUnknown)
        assert row.state is SubmissionState.UNCERTAIN
