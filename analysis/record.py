"""A history in both its forms: columns for the checkers of millions, objects for a person's eye."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from analysis.history import NEMESIS, Call, History, Operation
from analysis.table import INVOKE, NEMESIS_PROCESS, TYPES, UNPAIRED

if TYPE_CHECKING:
    from analysis.table import Table


class Record:
    """A history that has been read.

    Attributes:
        table: Its columns.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    @cached_property
    def history(self) -> History:
        """The same as objects; made when somebody asks, since it takes a hundred times the memory."""
        table = self.table
        operations = [operation_at(table, row) for row in range(len(table))]
        ends = table.pair.tolist()
        calls = [
            Call(operation, None if ends[row] == UNPAIRED else operations[ends[row]])
            for row, operation in enumerate(operations)
            if table.type[row] == INVOKE and operation.process != NEMESIS
        ]
        return History(table.name, operations, calls, table.warnings)


def operation_at(table: Table, row: int) -> Operation:
    """Returns a row as an object."""
    process, error, node = int(table.process[row]), table.error[row], table.node[row]
    return Operation(
        index=row,
        time=int(table.time[row]),
        process=NEMESIS if process == NEMESIS_PROCESS else process,
        type=TYPES[table.type[row]],
        f=table.f_names[table.f[row]],
        value=table.value(row),
        error=None if error < 0 else table.error_names[error],
        node=None if node < 0 else table.node_names[node],
    )
