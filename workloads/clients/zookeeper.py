"""ZooKeeper: each client has a session with its own node's server, and all work on one node of the tree."""

from contextlib import suppress
from typing import Annotated, Any

import msgspec
from kazoo.exceptions import BadVersionError, NoAuthError, NodeExistsError, NoNodeError

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.clients.zookeeper_session import Session
from workloads.inputs import Cluster, parse_options

REFUSED_WITH = {
    BadVersionError: "somebody else has set the node since it was read",
    NoNodeError: "there is no such node to set",
    NoAuthError: "the client may not do this",
}
"""What is certain: the leader's own refusals, in the place of the write in the order of all writes.

They are certain because nothing is sent twice; a second try may be refused for what the first one did. A lost
connection, an ended session or a time-out is not certain: the write may have been proposed, and may yet be committed.
"""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of ZooKeeper must know of the cluster.

    Attributes:
        sync: A register's read comes after a `sync`, so that the server first catches up with the leader.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 2181
    sync: bool = False


class ZookeeperClient(Client):
    """What the clients of all workloads share: the session, and a node of the tree that holds JSON."""

    name: str
    initial: Value

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._path = f"/jepsen-{run}-{self.name}"
        self._options = parse_options(cluster.client, Options)
        self._session: Session | None = None

    def set_up(self) -> None:
        """Makes the node, once a run: nothing else does, so that a write never depends on whether it is there."""
        self.open()
        with suppress(NodeExistsError):
            self._opened.create(self._path, msgspec.json.encode(self.initial))

    def open(self) -> None:
        """Begins a session, if there is none that stands."""
        if self._session and not self._session.is_open:
            self.close()
        if not self._session:
            session = self._new_session()
            session.open()
            self._session = session

    def close(self) -> None:
        """Ends the session's connection and its threads."""
        if self._session:
            self._session.close()
        self._session = None

    def recovered(self) -> str | None:
        """Waits until the node gives a session and has caught up, which takes a leader with a majority."""
        session = self._new_session()
        session.open()
        try:
            session.sync(self._path)
        finally:
            session.close()
        return None

    @property
    def _opened(self) -> Session:
        assert self._session, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        return self._session

    def _new_session(self) -> Session:
        return Session(self.cluster.nodes[self.node], self._options.port, self.timeout_s)

    def _read(self, *, sync: bool) -> tuple[Any, int]:
        """Returns what the node holds and its version."""
        if sync:
            self._opened.sync(self._path)
        found = self._opened.get(self._path)
        return msgspec.json.decode(found.data), found.version

    def _read_to_write(self) -> tuple[Any, int]:
        """Returns the same for a write that depends on it; without an answer there is nothing to send, for certain."""
        try:
            return self._read(sync=False)
        except Exception as error:
            self.close()
            raise NotAppliedError from error

    def _write(self, content: Value, version: int = -1) -> None:
        """Sets the node, if it has this version; -1 is any."""
        try:
            self._opened.set(self._path, msgspec.json.encode(content), version)
        except tuple(REFUSED_WITH) as error:
            raise NotAppliedError from error


class ZookeeperList(ZookeeperClient):
    """A list in one node, which grows by reading it and setting it under the version that was read.

    It is always read after a `sync`: the question is whether an acknowledged write survives, not whether one server
    has heard of it yet.
    """

    name = "list"
    initial: Value = []  # noqa: RUF012  (nothing changes it)

    def invoke(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all in the order in which they came."""
        if f == "add":
            elements, version = self._read_to_write()
            elements.append(value)
            self._write(elements, version)
            return value
        found: list[int] = self._read(sync=True)[0]
        return found


class ZookeeperRegister(ZookeeperClient):
    """A register, one node; the options say whether a read is preceded by a `sync`."""

    name = "register"
    initial: Value = None

    def invoke(self, f: str, value: Value) -> Value:
        """Reads, writes or compares and sets the register."""
        if f == "read":
            read: int | None = self._read(sync=self._options.sync)[0]
            return read
        if isinstance(value, list):
            old, new = value
            found, version = self._read_to_write()
            if found != old:
                raise NotAppliedError(f"it holds {found}, not {old}")
            self._write(new, version)
        else:
            self._write(value)
        return value
