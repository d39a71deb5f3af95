"""What a model makes, guessed from its endpoint."""

from __future__ import annotations

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl
from rh_async._polling.job_kinds import PRIORS, ModelKind, model_kind, run_time_prior


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("kling-v3.0-pro/motion-control", ModelKind.VIDEO),
        ("vidu/image-to-video-q3-pro", ModelKind.VIDEO),
        ("minimax/hailuo-02/t2v-pro", ModelKind.VIDEO),
        ("topazlabs/video-upscale", ModelKind.VIDEO),
        ("rhart-video/wan-2.2/text-to-image-lora", ModelKind.IMAGE),
        ("seedream-v4.5/image-to-image", ModelKind.IMAGE),
        ("rhart-image-n-pro/edit", ModelKind.IMAGE),
        ("alibaba/qwen3-tts-flash", ModelKind.AUDIO),
        ("rhart-audio/suno-v5/single", ModelKind.AUDIO),
        ("mureka-ai/recognize-song", ModelKind.TEXT),
        ("rhart-text-g-3-pro-preview/video-to-text", ModelKind.TEXT),
        ("rhart-text-qwen-27b/chat", ModelKind.TEXT),
        ("meshy6/image-to-3d", ModelKind.MODEL_3D),
        ("unknown/model", ModelKind.VIDEO),
        ("", ModelKind.VIDEO),
    ],
)
def test_the_endpoint_tells_what_a_model_makes(endpoint: str, kind: ModelKind) -> None:
    assert model_kind(endpoint) is kind


@pytest.mark.parametrize("request_type", [DreamActor, CharacterMotionTransfer, KlingMotionControl])
def test_the_motion_transfer_models_make_videos(request_type: type) -> None:
    endpoint = request_type("hero.png", "dance.mp4").endpoint
    assert model_kind(endpoint) is ModelKind.VIDEO


def test_text_is_expected_in_seconds_and_video_in_minutes() -> None:
    assert run_time_prior("a/text-to-text").median < PRIORS[ModelKind.IMAGE].median < 30.0
    assert run_time_prior("a/text-to-video").median >= 120.0
