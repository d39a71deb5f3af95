"""Test who may use the admin endpoints: only callers with the token and a local host name, and no web page."""

from __future__ import annotations

import pytest

from rh_async.emulator import Emulator
from tests.emulator.conftest import Caller

ENDPOINTS = [
    ("GET", "/_emulator/ledger"),
    ("POST", "/_emulator/faults"),
    ("DELETE", "/_emulator/faults"),
    ("PUT", "/_emulator/rate_limit"),
]


async def status_of(caller: Caller, method: str, path: str, headers: dict[str, str]) -> int:
    async with caller.http.request(method, caller.server.url + path, data=b"[]", headers=headers) as response:
        if response.status == 403:
            assert (await response.json()).keys() == {"error"}
        assert "Access-Control-Allow-Origin" not in response.headers
        return response.status


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_an_admin_endpoint_requires_the_admin_token(caller: Caller, method: str, path: str) -> None:
    wrong_headers: list[dict[str, str]] = [
        {},
        {"X-Emulator-Token": ""},
        {"X-Emulator-Token": "guessed"},
        {"X-Emulator-Token": "\udce9"},
        {"Authorization": f"Bearer {caller.server.api_key}"},
        {"Authorization": f"Bearer {caller.server.admin_token}"},
    ]
    assert [await status_of(caller, method, path, headers) for headers in wrong_headers] == [403] * len(wrong_headers)
    assert await status_of(caller, method, path, caller.admin_headers) in {200, 400}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[", ""])
async def test_a_host_name_that_is_not_local_is_rejected_even_with_the_token(caller: Caller, host: str) -> None:
    answer = await status_of(caller, "GET", "/_emulator/ledger", {**caller.admin_headers, "Host": host})
    assert answer in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8080", "[::1]:8080"])
async def test_a_local_host_name_is_accepted_with_any_port(caller: Caller, host: str) -> None:
    assert await status_of(caller, "GET", "/_emulator/ledger", {**caller.admin_headers, "Host": host}) == 200


async def test_a_cors_preflight_is_never_allowed(caller: Caller) -> None:
    preflight = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-emulator-token",
    }
    async with caller.http.options(f"{caller.server.url}/_emulator/faults", headers=preflight) as response:
        assert response.status == 405
        assert not any(name.startswith("Access-Control") for name in response.headers)


async def test_a_rejected_admin_request_changes_nothing(caller: Caller) -> None:
    assert await status_of(caller, "POST", "/_emulator/faults", {}) == 403
    async with caller.http.post(f"{caller.server.url}/_emulator/faults", json={"kind": "empty_body"}) as response:
        assert response.status == 403
    assert (await caller.submit())["errorCode"] == ""
    assert caller.server.ledger.faults == []


def test_every_emulator_has_its_own_admin_token_whatever_its_seed() -> None:
    first, second = Emulator(seed=1), Emulator(seed=1)
    assert first.admin_token != second.admin_token
    assert len(first.admin_token) >= 32
    assert first.admin_token not in repr(first)
    assert Emulator(admin_token="mine").admin_token == "mine"
