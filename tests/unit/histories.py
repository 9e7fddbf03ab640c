"""Random histories that are well-formed, for the readers and the writers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from analysis.history import NEMESIS, Operation

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
whole = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9)
atoms = st.none() | st.booleans() | whole | st.integers(-(2**70), 2**70) | texts
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    atoms | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
plain_values = st.none() | whole | st.lists(whole, min_size=2, max_size=2)
names = st.sampled_from(["n1", "n2"]) | texts
functions = st.sampled_from(["add", "read", "cas"]) | texts


@st.composite
def histories(draw: st.DrawFn, values: st.SearchStrategy[Any] = plain_values | values) -> list[Operation]:
    """Draws a history that keeps every rule of docs/formats.md."""
    operations: list[Operation] = []
    pending: dict[int, str] = {}
    dead: set[int] = set()
    time = draw(st.integers(-(10**10), 10**18))
    for _ in range(draw(st.integers(0, 12))):
        process: Any = draw(st.sampled_from([0, 1, 2, 70_000, 2**62, NEMESIS]))
        time += draw(st.integers(0, 10**9))
        f = draw(functions)
        if process in dead:
            continue
        if process == NEMESIS:
            kind: Any = "info"
        elif process in pending:
            kind, f = draw(st.sampled_from(["ok", "fail", "info"])), pending.pop(process)
            dead |= {process} if kind == "info" else set()
        else:
            kind, pending[process] = "invoke", f
        error, node = draw(st.none() | names), draw(st.none() | names)
        operations.append(Operation(len(operations), time, process, kind, f, draw(values), error, node))
    return operations
