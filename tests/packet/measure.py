"""Numbered packets and their delays, by `measure.py WORD ...`; both ends are on one machine, so on one clock.

receive PORT END_S                       UDP; prints [[number, delay ns, arrival ns], ...] in order
send ADDRESS PORT COUNT GAP_US [BYTES]   a packet each GAP_US, 0 for as fast as it goes
take PORT                                one TCP connection; prints [bytes, seconds]
give ADDRESS PORT SECONDS                fills it
"""

import json
import socket
import struct
import sys
import time

HEAD = struct.Struct("!QQ")
BUFFER_BYTES = 64 << 20


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def receive(port, end_s):
    """Ends END_S after the last packet (the first has 10 s to come)."""
    got = []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.setsockopt(socket.SOL_SOCKET, 33, BUFFER_BYTES)
        udp.bind(("::", int(port)))
        udp.settimeout(10)
        print("ready", flush=True)  # noqa: T201 - the answer
        while True:
            try:
                data = udp.recv(9000)
            except TimeoutError:
                break
            number, sent_ns = HEAD.unpack_from(data)
            now_ns = time.monotonic_ns()
            got.append((number, now_ns - sent_ns, now_ns))
            if len(got) == 1:
                udp.settimeout(float(end_s))
    print(json.dumps(got))  # noqa: T201 - the answer


def send(address, port, count, gap_us, size_bytes="100"):
    gap_ns = int(float(gap_us) * 1000)
    filler = bytes(int(size_bytes) - HEAD.size)
    with socket.socket(_family(address), socket.SOCK_DGRAM) as udp:
        udp.connect((address, int(port)))
        begin_ns = time.monotonic_ns()
        for number in range(int(count)):
            due_ns = begin_ns + number * gap_ns
            while (now_ns := time.monotonic_ns()) < due_ns:
                time.sleep(max(0, (due_ns - now_ns - 20_000) / 1e9))
            udp.send(HEAD.pack(number, time.monotonic_ns()) + filler)


def take(port):
    with socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        print("ready", flush=True)  # noqa: T201 - the answer
        connection, _ = server.accept()
        total, buffer, begin = 0, bytearray(1 << 20), None
        with connection:
            while size := connection.recv_into(buffer):
                begin = begin or time.monotonic()
                total += size
            print(json.dumps([total, time.monotonic() - begin]))  # noqa: T201 - the answer


def give(address, port, seconds):
    end = time.monotonic() + float(seconds)
    with socket.create_connection((address, int(port)), timeout=20) as connection:
        block = bytes(1 << 18)
        while time.monotonic() < end:
            connection.sendall(block)


if __name__ == "__main__":
    {f.__name__: f for f in (receive, send, take, give)}[sys.argv[1]](*sys.argv[2:])
