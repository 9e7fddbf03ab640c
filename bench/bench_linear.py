"""Times the linearizability engine: python bench/bench_linear.py [corpora].

(a) the etcd logs of the corpora, warm, reading apart; (b) one key, 100,000 operations of a cas-register, at concurrency
10 and 40; (d) 10 million operations of a register and of a queue whose values are all different.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.linear import Options, check
from analysis.read import read_table
from analysis.table import FAIL, INT, INVOKE, NIL, OK, PAIR, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

READ, WRITE, CAS = range(3)


def timed(table: Table, options: Options) -> tuple[float, dict[str, Any]]:
    """Returns the seconds of the better of two checks, and the result."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        result = check(table, [], options)
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def table_of_columns(columns: NDArray[np.int64], pair: NDArray[np.int64]) -> Table:
    """Makes a table of int64[n, 6]: process, type, f, kind, first, second."""
    none = np.full(len(columns), -1, np.int32)
    process, types, f, kind, first, second = (np.ascontiguousarray(column) for column in columns.T)
    return Table(
        name="made",
        time=np.arange(len(columns)),
        process=process,
        type=types.astype(np.uint8),
        f=f.astype(np.int32),
        f_names=["read", "write", "cas"],
        kind=kind.astype(np.uint8),
        first=first,
        second=second,
        objects=[],
        node=none,
        node_names=[],
        error=none,
        error_names=[],
        pair=pair,
        line=np.arange(1, len(columns) + 1),
    )


def made(count: int, concurrency: int, seed: int) -> Table:
    """Makes a linearizable history: each operation happens at some moment between its invocation and its return."""
    rng = np.random.default_rng(seed)
    rows, pair = [], []
    state, begun = -1, 0
    free = list(range(concurrency))
    pending: dict[int, list[Any]] = {}  # process: row, f, first, second, answer
    while begun < count or pending:
        if begun < count and free and (not pending or rng.random() < 0.5):
            process = free.pop(rng.integers(len(free)))
            f = int(rng.integers(3))
            first, second = (0, 0) if f == READ else rng.integers(5, size=2).tolist()
            pending[process] = [len(rows), f, first, second, None]
            rows.append((process, INVOKE, f, (NIL, INT, PAIR)[f], first, second * (f == CAS)))
            pair.append(-1)
            begun += 1
            continue
        process = list(pending)[rng.integers(len(pending))]
        row, f, first, second, answer = pending[process]
        if answer is None:
            done = f != CAS or state == first
            kind, told = ((INT, state) if state >= 0 else (NIL, 0)) if f == READ else ((INT, PAIR)[f - 1], first)
            pending[process][4] = (OK if done else FAIL, kind, told)
            state = (state, first, second)[f] if done else state
            continue
        outcome, kind, told = answer
        pair[row] = len(rows)
        pair.append(row)
        rows.append((process, outcome, f, kind, told, second * (f == CAS)))
        free.append(process)
        del pending[process]
    return table_of_columns(np.array(rows, np.int64), np.array(pair, np.int64))


def made_unique(count: int) -> Table:
    """Makes `count` operations, a write and a read that overlaps the next write in turn; each write of a new value."""
    events = 2 * count
    columns = np.zeros((events, 6), np.int64)
    step = np.arange(events)
    group, place = step // 4, step % 4  # write begins, write ends, read begins, read ends
    columns[:, 0] = place // 2
    columns[:, 1] = np.where(place % 2 == 0, INVOKE, OK)
    columns[:, 2] = np.where(place < 2, WRITE, READ)
    columns[:, 3] = np.where(place == 2, NIL, INT)
    columns[:, 4] = np.where(place == 2, 0, group)
    return table_of_columns(columns, step ^ 1)


def made_queue(count: int) -> Table:
    """Makes `count` operations of a queue: an enqueue and a dequeue that overlaps it in turn, every element another."""
    events = 2 * count
    columns = np.zeros((events, 6), np.int64)
    step = np.arange(events)
    group, place = step // 4, step % 4  # enqueue begins, dequeue begins, enqueue ends, dequeue ends
    columns[:, 0] = place % 2
    columns[:, 1] = np.where(place < 2, INVOKE, OK)
    columns[:, 2] = place % 2
    columns[:, 3] = np.where(place == 1, NIL, INT)
    columns[:, 4] = np.where(place == 1, 0, group)
    return dataclasses.replace(table_of_columns(columns, step ^ 2), f_names=["enqueue", "dequeue"])


def main() -> None:
    """Prints one line a measurement."""
    default = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    corpora = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CALLMAYBE_CORPORA", default))
    verdicts = corpora / "verdicts.json"
    if verdicts.exists():
        options = Options("cas-register", nil_read="initial", failed_cas="evidence")
        known = {name: k["valid"] for name, k in json.loads(verdicts.read_text()).items() if name.startswith("etcd")}
        seconds = []
        for name, valid in known.items():
            spent, result = timed(read_table(corpora / name), options)
            assert result["valid"] == valid, name  # noqa: S101 - a bench of wrong verdicts is none
            seconds.append(spent)
        total, median = sum(seconds) * 1e3, statistics.median(seconds) * 1e6
        print(f"(a) {len(known)} etcd logs: {total:.1f} ms in all, median {median:.0f} us, explanations included")
    else:
        print(f"(a) skipped: no corpora at {corpora}")
    for concurrency in (10, 40):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent, result = timed(made(100_000, concurrency, 1), Options("cas-register"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        visited = f"{result['configuration_count']:,} configurations, {(peak - before) / 1e3:.0f} MB with the history"
        print(f"(b) concurrency {concurrency}: {spent:.3f} s, {result['valid']}, {visited}")
    spent, result = timed(made_unique(10_000_000), Options("register"))
    print(f"(d) 10 M operations of a register, every write of another value: {spent:.3f} s, {result['valid']}")
    spent, result = timed(made_queue(10_000_000), Options("fifo-queue"))
    print(f"(d) 10 M operations of a queue, every element another: {spent:.3f} s, {result['valid']}")


if __name__ == "__main__":
    main()
