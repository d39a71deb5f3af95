"""A download is checked before it counts as saved: whole, of the expected kind, not too large, not too slow."""

from __future__ import annotations

import asyncio
import errno
import gzip
import logging
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from attrs import evolve

from rh_async import DownloadPolicy, DreamActor, RetryPolicy, SaveError, Session, TaskId
from rh_async.emulator import Emulator
from rh_async.errors import InvalidResponse, OutOfResources, OutputRefused, ResponseLost
from rh_async.events import Event, Saved
from tests.raw_server import Answer, Request, always, http, raw_server
from tests.session.conftest import Media
from tests.session.test_links import KEY, made

PAGE = b"<!DOCTYPE html><html><title>503</title></html>"


@pytest.fixture
def video(media: Media) -> bytes:
    return media.videos[0].read_bytes()


def opened(url: str, *, patience: float = 0.0, **options: Any) -> Session:
    return Session(KEY, base_url=url, retry=RetryPolicy(give_up_after=patience), **options)


async def saved(answer: bytes, folder: Path, kind: str = "mp4", **options: Any) -> tuple[Path, ...]:
    async with raw_server(always(answer)) as server, opened(server.url, **options) as session:
        return await session.save(made(f"{server.url}/output", kind=kind), folder)


def in_turn(*answers: bytes) -> Answer:
    left = list(answers)

    async def give(_request: Request, _writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0)
        return left.pop(0)

    return give


