"""Errors by class: what went wrong, how often, and with which function (jepsen.checker/unhandled-exceptions)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.checks.verdict import SHOWN, weigh
from analysis.lost_writes import plural
from analysis.table import NEMESIS_PROCESS, TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.run_folder import Window
    from analysis.table import Table


def check(table: Table, _windows: Sequence[Window] = ()) -> dict[str, Any]:
    """Counts the errors that clients were told; the class is what stands before the first colon.

    Returns:
        A verdict: valid, for errors are no violation, or unknown where nobody did anything; `error_count`,
        `class_count`, and `exceptions`, the most frequent first: `class`, `f`, `type`, `count`, and the first of them
        as `example` with its `line`.
    """
    clients = table.process != NEMESIS_PROCESS
    rows = np.flatnonzero(clients & (table.error >= 0))
    classes = [error.split(":", 1)[0].strip() for error in table.error_names]
    kinds = [
        (classes[error], table.f_names[f], TYPES[type_])
        for error, f, type_ in zip(
            table.error[rows].tolist(), table.f[rows].tolist(), table.type[rows].tolist(), strict=True
        )
    ]
    first = dict(zip(reversed(kinds), reversed(rows.tolist()), strict=True))
    class_count = len({name for name, _, _ in kinds})
    praise = f"{plural(len(kinds), 'error')} of {class_count:,} {'class' if class_count == 1 else 'classes'}"
    return {
        **weigh([], [] if clients.any() else ["there are no operations of clients"], praise if kinds else "no errors"),
        "error_count": len(kinds),
        "class_count": class_count,
        "exceptions": [
            {
                "class": kind[0],
                "f": kind[1],
                "type": kind[2],
                "count": count,
                "example": table.error_names[table.error[first[kind]]],
                "line": int(table.line[first[kind]]),
            }
            for kind, count in sorted(Counter(kinds).items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
        ],
    }
