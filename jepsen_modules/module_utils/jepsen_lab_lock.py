"""One at a time: two runs of lab_up or lab_down must not meet."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible.module_utils.jepsen_lab_plan import CACHE, LabError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def locked(*, timeout_s: float = 120) -> Iterator[None]:
    """Holds the lab's lock, which the kernel frees when its holder dies.

    Raises:
        LabError: Somebody else holds it for longer than the bound.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with (CACHE / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"Another lab_up or lab_down is at work for more than {timeout_s:.0f} s; wait for it or end it."
                    ) from None
                time.sleep(0.1)
        yield
