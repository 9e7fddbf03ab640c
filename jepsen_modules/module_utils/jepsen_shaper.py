"""The program of the back end ``userspace``: it takes packets out of an NFQUEUE and lets them go on when they are due.

Rules of nftables choose the packets, by peer, port and time, and mark them with a bit for each window that they are in.
Here it is decided what happens to them; it is written into the mark, and rules behind the queue count it by window and
peer, and drop what is lost. So the kernel alone begins, ends and counts; without this program packets just go on.

Packets are held by the kernel; only as much as must be read of them is copied. Those that were joined (GSO, up to
64 kB) stay joined where all packets are delayed alike, and are taken apart where chance decides about each.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import gc
import heapq
import json
import os
import random
import select
import signal
import socket
import sys
import time
import zlib
from typing import Any

from ansible.module_utils.jepsen_chance import Link
from ansible.module_utils.jepsen_nfqueue import (
    CONFIG,
    NETLINK_NO_ENOBUFS,
    SO_RCVBUFFORCE,
    SO_SNDBUFFORCE,
    SOL_NETLINK,
    begin_verdict,
    bind_queue,
    changed_verdict,
    close_queue,
    copy_range,
    end_verdict,
    gso,
    message,
    open_netlink,
    read_packet,
)

# Bits of the mark. All other bits are somebody else's, and stay.
SEEN, DELAYED, LOST, DUPLICATED, REORDERED, CORRUPTED = (0x100 << number for number in range(6))
SLOTS = 16
SLOT_SHIFT = 14
ALL_SLOTS = ((1 << SLOTS) - 1) << SLOT_SHIFT
OURS = ALL_SLOTS | 0x3F00

SOCKET_BUFFER_BYTES = 64 << 20
HEAD_BYTES = 64  # of a packet: addresses and length
BURST = 24  # packets that are taken before it is looked again at who is due
IDLE_S = 0.25
EARLY_S = 1  # a window is prepared so much before it begins
SECOND_NS = 1_000_000_000
EACH_BY_CHANCE = ("loss", "gilbert", "duplicate", "reorder", "corrupt")


def pack(plan: dict[str, Any]) -> str:
    """Writes a plan as one word, an argument of this program."""
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(plan).encode(), 9)).decode()


def unpack(word: str) -> dict[str, Any]:
    """Reads what ``pack`` wrote."""
    plan: dict[str, Any] = json.loads(zlib.decompress(base64.urlsafe_b64decode(word)))
    return plan


def slot_bit(slot: int) -> int:
    """Returns the bit of the mark that stands for a slot."""
    return 1 << (SLOT_SHIFT + slot)


class Copies:
    """Sends copies of packets to this node itself, by raw sockets; they come in by the loopback interface."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def _open(self, version: int) -> socket.socket:
        if version == 4:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        else:
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        raw.settimeout(0)
        return raw

    def send(self, packet: bytes, mark: int) -> None:
        """Sends a packet with this mark; where it cannot be sent there is no copy, and none is counted."""
        version = packet[0] >> 4
        with contextlib.suppress(OSError):
            if version not in self._sockets:
                self._sockets[version] = self._open(version)
            raw = self._sockets[version]
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            address = packet[16:20] if version == 4 else packet[24:40]
            raw.sendto(packet, (socket.inet_ntop(raw.family, address), 0))


