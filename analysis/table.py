"""A history as columns: what checkers of millions of operations read.

One row is one event, in the history's order. Where `analysis.history` has objects for a person's eye, this has arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.history import NEMESIS, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

INVOKE: Final = 0
OK: Final = 1
FAIL: Final = 2
INFO: Final = 3
TYPES: Final = ("invoke", "ok", "fail", "info")

NIL: Final = 0
INT: Final = 1
PAIR: Final = 2
OTHER: Final = 3

NEMESIS_PROCESS: Final = -1
UNPAIRED: Final = -1


@dataclass(frozen=True)
class Table:
    """A history of n events.

    Attributes:
        name: What messages call it: the path as it was given.
        time: int64[n], nanoseconds since T0; the row number where the source has no times.
        process: int64[n], `NEMESIS_PROCESS` for the nemesis.
        type: uint8[n]: INVOKE, OK, FAIL or INFO.
        f: int32[n], the function as a place in `f_names`.
        f_names: The functions' names, each once.
        kind: uint8[n]: what the value is: NIL, INT (a whole number of 64 bits), PAIR (a list of two such), OTHER.
        first: int64[n]: the number of INT, the first of PAIR, the place in `objects` of OTHER, else 0.
        second: int64[n]: the second of PAIR, else 0.
        objects: The values of kind OTHER; equal values may stand there once or several times.
        node: int32[n], the node as a place in `node_names`, -1 where there is none.
        node_names: The nodes' names, each once.
        error: int32[n], the error as a place in `error_names`, -1 where there is none.
        error_names: The errors, each once.
        pair: int64[n]: the row of the other half (completion of an invocation, invocation of a completion), `UNPAIRED`
            where there is none.
        line: int64[n], the line in the source, from 1; for messages.
        warnings: What a reader should know, such as a torn last line.
    """

    name: str
    time: NDArray[np.int64]
    process: NDArray[np.int64]
    type: NDArray[np.uint8]
    f: NDArray[np.int32]
    f_names: list[str]
    kind: NDArray[np.uint8]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    objects: list[Any]
    node: NDArray[np.int32]
    node_names: list[str]
    error: NDArray[np.int32]
    error_names: list[str]
    pair: NDArray[np.int64]
    line: NDArray[np.int64]
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Returns the number of events."""
        return len(self.type)

    def value(self, row: int) -> Any:  # noqa: ANN401 - anything may stand in a history
        """Returns the value of a row as Python has it: None, an int, a list of two ints, or the object."""
        kind = self.kind[row]
        if kind == NIL:
            return None
        if kind == INT:
            return int(self.first[row])
        if kind == PAIR:
            return [int(self.first[row]), int(self.second[row])]
        return self.objects[self.first[row]]


def split_value(value: Any, objects: list[Any]) -> tuple[int, int, int]:  # noqa: ANN401 - anything may stand there
    """Returns (kind, first, second) of a value, appending it to `objects` where it is none of the plain kinds."""
    if value is None:
        return NIL, 0, 0
    if _is_int(value):
        return INT, value, 0
    if isinstance(value, list) and len(value) == 2 and _is_int(value[0]) and _is_int(value[1]):
        return PAIR, value[0], value[1]
    objects.append(value)
    return OTHER, len(objects) - 1, 0


def table_of(operations: Iterable[Operation], name: str = "history") -> Table:
    """Puts operations into columns; slow and simple, for histories made by hand and for tests.

    An operation's invocation and completion are paired by their process; the nemesis' events stay unpaired.
    """
    rows = list(operations)
    objects: list[Any] = []
    names: tuple[dict[str, int], ...] = ({}, {}, {})
    values = [split_value(row.value, objects) for row in rows]
    pair = np.full(len(rows), UNPAIRED, np.int64)
    pending: dict[int, int] = {}
    for at, row in enumerate(rows):
        if isinstance(row.process, int):
            if row.type == "invoke":
                pending[row.process] = at
            elif row.process in pending:
                begun = pending.pop(row.process)
                pair[begun], pair[at] = at, begun
    f_names, node_names, error_names = names
    return Table(
        name=name,
        time=np.array([row.time for row in rows], np.int64),
        process=np.array([NEMESIS_PROCESS if row.process == NEMESIS else row.process for row in rows], np.int64),
        type=np.array([TYPES.index(row.type) for row in rows], np.uint8),
        f=np.array([f_names.setdefault(row.f, len(f_names)) for row in rows], np.int32),
        f_names=list(f_names),
        kind=np.array([kind for kind, _, _ in values], np.uint8),
        first=np.array([first for _, first, _ in values], np.int64),
        second=np.array([second for _, _, second in values], np.int64),
        objects=objects,
        node=np.array([_place(row.node, node_names) for row in rows], np.int32),
        node_names=list(node_names),
        error=np.array([_place(row.error, error_names) for row in rows], np.int32),
        error_names=list(error_names),
        pair=pair,
        line=np.arange(1, len(rows) + 1, dtype=np.int64),
    )


def _is_int(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _place(name: str | None, names: dict[str, int]) -> int:
    return -1 if name is None else names.setdefault(name, len(names))
