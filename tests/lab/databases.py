"""What the lab's tests know of each database: which processes run, which version, how to ask by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    """One database as a person at a node's shell sees it.

    Attributes:
        processes: names of the processes that run on every node.
        version: in Debian 12.
        port: where clients are told to ask.
        unit: the service that a test may break.
        logs: names of the logs that are collected, besides the journal.
        write: a command that keeps something, on a node that may (on others it says no), and prints `wrote` then.
        read: a command that prints it, and nothing where it is not.
        first_is_primary: whether the first node begins as the primary.
    """

    processes: frozenset[str]
    version: str
    port: int
    unit: str
    write: str
    read: str
    logs: frozenset[str] = frozenset()
    first_is_primary: bool = False


DATABASES = {
    "etcd": Database(
        processes=frozenset({"etcd"}),
        version="3.4.23",
        port=2379,
        unit="etcd",
        write="etcdctl put k v >/dev/null && echo wrote",
        read="etcdctl get k --print-value-only",
    ),
    "redis": Database(
        processes=frozenset({"redis-server", "redis-sentinel"}),
        version="7.0.15",
        port=6379,
        unit="redis-server",
        write="[ $(redis-cli set k v) = OK ] && echo wrote",
        read="redis-cli get k",
        logs=frozenset({"redis-server.log", "redis-sentinel.log"}),
        first_is_primary=True,
    ),
}
