"""What status sees, by its own probes and by counters, and what heal reports and leaves."""

import time

import pytest

from jepsen_modules.module_utils.jepsen_probe import clock_offsets

pytestmark = pytest.mark.packet


def probe(net):
    running = {node: net.start("jepsen_status", node, probe=True) for node in net.nodes}
    return {node: net.finish(process) for node, process in running.items()}


def heard(results):
    return {node: sorted(result["heard"]) for node, result in results.items()}


def test_probes_hear_everybody_over_both_families(net):
    results = probe(net)
    assert heard(results) == {"n1": ["n2", "n3"], "n2": ["n1", "n3"], "n3": ["n1", "n2"]}
    assert all(len(addresses) == 2 for result in results.values() for addresses in result["heard"].values())


def test_a_one_way_cut_shows_in_one_direction(net):
    net.partition(topology="one-way", **{"from": "n1", "to": "n3"})
    assert heard(probe(net)) == {"n1": ["n2", "n3"], "n2": ["n1", "n3"], "n3": ["n2"]}


def test_probes_do_not_count_as_dropped_and_traffic_does(net):
    net.partition()
    assert heard(probe(net)) == {"n1": [], "n2": ["n3"], "n3": ["n2"]}
    assert net.apply("jepsen_status", "n1")["windows"][0]["dropped"] == {"n2": 0, "n3": 0}
    sent = 0
    for address in net.addresses("n1"):
        until_ns = time.time_ns() + 1_500_000_000
        sent += len(net.printed(net.traffic("n2", "send", address, 7000, until_ns)))
    assert sent > 10
    assert net.apply("jepsen_status", "n1")["windows"][0]["dropped"] == {"n2": sent, "n3": 0}
    healed = net.apply("jepsen_heal", "n1")
    assert healed["windows"][0]["dropped"] == {"n2": sent, "n3": 0}
    assert healed["actions"] == [f"end cut-1, which dropped {sent} packets", "delete the table inet jepsen"]


def test_clocks_of_one_machine_are_alike(net):
    one_way_ns = {node: result["one_way_ns"] for node, result in probe(net).items()}
    offsets, spread = clock_offsets(one_way_ns)
    assert list(offsets) == net.nodes
    assert offsets["n1"] == 0
    assert 0 <= spread < 5_000_000


def test_a_silent_peer_bounds_the_probe(net):
    net.inside("n3", "ip link set eth0 down")
    began = time.monotonic()
    results = {node: net.start("jepsen_status", node, probe=True) for node in ("n1", "n2")}
    assert [sorted(net.finish(process)["heard"]) for process in results.values()] == [["n2"], ["n1"]]
    assert time.monotonic() - began < 8


def test_status_without_a_probe_sends_nothing_and_changes_nothing(net):
    net.partition()
    before = net.ruleset("n2")
    status = net.apply("jepsen_status", "n2", check=True)
    assert [status["changed"], status["heard"], status["one_way_ns"]] == [False, None, None]
    window = status["windows"][0]
    assert [window["active"], sorted(window["peers"])] == [True, ["n1"]]
    assert 0 < window["remaining_s"] <= 601
    assert net.ruleset("n2") == before


WRONG = {
    "empty table": "add table inet jepsen",
    "foreign rule": "add rule inet jepsen partition ip saddr 192.0.2.7 drop",
    "foreign chain that jumps": "add chain inet jepsen mine; add rule inet jepsen partition jump mine",
    "chain of another type": "add chain inet jepsen other { type nat hook prerouting priority 0; }",
    "rule nobody can read": 'add rule inet jepsen partition meta time >= 5 ip saddr != 192.0.2.7 drop comment "x y"',
    "set and map": "add set inet jepsen s { type ipv4_addr; }; add map inet jepsen m { type ipv4_addr : verdict; }",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("armed", [True, False])
def test_heal_ends_whatever_is_there(net, wrong, armed):
    net.inside("n1", "nft -f -", input="add table inet jepsen\nadd chain inet jepsen partition\n")
    if armed:
        net.apply("jepsen_partition", "n1")
    net.inside("n1", "nft -f -", input=f"add chain inet jepsen partition\n{wrong}\n")
    healed = net.apply("jepsen_heal", "n1")
    assert not healed.get("failed"), healed
    assert healed["changed"]
    assert healed["actions"][-1] == "delete the table inet jepsen"
    assert net.inside("n1", "nft list ruleset") == ""
    assert net.apply("jepsen_heal", "n1")["changed"] is False


def test_heals_at_once_and_against_a_partition_do_no_harm(net):
    net.partition()
    running = [net.start("jepsen_heal", "n1") for _ in range(4)]
    assert not [result for result in map(net.finish, running) if result.get("failed")]
    assert net.inside("n1", "nft list ruleset") == ""


def test_a_heal_that_cannot_look_fails_and_says_so(net):
    net.partition()
    powerless = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw")
    result = net.apply("jepsen_heal", "n1", wrap=powerless)
    assert result["failed"]
    assert result["msg"].startswith("not healed, this is left: ")
    assert "partition: cannot look (cannot list the table inet jepsen" in result["msg"]
    assert "run the task as root (become: true)" in result["msg"]
    assert "cut-1" in net.inside("n1", "nft list ruleset")


def test_a_cut_costs_the_probes_less_than_two_seconds(net):
    net.partition(topology="isolate", isolate="n1")
    results = probe(net)
    spans_s = [(result["probed_ns"][1] - result["probed_ns"][0]) / 1e9 for result in results.values()]
    assert spans_s[0] < 1.6, "who is cut off from all waits for nobody"
    assert heard(results) == {"n1": [], "n2": ["n3"], "n3": ["n2"]}


def test_heal_rhythm_check_real_again_again_in_check_mode(net):
    net.partition()
    before = net.ruleset("n1")
    checked = net.apply("jepsen_heal", "n1", check=True)
    assert net.ruleset("n1") == before
    done, again, checked_again = (net.apply("jepsen_heal", "n1", check=c) for c in (False, False, True))
    assert [r["changed"] for r in (checked, done, again, checked_again)] == [True, True, False, False]
    assert checked["actions"] == done["actions"]
    assert done["diff"]["before"] == "partition cut-1: does not hear n2 n3\n"
    assert done["diff"]["after"] == ""
    assert net.inside("n1", "nft list ruleset") == ""
