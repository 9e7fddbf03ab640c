"""Independent keys: a history of `[key value]` tuples is one history a key (jepsen.independent)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import Column, Numbering, brief
from analysis.checks.verdict import SHOWN, mistake, worst
from analysis.lost_writes import plural
from analysis.table import INT, INVOKE, NEMESIS_PROCESS, OTHER, PAIR, UNPAIRED, Table, split_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from analysis.run_folder import Window


def check_keys(
    table: Table, windows: Sequence[Window], check: Callable[..., dict[str, Any]], **options: object
) -> dict[str, Any]:
    """Judges each key apart and composes the verdicts: invalid beats unknown beats valid.

    Args:
        table: A history of which every client's operation has a `[key value]` tuple.
        windows: The fault windows, given to the checker.
        check: A checker of one table.
        options: The checker's own.

    Returns:
        The verdict; `tested`, whether any key's history could have been wrong; `key_count`, `invalid_key_count`,
        `unknown_key_count`, and the results of the worst keys in `keys`, each with its `key`.

    Raises:
        AnalysisError: If an operation has no key, or the checker says so.
    """
    results = [{"key": key, **check(part, windows, **options)} for key, part in split(table)]
    valid = worst(result["valid"] for result in results)
    bad = [result for result in results if result["valid"] is False]
    unknown = [result for result in results if result["valid"] == "unknown"]
    shown = (bad + unknown)[:SHOWN]
    told = f"{plural(len(results), 'key')} valid" if valid is True else "there are no operations with keys"
    if shown:
        count, word = (len(bad), "invalid") if bad else (len(unknown), "unknown")
        told = f"{count:,} of {plural(len(results), 'key')} {word}, such as {brief(shown[0]['key'])}: "
        told += shown[0]["reason"]
    tested = any(result.get("tested", True) for result in results)
    if valid is True and not tested:
        told = f"of {plural(len(results), 'key')} each: {results[0]['reason']}"
    return {
        "valid": valid,
        "reason": told,
        "tested": tested,
        "key_count": len(results),
        "invalid_key_count": len(bad),
        "unknown_key_count": len(unknown),
        "keys": shown,
    }


def split(table: Table) -> Iterator[tuple[Any, Table]]:
    """Yields each key with its history, in which values stand without the key; by keys in order of their numbers.

    A completion belongs to the key of its invocation; where its value is not a tuple of that key, the value is taken as
    it is. The nemesis' events are left out. All parts share the names and objects: O(n log n) for any number of keys.

    Raises:
        AnalysisError: If an operation has no key.
    """
    rows = np.flatnonzero(table.process != NEMESIS_PROCESS)
    keyed, own_keys = tuples(table, rows)
    numbering = Numbering(own_keys)
    own = np.full(len(table), -1, np.int64)
    own[rows[keyed]] = numbering.of(own_keys)
    begun = np.where((table.type[rows] == INVOKE) | (table.pair[rows] == UNPAIRED), rows, table.pair[rows])
    keys = own[begun]
    if (keys < 0).any():
        row = int(begun[np.argmax(keys < 0)])
        found = brief(table.value(row))
        raise mistake(table, row, f"an operation on independent keys needs [key, value], found {found}")
    bare = _without_keys(table, rows[own[rows] == keys])
    order = rows[np.argsort(keys, kind="stable")]
    counts = np.bincount(keys, minlength=numbering.size)
    ends = np.cumsum(counts)
    places = np.full(len(table), UNPAIRED, np.int64)
    for number in np.flatnonzero(counts):
        part = order[ends[number] - counts[number] : ends[number]]
        places[part] = np.arange(len(part))
        yield numbering.value(int(number)), _part(bare, part, places)


def tuples(table: Table, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Column]:
    """Returns which of the rows hold a `[key value]` tuple, and the keys of these."""
    whole = table.kind[rows] == PAIR
    tuples, number = whole.copy(), table.first[rows].copy()
    objects: list[Any] = []
    for place in np.flatnonzero(table.kind[rows] == OTHER):
        value = table.value(int(rows[place]))
        if not isinstance(value, list | tuple) or len(value) != 2:
            continue
        tuples[place] = True
        kind, first, _ = split_value(value[0], [])
        whole[place] = kind == INT  # the 1 of [1, null] is that of [1, 2]
        number[place] = first if kind == INT else len(objects)
        objects += [] if kind == INT else [value[0]]
    return tuples, Column(whole[tuples], number[tuples], objects)


def _without_keys(table: Table, rows: NDArray[np.int64]) -> Table:
    """Returns the table with the keys taken off the tuples in rows."""
    kind, first, second = table.kind.copy(), table.first.copy(), table.second.copy()
    objects = list(table.objects)
    pairs = rows[table.kind[rows] == PAIR]
    kind[pairs], first[pairs], second[pairs] = INT, table.second[pairs], 0
    for row in rows[table.kind[rows] == OTHER]:
        kind[row], first[row], second[row] = split_value(table.value(row)[1], objects)
    return replace(table, kind=kind, first=first, second=second, objects=objects)


def _part(table: Table, rows: NDArray[np.int64], places: NDArray[np.int64]) -> Table:
    """Returns some rows as a table; `places` has their new row numbers."""
    columns = ("time", "process", "type", "f", "kind", "first", "second", "node", "error", "line")
    pair = table.pair[rows]
    return replace(
        table,
        **{name: getattr(table, name)[rows] for name in columns},
        pair=np.where(pair == UNPAIRED, UNPAIRED, places[pair]),
    )
