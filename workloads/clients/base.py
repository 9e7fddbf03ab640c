"""What a client of a database is, and what its errors mean for the history."""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple, TypeAlias

from workloads.inputs import Cluster

Value: TypeAlias = int | str | list[int] | dict[str, int | str] | None
"""What an operation asks or answers: an element or a register's value, `[old, new]`, a set's elements, the balances of
accounts, a transfer, or nothing."""

READS = frozenset({"read", "copy"})  # functions that change nothing, so that without an answer they failed
ERROR_LENGTH = 200  # characters of an error that go into the history


class NotAppliedError(Exception):
    """The operation certainly did not happen and never will."""


class Completion(NamedTuple):
    """How an operation ended, as it stands in the history."""

    type: Literal["ok", "fail", "info"]
    value: Value
    error: str | None = None


class Client(ABC):
    """One logical client: it talks to one node, makes one operation at a time, and never tries again by itself.

    Every call to the network is bounded by `timeout_s`. Only `recovered` may be called from another thread.
    """

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        """Takes the node to talk to, where all nodes are, and the bound of each call; connects to nothing yet.

        The run's name goes into the names of its keys: on a cluster that was not wiped, what an earlier run left would
        stand in for what this one lost.

        Raises:
            WorkloadError: The cluster's client options are not what this client knows.
        """
        self.node = node
        self.cluster = cluster
        self.timeout_s = timeout_s
        self.run = run

    def set_up(self) -> None:  # noqa: B027  (most need nothing)
        """Makes what the workload needs, such as tables: once a run, on the first node, before any client works.

        Raises:
            Exception: It could not be made; the run ends before it began.
        """

    @abstractmethod
    def open(self) -> None:
        """Connects, if it is not connected. It sends nothing of an operation, so whatever it raises is certain."""

    @abstractmethod
    def invoke(self, f: str, value: Value) -> Value:
        """Makes one operation and returns the value that it ended with.

        Raises:
            NotAppliedError: It certainly did not happen. Any other exception: nobody knows.
        """

    @abstractmethod
    def close(self) -> None:
        """Drops the connection, so that the next `open` makes a new one; never raises."""

    @abstractmethod
    def recovered(self) -> str | None:
        """Returns what this node still waits for after a fault, or None. An exception counts as waiting, too."""


def complete(client: Client, f: str, value: Value) -> Completion:
    """Makes an operation and says how it ended.

    An operation that was never sent, or that the database refused for good, is `fail`; so is a read without an answer,
    since it changed nothing. After any other error nobody knows: `info`, and the connection is not used again.
    """
    try:
        client.open()
    except Exception as error:  # noqa: BLE001  (whatever it was, nothing was sent)
        client.close()
        return Completion("fail", value, describe(error))
    try:
        return Completion("ok", client.invoke(f, value))
    except NotAppliedError as error:
        return Completion("fail", value, describe(error.__cause__ or error))
    except Exception as error:  # noqa: BLE001  (what is not known to be certain is unknown)
        client.close()
        return Completion("fail" if f in READS else "info", value, describe(error))


def describe(error: BaseException) -> str:
    """Returns the class of an error, then what it said, on one line; the cause speaks for a bare NotAppliedError."""
    if isinstance(error, NotAppliedError) and not str(error) and error.__cause__:
        error = error.__cause__
    name = "NotApplied" if isinstance(error, NotAppliedError) else type(error).__name__
    return f"{name}: {' '.join(str(error).split())}"[:ERROR_LENGTH]
