"""Real servers on the loopback interface, one address a node."""

import socket
import time
from collections.abc import Callable, Iterable
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
