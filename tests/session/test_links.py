"""Links of outputs: fetched exactly as they were signed, and only from public addresses."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rh_async import (
    DreamActor,
    Output,
    Result,
    RetryPolicy,
    RHError,
    Session,
    TaskId,
    Timeouts,
    TransportError,
    Upload,
    Usage,
)
from rh_async._api.endpoints import decode_upload
from rh_async._api.wire import ApiResponse
from rh_async._http import link_client as _outside
from rh_async.emulator import Emulator
from rh_async.errors import NotFound, OutputRefused
from tests.raw_server import RawServer, Request, always, http, raw_server
from tests.session.conftest import Media

KEY = "0123456789abcdef0123456789abcdef"
PUBLIC_API = "https://8.8.8.8"  # never asked: a result is saved from its links
BYTES = b"as the server sent it"

TARGETS = [
    "/b/o.mp4?q-sign-algorithm=sha1&q-sign-time=1%3B2&q-signature=ab%2Fcd%2Bef%3D",
    "/b/o.mp4?X-Amz-Credential=AK%2F20260101%2Fr%2Fs3%2Faws4_request&X-Amz-Signature=00",
    "/b/my%20clip%20%281%29.mp4?sig=a%7Eb~c",
    "/b/o.mp4?sig=a+b/c==",
    "/b/%E5%8F%B0.mp4?sig=1%e5%8f%b0",
    "/b/o.mp4?a=1&&b=2&",
    "/b/./c/../o.mp4?s=%2e%2E",
    "/b/o%2Fp.mp4?s=%3A%40%21%24%27()*!'",
    "/b/o.mp4?",
    "/b//o.mp4?x=?&y=/",
    "/?sig=%00",
    '/b/o.mp4?json={"a":[1|2]}^`\\',
]


def made(*links: str, kind: str = "mp4") -> Result:
    outputs = tuple(Output(url=link, type=kind) for link in links)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Result(task_id=TaskId("12"), outputs=outputs, usage=Usage(), noticed_utc=when)


def opened(base_url: str = PUBLIC_API, **options: Any) -> Session:
    return Session(KEY, base_url=base_url, retry=RetryPolicy(give_up_after=0), **options)


async def error_of(session: Session, link: str, folder: Path) -> RHError:
    with pytest.raises(RHError) as caught:
        await session.save(made(link), folder)
    assert list(folder.iterdir()) == []
    return caught.value


@pytest.fixture
async def cdn() -> AsyncIterator[RawServer]:
    async with raw_server(always(http(BYTES))) as server:
        yield server


# --- byte for byte ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
async def test_a_signed_link_is_fetched_byte_for_byte(target: str, cdn: RawServer, tmp_path: Path) -> None:
    async with opened(cdn.url) as session:
        await session.save(made(cdn.url + target), tmp_path)
    assert [request.target for request in cdn.requests] == [target]


@pytest.mark.parametrize("target", TARGETS)
async def test_a_proxy_gets_a_signed_link_byte_for_byte(target: str, cdn: RawServer, tmp_path: Path) -> None:
    async with opened(proxy=cdn.url) as session:
        await session.save(made(f"http://cdn.example{target}"), tmp_path)
    assert [request.target for request in cdn.requests] == [f"http://cdn.example{target}"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["{origin}{target}", "{target}"])
async def test_a_redirect_is_followed_byte_for_byte(form: str, target: str, tmp_path: Path) -> None:
    async def answer(request: Request, _writer: asyncio.StreamWriter) -> bytes:
        if request.target != "/first":
            return http(BYTES)
        location = form.format(origin=server.url, target=target)
        return http(status="302 Found", headers=[f"Location: {location}"])

    async with raw_server(answer) as server, opened(server.url) as session:
        await session.save(made(f"{server.url}/first"), tmp_path)
    assert [request.target for request in server.requests] == ["/first", target]


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("/b/台 1.mp4?s=%2F台", "/b/%E5%8F%B0%201.mp4?s=%2F%E5%8F%B0"),
        ("/b/o.mp4?s=1\r\nHost: evil", "/b/o.mp4?s=1%0D%0AHost:%20evil"),
        ("/b/o.mp4?s=%2F#fragment", "/b/o.mp4?s=%2F"),
        ("?s=%2F", "/?s=%2F"),
        ("/b/\ud800.mp4", "/b/%ED%A0%80.mp4"),
    ],
)
async def test_only_characters_that_no_request_line_can_carry_are_encoded(
    written: str, target: str, cdn: RawServer, tmp_path: Path
) -> None:
    async with opened(cdn.url) as session:
        await session.save(made(f"  {cdn.url}{written} \n"), tmp_path)
    assert [request.target for request in cdn.requests] == [target]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b/\xe5\x8f\xb0.mp4", "/b/%E5%8F%B0.mp4"),  # UTF-8, as the bytes of a header
        ("/b/\xff.mp4", "/b/%FF.mp4"),
        ("o%2F2.mp4?a+b", "/a/o%2F2.mp4?a+b"),
        ("../c/o.mp4", "/c/o.mp4"),
        ("?b=%2f", "/a/first?b=%2f"),
    ],
)
async def test_a_redirect_may_be_relative_and_contain_any_byte(location: str, target: str, tmp_path: Path) -> None:
    async def answer(request: Request, _writer: asyncio.StreamWriter) -> bytes:
        again = http(status="307 Temporary Redirect", headers=[f"Location: {location}"])
        return again if request.target == "/a/first" else http(BYTES)

    async with raw_server(answer) as server, opened(server.url) as session:
        await session.save(made(f"{server.url}/a/first"), tmp_path)
    assert server.requests[-1].target == target


async def test_a_redirect_loop_ends_after_ten_hops_with_an_error_that_says_so(tmp_path: Path) -> None:
    async with (
        raw_server(always(http(status="302 Found", headers=["Location: /again"]))) as server,
        Session(KEY, base_url=server.url) as session,
    ):
        error = await error_of(session, f"{server.url}/first", tmp_path)
    assert "redirected 10 times" in error.message
    assert len(server.requests) == 11


async def test_a_redirect_to_nowhere_is_an_error(tmp_path: Path) -> None:
    async with raw_server(always(http(status="302 Found"))) as server, opened(server.url) as session:
        assert "HTTP 302" in (await error_of(session, f"{server.url}/first", tmp_path)).message


async def test_the_password_in_a_link_goes_to_its_host_only_and_into_no_error(tmp_path: Path) -> None:
    async def answer(request: Request, _writer: asyncio.StreamWriter) -> bytes:
        elsewhere = f"http://localhost:{server.port}/second"
        return http(status="302 Found", headers=[f"Location: {elsewhere if request.target == '/first' else '?'}"])

    async with raw_server(answer) as server, opened(server.url) as session:
        error = await error_of(session, f"http://user:pa%2Fss@127.0.0.1:{server.port}/first", tmp_path)
    assert "authorization" in server.requests[0].headers
    assert all("authorization" not in request.headers for request in server.requests[1:])
    assert "pa%2Fss" not in str(error)


async def test_links_that_are_sent_back_in_a_request_stay_as_they_were_written(server: Emulator) -> None:
    links = [f"https://cdn.example{target}" for target in TARGETS]
    async with Session(server.api_key, base_url=server.url) as session:
        for link in links:
            await session.submit(DreamActor(link, Upload(url=link, file_name="openapi/x.mp4")))
    sent = [submission.body for submission in server.ledger.submissions]
    assert [body["imageUrl"] for body in sent] == links
    assert [body["videoUrl"] for body in sent] == links


@pytest.mark.parametrize("target", TARGETS)
def test_an_uploads_link_is_parsed_unchanged(target: str) -> None:
    data = {"fileName": "openapi/x.mp4", "download_url": f"https://cdn.example{target}"}
    body = json.dumps({"code": 0, "data": data}).encode()
    assert decode_upload(ApiResponse(status=200, body=body)).url == data["download_url"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 999999 x\r\n\r\n", None])
async def test_a_links_signature_is_in_no_error_and_no_log(
    answer: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def silent(_request: Request, _writer: asyncio.StreamWriter) -> bytes | None:
        if answer is None:
            await asyncio.sleep(1000)
        return answer

    async with raw_server(silent) as server, opened(server.url) as session:
        error = await error_of(session, f"{server.url}/b/o.mp4?signature=c0ffee", tmp_path)
    assert "c0ffee" not in f"{error} {error!r} {error.__cause__} {error.__cause__!r} {caplog.text}"


async def test_a_links_signature_is_in_no_error_of_a_failed_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object, **__: object) -> list[Any]:
        await asyncio.sleep(1000)
        return []

    async with opened() as session:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
        error = await error_of(session, "https://cdn.example/b/o.mp4?signature=c0ffee", tmp_path)
    assert "ConnectionTimeoutError" in str(error)
    assert "c0ffee" not in str(error)


# --- where a server may send us --------------------------------------------------------------------------------------

INSIDE = [
    "http://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://0.0.0.0:{port}/x",
    "http://2130706433:{port}/x",
    "http://0x7f000001:{port}/x",
    "http://0177.0.0.1:{port}/x",
    "http://127.1:{port}/x",
    "http://[::1]:{port}/x",
    "http://[::ffff:127.0.0.1]:{port}/x",
    "http://[::ffff:7f00:1]:{port}/x",
    "http://[64:ff9b::7f00:1]:{port}/x",
    "http://user:pw@127.0.0.1:{port}/x",
    "http://8.8.8.8@127.0.0.1:{port}/x",
    "http://10.0.0.1:{port}/x",
    "http://192.168.1.1:{port}/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1%25lo]:{port}/x",
    "http://100.100.100.200/latest/meta-data/",
    "HTTP://127.0.0.1:{port}/x",
]
NO_HTTP = [
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "data:text/plain,hello",
    "ws://127.0.0.1:{port}/x",
    "//127.0.0.1:{port}/x",
    "/etc/passwd",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "http:///x",
    "http:/127.0.0.1:{port}/x",
    "http://127.0.0.1\\@8.8.8.8:{port}/x",
    "http://8.8.8.8:99999/x",
]


@pytest.mark.parametrize("link", INSIDE)
async def test_a_link_to_a_private_address_is_not_fetched(link: str, cdn: RawServer, tmp_path: Path) -> None:
    async with opened() as session:
        error = await error_of(session, link.format(port=cdn.port), tmp_path)
    assert isinstance(error, OutputRefused)
    assert "no public address" in error.message
    assert "allow_private_links" in str(error)
    assert "pw" not in str(error)
    assert cdn.requests == []


@pytest.mark.parametrize("link", NO_HTTP)
async def test_a_link_that_is_not_http_is_not_fetched(link: str, cdn: RawServer, tmp_path: Path) -> None:
    async with opened(cdn.url) as session:
        error = await error_of(session, link.format(port=cdn.port), tmp_path)
    assert isinstance(error, OutputRefused)
    assert cdn.requests == []


@pytest.mark.parametrize("link", INSIDE)
async def test_a_proxy_gets_no_request_for_a_private_address(link: str, cdn: RawServer, tmp_path: Path) -> None:
    async with opened(proxy=cdn.url) as session:
        assert isinstance(await error_of(session, link.format(port=cdn.port), tmp_path), OutputRefused)
    assert cdn.requests == []


@pytest.mark.parametrize("location", [*INSIDE, *NO_HTTP[:4], NO_HTTP[7]])
async def test_a_redirect_to_a_private_address_is_not_followed(location: str, tmp_path: Path) -> None:
    async def answer(request: Request, _writer: asyncio.StreamWriter) -> bytes:
        assert request.target == "http://cdn.example/first"
        return http(status="302 Found", headers=[f"Location: {location.format(port=server.port)}"])

    async with raw_server(answer) as server, opened(proxy=server.url) as session:
        assert isinstance(await error_of(session, "http://cdn.example/first", tmp_path), OutputRefused)
    assert len(server.requests) == 1


async def test_a_name_that_now_resolves_to_a_private_address_is_not_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test's network has no public address: here 127.0.0.1 counts as public, and 127.0.0.2 as private."""
    monkeypatch.setattr(_outside, "is_public", lambda address: address in {"127.0.0.1", "8.8.8.8"})
    answers = iter(["127.0.0.1", "127.0.0.2"])

    async def resolve(host: str, port: int, **_: object) -> list[Any]:
        address = next(answers) if host == "rebind.test" else host
        return [(2, 1, 6, "", (address, port))]

    async with (
        raw_server(always(http(BYTES)), "127.0.0.1") as public,
        raw_server(always(http(BYTES)), "127.0.0.2") as inside,
        opened() as session,
    ):
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        await session.save(made(f"http://rebind.test:{public.port}/x"), tmp_path)
        with pytest.raises(OutputRefused, match="no public address"):
            await session.save(made(f"http://rebind.test:{inside.port}/x"), tmp_path, overwrite=True)
    assert len(public.requests) == 1
    assert inside.requests == []


