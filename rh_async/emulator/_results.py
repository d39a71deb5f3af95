"""What a task made: a picture of who met whom where it can be drawn, the driving video itself elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

from attrs import define, field

from rh_async.emulator._board import Board
from rh_async.emulator._params import Inputs
from rh_async.emulator._tiny import TINY_MP4


@define(eq=False, kw_only=True)
class Results:
    """The outputs of one emulator, drawn once for each pair of inputs.

    :param render: whether to draw the character into the driving video, which needs PyAV and Pillow.
    """

    _board: Board
    _folder: Path
    _render: bool
    _drawn: dict[str, asyncio.Future[Path]] = field(factory=dict, init=False)

    async def path(self, task_id: str) -> Path | None:
        """Return the file that a task made, None if it has not."""
        task = self._board.find(task_id)
        if task is None or task.status != "SUCCESS":
            return None
        if task.inputs.video is None:
            return await self._once("tiny", task.inputs)
        if not self._render or task.inputs.image is None:
            return task.inputs.video.path
        return await self._once(f"{task.inputs.image.sha256}-{task.inputs.video.sha256}", task.inputs)

    async def _once(self, name: str, inputs: Inputs) -> Path:
        """Make a file on its first demand; those who ask meanwhile wait for the same one."""
        if name not in self._drawn:
            path = self._folder / f"result-{name}.mp4"
            self._drawn[name] = asyncio.ensure_future(asyncio.to_thread(_make, path, inputs))
        return await asyncio.shield(self._drawn[name])


def _make(path: Path, inputs: Inputs) -> Path:
    if inputs.image is None or inputs.video is None:
        path.write_bytes(TINY_MP4)
    else:
        from rh_async.emulator._render import composite  # noqa: PLC0415 - PyAV and Pillow are heavy and optional

        composite(inputs.image.path, inputs.video.path, path)
    return path
