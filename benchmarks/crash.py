"""Whether anything is billed twice, or lost, when the process is killed again and again under a faulty server.

``uv run python -m benchmarks.crash [--through batch] [--rounds N] [--seed 1] [--quick]``: per round, a process runs a
batch of keyed jobs against an emulator in another process, under seeded faults on submit; it is killed with SIGKILL at
a seeded moment and started again, until the batch is done. Then the emulator's ledger and the journals are compared.
With ``--through batch`` the process is the command ``rh-async batch`` on a manifest, some of whose rows bring files,
and what it leaves in its folder is read too. The last line is JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import signal
import sqlite3
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import perf_counter, sleep
from typing import Any
from urllib.parse import urlsplit

from attrs import define, evolve, field, frozen

from benchmarks._batch import SESSION, Batch, Way, key_of
from benchmarks._report import RESULTS
from benchmarks._server import emulator_process

_JOBS = 12
_MOST_KILLS = 4  # in one round; then it may finish
_NEVER = (sys.maxsize, 3600.0)
_REFUSED_SECONDS = 0.05  # seconds

_QUICKER = 15  # times
MEASURED = frozenset({"rounds", "wanted", "created", "unconfirmed", "saved", "kills"})
"""What is counted without being wrong; all else must be 0."""
_NOT_KEPT = frozenset({"unexplained", "unsaved"})
_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "refuse_connections", "seconds": _REFUSED_SECONDS, "probability": 0.2, "times": 3},
    {"kind": "drop_before_body", "probability": 0.3, "times": 1},
    {"kind": "drop_after_accept", "probability": 0.3, "times": 1},
    {"kind": "gateway_502", "probability": 0.3, "times": 1},
    {"kind": "gateway_502", "accepted": True, "probability": 0.3, "times": 1},
    {"kind": "error_code", "code": "421", "probability": 0.2, "times": 1},
    {"kind": "hang", "probability": 0.3, "times": 1},
    {"kind": "hang", "accepted": True, "probability": 0.3, "times": 1},
)


@frozen
class AdminClient:
    """Calls the emulator's admin endpoints, which no fault affects except refused connections."""

    _url: str
    _token: str = field(repr=False)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request, again and again while a fault refuses connections."""
        while True:
            try:
                return self._send(method, path, body)
            except (ConnectionError, http.client.HTTPException):
                sleep(_REFUSED_SECONDS / 2)

    def _send(self, method: str, path: str, body: object) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=120)
        try:
            headers = {"Content-Type": "application/json", "X-Emulator-Token": self._token}
            connection.request(method, f"/_emulator/{path}", json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@define(kw_only=True)
class Round:
    """One batch, from its first start to its end.

    :ivar killed: the sessions that were killed before they closed.
    """

    way: Way
    batch: Batch
    rng: Random
    killed: set[str] = field(factory=set)
    kills: int = 0

    def play(self) -> None:
        """Start it, kill it, start it again, until it is done."""
        while not self._survives(kill=self.kills < _MOST_KILLS):
            self.kills += 1
            owners = self.batch.journal.with_name(self.batch.journal.name + ".owners")
            self.killed |= {path.stem for path in owners.glob("*.alive")}

    def _survives(self, *, kill: bool) -> bool:
        process, pipe = self.way.begin(self.batch)
        messages, seconds = self._moment() if kill else _NEVER
        timer = threading.Timer(seconds, process.kill)
        done = False
        for number, message in enumerate(self.way.messages(pipe)):
            done = done or self.way.is_last(message)
            if number == 0:
                timer.start()
            if number >= messages:
                process.kill()
        timer.cancel()
        process.join()
        self._check(process.exitcode, done=done)
        return done

    def _check(self, code: int | None, *, done: bool) -> None:
        if code != -signal.SIGKILL and not (done and code in self.way.exit_codes):
            log = self.batch.log.read_text() if self.batch.log.exists() else ""
            raise SystemExit(f"{log}a batch ended with {code}: {self.batch.keys[0]}")

    def _moment(self) -> tuple[int, float]:
        """Return after how many messages, or after how many seconds, to kill the process."""
        if self.rng.random() < 0.5:
            return self.rng.randrange(self.way.message_count), _NEVER[1]
        return _NEVER[0], self.rng.uniform(0.0, self.way.longest_seconds)


@frozen(kw_only=True)
class Row:
    """One attempt, as a journal has it."""

    key: str
    endpoint: str
    state: str
    owner: str
    task_id: str | None
    answered: bool
    paths: tuple[Path, ...]

    @property
    def saved(self) -> bool:
        """Whether the journal says so, and the files are there."""
        return self.state == "saved" and bool(self.paths) and all(path.stat().st_size for path in self.paths)


def rows_of(journal: Path) -> list[Row]:
    """Read every row of a journal, by SQLite alone."""
    columns = "key, endpoint, state, owner, task_id, error IS NOT NULL, paths"
    database = sqlite3.connect(journal)
    try:
        found = database.execute(f"SELECT {columns} FROM jobs").fetchall()  # noqa: S608
    finally:
        database.close()
    return [
        Row(
            key=key, endpoint=path, state=state, owner=owner, task_id=task_id, answered=bool(error), paths=_paths(paths)
        )
        for key, path, state, owner, task_id, error, paths in found
    ]


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(map(Path, json.loads(text)))


def figures(rounds: list[Round], ledger: Any) -> dict[str, int]:
    """Compare the server's tasks with the journals, and with the files in the folders."""
    names = {one["task_id"]: _name(one) for one in ledger["submissions"]}
    tasks_of = defaultdict(set)
    for task in ledger["tasks"]:
        tasks_of[names[task["task_id"]]].add(task["task_id"])
    rows = [(one, row) for one in rounds for row in rows_of(one.batch.journal)]
    known = {row.task_id for _, row in rows}
    unconfirmed = {row.key for _, row in rows if row.state == "uncertain"}
    saved = {row.key: row.paths for _, row in rows if row.saved}
    wanted = {key for one in rounds for key in one.batch.keys}
    return {
        "rounds": len(rounds),
        "wanted": len(wanted),
        "created": len(ledger["tasks"]),
        "billed_twice": sum(len(tasks) > 1 for tasks in tasks_of.values()),
        "lost": sum(bool(tasks - known) and key not in unconfirmed for key, tasks in tasks_of.items()),
        "unconfirmed": len(unconfirmed),
        "saved": len(saved),
        "kills": sum(one.kills for one in rounds),
        "unexplained": _unexplained(rows, ledger["submissions"]),
        "unsaved": len(wanted - saved.keys() - unconfirmed),
        **_left(rounds, saved),
    }


