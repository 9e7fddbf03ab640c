"""Rules as text and back, held against transcripts of what nft of Debian 11, 12 and 13 printed of one input."""

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_modules.module_utils.jepsen_nft import (
    RESET,
    UNREACHABLE,
    Nft,
    NftError,
    Rule,
    describe,
    exempt_rules,
    parse,
    read_ports,
    script,
    window_rules,
    windows_of,
)
from jepsen_modules.module_utils.jepsen_node import RefusedError, tool

pytestmark = pytest.mark.unit

TRANSCRIPTS = sorted((Path(__file__).parent / "nft_transcripts").glob("*.json"))
FROM_S, UNTIL_S = 1795304206, 1797951600  # 2026-11-21 23:36:46 UTC, 2026-12-22 15:00:00 UTC
V4 = ("198.18.77.13", "198.18.77.14")
LISTED = [
    Rule("exempt: neighbours", "accept"),
    Rule("exempt: controllers", "accept", ("10.0.0.1", "10.0.0.2")),
    Rule("probes: cut-1", "drop", V4, FROM_S, UNTIL_S),
    Rule("probes: cut-1", "drop", ("fd00::1",), FROM_S, UNTIL_S),
    Rule("cut-1 n3", "drop", V4[:1], FROM_S, UNTIL_S),
    Rule("cut-1 n3", "drop", ("fd00::1", "fd00::2"), FROM_S, None),
]


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_every_nft_is_read_alike(path):
    rules = parse(path.read_text())
    assert rules == LISTED
    assert [rule.packets for rule in rules] == [None, None, None, None, 0, 0]


def test_there_is_a_transcript_of_each_debian():
    assert [path.stem for path in TRANSCRIPTS] == ["0.9.8", "1.0.6", "1.1.3"]


def test_the_transaction():
    cut = window_rules("cut-1", {"n3": ["198.18.77.13", "fd00::1"]}, FROM_S, UNTIL_S)
    rules = exempt_rules(["192.0.2.9"]) + [replace(rule, chain="partition_window_0") for rule in cut]
    span = 'meta time >= "2026-11-21 23:36:46" meta time < "2026-12-22 15:00:00"'
    assert script(rules, ["partition", "partition_time_7"]) == (
        "add table inet jepsen\n"
        "add chain inet jepsen partition { type filter hook prerouting priority -450; policy accept; }\n"
        "add chain inet jepsen partition_time_7\n"
        "add chain inet jepsen partition_window_0\n"
        "flush chain inet jepsen partition\n"
        "flush chain inet jepsen partition_time_7\n"
        "flush chain inet jepsen partition_window_0\n"
        "delete chain inet jepsen partition_time_7\n"
        "delete chain inet jepsen partition_window_0\n"
        "table inet jepsen {\n"
        "  chain partition_window_0 {\n"
        f'    {span} ip saddr {{ 198.18.77.13 }} icmp id 19011 drop comment "probes: cut-1"\n'
        f'    {span} ip6 saddr {{ fd00::1 }} icmpv6 id 19011 drop comment "probes: cut-1"\n'
        f'    {span} ip saddr {{ 198.18.77.13 }} counter drop comment "cut-1 n3"\n'
        f'    {span} ip6 saddr {{ fd00::1 }} counter drop comment "cut-1 n3"\n'
        "  }\n"
        "  chain partition {\n"
        '    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept comment "exempt: neighbours"\n'
        '    ip saddr { 192.0.2.9 } accept comment "exempt: controllers"\n'
        "  }\n"
        "}\n"
    )


def drops(rules):
    return [(rule.end, rule.ports, rule.verdict) for rule in rules if rule.window]


def test_ports_are_cut_at_either_end_and_the_probes_are_not():
    ports = read_ports(["tcp 9093", "udp 53", "tcp  9092"])
    rules = window_rules("w", {"n3": ["fd00::1"]}, FROM_S, None, ports)
    assert not [rule for rule in rules if rule.comment.startswith("probes")]
    assert drops(rules) == [
        ("tcp dport", (9092, 9093), "drop"),
        ("tcp sport", (9092, 9093), "drop"),
        ("udp dport", (53,), "drop"),
        ("udp sport", (53,), "drop"),
    ]
    assert "tcp dport { 9092, 9093 } counter drop" in script(rules)
    rejecting = window_rules("w", {"n3": ["fd00::1"]}, FROM_S, None, ports, reject=True)
    assert [verdict for _, _, verdict in drops(rejecting)] == [RESET, RESET, UNREACHABLE, UNREACHABLE]


def test_what_rejects_lets_answers_in_before_it_answers():
    rules = window_rules("w", {"n3": ["198.18.77.13"]}, FROM_S, None, reject=True)
    assert [(rule.comment, rule.verdict, rule.match) for rule in rules] == [
        ("refusals: w", "accept", "tcp flags rst"),
        ("refusals: w", "accept", "icmp type destination-unreachable"),
        ("probes: w", "drop", "icmp id 19011"),
        ("w n3", RESET, "meta l4proto tcp"),
        ("w n3", UNREACHABLE, ""),
    ]


@pytest.mark.parametrize("port", ["9092", "sctp 9", "tcp 0", "tcp 65536", "tcp", "tcp -1", "tcp 1-2"])
def test_what_is_no_port_gets_a_sentence(port):
    with pytest.raises(ValueError, match=f"port '{port}': expected tcp or udp and a number from 1 to 65535"):
        read_ports([port])


