"""What is compiled: once after the installation, then read from a cache beside the module, or the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


def compiled(function: F) -> F:
    """Compiles a function of arrays and numbers when it is first called; its type stays as it is written."""
    return cast("F", numba.njit(cache=True, nogil=True)(function))
