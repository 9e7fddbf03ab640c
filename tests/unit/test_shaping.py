"""Shapes and links as people give them, and what netem and nft are told."""

import itertools
import random

import pytest
from ansible.module_utils.jepsen_netem_queues import chances, combinations, losses, netem, plan, tc_batch
from ansible.module_utils.jepsen_netem_rules import nft_script, read_listing
from ansible.module_utils.jepsen_shaping import (
    Shape,
    Shaped,
    make_links,
    percents,
    read_ports,
    read_shape,
)
from ansible.module_utils.jepsen_window import RefusedError
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

NODES = ["n1", "n2", "n3"]
PERCENT = st.floats(0, 99)


def shaped(name, from_s, until_s, *addresses, shape=None, ports=()):
    peers = {f"p{address[-1]}": [address] for address in addresses}
    return Shaped(name, "", shape or Shape(delay_ms=50), peers, ports, from_s, until_s)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delay_ms": 50, "jitter_ms": 10}, "netem limit 18000 delay 50ms 10ms 0% distribution normal"),
        ({"delay_ms": 5, "jitter_ms": 5, "distribution": "uniform"}, "netem limit 5000 delay 5ms 5ms 0%"),
        ({"loss": 20, "loss_correlation": 75}, "netem limit 1000 loss gemodel 5% 20% 100% 0%"),
        ({"loss": 0.5}, "netem limit 1000 loss random 0.5%"),
        ({"gilbert": [1, 10, 70, 99]}, "netem limit 1000 loss gemodel 1% 10% 30% 1%"),
        ({"duplicate": 1, "corrupt": 2, "rate_kbit": 800}, "netem limit 1000 duplicate 1% corrupt 2% rate 800kbit"),
        ({"delay_ms": 1, "reorder": 25}, "netem limit 1000 delay 1ms reorder 25%"),
    ],
)
def test_shapes_in_tcs_words(options, text):
    assert netem(read_shape(options)) == text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"delay_ms": -1}, "delay_ms is -1: expected milliseconds, from 0 to 60000"),
        ({"loss": 101}, "loss is 101: expected percent, from 0 to 100"),
        ({"loss": float("nan")}, "loss is nan: expected percent"),
        ({"delay_ms": 5, "jitter_ms": 6}, "jitter_ms is 6, more than delay_ms, 5"),
        ({"delay_ms": 5, "distribution": "gauss"}, "distribution is 'gauss': expected one of uniform, normal"),
        ({"reorder": 5}, "give delay_ms as well"),
        ({"gilbert": [1, 2]}, "gilbert has 2 numbers: expected four percentages"),
        ({"gilbert": [1, 2, 3, 4], "loss": 1}, "gilbert stands in place of loss"),
        ({"loss": 50, "loss_correlation": 100}, "loss_correlation is 100"),
        ({}, "the shape does nothing"),
    ],
)
def test_nonsense_is_one_sentence(options, sentence):
    with pytest.raises(RefusedError, match=f"^[^\n]*{sentence}[^\n]*$"):
        read_shape(options)


@given(loss=st.floats(0.5, 99), correlation=st.integers(0, 99))
def test_the_model_of_correlated_losses_keeps_their_share(loss, correlation):
    shape = read_shape({"loss": loss, "loss_correlation": correlation})
    model = chances(shape)
    if model is None:
        assert not correlation
        return
    p, r, lost_while_bad, lost_while_good = model
    assert (lost_while_bad, lost_while_good) == (1, 0)
    assert p / (p + r) == pytest.approx(shape.loss, abs=1e-9)
    assert 1 - r == pytest.approx(shape.loss_correlation + (1 - shape.loss_correlation) * shape.loss)


@given(delay=st.floats(1, 60000), loss=PERCENT, rate=st.integers(0, 10**6))
def test_percents_are_read_as_they_are_written(delay, loss, rate):
    shape = read_shape({"delay_ms": delay, "loss": loss, "rate_kbit": rate})
    again = read_shape(percents(shape))
    assert (again.delay_ms, again.rate_kbit) == (shape.delay_ms, shape.rate_kbit)
    assert again.loss == pytest.approx(shape.loss, abs=1e-9)


