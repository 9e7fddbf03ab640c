"""The Elasticsearch client against a server that answers as the releases do; what it is asked is looked at, too."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from workloads.clients import elasticsearch
from workloads.clients.base import complete
from workloads.clients.elasticsearch import ElasticsearchSet
from workloads.errors import WorkloadError
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit

RUN = "1700000000000000000"
Asked = tuple[str, str, dict[str, str], Any]
Answer = tuple[int, Any]
WHOLE = {"status": "green", "number_of_nodes": 3}


class Server:
    """Answers as it is told, and keeps what it was asked; without a word of its own it holds documents."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.documents: list[dict[str, int]] = []
        self.instead: Callable[[Asked], Answer | None] = lambda _: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                split = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                params = {key: value for key, (value,) in parse_qs(split.query).items()}
                asked = (self.command, split.path, params, json.loads(body) if body else None)
                server.asked.append(asked)
                status, answer = server.instead(asked) or server.answer(asked)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Content-Type", "application/json")
                self.send_header("X-Elastic-Product", "Elasticsearch")  # else the official client refuses it
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = handle_any  # noqa: N815  (the library's names)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that went away
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, asked: Asked) -> Answer:
        method, path, _, body = asked
        if path.endswith("/_search"):
            return 200, self.search(body)
        if path.endswith("/_refresh"):
            return 200, {}
        if path.startswith("/_cluster/health"):
            return 200, WHOLE
        if path.startswith("/_cluster/state"):
            copies = [{"primary": False, "node": "x"}, {"primary": True, "node": "y"}]
            return 200, {"master_node": "x", "routing_table": {"indices": {"jepsen": {"shards": {"0": copies}}}}}
        assert method in {"PUT", "POST"}
        self.documents.append(body)
        return 201, {}

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        of_run, after = body["query"]["bool"]["must"]
        ((how, bound),) = after["range"]["value"].items()
        least = bound + (how == "gt")
        found = sorted(d["value"] for d in self.documents if d["run"] == of_run["term"]["run"] and d["value"] >= least)
        hits = [{"sort": [value]} for value in found[: body["size"]]]
        return {"timed_out": False, "_shards": {"total": 1, "successful": 1, "failed": 0}, "hits": {"hits": hits}}

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(params=[False, True], ids=["http", "official"])
def make(server: Server, request: pytest.FixtureRequest) -> Iterator[Callable[..., ElasticsearchSet]]:
    made: list[ElasticsearchSet] = []

    def one(run: str = RUN, **options: Any) -> ElasticsearchSet:
        nodes = dict.fromkeys(("n1", "n2", "n3"), "127.0.0.1")
        made.append(
            ElasticsearchSet(
                "n1",
                Cluster("elasticsearch", nodes, {"port": server.port, "official": request.param} | options),
                0.5,
                run,
            )
        )
        return made[-1]

    yield one
    for client in made:
        client.close()


Make = Callable[..., ElasticsearchSet]


@pytest.mark.parametrize(
    ("options", "called", "how"),
    [
        ({}, f"PUT /jepsen/_doc/{RUN}-7", {"op_type": "create"}),
        ({"type": "element", "index": "other"}, f"PUT /other/element/{RUN}-7", {"op_type": "create"}),
        ({"type": "element", "ids": "generated"}, "POST /jepsen/element", {}),
    ],
)
def test_an_element_is_a_document(
    server: Server, make: Make, options: dict[str, str], called: str, how: dict[str, str]
) -> None:
    assert complete(make(**options), "add", 7) == ("ok", 7, None)
    assert server.asked == [(*called.split(), {"timeout": "1s"} | how, {"run": int(RUN), "value": 7})]


def test_all_of_this_run_are_read_page_after_page(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "PAGE", 3)
    client, other = make(type="element"), make(type="element", run="1600000000000000000")
    for element in range(7):
        complete(client, "add", element)
    complete(other, "add", 99)
    server.asked.clear()
    assert complete(client, "read", None) == ("ok", list(range(7)), None)
    assert [path for _, path, _, _ in server.asked] == ["/jepsen/_refresh"] + ["/jepsen/_search"] * 3
    assert {params["preference"] for _, _, params, _ in server.asked[1:]} == {"_primary"}


def test_since_7_the_primary_is_asked_for_by_its_node(server: Server, make: Make) -> None:
    assert complete(make(), "read", None) == ("ok", [], None)
    assert server.asked[-1][2] == {"preference": "_only_nodes:y"}


def test_a_copy_is_the_nodes_own(server: Server, make: Make) -> None:
    client = make()
    complete(client, "add", 1)
    assert complete(client, "copy", None) == ("ok", [1], None)
    assert server.asked[-1][2] == {"preference": "_only_local"}


@pytest.mark.parametrize("f", ["read", "copy"])
@pytest.mark.parametrize("shards", [{"total": 1, "successful": 0}, {"total": 0, "successful": 0}])
def test_a_node_without_the_shard_has_read_nothing(server: Server, make: Make, f: str, shards: dict[str, int]) -> None:
    server.instead = lambda asked: (
        (200, {"timed_out": False, "_shards": shards, "hits": {"hits": []}}) if "_search" in asked[1] else None
    )
    completion = complete(make(), f, None)
    assert completion.type == "fail"
    assert completion.error
    assert "no copy answered" in completion.error


@pytest.mark.parametrize("status", [200, 409, 500, 503])
@pytest.mark.parametrize("ids", ["own", "generated"])
def test_an_answer_other_than_created_leaves_an_add_unknown(server: Server, make: Make, status: int, ids: str) -> None:
    server.instead = lambda _: (status, {"error": "so it is"})
    completion = complete(make(ids=ids), "add", 1)
    assert completion.type == "info"
    assert completion.error
    assert completion.error.startswith(f"ElasticsearchError: {status} ")


def test_a_connection_that_was_not_made_is_certain_and_an_answer_that_does_not_come_is_not(
    server: Server, make: Make
) -> None:
    closed = make(port=1)
    assert complete(closed, "add", 1).type == "fail"
    going_on = threading.Event()
    server.instead = lambda _: going_on.wait(5) and None
    client = make()
    assert [complete(client, f, 1 if f == "add" else None).type for f in ("add", "read", "copy")] == [
        "info", "fail", "fail",
    ]  # fmt: skip
    going_on.set()


@pytest.mark.parametrize(
    ("health", "master", "waits"),
    [
        (WHOLE, "x", None),
        (WHOLE | {"number_of_nodes": 2}, "x", "3 nodes, and it knows 2"),
        (WHOLE, None, "a master"),
        (WHOLE | {"status": "yellow"}, "x", "all copies, and the index is yellow"),
    ],
)
def test_a_node_has_recovered_when_by_its_own_account_all_is_there(
    server: Server, make: Make, health: dict[str, Any], master: str | None, waits: str | None
) -> None:
    server.instead = lambda _: (200, health | {"master_node": master})
    assert make().recovered() == waits
    assert all(params == {"local": "true"} for _, _, params, _ in server.asked)


def test_options_that_it_does_not_know_are_refused(make: Make) -> None:
    with pytest.raises(WorkloadError, match=r"cluster.json: client: .*ids"):
        make(ids="drawn")