# --- whole -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.35, 0.99])
async def test_a_cut_video_without_a_length_is_never_saved(share: float, video: bytes, tmp_path: Path) -> None:
    with pytest.raises(ResponseLost, match="cut"):
        await saved(http(video[: int(len(video) * share)], length=False), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_cut_video_is_fetched_again_until_it_is_whole(video: bytes, tmp_path: Path) -> None:
    answers = in_turn(http(video[:-1], length=False), http(PAGE), http(video, length=False))
    async with raw_server(answers) as server, opened(server.url, patience=300.0) as session:
        (path,) = await session.save(made(f"{server.url}/x"), tmp_path)
    assert len(server.requests) == 3
    assert path.read_bytes() == video


async def test_a_whole_video_without_a_length_is_saved(video: bytes, tmp_path: Path) -> None:
    (path,) = await saved(http(video, length=False), tmp_path)
    assert path.read_bytes() == video


async def test_half_a_video_whose_end_a_gateway_marks_is_not_saved(video: bytes, tmp_path: Path) -> None:
    half = video[: len(video) // 2]
    chunked = http(b"%x\r\n%b\r\n0\r\n\r\n" % (len(half), half), headers=["Transfer-Encoding: chunked"], length=False)
    with pytest.raises(ResponseLost, match="cut"):
        await saved(chunked, tmp_path)


async def test_an_output_of_unknown_completeness_is_saved_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    (path,) = await saved(http(b"spoken words", kind="", length=False), tmp_path, kind="srt", on_event=events.append)
    assert path.read_bytes() == b"spoken words"
    assert [event.unverified for event in events if isinstance(event, Saved)] == [(path,)]
    assert [record.levelno for record in caplog.records if "rh_async.unverified" in record.message] == [logging.WARNING]


@pytest.mark.parametrize("length", [True, False])
async def test_an_output_whose_structure_proves_it_whole_gets_no_warning(
    length: bool, video: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await saved(http(video, length=length), tmp_path)
    assert "unverified" not in caplog.text


# --- what it should be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("kind", ["mp4", "video", "png", "glb", ""])
@pytest.mark.parametrize(
    "page", [PAGE, b"\xef\xbb\xbf\n<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", b'{"code": 403}']
)
async def test_a_page_in_place_of_media_is_not_saved(page: bytes, kind: str, length: bool, tmp_path: Path) -> None:
    with pytest.raises(InvalidResponse, match="page"):
        await saved(http(page, length=length), tmp_path, kind)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content_type", ["text/html", "application/xml", "text/xml", "application/json"])
@pytest.mark.parametrize("kind", ["mp4", "video"])
async def test_a_page_with_the_media_type_of_a_page_is_not_saved(content_type: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidResponse, match=content_type):
        await saved(http(b"    ", kind=f"{content_type}; charset=utf-8"), tmp_path, kind)


class Named(NamedTuple):
    kind: str
    path: str
    content_type: str
    name: str


@pytest.mark.parametrize(
    "given",
    [
        Named("video", "/o/clip.mp4?sig=a.png", "application/octet-stream", "12_0.mp4"),
        Named("video", "/o/clip", "video/webm", "12_0.webm"),
        Named("video", "/o/clip", "application/octet-stream", "12_0.mp4"),
        Named("", "/o/clip", "", "12_0.mp4"),
        Named("mov", "/o/clip.mp4", "video/mp4", "12_0.mov"),
    ],
)
async def test_an_extension_comes_from_the_first_source_that_names_one(
    given: Named, video: bytes, tmp_path: Path
) -> None:
    async with raw_server(always(http(video, kind=given.content_type))) as server, opened(server.url) as session:
        result = made(server.url + given.path, kind=given.kind)
        (path,) = await session.save(result, tmp_path)
        assert path.name == given.name
        assert await session.save(result, tmp_path) == (path,)
    assert len(server.requests) == 1  # the second save found it there, under a name that was not known before


async def test_a_compressed_text_is_saved_decompressed(tmp_path: Path) -> None:
    text = b"a line of a subtitle\n" * 200_000
    answer = http(gzip.compress(text), kind="text/plain", headers=["Content-Encoding: gzip"])
    (path,) = await saved(answer, tmp_path, kind="srt")
    assert path.read_bytes() == text


# --- too large -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mp4", "video", "png"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_compressed_media_are_refused_before_they_are_decompressed(
    encoding: str, kind: str, tmp_path: Path
) -> None:
    bomb = http(gzip.compress(bytes(5_000_000)), headers=[f"Content-Encoding: {encoding}"])
    with pytest.raises(OutputRefused, match=f"compressed \\({encoding}\\)"):
        await saved(bomb, tmp_path, kind)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [True, False])
async def test_an_output_larger_than_the_policy_allows_is_refused(length: bool, tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match="max_bytes"):
        await saved(http(bytes(3000), length=length), tmp_path, downloads=DownloadPolicy(max_bytes=2999))
    assert list(tmp_path.iterdir()) == []


async def test_a_text_that_decompresses_beyond_the_policy_is_refused(tmp_path: Path) -> None:
    bomb = http(gzip.compress(bytes(50_000_000)), kind="text/plain", headers=["Content-Encoding: gzip"])
    with pytest.raises(OutputRefused, match="max_bytes"):
        await saved(bomb, tmp_path, "txt", downloads=DownloadPolicy(max_bytes=1_000_000))


class Usage(NamedTuple):
    total: int
    used: int
    free: int


async def test_an_output_that_does_not_fit_on_the_disk_is_refused_with_the_missing_bytes(
    video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 100, 100))
    with pytest.raises(SaveError) as caught:
        await saved(http(video), tmp_path)
    assert str(tmp_path / "12_0.mp4") in caught.value.message
    assert f"{len(video) - 100:,} bytes are missing" in caught.value.message
    assert not isinstance(caught.value, OutputRefused)
    assert caught.value.task_id == "12"


