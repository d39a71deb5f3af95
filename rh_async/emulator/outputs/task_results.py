"""What a task made: a file of its model's kind, with the task's id inside. A video shows the driving video it got.

No two tasks make the same bytes. A client that buys a job again, or saves one job's output as another's, is seen so.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from attrs import define, field

from rh_async.emulator.http.request_validation import TaskInputs
from rh_async.emulator.outputs.sample_files import OUTPUT_FORMATS, free_box
from rh_async.emulator.state.task_store import Task, TaskStore

_HOLDS_BOXES = frozenset({"mp4", "mov"})


@define(eq=False, kw_only=True)
class TaskResults:
    """The outputs of one emulator, each made when it is first asked for.

    :param render: whether to draw the character into the driving video, which needs PyAV and Pillow.
    """

    _task_store: TaskStore
    _folder: Path
    _render: bool
    _made: dict[str, asyncio.Future[Path]] = field(factory=dict, init=False)

    async def path(self, task_id: str) -> Path | None:
        """Return the file that a task made, None if it has not."""
        task = self._task_store.find(task_id)
        if task is None or task.status != "SUCCESS":
            return None
        return await self._once(f"result-{task_id}.{OUTPUT_FORMATS[task.model.output].extension}", task)

    async def _once(self, name: str, task: Task) -> Path:
        """Make a file on its first demand; those who ask meanwhile wait for the same one."""
        if name not in self._made:
            self._made[name] = asyncio.ensure_future(self._make(self._folder / name, task))
        return await asyncio.shield(self._made[name])

    async def _make(self, path: Path, task: Task) -> Path:
        picture = await self._picture(task.inputs) if task.model.output == "video" else None
        return await asyncio.to_thread(_write, picture, path, task)

    async def _picture(self, inputs: TaskInputs) -> Path | None:
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
    from rh_async.emulator.outputs.video_overlay import overlay_image  # noqa: PLC0415 - PyAV and Pillow are heavy and optional

    overlay_image(image, video, target)
    return target


def _write(picture: Path | None, path: Path, task: Task) -> Path:
    """Write a file of the model's kind; after a given video, the task's id in a box that every player skips."""
    if picture is None:
        path.write_bytes(OUTPUT_FORMATS[task.model.output].make(task.task_id))
        return path
    shutil.copyfile(picture, path)
    with path.open("ab") as file:
        file.write(free_box(task.task_id))
    return path
