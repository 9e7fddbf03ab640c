"""Grudges, by the properties that make them partitions, and by the examples of the series."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_modules.module_utils.jepsen_clients import bearers, peers_of, wrong_with_clients
from jepsen_modules.module_utils.jepsen_grudge import (
    GrudgeError,
    check_grudge,
    complete_grudge,
    flap,
    make_grudge,
)

pytestmark = pytest.mark.unit

FIVE = ["n1", "n2", "n3", "n4", "n5"]
SERIES = {
    "n1": ["n3", "n4", "n5"],
    "n2": ["n3", "n4", "n5"],
    "n3": ["n1", "n2"],
    "n4": ["n1", "n2"],
    "n5": ["n1", "n2"],
}
node_lists = st.integers(2, 9).map(lambda count: [f"n{i}" for i in range(1, count + 1)])
seeds = st.integers(-(2**63), 2**63)
SYMMETRIC = ["halves", "random-halves", "isolate"]


def hears(grudge, listener, speaker):
    return speaker not in grudge.get(listener, [])


def component(grudge, nodes, start):
    reached = {start}
    while True:
        more = {b for a in reached for b in nodes if hears(grudge, b, a) and hears(grudge, a, b)} - reached
        if not more:
            return frozenset(reached)
        reached |= more


@given(nodes=node_lists, topology=st.sampled_from(SYMMETRIC), seed=seeds)
def test_symmetric_topologies_make_exactly_two_groups(nodes, topology, seed):
    grudge, title = make_grudge(topology, nodes, {}, seed)
    check_grudge(grudge, nodes)
    groups = {component(grudge, nodes, node) for node in nodes}
    assert len(groups) == 2
    assert sum(len(group) for group in groups) == len(nodes)
    assert all(hears(grudge, a, b) == hears(grudge, b, a) for a in nodes for b in nodes)
    assert {frozenset(side.split()) for side in title.split(" | ")} == groups


@given(nodes=node_lists, seed=seeds)
def test_halves_differ_by_at_most_one(nodes, seed):
    for topology in ("halves", "random-halves"):
        _, title = make_grudge(topology, nodes, {}, seed)
        assert [len(side.split()) for side in title.split(" | ")] == [len(nodes) // 2, len(nodes) - len(nodes) // 2]


@given(nodes=node_lists, seed=seeds, data=st.data())
def test_drawn_topologies_do_not_depend_on_the_order_of_nodes(nodes, seed, data):
    shuffled = data.draw(st.permutations(nodes))
    for topology in ("random-halves", "isolate"):
        one, _ = make_grudge(topology, nodes, {}, seed)
        other, _ = make_grudge(topology, shuffled, {}, seed)
        assert {node: set(peers) for node, peers in one.items()} == {node: set(peers) for node, peers in other.items()}


@given(nodes=node_lists, data=st.data())
def test_groups_hear_themselves_and_the_uncut_only(nodes, data):
    colours = data.draw(st.lists(st.integers(0, 3), min_size=len(nodes), max_size=len(nodes)))
    groups = [[n for n, c in zip(nodes, colours, strict=True) if c == colour] for colour in (1, 2, 3)]
    groups = [group for group in groups if group]
    grudge = complete_grudge(groups, nodes)
    for a, colour_a in zip(nodes, colours, strict=True):
        for b, colour_b in zip(nodes, colours, strict=True):
            assert hears(grudge, a, b) == (colour_a == colour_b or 0 in (colour_a, colour_b))
    if len(groups) > 1:
        assert make_grudge("groups", nodes, {"groups": groups})[0] == grudge


@given(nodes=node_lists, data=st.data())
def test_one_way_cuts_one_direction_only(nodes, data):
    receivers = data.draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=len(nodes) - 1, unique=True))
    senders = [node for node in nodes if node not in receivers]
    grudge, _ = make_grudge("one-way", nodes, {"from": senders, "to": receivers})
    check_grudge(grudge, nodes)
    assert all(hears(grudge, a, b) == (not (a in receivers and b in senders)) for a in nodes for b in nodes)


@given(nodes=node_lists.filter(lambda nodes: len(nodes) > 2), seed=seeds)
def test_a_majority_is_on_one_side(nodes, seed):
    grudge, title = make_grudge("majority", nodes, {}, seed)
    minority, majority = (side.split() for side in title.split(" | "))
    assert len(minority) < len(nodes) / 2 < len(majority)
    assert len(minority) + 1 >= len(nodes) / 2
    assert grudge == complete_grudge([minority, majority], nodes)


@given(nodes=node_lists.filter(lambda nodes: len(nodes) > 3), seed=seeds)
def test_a_minority_third_is_fewer_than_a_third_and_as_many_as_can_be(nodes, seed):
    grudge, title = make_grudge("minority-third", nodes, {}, seed)
    minority, majority = (side.split() for side in title.split(" | "))
    assert len(minority) < len(nodes) / 3 <= len(minority) + 1
    assert grudge == complete_grudge([minority, majority], nodes)


@given(nodes=node_lists.filter(lambda nodes: len(nodes) > 2), seed=seeds, named=st.booleans())
def test_a_bridge_hears_and_is_heard_by_all_and_the_sides_are_apart(nodes, seed, named):
    grudge, title = make_grudge("bridge", nodes, {"node": nodes[1]} if named else {}, seed)
    sides, _, bridge = title.removesuffix(")").partition(" (bridge: ")
    assert bridge == nodes[1] or not named
    assert all(hears(grudge, bridge, node) and hears(grudge, node, bridge) for node in nodes)
    one, other = (side.split() for side in sides.split(" | "))
    assert sorted([*one, *other, bridge]) == sorted(nodes)
    assert 0 <= len(other) - len(one) <= 1
    assert grudge == complete_grudge([one, other], nodes)


@given(nodes=node_lists.filter(lambda nodes: len(nodes) > 2 and "middle" not in nodes), seed=seeds)
def test_a_bridge_in_the_middle_has_the_nodes_in_their_order_whatever_is_drawn(nodes, seed):
    grudge, title = make_grudge("bridge", nodes, {"node": "middle"}, seed)
    half = (len(nodes) - 1) // 2
    one, other = nodes[:half], nodes[half + 1 :]
    assert title == f"{' '.join(one)} | {' '.join(other)} (bridge: {nodes[half]})"
    assert grudge == complete_grudge([one, other], nodes)


@given(nodes=st.integers(3, 40).map(lambda count: [f"n{i}" for i in range(count)]), seed=seeds)
def test_in_a_ring_every_node_sees_a_majority_and_no_two_the_same(nodes, seed):
    grudge, _ = make_grudge("majorities-ring", nodes, {}, seed)
    seen = {a: frozenset(b for b in nodes if hears(grudge, a, b)) for a in nodes}
    assert all(len(view) > len(nodes) / 2 for view in seen.values())
    assert len(set(seen.values())) == len(nodes)
    assert all(hears(grudge, a, b) == hears(grudge, b, a) for a in nodes for b in nodes)
    sizes = sorted(len(view) for view in seen.values())
    assert sizes[:-1] == [len(nodes) // 2 + 1] * (len(nodes) - 1), "no link more than it takes"
    assert sizes[-1] - sizes[0] <= 1


@pytest.mark.parametrize("count", range(3, 26))
def test_a_ring_for_every_count_of_nodes(count):
    nodes = [f"n{i}" for i in range(count)]
    grudge, _ = make_grudge("majorities-ring", nodes)
    views = {frozenset(b for b in nodes if hears(grudge, a, b)) for a in nodes}
    assert len(views) == count
    assert all(len(view) > count / 2 for view in views)


@given(nodes=node_lists, data=st.data(), seed=seeds)
def test_isolated_targets_hear_nobody_at_all(nodes, data, seed):
    alone = data.draw(st.lists(st.sampled_from(nodes), min_size=1, unique=True))
    grudge, _ = make_grudge("isolate", nodes, {"node": alone}, seed)
    for a in nodes:
        for b in nodes:
            assert hears(grudge, a, b) == (a == b or not {a, b} & set(alone))


def test_a_primary_is_isolated_and_only_where_it_is_known():
    assert make_grudge("isolate", FIVE, {"node": "primary"}, 5, primaries=["n4"])[1] == "n4 | n1 n2 n3 n5"
    with pytest.raises(GrudgeError, match="node: target primary: nobody has asked which nodes are primaries"):
        make_grudge("isolate", FIVE, {"node": "primary"})


@given(nodes=node_lists, data=st.data())
def test_one_way_goes_in_either_direction(nodes, data):
    node = data.draw(st.sampled_from(nodes))
    mute, _ = make_grudge("one-way", nodes, {"from": node})
    deaf, _ = make_grudge("one-way", nodes, {"to": node})
    assert all(hears(mute, a, b) == (a == b or b != node) for a in nodes for b in nodes)
    assert all(hears(deaf, a, b) == (a == b or a != node) for a in nodes for b in nodes)


@given(st.integers(0, 10**9), st.integers(1, 300), st.integers(1, 60), st.integers(1, 60))
def test_flapping_is_on_and_off_in_turns_and_never_beyond_its_window(from_s, length_s, on_s, off_s):
    try:
        turns = flap(from_s, from_s + length_s, on_s, off_s)
    except GrudgeError:
        assert length_s > 100 * (on_s + off_s)
        return
    on = {second for begin, end in turns for second in range(begin, end)}
    assert on == {s for s in range(from_s, from_s + length_s) if (s - from_s) % (on_s + off_s) < on_s}


def test_flapping_needs_whole_seconds_above_zero():
    with pytest.raises(GrudgeError, match="flapping is 0 s on and 1 s off: expected whole seconds, at least 1 each"):
        flap(0, 10, 0, 1)


def test_halves_are_those_of_the_series():
    assert make_grudge("halves", FIVE) == (SERIES, "n1 n2 | n3 n4 n5")


def test_groups_as_text():
    assert make_grudge("groups", FIVE, {"groups": "n1 n2 | n3,n4, n5"}) == (SERIES, "n1 n2 | n3 n4 n5")


def test_a_node_in_no_group_hears_everybody_and_the_title_says_so():
    assert make_grudge("groups", ["a", "b", "c"], {"groups": "a|b"}) == ({"a": ["b"], "b": ["a"]}, "a | b (uncut: c)")


def test_isolate_takes_the_node_it_is_told():
    grudge, title = make_grudge("isolate", FIVE, {"node": "n4"}, seed=99)
    assert title == "n4 | n1 n2 n3 n5"
    assert grudge["n4"] == ["n1", "n2", "n3", "n5"]


def test_clients_stand_on_either_side_of_one_way():
    assert make_grudge("one-way", FIVE, {"from": "n1", "to": "clients"}) == ({"clients": ["n1"]}, "n1 -/-> clients")
    assert make_grudge("one-way", FIVE, {"from": "clients", "to": ["n2", "n3"]}) == (
        {"n2": ["clients"], "n3": ["clients"]},
        "clients -/-> n2 n3",
    )
    assert make_grudge("one-way", FIVE, {"to": "clients"})[0] == {"clients": FIVE}
    assert make_grudge("one-way", FIVE, {"from": "clients"})[0] == {node: ["clients"] for node in FIVE}
    primary = make_grudge("one-way", FIVE, {"from": "primary", "to": "clients"}, primaries=["n4"])
    assert primary == ({"clients": ["n4"]}, "n4 -/-> clients")


@pytest.mark.parametrize(
    ("nodes", "options", "sentence"),
    [
        (
            FIVE,
            {"from": "n1, clients", "to": "n2"},
            "from: n1 clients: clients stand alone; give the nodes a window of their own",
        ),
        (
            FIVE,
            {"from": "clients", "to": "clients"},
            "one-way has clients in both from and to; a node always hears itself",
        ),
        (
            ["n1", "clients"],
            {"from": "n1"},
            "a node is called 'clients', which stands for the clients of a test; give it another name in the inventory",
        ),
    ],
)
def test_mistakes_with_clients_get_a_sentence(nodes, options, sentence):
    with pytest.raises(GrudgeError) as caught:
        make_grudge("one-way", nodes, options)
    assert str(caught.value) == sentence


PORT = {"tcp": (5432,)}


@pytest.mark.parametrize(
    ("grudge", "ports", "reject", "sentence"),
    [
        ({"n1": ["clients"]}, PORT, False, None),
        ({"clients": ["n1", "n2"]}, PORT, False, None),
        ({"n1": ["n2"]}, {"tcp": (22,)}, True, None),
        ({"clients": ["n1"]}, {"udp": (22,), "tcp": (23,)}, False, None),
        ({"n1": ["n2", "clients"]}, PORT, False, "clients are cut off in one direction and together with nobody else"),
        ({"n1": ["n2"], "n2": ["clients"]}, PORT, False, "clients are cut off in one direction and together with"),
        ({"n1": ["clients"], "clients": ["n1"]}, PORT, False, "clients are cut off in one direction and together"),
        ({"clients": ["clients"]}, PORT, False, "clients are cut off in one direction and together with nobody else"),
        ({"n1": ["clients"]}, {}, False, "clients are cut off on certain ports only, since SSH comes the same way"),
        ({"clients": ["n1"]}, PORT, True, "what is cut between clients and nodes is dropped, and never answered"),
        ({"clients": ["n1"]}, {"tcp": (22, 5432)}, False, "refused: tcp 22 is SSH's port, by which the node is"),
        ({"n1": ["clients"]}, {"tcp": (5432, 2222)}, False, "refused: tcp 2222 is SSH's port, by which the node is"),
    ],
)
def test_what_may_be_cut_from_the_clients(grudge, ports, reject, sentence):
    wrong = wrong_with_clients(grudge, ports, reject=reject, ssh_ports=[2222])
    assert wrong is None if sentence is None else wrong.startswith(sentence)


def test_a_nodes_part_of_a_cut_from_the_clients():
    assert bearers({"clients": ["n3", "n1"]}) == ["n3", "n1"]
    assert bearers({"n2": ["clients"]}) == ["n2"]
    assert peers_of("n1", {"clients": ["n1"]}) == (["clients"], "out")
    assert peers_of("n2", {"clients": ["n1"]}) == ([], "in")
    assert peers_of("n2", {"n2": ["clients"]}) == (["clients"], "in")


def test_one_way_title():
    assert make_grudge("one-way", FIVE, {"from": "n1", "to": "n3 n4"}) == (
        {"n3": ["n1"], "n4": ["n1"]},
        "n1 -/-> n3 n4",
    )


@pytest.mark.parametrize(
    ("seed", "halves", "alone"),
    [
        (0, "n2 n3 | n1 n4 n5", "n3"),
        (7, "n1 n5 | n2 n3 n4", "n5"),
        (2013, "n3 n5 | n1 n2 n4", "n5"),
    ],
)
def test_draws_are_the_same_on_every_python(seed, halves, alone):
    assert make_grudge("random-halves", FIVE, {}, seed)[1] == halves
    assert make_grudge("isolate", FIVE, {}, seed)[1].split(" | ")[0] == alone


@pytest.mark.parametrize(
    ("topology", "nodes", "options", "sentence"),
    [
        (
            "halfs",
            FIVE,
            {},
            (
                "unknown topology 'halfs'; known are bridge, groups, halves, isolate, majorities-ring, majority, "
                "minority-third, one-way, random-halves"
            ),
        ),
        ("halves", ["n1"], {}, "a partition needs at least two nodes, and was given n1"),
        ("halves", [], {}, "a partition needs at least two nodes, and was given none"),
        ("halves", ["n1", "n1"], {}, "a node stands twice in n1 n1"),
        ("halves", FIVE, {"node": "n1"}, "topology halves has no option 'node'; it takes none"),
        ("majority", ["a", "b"], {}, "a minority needs at least three nodes: one of two is already half"),
        (
            "minority-third",
            ["a", "b", "c"],
            {},
            "minority-third needs at least four nodes: one of three is already a third",
        ),
        ("majorities-ring", ["a", "b"], {}, "majorities-ring needs at least three nodes: a b have one majority only"),
        ("bridge", FIVE, {"node": "n1 n2"}, "bridge has one node in the middle, and node is n1 n2"),
        ("one-way", FIVE, {"from": "all"}, "one-way has all nodes on one side; a node always hears itself"),
        ("groups", FIVE, {}, 'groups needs at least two groups of nodes, as in "n1 n2 | n3 n4 n5"'),
        ("groups", FIVE, {"groups": "n1 n2 |"}, 'groups needs at least two groups of nodes, as in "n1 n2 | n3 n4 n5"'),
        ("groups", FIVE, {"groups": "n1 | n2 n1"}, "groups names the node 'n1' twice; a node can be in one group only"),
        ("groups", FIVE, {"groups": "n1 | n6"}, "groups names the node 'n6', which is not among n1 n2 n3 n4 n5"),
        (
            "one-way",
            FIVE,
            {},
            "one-way needs from (who is no longer heard), to (who no longer hears), or both",
        ),
        (
            "one-way",
            FIVE,
            {"from": "n1 n2", "to": "n2"},
            "one-way has the node 'n2' in both from and to; a node always hears itself",
        ),
    ],
)
def test_mistakes_get_a_sentence(topology, nodes, options, sentence):
    with pytest.raises(GrudgeError) as caught:
        make_grudge(topology, nodes, options)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("grudge", "sentence"),
    [
        ({"n1": "n2"}, "a grudge is a mapping of nodes to the lists of peers that they must not hear"),
        ({"n1": ["n7"]}, "the grudge names the node 'n7', which is not among n1 n2 n3 n4 n5"),
        ({"n7": []}, "the grudge names the node 'n7', which is not among n1 n2 n3 n4 n5"),
        ({"n1": ["n1"]}, "the grudge keeps n1 from hearing itself, which no partition does"),
    ],
)
def test_a_wrong_grudge_gets_a_sentence(grudge, sentence):
    with pytest.raises(GrudgeError) as caught:
        check_grudge(grudge, FIVE)
    assert str(caught.value) == sentence
