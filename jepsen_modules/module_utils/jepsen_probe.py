"""Who hears whom, and how far the clocks are apart: echo requests between all nodes at once.

Raw ICMP sockets get what netfilter's prerouting let through, so a packet counts as heard exactly when the node itself
hears it: requests of a peer show one direction alone, which `ping` cannot. A request carries its sender's clock.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import time

MAGIC = b"callmayb"
INTERVAL_S = 0.02
LINGER_S = 0.3  # after everybody was heard: others may have begun later and want to hear us
LATE_S = 4.0
BOUND_S = 1.4  # for who is not heard; nodes that begin farther apart did not probe together
SO_TIMESTAMPNS = 35  # include/uapi/asm-generic/socket.h; the socket module has no name for it
ECHO_REQUEST: dict[int, int] = {socket.AF_INET: 8, socket.AF_INET6: 128}
ECHO_REPLY: dict[int, int] = {socket.AF_INET: 0, socket.AF_INET6: 129}


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return int(~(total + (total >> 16)) & 0xFFFF)


def make_request(family: int, identifier: int, sequence: int, sent_ns: int) -> bytes:
    """Writes an echo request; the kernel fills in the checksum of ICMPv6."""

    def packet(checksum: int) -> bytes:
        header = struct.pack("!BBHHH", ECHO_REQUEST[family], 0, checksum, identifier, sequence & 0xFFFF)
        return header + MAGIC + struct.pack("!Q", sent_ns)

    return packet(_checksum(packet(0)) if family == socket.AF_INET else 0)


def read_echo(family: int, packet: bytes, identifier: int) -> tuple[bool, int] | None:
    """Reads what a raw socket received.

    Returns:
        ``(whether it is a request, nanoseconds of its first sender's clock)``, None if it is not one of ours.
    """
    if family == socket.AF_INET:  # only here the IP header comes with it
        packet = packet[(packet[0] & 15) * 4 :] if packet else b""
    if len(packet) != 8 + len(MAGIC) + 8 or packet[8 : 8 + len(MAGIC)] != MAGIC:
        return None
    kind, number = packet[0], struct.unpack("!H", packet[4:6])[0]
    if number != identifier or kind not in (ECHO_REQUEST[family], ECHO_REPLY[family]):
        return None
    return kind == ECHO_REQUEST[family], struct.unpack("!Q", packet[-8:])[0]


def _open(family: int) -> socket.socket:
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    raw = socket.socket(family, socket.SOCK_RAW, protocol)
    raw.settimeout(0)
    raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return raw


def _received_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind, len(data)) == (socket.SOL_SOCKET, SO_TIMESTAMPNS, 16):
            seconds, nanoseconds = struct.unpack("@qq", data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


class Probe:
    """One node's side of the probing.

    Attributes:
        heard: ``{peer: [addresses that something came from]}``.
        one_way_ns: ``{peer: smallest difference of our clock at receipt and the peer's at sending}``.
        probed_ns: ``[begin, end]`` by our clock, once it has run.
    """

    def __init__(self, peers: dict[str, list[str]], identifier: int) -> None:
        """Takes ``{peer: [addresses]}`` and the identifier of the echo requests."""
        self.heard: dict[str, list[str]] = {}
        self.one_way_ns: dict[str, int] = {}
        self.probed_ns: list[int] = []
        self._identifier = identifier
        self._peer_of = {address: peer for peer, addresses in peers.items() for address in addresses}
        families = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in self._peer_of}
        self._sockets = {family: _open(family) for family in sorted(set(families.values()))}
        self._targets = [(address, self._sockets[family], family) for address, family in families.items()]
        self._everybody = set(peers)

    def run(self, bound_s: float = BOUND_S) -> None:
        """Sends and listens until everybody was heard, and a little longer.

        Nobody waits longer than ``bound_s`` for who gives no sign. Who answers and does not ask has not begun yet (its
        kernel answers by itself), and is given ``LATE_S``.
        """
        began, began_ns = time.monotonic(), time.time_ns()
        end = began + bound_s
        asked: set[str] = set()
        for sequence in itertools.count():
            self._send(sequence)
            self._listen(time.monotonic() + INTERVAL_S)
            now = time.monotonic()
            if asked != set(self.one_way_ns):  # who has just begun has yet to hear us
                asked = set(self.one_way_ns)
                end = now + LINGER_S if asked >= self._everybody else max(end, now + LINGER_S)
            late = set(self.heard) - asked
            if now >= (max(end, began + LATE_S) if late else end):
                break
        self.probed_ns = [began_ns, time.time_ns()]
        for raw in self._sockets.values():
            raw.close()

    def _send(self, sequence: int) -> None:
        for address, raw, family in self._targets:
            with contextlib.suppress(OSError):  # no route, or a foreign rule forbids it: then nobody hears us
                raw.sendto(make_request(family, self._identifier, sequence, time.time_ns()), (address, 0))

    def _listen(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select(list(self._sockets.values()), [], [], left)
            for raw in readable:
                self._receive(raw)

    def _receive(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError):  # such as an ICMP error that the kernel reports here
            packet, ancillary, _, sender = raw.recvmsg(2048, 256)
            echo = read_echo(raw.family, packet, self._identifier)
            address = sender[0].partition("%")[0]
            peer = self._peer_of.get(address)
            if echo is None or peer is None:
                return
            if address not in self.heard.setdefault(peer, []):
                self.heard[peer].append(address)
            is_request, sent_ns = echo
            if is_request:
                difference_ns = _received_ns(ancillary) - sent_ns
                self.one_way_ns[peer] = min(difference_ns, self.one_way_ns.get(peer, difference_ns))


def clock_offsets(one_way_ns: dict[str, dict[str, int]]) -> tuple[dict[str, int], int]:
    """Computes how far the nodes' clocks are apart.

    With equal delays in both directions, ``one_way[b][a] = delay + (clock of b - clock of a)``, so half the difference
    of the two directions is the offset (the rule of NTP, RFC 5905 section 8).

    Args:
        one_way_ns: ``{listener: {speaker: smallest difference}}``, as the nodes return it. The first node's clock is
            the reference; a node that has no two-way link to it is reckoned over others, by as few as possible.

    Returns:
        ``({node: its clock less the first node's}, spread)``, nanoseconds; a node without a way to the first is absent.
    """
    nodes = list(one_way_ns)
    offsets = dict.fromkeys(nodes[:1], 0)
    queue = nodes[:1]
    for known in queue:
        for node in nodes:
            there, back = one_way_ns[node].get(known), one_way_ns[known].get(node)
            if node not in offsets and there is not None and back is not None:
                offsets[node] = offsets[known] + (there - back) // 2
                queue.append(node)
    ordered = {node: offsets[node] for node in nodes if node in offsets}
    return ordered, max(ordered.values(), default=0) - min(ordered.values(), default=0)
