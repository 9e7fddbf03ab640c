"""The lab's package proxy: a caching HTTP proxy for apt, and for nothing else.

    package_proxy.py LISTENING-FD CACHE-FOLDER ORIGIN...

Nodes have no way out of the lab; their apt asks here. Only the given origins (scheme://host) are served. What never
changes (packages, and index files named by their hash) is fetched once; other index files are asked for again after a
minute, and served as they are where the mirror cannot be reached. Requests for the same file wait for one fetch.
"""

from __future__ import annotations

import hashlib
import http.client
import http.server
import os
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

FRESH_S = 60
TIMEOUT_S = 30  # of each wait for the mirror or for a node
CHUNK_BYTES = 1 << 16


class MirrorError(Exception):
    """The mirror's answer where it is not a file: an HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Store:
    """Files of the mirrors, below one folder."""

    def __init__(self, folder: Path, origins: list[str]) -> None:
        self.folder = folder
        self.schemes = {urlsplit(origin).netloc: urlsplit(origin).scheme for origin in origins}
        self._locks: dict[Path, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, url: str) -> Path:
        """Returns the file behind an address, fetched if need be.

        Raises:
            MirrorError: The address is not one of ours, or the mirror does not have it, or cannot be reached.
        """
        parts = urlsplit(url)
        path = Path(unquote(parts.path).lstrip("/"))
        if parts.scheme != "http" or parts.netloc not in self.schemes or ".." in path.parts or parts.query:
            raise MirrorError(403, f"the lab's package proxy serves only {', '.join(self.schemes)}, not {url}")
        file = self.folder / parts.netloc / path
        with self._guard:
            lock = self._locks.setdefault(file, threading.Lock())
        with lock:
            if not self._usable(file):
                self._fetch(f"{self.schemes[parts.netloc]}://{parts.netloc}{parts.path}", file)
        return file

    @staticmethod
    def _usable(file: Path) -> bool:
        if not file.is_file():
            return False
        forever = file.suffix == ".deb" or file.parent.parent.name == "by-hash"
        # The change time is when we last heard from the mirror; the modification time is the mirror's own.
        return forever or time.time() - file.stat().st_ctime < FRESH_S

    def _fetch(self, url: str, file: Path) -> None:
        """Gets a file from its mirror; an old one stays where the mirror cannot be reached or says it is still good."""
        request = urllib.request.Request(url, headers={"User-Agent": "callmaybe-lab"})  # noqa: S310 - http or https
        if file.exists():
            request.add_header("If-Modified-Since", _date(file.stat().st_mtime))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http or https
                _save(answer, file)
            _say(f"fetched {url}")
        except urllib.error.HTTPError as error:
            if error.code != 304:
                raise MirrorError(error.code, f"{url}: {error.reason}") from None
            os.utime(file, (time.time(), file.stat().st_mtime))
        except (OSError, http.client.HTTPException) as error:
            if not file.exists():
                raise MirrorError(504, f"{url} could not be fetched: {error}") from None
            os.utime(file, (time.time(), file.stat().st_mtime))  # the next minute's requests need not wait again
            _say(f"kept {file}: {error}")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers apt."""

    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S * 10
    store: Store

    def do_GET(self) -> None:
        """Sends a file whole; a request for a part of it may be answered so."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Sends what a GET would send, without the file."""
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Requests are not logged; fetches are."""

    def _answer(self, *, body: bool) -> None:
        try:
            file = self.store.get(self.path).open("rb")
        except MirrorError as error:
            self.send_error(error.status, explain=str(error))
            return
        with file:
            status = os.fstat(file.fileno())
            since = self.headers.get("If-Modified-Since")
            unchanged = since == _date(status.st_mtime)
            self.send_response(304 if unchanged else 200)
            self.send_header("Last-Modified", _date(status.st_mtime))
            self.send_header("Content-Length", "0" if unchanged else str(status.st_size))
            self.end_headers()
            if body and not unchanged:
                shutil.copyfileobj(file, self.wfile, CHUNK_BYTES)


class Server(http.server.ThreadingHTTPServer):
    """A server on a socket that already listens."""

    daemon_threads = True

    def __init__(self, fd: int) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=fd)
        self.server_name, self.server_port = "callmaybe-lab", self.socket.getsockname()[1]

    def handle_error(self, *_: object) -> None:
        """A node that hangs up is no news."""


def _save(answer: http.client.HTTPResponse, file: Path) -> None:
    """Writes an answer's body to its file, at once and whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    digest = hashlib.sha256()
    with part.open("wb") as out:
        while chunk := answer.read(CHUNK_BYTES):
            digest.update(chunk)
            out.write(chunk)
    expected = answer.headers.get("Content-Length")
    if expected is not None and part.stat().st_size != int(expected):
        raise OSError(f"{part.stat().st_size} of {expected} bytes came")
    if file.parent.name == "SHA256" and digest.hexdigest() != file.name:
        raise OSError("what came is not what its hash says")
    modified = answer.headers.get("Last-Modified")
    if modified:
        os.utime(part, (time.time(), parsedate_to_datetime(modified).timestamp()))
    part.replace(file)


def _date(seconds: float) -> str:
    """A time as HTTP writes it."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def _say(line: str) -> None:
    """A line for proxy.log."""
    print(line, flush=True)  # noqa: T201 - its standard output is the log


def main() -> None:
    """Serves until killed."""
    fd, folder, *origins = sys.argv[1:]
    Handler.store = Store(Path(folder), origins)
    Server(int(fd)).serve_forever()


if __name__ == "__main__":
    main()
