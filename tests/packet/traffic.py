"""Packets inside a namespace, by `traffic.py WORD ...`.

echo ADDRESS [FROM]            asks and waits for an answer
send ADDRESS PORT UNTIL_NS     a packet each millisecond
receive PORT UNTIL_NS          which of these arrived
serve PORT                     one TCP connection, echoed
listen PORT SECONDS            takes connections and says nothing
connect ADDRESS PORT           what a connection comes to within half a second
count ADDRESS PORT UNTIL_NS    numbers over that connection
hear PORT SECONDS              the words of one connection
tell ADDRESS PORT AT_NS BOUND_S  says `before` and, at that time, `inside`, and whether the latter was answered
"""

import json
import os
import socket
import sys
import time

from jepsen_modules.module_utils.jepsen_probe import make_request, read_echo

INTERVAL_S = 0.001


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def echo(address, source=None):
    """Exits 0 when the address answers one of five echo requests within half a second."""
    family = family_of(address)
    identifier = os.getpid() & 0xFFFF
    with socket.socket(family, socket.SOCK_RAW, 1 if family == socket.AF_INET else 58) as raw:
        if source:
            raw.bind((source, 0))
        raw.settimeout(0.1)
        for sequence in range(5):
            raw.sendto(make_request(family, identifier, sequence, time.time_ns()), (address, 0))
            deadline = time.monotonic() + 0.1
            while time.monotonic() < deadline:
                try:
                    packet, sender = raw.recvfrom(2048)
                except TimeoutError:
                    break
                if sender[0] == address and read_echo(family, packet, identifier) not in (None, (True, 0)):
                    return 0
    return 1


def send(address, port, until_ns):
    """Sends a packet each millisecond, and prints when each was sent, nanoseconds."""
    sent = []
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as udp:
        while (now_ns := time.time_ns()) < int(until_ns):
            udp.sendto(str(now_ns).encode(), (address, int(port)))
            sent.append(now_ns)
            time.sleep(INTERVAL_S)
    print(json.dumps(sent))  # noqa: T201 - the answer
    return 0


def receive(port, until_ns):
    """Prints which packets of `send` arrived."""
    received = []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.bind(("::", int(port)))
        udp.settimeout(0.1)
        while time.time_ns() < int(until_ns):
            try:
                received.append(int(udp.recv(100)))
            except TimeoutError:
                continue
    print(json.dumps(received))  # noqa: T201 - the answer
    return 0


def serve(port):
    """Echoes one TCP connection until its client closes it."""
    with socket.create_server(("", int(port))) as server:
        server.settimeout(10)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(30)
            while data := connection.recv(4096):
                connection.sendall(data)
    return 0


def listen(port, seconds):
    """Takes connections."""
    deadline = time.monotonic() + float(seconds)
    with socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        server.settimeout(0.2)
        while time.monotonic() < deadline:
            try:
                server.accept()[0].close()
            except TimeoutError:
                continue
    return 0


def connect(address, port):
    """Prints `connected`, `refused` or `silent`."""
    try:
        socket.create_connection((address, int(port)), timeout=0.5).close()
        said = "connected"
    except TimeoutError:
        said = "silent"
    except OSError:
        said = "refused"
    print(json.dumps(said))  # noqa: T201 - the answer
    return 0


def count(address, port, until_ns):
    """Sends 0, 1, 2, ... each as soon as the last one came back, and prints `[number, when it came back]`."""
    echoed = []
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        lines = connection.makefile("rw")
        while time.time_ns() < int(until_ns):
            lines.write(f"{len(echoed)}\n")
            lines.flush()
            echoed.append([int(lines.readline()), time.time_ns()])
            time.sleep(0.01)
    print(json.dumps(echoed))  # noqa: T201 - the answer
    return 0


def hear(port, seconds):
    """Answers each line of one connection, and prints them all when the time is over."""
    words = []
    deadline = time.monotonic() + float(seconds)
    with socket.create_server(("", int(port))) as server:
        server.settimeout(10)
        connection, _ = server.accept()
        with connection:
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                try:
                    data = connection.recv(4096)
                except OSError:  # the time is over, or the client has gone without what it was answered
                    break
                if not data:
                    break
                words += data.decode().split()
                connection.sendall(b"done\n")
    print(json.dumps(words))  # noqa: T201 - the answer
    return 0


def tell(address, port, at_ns, bound_s):
    """Prints `answered` or `silent`, for the second of two words."""
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        connection.sendall(b"before\n")
        connection.recv(4096)
        time.sleep(max(0, int(at_ns) - time.time_ns()) / 1e9)
        connection.settimeout(float(bound_s))
        connection.sendall(b"inside\n")
        try:
            said = "answered" if connection.recv(4096) else "closed"
        except TimeoutError:
            said = "silent"
    print(json.dumps(said))  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(
        {f.__name__: f for f in (echo, send, receive, serve, listen, connect, count, hear, tell)}[sys.argv[1]](
            *sys.argv[2:]
        )
    )
