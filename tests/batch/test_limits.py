"""The limits in the catalogue, in the request classes and in plans agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, ModelRequest, Request
from rh_async._batch.planning.validation import check
from rh_async.batch import plan_manifest
from rh_async.models.catalog import data, endpoints, find_model
from rh_async.models.kling import KlingModel, Orientation

KLINGS = [
    KlingMotionControl("a.png", "b.mp4", model=model, orientation=orientation)
    for model in get_args(KlingModel)
    for orientation in get_args(Orientation)
]
REQUESTS = [*KLINGS, DreamActor("a.png", "b.mp4"), CharacterMotionTransfer(Path("a.png"), Path("b.mp4"))]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request.endpoint}")
def test_a_motion_request_and_the_catalogue_know_the_same_limits(request_: Request) -> None:
    model = find_model(request_.endpoint)
    assert model is not None
    assert model.limits(request_.parameters()) == request_.limits


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request.endpoint}")
def test_a_motion_request_writes_only_fields_of_the_catalogue_and_all_that_are_required(request_: Request) -> None:
    model = find_model(request_.endpoint)
    assert model is not None
    assert request_.parameters().keys() <= model.params.keys()
    assert {name for name, param in model.params.items() if param.required} <= request_.parameters().keys()


def test_every_model_of_the_catalogue_can_be_read() -> None:
    stubs = {endpoint for endpoint in endpoints() if find_model(endpoint) is None}
    assert {endpoint for endpoint in stubs if data("catalog.json")["models"][endpoint]["params"]} == set()
    assert "kling-v3.0-4k/motion-control" in stubs  # contract 12.1


ENDPOINT = "alibaba/happyhorse-1.0/image-to-video"


@pytest.mark.parametrize(
    ("fields", "words", "is_error"),
    [
        ({"resolution": "8k"}, "resolution: '8k' is no option. Give one of 720p, 1080p.", True),
        ({"seed": -1}, "seed: -1 is out of range. Give 0 to 2.14748e+09.", True),
        ({"prompt": "x" * 2501}, "prompt: has 2,501 characters. Give 0 to 2,500.", True),
        ({"imageUrl": None}, "imageUrl: is required, and missing. Give it.", True),
        ({"mood": "sad"}, "mood: no such field is known. It takes imageUrl,", False),
    ],
)
def test_fields_of_any_model_are_checked_by_the_catalogue(fields: dict[str, Any], words: str, is_error: bool) -> None:
    good = {"imageUrl": "https://example.org/a.png", "resolution": "720p", "duration": "5"}
    given = {name: value for name, value in (good | fields).items() if value is not None}
    assert check(ModelRequest(ENDPOINT, good), {}) == ()
    (issue,) = check(ModelRequest(ENDPOINT, given), {})
    assert words in str(issue)
    assert issue.is_error is is_error


def test_a_partly_documented_model_refuses_no_value() -> None:
    partial = next(name for name in sorted(endpoints()) if (found := find_model(name)) and found.partial)
    assert not any(issue.is_error for issue in check(ModelRequest(partial, {"odd": 1}), {}))


async def test_a_manifest_has_the_wire_fields_of_any_endpoint_as_columns(media: Path) -> None:
    manifest = media / "any.csv"
    manifest.write_text(f"model,imageUrl,seed,resolution,duration\n{ENDPOINT},hero.png,7,720p,5\n")
    (entry,) = (await plan_manifest(manifest)).entries
    assert not entry.refused
    assert isinstance(entry.request, ModelRequest)
    assert entry.request.parameters() == {
        "imageUrl": media / "hero.png",
        "seed": 7,
        "resolution": "720p",
        "duration": "5",
    }
    assert entry.characters == (media / "hero.png",)
    assert entry.clip is None


async def test_a_model_outside_the_catalogue_is_planned_with_a_warning(media: Path) -> None:
    manifest = media / "new.jsonl"
    manifest.write_text('{"model": "new/thing", "imageUrl": "hero.png", "strength": 0.5}\n')
    plan = await plan_manifest(manifest)
    assert plan.is_valid
    assert plan.entries[0].request == ModelRequest("new/thing", {"imageUrl": media / "hero.png", "strength": 0.5})
    assert [group.rule for group in plan.warnings_by_rule()] == ["unknown model"]
    assert plan.unpriced == 1


async def test_a_video_is_no_image_even_where_no_kinds_are_documented(media: Path) -> None:
    manifest = media / "kinds.csv"
    manifest.write_text("model,imageUrls\nalibaba/happyhorse-1.1/reference-to-video,clip1.mp4;hero.png;\n")
    plan = await plan_manifest(manifest)
    (entry,) = plan.entries
    assert [issue.rule for issue in entry.issues if issue.is_error] == ["kind of file"]
    assert entry.characters == (media / "clip1.mp4", media / "hero.png")
    assert "clip1.mp4: is mp4 by content" in plan.errors_by_rule()[0].examples[0]
