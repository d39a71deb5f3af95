"""Plans the jobs of folders of clips and of character images."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from attrs import frozen

from rh_async._batch.recorded_outputs.known_outputs import KnownOutputs
from rh_async.errors import InvalidRequestError
from rh_async.issues import Issue, display_text
from rh_async.models.base import Request

from .discovery import find_inputs
from .pairing import Pairing, pair_inputs
from .plan import Plan
from .plan_builder import JobDraft, build_plan, select_items
from .prober import Prober

RequestFactory = Callable[[Path, Path], Request]
"""Makes a request from a character image and a driving video."""

Source = str | os.PathLike[str]


async def plan_folder(
    clips: Source | Sequence[Source],
    images: Source | Sequence[Source],
    *,
    make: RequestFactory,
    pair: Pairing = "one",
    recursive: bool = False,
    outputs: Source | Sequence[Source] = (),
    include_outputs: bool = False,
    limit: int | None = None,
    shuffle: Random | None = None,
    prober: Prober | None = None,
) -> Plan:
    """Plan a job for every clip and its character; what is wrong is in the plan, not raised.

    :param clips: driving videos: files, folders or patterns.
    :param images: character images, likewise.
    :param make: makes each request from its image and its clip.
    :param pair: ``one`` image for all, the same ``name`` but for the suffix, every combination (``product``), or in
        order (``zip``).
    :param recursive: whether folders are searched with all that is in them.
    :param outputs: the folder outputs will go to, or several, or files known to be outputs. What lies in such a folder
        is no input, where the folder lies inside one that is searched. Nor is, wherever it lies, what has the
        ``.json`` of an earlier run beside it, or is named in the ``batch.jsonl`` of its folder.
    :param include_outputs: whether outputs are taken as inputs.
    :param limit: plan only the first so many jobs, after shuffling.
    :param shuffle: puts the jobs in a random order.
    :param prober: probes the files and caches the results; a new one by default.
    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    known = None if include_outputs else _as_sequence(outputs)
    folders = _Folders(_as_sequence(clips), _as_sequence(images), pair, recursive, known)
    drafts, issues = await asyncio.to_thread(folders.drafts, make, limit, shuffle)
    return await build_plan(drafts, issues, prober)


def _as_sequence(sources: Source | Sequence[Source]) -> Sequence[Source]:
    return (sources,) if isinstance(sources, str | os.PathLike) else sources


@frozen
class _Folders:
    clips: Sequence[Source]
    images: Sequence[Source]
    pair: Pairing
    recursive: bool
    outputs: Sequence[Source] | None

    def drafts(
        self, make: RequestFactory, limit: int | None, shuffle: Random | None
    ) -> tuple[list[JobDraft], list[Issue]]:
        outputs = None if self.outputs is None else KnownOutputs.of(self.outputs)
        clips = find_inputs(self.clips, "clips", recursive=self.recursive, outputs=outputs)
        images = find_inputs(self.images, "images", recursive=self.recursive, outputs=outputs)
        couples, unpaired = pair_inputs(images.paths, clips.paths, self.pair)
        picked = select_items(enumerate(couples, start=1), limit=limit, shuffle=shuffle)
        drafts = [_draft(number, image, clip, make) for number, (image, clip) in picked]
        return drafts, [*clips.issues, *images.issues, *unpaired]


def _draft(number: int, image: Path, clip: Path, make: RequestFactory) -> JobDraft:
    try:
        return JobDraft(number=number, source=display_text(clip), request=make(image, clip))
    except InvalidRequestError as error:
        subject, hint = display_text(clip), "Correct the options"
        refused = Issue(rule="refused request", subject=subject, message=error.message, hint=hint)
        return JobDraft(number=number, source=display_text(clip), issues=(refused,))
