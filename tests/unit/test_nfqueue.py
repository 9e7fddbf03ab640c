"""Netlink messages of NFQUEUE, byte by byte."""

import socket
import struct

import pytest

from jepsen_modules.module_utils.jepsen_nfqueue import (
    CONFIG,
    PACKET,
    attribute,
    begin_verdict,
    changed_verdict,
    close_queue,
    end_verdict,
    message,
    queue_rule,
    read_packet,
)

pytestmark = pytest.mark.unit


def packet_message(number=7, mark=0x4100, content=b"E" * 21):
    head = attribute(1, struct.pack("!IHB", number, 0x0800, 0))
    marked = attribute(3, struct.pack("!I", mark)) if mark else b""
    body = head + attribute(4, struct.pack("!I", 2)) + marked + attribute(10, content)
    return message(PACKET, 0, socket.AF_INET, 19011, body)


def test_attributes_are_padded_and_say_their_length_without_the_padding():
    assert attribute(3, b"abcde") == struct.pack("=HH", 9, 3) + b"abcde\0\0\0"


def test_a_packet_is_read():
    data = packet_message()
    number, mark, at = read_packet(data, len(data))
    assert (number, mark, data[at : at + 21]) == (7, 0x4100, b"E" * 21)
    assert read_packet(packet_message(mark=0), len(packet_message(mark=0)))[1] == 0


@pytest.mark.parametrize("size", [0, 15, 20, 31])
def test_what_is_cut_short_is_no_packet(size):
    assert read_packet(packet_message(), size) is None


def test_an_error_is_no_packet_and_neither_is_an_attribute_without_a_length():
    assert read_packet(struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -2) + bytes(16), 36) is None
    assert read_packet(packet_message()[:32] + bytes(40), 72) is None


def test_a_verdict_says_its_length_queue_number_and_mark():
    whole = begin_verdict(19011) + end_verdict(7, 0x300)
    assert struct.unpack_from("=IH", whole) == (len(whole), 3 << 8 | 1)
    assert struct.unpack_from("!BBH", whole, 16) == (0, 0, 19011)
    assert whole[20:32] == attribute(2, struct.pack("!II", 1, 7))
    assert whole[32:] == attribute(3, struct.pack("!I", 0x300))
    changed = changed_verdict(19011, 7, 0x300, b"abc")
    assert struct.unpack_from("=I", changed)[0] == len(changed)
    assert changed[20:40] == whole[20:]
    assert changed[40:] == attribute(10, b"abc")


def test_a_queue_lets_pass_what_finds_no_room_before_it_has_none():
    one = struct.pack("!I", 1)  # NFQA_CFG_F_FAIL_OPEN; attributes: 3 is the length, 4 which flags, 5 their values
    flag = message(CONFIG, 0, 0, 19011, attribute(5, one) + attribute(4, one))
    assert close_queue(19011) == flag + message(CONFIG, 0, 0, 19011, attribute(3, bytes(4)))


def test_a_rule_is_tried_by_leaving_out_the_end_of_its_transaction():
    tried, made = (queue_rule("t", "c", 5, commit=commit) for commit in (False, True))
    assert made.startswith(tried)
    assert len(made) - len(tried) == 20
