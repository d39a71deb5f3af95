"""What every request shares, shown by the open door for any other model."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from attrs import exceptions

from rh_async import ModelRequest, Request, Upload
from rh_async.errors import InvalidRequestError
from rh_async.models.base import media_value, short_repr, takes_file_name
from rh_async.models.media_limits import MediaFile

pytestmark = pytest.mark.quick

MODEL = "vendor/model-v1.0"


def model(**fields: Any) -> ModelRequest:
    return ModelRequest(MODEL, fields)


def went_up(source: Path | Upload) -> Upload:
    return Upload(file_name=f"openapi/{source}", url=f"https://store.test/{source}")


class _OnDisk:
    """A path that is neither text nor `pathlib`."""

    def __fspath__(self) -> str:
        return "dir/hero.png"

    def __repr__(self) -> str:
        return "_OnDisk()"


# --- media values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("hero.png", Path("hero.png")),
        (Path("hero.png"), Path("hero.png")),
        (PurePosixPath("hero.png"), Path("hero.png")),
        (_OnDisk(), Path("dir/hero.png")),
        ("httpd.png", Path("httpd.png")),
        ("database.png", Path("database.png")),
        ("http://a", "http://a"),
        ("HTTPS://A", "HTTPS://A"),
        ("data:,", "data:,"),
        (Upload(file_name="a"), Upload(file_name="a")),
    ],
    ids=repr,
)
def test_text_is_a_local_file_unless_it_begins_like_a_link(
    given: str | os.PathLike[str] | Upload, means: object
) -> None:
    assert media_value(given) == means


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("299##image", True),
        ("1##x", True),
        ("imageUrl", False),
        ("##image", False),
        ("a299##image", False),
        ("299#image", False),
    ],
)
def test_a_field_named_after_a_node_takes_the_servers_file_name(name: str, node: bool) -> None:
    assert takes_file_name(name) is node


def test_a_short_value_is_shown_whole_and_a_long_one_by_its_ends() -> None:
    assert short_repr("x" * 78) == repr("x" * 78)
    assert short_repr("a" * 500 + "z" * 500) == f"'{'a' * 37}...{'z' * 38}'"


# --- the open door ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint", ["model", "vendor/model", "rhart-video/wan2.2/character-motion-transfer", "a_b/c.d"]
)
def test_any_endpoint_below_the_standard_models_can_be_called(endpoint: str) -> None:
    assert ModelRequest(endpoint, {}).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "/vendor/model",
        "vendor/model/",
        "vendor//model",
        "vendor model",
        "vendor/model?x=1",
        "a#b",
        "模型",
        "a\n",
        None,
        5,
        "../../uc/openapi",
        "..",
        ".",
        "vendor/../model",
        "vendor/./model",
    ],
)
def test_an_endpoint_that_is_no_path_or_leads_elsewhere_is_refused(endpoint: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ModelRequest(endpoint, {})
    assert f"ModelRequest.endpoint = {endpoint!r}: must be a path like 'vendor/model'" in str(caught.value)


def test_fields_are_sent_as_they_are() -> None:
    fields: dict[str, Any] = {
        "a": None,
        "b": [1, 2.5, True, "x"],
        "c": {"d": {"e": []}},
        "text": "hero.png",
        "link": "https://a",
    }
    assert ModelRequest(MODEL, fields).to_body(went_up) == fields


def test_tuples_and_any_mapping_become_json() -> None:
    request = model(a=(1, (2,)), b=MappingProxyType({"c": OrderedDict(d=(3,))}))
    assert request.to_body(went_up) == {"a": [1, [2]], "b": {"c": {"d": [3]}}}


def test_a_path_goes_up_first_however_deep_it_lies() -> None:
    request = model(
        image=Path("a.png"),
        images=[Path("b.png"), "https://c", [Path("d.png")]],
        inner={"deep": ({"er": Path("e.png")},)},
        text="f.png",
    )
    assert list(request.media()) == [
        MediaFile(Path("a.png"), "image"),
        MediaFile(Path("b.png"), "images"),
        MediaFile(Path("d.png"), "images"),
        MediaFile(Path("e.png"), "inner"),
    ]
    assert request.to_body(went_up) == {
        "image": "https://store.test/a.png",
        "images": ["https://store.test/b.png", "https://c", ["https://store.test/d.png"]],
        "inner": {"deep": [{"er": "https://store.test/e.png"}]},
        "text": "f.png",
    }


def test_a_node_field_takes_file_names_also_inside_lists() -> None:
    request = ModelRequest(MODEL, {"12##image": [Path("a.png"), Upload(file_name="openapi/b.png")]})
    body = request.to_body(lambda source: source if isinstance(source, Upload) else went_up(source))
    assert body == {"12##image": ["openapi/a.png", "openapi/b.png"]}


def test_uploads_are_found_however_deep_they_lie_and_can_be_renewed() -> None:
    old = Upload(file_name="openapi/a.png", url="https://old")
    request = model(images=[{"one": old}])
    assert list(request.uploads()) == [old]
    assert list(request.media()) == []
    assert request.to_body(lambda _: Upload(url="https://new")) == {"images": [{"one": "https://new"}]}


def test_the_webhook_is_sent_only_if_it_was_given() -> None:
    assert "webhookUrl" not in model(a=1).to_body(went_up)
    request = ModelRequest(MODEL, {"a": 1}, webhook_url="HTTPS://example.test/hook")
    assert request.to_body(went_up) == {"a": 1, "webhookUrl": "HTTPS://example.test/hook"}


class _Address:
    """Not text, but it looks like a link when printed, as the URL classes of HTTP libraries do."""

    def __str__(self) -> str:
        return "https://example.test/hook"


@pytest.mark.parametrize("webhook", ["", "example.test/hook", "ftp://example.test", 7, _Address()])
def test_a_webhook_that_is_no_link_is_refused(webhook: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"ModelRequest\.webhook_url = .*: must"):
        ModelRequest(MODEL, {}, webhook_url=webhook)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def loop() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"x", float("nan"), [float("inf")], {"a": object()}, {("t",): 1}, loop(), 1j],
    ids=lambda value: repr(value)[:12],
)
def test_a_field_that_is_no_json_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"ModelRequest\.x = .*: must be made of JSON values"):
        model(x=value)


def test_a_field_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        model(x=deep(100_000))


@pytest.mark.parametrize(
    "make",
    [
        lambda broken: model(x=broken),
        lambda broken: model(x={broken: 1}),
        lambda broken: ModelRequest(MODEL, {broken: 1}),
        lambda broken: ModelRequest(MODEL, {}, webhook_url=f"https://example.test/{broken}"),
        lambda broken: model(x=Upload(url=f"https://example.test/{broken}")),
        lambda broken: ModelRequest(MODEL, {"12##image": Upload(file_name=broken)}),
    ],
    ids=["value", "inner name", "name", "webhook", "link of an upload", "name of an upload"],
)
def test_text_that_no_encoding_can_carry_is_refused_wherever_it_stands(make: Callable[[str], ModelRequest]) -> None:
    with pytest.raises(InvalidRequestError):
        make("half a pair \ud800")


@pytest.mark.parametrize("name", [5, None, ("a",)])
def test_a_field_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(InvalidRequestError, match="field names must be text"):
        ModelRequest(MODEL, {name: 1})


@pytest.mark.parametrize("fields", [None, 5, "text", [1]])
def test_fields_that_are_no_mapping_are_refused(fields: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"ModelRequest\.fields = "):
        ModelRequest(MODEL, fields)


def test_an_upload_without_what_its_field_takes_is_refused_also_inside_lists() -> None:
    with pytest.raises(InvalidRequestError, match="takes a link, and the upload has none"):
        model(images=[Upload(file_name="a.png")])
    with pytest.raises(InvalidRequestError, match="takes the server's file name, and the upload has none"):
        ModelRequest(MODEL, {"12##image": [Upload(url="https://a")]})


def test_a_model_without_a_row_has_no_limits() -> None:
    assert model(image=Path("a.png")).limits == {}


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_request_keeps_its_own_copy_of_the_fields_and_never_gives_it_away() -> None:
    given = {"a": 1}
    request = ModelRequest(MODEL, given)
    given["a"] = 2
    request.parameters()["a"] = 3
    assert request.to_body(went_up) == {"a": 1}


def test_a_request_cannot_be_changed_and_equals_another_that_asks_the_same() -> None:
    request = model(a=1)
    with pytest.raises(exceptions.FrozenInstanceError):
        request.endpoint = "other"  # type: ignore[misc]
    assert request == model(a=1)
    assert request != model(a=2)


def test_long_fields_are_cut_where_they_are_printed() -> None:
    assert len(repr(model(image="data:image/png;base64," + "A" * 5000))) < 300


def test_a_request_says_what_it_is_by_its_own_class_only() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Request()  # type: ignore[abstract]


def test_a_webhook_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="give it once"):
        ModelRequest(MODEL, {"webhookUrl": "https://a.test"}, webhook_url="https://b.test")


class _Bytes:
    """A path made of bytes, as `os.scandir(b".")` gives."""

    def __fspath__(self) -> bytes:
        return b"hero.png"


def test_a_path_made_of_bytes_is_a_path() -> None:
    assert media_value(_Bytes()) == Path("hero.png")  # type: ignore[arg-type]
