"""etcd: each client asks its own node, by the v2 or the v3 API."""

from workloads.clients.base import Value
from workloads.clients.etcd_http import V2, V3, EtcdApi, Options
from workloads.clients.http_client import HttpClient
from workloads.inputs import Cluster, parse_options


class EtcdClient(HttpClient[EtcdApi]):
    """What the clients of all workloads share: the connection, and when a node has recovered."""

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._folder = f"jepsen/{run}/set/"
        self._register = f"jepsen/{run}/register"
        self._options = parse_options(cluster.client, Options)

    def _new_node(self) -> EtcdApi:
        api = V2 if self._options.api == "v2" else V3
        return api(self.cluster.nodes[self.node], self._options, self.timeout_s)

    def recovered(self) -> str | None:
        """Waits until the node answers a quorum read, which takes a leader and all that was committed before."""
        api = self._new_node()
        try:
            api.get(self._register, quorum=True)
        finally:
            api.close()
        return None


class EtcdSet(EtcdClient):
    """A set, one key an element, so that adding is one write and no read.

    It is always read through a quorum: the question is whether an acknowledged write survives, not whether one node
    has heard of it yet.
    """

    def invoke(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all."""
        if f == "add":
            self._node.put(f"{self._folder}{value}", str(value))
            return value
        return sorted(int(element) for element in self._node.list_values(self._folder))


class EtcdRegister(EtcdClient):
    """A register, one key; the options say how it is read."""

    def invoke(self, f: str, value: Value) -> Value:
        """Reads, writes or compares and sets the register."""
        if f == "read":
            found = self._node.get(self._register)
            return None if found is None else int(found)
        if isinstance(value, list):
            old, new = value
            self._node.compare_and_set(self._register, str(old), str(new))
        else:
            self._node.put(self._register, str(value))
        return value
