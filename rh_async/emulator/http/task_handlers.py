"""The calls about tasks: submit, query, cancel, and what the account says about itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from random import Random
from types import MappingProxyType

from aiohttp import web
from attrs import define, evolve

from rh_async.emulator.catalogue.emulated_models import Model, RunTime
from rh_async.emulator.catalogue.model_catalogue import ModelCatalogue
from rh_async.emulator.catalogue.pricing import Price, request_price
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.faults.task_effects import task_effect
from rh_async.emulator.http.bearer_auth import FAULT_KIND, TASK_ID, ApiKeys, parse_json_object, read_json_object
from rh_async.emulator.http.payloads import Json, RequestRejected, amount, counts, envelope, flat, submitted, usage
from rh_async.emulator.http.request_validation import TaskInputs, check
from rh_async.emulator.outputs.sample_files import OUTPUT_FORMATS
from rh_async.emulator.state.file_store import FileStore
from rh_async.emulator.state.ledger import CallKind, CallRecord, Ledger, SubmitRecord
from rh_async.emulator.state.signed_urls import UrlSigner
from rh_async.emulator.state.task_store import Task, TaskStore

_SIGNS = {"CNY": "¥", "USD": "$"}
_UNITS: Mapping[str, str] = MappingProxyType({"call": "次", "image": "张", "second": "秒"})
_LONG = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_REFUSED_TYPES = {"NORMAL": "1014", "EXCLUSIVE": "1014", "FREE": "801"}


@define(eq=False, kw_only=True)
class TaskHandlers:
    """The handlers of these calls, and the randomness of ids and run times."""

    _clock: Callable[[], float]
    _api_keys: ApiKeys
    _catalogue: ModelCatalogue
    _task_store: TaskStore
    _store: FileStore
    _links: UrlSigner
    _ledger: Ledger
    _faults: FaultInjector
    _run_time: RunTime
    _scale: float
    _currency: str
    _exchange: Decimal
    _rng: Random
    _last_id: int

    async def submit(self, request: web.Request) -> web.Response:
        """Create a task (contract 3)."""
        raw = await request.read()
        endpoint, body = request.match_info["endpoint"], Json()
        try:
            body = parse_json_object(request, raw)
            task = self._create(self._api_keys.holder(request), endpoint, body)
        except RequestRejected as refused:
            self._record_submit(request, body, code=refused.code)
            raise
        request[TASK_ID] = task.task_id
        self._record_submit(request, body, task_id=task.task_id)
        return web.json_response(self._accepted(task))

    async def record_unexecuted_submit(self, request: web.Request, *, unread: bool) -> None:
        """Write down a submit that a fault keeps from being carried out."""
        body = Json()
        if not unread:
            with suppress(RequestRejected):
                body = parse_json_object(request, await request.read())
        self._record_submit(request, body)

    async def query(self, request: web.Request) -> web.Response:
        """Say where a task stands (contract 4)."""
        asked = (await read_json_object(request)).get("taskId")
        task_id = str(asked) if isinstance(asked, str | int) and not isinstance(asked, bool) else ""
        self._record_call("query", task_id)
        request[TASK_ID] = task_id
        if not _LONG.fullmatch(task_id):
            raise RequestRejected("1007")
        if int(task_id) == 0:  # validated before the key is
            raise RequestRejected("1007", "field 'taskId' is invalid")
        task = self._find(self._api_keys.holder(request), task_id)
        if task is None:
            raise RequestRejected("1004", task_id=task_id)
        return web.json_response(self._query_payload(task))

    async def cancel(self, request: web.Request) -> web.Response:
        """Stop a task (contract 6)."""
        body = await read_json_object(request)
        task_id = str(body.get("taskId", ""))
        self._record_call("cancel", task_id)
        task = self._find(self._api_keys.confirm(request, body.get("apiKey")), task_id)
        if task is None:
            raise RequestRejected("807")
        self._task_store.cancel(task)
        return web.json_response(envelope())

    async def queue_status(self, request: web.Request) -> web.Response:
        """Count the tasks of a key (contract 9)."""
        self._record_call("queue_status")
        holder = self._api_keys.holder(request)
        there = self._task_store.counts()
        running, queued = (there.running, there.queued) if holder == "SHARED" else (0, 0)
        data = {
            "apiKeyType": holder,
            "concurrentLimit": self._task_store.limit if holder == "SHARED" else 1,
            **counts(running, queued),
            "instanceCount": "1" if holder == "EXCLUSIVE" else None,
        }
        return web.json_response(envelope(data))

    async def account(self, request: web.Request) -> web.Response:
        """Tell an account about itself (contract 6); its key's name is in lower case here, and only here."""
        body = await read_json_object(request)
        self._record_call("account")
        holder = self._api_keys.confirm(request, body.get("apikey"))
        there, shared = self._task_store.counts(), holder == "SHARED"
        balance = self._task_store.balance
        data = {
            "remainCoins": "0" if shared else "1100",
            "currentTaskCounts": str(there.running + there.queued) if shared else "0",
            "remainMoney": amount(Decimal(999) if balance is None else balance) if shared else None,
            "currency": self._currency if shared else None,
            "apiType": holder,
        }
        return web.json_response(envelope(data))

    async def app_demo(self, request: web.Request) -> web.Response:
        """Know no AI app (contract 6.4); the one v1 call that names the key in its query."""
        self._record_call("app_demo")
        self._api_keys.confirm(request, request.query.get("apiKey"))
        raise RequestRejected("901")

    async def price(self, request: web.Request) -> web.Response:
        """Quote a price without creating anything (contract 6)."""
        body = await read_json_object(request)
        self._record_call("price")
        model, inputs = self._resolve_request(self._api_keys.holder(request), request.match_info["endpoint"], body)
        price = self._price(model, body, inputs)
        if price is None:
            raise RequestRejected("1501", "PRICE_CONFIG_NOT_FOUND")
        sign, unit = _SIGNS.get(self._currency, self._currency), _UNITS.get(price.unit, price.unit)
        answer = {
            "errorCode": "",
            "errorMessage": "",
            "estimatedPrice": float(price.whole),
            "currency": self._currency,
            "priceText": f"{sign}{price.each}/{unit}",
            "priceTextEn": f"{self._currency} {price.each}/{price.unit}",
            "freeLimit": False,
            "freeLimitCount": "0",
            "remainingFreeLimitCount": "0",
            "isFreeThisCall": False,
        }
        return web.json_response(answer)

    def _price(self, model: Model, body: Json, inputs: TaskInputs) -> Price | None:
        """What a request costs in the account's currency."""
        listed = request_price(model, body, inputs)
        return None if listed is None else evolve(listed, each=listed.each * self._exchange)

    def _create(self, holder: str, endpoint: str, body: Json) -> Task:
        model, inputs = self._resolve_request(holder, endpoint, body)
        price = self._price(model, body, inputs)
        charged = Decimal(0) if price is None else price.whole
        self._task_store.admit(charged)
        self._last_id += self._rng.randrange(1, 1 << 22)
        task_id = str(self._last_id)
        fate = task_effect(self._faults.fate(task_id))
        run_time = self._scale * model.run_time(self._run_time, self._rng)
        task = Task(
            task_id=task_id,
            model=model,
            key_type=holder,
            inputs=inputs,
            run_time=0.0 if fate.settles_on_submit else run_time,
            charged=charged,
            fate=fate,
        )
        self._task_store.add(task)
        return task

    def _resolve_request(self, holder: str, endpoint: str, body: Json) -> tuple[Model, TaskInputs]:
        if (model := self._catalogue.find(endpoint)) is None:
            raise RequestRejected("1001")
        if holder in _REFUSED_TYPES:
            raise RequestRejected(_REFUSED_TYPES[holder])
        return model, check(model, body, self._store)

    def _find(self, holder: str, task_id: str) -> Task | None:
        task = self._task_store.find(task_id)
        return task if task is not None and task.key_type == holder else None

    def _accepted(self, task: Task) -> Json:
        if task.status == "SUCCESS":
            return submitted(task.task_id, task.status) | {"results": self._results(task)}
        if task.fate.prompt_tips:
            return submitted(task.task_id, task.status, prompt_tips=task.fate.prompt_tips)
        if not task.model.is_workflow:
            return submitted(task.task_id, task.status)
        prompt_tips = json.dumps({"result": True, "error": None, "outputs_to_execute": ["4"], "node_errors": {}})
        client_id = f"{self._rng.getrandbits(128):032x}"
        return submitted(task.task_id, task.status, client_id=client_id, prompt_tips=prompt_tips)

    def _query_payload(self, task: Task) -> Json:
        fate = task.fate
        if self._clock() < task.created_at + fate.not_found_seconds:
            raise RequestRejected("1004", task_id=task.task_id)
        if fate.unknown_status_responses:
            fate.unknown_status_responses -= 1
            return flat(task.task_id, fate.word)
        if task.status == "FAILED":
            return flat(
                task.task_id,
                task.status,
                code=fate.code,
                message=fate.message,
                usage=fate.usage,
                reason=fate.reason,
            )
        if task.status != "SUCCESS":
            return flat(task.task_id, task.status)
        return flat(task.task_id, task.status, results=self._results(task), usage=usage(amount(task.charged)))

    def _results(self, task: Task) -> list[Json] | None:
        if task.fate.responses_without_results:
            task.fate.responses_without_results -= 1
            return None
        kind, form = task.model.output, OUTPUT_FORMATS[task.model.output]
        called = task.fate.output_type or form.extension
        if kind == "text":
            text = form.make(task.task_id).decode()
            return [{"url": None, "nodeId": None, "outputType": called, "text": text}]
        url = self._links.sign(f"/output/{task.task_id}/{kind}_00001.{form.extension}")
        return [{"url": url, "nodeId": None, "outputType": called, "text": None}]

    def _record_submit(self, request: web.Request, body: Json, *, code: str = "", task_id: str = "") -> None:
        endpoint, fault = request.match_info["endpoint"], request.get(FAULT_KIND, "")
        self._ledger.submissions.append(
            SubmitRecord(at=self._clock(), endpoint=endpoint, body=body, code=code, task_id=task_id, fault=fault)
        )

    def _record_call(self, kind: CallKind, task_id: str | None = None) -> None:
        self._ledger.calls.append(CallRecord(at=self._clock(), kind=kind, task_id=task_id))
