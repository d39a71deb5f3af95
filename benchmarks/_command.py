"""The same batch as a command line: ``rh-async batch`` on a manifest, in a process of its own, and the files it leaves.

Only the polling policy is not the command's own: polls follow one another within milliseconds, for jobs that take a
moment. Every third row has files; every sixth is a motion transfer, whose key is its prompt in the ledger.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks._batch import BRISK, QUICK, Batch, Way, children, endpoint_of
from rh_async import Session
from rh_async._cli import run
from rh_async._cli.commands import batch_command as _batch
from rh_async._cli.options import connection as _connection
from rh_async._media import image as _image
from rh_async._media import video as _video
from tests.media import draw_image, film_video

__all__ = ["COMMAND"]

_PRELOADED = _batch, _image, _video  # every command loads them first; here the fork server loads them once
_COLUMNS = "key", "model", "prompt", "image", "video", "imageUrl", "videoUrl"
_MOTION = "kling-v3.0-std"
_SAVED_STATES = "saved", "already_done"


def prepare(batch: Batch) -> None:
    """Write the manifest of a batch, and the files it names, beside its journal."""
    folder = batch.journal.parent
    image, video = draw_image(folder / "hero.png"), film_video(folder / "dance.mp4")
    with (folder / "jobs.csv").open("w", newline="") as manifest:
        rows = csv.DictWriter(manifest, _COLUMNS)
        rows.writeheader()
        rows.writerows(_row(number, key, image.name, video.name) for number, key in enumerate(batch.keys))


def _row(number: int, key: str, image: str, video: str) -> dict[str, str]:
    if number % 6 == 0:
        return {"key": key, "model": _MOTION, "prompt": key, "image": image, "video": video}
    files = {"imageUrl": image, "videoUrl": video} if number % 3 == 0 else {}
    return {"key": key, "model": endpoint_of(key), "prompt": key, **files}


def begin(batch: Batch) -> tuple[BaseProcess, Connection]:
    """Run the command once.

    :return: its process, and its stdout.
    """
    here, there = _CHILDREN.Pipe(duplex=False)
    process = _CHILDREN.Process(target=_work, args=(batch, there), daemon=True)
    process.start()
    there.close()
    return process, here


def _work(batch: Batch, stdout: Connection) -> None:
    sys.stdout = open(stdout.fileno(), "w", buffering=1, closefd=False)  # noqa: SIM115 - closed by the kernel
    sys.stderr = batch.log.open("a", buffering=1)
    os.environ |= {"RUNNINGHUB_API_KEY": batch.api_key, "RUNNINGHUB_BASE_URL": batch.url}
    manifest = batch.journal.with_name("jobs.csv")
    arguments = ["batch", "--manifest", manifest, "--journal", batch.journal, "-o", batch.folder, "--json"]
    with patch.object(_connection, "Session", partial(Session, polling=BRISK, retry=QUICK)):
        sys.exit(run([str(argument) for argument in arguments]))


def messages(stdout: Connection) -> Iterator[Any]:
    """Yield every event of a command until it is dead; a line that was cut short is none."""
    with open(stdout.fileno(), "rb", closefd=False) as lines:
        yield from (json.loads(line) for line in lines if line.endswith(b"\n"))


def _is_end(event: Any) -> bool:
    return bool(event["event"] == "end")


def flaws(batch: Batch, saved: Mapping[str, tuple[Path, ...]]) -> Counter[str]:
    """Count what is wrong with the files that the last run left for people to read.

    :param saved: the outputs of every key that the journal has as saved.
    :return: ``torn``, lines that are no JSON; ``logged_twice``, outcomes with more than one line; ``not_logged``, saved
        keys without a line; ``no_sidecar``, outputs without a sidecar file; ``tracebacks``.
    """
    lines = [_read(line) for line in (batch.folder / "batch.jsonl").read_bytes().splitlines(keepends=True)]
    logged = Counter((line["key"], line["task_id"], line["state"]) for line in lines if line is not None)
    known = {key for key, _, state in logged if state in _SAVED_STATES}
    return Counter(
        torn=lines.count(None),
        logged_twice=sum(count > 1 for count in logged.values()),
        not_logged=len(saved.keys() - known),
        no_sidecar=sum(not _has_sidecar(path, key) for key, paths in saved.items() for path in paths),
        tracebacks=batch.log.read_text().count("Traceback"),
    )


def _read(line: bytes) -> Any:
    with suppress(ValueError):
        return json.loads(line) if line.endswith(b"\n") else None


def _has_sidecar(path: Path, key: str) -> bool:
    try:
        sidecar = json.loads(path.with_name(f"{path.name}.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(sidecar["key"] == key and path.name in sidecar["outputs"] and path.stat().st_size)


_CHILDREN = children(__name__)
COMMAND = Way(
    prepare=prepare,
    begin=begin,
    messages=messages,
    is_last=_is_end,
    exit_codes=frozenset({0, 1}),
    message_count=16,  # one per job, and a few
    longest_seconds=1.2,
    flaws=flaws,
    run_time=0.3,
    hangs=False,
    rounds=60,
    results="crash_batch",
)