def test_links_by_hand():
    everybody = {node: [peer for peer in NODES if peer != node] for node in NODES}
    assert make_links(NODES, [], [], both=False) == everybody
    assert make_links(NODES, ["n1"], ["n2"], both=False) == {"n2": ["n1"]}
    assert make_links(NODES, ["n1"], ["n2"], both=True) == {"n1": ["n2"], "n2": ["n1"]}
    with pytest.raises(RefusedError, match="'n9' is not a node of this play; its nodes are n1 n2 n3"):
        make_links(NODES, ["n9"], [], both=False)
    with pytest.raises(RefusedError, match="no link"):
        make_links(NODES, ["n1"], ["n1"], both=False)


@pytest.mark.parametrize("port", ["tcp", "tcp 0", "tcp 65536", "9092", "icmp 1", "tcp 1; drop"])
def test_ports_are_checked(port):
    with pytest.raises(RefusedError, match="expected 'tcp NUMBER'"):
        read_ports([port])


def test_combinations_are_the_sets_that_a_packet_can_be_in():
    """Against brute force: every set of windows that has a second and an address in common."""
    draw = random.Random(7)  # noqa: S311 - a seed, not a secret
    for _ in range(50):
        windows = [
            shaped(
                f"w{i}",
                begin := draw.randrange(20),
                begin + draw.randrange(1, 9),
                *draw.sample(["1.1.1.1", "1.1.1.2"], 1),
            )
            for i in range(6)
        ]
        expected = set()
        for size in range(1, 7):
            for some in itertools.combinations(range(6), size):
                chosen = [windows[i] for i in some]
                seconds = set.intersection(*(set(range(w.from_s, w.until_s)) for w in chosen))
                peers = set.intersection(*(set(w.peers) for w in chosen))
                expected |= {some} if seconds and peers else set()
        found = combinations(windows)
        assert set(found) == expected
        assert len(found) == len(expected)


def test_windows_that_meet_are_nested_and_numbers_in_use_are_left():
    windows = [shaped("slow-1", 0, 10, "1.1.1.1"), shaped("flaky-1", 5, None, "1.1.1.1", shape=Shape(loss=0.2))]
    classes = plan(windows, {0x4B01})
    assert [one.handles for one in classes] == [(0x4B00,), (0x4B02, 0x4B03), (0x4B04,)]
    assert tc_batch("eth0", windows, classes)[2:5] == [
        "class add dev eth0 parent 4a45: classid 4a45:4b02 htb rate 100gbit quantum 60000",
        "qdisc add dev eth0 parent 4a45:4b02 handle 4b02: netem limit 10000 delay 50ms",
        "qdisc add dev eth0 parent 4b02: handle 4b03: netem limit 1000 loss random 20%",
    ]
    text = nft_script(windows, classes, ["192.0.2.9"], ["shape_netem", "shape_netem_7"])
    assert "delete chain inet jepsen shape_netem_7\n" in text
    assert "meta priority 4a45:4b00 meta priority set 4a45:4b02 return\n" in text
    assert 'ip daddr { 192.0.2.9 } accept comment "exempt: controllers"\n' in text
    assert text.index("exempt: controllers") < text.index("jump shape_netem_0")


def test_a_port_at_both_ends_is_taken_once():
    window = shaped("slow-1", 0, None, "1.1.1.1", ports=("tcp 80", "tcp 81"))
    text = nft_script([window], plan([window], set()), [], [])
    assert "ip daddr { 1.1.1.1 } tcp dport { 80, 81 } jump" in text
    assert "ip daddr { 1.1.1.1 } tcp dport != { 80, 81 } tcp sport { 80, 81 } jump" in text


def test_losses_of_a_netem_inside_another_are_its_own():
    qdiscs = [
        {"kind": "htb", "handle": "4a45:", "root": True, "drops": 9},
        {"kind": "netem", "handle": "4b00:", "parent": "4a45:4b00", "drops": 9},
        {"kind": "netem", "handle": "4b01:", "parent": "4b00:", "drops": 7},
    ]
    assert losses(qdiscs) == {0x4B00: 2, 0x4B01: 7}


def test_no_table_is_nothing():
    assert read_listing(None).chains == []
