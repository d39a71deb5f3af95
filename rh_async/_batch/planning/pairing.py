"""Pairs images with clips: one image for all, by equal names, in every combination, or in order. Pure."""

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
    """Pair images with clips, and report those without a partner."""
    return _RULES[pair](images, clips) if images and clips else ((), [])


def _one(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    if len(images) == 1:
        return ((images[0], clip) for clip in clips), []
    message = f"there are {len(images)} images, and one is wanted for every clip"
    hint = "Give one image, or choose how to pair them: name, product or zip"
    return (), [Issue(rule="pairing", subject=display_text(images[0]), message=message, hint=hint)]


def _product(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    return product(images, clips), []


def _zip(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    if len(images) == len(clips):
        return zip(images, clips, strict=True), []
    message = f"there are {len(images)} images and {len(clips)} clips, which cannot be paired in order"
    hint = "Give as many of one as of the other, or pair by name"
    return (), [Issue(rule="pairing", subject=display_text(clips[0]), message=message, hint=hint)]


def _name(images: Sequence[Path], clips: Sequence[Path]) -> tuple[Iterable[ImageAndClip], list[Issue]]:
    by_stem: dict[str, list[Path]] = {}
    for image in images:
        by_stem.setdefault(_stem(image), []).append(image)
    couples = [(image, clip) for clip in clips for image in by_stem.get(_stem(clip), ())]
    used = {_stem(image) for image, _ in couples}
    unpaired = [*_unpaired(images, used, "clip"), *_unpaired(clips, used, "image")]
    return couples, [*unpaired, *_ambiguous(by_stem, used)]


def _stem(path: Path) -> str:
    return compose_accents(path.stem)


def _unpaired(paths: Iterable[Path], used: set[str], other: str) -> Iterator[Issue]:
    for path in (path for path in paths if _stem(path) not in used):
        message = f"has no {other} of the same name"
        hint = f"Add {'an' if other == 'image' else 'a'} {other} named {display_text(path.stem)!r}"
        yield Issue(rule="no partner", subject=display_text(path), message=message, hint=hint)


def _ambiguous(by_stem: Mapping[str, Sequence[Path]], used: set[str]) -> Iterator[Issue]:
    for stem in (stem for stem, images in by_stem.items() if len(images) > 1 and stem in used):
        names = ", ".join(display_text(image.name) for image in by_stem[stem])
        message = f"{len(by_stem[stem])} images have this name ({names}); each makes a job"
        hint = "Remove what is not wanted"
        yield Issue(rule="several partners", subject=display_text(stem), message=message, hint=hint, severity="warning")


_RULES: Mapping[Pairing, Callable[[Sequence[Path], Sequence[Path]], tuple[Iterable[ImageAndClip], list[Issue]]]] = (
    MappingProxyType({"one": _one, "name": _name, "product": _product, "zip": _zip})
)
