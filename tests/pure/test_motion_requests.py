"""The motion models: exact bodies, exact limits, and refusals that name field, value and rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import exceptions

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, Request, Upload, ValidationError
from rh_async.errors import InvalidRequestError
from rh_async.models.media_limits import MediaLimits
from tests.pure.samples import INDEX, value_of

IMAGE, VIDEO = "https://example.test/input/character.png", "https://example.test/input/motion.mp4"
V3 = ["kling-v3.0-std", "kling-v3.0-pro"]
V26 = ["kling-v2.6-std", "kling-v2.6-pro"]


def kling(**options: Any) -> KlingMotionControl:
    return KlingMotionControl(**{"image": IMAGE, "video": VIDEO} | options)


def nothing_to_upload(source: Path | Upload) -> Upload:
    assert isinstance(source, Upload)
    return source


def body_of(request: Request) -> dict[str, Any]:
    return request.to_body(nothing_to_upload)


def seen(name: str) -> str:
    return str(value_of("request_kling_v3_std_motion_control.json")[name])


def stored(file: str, name: str) -> Upload:
    return Upload(file_name=value_of(file)[name], url="https://example.test/not-this-one")


WRITTEN: dict[str, Callable[[], Request]] = {
    "request_kling_v3_std_motion_control.json": lambda: KlingMotionControl(seen("imageUrl"), seen("videoUrl")),
    "request_kling_v3_pro_motion_control_full.json": lambda: kling(
        model="kling-v3.0-pro",
        orientation="image",
        prompt="a dancer",
        negative_prompt="blur",
        keep_original_sound=False,
        webhook_url="https://example.test/hook",
    ),
    "request_kling_v26_std_motion_control.json": lambda: kling(model="kling-v2.6-std", prompt="a dancer"),
    "request_dreamactor_v2.json": lambda: DreamActor(IMAGE, VIDEO),
    "request_cmt.json": lambda: CharacterMotionTransfer(
        stored("request_cmt.json", "299##image"), stored("request_cmt.json", "275##video")
    ),
    "request_cmt_uploaded_filename.json": lambda: CharacterMotionTransfer(
        stored("request_cmt_uploaded_filename.json", "299##image"),
        stored("request_cmt_uploaded_filename.json", "275##video"),
    ),
}


@pytest.mark.parametrize("file", WRITTEN)
def test_every_documented_request_is_written_exactly_so(file: str) -> None:
    request = WRITTEN[file]()
    assert body_of(request) == value_of(file)
    assert f"/openapi/v2/{request.endpoint}" == INDEX[file]["path"]


@pytest.mark.parametrize(
    ("request_", "endpoint"),
    [
        (kling(), "kling-v3.0-std/motion-control"),
        (kling(model="kling-v3.0-pro"), "kling-v3.0-pro/motion-control"),
        (kling(model="kling-v2.6-std"), "kling-v2.6-std/motion-control"),
        (kling(model="kling-v2.6-pro"), "kling-v2.6-pro/motion-control"),
        (DreamActor(IMAGE, VIDEO), "bytedance/dreamactor-v2"),
        (CharacterMotionTransfer("a.png", "b.mp4"), "rhart-video/wan2.2/character-motion-transfer"),
    ],
)
def test_each_of_the_six_models_has_its_endpoint(request_: Request, endpoint: str) -> None:
    assert request_.endpoint == endpoint


# --- what differs between 3.0 and 2.6 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", V3)
@pytest.mark.parametrize("kept", [True, False])
def test_the_sound_is_a_boolean_on_3_0(model: str, kept: bool) -> None:
    assert body_of(kling(model=model, keep_original_sound=kept))["keepOriginalSound"] is kept


@pytest.mark.parametrize("model", V26)
@pytest.mark.parametrize(("kept", "word"), [(True, "yes"), (False, "no")])
def test_the_sound_is_a_word_on_2_6(model: str, kept: bool, word: str) -> None:
    assert body_of(kling(model=model, keep_original_sound=kept))["keepOriginalSound"] == word


@pytest.mark.parametrize("model", V3)
def test_negative_prompt_and_elements_are_sent_on_3_0(model: str) -> None:
    body = body_of(kling(model=model, negative_prompt="blur", elements=("1", {"id": 2})))
    assert body["negativePrompt"] == "blur"
    assert body["elementList"] == ["1", {"id": 2}]


@pytest.mark.parametrize("model", V26)
def test_negative_prompt_and_elements_are_refused_on_2_6_even_when_empty(model: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"negative_prompt = '': exists on kling-v3\.0 only, not on {model}"):
        kling(model=model, negative_prompt="")
    with pytest.raises(InvalidRequestError, match=rf"elements = \('1',\): exist on kling-v3\.0 only, not on {model}"):
        kling(model=model, elements=("1",))


@pytest.mark.parametrize("model", [*V3, *V26])
def test_what_was_not_given_is_not_sent(model: str) -> None:
    assert set(body_of(kling(model=model))) == {"imageUrl", "videoUrl", "characterOrientation", "keepOriginalSound"}


def test_an_empty_prompt_is_sent_as_it_is() -> None:
    assert body_of(kling(prompt=""))["prompt"] == ""


# --- refusals ---------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Callable[[], Request], str]] = [
    (lambda: kling(model="kling-v3.0-4k"), "KlingMotionControl.model = 'kling-v3.0-4k': must be one of kling-v3.0-std"),
    (lambda: kling(model=None), "KlingMotionControl.model = None: must be one of"),
    (lambda: kling(orientation="back"), "KlingMotionControl.orientation = 'back': must be one of video, image"),
    (lambda: kling(prompt=7), "KlingMotionControl.prompt = 7: must be text"),
    (lambda: kling(negative_prompt=b"x"), "KlingMotionControl.negative_prompt = b'x': must be text"),
    (lambda: kling(prompt="x" * 2501), "xxx': has 2,501 characters, the limit is 2,500"),
    (lambda: kling(negative_prompt="x" * 9999), "xxx': has 9,999 characters, the limit is 2,500"),
    (lambda: kling(keep_original_sound="yes"), "KlingMotionControl.keep_original_sound = 'yes': must be True or False"),
    (lambda: kling(keep_original_sound=1), "KlingMotionControl.keep_original_sound = 1: must be True or False"),
    (lambda: kling(elements="abc"), "KlingMotionControl.elements = 'abc': must be a tuple of element ids"),
    (lambda: kling(elements={"a"}), "KlingMotionControl.elements = {'a'}: must be a tuple of element ids"),
    (lambda: kling(webhook_url="ftp://x"), "KlingMotionControl.webhook_url = 'ftp://x': must start with http:// or"),
    (lambda: DreamActor(IMAGE, VIDEO, webhook_url=""), "DreamActor.webhook_url = '': must start with http:// or"),
    (lambda: kling(webhook_url=7), "KlingMotionControl.webhook_url = 7: must start with http:// or"),
    (
        lambda: kling(image=123),
        "KlingMotionControl.image = 123: must be a path, an http(s) link, a data URI, Media or",
    ),
    (
        lambda: kling(video=None),
        "KlingMotionControl.video = None: must be a path, an http(s) link, a data URI, Media or",
    ),
    (
        lambda: kling(image=""),
        "KlingMotionControl.image = '': must be a path, an http(s) link, a data URI, Media or",
    ),
    (lambda: DreamActor(b"a.png", VIDEO), "DreamActor.image = b'a.png': must be a path, an http(s) link"),  # type: ignore[arg-type]
    (lambda: CharacterMotionTransfer("a.png", ["b.mp4"]), "CharacterMotionTransfer.video = ['b.mp4']: must be a path"),  # type: ignore[arg-type]
    (lambda: DreamActor(Upload(file_name="a.png"), VIDEO), "this field takes a link, and the upload has none"),
    (lambda: kling(video=Upload(file_name="a.mp4")), "this field takes a link, and the upload has none"),
    (
        lambda: CharacterMotionTransfer(Upload(url=IMAGE), Path("b.mp4")),
        "this field takes the server's file name, and the upload has none",
    ),
]


@pytest.mark.parametrize(("make", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_breaks_a_rule_is_refused_when_made_naming_field_value_and_rule(
    make: Callable[[], Request], says: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        make()
    assert says in str(caught.value)
    assert isinstance(caught.value, ValidationError | ValueError)
    assert not caught.value.maybe_billed


@pytest.mark.parametrize(
    "make",
    [
        lambda: kling(elements=(object(),)),
        lambda: kling(elements=(float("nan"),)),
        lambda: kling(elements=({"id": {1, 2}},)),
        lambda: kling(prompt="half a pair \ud800"),
        lambda: kling(negative_prompt="half a pair \udfff"),
    ],
)
def test_what_could_not_be_written_on_the_wire_is_refused_when_made(make: Callable[[], Request]) -> None:
    with pytest.raises(InvalidRequestError):
        make()


def test_a_prompt_of_the_greatest_length_is_taken() -> None:
    request = kling(prompt="x" * 2500, negative_prompt="y" * 2500)
    assert len(body_of(request)["prompt"]) == len(body_of(request)["negativePrompt"]) == 2500


# --- media ------------------------------------------------------------------------------------------------------------

PASSING = ["http://a/b.png", "https://a/b.png", "HTTPS://A/B.PNG", "data:image/png;base64,AAAA", "Data:,x"]


@pytest.mark.parametrize("link", PASSING)
def test_a_link_or_a_data_uri_goes_to_the_server_as_it_is(link: str) -> None:
    for request in (kling(image=link), DreamActor(link, VIDEO)):
        assert body_of(request)["imageUrl"] == link
        assert list(request.media()) == []


@pytest.mark.parametrize("link", PASSING)
def test_character_motion_transfer_refuses_links_and_says_what_to_do_instead(link: str) -> None:
    remedy = "links are not taken here: download the file and give its path, or an Upload"
    with pytest.raises(InvalidRequestError, match=f"CharacterMotionTransfer.image = .*{remedy}"):
        CharacterMotionTransfer(link, "b.mp4")
    with pytest.raises(InvalidRequestError, match=f"CharacterMotionTransfer.video = .*{remedy}"):
        CharacterMotionTransfer("a.png", link)


@pytest.mark.parametrize("make", [kling, DreamActor, CharacterMotionTransfer])
def test_anything_else_is_a_local_file_that_must_go_up_first(make: Callable[..., Request]) -> None:
    request = make(image="hero.png", video=Path("dir/dance.mp4"))
    assert [media.path for media in request.media()] == [Path("hero.png"), Path("dir/dance.mp4")]
    assert list(request.uploads()) == []


def test_each_file_is_brought_with_the_limits_of_its_own_field() -> None:
    request = DreamActor("hero.png", "dance.mp4")
    image, video = request.media()
    assert (image.field, image.limits) == ("imageUrl", request.limits["imageUrl"])
    assert (video.field, video.limits) == ("videoUrl", request.limits["videoUrl"])


def test_an_upload_stands_by_its_link_where_a_link_is_taken_and_by_its_name_where_a_node_is() -> None:
    image, video = Upload(file_name="openapi/a.png", url=IMAGE), Upload(file_name="openapi/b.mp4", url=VIDEO)
    for request in (kling(image=image, video=video), DreamActor(image, video)):
        assert (body_of(request)["imageUrl"], body_of(request)["videoUrl"]) == (IMAGE, VIDEO)
        assert list(request.uploads()) == [image, video]
    nodes = CharacterMotionTransfer(image, video)
    assert body_of(nodes) == {"299##image": "openapi/a.png", "275##video": "openapi/b.mp4"}
    assert list(nodes.media()) == []


def test_a_file_that_went_up_stands_where_its_path_stood() -> None:
    request = CharacterMotionTransfer("hero.png", "dance.mp4")
    body = request.to_body(lambda source: Upload(file_name=f"openapi/{source}", url="https://example.test/x"))
    assert body == {"299##image": "openapi/hero.png", "275##video": "openapi/dance.mp4"}


# --- documented limits (contract 2.2 to 2.5) --------------------------------------------------------------------------


@pytest.mark.parametrize("model", [*V3, *V26])
@pytest.mark.parametrize(("orientation", "longest"), [("video", 30), ("image", 10)])
def test_kling_takes_what_its_page_says(model: str, orientation: str, longest: int) -> None:
    assert kling(model=model, orientation=orientation).limits == {
        "imageUrl": MediaLimits(kinds=("jpg", "png"), max_mb=10, px=(300, 65536), aspect=(1 / 2.5, 2.5)),
        "videoUrl": MediaLimits(kinds=("mp4",), max_mb=100, px=(340, 3850), seconds=(3, longest)),
    }


def test_dreamactor_takes_what_its_page_says() -> None:
    assert DreamActor(IMAGE, VIDEO).limits == {
        "imageUrl": MediaLimits(kinds=("jpg", "png"), max_mb=5, box=((480, 480), (1920, 1080))),
        "videoUrl": MediaLimits(
            kinds=("mp4", "mov", "webm"), max_mb=100, box=((200, 200), (2048, 1440)), seconds=(0, 30)
        ),
    }


def test_character_motion_transfer_only_doubts_the_sizes_its_documents_contradict() -> None:
    limits = CharacterMotionTransfer("a.png", "b.mp4").limits
    assert limits == {
        "299##image": MediaLimits(kinds=("jpg", "png"), warn_mb=10),
        "275##video": MediaLimits(kinds=("mp4", "mov"), warn_mb=10, seconds=(0, 30)),
    }


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [kling, DreamActor, CharacterMotionTransfer])
def test_equal_requests_are_one_and_none_can_be_changed(make: Callable[..., Request]) -> None:
    one, same, other = (
        make(image="a.png", video="b.mp4"),
        make(image="a.png", video="b.mp4"),
        make(image="c", video="d"),
    )
    assert len({one, same, other}) == 2
    with pytest.raises(exceptions.FrozenInstanceError):
        one.image = "c"  # type: ignore[attr-defined]


def test_elements_given_as_a_list_cannot_be_changed_afterwards() -> None:
    given = ["1"]
    request = kling(elements=given)
    given.append("2")
    assert body_of(request)["elementList"] == ["1"]
    assert len({request, kling(elements=("1",))}) == 1


def test_a_long_data_uri_or_prompt_is_cut_where_it_is_printed() -> None:
    request = kling(image="data:image/png;base64," + "A" * 5000, prompt="b" * 2500, negative_prompt="c" * 2500)
    assert "data:image/png;base64,AAA" in repr(request)
    assert len(repr(request)) < 600
    assert len(body_of(request)["imageUrl"]) > 5000


def test_a_refused_data_uri_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CharacterMotionTransfer("data:image/png;base64," + "A" * 5000, "b.mp4")
    assert "data:image/png;base64,AAA" in str(caught.value)
    assert len(str(caught.value)) < 400
