"""Turns a submit request into a task: finds the model, validates and prices the request, and draws id and run time."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from attrs import define, evolve

from rh_async.emulator.catalogue.emulated_models import Model, RunTime
from rh_async.emulator.catalogue.model_catalogue import ModelCatalogue
from rh_async.emulator.catalogue.pricing import Price, request_price
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.faults.task_effects import task_effect
from rh_async.emulator.http.payloads import Json
from rh_async.emulator.http.request_validation import validate_request
from rh_async.emulator.state.emulated_task import Task, TaskInputs
from rh_async.emulator.state.file_store import FileStore
from rh_async.emulator.state.rejections import RequestRejected
from rh_async.emulator.state.task_store import TaskStore

_REJECTED_KEY_TYPES = {"NORMAL": "1014", "EXCLUSIVE": "1014", "FREE": "801"}  # contract 1.3, 8


@define(eq=False, kw_only=True)
class TaskFactory:
    """Creates the tasks of one emulator.

    :param scale: multiplies every run time.
    :param exchange_rate: what the account is charged, in its currency, for one CNY of the price list.
    :param rng: draws ids and run times.
    :param last_id: the task id before the first one.
    """

    _catalogue: ModelCatalogue
    _task_store: TaskStore
    _file_store: FileStore
    _injector: FaultInjector
    _run_time: RunTime
    _scale: float
    _exchange_rate: Decimal
    _rng: Random
    _last_id: int

    def create(self, key_type: str, endpoint: str, body: Json) -> Task:
        """Create the task of a submit, and start or queue it.

        :raises RequestRejected: the request is not valid, or the account cannot have one more task.
        """
        model, inputs, price = self.price(key_type, endpoint, body)
        charged = Decimal(0) if price is None else price.total
        # Checked first: a rejected submit must not draw random numbers, or ids and run times would depend on when a
        # client submits again.
        self._task_store.check_capacity(charged)
        self._last_id += self._rng.randrange(1, 1 << 22)
        task_id = str(self._last_id)
        effect = task_effect(self._injector.task_fault(task_id))
        run_time = self._scale * model.draw_run_time(self._run_time, self._rng)
        task = Task(
            task_id=task_id,
            model=model,
            key_type=key_type,
            inputs=inputs,
            run_time=0.0 if effect.settles_on_submit else run_time,
            charged=charged,
            effect=effect,
        )
        self._task_store.add(task)
        return task

    def price(self, key_type: str, endpoint: str, body: Json) -> tuple[Model, TaskInputs, Price | None]:
        """Return the model, the inputs and the price of a request; the price list may have no price for it.

        :raises RequestRejected: there is no such model, the key may not use it, or the request is not valid.
        """
        if (model := self._catalogue.find(endpoint)) is None:
            raise RequestRejected("1001")
        if key_type in _REJECTED_KEY_TYPES:
            raise RequestRejected(_REJECTED_KEY_TYPES[key_type])
        inputs = validate_request(model, body, self._file_store)
        listed = request_price(model, body, inputs.video.seconds if inputs.video else None)
        if listed is None:
            return model, inputs, None
        return model, inputs, evolve(listed, unit_price=listed.unit_price * self._exchange_rate)
