"""Which chains a packet goes through: the right windows at every second, and few of them however many are armed."""

import itertools
import math
from pathlib import Path

import pytest
from ansible.module_utils import jepsen_cut_chains
from ansible.module_utils.jepsen_cut_chains import PARTS, layout
from ansible.module_utils.jepsen_nft import in_order, own_chains, parse, read_ports, script, window_rules, windows_of
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

TRANSCRIPTS = sorted((Path(__file__).parent / "nft_transcripts" / "chains").glob("*.json"))
N2, N3, CONTROLLER = "192.0.2.2", "192.0.2.3", "192.0.2.9"
PEERS = {"n2": [N2], "n3": [N3, "fd00::3"]}
CLIENTS = {"clients": [CONTROLLER, "fd00::9"]}
POSTGRES = read_ports(["tcp 5432"])
BEGIN_S = 1_900_000_000


def window(number, begin, length, kind="peers", *, reject=False):
    """The rules of a window w-NUMBER; a length of None is for ever."""
    span = (BEGIN_S + begin, None if length is None else BEGIN_S + begin + length)
    if kind == "peers":
        return window_rules(f"w-{number}", {"n2": PEERS["n2"]} if number % 3 else PEERS, *span, reject=reject)
    direction = {"from clients": "in", "to clients": "out"}[kind]
    return window_rules(f"w-{number}", CLIENTS, *span, POSTGRES, direction=direction)


def walk(rules, packet, base="partition"):
    """Lets a packet through as the kernel would; returns the rule that dropped it, if any, and how many it met."""
    chains = {name: list(some) for name, some in itertools.groupby(in_order(rules), lambda rule: rule.chain)}
    held = 0

    def go(chain, depth):
        nonlocal held
        assert depth < 16, "the kernel takes no more"
        for rule in chains.get(chain, []):
            held += 1
            if not matches(rule, packet):
                continue
            verb, _, there = rule.verdict.partition(" ")
            if verb in ("goto", "jump"):
                ended = go(there, depth + 1)
                if ended or verb == "goto":
                    return ended or ("accept", None)
                continue
            return (rule.verdict, rule)
        return None

    verdict, rule = go(base, 0) or ("accept", None)
    return (None if verdict == "accept" else rule), held


def matches(rule, packet):
    if rule.match:  # of neighbours, probes and refusals, which no packet here is
        return False
    if rule.from_s is not None and packet["at"] < rule.from_s:
        return False
    if rule.until_s is not None and packet["at"] >= rule.until_s:
        return False
    if rule.addresses and packet[rule.side] not in rule.addresses:
        return False
    return not rule.ports or packet.get(rule.end) in rule.ports


def test_a_window_of_each_kind_cuts_what_it_says_and_nothing_else():
    rules = layout([window(1, 0, 10), window(2, 0, 10, "from clients"), window(3, 0, 10, "to clients")], [CONTROLLER])

    def verdict(base="partition", **packet):
        rule, _ = walk(rules, {"at": BEGIN_S + 5, "saddr": "198.51.100.1", "daddr": "198.51.100.1", **packet}, base)
        return rule and rule.comment

    assert verdict(saddr=N2) == "w-1 n2"
    assert verdict(saddr=CONTROLLER, **{"tcp dport": 5432}) == "w-2 clients"
    assert verdict(saddr=CONTROLLER, **{"tcp dport": 22}) is None
    assert verdict(saddr=CONTROLLER, **{"tcp sport": 5432}) is None
    assert verdict(saddr="198.51.100.7", **{"tcp dport": 5432}) is None
    out = "partition_out"
    assert verdict(out, daddr=CONTROLLER, **{"tcp sport": 5432}) == "w-3 clients"
    assert verdict(out, daddr="fd00::9", **{"tcp sport": 5432}) == "w-3 clients"
    assert verdict(out, daddr=CONTROLLER, **{"tcp sport": 22}) is None
    assert verdict(out, daddr=N2, **{"tcp sport": 5432}) is None
    assert verdict(saddr=N2, at=BEGIN_S + 10) is None


kinds = st.sampled_from(["peers", "from clients", "to clients"])
spans = st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(1, 30)), kinds)


