"""A request is judged before it is sent: by what its model is documented to take, as far as its files can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from rh_async import DreamActor, KlingMotionControl, ModelRequest, Session
from rh_async.batch import Issue
from rh_async.emulator import Emulator
from rh_async.errors import InvalidRequestError
from tests.media import draw_image, film_video
from tests.session.conftest import Media


def refused(issues: tuple[Issue, ...]) -> dict[str, str]:
    """The rules that are broken, each with the file that breaks it."""
    return {issue.rule: Path(issue.subject).name for issue in issues if issue.is_error}


@pytest.fixture
def without_media(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rh_async._media.probe.find_spec", lambda _: None)


async def test_a_request_that_breaks_no_rule_has_no_problem(server: Emulator, session: Session, media: Media) -> None:
    assert await session.check(KlingMotionControl(media.images[0], media.videos[0])) == ()
    assert (server.ledger.submissions, server.ledger.uploads, server.ledger.calls) == ([], [], [])


async def test_every_problem_of_a_request_is_returned_at_once_and_nothing_is_sent(
    server: Emulator, session: Session, tmp_path: Path
) -> None:
    tiny, short = draw_image(tmp_path / "tiny.png", size=(90, 90)), film_video(tmp_path / "short.mp4", seconds=1)
    issues = await session.check(KlingMotionControl(tiny, short))
    assert refused(issues) == {"too few pixels": "tiny.png", "too short": "short.mp4"}
    assert (server.ledger.submissions, server.ledger.uploads) == ([], [])


async def test_unusable_files_and_unknown_models_are_found(session: Session, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    request = DreamActor(tmp_path / "empty.png", tmp_path / "missing.mp4")
    assert refused(await session.check(request)) == {"empty file": "empty.png", "no such file": "missing.mp4"}
    (issue,) = await session.check(ModelRequest("own/model", {"seed": 1}))
    assert (issue.rule, issue.is_error) == ("unknown model", False)
    wrong: Any = "no request"
    with pytest.raises(InvalidRequestError):
        await session.check(wrong)


@pytest.mark.usefixtures("without_media")
async def test_without_the_media_extra_only_kind_size_and_duration_are_checked_and_an_issue_says_so(
    session: Session, media: Media, tmp_path: Path
) -> None:
    good = KlingMotionControl(media.images[0], media.videos[0])
    issues = await session.check(good)
    assert {issue.rule for issue in issues} == {"not looked into"}
    assert not any(issue.is_error for issue in issues)
    short = film_video(tmp_path / "short.mp4", seconds=1)
    swapped = tmp_path / "image.mp4"
    swapped.write_bytes(media.images[0].read_bytes())
    (tmp_path / "words.png").write_text("no picture")
    assert refused(await session.check(evolve(good, video=short))) == {"too short": "short.mp4"}
    assert refused(await session.check(evolve(good, video=swapped))) == {"kind of file": "image.mp4"}
    assert refused(await session.check(evolve(good, image=tmp_path / "no.png"))) == {"no such file": "no.png"}
    assert not refused(await session.check(evolve(good, image=tmp_path / "words.png")))
