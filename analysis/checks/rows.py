"""Which rows of a history a checker looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.table import NEMESIS_PROCESS, NIL, UNPAIRED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.table import Table


def rows_of(table: Table, f: str, type_: int) -> NDArray[np.int64]:
    """Returns the clients' events of a function and a type, in the history's order."""
    if f not in table.f_names:
        return np.zeros(0, np.int64)
    of_f = (table.f == table.f_names.index(f)) & (table.type == type_) & (table.process != NEMESIS_PROCESS)
    return np.flatnonzero(of_f)


def began(table: Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the rows where completions were invoked; -1, before everything, where nobody knows."""
    return np.where(table.pair[rows] == UNPAIRED, -1, table.pair[rows])


def ended(table: Table, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Returns the type that each invocation ended with; INVOKE, 0, for those that never ended."""
    pairs = table.pair[rows]
    return np.where(pairs == UNPAIRED, 0, table.type[pairs]).astype(np.uint8)


def said(table: Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the rows that hold the arguments of completions: the invocation's where the completion repeats none."""
    silent = (table.kind[rows] == NIL) & (table.pair[rows] != UNPAIRED)
    return np.where(silent, table.pair[rows], rows)
