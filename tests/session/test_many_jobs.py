"""The main job: hundreds of jobs over all six models, from local files to saved videos, judged by the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, PollingPolicy, Request, Session
from rh_async.emulator import Emulator
from rh_async.models.kling import KlingModel
from tests.media import made_of
from tests.session.conftest import Media

KLING: tuple[KlingModel, ...] = ("kling-v3.0-std", "kling-v3.0-pro", "kling-v2.6-std", "kling-v2.6-pro")


def requests_over_all_models(media: Media, wanted: int) -> Iterator[Request]:
    for n in range(wanted):
        image, video = media.images[n % 3], media.videos[n // 3 % 3]
        kling = [KlingMotionControl(image, video, model=model) for model in KLING]
        yield [*kling, DreamActor(image, video), CharacterMotionTransfer(image, video)][n % 6]


async def test_two_hundred_jobs_over_all_six_models_end_as_saved_videos(media: Media, tmp_path: Path) -> None:
    async with (
        Emulator(seed=1, limit=1000) as server,
        Session(server.api_key, base_url=server.url, in_flight=20, polling=PollingPolicy(interval=15.0)) as session,
    ):
        outcomes = [outcome async for outcome in session.map(requests_over_all_models(media, 200), output_dir=tmp_path)]
    ledger = server.ledger
    assert [outcome.error for outcome in outcomes] == [None] * 200
    assert len(ledger.tasks) == len(ledger.submissions) == 200
    assert Counter(task.endpoint for task in ledger.tasks).most_common()[-1][1] >= 33
    assert ledger.peak_unsettled() == 20
    assert len(ledger.uploads) == len(media.images) + len(media.videos)
    assert all(upload.had_content_length for upload in ledger.uploads)
    assert {upload.file_name for upload in ledger.uploads} == {"media.png", "media.mp4"}
    assert ledger.key_leaks == []
    for outcome in outcomes:
        assert outcome.result is not None
        assert [path.name for path in outcome.result.paths] == [f"{outcome.task_id}_0.mp4"]
        made = [made_of(video, outcome.result.task_id) for video in media.videos]
        assert outcome.result.paths[0].read_bytes() in made
    assert sum((o.result.usage.money or 0 for o in outcomes if o.result), start=0) == ledger.total_charged
    assert not list(tmp_path.glob("*.part"))


async def test_polls_keep_to_their_budget(media: Media) -> None:
    polling = PollingPolicy(interval=4.0, polls_per_second=2.0, max_open_polls=3)
    async with (
        Emulator(seed=2, limit=1000) as server,
        Session(server.api_key, base_url=server.url, in_flight=30, polling=polling) as session,
    ):
        async for _ in session.map(requests_over_all_models(media, 30)):
            pass
    asked = [question.at for question in server.ledger.calls]
    for spread in (1, 4, 20, 100):
        saved_up = 3  # of a second and a half
        assert all(
            later - earlier >= (spread - saved_up) / 2.0 - 1e-9
            for earlier, later in zip(asked, asked[spread:], strict=False)
        )


async def test_a_freed_slot_is_filled_at_once(media: Media) -> None:
    async with (
        Emulator(seed=3, run_time=60.0, limit=1000) as server,
        Session(server.api_key, base_url=server.url, in_flight=5) as session,
    ):
        async for _ in session.map(requests_over_all_models(media, 25)):
            pass
    created = sorted(task.created_at for task in server.ledger.tasks)
    # Five at a time, each noticed at its first question at or after 60 s, on the five-second beat.
    waves = [created[n : n + 5] for n in range(0, 25, 5)]
    assert all(wave[-1] - wave[0] < 5.0 for wave in waves)
    assert all(60.0 <= later[0] - earlier[0] < 66.0 for earlier, later in pairwise(waves))


async def test_a_full_account_delays_jobs_and_fails_none(media: Media) -> None:
    async with (
        Emulator(seed=4, limit=6) as server,
        Session(server.api_key, base_url=server.url, in_flight=20) as session,
    ):
        outcomes = [outcome async for outcome in session.map(requests_over_all_models(media, 30))]
    assert all(outcome.result for outcome in outcomes)
    assert len(server.ledger.tasks) == 30
    assert server.ledger.peak_unsettled() <= 6
    assert "421" in {submission.code for submission in server.ledger.submissions}
