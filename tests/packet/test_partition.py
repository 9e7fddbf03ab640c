"""Partitions, by packets that real nodes of a real bridge send each other."""

import time

import pytest

pytestmark = pytest.mark.packet

S_NS = 1_000_000_000
FAMILIES = pytest.mark.parametrize("version", [4, 6])


def window(from_in_s, until_in_s, grudge, name="cut-1"):
    """A window on whole seconds, at least so many seconds ahead."""
    second = time.time_ns() // S_NS + 1
    return {
        "name": name,
        "grudge": grudge,
        "from_ns": (second + from_in_s) * S_NS,
        "until_ns": (second + until_in_s) * S_NS,
    }


@FAMILIES
def test_halves_cut_and_heal_mends(net, version):
    results = net.partition()
    assert results["n1"]["windows"][0]["title"] == "n1 | n2 n3"
    assert [net.hears("n1", "n2", version), net.hears("n3", "n1", version)] == [False, False]
    assert net.hears("n2", "n3", version)
    for node in net.nodes:
        assert net.apply("jepsen_heal", node)["changed"]
    assert net.hears("n1", "n2", version)
    assert net.hears("n3", "n1", version)


@FAMILIES
def test_the_kernel_itself_begins_and_ends_the_cut(net, version):
    cut = window(8, 9, {"n1": ["n2"]})
    assert net.apply("jepsen_partition", "n1", windows=[cut])["changed"]
    end_ns = cut["until_ns"] + S_NS // 2
    receiver = net.traffic("n1", "receive", 7000, end_ns + S_NS // 2)
    sender = net.traffic("n2", "send", net.addresses("n1")[version == 6], 7000, end_ns)
    sent, received = (set(net.printed(process)) for process in (sender, receiver))
    slack_ns = 5_000_000
    inside = {ns for ns in sent if cut["from_ns"] + slack_ns <= ns < cut["until_ns"] - slack_ns}
    outside = {ns for ns in sent if ns < cut["from_ns"] - slack_ns or ns >= cut["until_ns"] + slack_ns}
    assert len(inside) > 100
    assert not inside & received
    assert len(outside) > 100
    assert outside <= received
    status = net.apply("jepsen_status", "n1")["windows"][0]
    assert status["active"] is False
    assert len(inside) <= status["dropped"]["n2"] <= len(sent - received)


@FAMILIES
def test_one_way_leaves_the_other_direction_alone(net, version):
    """Also for long: IPv6 asks its neighbours again meanwhile, by packets from the peer that is cut."""
    net.partition(topology="one-way", **{"from": "n1", "to": "n3"})
    for node in net.nodes:
        net.inside(node, "ip neighbour flush dev eth0")
    until_ns = time.time_ns() + 4 * S_NS
    streams = {}
    for source, target in [("n3", "n1"), ("n1", "n3")]:
        streams[target] = net.traffic(target, "receive", 7000, until_ns)
        streams[source, target] = net.traffic(source, "send", net.addresses(target)[version == 6], 7000, until_ns)
    counts = {key: len(net.printed(process)) for key, process in streams.items()}
    assert counts["n3"] == 0
    assert counts["n1", "n3"] > 100
    assert counts["n1"] > 100


def test_an_open_connection_survives_a_short_cut(net):
    server = net.traffic("n1", "serve", 7001)
    cut = window(8, 10, {"n1": ["n2"], "n2": ["n1"]})
    client = net.traffic("n2", "count", net.addresses("n1")[0], 7001, cut["until_ns"] + 2 * S_NS)
    net.partition(windows=[cut])
    echoed = net.printed(client)
    with server:
        server.wait(timeout=30)
    assert [n for n, _ in echoed] == list(range(len(echoed)))
    silent = [ns for _, ns in echoed if cut["from_ns"] + 5_000_000 <= ns < cut["until_ns"]]
    assert silent == []
    assert any(ns < cut["from_ns"] for _, ns in echoed)
    assert any(ns > cut["until_ns"] for _, ns in echoed)


def test_rhythm_check_real_again_again_in_check_mode(net):
    cut = window(30, 60, {"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]})
    before = net.ruleset("n1")
    planned = net.apply("jepsen_partition", "n1", check=True, windows=[cut])
    assert net.ruleset("n1") == before
    done = net.apply("jepsen_partition", "n1", windows=[cut])
    after = net.ruleset("n1")
    assert after != before
    again = net.apply("jepsen_partition", "n1", windows=[cut])
    checked = net.apply("jepsen_partition", "n1", check=True, windows=[cut])
    assert net.ruleset("n1") == after
    assert [r["changed"] for r in (planned, done, again, checked)] == [True, True, False, False]
    assert planned["actions"] == done["actions"]
    assert planned["diff"] == done["diff"]
    assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    assert [r["applied_at_ns"] is None for r in (planned, done, again, checked)] == [True, False, True, True]


def test_a_new_partition_takes_the_place_of_the_old_one(net):
    net.partition(topology="isolate", isolate="n1", name="first")
    net.partition(topology="isolate", isolate="n3", name="second")
    assert [w["name"] for w in net.apply("jepsen_status", "n2")["windows"]] == ["second"]
    assert net.hears("n1", "n2")
    assert not net.hears("n3", "n2")


def test_the_same_partition_again_moves_its_end_and_not_its_begin(net):
    first = net.apply("jepsen_partition", "n1", duration_s="30")
    time.sleep(1.1)
    second = net.apply("jepsen_partition", "n1", duration_s="30")
    assert second["windows"][0]["from_ns"] == first["windows"][0]["from_ns"]
    assert second["windows"][0]["until_ns"] > first["windows"][0]["until_ns"]
    forever = net.apply("jepsen_partition", "n1", duration_s="forever")
    assert forever["windows"][0]["until_ns"] is None
    assert net.apply("jepsen_partition", "n1", duration_s="forever")["changed"] is False


def test_a_node_that_hears_everybody_gets_no_rules_and_loses_old_ones(net):
    net.apply("jepsen_partition", "n1")
    result = net.apply("jepsen_partition", "n1", topology="groups", groups="n2 | n3")
    assert result["changed"]
    assert "drop" not in net.inside("n1", "nft list ruleset")
    assert net.apply("jepsen_partition", "n1", topology="groups", groups="n2 | n3")["changed"] is False


def test_a_whole_timeline_is_armed_at_once(net):
    windows = [window(3, 9, {"n1": ["n2"]}, "one"), window(9, 60, {"n1": ["n3"]}, "two")]
    result = net.apply("jepsen_partition", "n1", windows=windows)
    assert [w["name"] for w in result["windows"]] == ["one", "two"]
    time.sleep(max(0, (windows[0]["from_ns"] - time.time_ns()) / 1e9 + 0.1))
    assert [net.hears("n1", "n2"), net.hears("n1", "n3")] == [False, True]
    time.sleep(max(0, (windows[1]["from_ns"] - time.time_ns()) / 1e9 + 0.1))
    assert [net.hears("n1", "n2"), net.hears("n1", "n3")] == [True, False]


def test_the_time_zone_of_the_node_does_not_matter(net):
    result = net.apply("jepsen_partition", "n1", duration_s="30", environment={"TZ": "Pacific/Kiritimati"})
    shown = net.apply("jepsen_status", "n1", environment={"TZ": "America/St_Johns"})["windows"][0]
    assert shown["active"]
    assert [shown["from_ns"], shown["until_ns"]] == [result["windows"][0][k] for k in ("from_ns", "until_ns")]
    assert not net.hears("n1", "n2")
