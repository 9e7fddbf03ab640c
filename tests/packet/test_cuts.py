"""Cuts of all forms, by packets: by port, refusing, one way, in a ring, over IPv6 alone, over two interfaces."""

import os
import random
import time

import pytest

from jepsen_modules.module_utils.jepsen_grudge import TOPOLOGIES, GrudgeError, make_grudge

pytestmark = pytest.mark.packet

S_NS = 1_000_000_000
FAMILIES = pytest.mark.parametrize("version", [4, 6])
ROUNDS = int(os.environ.get("CALLMAYBE_GRUDGES", "3"))


def connects(net, node, peer, port, version=4):
    """What a TCP connection to the peer comes to: ``connected``, ``refused`` or ``silent``."""
    return net.printed(net.traffic(node, "connect", net.addresses(peer)[version == 6], port))


def heard(net):
    running = {node: net.start("jepsen_status", node, probe=True, probe_s=3) for node in net.nodes}
    return {node: set(net.finish(process)["heard"]) for node, process in running.items()}


def of_grudge(grudge, nodes):
    return {node: set(nodes) - {node} - set(grudge.get(node, [])) for node in nodes}


@FAMILIES
def test_a_port_is_cut_in_both_directions_and_no_other(net, version):
    listening = [net.traffic("n1", "listen", port, 60) for port in (7001, 7002)]
    try:
        assert connects(net, "n2", "n1", 7001, version) == "connected"
        # n2 alone drops: what it cannot hear is n1's answer, which comes from the port.
        net.apply("jepsen_partition", "n2", topology="isolate", isolate="n1", ports=["tcp 7001"])
        assert connects(net, "n2", "n1", 7001, version) == "silent"
        assert connects(net, "n2", "n1", 7002, version) == "connected"
        net.apply("jepsen_heal", "n2")
        net.apply("jepsen_partition", "n1", topology="isolate", isolate="n2", ports=["tcp 7001", "udp 7000"])
        assert connects(net, "n2", "n1", 7001, version) == "silent"
        assert connects(net, "n2", "n1", 7002, version) == "connected"
        assert net.hears("n2", "n1", version), "no port is cut that was not named, and ICMP has none"
        window = net.apply("jepsen_status", "n1")["windows"][0]
        assert sorted(window["ports"]) == ["tcp 7001", "udp 7000"]
        assert window["counts"]["dropped_packets"] == window["dropped"]["n2"] > 0
        assert window["counts"]["dropped_bytes"] >= 40 * window["dropped"]["n2"]
    finally:
        for process in listening:
            process.terminate()
            process.communicate(timeout=10)


@FAMILIES
@pytest.mark.parametrize("ports", [[], ["tcp 7001"]], ids=["all", "port"])
def test_a_cut_that_refuses_answers_though_both_sides_are_cut(net, version, ports):
    listening = net.traffic("n1", "listen", 7001, 60)
    try:
        net.partition(topology="isolate", isolate="n1", reject=True, ports=ports)
        assert connects(net, "n2", "n1", 7001, version) == "refused"
        assert net.hears("n2", "n1", version) == bool(ports)
        assert net.apply("jepsen_status", "n1")["windows"][0]["reject"] is True
        assert net.apply("jepsen_status", "n1")["windows"][0]["dropped"]["n2"] > 0
        net.partition(topology="isolate", isolate="n1", ports=ports)
        assert connects(net, "n2", "n1", 7001, version) == "silent"
    finally:
        listening.terminate()
        listening.communicate(timeout=10)


@pytest.mark.parametrize("side", [{"from": "n1"}, {"to": "n1"}], ids=["mute", "deaf"])
def test_one_way_in_either_direction(net, side):
    net.partition(topology="one-way", **side)
    grudge, _ = make_grudge("one-way", net.nodes, side)
    assert heard(net) == of_grudge(grudge, net.nodes)


