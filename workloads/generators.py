"""Workloads: what the clients ask, as pure iterators, the same for the same seed."""

import random
from collections.abc import Callable, Iterator
from itertools import count, repeat
from typing import NamedTuple

from workloads.clients.base import Value


class Invocation(NamedTuple):
    """What a client is to ask: the function and its value, as in the history.

    `after_s` is how long after its last operation the client asks this at the earliest: so it holds a lock.
    """

    f: str
    value: Value
    after_s: float = 0.0


class Task(NamedTuple):
    """What a generator is told of its client: which one it is, of how many, the run's seed, how long to hold a lock."""

    client: int
    clients: int
    seed: int
    hold_s: float = 0.0

    def draw(self) -> random.Random:
        """This client's own source of chance."""
        return random.Random(f"{self.seed}/{self.client}")  # noqa: S311  (a workload, no secret)


class Workload(NamedTuple):
    """The endless operations of a client, and what it asks last, one after the other.

    Each of those is asked until it is ok and has nothing more to say.
    """

    operations: Callable[[Task], Iterator[Invocation]]
    final: tuple[Invocation, ...]


READ = Invocation("read", None)
COPY = Invocation("copy", None)  # what one node has for itself, whatever the others have
REGISTER_VALUES = 5  # few, so that writes of different clients meet in compare-and-sets and reads
REGISTER_FUNCTIONS = ("read", "write", "cas")
ENQUEUED = 2 / 3  # of what a queue is asked
ACCOUNTS = ("0", "1", "2", "3", "4")  # of the bank; names, because JSON knows no other keys
BALANCE = 20  # of each account in the beginning
MOST_MOVED = 5  # by one transfer


def adds(task: Task) -> Iterator[Invocation]:
    """Client i of n adds i, i+n, i+2n ... to a set, so that no element is ever asked for twice."""
    return (Invocation("add", element) for element in count(task.client, task.clients))


def register_operations(task: Task) -> Iterator[Invocation]:
    """Reads, writes and compares-and-sets one register, at random, with values 0..4."""
    draw = task.draw()
    while True:
        f = draw.choice(REGISTER_FUNCTIONS)
        if f == "read":
            yield READ
        elif f == "write":
            yield Invocation(f, draw.randrange(REGISTER_VALUES))
        else:
            yield Invocation(f, [draw.randrange(REGISTER_VALUES), draw.randrange(REGISTER_VALUES)])


def queue_operations(task: Task) -> Iterator[Invocation]:
    """Enqueues unique values, as `adds` does, and dequeues half as often, at random, so that something stays in it."""
    draw, values = task.draw(), count(task.client, task.clients)
    while True:
        yield Invocation("enqueue", next(values)) if draw.random() < ENQUEUED else Invocation("dequeue", None)


def lock_operations(task: Task) -> Iterator[Invocation]:
    """Acquires the lock, holds it, releases it; whoever did not get it has nothing to release, and fails to."""
    while True:
        yield Invocation("acquire", None)
        yield Invocation("release", None, after_s=task.hold_s)


def bank_operations(task: Task) -> Iterator[Invocation]:
    """Moves small amounts between two accounts, and reads all accounts as often, at random."""
    draw = task.draw()
    while True:
        if draw.random() < 0.5:
            yield READ
        else:
            source, target = draw.sample(ACCOUNTS, 2)
            yield Invocation("transfer", {"from": source, "to": target, "amount": draw.randint(1, MOST_MOVED)})


def counted_up(_task: Task) -> Iterator[Invocation]:
    """Adds one to a counter, again and again: every update of it meets those of the other clients."""
    return repeat(Invocation("add", 1))


def shared_rows(task: Task) -> Iterator[Invocation]:
    """All clients write the same rows, one after the other, each its own value; [row, value]. Then each reads one back.

    What it reads is the row before the one that it wrote, which by then most of the others have written, too.
    """
    for row in count():
        yield Invocation("write", [row, task.client + 1])
        if row:
            yield Invocation("read", row - 1)


def skewed_inserts(task: Task) -> Iterator[Invocation]:
    """Clients 2i and 2i+1 insert one row each into the same pair, which may hold one; [pair, row].

    Pairs of different clients do not meet; of an odd number of clients the last one is alone, and proves nothing.
    """
    couples = (task.clients + 1) // 2
    couple, row = divmod(task.client, 2)
    return (Invocation("insert", [pair, 2 * pair + row]) for pair in count(couple, couples))


WORKLOADS = {
    "bank": Workload(bank_operations, (READ,)),
    "counter": Workload(counted_up, (READ,)),
    "list-cas": Workload(adds, (READ,)),
    "mutex": Workload(lock_operations, ()),
    "queue": Workload(queue_operations, (Invocation("drain", None),)),
    "register": Workload(register_operations, (READ,)),
    "row-isolation": Workload(shared_rows, ()),
    "set": Workload(adds, (READ,)),
    "set-copies": Workload(adds, (COPY, READ)),  # in this order: a read that asks several nodes may mend their copies
    "write-skew": Workload(skewed_inserts, ()),
}
"""Name of a workload: what it asks."""