def flip(packet: bytearray, rng: random.Random) -> None:
    """Changes one bit behind the IP header, as netem does; the header's own checksum has already been verified."""
    begin = (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40
    if len(packet) > begin:
        packet[rng.randrange(begin, len(packet))] ^= 1 << rng.randrange(8)


class Shaper:
    """The queue, what is held of it, and the windows.

    A plan is ``{queue, slots, end_s, peers: {address: peer}, windows: [{slot, from_s, until_s, grace_s, shape}]}``;
    ``slots`` is how many packets the queue may hold, and ``end_s`` when the program ends by itself, None for never.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._queue: int = plan["queue"]
        self._windows: list[dict[str, Any]] = plan["windows"]
        self._end_s: int | None = plan["end_s"]
        self._peer_of = {
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address): peer
            for address, peer in plan["peers"].items()
        }
        self._rng = random.Random(os.urandom(16))  # noqa: S311 - chance, no secret
        self._links: dict[tuple[int, str], Link] = {}
        self._chosen: dict[tuple[int, bytes], list[tuple[int, Link]]] = {}
        self._next_change_s = 0.0
        self._configured: bytes = b""
        self._held: list[tuple[int, int, Any]] = []  # due, order, verdict or (copy, mark)
        self._order = 0
        self._copies = Copies()
        self._begin = begin_verdict(self._queue)
        self.stopping = False
        self._socket = open_netlink()
        bind_queue(self._socket, self._queue, plan["slots"])
        for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
            self._socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        # A packet that finds no room is lost either way; the error would only say so late.
        self._socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self._socket.settimeout(0)

    def run(self) -> None:
        """Works until told to stop or until the last window is over; then lets go of all that it holds."""
        buffer = bytearray(1 << 17)
        busy = False
        while not self.stopping:
            self._change()
            self._release(time.monotonic_ns())
            if not busy:
                if self._over():
                    break
                wait_s = IDLE_S
                if self._held:
                    wait_s = min(wait_s, max(0, self._held[0][0] - time.monotonic_ns()) / SECOND_NS)
                if not select.select([self._socket], [], [], wait_s)[0]:
                    continue
            busy = self._take(buffer, BURST) == BURST
        self._let_go_of_all(buffer)
        self._socket.close()

    def _over(self) -> bool:
        return self._end_s is not None and not self._held and time.time() >= self._end_s

    def _let_go_of_all(self, buffer: bytearray) -> None:
        """Empties the queue. What is in it when the socket closes is lost, so it is closed to more packets before."""
        self._socket.send(close_queue(self._queue))
        more = True
        while more:
            more = self._take(buffer, 1000) == 1000
            self._release(None)

    def _take(self, buffer: bytearray, most: int) -> int:
        """Takes packets that are there, at most so many, and returns how many."""
        receive, view = self._socket.recv_into, memoryview(buffer)
        for count in range(most):
            try:
                size = receive(buffer)
            except BlockingIOError:
                return count
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            found = read_packet(buffer, size)
            if found is not None:
                self._decide(found[0], found[1], view[found[2] : size])
        return most

    def _hold(self, due_ns: int, what: bytes | tuple[bytes, int]) -> None:
        self._order += 1
        heapq.heappush(self._held, (due_ns, self._order, what))

    def _decide(self, number: int, mark: int, packet: memoryview) -> None:
        """Decides about one packet: the delays of its windows add up, and the first loss ends it."""
        four = packet[0] >> 4 == 4
        address = bytes(packet[12:16] if four else packet[8:24])
        links = self._chosen.get((mark, address))
        if links is None:
            links = self._chosen[mark, address] = self._choose(mark, address)
        now_ns = due_ns = time.monotonic_ns()
        done, corrupt, copy_bit = SEEN, False, 0
        for bit, link in links:
            left_ns = link.leaves_ns(due_ns, _length(packet)) if link.byte_ns else due_ns
            if left_ns is None or link.lost():
                self._hold(now_ns, self._begin + end_verdict(number, mark & ~ALL_SLOTS | bit | SEEN | LOST))
                return
            if link.reordered():
                done |= REORDERED
            elif link.delays:
                left_ns += link.delay()
            if link.duplicated():
                copy_bit = bit
            corrupt = link.corrupted() or corrupt
            due_ns = left_ns
        if due_ns > now_ns:
            done |= DELAYED
        if copy_bit:
            copy_ns = now_ns + sum(link.delay() for _, link in links)
            self._hold(copy_ns, (bytes(packet[: _length(packet)]), mark & ~ALL_SLOTS | copy_bit | SEEN | DUPLICATED))
        self._hold(due_ns, self._verdict(number, mark | done, packet, corrupt=corrupt))

    def _verdict(self, number: int, mark: int, packet: memoryview, *, corrupt: bool) -> bytes:
        if not corrupt:
            return self._begin + end_verdict(number, mark)
        changed = bytearray(packet[: _length(packet)])
        flip(changed, self._rng)
        return changed_verdict(self._queue, number, mark | CORRUPTED, bytes(changed))

    def _choose(self, mark: int, address: bytes) -> list[tuple[int, Link]]:
        """Finds the links of a packet: one for each window whose bit it has."""
        peer = self._peer_of.get(address, "")
        links = []
        for index, window in self._near(time.time()):
            bit = slot_bit(window["slot"])
            if mark & bit:
                if (index, peer) not in self._links:
                    self._links[index, peer] = Link(window["shape"], self._rng)
                links.append((bit, self._links[index, peer]))
        return links

    def _near(self, now_s: float) -> list[tuple[int, dict[str, Any]]]:
        """Lists the windows that are open, about to open, or over but not yet out of hand."""
        return [
            (index, window)
            for index, window in enumerate(self._windows)
            if window["from_s"] - EARLY_S <= now_s
            and (window["until_s"] is None or now_s < window["until_s"] + window["grace_s"])
        ]

    def _change(self) -> None:
        """Adapts to the windows when one comes or goes: what is copied of packets, and whether they are taken apart."""
        now_s = time.time()
        if now_s < self._next_change_s:
            return
        self._chosen.clear()
        shapes = [window["shape"] for _, window in self._near(now_s)]
        whole = any(shape.get(key) for shape in shapes for key in ("duplicate", "corrupt"))
        joined = not any(shape.get(key) for shape in shapes for key in EACH_BY_CHANCE)
        body = copy_range(0xFFFF if whole else HEAD_BYTES) + gso(joined)
        if body != self._configured:
            self._socket.send(message(CONFIG, 0, 0, self._queue, body))
            self._configured = body
        moments = [window["from_s"] - EARLY_S for window in self._windows]
        moments += [window["until_s"] + window["grace_s"] for window in self._windows if window["until_s"] is not None]
        # The clock may be set meanwhile: looked at again after a second at the latest.
        self._next_change_s = min([moment for moment in moments if moment > now_s] + [now_s + 1])

    def _release(self, now_ns: int | None) -> None:
        """Lets go of what is due; of everything, in its order, where no time is given."""
        held = self._held
        verdicts: list[bytes] = []
        while held and (now_ns is None or held[0][0] <= now_ns):
            what = heapq.heappop(held)[2]
            if type(what) is bytes:
                verdicts.append(what)
                if len(verdicts) == 200:
                    self._send(verdicts)
                    verdicts = []
            else:
                self._copies.send(*what)
        if verdicts:
            self._send(verdicts)

    def _send(self, verdicts: list[bytes]) -> None:
        # The kernel works through them within the call, so that there is always room for more.
        with contextlib.suppress(BlockingIOError):
            self._socket.send(b"".join(verdicts))


def _length(packet: memoryview) -> int:
    if packet[0] >> 4 == 4:
        return packet[2] << 8 | packet[3]
    return 40 + (packet[4] << 8 | packet[5])


def _tell_systemd(text: str) -> None:
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(text.encode(), "\0" + path[1:] if path.startswith("@") else path)


def main() -> None:
    """Runs the program; its one argument is a plan, packed."""
    shaper = Shaper(unpack(sys.argv[1]))

    def stop(*_: object) -> None:
        shaper.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with contextlib.suppress(OSError):
        os.nice(-15)  # punctual also on a node that is busy
    gc.disable()  # what is made here has no cycles
    _tell_systemd("READY=1")
    print("ready", flush=True)  # noqa: T201 - for who runs it without systemd
    shaper.run()


if __name__ == "__main__":
    main()
