"""The probes' packets, and the clocks that are reckoned from them."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_modules.module_utils.jepsen_probe import clock_offsets, make_request, read_echo

pytestmark = pytest.mark.unit

IP_HEADER = bytes([0x45]) + bytes(19)
clocks = st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=7)


def ones_complement(data):
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**20), st.integers(0, 2**63))
def test_a_request_comes_back_as_it_was_and_its_checksum_holds(identifier, sequence, sent_ns):
    packet = make_request(socket.AF_INET, identifier, sequence, sent_ns)
    assert ones_complement(packet) == 0xFFFF  # RFC 1071
    assert read_echo(socket.AF_INET, IP_HEADER + packet, identifier) == (True, sent_ns)
    assert read_echo(socket.AF_INET, IP_HEADER + b"\0" + packet[1:], identifier) == (False, sent_ns)
    v6 = make_request(socket.AF_INET6, identifier, sequence, sent_ns)
    assert read_echo(socket.AF_INET6, v6, identifier) == (True, sent_ns)


@given(st.binary(max_size=80))
def test_other_packets_are_nobodys(data):
    assert read_echo(socket.AF_INET6, data, 7) is None
    assert read_echo(socket.AF_INET, data, 7) is None


def test_a_stranger_with_the_same_identifier_is_not_ours():
    packet = make_request(socket.AF_INET6, 7, 1, 5)
    assert read_echo(socket.AF_INET6, packet, 8) is None
    assert read_echo(socket.AF_INET6, packet[:8] + b"elsewise" + packet[16:], 7) is None


@given(clocks, st.integers(0, 10**9))
def test_offsets_are_exact_where_delays_are_equal(offsets_ns, delay_ns):
    nodes = [f"n{i}" for i in range(len(offsets_ns))]
    clock = dict(zip(nodes, offsets_ns, strict=True))
    one_way = {b: {a: delay_ns + clock[b] - clock[a] for a in nodes if a != b} for b in nodes}
    found, spread = clock_offsets(one_way)
    assert found == {node: clock[node] - clock[nodes[0]] for node in nodes}
    assert spread == max(offsets_ns) - min(offsets_ns)


def test_a_node_without_a_link_to_the_first_is_reckoned_over_another():
    one_way = {"n1": {"n2": -100}, "n2": {"n1": 100, "n3": -7}, "n3": {"n2": 7, "n1": 5}}
    assert clock_offsets(one_way) == ({"n1": 0, "n2": 100, "n3": 107}, 107)


def test_a_node_that_is_cut_off_has_no_offset():
    assert clock_offsets({"n1": {"n2": 3}, "n2": {"n1": 5}, "n3": {"n1": 1}}) == ({"n1": 0, "n2": 1}, 1)


def test_nobody_has_no_clock():
    assert clock_offsets({}) == ({}, 0)
