"""Pairing of a long history without a mistake, compiled: one pass, where `order.pair` sorts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.compiled import compiled
from analysis.table import INFO, INVOKE, NEMESIS_PROCESS, UNPAIRED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.table import Table

MOST_PROCESSES: Final = 1 << 22  # a number for each is kept
_DEAD = -2


def pair_well(table: Table) -> bool:
    """Fills `table.pair`; returns False, with nothing filled, where a rule of `order.pair` is broken."""
    highest = int(table.process.max(initial=0))
    if highest >= MOST_PROCESSES:
        return False
    pending = np.full(highest + 1, UNPAIRED, np.int64)
    well = _pair(table.process, table.type, table.f, table.pair, pending)
    if not well:
        table.pair[:] = UNPAIRED
    return bool(well)


@compiled
def _pair(
    process: NDArray[np.int64],
    type_: NDArray[np.uint8],
    f: NDArray[np.int32],
    pair: NDArray[np.int64],
    pending: NDArray[np.int64],
) -> bool:
    for row in range(len(process)):
        number = process[row]
        if number == NEMESIS_PROCESS:
            continue
        begun = pending[number]
        if type_[row] == INVOKE:
            if begun != UNPAIRED:
                return False
            pending[number] = row
            continue
        if begun < 0 or f[begun] != f[row]:
            return False
        pair[begun], pair[row] = row, begun
        pending[number] = _DEAD if type_[row] == INFO else UNPAIRED
    return True
