"""Servers on the loopback interface: real ones, an address a node, and scripted ones."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

PORTS = 3  # a server and its companions: Sentinel, the ports of the peers


def free_port(addresses: Iterable[str]) -> int:
    """Returns a port that is free on all addresses, and so are the next two."""
    for port in count(20_000 + int(time.time()) % 20_000, PORTS):
        try:
            for address in addresses:
                for offset in range(PORTS):
                    socket.create_server((address, port + offset)).close()
        except OSError:
            continue
        return port
    raise AssertionError


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Returns when the condition holds; after 30 s it never will."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.1)


@contextmanager
def listening(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Gives the port of a server on 127.0.0.1 that treats each connection so, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):  # the client may close first
                behave(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
