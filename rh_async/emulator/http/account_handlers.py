"""Handles the calls about the account: queue counters, account status, price preview (contract 6, 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from aiohttp import web
from attrs import define

from rh_async.emulator.http.bearer_auth import ApiKeys
from rh_async.emulator.http.payloads import counter_payload, envelope_payload, format_amount
from rh_async.emulator.http.request_context import read_json_object
from rh_async.emulator.http.task_factory import TaskFactory
from rh_async.emulator.state.ledger import CallKind, CallRecord, Ledger
from rh_async.emulator.state.rejections import RequestRejected
from rh_async.emulator.state.task_store import TaskStore

_CURRENCY_SIGNS = {"CNY": "¥", "USD": "$"}
_CHINESE_UNITS: Mapping[str, str] = MappingProxyType({"call": "次", "image": "张", "second": "秒"})
_UNLIMITED_BALANCE = Decimal(999)  #: what a wallet without a limit reports


@define(eq=False, kw_only=True)
class AccountHandlers:
    """The handlers of these calls.

    :param currency: of the account.
    """

    _clock: Callable[[], float]
    _api_keys: ApiKeys
    _task_factory: TaskFactory
    _task_store: TaskStore
    _ledger: Ledger
    _currency: str

    async def queue_status(self, request: web.Request) -> web.Response:
        """Report the queue counters of a key (contract 9)."""
        self._record_call("queue_status")
        key_type = self._api_keys.authenticate(request)
        counters = self._task_store.counters()
        shared = key_type == "SHARED"
        data = {
            "apiKeyType": key_type,
            "concurrentLimit": self._task_store.limit if shared else 1,
            **(counter_payload(counters.running, counters.queued) if shared else counter_payload(0, 0)),
            "instanceCount": "1" if key_type == "EXCLUSIVE" else None,
        }
        return web.json_response(envelope_payload(data))

    async def account_status(self, request: web.Request) -> web.Response:
        """Report an account's balance and task count (contract 6); the key's name is ``apikey`` here (contract 1.2)."""
        body = await read_json_object(request)
        self._record_call("account")
        key_type = self._api_keys.authenticate_v1(request, body.get("apikey"))
        counters, shared = self._task_store.counters(), key_type == "SHARED"
        balance = self._task_store.balance
        data = {
            "remainCoins": "0" if shared else "1100",
            "currentTaskCounts": str(counters.running + counters.queued) if shared else "0",
            "remainMoney": format_amount(_UNLIMITED_BALANCE if balance is None else balance) if shared else None,
            "currency": self._currency if shared else None,
            "apiType": key_type,
        }
        return web.json_response(envelope_payload(data))

    async def app_demo(self, request: web.Request) -> web.Response:
        """Find no AI app; the one v1 call with the key in its query (contract 6.4)."""
        self._record_call("app_demo")
        self._api_keys.authenticate_v1(request, request.query.get("apiKey"))
        raise RequestRejected("901")

    async def price_preview(self, request: web.Request) -> web.Response:
        """Quote the price of a request without creating a task (contract 6)."""
        body = await read_json_object(request)
        self._record_call("price")
        key_type = self._api_keys.authenticate(request)
        _, _, price = self._task_factory.price(key_type, request.match_info["endpoint"], body)
        if price is None:
            raise RequestRejected("1501", "PRICE_CONFIG_NOT_FOUND")  # contract 12.11
        sign, unit = _CURRENCY_SIGNS.get(self._currency, self._currency), _CHINESE_UNITS.get(price.unit, price.unit)
        payload = {
            "errorCode": "",
            "errorMessage": "",
            "estimatedPrice": float(price.total),
            "currency": self._currency,
            "priceText": f"{sign}{price.unit_price}/{unit}",
            "priceTextEn": f"{self._currency} {price.unit_price}/{price.unit}",
            "freeLimit": False,
            "freeLimitCount": "0",
            "remainingFreeLimitCount": "0",
            "isFreeThisCall": False,
        }
        return web.json_response(payload)

    def _record_call(self, kind: CallKind) -> None:
        self._ledger.calls.append(CallRecord(at=self._clock(), kind=kind))
