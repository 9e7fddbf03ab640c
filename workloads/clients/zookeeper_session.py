"""A session of kazoo with one ZooKeeper server: every call bounded, nothing tried again, no thread left behind."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
from kazoo.interfaces import IAsyncResult

SESSION_S = 10.0  # without a word from the client, the server forgets it; kazoo pings three times as often
POLL_S = 0.01  # between two looks whether a connection came about
ONCE = {"max_tries": 1}  # the first try is counted: of 0, kazoo's loop would see no end

SILENT = logging.getLogger("callmaybe.kazoo")  # what kazoo has to say stands in the history
SILENT.disabled = True


class Found(NamedTuple):
    """What a node holds, and how often it was set before."""

    data: bytes
    version: int


class Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's threads and its socket, where they can be watched and ended.

    It connects once. After a lost connection kazoo would go to the next address that the server's name stands for, and
    send what has been waiting since; a session of ours is over then.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._connection: socket.socket | None = None
        self._is_cut = False
        self.connecting = threading.Thread()
        self.error: Exception | None = None

    def create_connection(self, *args: Any, **kwargs: Any) -> socket.socket:  # noqa: ANN401  (kazoo's own)
        """Connects, within the bound of a call; kazoo itself would take as long as a session may be silent."""
        if self._connection:
            raise ConnectionError("the connection was lost, and a session is not taken up again")
        try:
            connection: socket.socket = super().create_connection(*args, **kwargs | {"timeout": self._timeout_s})
        except Exception as error:
            self.error = error
            raise
        self._connection = connection
        if self._is_cut:
            self.cut()
        return connection

    def spawn(self, func: Callable[..., None], *args: Any, **kwargs: Any) -> threading.Thread:  # noqa: ANN401  (likewise)
        """Starts a thread that prints no traceback when a server talks nonsense; the call that waits says it better."""

        def run() -> None:
            with suppress(Exception):
                func(*args, **kwargs)

        self.connecting = super().spawn(run)
        return self.connecting

    def cut(self) -> None:
        """Ends the connection under kazoo, whatever it waits for."""
        self._is_cut = True
        if self._connection:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)


class Session:
    """What the workloads ask of a server. A call raises kazoo's own errors, and TimeoutError after `timeout_s`."""

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        host = f"[{address}]" if ":" in address else address  # IPv6
        self._timeout_s = timeout_s
        self._handler = Handler(timeout_s)
        self._kazoo = KazooClient(
            hosts=f"{host}:{port}",
            timeout=SESSION_S,
            handler=self._handler,
            connection_retry=ONCE,
            command_retry=ONCE,
            logger=SILENT,
        )

    def open(self) -> None:
        """Begins the session, which is a write: a server without a majority behind it cannot.

        Raises:
            OSError: There is no session, and nothing of an operation was sent.
        """
        connected = self._kazoo.start_async()
        deadline = time.monotonic() + self._timeout_s
        while not connected.wait(POLL_S):
            if not self._handler.connecting.is_alive():
                self.close()
                raise self._handler.error or ConnectionError("the server closed the connection instead of a session")
            if time.monotonic() > deadline:
                self.close()
                raise TimeoutError(f"no session within {self._timeout_s:g} s")

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as kazoo knows."""
        return bool(self._kazoo.connected)

    def close(self) -> None:
        """Ends connection and threads; never raises. The server forgets the session itself: to close it is a write."""
        self._handler.cut()
        with suppress(Exception):
            self._kazoo.stop()
        with suppress(Exception):
            self._kazoo.close()

    def create(self, path: str, data: bytes) -> None:
        """Makes a node."""
        self._answer(self._kazoo.create_async(path, data))

    def get(self, path: str) -> Found:
        """Reads a node as this server has it, which may be behind the others."""
        data, about = self._answer(self._kazoo.get_async(path))
        return Found(data, about.version)

    def set(self, path: str, data: bytes, version: int = -1) -> None:
        """Writes a node, if it has this version; -1 is any."""
        self._answer(self._kazoo.set_async(path, data, version))

    def sync(self, path: str) -> None:
        """Lets the server catch up with the leader; the next read of this session sees all that was written before."""
        self._answer(self._kazoo.sync_async(path))

    def _answer(self, asked: IAsyncResult) -> Any:  # noqa: ANN401  (whatever was asked for)
        """Waits for what kazoo was asked to do without waiting, since only so there is a bound."""
        try:
            return asked.get(timeout=self._timeout_s)
        except KazooTimeoutError:
            raise TimeoutError(f"no answer within {self._timeout_s:g} s") from None
