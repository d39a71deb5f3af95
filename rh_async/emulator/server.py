"""Starts and stops one emulator: binds the address, creates the folder, and connects the components."""

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
from rh_async.emulator.http.account_handlers import AccountHandlers
from rh_async.emulator.http.admin_handlers import AdminHandlers
from rh_async.emulator.http.bearer_auth import ApiKeys
from rh_async.emulator.http.file_handlers import FileHandlers
from rh_async.emulator.http.routes import Components, build_app
from rh_async.emulator.http.task_factory import TaskFactory
from rh_async.emulator.http.task_handlers import TaskHandlers
from rh_async.emulator.listener import Listener, bind_socket
from rh_async.emulator.outputs.task_results import TaskResults
from rh_async.emulator.state.background_load import BackgroundLoad, BackgroundTasks
from rh_async.emulator.state.call_rate_limit import RateLimit, RateLimiter
from rh_async.emulator.state.file_store import FileStore, UploadNaming
from rh_async.emulator.state.ledger import Ledger
from rh_async.emulator.state.signed_urls import UrlSigner
from rh_async.emulator.state.task_ids import FIRST_TASK_ID
from rh_async.emulator.state.task_store import TaskStore

_KEY_TYPES = ("SHARED", "NORMAL", "EXCLUSIVE", "FREE")  # contract 1.3
_SHUTDOWN_SECONDS = 0.1  #: that open connections get when the server stops


def _to_rate_limit(rate_limit: float | RateLimit | None) -> RateLimit | None:
    return rate_limit if rate_limit is None or isinstance(rate_limit, RateLimit) else RateLimit(per_second=rate_limit)


