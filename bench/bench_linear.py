"""Times the linearizability engine beside Porcupine: python bench/bench_linear.py [corpora].

(a) the etcd logs of the corpora, warm, reading apart; (b) one key, 100,000 operations of a cas-register, at concurrency
10 and 40; (c) key-value histories; (d) 10 million operations of a register and of a queue whose values are all
different. Porcupine gets the same operations in the same run, and is left out where Go is missing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import peer_porcupine

from analysis import compiled
from analysis.history import Operation
from analysis.linear import Options, check
from analysis.read import read_table
from analysis.table import FAIL, INT, INVOKE, NIL, OK, PAIR, Table, table_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from peer_porcupine import Peer

READ, WRITE, CAS = range(3)


class Spent(NamedTuple):
    """What a check took: seconds of the best of some, bytes above what was held before, and its result."""

    seconds: float
    peak_bytes: int
    result: dict[str, Any]


def timed(table: Table, options: Options, rounds: int = 2) -> Spent:
    """Times a check, warm."""
    result = check(table, [], options)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before, seconds = _status("VmRSS"), []
    for _ in range(rounds):
        began = time.perf_counter()
        result = check(table, [], options)
        seconds.append(time.perf_counter() - began)
    return Spent(min(seconds), max(_status("VmHWM") - before, 0), result)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def beside(ours: float, peak: int, peer: Peer | None) -> str:
    """Says what both took, and the ratio."""
    said = f"{ours * 1e3:,.1f} ms, {peak / 1e6:,.0f} MB"
    if peer is None:
        return f"{said}; Porcupine skipped, Go is missing"
    if peer.why:
        return f"{said}; Porcupine: {peer.why}"
    theirs = sum(peer.seconds)
    return f"{said}; Porcupine {theirs * 1e3:,.1f} ms, {peer.peak_bytes / 1e6:,.0f} MB; {theirs / ours:,.1f} times"


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


def made_store(count: int, clients: int, keys: int, seed: int) -> Table:
    """Makes a linearizable key-value history: gets, puts and appends of short strings."""
    rng = random.Random(seed)  # noqa: S311 - the same each time
    held: dict[int, str] = {}
    pending: dict[int, list[Any]] = {}
    events: list[Operation] = []
    begun = 0

    def record(process: int, kind: str, f: str, key: int, value: str | None) -> None:
        events.append(Operation(len(events), len(events), process, kind, f, [key, value]))

    while begun < count or pending:
        process = rng.randrange(clients)
        if process not in pending and begun < count:
            f, key = rng.choice(("get", "put", "append")), rng.randrange(keys)
            pending[process] = [f, key, None if f == "get" else f"{begun};", False, None]
            record(process, "invoke", f, key, pending[process][2])
            begun += 1
        elif process in pending:
            f, key, value, done, answer = pending[process]
            if done:
                record(process, "ok", f, key, answer)
                del pending[process]
                continue
            if f != "get":
                held[key] = value if f == "put" else held.get(key, "") + value
            pending[process][3:] = True, held.get(key, "") if f == "get" else value
    return table_of(events)


def main() -> None:
    """Prints one line a measurement."""
    compiled.load()
    default = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    corpora = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CALLMAYBE_CORPORA", default))
    with tempfile.TemporaryDirectory() as folder:
        program = peer_porcupine.build(Path(folder))

        def peer(tables: list[Table], options: Options, kind: str, rounds: int = 1) -> Peer | None:
            if program is None:
                return None
            paths = [Path(folder) / f"{place}.jsonl" for place in range(len(tables))]
            for table, path in zip(tables, paths, strict=True):
                peer_porcupine.write(table, options, path)
            return peer_porcupine.run(program, kind, paths, rounds)

        etcd_logs(corpora, peer)
        for concurrency in (10, 40):
            options, table = Options("cas-register"), made(100_000, concurrency, 1)
            spent = timed(table, options)
            said = beside(spent.seconds, spent.peak_bytes, peer([table], options, "numbers"))
            print(f"(b) one key, 100,000 operations, concurrency {concurrency}: {said}; {spent.result['valid']}")
        for clients, keys in ((10, 10), (50, 10)):
            options, table = Options("kv"), made_store(5000, clients, keys, 1)
            spent = timed(table, options)
            said = beside(spent.seconds, spent.peak_bytes, peer([table], options, "strings"))
            print(f"(c) 5,000 of a store, {clients} clients, {keys} keys: {said}; {spent.result['valid']}")
    for name, model, table in (
        ("register", "register", made_unique(10_000_000)),
        ("queue", "fifo-queue", made_queue(10_000_000)),
    ):
        spent = timed(table, Options(model))
        print(f"(d) 10 M operations of a {name}, every value another: {spent.seconds:.3f} s, {spent.result['valid']}")


def etcd_logs(corpora: Path, peer: Callable[[list[Table], Options, str, int], Peer | None]) -> None:
    """Times the etcd logs, with explanations and without."""
    verdicts = corpora / "verdicts.json"
    if not verdicts.exists():
        print(f"(a) skipped: no corpora at {corpora}")
        return
    known = {name: k["valid"] for name, k in json.loads(verdicts.read_text()).items() if name.startswith("etcd")}
    tables = [read_table(corpora / name) for name in known]
    theirs = None
    for explained in (False, True):
        options = Options("cas-register", nil_read="initial", failed_cas="evidence", explain=explained)
        spent = [timed(table, options, 5) for table in tables]
        for name, one in zip(known, spent, strict=True):
            assert one.result["valid"] == known[name], name  # noqa: S101 - a bench of wrong verdicts is none
        theirs = theirs or peer(tables, options, "numbers", 5)
        if theirs and not theirs.why:
            assert theirs.valid == list(known.values())  # noqa: S101 - the same
        total, peak = sum(one.seconds for one in spent), max(one.peak_bytes for one in spent)
        what = "explanations included" if explained else "decided"
        print(f"(a) {len(known)} etcd logs, {what}: {beside(total, peak, theirs)}")


if __name__ == "__main__":
    main()
