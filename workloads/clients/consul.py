"""Consul: each client asks its own node's server for a key, over HTTP."""

from base64 import b64decode
from typing import Annotated, Literal, NamedTuple

import msgspec
import requests

from workloads.clients.base import NotAppliedError, Value
from workloads.clients.http_client import HttpClient
from workloads.clients.http_node import HttpNode
from workloads.inputs import Cluster, parse_options

NO_LEADER = "No cluster leader"  # what a server says that knew nobody to hand a call to

Mode = Literal["default", "stale", "consistent"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of Consul must know of the cluster, and how a key is read.

    Attributes:
        mode: `stale`: any server answers from what it has; `default`: the leader does; `consistent`: the leader does
            once a majority has agreed that it still is one.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 8500
    mode: Mode = "default"


class ConsulError(Exception):
    """Consul answered with an error; its text is the status and what it said."""


class Found(NamedTuple):
    """A key's value, and the index of its last change; 0 where there is no key, as a comparison takes it."""

    value: int | None
    modify_index: int


class ConsulRegister(HttpClient[HttpNode]):
    """A register, one key; the options say how it is read.

    Certain are a connection that was not made, a comparison that failed (the body `false`), and "No cluster leader",
    which a server says before it hands a call to anybody. Other errors of the server's are not: a write in the log of a
    leader that was deposed may still be agreed on.
    """

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._path = f"v1/kv/jepsen/{run}/register"
        self._options = parse_options(cluster.client, Options)

    def invoke(self, f: str, value: Value) -> Value:
        """Reads, writes or compares and sets the register."""
        if f == "read":
            return self._get(self._node, self._options.mode).value
        if isinstance(value, list):
            old, new = value
            self._compare_and_set(int(old), int(new))
        elif not self._put(str(value)):
            raise ConsulError("a write without a comparison was answered with false")
        return value

    def recovered(self) -> str | None:
        """Waits until the node answers a consistent read, which takes a leader that a majority follows."""
        node = self._new_node()
        try:
            self._get(node, "consistent")
        finally:
            node.close()
        return None

    def _new_node(self) -> HttpNode:
        return HttpNode(self.cluster.nodes[self.node], self._options.port, self.timeout_s)

    def _compare_and_set(self, old: int, new: int) -> None:
        """Consul compares the index of the last change, not the value: so that is read first.

        However stale that is, an index that is not the key's any more changes nothing; without one nothing was sent.
        """
        try:
            found = self._get(self._node, self._options.mode)
        except Exception as error:
            raise NotAppliedError from error
        if found.value != old:
            raise NotAppliedError(f"compare failed: it is {found.value}")
        if not self._put(str(new), cas=found.modify_index):
            raise NotAppliedError("compare failed: it has changed")

    def _get(self, node: HttpNode, mode: Mode) -> Found:
        response = node.call("GET", self._path, params={mode: ""})
        if response.status_code == 404 and not response.text:
            return Found(None, 0)
        _check(response)
        (key,) = response.json()
        return Found(int(b64decode(key["Value"])), key["ModifyIndex"])

    def _put(self, value: str, **params: int) -> bool:
        response = self._node.call("PUT", self._path, data=value, params=params)
        _check(response)
        answer = response.text.strip()
        if answer not in {"true", "false"}:
            raise ConsulError(f"a write was answered with '{answer}'")
        return answer == "true"


def _check(response: requests.Response) -> None:
    """Raises what a server answered if it is an error."""
    if response.ok:
        return
    error = ConsulError(f"{response.status_code} {response.text}")
    if response.status_code == 500 and NO_LEADER in response.text:
        raise NotAppliedError from error
    raise error
