"""Names of outputs follow their template, are short enough, and are allowed on every platform."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rh_async._batch.outputs.output_naming import LONGEST
from rh_async.batch import NameFields, OutputNaming
from rh_async.errors import ConfigurationError

FIELDS = NameFields(
    clip=Path("in/dance 7.mp4"),
    character=Path("hero.png"),
    task_id="2013508786110730241",
    number=7,
    model="a/b",
    key="k",
)


def test_the_default_names_clip_character_and_task() -> None:
    assert OutputNaming().name(FIELDS) == "dance 7__hero__2013508786110730241.mp4"


def test_every_placeholder_is_filled() -> None:
    names = OutputNaming("{number:04}-{key}-{model}-{clip}-{character}-{task_id}.mp4")
    assert names.name(FIELDS) == "0007-k-a_b-dance 7-hero-2013508786110730241.mp4"


@pytest.mark.parametrize(
    ("clip", "stem"),
    [
        (Path('a<b>:"|?*\\c\x07.mp4'), "a_b_______c_"),
        (Path("caf\udce9.mp4"), "caf_"),
        ("https://example.org/x/My%20clip.mp4?sign=1", "My clip"),
        ("data:video/mp4;base64,AAAA", "data"),
        (None, "none"),
    ],
)
def test_a_clips_name_becomes_safe(clip: Path | str | None, stem: str) -> None:
    assert OutputNaming("x{clip}y").name(evolve(FIELDS, clip=clip)) == f"x{stem}y"


@pytest.mark.parametrize(
    ("key", "name"), [("con", "_con"), ("LPT1.x", "_LPT1.x"), (".hidden", "_.hidden"), ("a. .", "a")]
)
def test_names_that_a_platform_reserves_are_changed(key: str, name: str) -> None:
    assert OutputNaming("{key}").name(evolve(FIELDS, key=key)) == name


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{clip}/{task_id}.mp4", "no file name may hold"),
        ("{clib}.mp4", "knows no {clib}"),
        ("{}.mp4", "knows no {}"),
        ("{clip.parent}", "knows no {clip.parent}"),
        ("{clip!r}", "special form"),
        ("{clip:>9999}", "special form"),
        ("{clip", "cannot be read"),
        (" . ", "is empty"),
        ("x" * 101, "longer than 100 bytes"),
    ],
)
def test_an_invalid_template_is_rejected_at_once(template: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        OutputNaming(template)
    assert why in str(refused.value)
    assert f"Use {OutputNaming.placeholders()} and" in str(refused.value)


@given(st.text(min_size=1, max_size=400), st.text(max_size=400), st.text(max_size=300))
def test_any_name_is_short_printable_and_keeps_its_task_id(clip: str, character: str, key: str) -> None:
    fields = evolve(FIELDS, clip=Path(f"x/{clip}.mp4"), character=Path(f"{character}.png"), key=key)
    name = OutputNaming("{key}__{clip}__{character}__{task_id}.mp4").name(fields)
    assert len(name.encode()) <= LONGEST
    assert name.endswith(f"__{FIELDS.task_id}.mp4")
    assert name.isprintable()
    assert not set(name) & set('<>:"/\\|?*')


@pytest.mark.parametrize("sign", ["x", "é", "舞", "💃"])
def test_a_long_name_is_cut_at_its_longest_part_and_never_inside_a_character(sign: str) -> None:
    name = OutputNaming().name(evolve(FIELDS, clip=Path(sign * 300 + ".mp4")))
    assert LONGEST - len(sign.encode()) < len(name.encode()) <= LONGEST
    assert name.strip(sign) == "__hero__2013508786110730241.mp4"
