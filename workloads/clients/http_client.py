"""What the clients of databases that speak HTTP share: one node, which connects with its first call."""

from abc import abstractmethod
from typing import Generic, Protocol, TypeVar

from workloads.clients.base import Client
from workloads.inputs import Cluster


class Closable(Protocol):
    """Whatever makes the calls to a node."""

    def close(self) -> None:
        """Drops the connection."""


N = TypeVar("N", bound=Closable)


class HttpClient(Client, Generic[N]):
    """A client whose node is made when it is first asked, and anew after `close`."""

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._open_node: N | None = None

    def open(self) -> None:
        """Leaves connecting to the first call, which says so if nothing could be sent."""

    def close(self) -> None:
        """Drops the connection."""
        if self._open_node:
            self._open_node.close()
        self._open_node = None

    @property
    def _node(self) -> N:
        if not self._open_node:
            self._open_node = self._new_node()
        return self._open_node

    @abstractmethod
    def _new_node(self) -> N:
        """Makes the node; connects to nothing yet."""
