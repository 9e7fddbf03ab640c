"""NFQUEUE by raw netlink: packets that the kernel hands to a program and takes back, as bytes of messages.

The numbers are those of the kernel's uapi headers: linux/netlink.h, netfilter/nfnetlink.h, nfnetlink_queue.h,
nf_tables.h, nf_tables_compat.h, xt_NFQUEUE.h. Netlink is in the byte order of the host, what is inside of netfilter's
attributes in that of the network.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
REQUEST, ACK, CREATE, APPEND = 1, 4, 0x400, 0x800
ERROR = 2
QUEUE, NF_TABLES = 3 << 8, 10 << 8  # subsystems
PACKET, VERDICT, CONFIG = QUEUE | 0, QUEUE | 1, QUEUE | 2
BATCH_BEGIN, BATCH_END = 16, 17
NEW_TABLE, NEW_CHAIN, NEW_RULE, DELETE_RULE = (NF_TABLES | number for number in (0, 3, 6, 8))
INET = 1
BIND, UNBIND = 1, 2
COPY_PACKET = 2
FLAG_FAIL_OPEN, FLAG_GSO = 1 << 0, 1 << 2
ACCEPT = 1
ANSWER_BOUND_S = 5.0

# A message about a packet: 16 bytes of netlink and 4 of netfilter, then attributes; the kernel puts the packet's number
# first and its content last.
ATTRIBUTES_AT = 20
ATTRIBUTE_HEADER, ATTRIBUTE_MARK, ATTRIBUTE_PAYLOAD = 1, 3, 10
_end_of_verdict = struct.Struct("!I4sI").pack
_MARK = struct.pack("=HH", 8, ATTRIBUTE_MARK)
_big = struct.Struct("!I").unpack_from
_two = struct.Struct("=HH").unpack_from


class NetlinkError(Exception):
    """The kernel refused; the text says what was asked and what it answered."""


def attribute(kind: int, content: bytes) -> bytes:
    """Writes a netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Writes an attribute that consists of attributes."""
    return attribute(kind | 0x8000, b"".join(attributes))


def message(  # noqa: PLR0913, PLR0917 - the fields of the header, in their order
    kind: int, flags: int, family: int, resource: int, body: bytes, sequence: int = 0
) -> bytes:
    """Writes a message of netfilter's."""
    head = struct.pack("=IHHII", 20 + len(body), kind, flags | REQUEST, sequence, 0)
    return head + struct.pack("!BBH", family, 0, resource) + body


def begin_verdict(queue: int) -> bytes:
    """Writes what all verdicts about packets of a queue begin with."""
    return message(VERDICT, 0, 0, queue, bytes(20))[:20] + struct.pack("=HH", 12, 2) + struct.pack("!I", ACCEPT)


def end_verdict(number: int, mark: int) -> bytes:
    """Writes the rest of a verdict: packet ``number`` goes on with this mark. Several verdicts may be sent as one."""
    return _end_of_verdict(number, _MARK, mark)


def changed_verdict(queue: int, number: int, mark: int, packet: bytes) -> bytes:
    """Writes that a packet goes on with this mark and this content."""
    body = attribute(2, struct.pack("!II", ACCEPT, number)) + attribute(ATTRIBUTE_MARK, struct.pack("!I", mark))
    return message(VERDICT, 0, 0, queue, body + attribute(ATTRIBUTE_PAYLOAD, packet))


def read_packet(data: memoryview | bytes, size: int) -> tuple[int, int, int] | None:
    """Reads a message about a packet: ``(number, mark, where its content begins)``, None if it is no such message."""
    if size < ATTRIBUTES_AT + 12 or _two(data, 4)[0] != PACKET:
        return None
    number, mark, at = -1, 0, ATTRIBUTES_AT
    while at + 4 <= size:
        length, kind = _two(data, at)
        kind &= 0x3FFF
        if kind == ATTRIBUTE_PAYLOAD:
            return (number, mark, at + 4) if number >= 0 else None
        if kind == ATTRIBUTE_HEADER:
            number = _big(data, at + 4)[0]
        elif kind == ATTRIBUTE_MARK:
            mark = _big(data, at + 4)[0]
        if length < 4:
            return None
        at += (length + 3) & ~3
    return None


