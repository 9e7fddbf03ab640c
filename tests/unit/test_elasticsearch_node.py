"""What the role for Elasticsearch runs on a node: the patch of a class, and what a node is asked."""

import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

FILES = Path(__file__).resolve().parents[2] / "roles/elasticsearch/files"
CLASS = "org/elasticsearch/monitor/jvm/JvmInfo.class"
BEFORE, AFTER = b"\xca\xfe\x01\x00\x10getBootClassPath\x07", b"\xca\xfe\x01\x00\x0egetLibraryPath\x07"


def run(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, FILES / program, *words], capture_output=True, text=True, timeout=30, check=False
    )


def make_jar(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr(CLASS, data)
    return path


def test_the_patch_changes_one_name_and_leaves_the_jar_as_it_is(tmp_path: Path) -> None:
    jar = make_jar(tmp_path / "server.jar", BEFORE)
    kept = jar.read_bytes()
    done = run("patch.py", jar, tmp_path / "patched")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "patched" / CLASS).read_bytes() == AFTER
    assert jar.read_bytes() == kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["patched", "server.jar"]


@pytest.mark.parametrize(("data", "count"), [(b"\xca\xfe", 0), (BEFORE + BEFORE, 2)])
def test_another_class_than_expected_is_refused_whole(tmp_path: Path, data: bytes, count: int) -> None:
    done = run("patch.py", make_jar(tmp_path / "server.jar", data), tmp_path / "patched")
    assert done.returncode == 1
    assert f"has the constant getBootClassPath {count} times, expected once" in done.stderr
    assert not (tmp_path / "patched").exists()


class Server:
    """A node of a cluster of three; its index is there once it is made, its primary where it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.shards: list[dict[str, Any]] = []
        self.made = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                data = json.dumps(server.answer(self.command, self.path, json.loads(body) if body else None)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = handle_any  # noqa: N815  (the library's names)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that went away
        self.port = str(self._http.server_port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, method: str, path: str, body: Any) -> dict[str, Any]:
        nodes = {identity: {"name": name} for identity, name in (("a", "n1"), ("b", "n2"), ("c", "n3"))}
        if path == "/_nodes/_local":
            return {"nodes": {"a": nodes["a"]}}
        if path.startswith("/_cluster/state"):
            assert path.endswith("?local=true"), "a node without a master would wait"
            indices = {"jepsen": {"shards": {"0": self.shards}}} if self.made else {}
            return {"nodes": nodes, "master_node": "b", "routing_table": {"indices": indices}}
        self.asked.append((method, path, body))
        if path == "/jepsen":
            (at,) = (key for key, node in nodes.items() if node["name"] == body["settings"]["index"][WHERE])
            self.made, self.shards = True, [{"state": "STARTED", "primary": True, "node": at}]
        else:
            self.shards += [{"state": "STARTED", "primary": False, "node": "a"}]
            self.shards += [{"state": "UNASSIGNED", "primary": False, "node": None}]
        return {}

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


WHERE = "routing.allocation.require._name"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def test_a_node_tells_what_it_knows(server: Server) -> None:
    done = run("cluster.py", "127.0.0.1", server.port, "jepsen")
    assert done.stdout == "me=n1 master=n2 nodes=n1,n2,n3 index=no primary= copies=\n"
    server.made = True
    server.shards = [
        {"state": "RELOCATING", "primary": True, "node": "c"},
        {"state": "STARTED", "primary": False, "node": "a"},
        {"state": "INITIALIZING", "primary": False, "node": "b"},
    ]
    done = run("cluster.py", "127.0.0.1", server.port, "jepsen")
    assert done.stdout == "me=n1 master=n2 nodes=n1,n2,n3 index=yes primary=n3 copies=n1,n3\n"


@pytest.mark.parametrize("kind", ["element", "-"])
def test_the_index_is_made_with_its_primary_where_it_shall_be_and_then_copied(server: Server, kind: str) -> None:
    done = run("cluster.py", "127.0.0.1", server.port, "jepsen", "make", "3", "n3", kind)
    assert done.stdout == "me=n1 master=n2 nodes=n1,n2,n3 index=yes primary=n3 copies=n1,n3\n"
    (method, path, body), settings = server.asked
    assert (method, path) == ("PUT", "/jepsen")
    assert body["settings"]["index"]["number_of_replicas"] == 0
    assert list(body["mappings"]) == (["properties"] if kind == "-" else ["element"])
    assert settings == ("PUT", "/jepsen/_settings", {"index": {"number_of_replicas": 2, WHERE: ""}})
    again = run("cluster.py", "127.0.0.1", server.port, "jepsen", "make", "3", "n1", kind)
    assert "primary=n3" in again.stdout
    assert [path for _, path, _ in server.asked] == ["/jepsen", "/jepsen/_settings", "/jepsen/_settings"]


def test_a_node_that_does_not_answer_is_one_sentence() -> None:
    done = run("cluster.py", "127.0.0.1", "1", "jepsen")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("http://127.0.0.1:1/: ")
    assert len(done.stderr.splitlines()) == 1
