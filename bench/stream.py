"""What a node says and what a node hears, packet by packet; started in the nodes' networks by bench_faults.py.

`stream.py speak '{"port": 1, "addresses": [...], "moments_ns": [...]}'` sends numbered packets to each address, every
millisecond, and every 50 us near the moments. `stream.py hear '{"port": 1}'` notes them. Both end with their standard
input, and then write what they know as 64-bit integers: `speak` when it sent, one a packet; `hear` number and time of
arrival in turns, the time by the kernel. Python 3.9 and the standard library.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from array import array
from contextlib import suppress

SPARSE_NS = 1_000_000
DENSE_NS = 50_000
NEAR_NS = 5_000_000  # of a moment, on both sides, packets are dense
LONGEST_S = 1800
NUMBER = struct.Struct("<q")
TIMESPEC = struct.Struct("@qq")
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 16 << 20


def ended(wait_s: float) -> bool:
    """Waits, and says whether standard input is at its end."""
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


def speak(port: int, addresses: list[str], moments_ns: list[int]) -> array[int]:
    """Sends until the input ends; returns when each packet was sent, all addresses' first ones before the second."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    targets = [(address, port) for address in addresses]
    sent_ns = array("q")
    number, coming = 0, sorted(moments_ns, reverse=True)
    until_ns = time.time_ns() + LONGEST_S * 1_000_000_000
    while (now_ns := time.time_ns()) < until_ns:
        packet = NUMBER.pack(number)
        for target in targets:
            sent_ns.append(time.time_ns())
            sender.sendto(packet, target)
        number += 1
        while coming and coming[-1] + NEAR_NS < now_ns:
            coming.pop()
        if coming and coming[-1] - NEAR_NS <= now_ns:
            while time.time_ns() < now_ns + DENSE_NS:  # a sleep so short would be as long as it likes
                pass
        elif ended(SPARSE_NS / 1e9):
            break
    return sent_ns


def hear(port: int) -> array[int]:
    """Listens until the input ends; returns number and time of each packet that came in."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    listener.settimeout(0)
    listener.bind(("", port))
    heard = array("q")
    until_ns = time.time_ns() + LONGEST_S * 1_000_000_000
    last = False
    while not last and time.time_ns() < until_ns:
        last = ended(0.02)  # what came in meanwhile waits in the buffer, with its time
        with suppress(BlockingIOError):
            while True:
                data, about, _, _ = listener.recvmsg(NUMBER.size, socket.CMSG_SPACE(TIMESPEC.size))
                seconds, nanoseconds = TIMESPEC.unpack(about[0][2])
                heard.extend((NUMBER.unpack(data)[0], seconds * 1_000_000_000 + nanoseconds))
    return heard


def main() -> None:
    """Speaks or hears; what else the node does must not come between two packets."""
    role, options = sys.argv[1], json.loads(sys.argv[2])
    if role == "speak":
        with suppress(PermissionError):  # then gaps are longer, and the bench sees them
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    sys.stdout.buffer.write({"speak": speak, "hear": hear}[role](**options).tobytes())


if __name__ == "__main__":
    main()