async def test_private_links_are_fetched_if_the_caller_allows_them_or_the_api_is_private(
    cdn: RawServer, tmp_path: Path
) -> None:
    async with opened(allow_private_links=True) as session:
        await session.save(made(f"{cdn.url}/1"), tmp_path / "1")
    async with opened("http://localhost:9") as session:
        await session.save(made(f"{cdn.url}/2"), tmp_path / "2")
    assert [request.target for request in cdn.requests] == ["/1", "/2"]


async def test_links_are_retried_while_the_apis_own_address_cannot_be_resolved(
    cdn: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[object] = []

    async def lacking(*args: object, **_: object) -> list[Any]:
        if len(refused) < 3:
            refused.append(args)
            raise OSError(errno.EMFILE, "Too many open files")
        return [(2, 1, 6, "", ("127.0.0.1", 0))]

    async with Session(KEY, base_url="http://api.test:9") as session:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lacking)
        await session.save(made(f"{cdn.url}/x"), tmp_path)
    assert len(refused) == 3


@pytest.mark.parametrize("link", [link for link in INSIDE if "169.254" in link or "fd00" in link or "100.100" in link])
async def test_a_private_api_allows_no_link_to_a_clouds_metadata(link: str, cdn: RawServer, tmp_path: Path) -> None:
    async with opened(cdn.url) as session:
        assert isinstance(await error_of(session, link, tmp_path), OutputRefused)