def copy_range(range_bytes: int) -> bytes:
    """Writes how much of each packet is wanted."""
    return attribute(2, struct.pack("!IB", range_bytes, COPY_PACKET))


def gso(wanted: bool) -> bytes:  # noqa: FBT001 - it is the whole question
    """Writes whether packets that the kernel has joined (up to 64 kB) come as they are, or are taken apart first."""
    return attribute(5, struct.pack("!I", FLAG_GSO if wanted else 0)) + attribute(4, struct.pack("!I", FLAG_GSO))


def close_queue(queue: int) -> bytes:
    """Writes that a queue takes no more packets: from now on they go on as if there were none.

    First that what finds no room goes on, then that there is no room: the other way round some would be dropped.
    """
    flag = struct.pack("!I", FLAG_FAIL_OPEN)
    bodies = (attribute(5, flag) + attribute(4, flag), attribute(3, struct.pack("!I", 0)))
    return b"".join(message(CONFIG, 0, 0, queue, body) for body in bodies)


def open_netlink() -> socket.socket:
    """Opens a socket to netfilter."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    link.bind((0, 0))
    link.settimeout(ANSWER_BOUND_S)
    return link


def ask(link: socket.socket, messages: bytes, answers: int, what: str) -> None:
    """Sends messages of which so many ask for an answer, and waits for the answers.

    Not for a queue at work: a packet in between would be taken for no answer, and be held for ever.

    Raises:
        NetlinkError: the kernel refused one, or said nothing.
    """
    try:
        link.send(messages)
        while answers:
            kind, code = struct.unpack_from("=4xH10xi", link.recv(1 << 17))
            if kind == ERROR:
                answers -= 1
                if code:
                    raise NetlinkError(f"{what}: the kernel says {os.strerror(-code)} ({errno.errorcode.get(-code)})")
    except OSError as error:
        raise NetlinkError(f"{what}: {error}") from error


def bind_queue(link: socket.socket, queue: int, slots: int) -> None:
    """Becomes the program of a queue that holds so many packets; raises NetlinkError where it has one already."""
    for body, what in (
        (attribute(1, struct.pack("!BxH", BIND, 0)), "bind"),
        (copy_range(64), "set what is copied of"),
        (attribute(3, struct.pack("!I", slots)), "set the length of"),
    ):
        ask(link, message(CONFIG, ACK, 0, queue, body), 1, f"cannot {what} queue {queue}")


def _name(text: str) -> bytes:
    return text.encode() + b"\0"


def queue_rule(table: str, chain: str, queue: int, *, commit: bool) -> bytes:
    """Writes a transaction for nf_tables: this chain has one rule, which hands packets to the queue.

    It is the target NFQUEUE of iptables, through nft_compat, for kernels that lack nft's own statement ``queue``.
    Bypass is on: without a program at the queue packets go on. Without ``commit`` the end of the transaction is left
    out: the kernel tries it, answers, and undoes it.
    """
    where = attribute(1, _name(table)) + attribute(2, _name(chain))
    info = struct.pack("=HHHxx", queue, 1, 1)
    target = attribute(1, _name("NFQUEUE")) + attribute(2, struct.pack("!I", 3)) + attribute(3, info)
    expression = nested(1, attribute(1, _name("target")), nested(2, target))
    steps = (
        (NEW_TABLE, CREATE, attribute(1, _name(table))),
        (NEW_CHAIN, CREATE, attribute(1, _name(table)) + attribute(3, _name(chain))),
        (DELETE_RULE, 0, where),
        (NEW_RULE, CREATE | APPEND, where + nested(4, expression)),
    )
    inside = [message(kind, flags | ACK, INET, 0, body, number) for number, (kind, flags, body) in enumerate(steps, 1)]
    end = message(BATCH_END, 0, 0, 10, b"") if commit else b""
    return message(BATCH_BEGIN, 0, 0, 10, b"") + b"".join(inside) + end


QUEUE_RULE_ANSWERS = 4
