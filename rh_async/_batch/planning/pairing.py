"""Who goes with whom: one character for all, the same name, every combination, or in order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from rh_async.issues import Issue, display_text

from .path_lookup import compose_accents

Pairing = Literal["one", "name", "product", "zip"]
ImageAndClip = tuple[Path, Path]
"""A character image and a driving video."""


def pair_inputs(
    images: Sequence[Path], clips: Sequence[Path], pair: Pairing
) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    """Pair them, and say who is left over."""
    return _RULES[pair](images, clips) if images and clips else ((), [])


def _one(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    if len(images) == 1:
        return ((images[0], clip) for clip in clips), []
    what = f"there are {len(images)} images, and one is wanted for every clip"
    hint = "Give one image, or choose how to pair them: name, product or zip"
    return (), [Issue(rule="pairing", subject=display_text(images[0]), message=what, hint=hint)]


def _product(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    return product(images, clips), []


def _zip(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    if len(images) == len(clips):
        return zip(images, clips, strict=True), []
    what = f"there are {len(images)} images and {len(clips)} clips, which cannot be paired in order"
    hint = "Give as many of one as of the other, or pair by name"
    return (), [Issue(rule="pairing", subject=display_text(clips[0]), message=what, hint=hint)]


def _name(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    by_stem: dict[str, list[Path]] = {}
    for image in images:
        by_stem.setdefault(_stem(image), []).append(image)
    couples = [(image, clip) for clip in clips for image in by_stem.get(_stem(clip), ())]
    used = {_stem(image) for image, _ in couples}
    lonely = [*_lonely(images, used, "clip"), *_lonely(clips, used, "image")]
    return couples, [*lonely, *_several(by_stem, used)]


def _stem(path: Path) -> str:
    return compose_accents(path.stem)


def _lonely(paths: Iterable[Path], used: set[str], other: str) -> Iterator[Issue]:
    for path in (path for path in paths if _stem(path) not in used):
        what = f"has no {other} of the same name"
        hint = f"Add {'an' if other == 'image' else 'a'} {other} named {display_text(path.stem)!r}"
        yield Issue(rule="no partner", subject=display_text(path), message=what, hint=hint)


def _several(by_stem: Mapping[str, Sequence[Path]], used: set[str]) -> Iterator[Issue]:
    for stem in (stem for stem, images in by_stem.items() if len(images) > 1 and stem in used):
        names = ", ".join(display_text(image.name) for image in by_stem[stem])
        what = f"{len(by_stem[stem])} images have this name ({names}); each makes a job"
        yield Issue(rule="several partners", subject=display_text(stem), message=what, hint="Remove what is not wanted",
                      severity="warning")  # fmt: skip


_RULES: Mapping[Pairing, Callable[[Sequence[Path], Sequence[Path]], tuple[Iterable[ImageAndClip], list[Issue]]]] = (
    MappingProxyType({"one": _one, "name": _name, "product": _product, "zip": _zip})
)