def test_what_is_cut_from_the_clients_is_one_direction_of_the_nodes_ports():
    ports = read_ports(["tcp 5432", "udp 53"])
    away = {"clients": ["192.0.2.9", "fd00::9"]}
    heard = window_rules("w", away, FROM_S, None, ports)
    said = window_rules("w", away, FROM_S, None, ports, direction="out")
    ends = [("tcp", (5432,)), ("udp", (53,))] * 2
    assert drops(heard) == [(f"{protocol} dport", numbers, "drop") for protocol, numbers in ends]
    assert drops(said) == [(f"{protocol} sport", numbers, "drop") for protocol, numbers in ends]
    assert {rule.side for rule in heard} == {"saddr"}
    assert {rule.side for rule in said} == {"daddr"}
    assert 'ip6 daddr { fd00::9 } tcp sport { 5432 } counter drop comment "w clients"' in script(said)
    assert [windows_of(rules)[0]["direction"] for rules in (heard, said)] == ["in", "out"]


def test_no_rules_remove_the_chains():
    assert script([], ["partition", "partition_out", "partition_time_0"]).splitlines()[-3:] == [
        "delete chain inet jepsen partition",
        "delete chain inet jepsen partition_out",
        "delete chain inet jepsen partition_time_0",
    ]
    assert script([]).splitlines()[-1] == "delete chain inet jepsen partition"


@given(st.lists(st.ip_addresses().map(str), min_size=1, max_size=6), st.integers(0, 2**33))
def test_addresses_are_in_the_order_in_which_nft_lists_them_and_once(addresses, from_s):
    rules = window_rules("w", {"a": addresses, "b": addresses}, from_s, None)
    for rule in rules:
        numbers = [int(ipaddress.ip_address(address)) for address in rule.addresses]
        assert numbers == sorted(set(numbers))
    dropped = {address for rule in rules if rule.window for address in rule.addresses}
    assert dropped == set(addresses)
    assert describe(rules) == describe(window_rules("w", {"a": addresses[::-1], "b": addresses}, from_s, None))


def test_counters_of_both_families_add_up():
    rules = [
        Rule("cut-1 n3", "drop", ("198.18.77.13",), FROM_S, UNTIL_S, packets=3, bytes=300),
        Rule("cut-1 n3", "drop", ("fd00::1",), FROM_S, UNTIL_S, packets=4, bytes=400),
        Rule("cut-2 n3", RESET, ("fd00::1",), FROM_S, None, "tcp dport", (9092,), packets=3),
        Rule("cut-2 n3", RESET, ("fd00::1",), FROM_S, None, "tcp sport", (9092,), packets=2),
        Rule("probes: cut-1", "drop", ("fd00::1",), FROM_S, None),
    ]
    assert windows_of(rules) == [
        {
            "name": "cut-1",
            "from_ns": FROM_S * 10**9,
            "until_ns": UNTIL_S * 10**9,
            "peers": {"n3": ["198.18.77.13", "fd00::1"]},
            "direction": "in",
            "ports": [],
            "reject": False,
            "dropped": {"n3": 7},
            "counts": {"dropped_packets": 7, "dropped_bytes": 700},
        },
        {
            "name": "cut-2",
            "from_ns": FROM_S * 10**9,
            "until_ns": None,
            "peers": {"n3": ["fd00::1"]},
            "direction": "in",
            "ports": ["tcp 9092"],
            "reject": True,
            "dropped": {"n3": 5},
            "counts": {"dropped_packets": 5, "dropped_bytes": 0},
        },
    ]


@pytest.mark.parametrize("listing", ["", "{}", '{"nftables": 5}', '{"nftables": [{"rule": {"chain": "partition"}}]}'])
def test_what_is_not_nfts_is_not_read(listing):
    with pytest.raises(NftError, match="cannot read what `nft -j list table inet jepsen` printed"):
        parse(listing)


class Transcript:
    """nft as it answered: an exit status and errors for each way to call it."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, arguments, text):
        self.asked.append((arguments, text))
        code, err = self.answers.pop(0)
        return code, "", err


def test_a_node_without_nft_says_what_to_install():
    class Bare:
        def get_bin_path(self, *_arguments, **_options):
            return None

    with pytest.raises(RefusedError, match="nft is not on this node; install the Debian package nftables"):
        tool(Bare(), "nft", "nftables")


def test_no_table_is_not_an_error():
    said = "Error: No such file or directory\nlist table inet jepsen\n                ^^^^^^\n"
    assert Nft(Transcript((1, said))).read() is None


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        ([(1, "Error: Operation not permitted (you must be root)")], "run the task as root (become: true)"),
        (
            [(1, "Error: Could not process rule: Operation not supported"), (1, "no")],
            "refuses any table of the family inet",
        ),
        ([(1, "Error: Could not process rule: No such file"), (0, ""), (1, "no")], "cannot match `meta time`"),
        ([(1, "Error: syntax error"), (0, ""), (0, "")], "jepsen_heal removes it"),
    ],
)
def test_a_refusal_says_what_this_node_lacks(answers, what):
    with pytest.raises(NftError) as caught:
        Nft(Transcript(*answers)).check("table inet jepsen {}")
    assert str(caught.value).startswith("nft refuses the rules, and nothing was changed: nft printed 'Error: ")
    assert what in str(caught.value)
