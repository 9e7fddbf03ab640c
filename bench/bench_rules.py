"""Times the rules without search: python bench/bench_rules.py [operations].

10 million operations of a register and of a queue, a tenth of that of every other rule, each beside numpy's argsort of
as many numbers as the history has events, in one process of its own.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.linear.containers import Counter, FifoQueue, Set, Stack, UnorderedQueue
from analysis.linear.locks import FencedMutex, Mutex, ReentrantMutex, Semaphore
from analysis.linear.model import Model, Reading
from analysis.linear.registers import CasRegister, Register
from analysis.linear.rules import conflict_of_table
from analysis.table import INT, INVOKE, NIL, OK, PAIR, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

OPERATIONS = 10_000_000
CONCURRENCY = 5

Shape = tuple[list[str], "NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]
"""Functions; each operation's function, value asked, value answered, second of a pair; nil is -1."""


def made(names: list[str], f: NDArray[Any], asked: NDArray[Any], told: NDArray[Any], second: NDArray[Any]) -> Table:
    """Makes a history in which every operation happens at its return, while the next ones are pending."""
    m = len(f)
    owned = "acquire" in names  # those that hold something do one thing after the other
    lag = 0 if owned else CONCURRENCY - 1
    begun = np.where(np.arange(m) <= lag, np.arange(m), 2 * np.arange(m) - lag)
    ended = np.minimum(2 * np.arange(m) + lag + 1, m + np.arange(m))
    row = np.empty(2 * m, np.int64)
    row[begun], row[ended] = np.arange(m), np.arange(m)
    types = np.full(2 * m, OK, np.uint8)
    types[begun] = INVOKE
    pair = np.empty(2 * m, np.int64)
    pair[begun], pair[ended] = ended, begun
    first = np.where(types == INVOKE, asked[row], told[row])
    both = second[row] >= 0
    kind = np.where(both, PAIR, np.where(first < 0, NIL, INT)).astype(np.uint8)
    none = np.full(2 * m, -1, np.int32)
    process = row // 2 % CONCURRENCY if owned else row % CONCURRENCY
    return Table(
        "made", np.arange(2 * m), process, types, f[row].astype(np.int32), names, kind, np.maximum(first, 0),
        np.maximum(second[row], 0), [], none, [], none, [], pair, np.arange(1, 2 * m + 1),
    )  # fmt: skip


def register(m: int) -> Shape:
    """Writes of different values, each read once."""
    place = np.arange(m)
    none = np.full(m, -1)
    return ["write", "read"], place % 2, np.where(place % 2, none, place), place // 2 * 2, none


def chain(m: int) -> Shape:
    """Compare-and-sets, one after the other, after a write."""
    place = np.arange(m)
    cas = place > 0
    return ["write", "cas"], cas * 1, np.where(cas, place - 1, 0), np.where(cas, place - 1, 0), np.where(cas, place, -1)


def queue(m: int, put: str = "enqueue", take: str = "dequeue") -> Shape:
    """Elements that go in and come out at once; for a stack in twos."""
    place = np.arange(m)
    none = np.full(m, -1)
    element = place // 2
    return [put, take], place % 2, np.where(place % 2, none, element), element, none


def nested(m: int) -> Shape:
    """A stack that grows to a hundred and shrinks again."""
    m -= m % 200
    place = np.arange(m)
    inner = place % 200
    pop = inner >= 100
    element = place // 200 * 100 + np.where(pop, 199 - inner, inner)
    return ["push", "pop"], pop * 1, np.where(pop, -1, element), element, np.full(m, -1)


def adds(m: int) -> Shape:
    """Adds alone; a set's reads are as long as the set."""
    place = np.arange(m)
    return ["add"], place * 0, place, place, np.full(m, -1)


def locks(m: int) -> Shape:
    """Acquires and releases, each acquire with a token."""
    place = np.arange(m)
    none = np.full(m, -1)
    return ["acquire", "release"], place % 2, none, np.where(place % 2, none, place), none


def steps(m: int) -> Shape:
    """Additions of one, and reads."""
    place = np.arange(m)
    read = place % 2
    return ["add", "read"], read, np.where(read, -1, 1), np.where(read, place // 2 + 1, 1), np.full(m, -1)


CASES: dict[str, tuple[Model, Callable[[int], Shape], int]] = {
    "register": (Register(), register, 1),
    "fifo-queue": (FifoQueue(), queue, 1),
    "cas-register": (CasRegister(), chain, 10),
    "unordered-queue": (UnorderedQueue(), queue, 10),
    "stack": (Stack(), nested, 10),
    "set": (Set(), adds, 10),
    "mutex": (Mutex(), locks, 10),
    "semaphore": (Semaphore(2), locks, 10),
    "fenced-mutex": (FencedMutex(), locks, 10),
    "reentrant-mutex": (ReentrantMutex(), locks, 10),
    "counter": (Counter(), steps, 10),
}


def peak_kib() -> int:
    """Returns the most memory that this process has held."""
    return int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0])


def measure(name: str, operations: int, answer: Any) -> None:  # noqa: ANN401
    """Sends the verdict, seconds of rule and argsort, and bytes above the table at the peak."""
    model, shape, share = CASES[name]
    reading = Reading("wildcard", "none", model.initial)
    conflict_of_table(model, reading, made(*shape(1000)))  # compiled, or read from the cache
    table = made(*shape(operations // share))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = peak_kib()
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        found = conflict_of_table(model, reading, table)
        seconds.append(time.perf_counter() - began)
    peak_bytes = (peak_kib() - before) * 1024
    mixed = np.random.default_rng(0).permutation(len(table))
    began = time.perf_counter()
    np.argsort(mixed)
    floor = time.perf_counter() - began
    answer.put((str(found), len(table) // 2, min(seconds), floor, peak_bytes))


def main() -> None:
    """Prints one line a rule."""
    operations = int(sys.argv[1]) if len(sys.argv) > 1 else OPERATIONS
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    for name in CASES:
        process = context.Process(target=measure, args=(name, operations, answer))
        process.start()
        found, count, seconds, floor, peak_bytes = answer.get(timeout=300)
        process.join(10)
        if found != "None":
            sys.exit(f"{name}: expected a linearizable history, found {found}")
        print(f"{name:16} {count:12,} {seconds:6.3f} s {seconds / floor:5.2f} x argsort {peak_bytes >> 20:6,} MiB more")


if __name__ == "__main__":
    main()
