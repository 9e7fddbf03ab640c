"""The package proxy, run as it is in the lab, before a mirror that counts and misbehaves."""

import hashlib
import http.server
import importlib.util
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
PROGRAM = Path(__file__).parents[2] / "roles/lab/files/package_proxy.py"
DEB = "/debian/pool/main/t/tree/tree_2.1.0-1_amd64.deb"
INDEX = "/debian/dists/bookworm/InRelease"


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `files` and keeps `asked`, the paths in the order in which they were asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {DEB: b"deb" * 1000, INDEX: b"first"}
        self.asked = []
        self.claimed_bytes = None
        self.gate = threading.Event()
        self.gate.set()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.gate.wait(10)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.claimed_bytes or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(server):
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return f"http://127.0.0.1:{server.socket.getsockname()[1]}"


@pytest.fixture
def mirror():
    with Mirror() as server:
        server.url = serve(server)
        yield server
        server.shutdown()


@pytest.fixture
def proxy(mirror, tmp_path):
    """The program as a module, with `get(path)` that asks it as apt does, and its cache folder."""
    spec = importlib.util.spec_from_file_location("package_proxy", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.Handler.store = program.Store(tmp_path, [mirror.url])
    listener = program.socket.create_server(("127.0.0.1", 0))
    server = program.Server(listener.detach())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": serve(server)}))

    def get(url):
        with opener.open(url if "://" in url else mirror.url + url, timeout=10) as answer:
            return answer.read()

    program.get, program.folder = get, tmp_path
    yield program
    server.shutdown()
    server.server_close()


def status_of(proxy, url):
    with pytest.raises(urllib.error.HTTPError) as error:
        proxy.get(url)
    with error.value:
        return error.value.code


def test_a_package_is_fetched_once(proxy, mirror):
    assert [proxy.get(DEB) for _ in range(3)] == [mirror.files[DEB]] * 3
    assert mirror.asked == [DEB]


def test_requests_at_the_same_time_make_one_fetch(proxy, mirror):
    mirror.gate.clear()
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(proxy.get, DEB) for _ in range(8)]
        threading.Timer(0.3, mirror.gate.set).start()
        assert [answer.result(10) for answer in answers] == [mirror.files[DEB]] * 8
    assert mirror.asked == [DEB]


def test_an_index_is_asked_for_again_when_it_is_no_longer_fresh(proxy, mirror):
    assert proxy.get(INDEX) == b"first"
    mirror.files[INDEX] = b"second"
    assert proxy.get(INDEX) == b"first"
    proxy.FRESH_S = 0
    assert proxy.get(INDEX) == b"second"
    assert mirror.asked == [INDEX, INDEX]


def test_an_index_is_served_from_the_cache_when_the_mirror_is_gone(proxy, mirror):
    proxy.get(INDEX)
    proxy.FRESH_S = 0
    mirror.shutdown()
    mirror.server_close()
    assert proxy.get(INDEX) == b"first"
    assert status_of(proxy, DEB) == 504


def test_what_the_mirror_does_not_have_is_said_and_not_kept(proxy, mirror):
    assert status_of(proxy, "/debian/pool/none.deb") == 404
    mirror.files["/debian/pool/none.deb"] = b"now"
    assert proxy.get("/debian/pool/none.deb") == b"now"


def test_a_file_cut_short_is_not_kept(proxy, mirror):
    mirror.claimed_bytes = 5000
    assert status_of(proxy, DEB) == 504
    mirror.claimed_bytes = None
    assert proxy.get(DEB) == mirror.files[DEB]


def test_a_file_that_is_not_what_its_hash_says_is_not_kept(proxy, mirror):
    path = f"/debian/dists/bookworm/main/by-hash/SHA256/{hashlib.sha256(b'good').hexdigest()}"
    mirror.files[path] = b"bad!"
    assert status_of(proxy, path) == 504
    mirror.files[path] = b"good"
    assert proxy.get(path) == b"good"


@pytest.mark.parametrize(
    "url", ["http://example.org/x.deb", "/debian/../../etc/passwd", "/debian/%2e%2e/x", "/x.deb?y=1"]
)
def test_nothing_but_the_mirrors_files_is_served(proxy, mirror, url):
    assert status_of(proxy, url) == 403
    assert mirror.asked == []
    assert list(proxy.folder.iterdir()) == []
