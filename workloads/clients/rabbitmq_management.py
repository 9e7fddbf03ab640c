"""RabbitMQ's management interface: what AMQP does not tell of nodes, partitions and mirrors."""

from typing import Any, Self
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter


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

    def __enter__(self) -> Self:
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
        """Returns what this node lacks to see so many nodes and to remember no partition; None: nothing.

        Both are asked of the node as it is now. `nodes` tells partitions too, but as they were up to 5 s ago; this
        check of its health is deprecated, and the only one that looks.
        """
        running = sum(node.get("running", False) for node in self._get("nodes"))
        if running != wanted:
            return f"it sees {running} of {wanted} nodes running"
        health = self._get("healthchecks/node")
        return None if health["status"] == "ok" else str(health.get("reason", health["status"]))

    def _get(self, path: str) -> Any:  # noqa: ANN401  (JSON)
        return self._call("GET", path).json()

    def _call(self, method: str, path: str, **request: Any) -> requests.Response:  # noqa: ANN401  (requests' own)
        response = self._session.request(method, self._url + path, timeout=self._timeout_s, **request)
        response.raise_for_status()
        return response
