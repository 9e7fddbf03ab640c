"""What is compiled: once after the installation, then read from a cache beside the module, or the user's.

The compiler is loaded when such a function is first called, not when its module is: that takes longer than to judge a
short history.
"""

from __future__ import annotations

import threading
from functools import cache, cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar, cast

from analysis import compiling

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")

_lock = threading.RLock()


def compiled(function: F) -> F:
    """Compiles a function of arrays and numbers when it is first called; its type stays as it is written."""
    return cast("F", update_wrapper(_Compiled(function), function))


class _Compiled:
    """Stands for a function until it is called, and for the compiler, which reads it in other functions."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    @cached_property
    def dispatcher(self) -> Callable[..., object]:
        with _lock:
            return _compiler()(self._function)

    def __call__(self, *arguments: object) -> object:
        return self.dispatcher(*arguments)


def load() -> None:
    """Loads the compiler now, as many histories are worth it."""
    _compiler()


def is_loaded() -> bool:
    """Whether the compiler is loaded already."""
    return _compiler.cache_info().currsize > 0


@cache
def _compiler() -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Loads the compiler."""
    import numba  # noqa: PLC0415 - see above
    from numba.core import event, types  # noqa: PLC0415 - as numba
    from numba.extending import typeof_impl  # noqa: PLC0415 - as numba

    class Listener(event.Listener):
        """Hears of functions that were not in the cache."""

        def on_start(self, _event: event.Event) -> None:
            compiling.begins()

        def on_end(self, _event: event.Event) -> None:
            pass

    def type_of(function: _Compiled, _context: object) -> Any:  # noqa: ANN401 - numba has no types
        return types.Dispatcher(function.dispatcher)

    event.register("numba:compile", Listener())  # type: ignore[no-untyped-call]
    typeof_impl.register(_Compiled)(type_of)
    return cast("Callable[[Callable[..., object]], Callable[..., object]]", numba.njit(cache=True, nogil=True))
