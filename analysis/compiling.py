"""Who wants to know that something is being compiled: it takes some seconds, once after installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_tell: list[Callable[[], None]] = []


def when_compiling(tell: Callable[[], None]) -> None:
    """Calls `tell`, once, before the first function is compiled that the cache does not hold."""
    _tell[:] = [tell]


def begins() -> None:
    """Says that compiling begins."""
    while _tell:
        _tell.pop()()