@define(eq=False, kw_only=True)
class Emulator:
    """A local RunningHub server: ``async with Emulator() as server``.

    :param seed: decides keys, task ids and run times.
    :param host: where to listen; links lead there, whatever ``Host`` a request names.
    :param port: 0 for any free port.
    :param limit: how many unsettled tasks the account may have; further submits are rejected with 421. The attribute
        may be set while the server runs, as the vendor may change the limit of an account.
    :param render: draw the character image into the driving video, so that a person sees which inputs a result has.
    :param data_dir: where files are stored; None for a temporary folder, which is deleted when the server stops.
    :param model_limits: how many tasks of an endpoint run at once, in place of the documented limits; the rest queue.
    :param run_time: None for each model's own distribution, a number of seconds, or ``(endpoint, rng) -> seconds``.
    :param scale: multiplies every run time; a small number speeds up a demonstration.
    :param queue: let submits beyond ``limit`` wait, as in a personal queue, instead of rejecting them (contract 9).
    :param background_load: tasks of another program on the account, which use slots and appear in the queue counters.
    :param rate_limit: how many API calls per second are accepted; the ledger records the rejected ones. None for any
        number. A number stands for the documented rejection and a burst of one second; `RateLimit` has more options.
    :param balance: the money in the wallet; None for an unlimited amount.
    :param max_upload_bytes: a larger file is rejected with 809. None for no limit: the documents contradict each other
        (contract 12.9).
    :param upload_names: whether an upload is named by the SHA-256 of its content, or by another hash, as it is not
        proved that the real server uses SHA-256 (contract 12.19).
    :param task_ids_above: a number below every task id, such as `snowflake_at` returns; None for the same ids in each
        start, so that a test repeats itself.
    :param currency: of the account: USD on the global site, CNY on the China site (contract 10).
    :param exchange_rate: what the account is charged, in its currency, for one CNY of the price list.
    :param keep_alive: how many seconds an idle connection stays open.
    :param admin_token: the value that the admin endpoints under ``/_emulator/`` require in the header
        ``X-Emulator-Token``; a random one by default.
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
    # Not drawn from the seed: knowing the seed must not be enough to use the admin endpoints.
    admin_token: str = field(factory=lambda: secrets.token_urlsafe(24), repr=False)
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
        # Each part has its own random stream: more draws by one do not change the others.
        rng = Random(f"{self.seed}/keys")
        self.keys = MappingProxyType({key_type: f"{rng.getrandbits(128):032x}" for key_type in _KEY_TYPES})
        self._secret = rng.randbytes(20)
        self.ledger = Ledger(lambda: [task.to_record() for task in self._task_store.tasks])
        self.faults = FaultInjector(self._now, Random(f"{self.seed}/faults"), self.ledger, self.refuse_connections)
        self._rate_limiter = RateLimiter(self._now, self.ledger, _to_rate_limit(self.rate_limit))
        background_rng = Random(f"{self.seed}/background_load")
        self._background_tasks = BackgroundTasks(self.background_load, self.scale, background_rng)
        self._task_store = TaskStore(
            clock=self._now,
            limit=lambda: self.limit,
            background_tasks=self._background_tasks,
            queue=self.queue,
            balance=None if self.balance is None else Decimal(str(self.balance)),
            foreign_tasks=self.faults.foreign_tasks,
        )

    @property
    def api_key(self) -> str:
        """A key that may use every call: that of an enterprise (contract 1.3)."""
        return self.keys["SHARED"]

    @property
    def url(self) -> str:
        """The base URL of the server, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()  # its clock may be virtual, and need not start at zero
        self._background_tasks.start(self._now())
        bound = await asyncio.to_thread(bind_socket, (self.host, self.port))
        self._folder = await asyncio.to_thread(self._make_folder)
        await asyncio.to_thread(published_models)  # fills the cache off the event loop
        self.port = bound.getsockname()[1]
        self._listener = Listener((self.host, self.port), bound)
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
        self._stopping.set()  # ends the requests that a fault lets hang
        await self._listener.close()
        await self._runner.cleanup()
        if self.data_dir is None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def refuse_connections(self, seconds: float) -> None:
        """Refuse every new connection for some time, and close idle ones."""
        self._listener.pause(seconds)

    def set_rate_limit(self, rate_limit: float | RateLimit | None) -> None:
        """Change the rate limit from now on, as the vendor may for an account; None removes it."""
        self.rate_limit = rate_limit
        self._rate_limiter.limit = _to_rate_limit(rate_limit)

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()

    def _make_folder(self) -> Path:
        if self.data_dir is None:
            return Path(tempfile.mkdtemp(prefix="runninghub-"))
        folder = Path(self.data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _build_app(self) -> web.Application:
        api_keys, rng = ApiKeys(self.keys), Random(f"{self.seed}/tasks")
        url_signer = UrlSigner(self.url, self._secret, self._now)
        file_store = FileStore(self._folder, url_signer, self.upload_names, self.max_upload_bytes)
        results = TaskResults(task_store=self._task_store, folder=self._folder, render=self.render)
        task_factory = TaskFactory(
            catalogue=ModelCatalogue(self.model_limits or {}),
            task_store=self._task_store,
            file_store=file_store,
            injector=self.faults,
            run_time=self.run_time,
            scale=self.scale,
            exchange_rate=Decimal(str(self.exchange_rate)),
            rng=rng,
            last_id=FIRST_TASK_ID if self.task_ids_above is None else self.task_ids_above,
        )
        return build_app(
            Components(
                tasks=TaskHandlers(
                    clock=self._now,
                    api_keys=api_keys,
                    task_factory=task_factory,
                    task_store=self._task_store,
                    url_signer=url_signer,
                    ledger=self.ledger,
                    rng=rng,
                ),
                account=AccountHandlers(
                    clock=self._now,
                    api_keys=api_keys,
                    task_factory=task_factory,
                    task_store=self._task_store,
                    ledger=self.ledger,
                    currency=self.currency,
                ),
                files=FileHandlers(
                    clock=self._now, api_keys=api_keys, file_store=file_store, results=results, ledger=self.ledger
                ),
                admin=AdminHandlers(
                    token=self.admin_token,
                    host=self.host,
                    ledger=self.ledger,
                    injector=self.faults,
                    rate_limiter=self._rate_limiter,
                ),
                injector=self.faults,
                url_signer=url_signer,
                listener=self._listener,
                rate_limiter=self._rate_limiter,
                stopping=self._stopping,
            )
        )