async def test_a_disk_that_fills_up_during_a_download_stops_it_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9, 1000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, next(free)))
    with pytest.raises(SaveError, match="bytes are missing"):
        await saved(http(bytes(80 * 1024 * 1024)), tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- too slow --------------------------------------------------------------------------------------------------------


def dripping(seconds: float, whole: bytes) -> Answer:
    """Send a byte every few seconds for a path that asks for it, and the whole output at once for any other path."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        if not request.target.startswith("/slow"):
            return http(whole)
        writer.write(http(bytes(1_000_000))[:-1_000_000])
        while not writer.is_closing():
            writer.write(b"v")
            await writer.drain()
            await asyncio.sleep(seconds)
        return None

    return answer


@pytest.fixture
async def stuck(tmp_path: Path, video: bytes) -> AsyncIterator[tuple[Session, str, list[asyncio.Task[Any]]]]:
    """Open a session whose download slots are all held by slow downloads."""
    async with raw_server(dripping(5.0, video)) as server, Session(KEY, base_url=server.url) as session:
        saves = [session.save(made(f"{server.url}/slow{n}"), tmp_path / f"{n}") for n in range(8)]
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(save) for save in saves]
        await asyncio.sleep(1)
        yield session, server.url, tasks
        for task in tasks:
            task.cancel()


async def test_eight_slow_downloads_do_not_keep_other_outputs_from_being_saved(
    stuck: tuple[Session, str, list[asyncio.Task[Any]]], video: bytes, tmp_path: Path
) -> None:
    session, url, tasks = stuck
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(session.save(made(f"{url}/{n}"), tmp_path / f"fast{n}") for n in range(20)))
    assert asyncio.get_running_loop().time() - began < 90
    assert not any(task.done() for task in tasks)  # they are tried again
    assert len(list(tmp_path.glob("fast*/*.mp4"))) == 20


async def test_waiting_for_a_download_slot_does_not_count_as_failing(video: bytes, tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        asked.append(request.target)
        if not request.target.startswith("/long"):
            # Two attempts meet a closed connection; aiohttp repeats each request by itself once.
            return http(video) if asked.count("/short") == 5 else None
        writer.write(http(bytes(10_000_000))[:-10_000_000])
        for _ in range(100):  # 100 kB a second, and so no slower than it may be
            await asyncio.sleep(1)
            writer.write(bytes(100_000))
            await writer.drain()
        return None

    async with raw_server(answer) as server, opened(server.url, patience=50.0) as session:
        first = asyncio.create_task(session.save(made(f"{server.url}/short"), tmp_path / "short"))
        while not asked:  # noqa: ASYNC110 - the server wakes no task here
            await asyncio.sleep(0.01)
        long = [session.save(made(f"{server.url}/long{n}"), tmp_path / f"{n}") for n in range(16)]
        others = [asyncio.create_task(save) for save in long]
        assert await first
        for other in others:
            await other
    assert asyncio.get_running_loop().time() > 100


@pytest.mark.parametrize("task_id", ["..\x1b[31m/\u202e\x00\n", "7" * 4096, "a/../../b"])
async def test_a_task_id_becomes_a_file_name_that_every_file_system_takes(
    task_id: str, video: bytes, tmp_path: Path
) -> None:
    async with raw_server(always(http(video))) as server, opened(server.url) as session:
        result = evolve(made(f"{server.url}/x"), task_id=TaskId(task_id))
        (path,) = await session.save(result, tmp_path)
    assert path.parent == tmp_path
    assert re.fullmatch(r"[0-9A-Za-z-]{1,64}_0\.mp4", path.name)


async def test_a_too_slow_download_ends_with_an_error_that_names_the_setting(tmp_path: Path) -> None:
    async with raw_server(dripping(5.0, b"")) as server, Session(KEY, base_url=server.url) as session:
        with pytest.raises(ResponseLost, match="too slow") as caught:
            await session.save(made(f"{server.url}/slow"), tmp_path)
    assert "min_rate" in str(caught.value)
    assert len(server.requests) > 2


async def test_a_line_slower_than_the_policy_gets_its_file_in_the_end(tmp_path: Path) -> None:
    whole = bytes(400_000)

    async def slow(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(http(whole)[: -len(whole)])
        for _ in range(len(whole) // 4000):
            writer.write(whole[:4000])
            await writer.drain()
            await asyncio.sleep(1)

    async with raw_server(slow) as server, Session(KEY, base_url=server.url) as session:
        (path,) = await session.save(made(f"{server.url}/x"), tmp_path)
    assert path.stat().st_size == len(whole)
    assert len(server.requests) == 3  # 10,000 and 5,000 bytes a second were asked before 2,500


@pytest.mark.parametrize("min_rate", [0.0, 3000.0])
async def test_a_policy_may_tolerate_a_slow_server(min_rate: float, tmp_path: Path) -> None:
    async def slow(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(http(bytes(400_000))[:-400_000])
        for _ in range(100):
            writer.write(bytes(4000))
            await writer.drain()
            await asyncio.sleep(1)

    policy = DownloadPolicy(min_rate=min_rate)
    async with raw_server(slow) as server, opened(server.url, downloads=policy) as session:
        assert await session.save(made(f"{server.url}/x"), tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("facts", [{"min_rate": -1}, {"rate_window": 0}, {"max_bytes": 0}])
def test_a_policy_with_impossible_values_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(facts))):
        DownloadPolicy(**facts)


# --- a machine that lacks something, a disk that is full -------------------------------------------------------------


def shortage(kind: str) -> Exception:
    codes = {"descriptors": errno.EMFILE, "files": errno.ENFILE, "memory": errno.ENOMEM}
    return OSError(codes[kind], os.strerror(codes[kind])) if kind in codes else RuntimeError("can't start new thread")


@pytest.mark.parametrize("kind", ["descriptors", "files", "memory", "threads"])
@pytest.mark.parametrize("where", ["mkdir", "open", "replace"])
async def test_a_download_waits_out_a_shortage_on_this_machine(
    kind: str, where: str, video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = getattr(Path, where)
    refused: list[Path] = []

    def lacking(path: Path, *args: Any, **options: Any) -> Any:
        if tmp_path in path.parents and len(refused) < 3:
            refused.append(path)
            raise shortage(kind)
        return act(path, *args, **options)

    monkeypatch.setattr(Path, where, lacking)
    (path,) = await saved(http(video), tmp_path / "out", patience=300.0)
    assert path.read_bytes() == video
    assert len(refused) == 3


async def test_a_shortage_that_does_not_end_is_named_in_the_error(
    video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_: Path, *_args: Any, **_options: Any) -> Any:
        raise shortage("descriptors")

    monkeypatch.setattr(Path, "open", lacking)
    with pytest.raises(OutOfResources, match="Too many open files") as caught:
        await saved(http(video), tmp_path)
    assert "ulimit -n" in str(caught.value)
    assert caught.value.retryable
    assert "another file" not in str(caught.value)


async def test_after_a_full_disk_the_journal_lets_the_outputs_be_saved_later(
    video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")
    async with Emulator(seed=1) as server:
        options: dict[str, Any] = {"base_url": server.url, "journal": tmp_path / "journal.sqlite"}
        async with Session(server.api_key, **options) as session:
            with monkeypatch.context() as full:
                full.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 0))
                with pytest.raises(SaveError, match="the disk is full"):
                    await session.run(request, idempotency_key="k", output_dir=tmp_path / "out")
        async with Session(server.api_key, **options) as session:
            (result,) = (await session.recovery.resume()).saved
        assert [path.suffix for path in result.paths] == [".mp4"]
        assert len(server.ledger.tasks) == 1


def test_a_save_error_shared_by_two_files_names_each(tmp_path: Path) -> None:
    first = SaveError(f"{tmp_path / 'a'} cannot be written: full", why="full", task_id=made("x").task_id)
    second = first.about(tmp_path / "b", made("x").task_id)
    assert second.message == f"{tmp_path / 'b'} cannot be written: full"
    assert first.message.startswith(str(tmp_path / "a"))
