"""One emulator's lifetime: it opens a folder and a door, puts the rooms together, and leaves neither behind."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from types import MappingProxyType, TracebackType
from typing import Self

from aiohttp import web
from attrs import define, field

from rh_async.emulator.catalogue.emulated_models import RunTime
from rh_async.emulator.catalogue.model_catalogue import ModelCatalogue, published_models
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.http.admin_handlers import AdminHandlers
from rh_async.emulator.http.bearer_auth import ApiKeys
from rh_async.emulator.http.file_handlers import FileHandlers
from rh_async.emulator.http.routes import Components, build_app
from rh_async.emulator.http.task_handlers import TaskHandlers
from rh_async.emulator.listener import Listener, bind
from rh_async.emulator.outputs.task_results import TaskResults
from rh_async.emulator.state.background_load import BackgroundLoad, BackgroundTasks
from rh_async.emulator.state.call_rate_limit import RateLimit, RateLimiter
from rh_async.emulator.state.file_store import FileStore, UploadNaming
from rh_async.emulator.state.ledger import Ledger
from rh_async.emulator.state.signed_urls import UrlSigner
from rh_async.emulator.state.task_ids import FIRST_ID
from rh_async.emulator.state.task_store import TaskStore

_KEY_TYPES = ("SHARED", "NORMAL", "EXCLUSIVE", "FREE")
_SHUTDOWN_SECONDS = 0.1  #: seconds that open connections get when the server stops


def _as_rate_limit(given: float | RateLimit | None) -> RateLimit | None:
    return given if given is None or isinstance(given, RateLimit) else RateLimit(per_second=given)


def _draw_token() -> str:
    return secrets.token_urlsafe(24)  # not from the seed: whoever knows the seed must not know it


def _draw_key(rng: Random) -> str:
    return f"{rng.getrandbits(128):032x}"


@define(eq=False, kw_only=True)
class Emulator:
    """A RunningHub of one's own, on this machine: ``async with Emulator() as server``.

    :param seed: decides keys, task ids and run times.
    :param host: where to listen; links lead there whatever ``Host`` a request names.
    :param port: 0 for any free one.
    :param limit: how many unsettled tasks the account may have; a further submit is refused with 421. It may be set
        while the server runs, as a vendor changes an account's.
    :param render: draw the character image into the driving video, so that a person sees which met which.
    :param data_dir: where files are kept; None for a folder that goes away with the server.
    :param model_limits: how many tasks of an endpoint run at once, in place of the documented numbers; the rest queue.
    :param run_time: None for each model's own log-normal, a number of seconds, or ``(endpoint, rng) -> seconds``.
    :param scale: multiplies every run time; a demonstration takes a small one.
    :param queue: let submits beyond ``limit`` wait, as in a personal queue, instead of refusing them.
    :param background_load: tasks of another program on the account, which take places and are counted, nothing else.
    :param rate_limit: how many calls of the API a second; more are refused, and the ledger counts them. None for any
        number. A number means the documented refusal and one second's burst; `RateLimit` says more.
    :param balance: what is in the wallet; None for no end of money.
    :param max_upload_bytes: in bytes; a larger file is refused with 809. None for no limit: the documents contradict
        each other between 30 MB and 500 MB.
    :param upload_names: whether an upload is named by the SHA-256 of its bytes, or by another hash, for nothing public
        proves the first.
    :param task_ids_above: a number below every task id, such as `snowflake_at` returns; None for the same ids in each
        start, so that a test repeats itself.
    :param currency: of the account: the global site bills in USD, the China site in CNY.
    :param exchange_rate: what the account is charged, in its currency, for one CNY of the price list.
    :param keep_alive: seconds that an idle connection stays open.
    :param admin_token: what the pages under ``/_emulator/`` want in the header ``X-Emulator-Token``; a random one
        unless given.
    """

    seed: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    limit: int = 50
    render: bool = False
    data_dir: Path | None = None
    model_limits: Mapping[str, int] | None = None
    run_time: RunTime = None
    scale: float = 1.0
    queue: bool = False
    background_load: BackgroundLoad = field(factory=BackgroundLoad)
    rate_limit: float | RateLimit | None = None
    balance: Decimal | float | None = None
    max_upload_bytes: int | None = None
    upload_names: UploadNaming = "sha256"
    task_ids_above: int | None = None
    currency: str = "CNY"
    exchange_rate: Decimal | float = 1
    keep_alive: float = 75.0
    admin_token: str = field(factory=_draw_token, repr=False)
    ledger: Ledger = field(init=False)
    keys: Mapping[str, str] = field(init=False, repr=False)
    faults: FaultInjector = field(init=False)
    _secret: bytes = field(init=False, repr=False)
    _rate_limiter: RateLimiter = field(init=False, repr=False)
    _background_tasks: BackgroundTasks = field(init=False, repr=False)
    _task_store: TaskStore = field(init=False, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False, repr=False)
    _folder: Path = field(init=False, repr=False)
    _runner: web.AppRunner = field(init=False, repr=False)
    _listener: Listener = field(init=False, repr=False)
    _stopping: asyncio.Event = field(factory=asyncio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        rng = Random(f"{self.seed}/keys")
        self.keys = MappingProxyType({name: _draw_key(rng) for name in _KEY_TYPES})
        self._secret = rng.randbytes(20)
        balance = None if self.balance is None else Decimal(str(self.balance))
        self.ledger = Ledger(lambda: [task.record() for task in self._task_store.tasks])
        self.faults = FaultInjector(self._now, Random(f"{self.seed}/faults"), self.ledger, self.refuse_connections)
        self._rate_limiter = RateLimiter(self._now, self.ledger, _as_rate_limit(self.rate_limit))
        self._background_tasks = BackgroundTasks(self.background_load, self.scale, Random(f"{self.seed}/strangers"))
        self._task_store = TaskStore(
            clock=self._now,
            limit=lambda: self.limit,
            queue=self.queue,
            balance=balance,
            foreign=self.faults.foreign,
            background_tasks=self._background_tasks,
        )

    @property
    def api_key(self) -> str:
        """A key that may use everything."""
        return self.keys["SHARED"]

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._background_tasks.start(self._now())
        held = await asyncio.to_thread(bind, (self.host, self.port))
        self._folder = await asyncio.to_thread(self._make_folder)
        await asyncio.to_thread(published_models)  # read once, off the loop
        self.port = held.getsockname()[1]
        self._listener = Listener((self.host, self.port), held)
        self._runner = web.AppRunner(
            self._build_app(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, keepalive_timeout=self.keep_alive
        )
        await self._runner.setup()
        if (server := self._runner.server) is not None:
            self._listener.open(server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await self._listener.close()
        await self._runner.cleanup()
        if self.data_dir is None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def refuse_connections(self, seconds: float) -> None:
        """Shut the door for some time: whoever connects is refused before it says a word, idle connections end."""
        self._listener.shut(seconds)

    def set_rate_limit(self, rate_limit: float | RateLimit | None) -> None:
        """Take calls at another rate from now on, as a vendor changes an account's; None takes any number."""
        self.rate_limit = rate_limit
        self._rate_limiter.limit = _as_rate_limit(rate_limit)

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()

    def _make_folder(self) -> Path:
        if self.data_dir is None:
            return Path(tempfile.mkdtemp(prefix="runninghub-"))
        folder = Path(self.data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _build_app(self) -> web.Application:
        api_keys = ApiKeys(self.keys)
        links = UrlSigner(self.url, self._secret, self._now)
        store = FileStore(self._folder, links, self.upload_names, self.max_upload_bytes)
        tasks = TaskHandlers(
            clock=self._now,
            api_keys=api_keys,
            catalogue=ModelCatalogue(self.model_limits or {}),
            task_store=self._task_store,
            store=store,
            links=links,
            ledger=self.ledger,
            faults=self.faults,
            run_time=self.run_time,
            scale=self.scale,
            currency=self.currency,
            exchange=Decimal(str(self.exchange_rate)),
            rng=Random(f"{self.seed}/tasks"),
            last_id=FIRST_ID if self.task_ids_above is None else self.task_ids_above,
        )
        results = TaskResults(task_store=self._task_store, folder=self._folder, render=self.render)
        files = FileHandlers(clock=self._now, api_keys=api_keys, store=store, results=results, ledger=self.ledger)
        return build_app(
            Components(
                tasks=tasks,
                files=files,
                faults=self.faults,
                links=links,
                listener=self._listener,
                rate_limiter=self._rate_limiter,
                control=AdminHandlers(
                    token=self.admin_token,
                    host=self.host,
                    ledger=self.ledger,
                    faults=self.faults,
                    rate_limiter=self._rate_limiter,
                ),
                stopping=self._stopping,
            )
        )
