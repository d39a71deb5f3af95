"""List prices: by the started second, by call and by rule; None where the list states none."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, ModelRequest, Request
from rh_async.batch import MediaInfo, plan_folder
from rh_async.emulator.catalogue.model_catalogue import published_models
from rh_async.models.catalog import data
from rh_async.models.prices import list_price

CLIP = Path("clip.mp4")


def info(seconds: float) -> dict[Path, Any]:
    """A clip that lasts so long."""
    film = MediaInfo(
        kind="mp4", family="video", container="mov", codec="h264", size=1, width=400, height=400, seconds=seconds
    )
    return {CLIP: film}


def amount(request: Request, seconds: float = 4) -> Decimal | None:
    """What a request costs with a clip that lasts so long."""
    price = list_price(request, info(seconds))
    assert price is None or price.currency == "CNY"
    return None if price is None else price.amount


@pytest.mark.parametrize(("seconds", "times"), [(3.0, 3), (3.01, 4), (3.0000004, 3), (29.5, 30), (30.0, 30)])
def test_a_driving_video_is_billed_by_the_started_second(seconds: float, times: int) -> None:
    assert amount(KlingMotionControl("https://a/b.png", CLIP), seconds) == Decimal("0.81") * times


@pytest.mark.parametrize(
    "endpoint", [endpoint for endpoint, model in published_models().items() if model and model.rejects_unknown_fields]
)
def test_the_list_price_is_what_the_emulator_bills(endpoint: str) -> None:
    made: dict[str, Request] = {
        "bytedance/dreamactor-v2": DreamActor("https://a/b.png", CLIP),
        "rhart-video/wan2.2/character-motion-transfer": CharacterMotionTransfer(Path("a.png"), CLIP),
    }
    by_wire = ModelRequest(endpoint, {"imageUrl": "https://a/b.png", "videoUrl": CLIP})
    request = made.get(endpoint, by_wire)
    model = published_models()[endpoint]
    assert model is not None
    assert model.list_price is not None
    assert amount(request, 7.5) == model.list_price.rules[0].unit_price * 8


@pytest.mark.parametrize(
    ("endpoint", "fields", "price"),
    [
        ("alibaba/wan-2.7/image-edit", {}, "0.189"),
        ("alibaba/qwen-image-2.0/text-to-image", {"imageNum": 3}, "0.39"),
        ("alibaba/happyhorse-1.0/image-to-video", {"resolution": "720p", "duration": "6"}, "5.4"),
        ("alibaba/happyhorse-1.0/image-to-video", {}, "8.0"),  # 1080p and 5 s where nothing is said
        ("kling-v3.0-std/image-to-video", {"sound": False, "duration": "5"}, "2.60"),
        ("kling-v3.0-std/image-to-video", {"sound": True, "duration": "5"}, "3.90"),
    ],
)
def test_a_price_rule_applies_where_its_fields_match(endpoint: str, fields: dict[str, Any], price: str) -> None:
    assert amount(ModelRequest(endpoint, fields)) == Decimal(price)


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("unknown/model", {}),
        ("alibaba/happyhorse-1.0/image-to-video", {"resolution": "4k"}),  # no rule
        ("alibaba/wan-2.7/reference-to-video", {}),  # a rule that is not parsed
        ("pixverse-c1/reference-to-video", {"resolution": "720p"}),  # a starting price
        ("pixverse-v6/extend", {"videoUrl": CLIP, "duration": 5}),  # which of the two is billed?
        ("kling-v3.0-std/motion-control", {"videoUrl": "https://example.org/of-unknown-length.mp4"}),
    ],
)
def test_a_request_that_the_list_does_not_price_has_no_price(endpoint: str, fields: dict[str, Any]) -> None:
    assert amount(ModelRequest(endpoint, fields)) is None


async def test_the_total_adds_up_the_ready_jobs_and_counts_the_unpriced(media: Path) -> None:
    def either(image: Path, clip: Path) -> Request:
        if clip.name == "clip10.mp4":
            return KlingMotionControl(image, "https://example.org/elsewhere.mp4")
        return KlingMotionControl(image, clip)

    clips = [media / name for name in ("clip1.mp4", "clip2.mp4", "clip10.mp4", "zero.mp4")]
    plan = await plan_folder(clips, media / "hero.png", make=either)
    assert plan.total == {"CNY": Decimal("0.81") * (3 + 4)}
    assert (len(plan.ready), len(plan.refused), plan.unpriced) == (3, 1, 1)
    assert plan.price_list == data("prices.json")["version"]