def _name(submission: Any) -> str:
    """Return the key of a submit; of a motion transfer that was not read, only the endpoint is known."""
    return str(submission["body"].get("prompt") or key_of(submission["endpoint"]))


def _unexplained(rows: list[tuple[Round, Row]], submissions: Any) -> int:
    """Count unconfirmed submits whose response came, or whose session was not killed before it could."""
    faulty = Counter(_name(one) for one in submissions if _ambiguous(one))
    unconfirmed = [(one, row) for one, row in rows if row.state == "uncertain"]
    unnamed = Counter(row.endpoint for _, row in unconfirmed if row.answered and not faulty[row.key])
    unanswered = sum(not row.answered and row.owner not in one.killed for one, row in unconfirmed)
    return unanswered + sum(max(0, count - faulty[endpoint]) for endpoint, count in unnamed.items())


def _ambiguous(submission: Any) -> bool:
    return submission["fault"] in {"drop_before_body", "drop_after_accept", "gateway_502", "hang"}


def _left(rounds: list[Round], saved: dict[str, tuple[Path, ...]]) -> Counter[str]:
    left: Counter[str] = Counter()
    for one in rounds:
        left.update(one.way.flaws(one.batch, {key: saved[key] for key in one.batch.keys if key in saved}))
    return left


def play(rounds: int, seed: int, folder: Path, way: Way = SESSION) -> tuple[dict[str, int], Counter[str]]:
    """Play every round against one emulator; return the figures and the faults that occurred."""
    played: list[Round] = []
    faults = [fault for fault in _FAULTS if way.hangs or fault["kind"] != "hang"]
    token = secrets.token_hex()
    with emulator_process(seed=seed, run_time=way.run_time, admin_token=token) as (url, api_key):
        admin = AdminClient(url, token)
        for one in _rounds(rounds, seed, way, Batch(url=url, api_key=api_key, journal=folder, folder=folder, keys=())):
            admin.request("DELETE", "faults")
            admin.request("POST", "faults", one.rng.sample(faults, 3))
            one.play()
            played.append(one)
        ledger = admin.request("GET", "ledger")
    return figures(played, ledger), Counter(fault["kind"] for fault in ledger["faults"])


def _rounds(rounds: int, seed: int, way: Way, of: Batch) -> Iterator[Round]:
    for number in range(rounds):
        folder = of.folder / f"round{number}"
        folder.mkdir()
        keys = tuple(f"r{number}-{job}" for job in range(_JOBS))
        batch = evolve(of, journal=folder / "journal.db", folder=folder / "out", keys=keys)
        way.prepare(batch)
        yield Round(way=way, batch=batch, rng=Random(f"{seed}/{number}"))


def way_of(name: str) -> Way:
    """Return how a batch is run, by the option on the command line."""
    if name == "session":
        return SESSION
    from benchmarks._command import COMMAND  # noqa: PLC0415 - it loads the whole command line

    return COMMAND


def main() -> int:
    """Play, print, keep the figures of a whole run."""
    parser = argparse.ArgumentParser(prog="benchmarks.crash")
    parser.add_argument("--through", choices=("session", "batch"), default="session")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    way = way_of(options.through)
    rounds = options.rounds or way.rounds // (_QUICKER if options.quick else 1)
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found, faults = play(rounds, options.seed, Path(folder), way)
    print("faults on submit:", ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())))
    print(f"{perf_counter() - began:.0f} s; unconfirmed and unexplained: {found['unexplained']}", end="; ")
    print(f"neither saved nor unconfirmed: {found['unsaved']}")
    text = json.dumps({name: count for name, count in found.items() if name not in _NOT_KEPT})
    if rounds >= way.rounds:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{way.results}.json").write_text(text + "\n")
    print(text)
    return int(any(count for name, count in found.items() if name not in MEASURED))


if __name__ == "__main__":
    sys.exit(main())
