"""Test uploads, downloads, signed links and results."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import av
import pytest
from PIL import Image

from rh_async.emulator import Emulator
from rh_async.emulator.outputs.sample_files import free_box
from rh_async.emulator.state.mp4_duration import read_duration
from tests.emulator.conftest import BODY, PNG, WAN, Caller, Serve, fixture, mp4

DAY = 86_400


async def test_uploads_respond_in_each_documented_shape_in_turn(caller: Caller) -> None:
    answers = [await caller.upload(PNG, "media.png") for _ in range(4)]
    recorded = fixture("upload_v2_success")
    assert answers[0].keys() == answers[2].keys() == recorded.keys()
    assert answers[0]["data"].keys() == recorded["data"].keys()
    assert answers[1].keys() == answers[3].keys() == {"code", "message", "data"}
    assert "fileName" in answers[1]["data"]
    assert "filename" in answers[3]["data"]


async def test_the_same_bytes_get_the_same_file_name(caller: Caller) -> None:
    first, second = [await caller.upload(PNG, name) for name in ("a.png", "b.PNG")]
    assert first["data"]["fileName"] == second["data"]["fileName"] == f"openapi/{hashlib.sha256(PNG).hexdigest()}.png"
    assert first["data"]["size"] == str(len(PNG))
    assert first["data"]["type"] == "image"


async def test_the_ledger_records_hash_size_name_and_content_length_of_an_upload(caller: Caller) -> None:
    await caller.upload(mp4(3), "media.mp4")
    [record] = caller.server.ledger.uploads
    assert (record.sha256, record.size) == (hashlib.sha256(mp4(3)).hexdigest(), len(mp4(3)))
    assert (record.file_name, record.had_content_length) == ("media.mp4", True)


async def test_an_upload_without_content_length_is_rejected(caller: Caller) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="media.png"\r\n\r\n'
        yield PNG + b"\r\n--x--\r\n"

    headers = bearer(caller) | {"Content-Type": "multipart/form-data; boundary=x"}
    async with caller.http.post(upload_url(caller), data=pieces(), headers=headers) as response:
        assert (await response.json())["code"] == 808
    assert not caller.server.ledger.uploads[0].had_content_length


@pytest.mark.parametrize(
    ("content", "file_name", "part", "code"),
    [
        (b"plain words", "media.mp4", "file", 1013),
        (b"plain words", "media.png", "file", 1013),
        (PNG, "media.jpg", "file", 1013),
        (PNG, "media.webp", "file", 1013),
        (PNG, "media.txt", "file", 1013),
        (PNG, "media", "file", 1013),
        (b"", "media.png", "file", 1013),
        (PNG, "media.png", "image", 301),
    ],
)
async def test_an_upload_is_rejected_if_its_content_does_not_match_a_known_extension(
    caller: Caller, content: bytes, file_name: str, part: str, code: int
) -> None:
    assert (await caller.upload(content, file_name, part=part))["code"] == code
    assert caller.server.ledger.uploads == []


async def test_an_upload_must_be_one_multipart_part(caller: Caller) -> None:
    form = aiohttp.FormData()
    form.add_field("file", PNG, filename="media.png")
    form.add_field("more", "x")
    async with caller.http.post(upload_url(caller), data=form, headers=bearer(caller)) as response:
        assert (await response.json())["code"] == 301
    async with caller.http.post(upload_url(caller), data=PNG, headers=bearer(caller)) as response:
        assert (await response.json())["code"] == 301


async def test_an_upload_with_an_unknown_key_gets_its_own_error_code(caller: Caller) -> None:
    assert await caller.upload(PNG, "media.png", key="wrong") == fixture("upload_v2_error_bad_key")


async def test_a_large_upload_is_stored_completely_and_leaves_no_partial_file(serve: Serve, tmp_path: Path) -> None:
    caller = await serve(data_dir=tmp_path)
    content = mp4(3, tail=bytes(range(256)) * 40_000)
    answer = await caller.upload(content, "media.mp4")
    assert answer["data"]["fileName"].endswith(f"{hashlib.sha256(content).hexdigest()}.mp4")
    stored = await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()])
    assert stored == [answer["data"]["fileName"].removeprefix("openapi/")]


async def test_an_upload_link_is_valid_for_a_day(caller: Caller) -> None:
    link = (await caller.upload(PNG, "media.png"))["data"]["download_url"]
    assert link.startswith(f"{caller.server.url}/input/openapi/")
    assert await caller.fetch(link) == (200, PNG)
    await asyncio.sleep(DAY)
    assert (await caller.fetch(link))[0] == 403


async def test_a_changed_or_unsigned_link_is_rejected(caller: Caller) -> None:
    link = (await caller.upload(PNG, "media.png"))["data"]["download_url"]
    assert (await caller.fetch(link.replace("q-signature=", "q-signature=0")))[0] == 403
    assert (await caller.fetch(link.partition("?")[0]))[0] == 403
    assert (await caller.fetch(link.replace(".png?", ".jpg?")))[0] == 403
    assert [record.status for record in caller.server.ledger.downloads] == [403, 403, 403]


async def test_a_link_leads_to_the_server_whatever_the_host_header_says(caller: Caller) -> None:
    form = aiohttp.FormData()
    form.add_field("file", PNG, filename="media.png")
    headers = bearer(caller) | {"Host": "evil.example"}
    async with caller.http.post(upload_url(caller), data=form, headers=headers) as response:
        assert (await response.json())["data"]["download_url"].startswith(caller.server.url)


async def test_an_api_key_in_a_download_request_is_recorded_as_a_leak(caller: Caller) -> None:
    link = (await caller.upload(PNG, "media.png"))["data"]["download_url"]
    assert (await caller.fetch(link, Authorization=f"Bearer {caller.server.api_key}"))[0] == 400
    assert len(caller.server.ledger.key_leaks) == 1


async def test_input_links_must_be_valid_and_of_the_kind_that_the_model_accepts(caller: Caller) -> None:
    image = (await caller.upload(PNG, "media.png"))["data"]["download_url"]
    video = (await caller.upload(mp4(3), "media.mp4"))["data"]["download_url"]
    webm = (await caller.upload(b"\x1aE\xdf\xa3", "media.webm"))["data"]["download_url"]
    good = BODY | {"imageUrl": image, "videoUrl": video}
    assert (await caller.submit(good))["errorCode"] == ""
    assert (await caller.submit(good | {"imageUrl": video}))["errorMessage"] == "field 'imageUrl' is invalid"
    assert (await caller.submit(good | {"videoUrl": webm}))["errorMessage"] == "field 'videoUrl' is invalid"
    assert (await caller.submit(good | {"imageUrl": image + "0"}))["errorCode"] == "1013"
    assert (await caller.submit({"imageUrl": image, "videoUrl": webm}, endpoint="bytedance/dreamactor-v2"))[
        "errorCode"
    ] == ""
    await asyncio.sleep(DAY)
    assert (await caller.submit(good))["errorCode"] == "1013"


async def test_an_image_above_the_models_size_limit_is_rejected(caller: Caller) -> None:
    image = (await caller.upload(PNG + bytes(6 << 20), "media.png"))["data"]["download_url"]
    body = {"imageUrl": image, "videoUrl": BODY["videoUrl"]}
    assert (await caller.submit(body, endpoint="bytedance/dreamactor-v2"))["errorCode"] == "1008"


async def test_node_fields_accept_file_names_and_no_links(caller: Caller) -> None:
    image = (await caller.upload(PNG, "media.png"))["data"]
    video = (await caller.upload(mp4(3), "media.mp4"))["data"]
    good = {"299##image": image["fileName"], "275##video": video["fileName"].removeprefix("openapi/")}
    assert (await caller.submit(good, endpoint=WAN))["errorCode"] == ""
    for wrong in (image["download_url"], fixture("request_cmt")["299##image"], video["fileName"]):
        answer = await caller.submit(good | {"299##image": wrong}, endpoint=WAN)
        assert (answer["errorCode"], answer["errorMessage"]) == ("1007", "field '299##image' is invalid")


async def finished_result_url(caller: Caller, body: object = None) -> str:
    """Submit, wait until the task has settled, and return the link of its result."""
    task_id = (await caller.submit(body))["taskId"]
    await asyncio.sleep(3600)
    url: str = (await caller.query(task_id))["results"][0]["url"]
    return url


async def test_without_rendering_a_result_is_the_driving_video_with_the_task_id_appended(
    caller: Caller, tmp_path: Path
) -> None:
    await asyncio.to_thread(draw_inputs, tmp_path)
    clip = (tmp_path / "dance.mp4").read_bytes()
    video = (await caller.upload(clip, "media.mp4"))["data"]["download_url"]
    first, again = [await finished_result_url(caller, BODY | {"videoUrl": video}) for _ in range(2)]
    status, content = await caller.fetch(first)
    assert status == caller.server.ledger.downloads[-1].status == 200
    assert content[: len(clip)] == clip
    assert content[len(clip) :] == free_box(caller.server.ledger.tasks[0].task_id)
    (tmp_path / "result.mp4").write_bytes(content)
    with av.open(tmp_path / "result.mp4") as played:
        assert len(list(played.decode(video=0))) == 4
    assert (await caller.fetch(again))[1] != content
    assert (await caller.fetch(first))[1] == content


async def test_results_of_different_tasks_differ_and_are_repeated_with_the_same_seed(serve: Serve) -> None:
    contents: list[list[bytes]] = []
    for _ in range(2):
        caller = await serve(seed=3, run_time=60.0)
        urls = [await finished_result_url(caller) for _ in range(3)]
        contents.append([(await caller.fetch(url))[1] for url in urls])
    assert contents[0] == contents[1]
    assert len(set(contents[0])) == 3


async def test_a_driving_video_that_is_no_mp4_gets_an_mp4_result(caller: Caller) -> None:
    webm = (await caller.upload(b"\x1aE\xdf\xa3", "media.webm"))["data"]["download_url"]
    body = {"imageUrl": BODY["imageUrl"], "videoUrl": webm}
    task_id = (await caller.submit(body, endpoint="bytedance/dreamactor-v2"))["taskId"]
    await asyncio.sleep(3600)
    _, content = await caller.fetch((await caller.query(task_id))["results"][0]["url"])
    assert content[4:8] == b"ftyp"


async def test_a_result_has_a_content_length_and_supports_range_requests(caller: Caller) -> None:
    video = (await caller.upload(mp4(3), "media.mp4"))["data"]["download_url"]
    url = await finished_result_url(caller, BODY | {"videoUrl": video})
    async with caller.http.get(url) as response:
        whole = await response.read()
        assert response.content_length == len(whole) > len(mp4(3))
        assert response.content_type == "video/mp4"
    assert await caller.fetch(url, Range="bytes=10-") == (206, whole[10:])


async def test_the_result_of_inputs_on_other_servers_is_a_small_playable_video(caller: Caller, tmp_path: Path) -> None:
    _, content = await caller.fetch(await finished_result_url(caller))
    (tmp_path / "result.mp4").write_bytes(content)
    with av.open(tmp_path / "result.mp4") as video:
        assert len(list(video.decode(video=0))) == 1


async def test_a_result_link_expires_after_a_day_and_a_query_returns_a_fresh_one(caller: Caller) -> None:
    url = await finished_result_url(caller)
    await asyncio.sleep(DAY)
    assert (await caller.fetch(url))[0] == 403
    task_id = caller.server.ledger.tasks[0].task_id
    assert (await caller.fetch((await caller.query(task_id))["results"][0]["url"]))[0] == 200


async def test_a_rendered_result_shows_the_image_in_the_driving_video(serve: Serve, tmp_path: Path) -> None:
    caller = await serve(render=True, run_time=10.0)
    await asyncio.to_thread(draw_inputs, tmp_path)
    image = await caller.upload((tmp_path / "hero.png").read_bytes(), "media.png")
    video = await caller.upload((tmp_path / "dance.mp4").read_bytes(), "media.mp4")
    body = BODY | {"imageUrl": image["data"]["download_url"], "videoUrl": video["data"]["download_url"]}
    urls = [await finished_result_url(caller, body) for _ in range(2)]
    contents = await asyncio.gather(*(caller.fetch(url) for url in urls))
    assert contents[0] != contents[1]
    (tmp_path / "result.mp4").write_bytes(contents[0][1])
    red, blue = await asyncio.to_thread(corners, tmp_path / "result.mp4")
    assert red[0] > 180
    assert red[2] < 80
    assert blue[2] > 180
    assert blue[0] < 80


def draw_inputs(folder: Path) -> None:
    Image.new("RGB", (300, 300), (255, 0, 0)).save(folder / "hero.png")
    with av.open(folder / "dance.mp4", "w") as sink:
        track = sink.add_stream("libx264", rate=4)
        track.width, track.height, track.pix_fmt = 320, 240, "yuv420p"
        for _ in range(4):
            sink.mux(track.encode(av.VideoFrame.from_image(Image.new("RGB", (320, 240), (0, 0, 255)))))  # type: ignore[no-untyped-call]
        sink.mux(track.encode())


def corners(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the colours in the lower right and in the upper left corner of the first frame."""
    with av.open(path) as video:
        frame = next(iter(video.decode(video=0))).to_image()  # type: ignore[no-untyped-call]
    return frame.getpixel((frame.width - 20, frame.height - 20)), frame.getpixel((20, 20))


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (mp4(12.5), 12.5),
        (mp4(2, tail=bytes(5000)), 2.0),
        (b"", None),
        (b"no box here", None),
        (struct.pack(">I4s", 4, b"moov"), None),
        (struct.pack(">I4sI4s", 16, b"moov", 8, b"mvhd"), None),
        (struct.pack(">I4sI4sIQQIQ", 48, b"moov", 40, b"mvhd", 1 << 24, 0, 0, 90_000, 270_000), 3.0),
        (struct.pack(">I4sQ", 1, b"free", 24) + bytes(8) + mp4(2), 2.0),
        (struct.pack(">I4s", 0, b"moov") + struct.pack(">I4sIIIII", 28, b"mvhd", 0, 0, 0, 0, 5), None),
    ],
)
def test_the_duration_of_a_video_is_read_from_its_header(tmp_path: Path, content: bytes, seconds: float | None) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    assert read_duration(tmp_path / "x.mp4") == seconds


