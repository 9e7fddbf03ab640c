"""Jepsen's `long-fork`: two reads must not see two writes in opposite orders.

The anomaly is that of jepsen.tests.long-fork: every key is written once, by a transaction of its own, and reads see
groups of keys. Of two reads of one group, one must have seen all that the other has. Jepsen compares all pairs of
reads; here the reads of a group are sorted by how many keys they saw, and stand in a chain if and only if each has all
that the one before it has: O(n log n).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import brief, canonical
from analysis.checks.verdict import SHOWN, mistake, weigh
from analysis.lost_writes import plural
from analysis.table import INVOKE, NEMESIS_PROCESS, OK

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from analysis.run_folder import Window
    from analysis.table import Table

    Read = tuple[int, dict[Hashable, Hashable]]  # its row; key: the value it saw, both canonical


def check(table: Table, _windows: Sequence[Window] = (), *, group_size: int | None = None) -> dict[str, Any]:
    """Judges transactions: lists of `["r", key, value]` and `["w", key, value]`, whatever their `f`.

    Args:
        table: The history.
        group_size: How many keys each read must read; any number if None.

    Returns:
        The verdict; `read_count`, `group_count`, `fork_count` (neighbours in the order of what was seen that contradict
        each other) and `forks`: pairs of reads, each with line and value. Keys that are written more than once, or read
        with two values, or reads of another size than asked for, are beyond what this can judge: unknown.

    Raises:
        AnalysisError: If a client's value is not a transaction.
    """
    doubts, groups = _many_writes(table), _groups(table)
    forks: list[tuple[int, int]] = []
    for key_set, reads in groups.items():
        if group_size is not None and len(key_set) != group_size:
            line = table.line[reads[0][0]]
            doubts.append(f"the read in line {line} has {plural(len(key_set), 'key')}, expected {group_size}")
        if torn := _two_values(table, reads):
            doubts.append(torn)
        forks += _forks_in(reads)
    read_count = sum(map(len, groups.values()))
    none = [] if read_count else ["no transaction of reads was answered"]
    sure = forks and not doubts  # a key with two values makes any two reads look contradictory
    findings = [f"{plural(len(forks), 'pair')} of reads saw writes in opposite orders"] if sure else []
    return {
        **weigh(findings, [*doubts[:SHOWN], *none], f"{plural(read_count, 'read')} saw all writes in one order"),
        "read_count": read_count,
        "group_count": len(groups),
        "fork_count": len(forks) if not doubts else None,
        "forks": [[_told(table, row) for row in pair] for pair in forks[:SHOWN]] if sure else [],
    }


def _groups(table: Table) -> dict[frozenset[Hashable], list[Read]]:
    """Returns the answered reads by the keys that they read."""
    groups: dict[frozenset[Hashable], list[Read]] = {}
    for row in np.flatnonzero((table.type == OK) & (table.process != NEMESIS_PROCESS)):
        steps = _steps(table, int(row))
        if steps and all(kind == "r" for kind, _, _ in steps):
            read = {canonical(key): canonical(value) for _, key, value in steps}
            groups.setdefault(frozenset(read), []).append((int(row), read))
    return groups


def _many_writes(table: Table) -> list[str]:
    """Returns one sentence for the first key that is written more than once."""
    written: set[Hashable] = set()
    for row in np.flatnonzero((table.type == INVOKE) & (table.process != NEMESIS_PROCESS)):
        for kind, key, _ in _steps(table, int(row)):
            name = canonical(key)
            if kind == "w" and name in written:
                return [f"key {brief(key)} is written again in line {table.line[row]}, expected one write a key"]
            if kind == "w":
                written.add(name)
    return []


def _two_values(table: Table, reads: list[Read]) -> str | None:
    """Returns a sentence if two reads saw two values of a key."""
    seen: dict[Hashable, Hashable] = {}
    for row, read in reads:
        for key, value in read.items():
            if value is not None and seen.setdefault(key, value) != value:
                return f"the read in line {table.line[row]} sees another value of a key than one before it"
    return None


def _forks_in(reads: list[Read]) -> list[tuple[int, int]]:
    """Returns the neighbours, by how many keys they saw, of which neither has all that the other has."""
    saw = [(row, {key for key, value in read.items() if value is not None}) for row, read in reads]
    saw.sort(key=lambda each: len(each[1]))
    return [(min(a, b), max(a, b)) for (a, less), (b, more) in pairwise(saw) if not less <= more]


def _steps(table: Table, row: int) -> list[tuple[str, Any, Any]]:
    """Returns a transaction's steps as (r or w, key, value)."""
    value = table.value(row)
    steps: list[tuple[str, Any, Any]] = []
    for step in value if isinstance(value, list | tuple) else [value]:
        kind = str(step[0]).lstrip(":") if isinstance(step, list | tuple) and len(step) == 3 else ""
        if kind not in {"r", "w"}:
            sentence = f'a transaction is a list of ["r", key, value] and ["w", key, value], found {brief(value)}'
            raise mistake(table, row, sentence)
        steps.append((kind, step[1], step[2]))
    return steps


def _told(table: Table, row: int) -> dict[str, Any]:
    return {"line": int(table.line[row]), "value": table.value(row)}
