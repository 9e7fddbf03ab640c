"""Asks a node of Elasticsearch what it knows of the cluster: `cluster.py ADDRESS PORT INDEX [make COPIES HOST TYPE]`.

Prints `me=n1 master=n3 nodes=n1,n2,n3 index=yes primary=n2 copies=n1,n2`: the node's own account, without asking its
master. `make` makes the index if there is none, with its primary on HOST, and then gives it COPIES copies, the primary
counted. TYPE is the documents', which releases before 7 want, or `-`. Standard library only: nodes have no client.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT_S = 10
STARTED_S = 30  # bound on the primary's start
UP = ("STARTED", "RELOCATING")


class Node:
    """One node, by its address and port."""

    def __init__(self, address: str, port: str, index: str) -> None:
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{port}/"
        self.index = index

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Makes a call and returns what was answered."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - http
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - likewise
            answered: dict[str, Any] = json.load(answer)
            return answered

    def state(self) -> dict[str, str]:
        """Returns the node's account."""
        me = next(iter(self.ask("GET", "_nodes/_local")["nodes"].values()))["name"]
        state = self.ask("GET", "_cluster/state/nodes,master_node,routing_table?local=true")
        names = {identity: node["name"] for identity, node in state["nodes"].items()}
        indices = state.get("routing_table", {}).get("indices", {})
        shards = indices.get(self.index, {}).get("shards", {}).get("0", [])
        up = [shard for shard in shards if shard["state"] in UP]
        return {
            "me": me,
            "master": names.get(state.get("master_node") or "", ""),
            "nodes": ",".join(sorted(names.values())),
            "index": "yes" if self.index in indices else "no",
            "primary": ",".join(names.get(shard["node"], "") for shard in up if shard["primary"]),
            "copies": ",".join(sorted(names.get(shard["node"], "") for shard in up)),
        }

    def make(self, copies: int, host: str, kind: str) -> None:
        """Makes the index, if there is none: first its primary alone, which so comes where it shall be."""
        if self.state()["index"] == "no":
            fields = {"properties": {"run": {"type": "long"}, "value": {"type": "long"}}}
            settings = {
                "number_of_shards": 1,
                "number_of_replicas": 0,
                "refresh_interval": "1s",
                "routing.allocation.require._name": host,
            }
            mappings = fields if kind == "-" else {kind: fields}
            self.ask("PUT", self.index, {"settings": {"index": settings}, "mappings": mappings})
        deadline = time.monotonic() + STARTED_S
        while not self.state()["primary"]:
            if time.monotonic() > deadline:
                sys.exit(f"the primary of {self.index} did not start on {host} in {STARTED_S} s")
            time.sleep(0.2)
        settings = {"number_of_replicas": copies - 1, "routing.allocation.require._name": ""}
        self.ask("PUT", f"{self.index}/_settings", {"index": settings})


def main() -> None:
    """Does what it is told, and prints what the node knows then."""
    node = Node(*sys.argv[1:4])
    try:
        if sys.argv[4:5] == ["make"]:
            copies, host, kind = sys.argv[5:8]
            node.make(int(copies), host, kind)
        sys.stdout.write(" ".join(f"{key}={value}" for key, value in node.state().items()) + "\n")
    except HTTPError as error:
        sys.exit(f"{error.url}: {error.code} {error.read().decode(errors='replace')[:300]}")
    except (OSError, ValueError, KeyError, StopIteration) as error:
        sys.exit(f"{node.url}: {type(error).__name__}: {error}")


main()
