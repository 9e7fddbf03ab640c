"""A bound on calls of libraries that have none: from a timer the connection's socket is shut down under them."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def hang_up_after(timeout_s: float, descriptor: int) -> Iterator[None]:
    """Shuts a socket down if the block takes longer; whoever waits for it in there gets an error at once.

    The timer has a descriptor of its own: the library may close its own meanwhile, and its number may by then be
    another connection's. When the block has ended, the timer has, too.

    Raises:
        TimeoutError: The block took longer, and ended with an error.
    """
    own = socket.socket(fileno=os.dup(descriptor))
    hung_up = threading.Event()

    def hang_up() -> None:
        hung_up.set()
        with suppress(OSError):  # the other side was first
            own.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if hung_up.is_set():
            raise TimeoutError(f"no answer within {timeout_s:g} s") from error
        raise
    finally:
        timer.cancel()
        timer.join()
        own.close()
