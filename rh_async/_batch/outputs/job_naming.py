"""Name the outputs of a job that no plan holds: one of `Session.run` or `Session.map`."""

from __future__ import annotations

from pathlib import Path

from rh_async._batch.session_port import Naming
from rh_async.job import Job
from rh_async.models.base import MediaValue
from rh_async.models.media_input import Media
from rh_async.types import TaskId, Upload

from .output_naming import NameFields, OutputNaming
from .output_writer import FileNames


def naming_of(job: Job, naming: OutputNaming, number: int) -> Naming:
    """Return what names the outputs of a job.

    A name that does not hold the task id gets it at its end. Else a second job for the same clip would find the file of
    the first one under its own name, and take it for its own output.

    :param number: of the job among those of its call.
    """

    def name(task_id: TaskId, index: int, extension: str) -> str:
        stated = naming.name(
            NameFields(
                clip=_media(job, "video"),
                character=_media(job, "image"),
                task_id=task_id,
                number=number,
                model="" if job.request is None else job.request.endpoint,
                key=job.key,
            )
        )
        many = job.result is not None and len(job.result.outputs) > 1
        return FileNames(stated, many, "" if task_id in stated else task_id)(task_id, index, extension)

    return name


def _media(job: Job, field: str) -> MediaValue | None:
    value = getattr(job.request, field, None)
    return value if isinstance(value, str | Path | Upload | Media) else None