async def test_a_link_gets_no_password_from_a_netrc_file(
    cdn: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with opened(cdn.url, trust_env=True) as session:
        await session.save(made(f"{cdn.url}/x"), tmp_path / "out")
    assert "authorization" not in cdn.requests[0].headers


async def test_links_go_through_the_environments_proxies(
    cdn: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", cdn.url)
    monkeypatch.setenv("no_proxy", "direct.example")
    async with opened(trust_env=True) as session:
        await session.save(made("http://cdn.example/x"), tmp_path)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", _nowhere)
        with pytest.raises(TransportError):
            await session.save(made("http://direct.example/y"), tmp_path, overwrite=True)
    assert [request.target for request in cdn.requests] == ["http://cdn.example/x"]


async def _nowhere(*_: object, **__: object) -> list[Any]:
    raise OSError("no such host")


# --- what an answer means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 x", "410 Gone"])
async def test_a_link_that_the_cdn_rejects_counts_as_expired(status: str, tmp_path: Path) -> None:
    async with raw_server(always(http(status=status))) as server, opened(server.url) as session:
        outputs = iter([(), ()])
        assert session._lifetime.runtime is not None
        asked = []

        async def fresh(task_id: TaskId) -> tuple[Output, ...]:
            asked.append(task_id)
            return next(outputs)

        session._lifetime.runtime.services.downloads.refresh_outputs = fresh
        assert isinstance(await error_of(session, f"{server.url}/x.mp4", tmp_path), NotFound)
        assert asked == ["12"]


GARBAGE = [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"{}",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"HTTP/1.1 999999 x\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: http://[::1/x\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("answer", GARBAGE)
async def test_an_unreadable_response_to_a_link_is_not_reported_as_not_sent(answer: bytes, tmp_path: Path) -> None:
    async with raw_server(always(answer)) as server, opened(server.url) as session:
        error = await error_of(session, f"{server.url}/x.mp4", tmp_path)
    assert len(server.requests) >= 1
    assert "nothing was sent" not in str(error)


@pytest.mark.parametrize("answer", [*GARBAGE, http(b"<html>", kind="text/html"), http(b"{", kind="application/json")])
@pytest.mark.parametrize("what", ["account", "get_status", "cancel", "upload", "submit"])
async def test_an_unreadable_response_to_a_call_is_not_reported_as_not_sent(
    what: str, answer: bytes, media: Media
) -> None:
    async with raw_server(always(answer)) as server, opened(server.url, timeouts=Timeouts(read=5.0)) as session:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "account": session.account,
            "get_status": partial(session.get_status, "12"),
            "cancel": partial(session.cancel, "12"),
            "upload": partial(session.upload, media.images[0]),
            "submit": partial(session.submit, DreamActor("https://e.test/a.png", "https://e.test/b.mp4")),
        }
        with pytest.raises(RHError) as caught:
            await calls[what]()
    assert len(server.requests) >= 1
    assert "nothing was sent" not in str(caught.value)
    assert "not reached" not in str(caught.value)


async def test_headers_that_come_byte_by_byte_time_out(tmp_path: Path) -> None:
    async def drip(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(5)

    async with raw_server(drip) as server, opened(server.url) as session:
        assert isinstance(await error_of(session, f"{server.url}/x.mp4", tmp_path), TransportError)
        assert asyncio.get_running_loop().time() < 100