@settings(deadline=None)
@given(st.lists(spans, max_size=10))
def test_at_every_second_a_packet_meets_the_first_window_that_is_open(drawn):
    windows = [window(number, *span) for number, span in enumerate(drawn)]
    rules = layout(windows, [CONTROLLER])
    packets = {
        "peers": ("partition", {"saddr": N2, "daddr": N3}),
        "from clients": ("partition", {"saddr": CONTROLLER, "daddr": N2, "tcp dport": 5432}),
        "to clients": ("partition_out", {"saddr": N2, "daddr": CONTROLLER, "tcp sport": 5432}),
    }
    for at in range(-1, 92):
        for kind, (base, packet) in packets.items():
            is_open = [
                number
                for number, (begin, length, what) in enumerate(drawn)
                if what == kind and begin <= at and (length is None or at < begin + length)
            ]
            rule, _ = walk(rules, {**packet, "at": BEGIN_S + at}, base)
            assert (rule and rule.window) == (f"w-{is_open[0]}" if is_open else None)


@pytest.mark.parametrize("count", [1, 20, 100, 1000])
def test_a_packet_is_held_to_few_rules_however_many_windows_are_armed(count):
    rules = layout([window(number, 2 * number, 1) for number in range(count)], [CONTROLLER])
    held = [
        walk(rules, {"at": BEGIN_S + at, "saddr": address, "daddr": N3})[1]
        for at in range(-1, 2 * count + 1, max(1, count // 50))
        for address in (N2, "198.51.100.1")
    ]
    own = max(len(window(number, 0, 1)) for number in range(3))
    assert max(held) <= 4 + PARTS * math.ceil(math.log(2 * count + 1, PARTS)) + own
    stranger = walk(rules, {"at": BEGIN_S, "saddr": "198.51.100.1", "daddr": N3})[1]
    assert stranger <= 4


def test_where_too_many_overlap_there_is_no_tree_and_each_window_looks_at_its_own_time(monkeypatch):
    monkeypatch.setattr(jepsen_cut_chains, "MOST_JUMPS", 10)
    windows = [window(number, number, 20) for number in range(12)]
    rules = layout(windows, [])
    assert sum(rule.verdict.startswith("jump") for rule in rules) == 12
    for at in (-1, 0, 5, 25, 31, 32):
        rule, _ = walk(rules, {"at": BEGIN_S + at, "saddr": N2, "daddr": N3})
        first = next((f"w-{number}" for number in range(12) if number <= at < number + 20), None)
        assert (rule and rule.window) == first


def every_kind():
    """Windows that overlap, one of each kind: what the transcripts list."""
    return [
        window(1, 0, 10),
        window(3, 5, 10),
        window(4, 100, None, reject=True),
        window(5, 0, 10, "from clients"),
        window(7, 20, 10, "to clients"),
    ]


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_every_nft_lists_it_alike(path):
    wanted = layout(every_kind(), CLIENTS["clients"])
    assert parse(path.read_text()) == wanted
    assert set(own_chains(path.read_text())) == {rule.chain for rule in wanted}
    names = [found["name"] for found in windows_of(parse(path.read_text()))]
    assert names == ["w-1", "w-3", "w-4", "w-5", "w-7"]


def test_there_is_a_transcript_of_each_debian():
    assert [path.stem for path in TRANSCRIPTS] == ["0.9.8", "1.0.6", "1.1.3"]


def test_chains_come_before_those_that_lead_to_them():
    lines = script(layout(every_kind(), [CONTROLLER])).splitlines()
    made = [line.split()[1] for line in lines if line.startswith("  chain ")]
    for rule in layout(every_kind(), [CONTROLLER]):
        verb, _, there = rule.verdict.partition(" ")
        if verb in ("goto", "jump"):
            assert made.index(there) < made.index(rule.chain)


def test_a_listing_that_is_no_json_still_tells_which_chains_are_ours():
    said = "table inet jepsen { chain partition_time_3 { } chain shape { } chain partition { } chain partitions { } }"
    assert own_chains(said) == ["partition_time_3", "partition"]
