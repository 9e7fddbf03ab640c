"""RabbitMQ's management interface: what AMQP does not tell of nodes, partitions and mirrors."""

import time
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter

POLL_S = 0.1
FRESH_S = 5.0  # bound on the wait until a node has looked at itself again, which it does once a second


class Management:
    """The management interface of one node. Every call is bounded, and raises what went wrong."""

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        host = f"[{address}]" if ":" in address else address  # IPv6
        self._url = f"http://{host}:{port}/api/"
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.auth = ("guest", "guest")
        self._session.mount("http://", HTTPAdapter(max_retries=0))
        self._session.trust_env = False  # a proxy of the environment must not stand between client and node

    def __enter__(self) -> "Management":
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()

    def set_policy(self, name: str, pattern: str, definition: dict[str, Any]) -> None:
        """Makes a policy for the queues whose names match the pattern."""
        body = {"pattern": pattern, "apply-to": "queues", "definition": definition}
        self._call("PUT", f"policies/%2F/{name}", json=body)

    def unreplicated(self, queue: str, wanted: int) -> str | None:
        """Returns what a queue lacks that wants so many replicas, all of them up to date; None: nothing."""
        found = self._get(f"queues/%2F/{quote(queue)}")
        if found.get("state") != "running":
            return f"the queue is {found.get('state', 'not known yet')}"
        if found.get("type") == "quorum":
            usable = len(found.get("online", []))
        else:
            usable = 1 + len(found.get("synchronised_slave_nodes", []))
        return None if usable == wanted else f"the queue has {usable} of {wanted} replicas up to date"

    def parted(self, wanted: int) -> str | None:
        """Returns what this node lacks to see so many nodes, and no partition on any of them; None: nothing.

        That nodes run is told as it is now, a partition as each node last saw it; so what counts is what they see later
        than the moment in which all ran.
        """
        seen = self._nodes()
        if len(seen) != wanted:
            return f"it sees {len(seen)} of {wanted} nodes running"
        deadline = time.monotonic() + FRESH_S
        while stale := [name for name, node in (later := self._nodes()).items() if not _is_later(node, seen.get(name))]:
            if time.monotonic() > deadline:
                return f"nothing new is heard of {stale[0]}"
            time.sleep(POLL_S)
        if len(later) != wanted:
            return f"it sees {len(later)} of {wanted} nodes running"
        for name, node in later.items():
            if node.get("partitions"):
                return f"{name} remembers a partition from {', '.join(node['partitions'])}"
        return None

    def _nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes that run, as this one sees them, by name."""
        return {node["name"]: node for node in self._get("nodes") if node.get("running")}

    def _get(self, path: str) -> Any:  # noqa: ANN401  (JSON)
        return self._call("GET", path).json()

    def _call(self, method: str, path: str, **request: Any) -> requests.Response:  # noqa: ANN401  (requests' own)
        response = self._session.request(method, self._url + path, timeout=self._timeout_s, **request)
        response.raise_for_status()
        return response


def _is_later(node: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Returns whether a node has looked at itself since: its age is a part of what it tells. It may have restarted."""
    if "uptime" not in node or "partitions" not in node:
        return False
    return before is None or "uptime" not in before or bool(node["uptime"] != before["uptime"])