async def test_shutdown_does_not_wait_for_open_connections(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:
        async with Emulator(keep_alive=1e6) as server:
            async with http.get(f"{server.url}/_emulator/ledger") as response:
                await response.read()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST /openapi/v2/query HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
            await asyncio.sleep(1)
            stop_started = loop.time()
        assert loop.time() - stop_started < 1
        assert await reader.read() == b""
        writer.close()


async def test_a_given_folder_is_kept_and_a_temporary_one_is_deleted(tmp_path: Path) -> None:
    async with Emulator(data_dir=tmp_path / "kept"):
        pass
    assert (tmp_path / "kept").is_dir()
    async with Emulator() as server:
        folder = server._folder
        assert folder.is_dir()
    assert not folder.exists()


async def test_a_fixed_port_can_be_reused_at_once() -> None:
    async with Emulator() as server:
        port = server.port
    async with Emulator(port=port) as server:
        assert server.url == f"http://127.0.0.1:{port}"


def bearer(caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {caller.server.api_key}"}


def upload_url(caller: Caller) -> str:
    return f"{caller.server.url}/openapi/v2/media/upload/binary"


async def test_an_upload_above_the_size_limit_is_rejected_after_it_was_read(serve: Serve, tmp_path: Path) -> None:
    caller = await serve(max_upload_bytes=30 << 20, data_dir=tmp_path)
    assert (await caller.upload(mp4(3, tail=bytes((30 << 20) + 1)), "media.mp4"))["code"] == 809
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []
    assert (await caller.upload(mp4(3), "media.mp4"))["code"] == 0


async def test_an_upload_can_be_named_by_another_hash_and_is_found_by_that_name(serve: Serve) -> None:
    caller = await serve(upload_names="other")
    image, again = [(await caller.upload(PNG, "media.png"))["data"] for _ in range(2)]
    video = (await caller.upload(mp4(3), "media.mp4"))["data"]
    sha256 = hashlib.sha256(PNG).hexdigest()
    assert image["fileName"] == again["fileName"] != f"openapi/{sha256}.png"
    assert len(image["fileName"]) == len(f"openapi/{sha256}.png")
    body = {"299##image": image["fileName"], "275##video": video["fileName"]}
    assert (await caller.submit(body, endpoint=WAN))["errorCode"] == ""
    assert await caller.fetch(image["download_url"]) == (200, PNG)
    assert caller.server.ledger.uploads[0].sha256 == sha256
