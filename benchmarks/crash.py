"""Whether anything is bought twice, or lost, when the process is killed again and again under a faulty server.

``uv run python -m benchmarks.crash --rounds 300 --seed 1 [--quick]``: per round, a process runs a batch of keyed jobs against an
emulator in another process, under seeded faults on submit; it is killed with SIGKILL at a seeded moment and started
again, until the batch is done. Then the emulator's ledger and the journals are compared. The last line is JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
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

from benchmarks._batch import Batch, begin, heard, key_of
from benchmarks._report import RESULTS
from benchmarks._server import emulator_process

_JOBS = 12
_MOST_KILLS = 4  # in one round; then it may finish
_LAST_LINE = 50  # a batch says about five words per job
_LATEST = 0.4  # seconds after it is open
_NEVER = (sys.maxsize, 3600.0)
_SHUT = 0.05  # seconds

_FIGURES = ("rounds", "wanted", "created", "paid_twice", "lost", "uncertain", "saved", "kills")

_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "refuse", "seconds": _SHUT, "probability": 0.2, "times": 3},
    {"kind": "drop_unread", "probability": 0.3, "times": 1},
    {"kind": "drop_after_accept", "probability": 0.3, "times": 1},
    {"kind": "gateway_502", "probability": 0.3, "times": 1},
    {"kind": "gateway_502", "accepted": True, "probability": 0.3, "times": 1},
    {"kind": "code", "code": "421", "probability": 0.2, "times": 1},
    {"kind": "hang", "probability": 0.3, "times": 1},
    {"kind": "hang", "accepted": True, "probability": 0.3, "times": 1},
)


@frozen
class BackDoor:
    """The emulator's own pages, which no fault strikes."""

    _url: str

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask until the door, which faults may have shut, is open."""
        while True:
            try:
                return self._once(method, path, body)
            except (ConnectionError, http.client.HTTPException):
                sleep(_SHUT / 2)

    def _once(self, method: str, path: str, body: object) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=120)
        try:
            connection.request(method, f"/_emulator/{path}", json.dumps(body), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@define(kw_only=True)
class Round:
    """One batch, from its first start to its end.

    :ivar killed: the sessions that did not live to say goodbye.
    """

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
        process, told = begin(self.batch)
        words, seconds = self._moment() if kill else _NEVER
        timer = threading.Timer(seconds, process.kill)
        done = False
        for number, word in enumerate(heard(told)):
            done = done or isinstance(word, list)
            if number == 0:
                timer.start()
            if number >= words:
                process.kill()
        timer.cancel()
        process.join()
        if process.exitcode not in {0, -signal.SIGKILL}:
            raise SystemExit(f"a batch ended with {process.exitcode}: {self.batch.keys[0]}")
        return done

    def _moment(self) -> tuple[int, float]:
        """After so many words, or so many seconds."""
        if self.rng.random() < 0.5:
            return self.rng.randrange(_LAST_LINE), _NEVER[1]
        return _NEVER[0], self.rng.uniform(0.0, _LATEST)


@frozen(kw_only=True)
class Row:
    """One attempt, as a journal has it."""

    key: str
    state: str
    owner: str
    task_id: str | None
    answered: bool
    paths: tuple[Path, ...]

    @property
    def saved(self) -> bool:
        """Whether it says so, and so does the disk."""
        return self.state == "saved" and bool(self.paths) and all(path.stat().st_size for path in self.paths)


def rows_of(journal: Path) -> list[Row]:
    """Every row of a journal, read by SQLite alone."""
    columns = "key, state, owner, task_id, error IS NOT NULL, paths"
    book = sqlite3.connect(journal)
    try:
        found = book.execute(f"SELECT {columns} FROM jobs").fetchall()  # noqa: S608
    finally:
        book.close()
    return [
        Row(key=key, state=state, owner=owner, task_id=task_id, answered=bool(answered), paths=_paths(paths))
        for key, state, owner, task_id, answered, paths in found
    ]


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(map(Path, json.loads(text)))


def figures(rounds: list[Round], ledger: Any) -> dict[str, int]:
    """Compare what the server has with what the journals say."""
    bought = defaultdict(set)
    for task in ledger["tasks"]:
        bought[key_of(task["endpoint"])].add(task["task_id"])
    doubtful = {key_of(one["endpoint"]) for one in ledger["submissions"] if _ambiguous(one)}
    rows = [(one, row) for one in rounds for row in rows_of(one.batch.journal)]
    known = {row.task_id for _, row in rows}
    uncertain = {row.key for _, row in rows if row.state == "uncertain"}
    saved = {row.key for _, row in rows if row.saved}
    unexplained = [
        row
        for one, row in rows
        if row.state == "uncertain" and not (row.key in doubtful if row.answered else row.owner in one.killed)
    ]
    wanted = {key for one in rounds for key in one.batch.keys}
    return {
        "rounds": len(rounds),
        "wanted": len(wanted),
        "created": len(ledger["tasks"]),
        "paid_twice": sum(len(tasks) > 1 for tasks in bought.values()),
        "lost": sum(bool(tasks - known) and key not in uncertain for key, tasks in bought.items()),
        "uncertain": len(uncertain),
        "saved": len(saved),
        "kills": sum(one.kills for one in rounds),
        "unexplained": len(unexplained),
        "unsaved": len(wanted - saved - uncertain),
    }


def _ambiguous(submission: Any) -> bool:
    return submission["fault"] in {"drop_unread", "drop_after_accept", "gateway_502", "hang"}


def play(rounds: int, seed: int, folder: Path) -> tuple[dict[str, int], Counter[str]]:
    """Play every round against one emulator, and say what it and the journals show."""
    played: list[Round] = []
    with emulator_process(seed=seed, run_time=0.1) as (url, api_key):
        door = BackDoor(url)
        for one in _rounds(rounds, seed, Batch(url=url, api_key=api_key, journal=folder, folder=folder, keys=())):
            door.ask("DELETE", "faults")
            door.ask("POST", "faults", one.rng.sample(_FAULTS, 3))
            one.play()
            played.append(one)
        ledger = door.ask("GET", "ledger")
    return figures(played, ledger), Counter(fault["kind"] for fault in ledger["faults"])


def _rounds(rounds: int, seed: int, of: Batch) -> Iterator[Round]:
    for number in range(rounds):
        folder = of.folder / f"round{number}"
        folder.mkdir()
        keys = tuple(f"r{number}-{job}" for job in range(_JOBS))
        batch = evolve(of, journal=folder / "journal.db", folder=folder / "out", keys=keys)
        yield Round(batch=batch, rng=Random(f"{seed}/{number}"))


def main() -> int:
    """Play, print, keep the figures of a whole run."""
    parser = argparse.ArgumentParser(prog="benchmarks.crash")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_const", const=20, dest="rounds")
    wishes = parser.parse_args()
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found, faults = play(wishes.rounds, wishes.seed, Path(folder))
    print("faults on submit:", ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())))
    print(f"{perf_counter() - began:.0f} s; uncertain and unexplained: {found['unexplained']}", end="; ")
    print(f"neither saved nor uncertain: {found['unsaved']}")
    text = json.dumps(
        {name: value for name, value in found.items() if not name.startswith("un") or name == "uncertain"}
    )
    if wishes.rounds >= 300:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "crash.json").write_text(text + "\n")
    print(text)
    return int(any(found[name] for name in ("paid_twice", "lost", "unexplained", "unsaved")))


if __name__ == "__main__":
    sys.exit(main())
