"""What a model makes, guessed from its endpoint."""

from __future__ import annotations

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl
from rh_async._polling.job_kinds import USUAL, Kind, kind_of, usual_of


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("kling-v3.0-pro/motion-control", Kind.VIDEO),
        ("vidu/image-to-video-q3-pro", Kind.VIDEO),
        ("minimax/hailuo-02/t2v-pro", Kind.VIDEO),
        ("topazlabs/video-upscale", Kind.VIDEO),
        ("rhart-video/wan-2.2/text-to-image-lora", Kind.IMAGE),
        ("seedream-v4.5/image-to-image", Kind.IMAGE),
        ("rhart-image-n-pro/edit", Kind.IMAGE),
        ("alibaba/qwen3-tts-flash", Kind.AUDIO),
        ("rhart-audio/suno-v5/single", Kind.AUDIO),
        ("mureka-ai/recognize-song", Kind.TEXT),
        ("rhart-text-g-3-pro-preview/video-to-text", Kind.TEXT),
        ("rhart-text-qwen-27b/chat", Kind.TEXT),
        ("meshy6/image-to-3d", Kind.MODEL_3D),
        ("nobody/knows", Kind.VIDEO),
        ("", Kind.VIDEO),
    ],
)
def test_the_endpoint_tells_what_a_model_makes(endpoint: str, kind: Kind) -> None:
    assert kind_of(endpoint) is kind


@pytest.mark.parametrize("request_type", [DreamActor, CharacterMotionTransfer, KlingMotionControl])
def test_the_motion_transfer_models_make_videos(request_type: type) -> None:
    endpoint = request_type("hero.png", "dance.mp4").endpoint
    assert kind_of(endpoint) is Kind.VIDEO


def test_text_is_expected_in_seconds_and_video_in_minutes() -> None:
    assert usual_of("a/text-to-text").median < USUAL[Kind.IMAGE].median < 30.0
    assert usual_of("a/text-to-video").median >= 120.0
