"""Packets with sequence numbers, by `stream.py send ADDRESS PORT COUNT UNTIL_NS` and `stream.py receive PORT`."""

import json
import socket
import struct
import sys
import time

INTERVAL_S = 0.002
FIRST_S, LAST_S = 20, 2  # how long the first packet may take, and any other
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h; the socket module has no name for them


def send(address, port, count, until_ns):
    """Sends so many numbered packets, or until then, whatever is later; prints when each was sent, nanoseconds."""
    sent = []
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        while len(sent) < int(count) or time.time_ns() < int(until_ns):
            sent.append(time.time_ns())
            udp.sendto(struct.pack("!qq", len(sent) - 1, sent[-1]), (address, int(port)))
            time.sleep(max(0, INTERVAL_S - (time.time_ns() - sent[-1]) / 1e9))
    print(json.dumps(sent))  # noqa: T201 - the answer


def receive(port):
    """Prints `[number, sent, received]` of each packet, nanoseconds by the kernel's clock, until none comes."""
    received = []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        udp.bind(("::", int(port)))
        udp.settimeout(FIRST_S)
        while True:
            try:
                data, ancillary, _, _ = udp.recvmsg(100, 100)
            except TimeoutError:
                break
            udp.settimeout(LAST_S)
            seconds, rest = struct.unpack("@qq", ancillary[0][2])
            received.append([*struct.unpack("!qq", data), seconds * 1_000_000_000 + rest])
    print(json.dumps(received))  # noqa: T201 - the answer


if __name__ == "__main__":
    {"send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:])
