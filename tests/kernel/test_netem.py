"""The netem back end on a kernel that has netem: real packets through real queues."""

import itertools
import math
import statistics
import time

import pytest

pytestmark = pytest.mark.kernel

S_NS = 1_000_000_000
FAMILIES = pytest.mark.parametrize("version", [4, 6])


def late_ms(received):
    return [(at - sent) / 1e6 for _, sent, at in received]


def window(begin_s, end_s, name, **more):
    """A window on whole seconds, so many seconds from now."""
    second = time.time_ns() // S_NS
    bounds = {"from_ns": (second + begin_s) * S_NS, "until_ns": (second + end_s) * S_NS}
    return {"name": name, "links": {"n2": ["n1"]}, **bounds, **more}


def counts(nodes, node="n1"):
    """The counts of the windows, by name, as the end of them tells."""
    return {w["name"]: w["counts"] for w in nodes.apply("jepsen_fast", node, check=True)["windows"]}


@FAMILIES
def test_slow_delays_as_was_asked_and_nobody_else(nodes, version):
    done = nodes.arm("jepsen_slow", to=["n2"])
    assert [done["backend"], done["changed"], list(done["windows"][0]["peers"])] == ["netem", True, ["n2"]]
    _, slow = nodes.stream("n1", "n2", 1000, version=version)
    _, other = nodes.stream("n1", "n3", 200, version=version)
    assert len(slow) == 1000
    # By quantiles: an emulated CPU now and then stands still for a while, with packets in its hand.
    sixth, middle, last_sixth = statistics.quantiles(late_ms(slow), n=6)[:5:2]
    assert middle == pytest.approx(50, abs=5)
    assert (last_sixth - sixth) / 2 == pytest.approx(9.7, abs=2.5)  # 0.967 standard deviations
    assert statistics.median(late_ms(other)) < 10
    counted = counts(nodes)["slow-1"]
    assert counted["delayed_packets"] >= 1000
    assert counted["lost_packets"] == 0


def test_flaky_loses_the_share_in_bursts(nodes):
    nodes.arm("jepsen_flaky")
    sent, received = nodes.stream("n1", "n2", 4000)
    came = {number for number, _, _ in received}
    lost = [number not in came for number in range(len(sent))]
    follows = sum(a and b for a, b in itertools.pairwise(lost)) / sum(lost[:-1])
    # Correlated losses vary more: the standard error of the share is sqrt(p q / n (1 + c) / (1 - c)), 1.7 %.
    assert sum(lost) / len(lost) == pytest.approx(0.2, abs=0.06)
    assert follows == pytest.approx(0.8, abs=0.06)
    assert counts(nodes)["flaky-1"]["lost_packets"] == pytest.approx(sum(lost), abs=20)


def test_the_kernel_itself_begins_and_ends_and_windows_compose(nodes):
    began = time.monotonic()
    nodes.arm("jepsen_shape", check=True, windows=[window(60, 61, "slow-1", shape={"delay_ms": 100})])
    ahead_s = 3 + math.ceil(2 * (time.monotonic() - began))  # arming takes as long as asking does
    slow = window(ahead_s, ahead_s + 3, "slow-1", shape={"delay_ms": 100})
    lossy = window(ahead_s + 1, ahead_s + 5, "flaky-1", shape={"loss": 50})
    nodes.arm("jepsen_shape", windows=[slow, lossy])
    sent, received = nodes.stream("n1", "n2", until_ns=lossy["until_ns"] + S_NS)
    late = {number: (at - began) / 1e6 for number, began, at in received}

    def during(begin_ns, end_ns):
        margin_ns = S_NS // 50
        return [n for n, at in enumerate(sent) if begin_ns + margin_ns <= at < end_ns - margin_ns]

    def share_lost(numbers):
        return sum(n not in late for n in numbers) / len(numbers)

    spans = {
        "before": during(0, slow["from_ns"]),
        "slow": during(slow["from_ns"], lossy["from_ns"]),
        "both": during(lossy["from_ns"], slow["until_ns"]),
        "lossy": during(slow["until_ns"], lossy["until_ns"]),
        "after": during(lossy["until_ns"], 1 << 62),
    }
    assert all(len(numbers) > 50 for numbers in spans.values()), {k: len(v) for k, v in spans.items()}
    lost = {name: share_lost(numbers) for name, numbers in spans.items()}
    median = {name: statistics.median(late[n] for n in some if n in late) for name, some in spans.items()}
    assert [lost[name] for name in ("before", "slow", "after")] == [0, 0, 0]
    assert lost["both"] == pytest.approx(0.5, abs=0.1)
    assert lost["lossy"] == pytest.approx(0.5, abs=0.1)
    assert median["slow"] == pytest.approx(100, abs=10)
    assert median["both"] == pytest.approx(100, abs=10)
    assert max(median[name] for name in ("before", "lossy", "after")) < 10
    counted = counts(nodes)
    assert counted["slow-1"]["lost_packets"] == 0
    assert counted["flaky-1"]["lost_packets"] == pytest.approx(len(sent) - len(received), abs=20)


