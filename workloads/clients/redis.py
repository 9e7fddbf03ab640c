"""Redis behind Sentinel: each client asks its own node's Sentinel where the primary is, and writes there.

As in 2013 the Sentinel is asked before each operation (`with-sentinel` of Jepsen's first Redis test): the clients of
the majority then follow a failover while those of the minority stay with the old primary, and there are two.
"""

from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.inputs import Cluster, parse_options

REFUSED_WITH = {
    redis.ReadOnlyError: "a replica was asked to write",
    redis.exceptions.MasterDownError: "a replica has lost its primary and serves no stale data",
    redis.BusyLoadingError: "it still reads its data from the disk",
    redis.exceptions.OutOfMemoryError: "it is over maxmemory",
    redis.AuthenticationError: "the client has not logged in",
    redis.exceptions.NoPermissionError: "the client may not do this",
}
REFUSED_WITH_CODE = {
    "NOREPLICAS": "fewer good replicas than min-replicas-to-write",
    "MISCONF": "it cannot save to the disk and takes no writes",
}
"""What is certain: replies that Redis gives instead of running the command (processCommand in its server.c).

The first are classes of redis-py, which takes the code out of their message; the second it knows as codes only. A lost
connection or a time-out is not certain: the command may still be on its way, or only its reply was lost."""

Address = tuple[str, int]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of Redis must know of the cluster."""

    port: int = 6379
    sentinel_port: int = 26379
    primary_name: str = "mymaster"


class RedisSet(Client):
    """Adds to a set with SADD and reads it with SMEMBERS."""

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._key = f"jepsen:{run}:set"
        self._options = parse_options(cluster.client, Options)
        self._sentinel: redis.Redis | None = None
        self._primary: redis.Redis | None = None
        self._address: Address | None = None

    def open(self) -> None:
        """Asks the Sentinel for the primary and connects to it, if it is not the one connected to already."""
        if not self._sentinel:
            self._sentinel = self._connect(self._sentinel_of(self.node))
        address = self._ask(self._sentinel)
        if self._primary and address == self._address:
            return
        if self._primary:
            self._primary.close()
            self._primary = None
        self._primary = self._connect(address)
        self._address = address

    def invoke(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all."""
        assert self._primary, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        try:
            if f == "add":
                ask(self._primary, "SADD", self._key, value)
                return value
            return sorted(int(element) for element in ask(self._primary, "SMEMBERS", self._key))
        except redis.RedisError as error:
            if is_refusal(error):
                self.close()
                raise NotAppliedError from error
            raise

    def close(self) -> None:
        """Drops both connections."""
        for connection in (self._sentinel, self._primary):
            if connection:
                connection.close()
        self._sentinel = self._primary = self._address = None

    def recovered(self) -> str | None:
        """Waits until all Sentinels name one primary, and all other nodes replicate from it."""
        named: dict[Address, list[str]] = {}
        for node in self.cluster.nodes:
            with self._connect(self._sentinel_of(node)) as sentinel:
                named.setdefault(self._ask(sentinel), []).append(node)
        if len(named) > 1:
            return "the Sentinels disagree: " + "; ".join(f"{' '.join(of)} name {at[0]}" for at, of in named.items())
        (primary,) = named
        return self._unreplicated(primary)

    def _unreplicated(self, primary: Address) -> str | None:
        """Returns what is missing between the primary and its replicas, seen from both sides."""
        info = self._replication(primary)
        if info["role"] != "master":
            return f"{primary[0]} is named as the primary, but is a replica"
        wanted = len(self.cluster.nodes) - 1
        online = sum(info[f"slave{i}"]["state"] == "online" for i in range(info["connected_slaves"]))
        if online != wanted:
            return f"the primary {primary[0]} has {online} of {wanted} replicas online"
        primaries = 0
        for node, address in self.cluster.nodes.items():
            info = self._replication((address, self._options.port))
            primaries += info["role"] == "master"
            if info["role"] == "slave" and (info["master_link_status"] != "up" or info["master_host"] != primary[0]):
                return f"{node} replicates from {info['master_host']}, link {info['master_link_status']}"
        return None if primaries == 1 else f"{primaries} nodes say that they are the primary"

    def _replication(self, address: Address) -> dict[str, Any]:
        with self._connect(address) as server:
            info: dict[str, Any] = server.info("replication")
            return info

    def _sentinel_of(self, node: str) -> Address:
        return self.cluster.nodes[node], self._options.sentinel_port

    def _ask(self, sentinel: redis.Redis) -> Address:
        """Returns the primary's address as this Sentinel sees it."""
        answer = ask(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME", self._options.primary_name)
        if not answer:
            raise NotAppliedError(f"the Sentinel knows no primary '{self._options.primary_name}'")
        return answer[0], int(answer[1])

    def _connect(self, address: Address) -> redis.Redis:
        """Connects at once, and once: a pool would connect anew, and unseen, in the middle of a call."""
        return redis.Redis(
            host=address[0],
            port=address[1],
            socket_timeout=self.timeout_s,
            socket_connect_timeout=self.timeout_s,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            protocol=2,  # the newer one makes more calls before the first command
            decode_responses=True,
        )


def ask(connection: redis.Redis, *command: str | Value) -> Any:  # noqa: ANN401  (Redis answers with anything)
    """Makes one call and returns what Redis answers."""
    return connection.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


def is_refusal(error: redis.RedisError) -> bool:
    """Returns whether Redis refused the command without running it."""
    if isinstance(error, tuple(REFUSED_WITH)):
        return True
    return isinstance(error, redis.ResponseError) and str(error).split(" ", 1)[0] in REFUSED_WITH_CODE
