"""Creates the file that a successful task delivers: the driving video, or a sample of the model's output kind.

No two tasks deliver the same bytes, so that a test notices a client that submits a job again, or saves the output of
one job as that of another.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from attrs import define, field

from rh_async.emulator.outputs.sample_files import OUTPUT_FORMATS, free_box
from rh_async.emulator.state.emulated_task import Task, TaskInputs
from rh_async.emulator.state.task_store import TaskStore

_MP4_LIKE = frozenset({"mp4", "mov"})  #: formats that a box with the task's id can be appended to


@define(eq=False, kw_only=True)
class TaskResults:
    """The output files of one emulator, each created when it is first requested.

    :param render: whether to draw the character image into the driving video, which needs PyAV and Pillow.
    """

    _task_store: TaskStore
    _folder: Path
    _render: bool
    _files: dict[str, asyncio.Future[Path]] = field(factory=dict, init=False)

    async def find(self, task_id: str) -> Path | None:
        """Return the file that a task delivers; None if the task has not succeeded."""
        task = self._task_store.find(task_id)
        if task is None or task.status != "SUCCESS":
            return None
        name = f"result-{task_id}.{OUTPUT_FORMATS[task.model.output_kind].extension}"
        if name not in self._files:
            self._files[name] = asyncio.ensure_future(self._create(self._folder / name, task))
        return await asyncio.shield(self._files[name])  # a client that disconnects must not cancel it for the next

    async def _create(self, path: Path, task: Task) -> Path:
        video = await self._video_for(task.inputs) if task.model.output_kind == "video" else None
        return await asyncio.to_thread(_write, video, path, task)

    async def _video_for(self, inputs: TaskInputs) -> Path | None:
        """Return the video that the result shows, rendered once per pair of inputs; None for the sample video."""
        if inputs.video is None or (inputs.video.extension not in _MP4_LIKE and not self._render):
            return None
        if not self._render or inputs.image is None:
            return inputs.video.path
        name = f"drawn-{inputs.image.sha256}-{inputs.video.sha256}.mp4"
        if name not in self._files:
            rendering = asyncio.to_thread(_render, inputs.image.path, inputs.video.path, self._folder / name)
            self._files[name] = asyncio.ensure_future(rendering)
        return await asyncio.shield(self._files[name])


def _render(image: Path, video: Path, target: Path) -> Path:
    from rh_async.emulator.outputs.video_overlay import overlay_image  # noqa: PLC0415 - PyAV and Pillow are optional

    overlay_image(image, video, target)
    return target


def _write(video: Path | None, path: Path, task: Task) -> Path:
    """Write a sample file, or the video with the task's id appended in a box that players ignore."""
    if video is None:
        path.write_bytes(OUTPUT_FORMATS[task.model.output_kind].create(task.task_id))
        return path
    shutil.copyfile(video, path)
    with path.open("ab") as file:
        file.write(free_box(task.task_id))
    return path
