"""Test the published models: their parameters, prices and outputs."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from rh_async.emulator import Fault
from rh_async.emulator.catalogue.emulated_models import Model, ModelField
from rh_async.emulator.catalogue.model_catalogue import ModelCatalogue, published_models
from rh_async.emulator.catalogue.pricing import request_price
from rh_async.emulator.outputs.sample_files import OUTPUT_FORMATS, task_label
from tests.emulator.conftest import PNG, Caller, Json, Serve, mp4

TO_VIDEO = "alibaba/happyhorse-1.0/image-to-video"
TO_IMAGE = "alibaba/qwen-image-2.0/text-to-image"
TO_SPEECH = "rhart-audio/text-to-audio/speech-02-hd"
LINK = "https://example.test/hero.png"
VIDEO_BODY: Json = {"imageUrl": LINK, "resolution": "720p", "duration": "6"}


def value_for(field: ModelField) -> object:
    """Return a valid value for a field."""
    if field.kind in {"image", "video", "audio"}:
        return f"https://example.test/media.{field.kind}"
    plain: dict[str, object] = {"flag": True, "whole": 1, "number": 1, "list": [{}], "any": {}, "text": "x"}
    if field.kind == "option":
        return field.options[0]
    if field.kind in {"whole", "number"} and field.minimum is not None:
        return field.minimum
    return plain[field.kind]


def body_for(model: Model) -> Json:
    """Return a request with the required fields of a model."""
    needed = [field for field in model.fields or () if field.required]
    return {field.name: [value_for(field)] if field.is_list else value_for(field) for field in needed}


KNOWN = {
    endpoint: model for endpoint, model in published_models().items() if model is not None and model.fields is not None
}
BY_LINK = {endpoint: model for endpoint, model in KNOWN.items() if not model.is_workflow}


def test_the_package_contains_the_complete_catalogue() -> None:
    text = (files("rh_async.emulator.catalogue") / "catalogue.json").read_text(encoding="utf-8")
    entries = json.loads(text)["models"]
    assert len(entries) == len(published_models()) == 436
    assert sum("price" in entry for entry in entries.values()) == 290
    assert len(KNOWN) == 327


async def test_every_model_accepts_its_required_fields_and_rejects_a_request_without_one(serve: Serve) -> None:
    caller = await serve(limit=10_000, run_time=1.0)
    for endpoint, model in BY_LINK.items():
        body = body_for(model)
        assert (await caller.submit(body, endpoint=endpoint))["errorCode"] == "", endpoint
        for name in body:
            answer = await caller.submit({**body, name: None}, endpoint=endpoint)
            assert answer["errorMessage"] == f"field '{name}' is required, can not be empty", endpoint


async def test_a_model_with_partial_documentation_rejects_no_value(serve: Serve) -> None:
    caller = await serve(limit=1000, run_time=1.0)
    partial = [endpoint for endpoint, model in published_models().items() if model is not None and model.fields is None]
    assert len(partial) == 108
    for endpoint in partial:
        undocumented = {"resolution": "as you like", "duration": [7], "undocumented": {"nested": True}}
        assert (await caller.submit(undocumented, endpoint=endpoint))["errorCode"] == ""


@pytest.mark.parametrize(
    ("endpoint", "change", "code", "message"),
    [
        (
            TO_VIDEO,
            {"resolution": "2048x2048"},
            "1007",
            "field 'resolution' value 2048x2048 is not in the allowed options",
        ),
        (TO_VIDEO, {"resolution": True}, "1007", "failed to parse request body"),
        (TO_VIDEO, {"duration": 6}, "", ""),
        (TO_VIDEO, {"duration": 16}, "1007", "field 'duration' value 16 is not in the allowed options"),
        (TO_VIDEO, {"seed": -1}, "1007", "field 'seed' is invalid"),
        (TO_VIDEO, {"seed": 2**31}, "1007", "field 'seed' is invalid"),
        (TO_VIDEO, {"seed": "7"}, "", ""),
        (TO_VIDEO, {"seed": "seven"}, "1007", "failed to parse request body"),
        (TO_VIDEO, {"seed": 1.5}, "1007", "failed to parse request body"),
        (TO_VIDEO, {"seed": True}, "1007", "failed to parse request body"),
        (TO_VIDEO, {"seed": None}, "", ""),
        (TO_VIDEO, {"prompt": "x" * 2501}, "1007", "field 'prompt' length must be between 0 and 2500"),
        (TO_VIDEO, {"imageUrl": "hero.png"}, "1007", "field 'imageUrl' is invalid"),
        (TO_VIDEO, {"appCode": "comfyui_rh_openapi", "undocumented": 1}, "", ""),
    ],
)
async def test_values_are_validated_by_the_catalogue(
    caller: Caller, endpoint: str, change: Json, code: str, message: str
) -> None:
    answer = await caller.submit(VIDEO_BODY | change, endpoint=endpoint)
    assert (answer["errorCode"], answer["errorMessage"]) == (code, message)


async def test_a_list_of_media_must_be_a_list_of_at_most_max_items_links(caller: Caller) -> None:
    endpoint = "alibaba/happyhorse-1.0/reference-to-video"
    body: Json = {"prompt": "x", "resolution": "720p", "duration": "5", "imageUrls": [LINK] * 9}
    assert (await caller.submit(body, endpoint=endpoint))["errorCode"] == ""
    for images, message in (
        ([LINK] * 10, "field 'imageUrls' is invalid"),
        (LINK, "failed to parse request body"),
        ([], "field 'imageUrls' is required, can not be empty"),
        ([LINK, "hero.png"], "field 'imageUrls' is invalid"),
    ):
        assert (await caller.submit(body | {"imageUrls": images}, endpoint=endpoint))["errorMessage"] == message


async def test_an_audio_field_accepts_audio_and_rejects_an_image(caller: Caller) -> None:
    sound = (await caller.upload(b"ID3" + bytes(64), "media.mp3"))["data"]
    image = (await caller.upload(PNG, "media.png"))["data"]
    answers = [await caller.submit({"12##audio": entry["fileName"]}, endpoint="any/model") for entry in (sound, image)]
    assert [answer["errorCode"] for answer in answers] == ["", "1007"]


# --- prices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "body", "price"),
    [
        (TO_VIDEO, {"resolution": "720p", "duration": "6"}, "5.4"),
        (TO_VIDEO, {}, "8.0"),  # by default 1080p and 5 s
        (TO_IMAGE, {"imageNum": 3}, "0.39"),
        (TO_SPEECH, {"text": "x" * 1001}, "0.62"),
        (TO_SPEECH, {"text": ""}, "0.31"),
        ("kling-lip-sync/lip-sync-video", {}, "0.35"),
        ("alibaba/wan-2.5-preview/text-to-image", {"n": 2}, "0.26"),
        ("kling-v3.0-std/image-to-video", {"sound": True, "duration": "5"}, "3.90"),
        ("kling-v3.0-std/image-to-video", {"sound": False, "duration": "5"}, "2.60"),
    ],
)
def test_a_request_is_priced_by_the_published_list(endpoint: str, body: Json, price: str) -> None:
    model = ModelCatalogue().find(endpoint)
    assert model is not None
    found = request_price(model, body)
    assert found is not None
    assert found.total == Decimal(price)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [("any/model", {}), (TO_VIDEO, {"resolution": "4k"}), ("alibaba/wan-2.7/reference-to-video", {"prompt": "x"})],
)
def test_a_request_that_the_list_does_not_price_has_no_price(endpoint: str, body: Json) -> None:
    model = ModelCatalogue().find(endpoint)
    assert model is not None
    assert request_price(model, body) is None


async def test_the_quoted_price_is_charged_and_reported(caller: Caller) -> None:
    quoted = await caller.post(f"/openapi/v2/price-preview/{TO_VIDEO}", VIDEO_BODY)
    task_id = (await caller.submit(VIDEO_BODY, endpoint=TO_VIDEO))["taskId"]
    await asyncio.sleep(3600)
    answer = await caller.query(task_id)
    assert quoted["estimatedPrice"] == pytest.approx(5.4)
    assert (quoted["priceText"], quoted["priceTextEn"]) == ("¥0.9/秒", "CNY 0.9/second")
    assert answer["usage"]["thirdPartyConsumeMoney"] == "5.4"
    assert caller.server.ledger.total_charged == Decimal("5.4")


# --- outputs ----------------------------------------------------------------------------------------------------------


async def run_model(caller: Caller, endpoint: str, body: Json) -> tuple[Json, bytes]:
    """Submit a request, wait for its result, and return the result and its file."""
    task_id = (await caller.submit(body, endpoint=endpoint))["taskId"]
    await asyncio.sleep(3600)
    [result] = (await caller.query(task_id))["results"]
    return result, b"" if result["url"] is None else (await caller.fetch(result["url"]))[1]


ONE_OF_EACH: list[tuple[str, Json, str]] = [
    (TO_VIDEO, VIDEO_BODY, "mp4"),
    (TO_IMAGE, {"prompt": "a cat"}, "png"),
    (TO_SPEECH, {}, "mp3"),
    ("hunyuan3d-v3.1/text-to-3d", {}, "glb"),
]


def complete_body(endpoint: str, body: Json) -> Json:
    model = ModelCatalogue().find(endpoint)
    assert model is not None
    return body_for(model) | body


@pytest.mark.parametrize(("endpoint", "body", "extension"), ONE_OF_EACH)
async def test_a_model_creates_a_valid_file_of_its_kind_that_contains_the_task_id(
    caller: Caller, tmp_path: Path, endpoint: str, body: Json, extension: str
) -> None:
    result, content = await run_model(caller, endpoint, complete_body(endpoint, body))
    _, other = await run_model(caller, endpoint, complete_body(endpoint, body))
    assert (result["outputType"], result["text"]) == (extension, None)
    assert result["url"].partition("?")[0].endswith(f"_00001.{extension}")
    assert task_label(caller.server.ledger.tasks[0].task_id).encode() in content
    assert content != other
    (tmp_path / f"x.{extension}").write_bytes(content)
    await asyncio.to_thread(CHECKS[extension], tmp_path / f"x.{extension}")


def check_media(path: Path) -> None:
    with av.open(path) as media:
        stream = media.streams[0]
        assert sum(1 for _ in media.decode(stream)) >= 1
        assert stream.type == {".mp4": "video", ".mp3": "audio"}[path.suffix]


def check_image(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (16, 16))


def check_glb(path: Path) -> None:
    content = path.read_bytes()
    magic, version, length, size, kind = struct.unpack_from("<4sII I4s", content)
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
    scene = json.loads(content[20 : 20 + size])
    binary, kind = struct.unpack_from("<I4s", content, 20 + size)
    assert (kind, binary) == (b"BIN\0", scene["buffers"][0]["byteLength"])
    assert length == 28 + size + binary


CHECKS: dict[str, Any] = {"mp4": check_media, "mp3": check_media, "png": check_image, "glb": check_glb}


async def test_the_response_of_a_text_model_contains_the_text(caller: Caller) -> None:
    endpoint = next(endpoint for endpoint, model in BY_LINK.items() if model.output_kind == "text")
    result, _ = await run_model(caller, endpoint, complete_body(endpoint, {}))
    assert result.keys() == {"url", "nodeId", "outputType", "text"}
    assert (result["url"], result["outputType"]) == (None, "txt")
    assert task_label(caller.server.ledger.tasks[0].task_id) in result["text"]


@pytest.mark.parametrize("output_type", ["video", "Image", "3d", "MP4", ""])
async def test_a_fault_can_change_the_output_type_of_a_result(caller: Caller, output_type: str) -> None:
    caller.server.faults.add(Fault("output_type", output_type=output_type))
    result, content = await run_model(caller, TO_VIDEO, VIDEO_BODY)
    assert result["outputType"] == (output_type or "mp4")
    assert content[4:8] == b"ftyp"


async def test_a_video_model_that_is_no_motion_model_delivers_the_uploaded_video(caller: Caller) -> None:
    endpoint = "alibaba/happyhorse-1.0/video-edit"
    clip = (await caller.upload(mp4(3), "media.mp4"))["data"]["download_url"]
    _, content = await run_model(caller, endpoint, complete_body(endpoint, {"videoUrl": clip}))
    assert content.startswith(mp4(3))


def test_every_output_kind_has_a_format_and_images_of_different_tasks_differ() -> None:
    assert {model.output_kind for model in published_models().values() if model is not None} == set(OUTPUT_FORMATS)
    pictures = {OUTPUT_FORMATS["image"].create(str(number)) for number in range(100)}
    assert len(pictures) == 100
    assert zlib.crc32(b"1") != zlib.crc32(b"2")
