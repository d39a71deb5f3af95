"""Manifests in CSV, JSON lines and TOML: one row per job, with any column of its model."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl
from rh_async.batch import Plan, plan_manifest
from rh_async.models.kling import KlingModel

pytestmark = pytest.mark.quick

WAYS = {
    "a.csv": "image,video,model,orientation,prompt,negative_prompt,keep_original_sound,elements,webhook_url,key\n"
    "hero.png,clip1.mp4,kling-v3.0-pro,image,wave,blur,no,e1;e2,https://example.org/hook,first\n",
    "a.jsonl": '{"image": "hero.png", "video": "clip1.mp4", "model": "kling-v3.0-pro", "orientation": "image",'
    ' "prompt": "wave", "negative_prompt": "blur", "keep_original_sound": false, "elements": ["e1", "e2"],'
    ' "webhook_url": "https://example.org/hook", "key": "first"}\n',
    "a.toml": '[[job]]\nimage = "hero.png"\nvideo = "clip1.mp4"\nmodel = "kling-v3.0-pro"\norientation = "image"\n'
    'prompt = "wave"\nnegative_prompt = "blur"\nkeep_original_sound = false\nelements = ["e1", "e2"]\n'
    'webhook_url = "https://example.org/hook"\nkey = "first"\n',
}


async def planned(media: Path, name: str, text: str) -> Plan:
    """Plan a manifest of this text."""
    (media / name).write_text(text)
    return await plan_manifest(media / name)


@pytest.mark.parametrize("name", WAYS)
async def test_a_row_may_fill_every_column_of_its_model(media: Path, name: str) -> None:
    (entry,) = (await planned(media, name, WAYS[name])).entries
    assert entry.issues == ()
    assert entry.key == "first"
    assert entry.request == KlingMotionControl(
        media / "hero.png",
        media / "clip1.mp4",
        model="kling-v3.0-pro",
        orientation="image",
        prompt="wave",
        negative_prompt="blur",
        keep_original_sound=False,
        elements=("e1", "e2"),
        webhook_url="https://example.org/hook",
    )


async def test_one_manifest_may_have_rows_of_different_models(media: Path) -> None:
    rows = "model,image,video\ndreamactor-v2,alpha.png,clip1.mp4\nwan2.2,hero.png,clip1.mp4\n,hero.png,clip1.mp4\n"
    plan = await planned(media, "mixed.csv", rows)
    kinds = [type(entry.request) for entry in plan.entries]
    assert kinds == [DreamActor, CharacterMotionTransfer, KlingMotionControl]


async def test_defaults_fill_what_a_row_leaves_out_where_its_model_takes_it(media: Path) -> None:
    manifest = media / "defaults.csv"
    manifest.write_text("video,model,prompt\nclip1.mp4,,own\nclip1.mp4,wan2.2,\nclip1.mp4,,\n")
    chosen: KlingModel = "kling-v2.6-std"
    defaults = {"image": media / "hero.png", "prompt": "all", "model": chosen}
    plan = await plan_manifest(manifest, defaults=defaults)
    hero, clip = media / "hero.png", media / "clip1.mp4"
    assert [entry.request for entry in plan.entries] == [
        KlingMotionControl(hero, clip, model=chosen, prompt="own"),
        CharacterMotionTransfer(hero, clip),
        KlingMotionControl(hero, clip, model=chosen, prompt="all"),
    ]


async def test_links_are_sent_unchanged_and_have_no_list_price(media: Path) -> None:
    plan = await planned(media, "links.csv", "image,video\nhttps://example.org/a.png,https://example.org/b.mp4\n")
    (entry,) = plan.entries
    assert not entry.refused
    assert (entry.clip, entry.price, plan.unpriced) == ("https://example.org/b.mp4", None, 1)


async def test_equal_keys_of_equal_rows_are_one_job_and_other_keys_are_more(media: Path) -> None:
    rows = "key,image,video\na,hero.png,clip1.mp4\na,hero.png,clip1.mp4\nb,hero.png,clip1.mp4\n"
    plan = await planned(media, "keys.csv", rows)
    assert [entry.duplicate_of for entry in plan.entries] == [None, 1, None]
    assert plan.is_valid


async def test_requests_that_differ_in_their_very_middle_are_not_the_same(media: Path) -> None:
    long = "word " * 60
    same = '"image": "hero.png", "video": "clip1.mp4", "elements": [{"id": 1}]'
    rows = "".join(f'{{{same}, "prompt": "{long}{n}{long}"}}\n' for n in "ab")
    plan = await planned(media, "long.jsonl", rows)
    assert [entry.duplicate_of for entry in plan.entries] == [None, None]


async def test_rows_keep_their_numbers_when_they_are_shuffled(media: Path) -> None:
    manifest = media / "order.csv"
    manifest.write_text("image,video,prompt\n" + "".join(f"hero.png,clip1.mp4,{n}\n" for n in range(1, 10)))
    plan = await plan_manifest(manifest, limit=5, shuffle=Random(3))
    numbers = [entry.number for entry in plan.entries]
    assert len(numbers) == 5
    assert numbers != sorted(numbers)
    assert [entry.request.prompt for entry in plan.entries if isinstance(entry.request, KlingMotionControl)] == [
        str(number) for number in numbers
    ]
    assert [entry.line for entry in plan.entries] == [number + 1 for number in numbers]


async def test_a_limit_probes_only_the_files_of_its_jobs(media: Path) -> None:
    manifest = media / "limited.csv"
    manifest.write_text("image,video\nhero.png,clip1.mp4\nhero.png,clip2.mp4\n")
    plan = await plan_manifest(manifest, limit=1)
    assert set(plan.media_info) == {media / "hero.png", media / "clip1.mp4"}


async def test_rows_that_differ_in_orientation_alone_are_checked_by_their_own_limits(media: Path) -> None:
    rows = "image,video,orientation\nhero.png,twelve.mp4,video\nhero.png,twelve.mp4,image\n"
    plan = await planned(media, "turned.csv", rows)
    assert [entry.refused for entry in plan.entries] == [False, True]


async def test_true_is_not_one(media: Path) -> None:
    plan = await planned(media, "types.jsonl", '{"model": "a/b", "x": 1}\n{"model": "a/b", "x": true}\n')
    assert [entry.request and repr(entry.request.parameters()) for entry in plan.entries] == ["{'x': 1}", "{'x': True}"]
    assert [entry.duplicate_of for entry in plan.entries] == [None, None]


@pytest.mark.parametrize(
    ("key", "says"), [('"' + "k" * 501 + '"', "501 characters"), ('"\\ud800"', "is no UTF-8"), ("7", "is no text")]
)
async def test_a_key_that_the_journal_cannot_store_is_refused_before_anything_is_sent(
    media: Path, key: str, says: str
) -> None:
    row = f'{{"image": "hero.png", "video": "clip1.mp4", "key": {key}}}\n'
    plan = await planned(media, "keys.jsonl", row)
    assert plan.ready == ()
    assert any(says in example for refusal in plan.errors_by_rule() for example in refusal.examples)


async def test_a_key_in_bytes_that_are_no_utf8_is_refused(media: Path) -> None:
    (media / "bytes.csv").write_bytes(b"image,video,key\nhero.png,clip1.mp4,k\xff\x81\n")
    plan = await plan_manifest(media / "bytes.csv")
    assert plan.ready == ()
