"""Workloads: what the clients ask, as pure iterators, the same for the same seed."""

import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

from workloads.clients.base import Value


class Invocation(NamedTuple):
    """What a client is to ask: the function and its value, as in the history."""

    f: str
    value: Value


READ = Invocation("read", None)  # of every workload, and what is asked last
REGISTER_VALUES = 5  # few, so that writes of different clients meet in compare-and-sets and reads
REGISTER_FUNCTIONS = ("read", "write", "cas")


def adds(client: int, clients: int, seed: int) -> Iterator[Invocation]:  # noqa: ARG001  (all workloads' arguments)
    """Client i of n adds i, i+n, i+2n ... to a set, so that no element is ever asked for twice."""
    return (Invocation("add", element) for element in count(client, clients))


def register_operations(client: int, clients: int, seed: int) -> Iterator[Invocation]:  # noqa: ARG001  (the same)
    """Reads, writes and compares-and-sets one register, at random, with values 0..4."""
    draw = random.Random(f"{seed}/{client}")  # noqa: S311  (a workload, no secret)
    while True:
        f = draw.choice(REGISTER_FUNCTIONS)
        if f == "read":
            yield READ
        elif f == "write":
            yield Invocation(f, draw.randrange(REGISTER_VALUES))
        else:
            yield Invocation(f, [draw.randrange(REGISTER_VALUES), draw.randrange(REGISTER_VALUES)])


WORKLOADS: dict[str, Callable[[int, int, int], Iterator[Invocation]]] = {
    "register": register_operations,
    "set": adds,
}
"""Name of a workload: from a client's number, the number of clients and the seed to its endless operations."""
