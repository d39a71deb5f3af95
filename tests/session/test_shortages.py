"""A machine that lacks descriptors, threads or memory for a while: waited out, never blamed on the file."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rh_async import DreamActor, Session
from rh_async.emulator import Emulator
from rh_async.errors import InvalidMedia, InvalidRequestError
from tests.faults.test_giving_up import until
from tests.session.conftest import Media


def shortage(kind: str) -> Exception:
    codes = {"descriptors": errno.EMFILE, "files": errno.ENFILE, "memory": errno.ENOMEM}
    return OSError(codes[kind], os.strerror(codes[kind])) if kind in codes else RuntimeError("can't start new thread")


@pytest.mark.parametrize("kind", ["descriptors", "files", "memory", "threads"])
@pytest.mark.parametrize("at", range(3))
async def test_a_shortage_while_opening_a_file_is_waited_out(
    at: int, kind: str, server: Emulator, session: Session, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened to be read, and to be sent: either may meet the shortage."""
    act, opened = Path.open, list[Path]()

    def lacking(path: Path, *args: Any, **options: Any) -> Any:
        if path == media.videos[0]:
            opened.append(path)
            if at <= len(opened) < at + 3:
                raise shortage(kind)
        return act(path, *args, **options)

    monkeypatch.setattr(Path, "open", lacking)
    await session.upload(media.videos[0])
    assert len(opened) > 3
    assert len(server.ledger.uploads) == 1


async def test_a_shortage_of_threads_while_resolving_a_name_is_waited_out(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, refused = asyncio.get_running_loop(), list[object]()
    resolve = loop.getaddrinfo

    async def lacking(*args: Any, **options: Any) -> Any:
        if len(refused) < 3:
            refused.append(args)
            raise shortage("threads")
        return await resolve(*args, **options)

    named = server.url.replace("127.0.0.1", "localhost")
    async with Session(server.api_key, base_url=named) as session:
        monkeypatch.setattr(loop, "getaddrinfo", lacking)
        await session.submit(DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4"))
    assert len(refused) == 3
    assert len(server.ledger.tasks) == 1


async def test_a_file_is_not_refused_because_another_with_its_content_changed(
    server: Emulator, session: Session, media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = (tmp_path / f"{n}.mp4" for n in range(4))
    for path in (first, *others):
        path.write_bytes(media.videos[0].read_bytes())
    uploads = session._lifetime.runtime.services.uploads if session._lifetime.runtime else None
    assert uploads is not None
    attempt = uploads._attempt

    async def changed(self: object, file: Any, limits: Any) -> Any:
        await asyncio.sleep(100)  # so that all of them share one upload
        if file.path == first:
            raise InvalidMedia(f"{first} changed while it waited to go up; nothing was submitted")
        return await attempt(file, limits)

    monkeypatch.setattr(type(uploads), "_attempt", changed)
    leading = asyncio.create_task(session.upload(first))
    await until(lambda: uploads._transfers)
    ends = await asyncio.gather(leading, *map(session.upload, others), return_exceptions=True)
    assert str(first) in str(ends[0])
    assert [type(end).__name__ for end in ends] == ["InvalidMedia", "Upload", "Upload", "Upload"]
    assert len(server.ledger.uploads) == 1


async def test_an_error_of_files_with_the_same_content_names_each_callers_own_file(
    session: Session, media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{n}.mp4" for n in range(4)]
    for path in paths:
        path.write_bytes(media.videos[0].read_bytes())
    uploads = session._lifetime.runtime.services.uploads if session._lifetime.runtime else None
    assert uploads is not None

    async def changed(self: object, file: Any, limits: Any) -> Any:
        await asyncio.sleep(100)  # so that all of them share one upload
        raise InvalidMedia(f"{file.path} changed while it waited to go up; nothing was submitted")

    monkeypatch.setattr(type(uploads), "_attempt", changed)
    ends = await asyncio.gather(*map(session.upload, paths), return_exceptions=True)
    assert all(str(path) in str(end) for path, end in zip(paths, ends, strict=True))


@pytest.mark.parametrize("name", [b"B\xfcro", "B\udcfcro", "日本語"])
async def test_outputs_are_saved_in_a_folder_of_any_name(name: str | bytes, session: Session, tmp_path: Path) -> None:
    folder: Any = os.fsencode(tmp_path) + b"/" + os.fsencode(name)
    given = folder if isinstance(name, bytes) else os.fsdecode(folder)
    request = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")
    result = await session.run(request, output_dir=given)
    assert [os.fsencode(path) for path in result.paths] == [folder + b"/" + f"{result.task_id}_0.mp4".encode()]
    assert result.paths[0].stat().st_size


async def test_a_folder_with_an_impossible_name_is_refused_before_anything_is_sent(
    server: Emulator, session: Session
) -> None:
    with pytest.raises(InvalidRequestError, match="output_dir"):
        await session.run(DreamActor("https://e.test/a.png", "https://e.test/b.mp4"), output_dir="half \ud800")
    assert server.ledger.submissions == []


async def test_a_folder_name_that_is_not_utf8_works_with_a_journal(server: Emulator, tmp_path: Path) -> None:
    request = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/B\xfcro")
    async with Session(server.api_key, base_url=server.url, journal=tmp_path / "journal.db") as session:
        result = await session.run(request, output_dir=folder)
        assert result.paths[0].stat().st_size
        assert (await session.run(request, output_dir=tmp_path / "again")).task_id == result.task_id
    assert len(server.ledger.tasks) == 1
