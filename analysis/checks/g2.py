"""Jepsen's `g2`: of two transactions that each look for the other's row and insert their own, one must see the other.

The definition is that of jepsen.adya/g2-checker: `insert` of `[key, row]` puts a row under a key unless it finds one
there, so of each key at most one insert may be acknowledged. Two are a cycle of anti-dependencies, Adya's G2: in no
serial order do both find nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.elements import Numbering, brief
from analysis.checks.independent import tuples
from analysis.checks.rows import ended, rows_of
from analysis.checks.verdict import SHOWN, mistake, weigh
from analysis.lost_writes import plural
from analysis.table import FAIL, INVOKE, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Judges `insert`, whose value is `[key, row]`; what the row is, nobody asks.

    Returns:
        The verdict; `attempt_count` and `acknowledged_count` of inserts; `key_count`; `contended_count`, the keys that
        were tried more than once: without any, nothing could have gone wrong; `legal_count`, the keys of which one
        insert was acknowledged, and `illegal_count`, those of which more were; `undecided_count`, the keys of which one
        at most was acknowledged, but more may have happened; `illegal`, each with its key, how many inserts were
        acknowledged, and the line of each with its value.

    Raises:
        AnalysisError: If an insert has no key.
    """
    tries = rows_of(table, "insert", INVOKE)
    keyed, keys = tuples(table, tries)
    if not keyed.all():
        row = int(tries[np.argmin(keyed)])
        raise mistake(table, row, f"an insert needs [key, row], found {brief(table.value(row))}")
    numbering, ends = Numbering(keys), ended(table, tries)
    key_of = numbering.of(keys)
    tried, acknowledged, possible = (
        np.bincount(key_of[chosen], minlength=numbering.size) for chosen in (keyed, ends == OK, ends != FAIL)
    )
    illegal = np.flatnonzero(acknowledged > 1)
    result = {
        "attempt_count": len(tries),
        "acknowledged_count": int(acknowledged.sum()),
        "key_count": int((tried > 0).sum()),
        "contended_count": int((tried > 1).sum()),
        "legal_count": int((acknowledged == 1).sum()),
        "illegal_count": len(illegal),
        "undecided_count": int(((acknowledged <= 1) & (possible > 1)).sum()),
    }
    pairs = {number: table.pair[tries[(key_of == number) & (ends == OK)]] for number in illegal[:SHOWN]}
    return weigh(*_judge(result), _praise(result)) | result | {
        "illegal": [
            {
                "key": numbering.value(int(number)),
                "count": int(acknowledged[number]),
                "inserts": [{"line": int(table.line[row]), "value": table.value(int(row))} for row in rows[:SHOWN]],
            }
            for number, rows in pairs.items()
        ]
    }  # fmt: skip


def _judge(result: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the findings and the doubts."""
    keys = plural(result["key_count"], "key")
    if not result["key_count"]:
        return [], ["nobody inserted anything"]
    if not result["contended_count"]:
        return [], [f"of {keys} none was tried twice, so none could get two rows"]
    if not result["acknowledged_count"]:
        return [], [f"of {plural(result['attempt_count'], 'insert')} none was acknowledged"]
    if result["illegal_count"]:
        return [f"more than one insert was acknowledged of {result['illegal_count']:,} of {keys}"], []
    return [], []


def _praise(result: dict[str, Any]) -> str:
    open_ones = f"; of {result['undecided_count']:,} nobody knows" if result["undecided_count"] else ""
    return f"at most one insert was acknowledged of each of {plural(result['key_count'], 'key')}{open_ones}"
