"""Memory as the compiled scanner reads it: by address, without what an array costs at every access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable


def _loader(bits: int) -> Callable[[Any, Any], Any]:
    """Returns what makes the machine code of a load, at any alignment, as a number of 64 bits."""

    def typed(_context: Any, address: Any) -> Any:  # noqa: ANN401, ARG001 - numba's own types and names
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401 - the same
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            loaded = builder.load(pointer, align=1)
            return loaded if bits == 64 else builder.zext(loaded, ir.IntType(64))

        return types.int64(types.int64), generate

    return typed


byte_at = cast("Callable[[int], int]", intrinsic(_loader(8)))
word_at = cast("Callable[[int], int]", intrinsic(_loader(64)))
