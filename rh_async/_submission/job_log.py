"""Logs the life of each job, one INFO line per change, with its key, task id and endpoint.

The logger is ``rh_async.jobs``. Each message begins with the name of the event, and the record has the facts as
attributes (``extra=``): ``event``, ``key``, ``task_id``, ``endpoint``. The events:

``rh_async.queued``
    The session has taken the job in; nothing is sent yet.
``rh_async.accepted``
    The server has accepted the job: it is paid.
``rh_async.status``
    The server names another status.
``rh_async.settled``
    The job ended, with its last status or with the error that ended it.
``rh_async.saved``
    Its outputs are on disk.

HTTP calls are logged by ``rh_async.calls`` (`call_log`). Neither logger writes the API key, a link's signature or a
body.
"""

from __future__ import annotations

import logging

from rh_async._printable import one_line
from rh_async.job import Job

jobs = logging.getLogger("rh_async.jobs")


def log_job(event: str, job: Job, *, says: object = "") -> None:
    """Log one change of a job.

    :param event: one of those above, without ``rh_async.``.
    :param says: what there is to say beside it: a status, an error.
    """
    endpoint = None if job.request is None else job.request.endpoint
    log_change(event, key=job.key, task_id=job.task_id, endpoint=endpoint, says=says)


def log_change(
    event: str, *, key: str | None = None, task_id: str | None, endpoint: str | None = None, says: object = ""
) -> None:
    """Log one change of a task whose job is not at hand; parameters as in `log_job`."""
    if not jobs.isEnabledFor(logging.INFO):
        return
    facts = {"key": key, "task_id": task_id, "endpoint": endpoint}
    fields = " ".join(f"{name}={one_line(str(fact), longest=200)}" for name, fact in facts.items() if fact)
    message = " ".join(filter(None, [fields, one_line(str(says))]))
    jobs.info("rh_async.%s %s", event, message, extra={"event": event, **facts})
