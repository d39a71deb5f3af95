"""What a task made: the driving video, with the character drawn into it where it can be, and the task's id at its end.

No two tasks make the same bytes. A client that buys a job again, or saves one job's output as another's, is seen so.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
from pathlib import Path

from attrs import define, field

from rh_async.emulator._board import Board, Task
from rh_async.emulator._params import Inputs
from rh_async.emulator._tiny import TINY_MP4

_HOLDS_BOXES = frozenset({"mp4", "mov"})


@define(eq=False, kw_only=True)
class Results:
    """The outputs of one emulator, each made when it is first asked for.

    :param render: whether to draw the character into the driving video, which needs PyAV and Pillow.
    """

    _board: Board
    _folder: Path
    _render: bool
    _made: dict[str, asyncio.Future[Path]] = field(factory=dict, init=False)

    async def path(self, task_id: str) -> Path | None:
        """Return the file that a task made, None if it has not."""
        task = self._board.find(task_id)
        if task is None or task.status != "SUCCESS":
            return None
        return await self._once(f"result-{task_id}.mp4", task)

    async def _once(self, name: str, task: Task) -> Path:
        """Make a file on its first demand; those who ask meanwhile wait for the same one."""
        if name not in self._made:
            self._made[name] = asyncio.ensure_future(self._make(self._folder / name, task))
        return await asyncio.shield(self._made[name])

    async def _make(self, path: Path, task: Task) -> Path:
        picture = await self._picture(task.inputs)
        return await asyncio.to_thread(_signed, picture, path, task.task_id)

    async def _picture(self, inputs: Inputs) -> Path | None:
        """Return the video that the file shows, drawn once for each pair of inputs; None for the smallest one."""
        if inputs.video is None or (inputs.video.extension not in _HOLDS_BOXES and not self._render):
            return None
        if not self._render or inputs.image is None:
            return inputs.video.path
        name = f"drawn-{inputs.image.sha256}-{inputs.video.sha256}.mp4"
        if name not in self._made:
            drawing = asyncio.to_thread(_draw, inputs.image.path, inputs.video.path, self._folder / name)
            self._made[name] = asyncio.ensure_future(drawing)
        return await asyncio.shield(self._made[name])


def _draw(image: Path, video: Path, target: Path) -> Path:
    from rh_async.emulator._render import composite  # noqa: PLC0415 - PyAV and Pillow are heavy and optional

    composite(image, video, target)
    return target


def _signed(picture: Path | None, path: Path, task_id: str) -> Path:
    """Write a video and, after it, the task's id in a box that every player skips."""
    if picture is None:
        path.write_bytes(TINY_MP4)
    else:
        shutil.copyfile(picture, path)
    with path.open("ab") as file:
        file.write(free_box(task_id))
    return path


def free_box(task_id: str) -> bytes:
    """Return the box of an MP4 that holds a task's id and means nothing (ISO 14496-12, 8.1.2)."""
    content = f"rh_async.emulator task {task_id}".encode()
    return struct.pack(">I4s", 8 + len(content), b"free") + content
