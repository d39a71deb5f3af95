"""Handles the calls about one task: submit, query and cancel (contract 3, 4, 6)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from random import Random

from aiohttp import web
from attrs import define

from rh_async.emulator.http.bearer_auth import ApiKeys
from rh_async.emulator.http.payloads import (
    Json,
    envelope_payload,
    format_amount,
    submit_payload,
    task_payload,
    usage_payload,
)
from rh_async.emulator.http.request_context import FAULT_KIND, TASK_ID, parse_json_object, read_json_object
from rh_async.emulator.http.task_factory import TaskFactory
from rh_async.emulator.outputs.sample_files import OUTPUT_FORMATS
from rh_async.emulator.state.emulated_task import Task
from rh_async.emulator.state.ledger import CallRecord, Ledger, SubmitRecord
from rh_async.emulator.state.rejections import RequestRejected
from rh_async.emulator.state.signed_urls import UrlSigner
from rh_async.emulator.state.task_store import TaskStore

_INT64 = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_VALID_WORKFLOW_TIPS = json.dumps({"result": True, "error": None, "outputs_to_execute": ["4"], "node_errors": {}})


@define(eq=False, kw_only=True)
class TaskHandlers:
    """The handlers of these calls.

    :param rng: draws client ids.
    """

    _clock: Callable[[], float]
    _api_keys: ApiKeys
    _task_factory: TaskFactory
    _task_store: TaskStore
    _url_signer: UrlSigner
    _ledger: Ledger
    _rng: Random

    async def submit(self, request: web.Request) -> web.Response:
        """Create a task (contract 3)."""
        raw = await request.read()
        endpoint, body = request.match_info["endpoint"], Json()
        try:
            body = parse_json_object(request, raw)
            task = self._task_factory.create(self._api_keys.authenticate(request), endpoint, body)
        except RequestRejected as rejected:
            # Recorded too, because tests count every submit that a client sent, not only those that created a task.
            self._record_submit(request, body, code=rejected.code)
            raise
        request[TASK_ID] = task.task_id
        self._record_submit(request, body, task_id=task.task_id)
        return web.json_response(self._accepted_payload(task))

    async def record_unexecuted_submit(self, request: web.Request, *, read_body: bool) -> None:
        """Record a submit that is not executed because of a fault.

        :param read_body: whether to read the request's body before.
        """
        body = Json()
        if read_body:
            with suppress(RequestRejected):
                body = parse_json_object(request, await request.read())
        self._record_submit(request, body)

    async def query(self, request: web.Request) -> web.Response:
        """Report the state of a task (contract 4)."""
        value = (await read_json_object(request)).get("taskId")
        task_id = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        self._ledger.calls.append(CallRecord(at=self._clock(), kind="query", task_id=task_id))
        request[TASK_ID] = task_id
        # Contract 4.3: the server parses the id as a 64-bit integer, and validates it before the key.
        if not _INT64.fullmatch(task_id):
            raise RequestRejected("1007")
        if int(task_id) == 0:
            raise RequestRejected("1007", "field 'taskId' is invalid")
        task = self._find_task(self._api_keys.authenticate(request), task_id)
        if task is None:
            raise RequestRejected("1004", task_id=task_id)
        return web.json_response(self._query_payload(task))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a task (contract 6)."""
        body = await read_json_object(request)
        task_id = str(body.get("taskId", ""))
        self._ledger.calls.append(CallRecord(at=self._clock(), kind="cancel", task_id=task_id))
        task = self._find_task(self._api_keys.authenticate_v1(request, body.get("apiKey")), task_id)
        if task is None:
            raise RequestRejected("807")
        self._task_store.cancel(task)
        return web.json_response(envelope_payload())

    def _find_task(self, key_type: str, task_id: str) -> Task | None:
        """Return a task if it was submitted with the same key."""
        task = self._task_store.find(task_id)
        return task if task is not None and task.key_type == key_type else None

    def _record_submit(self, request: web.Request, body: Json, *, code: str = "", task_id: str = "") -> None:
        endpoint, fault = request.match_info["endpoint"], request.get(FAULT_KIND, "")
        self._ledger.submissions.append(
            SubmitRecord(at=self._clock(), endpoint=endpoint, body=body, code=code, task_id=task_id, fault=fault)
        )

    def _accepted_payload(self, task: Task) -> Json:
        if task.status == "SUCCESS":
            return submit_payload(task.task_id, task.status) | {"results": self._result_payloads(task)}
        if task.effect.prompt_tips:
            return submit_payload(task.task_id, task.status, prompt_tips=task.effect.prompt_tips)
        if not task.model.is_workflow:
            return submit_payload(task.task_id, task.status)
        client_id = f"{self._rng.getrandbits(128):032x}"
        return submit_payload(task.task_id, task.status, client_id=client_id, prompt_tips=_VALID_WORKFLOW_TIPS)

    def _query_payload(self, task: Task) -> Json:
        effect = task.effect
        if self._clock() < task.created_at + effect.not_found_seconds:
            raise RequestRejected("1004", task_id=task.task_id)
        if effect.unknown_status_responses:
            effect.unknown_status_responses -= 1
            return task_payload(task.task_id, effect.task_status)
        if task.status == "FAILED":
            return _failure_payload(task)
        if task.status != "SUCCESS":
            return task_payload(task.task_id, task.status)
        usage = usage_payload(format_amount(task.charged))
        return task_payload(task.task_id, task.status, results=self._result_payloads(task), usage=usage)

    def _result_payloads(self, task: Task) -> list[Json] | None:
        if task.effect.responses_without_results:
            task.effect.responses_without_results -= 1
            return None
        kind, output = task.model.output_kind, OUTPUT_FORMATS[task.model.output_kind]
        output_type = task.effect.output_type or output.extension
        if kind == "text":
            text = output.create(task.task_id).decode()
            return [{"url": None, "nodeId": None, "outputType": output_type, "text": text}]
        url = self._url_signer.sign(f"/output/{task.task_id}/{kind}_00001.{output.extension}")
        return [{"url": url, "nodeId": None, "outputType": output_type, "text": None}]


def _failure_payload(task: Task) -> Json:
    effect = task.effect
    return task_payload(
        task.task_id,
        task.status,
        code=effect.code,
        message=effect.message,
        usage=usage_payload(None, coins=None) if effect.has_usage else None,
        failed_reason=effect.failed_reason,
    )
