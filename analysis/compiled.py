"""What is compiled: once after the installation, then read from a cache beside the module, or the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numba
from numba.core import event

from analysis import compiling

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


class _Listener(event.Listener):
    """Hears of functions that were not in the cache."""

    def on_start(self, _event: event.Event) -> None:
        compiling.begins()

    def on_end(self, _event: event.Event) -> None:
        pass


event.register("numba:compile", _Listener())  # type: ignore[no-untyped-call]


def compiled(function: F) -> F:
    """Compiles a function of arrays and numbers when it is first called; its type stays as it is written."""
    return cast("F", numba.njit(cache=True, nogil=True)(function))