@pytest.mark.parametrize("net", [{"count": 9}], indirect=True)
def test_nine_nodes_in_a_ring_and_the_probes_are_quick(net):
    net.partition(topology="majorities-ring", seed=3)
    grudge, _ = make_grudge("majorities-ring", net.nodes, {}, 3)
    began = time.monotonic()
    running = {node: net.start("jepsen_status", node, probe=True, probe_s=4) for node in net.nodes}
    results = {node: net.finish(process) for node, process in running.items()}
    assert {node: set(result["heard"]) for node, result in results.items()} == of_grudge(grudge, net.nodes)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("net", [{"families": (6,)}], indirect=True)
def test_peers_of_ipv6_alone(net):
    net.partition(topology="isolate", isolate="n3")
    assert [net.hears("n1", "n3", 6), net.hears("n1", "n2", 6)] == [False, True]
    assert heard(net) == {"n1": {"n2"}, "n2": {"n1"}, "n3": set()}


@pytest.mark.parametrize("net", [{"interfaces": 2}], indirect=True)
def test_a_peer_is_cut_on_both_of_its_interfaces(net):
    second = next(address for address in net.addresses("n3") if address.startswith("198.18.79."))
    assert net.answers("n1", second)
    net.partition(topology="isolate", isolate="n3")
    assert not net.answers("n1", second)
    assert not net.hears("n1", "n3")
    assert net.hears("n1", "n2")


def test_a_flapping_cut_is_on_and_off(net):
    result = net.apply("jepsen_partition", "n1", topology="isolate", isolate="n2", duration_s="6", flapping_s=[2, 2])
    spans = [(w["name"], (w["until_ns"] - w["from_ns"]) // S_NS) for w in result["windows"]]
    assert [name for name, _ in spans] == ["cut-1.1", "cut-1.2"]
    assert [length for _, length in spans] == [2, 2]
    first, second = result["windows"]
    for when_ns, hears in [(first["until_ns"], True), (second["from_ns"], False), (second["until_ns"], True)]:
        time.sleep(max(0, (when_ns - time.time_ns()) / S_NS + 0.1))
        assert net.hears("n1", "n2") == hears


def test_rules_go_with_a_node_that_starts_again_and_the_others_stay(net):
    net.partition(topology="isolate", isolate="n2")
    net.restart("n2")
    status = net.apply("jepsen_status", "n2")
    assert status["windows"] == []
    assert [w["name"] for w in net.apply("jepsen_status", "n1")["windows"]] == ["cut-1"]
    anew = net.apply("jepsen_status", "n2", wrap=("unshare", "--pid", "--fork", "--mount-proc"))
    assert anew["boot_id"] != status["boot_id"] == net.apply("jepsen_status", "n1")["boot_id"]
    assert anew["booted_at_ns"] > status["booted_at_ns"]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_drawn_grudges_are_what_the_packets_show_and_foreign_state_stays(net, seed):
    """`CALLMAYBE_GRUDGES=100` makes it a hundred."""
    net.load_foreign()
    before = {node: net.foreign(node) for node in net.nodes}
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw
    options = {"isolate": {"node": "one"}, "one-way": {"from": "one"}, "groups": {"groups": "n1 | n2 n3"}}
    topology = draw.choice(sorted(TOPOLOGIES))
    try:
        grudge, title = make_grudge(topology, net.nodes, options.get(topology), seed)
    except GrudgeError:  # three nodes are too few
        topology = "random-halves"
        grudge, title = make_grudge(topology, net.nodes, {}, seed)
    second = time.time_ns() // S_NS
    window = {"name": f"w-{seed}", "title": title, "grudge": grudge, "reject": draw.random() < 0.3}
    net.partition(windows=[{**window, "from_ns": second * S_NS, "until_ns": (second + 300) * S_NS}])
    assert heard(net) == of_grudge(grudge, net.nodes), title
    assert {node: net.foreign(node) for node in net.nodes} == before
    for node in net.nodes:
        net.apply("jepsen_heal", node)
    assert {node: net.foreign(node) for node in net.nodes} == before
    assert heard(net) == of_grudge({}, net.nodes)
