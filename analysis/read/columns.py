"""Gathers events into columns, in blocks that are joined once at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.read.event import MISSING, Event
from analysis.table import UNPAIRED, Table, split_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS: Final[dict[str, type[np.generic]]] = {
    "index": np.int64,
    "time": np.int64,
    "process": np.int64,
    "type": np.uint8,
    "f": np.int32,
    "kind": np.uint8,
    "first": np.int64,
    "second": np.int64,
    "node": np.int32,
    "error": np.int32,
    "line": np.int64,
}
_BLOCK_ROWS = 65_536

Block = dict[str, "NDArray[Any]"]
Row = tuple[int, ...]  # in the order of COLUMNS


@dataclass
class Names:
    """Numbers names in the order of their first appearance."""

    places: dict[str, int]

    def place(self, name: str | None) -> int:
        """Returns the name's place, -1 for none."""
        return -1 if name is None else self.places.setdefault(name, len(self.places))


class Columns:
    """A table in the making.

    Attributes:
        f: The functions' names.
        node: The nodes' names.
        error: The errors.
        objects: Values that are no plain numbers.
    """

    def __init__(self) -> None:
        self.f = Names({})
        self.node = Names({})
        self.error = Names({})
        self.objects: list[Any] = []
        self._rows: list[Row] = []
        self._blocks: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMNS}

    def row(self, event: Event) -> Row:
        """Returns an event as the numbers of one row, keeping its names and value."""
        return (
            event.index,
            event.time,
            event.process,
            event.type,
            self.f.place(event.f),
            *split_value(event.value, self.objects),
            self.node.place(event.node),
            self.error.place(event.error),
            event.line,
        )

    def add(self, event: Event) -> None:
        """Appends one event."""
        self._rows.append(self.row(event))
        if len(self._rows) == _BLOCK_ROWS:
            self._flush()

    def extend(self, block: Block) -> None:
        """Appends a block: an array for each of `COLUMNS`, all of one length."""
        self._flush()
        for name in COLUMNS:
            self._blocks[name].append(block[name])

    def put(self, block: Block, at: int, event: Event) -> None:
        """Puts an event into a row of a block that was not yet appended."""
        for name, number in zip(COLUMNS, self.row(event), strict=True):
            block[name][at] = number

    def _flush(self) -> None:
        if not self._rows:
            return
        for column, (name, dtype) in zip(zip(*self._rows, strict=True), COLUMNS.items(), strict=True):
            self._blocks[name].append(np.array(column, dtype))
        self._rows = []

    def table(self, name: str, warnings: list[str]) -> tuple[Table, NDArray[np.int64]]:
        """Joins the blocks; returns the table, not yet paired, and the index column of the source."""
        self._flush()
        whole = {column: self._joined(column) for column in COLUMNS}
        index = whole.pop("index")
        missing = whole["time"] == MISSING
        if missing.any():
            whole["time"][missing] = np.flatnonzero(missing)
        table = Table(
            name=name,
            **whole,
            f_names=list(self.f.places),
            node_names=list(self.node.places),
            error_names=list(self.error.places),
            objects=self.objects,
            pair=np.full(len(index), UNPAIRED, np.int64),
            warnings=warnings,
        )
        return table, index

    def _joined(self, column: str) -> NDArray[Any]:
        """Returns a column in one piece and lets go of its blocks, so that one column at a time is held twice."""
        blocks = self._blocks[column]
        joined = np.concatenate(blocks) if blocks else np.zeros(0, COLUMNS[column])
        blocks.clear()
        return joined