def test_only_the_chosen_port_and_never_the_controller(nodes):
    nodes.arm("jepsen_slow", ports=["udp 7000"], to=["n2"])
    assert statistics.median(late_ms(nodes.stream("n1", "n2", 200)[1])) > 40
    assert statistics.median(late_ms(nodes.stream("n1", "n2", 200, port=7001)[1])) < 10
    refused = nodes.apply("jepsen_slow", "n1", controllers=nodes.addresses("n2"))
    assert refused["failed"]
    assert "refused: the peer n2 has the address" in refused["msg"]


def test_rhythm_check_real_again_again_in_check_mode_and_gone(nodes):
    bare = nodes.state("n1")
    planned = nodes.arm("jepsen_slow", check=True, duration_s="300")
    assert nodes.state("n1") == bare
    bounds = {"from_ns": planned["windows"][0]["from_ns"], "until_ns": planned["windows"][0]["until_ns"]}
    wanted = {"windows": [{"name": "slow-1", "links": planned["windows"][0]["links"], **bounds}]}
    done = nodes.arm("jepsen_slow", **wanted)
    after = nodes.state("n1")
    assert after != bare
    again = nodes.arm("jepsen_slow", **wanted)
    checked = nodes.arm("jepsen_slow", check=True, **wanted)
    assert nodes.state("n1") == after
    assert [r["changed"] for r in (planned, done, again, checked)] == [True, True, False, False]
    assert done["diff"] == planned["diff"]
    nodes.arm("jepsen_flaky")
    assert list(counts(nodes)) == ["flaky-1"]
    assert nodes.arm("jepsen_fast", check=True)["changed"]
    ended = nodes.arm("jepsen_fast")
    assert [ended["changed"], ended["backend"]] == [True, "netem"]
    assert "htb" not in nodes.state("n1")
    assert "shape" not in nodes.state("n1")
    assert not nodes.arm("jepsen_fast")["changed"]


def test_a_foreign_root_qdisc_is_refused_named_and_untouched(nodes):
    nodes.inside("n1", "tc qdisc add dev eth0 root handle 7: tbf rate 1mbit burst 10k latency 50ms")
    before = nodes.state("n1")
    refused = nodes.apply("jepsen_slow", "n1")
    assert refused["failed"]
    assert "eth0, which leads to the peers, has the root qdisc tbf 7: of somebody else" in refused["msg"]
    assert not nodes.arm("jepsen_fast")["changed"]
    assert nodes.state("n1") == before


def test_queues_that_somebody_removed_are_armed_again(nodes):
    nodes.arm("jepsen_slow", duration_s="forever")
    nodes.inside("n1", "tc qdisc del dev eth0 root")
    assert "broken" in nodes.apply("jepsen_fast", "n1", check=True)["windows"][0]
    assert nodes.arm("jepsen_slow", duration_s="forever")["changed"]
    assert not nodes.arm("jepsen_slow", duration_s="forever")["changed"]
    assert statistics.median(late_ms(nodes.stream("n1", "n2", 200)[1])) > 40


@pytest.mark.parametrize("links", ["one", "two"])
def test_multi_queue_and_two_interfaces_are_as_before(nodes, links):
    nodes.inside("n1", "ip link add m0 numtxqueues 4 type dummy")
    nodes.inside("n1", "ip link set m0 up")
    nodes.inside("n1", "tc qdisc replace dev m0 root mq", check=False)
    nodes.inside("n1", "tc qdisc del dev m0 root", check=False)
    if links == "two":
        nodes.inside("n1", "ip route add 198.18.79.3/32 dev m0")
    before = nodes.state("n1")
    nodes.arm("jepsen_slow")
    rooted = [line.split()[4] for line in nodes.inside("n1", "tc qdisc show").splitlines() if "htb 4a45: " in line]
    assert rooted == (["eth0", "m0"] if links == "two" else ["eth0"])
    nodes.arm("jepsen_fast")
    state = nodes.state("n1")
    assert state.replace("table inet jepsen {\n}\n", "") == before
