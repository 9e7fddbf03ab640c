"""Elasticsearch: each client asks its own node for documents of one index.

The same few calls for all releases from 1.1 to 9, so that what differs is the server: by the official client where that
knows the server, which is from 8.0 on, and by plain HTTP before.
"""

from typing import Annotated, Any, Literal

import msgspec
import requests

from workloads.clients.base import NotAppliedError, Value
from workloads.clients.elasticsearch_official import Answered, OfficialNode
from workloads.clients.http_client import HttpClient
from workloads.clients.http_node import HttpNode
from workloads.inputs import Cluster, parse_options

CREATED = 201
PAGE = 10_000  # documents; as many as an index gives at once


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of Elasticsearch must know of the cluster.

    Attributes:
        index: the index, which the role has made.
        type: of its documents, which servers before 7.0 want; `-` for none.
        official: whether the official client is used; it refuses servers before 8.0.
        ids: `own`: the client names a document after its element; `generated`: the node that it asks does.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 9200
    index: str = "jepsen"
    type: str = "-"
    official: bool = False
    ids: Literal["own", "generated"] = "own"


class ElasticsearchError(Exception):
    """Elasticsearch did not do it, or not whole; its text is the status and what it said."""


class ElasticsearchSet(HttpClient[HttpNode | OfficialNode]):
    """A set, one document an element, made anew each time and never changed.

    Certain is only a connection that was not made. 503 is not: a node that waited for the primary may have sent the
    document before, and sends it again by itself. So 409 is not either, whoever named the document: it may be this one.
    """

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._options = parse_options(cluster.client, Options)

    def invoke(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all: those of the primary (`read`), or of the copy on this node (`copy`)."""
        if f == "add":
            self._add(int(str(value)))
            return value
        return self._read("_only_local" if f == "copy" else self._at_primary())

    def recovered(self) -> str | None:
        """Waits until the node, by its own account, knows all nodes, a master, and that all copies are there."""
        node = self._new_node()
        try:
            health = _answer(node.call("GET", f"_cluster/health/{self._options.index}", params={"local": "true"}))
            state = _answer(node.call("GET", "_cluster/state/master_node", params={"local": "true"}))
        finally:
            node.close()
        if health["number_of_nodes"] != len(self.cluster.nodes):
            return f"{len(self.cluster.nodes)} nodes, and it knows {health['number_of_nodes']}"
        if not state.get("master_node"):
            return "a master"
        return None if health["status"] == "green" else f"all copies, and the index is {health['status']}"

    def _new_node(self) -> HttpNode | OfficialNode:
        kind = OfficialNode if self._options.official else HttpNode
        return kind(self.cluster.nodes[self.node], self._options.port, self.timeout_s)

    def _add(self, element: int) -> None:
        index, kind = self._options.index, "_doc" if self._options.type == "-" else self._options.type
        params = {"timeout": f"{max(1, round(self.timeout_s))}s"}
        if self._options.ids == "own":
            method, path = "PUT", f"{index}/{kind}/{self.run}-{element}"
            params["op_type"] = "create"
        else:
            method, path = "POST", f"{index}/{kind}"
        response = self._node.call(method, path, params=params, json={"run": int(self.run), "value": element})
        if response.status_code != CREATED:
            raise ElasticsearchError(f"{response.status_code} {response.text}")

    def _at_primary(self) -> str:
        """How to ask for the primary: by that word up to 6.8, since 7.0 by the node that has it."""
        if self._options.type != "-":
            return "_primary"
        index = self._options.index
        state = _answer(self._node.call("GET", f"_cluster/state/routing_table/{index}", params={"local": "true"}))
        copies = state["routing_table"]["indices"][index]["shards"]["0"]
        return f"_only_nodes:{next((copy['node'] for copy in copies if copy['primary']), None)}"

    def _read(self, preference: str) -> list[int]:
        """Reads all elements of this run that a copy has, page after page, each from where the last one ended.

        Raises:
            NotAppliedError: The node has no such copy; a read changes nothing.
        """
        index = self._options.index
        _answer(self._node.call("POST", f"{index}/_refresh"))
        found: list[int] = []
        while True:
            after = {"gt": found[-1]} if found else {"gte": 0}
            page = self._search({"term": {"run": int(self.run)}}, {"range": {"value": after}}, preference)
            found += page
            if len(page) < PAGE:
                return found

    def _search(self, of_run: dict[str, Any], after: dict[str, Any], preference: str) -> list[int]:
        body = {
            "query": {"bool": {"must": [of_run, after]}},
            "sort": [{"value": "asc"}],
            "size": PAGE,
            "_source": False,
        }
        answer = _answer(
            self._node.call("POST", f"{self._options.index}/_search", params={"preference": preference}, json=body)
        )
        if answer["timed_out"] or answer["_shards"]["successful"] != 1:
            raise NotAppliedError(f"no copy answered: {msgspec.json.encode(answer['_shards']).decode()}")
        return [int(hit["sort"][0]) for hit in answer["hits"]["hits"]]


def _answer(response: requests.Response | Answered) -> dict[str, Any]:
    """Returns what a server answered.

    Raises:
        ElasticsearchError: It is an error.
    """
    if not response.ok:
        raise ElasticsearchError(f"{response.status_code} {response.text}")
    answer: dict[str, Any] = response.json()
    return answer
