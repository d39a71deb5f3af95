"""The emulator's own pages: for whoever knows the token, by a local name, and for no page in a browser."""

from __future__ import annotations

import pytest

from rh_async.emulator import Emulator
from tests.emulator.conftest import Caller

PAGES = [
    ("GET", "/_emulator/ledger"),
    ("POST", "/_emulator/faults"),
    ("DELETE", "/_emulator/faults"),
    ("PUT", "/_emulator/rate_limit"),
]


async def status(caller: Caller, method: str, path: str, headers: dict[str, str]) -> int:
    async with caller.http.request(method, caller.server.url + path, data=b"[]", headers=headers) as response:
        if response.status == 403:
            assert (await response.json()).keys() == {"error"}
        assert "Access-Control-Allow-Origin" not in response.headers
        return response.status


@pytest.mark.parametrize(("method", "path"), PAGES)
async def test_a_page_of_the_emulators_own_wants_its_token(caller: Caller, method: str, path: str) -> None:
    strangers: list[dict[str, str]] = [
        {},
        {"X-Emulator-Token": ""},
        {"X-Emulator-Token": "guessed"},
        {"X-Emulator-Token": "\udce9"},
        {"Authorization": f"Bearer {caller.server.api_key}"},
        {"Authorization": f"Bearer {caller.server.admin_token}"},
    ]
    assert [await status(caller, method, path, headers) for headers in strangers] == [403] * len(strangers)
    assert await status(caller, method, path, caller.control) in {200, 400}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[", ""])
async def test_a_name_that_only_leads_here_is_refused_though_the_token_is_known(caller: Caller, host: str) -> None:
    answer = await status(caller, "GET", "/_emulator/ledger", {**caller.control, "Host": host})
    assert answer in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8080", "[::1]:8080"])
async def test_a_local_name_is_taken_whatever_its_port(caller: Caller, host: str) -> None:
    assert await status(caller, "GET", "/_emulator/ledger", {**caller.control, "Host": host}) == 200


async def test_a_page_in_a_browser_is_never_allowed_a_header_of_its_own(caller: Caller) -> None:
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-emulator-token",
    }
    async with caller.http.options(f"{caller.server.url}/_emulator/faults", headers=asked) as response:
        assert response.status == 405
        assert not any(name.startswith("Access-Control") for name in response.headers)


async def test_a_refused_page_changes_nothing(caller: Caller) -> None:
    assert await status(caller, "POST", "/_emulator/faults", {}) == 403
    async with caller.http.post(f"{caller.server.url}/_emulator/faults", json={"kind": "empty_body"}) as response:
        assert response.status == 403
    assert (await caller.submit())["errorCode"] == ""
    assert caller.server.ledger.faults == []


def test_every_emulator_draws_a_token_of_its_own_whatever_its_seed() -> None:
    first, second = Emulator(seed=1), Emulator(seed=1)
    assert first.admin_token != second.admin_token
    assert len(first.admin_token) >= 32
    assert first.admin_token not in repr(first)
    assert Emulator(admin_token="mine").admin_token == "mine"
