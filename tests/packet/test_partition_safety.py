"""What a partition must never do: cut off its controller, touch foreign rules or forbidden hosts, or stay for ever."""

import contextlib
import subprocess
import time

import pytest

pytestmark = pytest.mark.packet


def connected_from(address):
    return {"SSH_CONNECTION": f"{address} 50000 198.18.78.1 22"}


def test_foreign_rules_stay_byte_for_byte(net):
    net.load_foreign()
    before = net.foreign("n1")
    assert 'comment "admins"' in before
    assert before.count("DOCKER-USER") >= 3
    net.partition()
    assert not net.hears("n1", "n2"), "an accept of somebody else's must not undo the cut"
    assert net.foreign("n1") == before
    assert net.apply("jepsen_heal", "n1")["changed"]
    assert net.foreign("n1") == before
    assert "inet jepsen" not in net.inside("n1", "nft list tables")


@pytest.mark.parametrize("wrap", [(), ("sh", "-c", 'env -u SSH_CONNECTION "$@"; exit $?', "sh")], ids=["plain", "sudo"])
@pytest.mark.parametrize("version", [4, 6])
def test_a_peer_that_is_the_ssh_client_is_refused_and_nothing_touched(net, wrap, version):
    before = net.ruleset("n1")
    client = net.addresses("n3")[version == 6]
    result = net.apply("jepsen_partition", "n1", environment=connected_from(client), wrap=wrap)
    assert result["failed"]
    assert result["msg"].startswith(f"refused: the peer n3 has the address {client}, which is the controller's")
    assert net.ruleset("n1") == before


def test_a_controller_named_by_the_play_is_refused_as_a_peer_on_every_node(net):
    for node in ("n1", "n2"):
        result = net.apply("jepsen_partition", node, controllers=["198.18.78.3"])
        assert "the peer n3 has the address 198.18.78.3, which is the controller's" in result["msg"]
        assert "jepsen" not in net.inside(node, "nft list ruleset")


def test_the_controller_is_heard_first_whatever_else_is_cut(net):
    """The rules say so even when the address comes into a peer's set later, as by a wrong line in an inventory."""
    net.inside("n3", "ip address add 198.18.78.103/24 dev eth0")
    result = net.apply("jepsen_partition", "n1", environment=connected_from("198.18.78.103"))
    assert result["controllers"] == ["198.18.78.103"]
    assert not net.hears("n3", "n1")
    assert net.hears("n3", "n1", source="198.18.78.103")
    rules = [line.strip() for line in net.inside("n1", "nft list chain inet jepsen partition").splitlines()]
    accepts = [number for number, rule in enumerate(rules) if "accept comment" in rule]
    assert 'comment "exempt: controllers"' in rules[accepts[-1]]
    assert max(accepts) < min(number for number, rule in enumerate(rules) if "goto" in rule)
    assert not any("drop" in rule for rule in rules), "nothing is dropped but behind these"


def test_no_host_is_touched_unless_all_are_allowed(net):
    for allowed in ({"n1": True, "n2": True}, {"n1": True, "n2": True, "n3": "false"}, {}):
        result = net.apply("jepsen_partition", "n1", faults_allowed=allowed)
        assert result["msg"].startswith(
            "refused, no host was touched: the inventory does not say faults_allowed: true for"
        )
        assert "n3" in result["msg"]
    assert net.inside("n1", "nft list ruleset") == ""


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"duration_s": "-1"}, "duration_s is '-1': expected seconds, more than 0 and at most 31622400, or 'forever'"),
        (
            {"duration_s": "nan"},
            "duration_s is 'nan': expected seconds, more than 0 and at most 31622400, or 'forever'",
        ),
        ({"name": "cut 1"}, "window name 'cut 1': expected a unique one"),
        ({"topology": "isolate", "isolate": "n9"}, "node: target 'n9' is unknown among the nodes n1 n2 n3"),
        ({"topology": "one-way"}, "one-way needs from (who is no longer heard), to (who no longer hears), or both"),
        ({"ports": ["9092"]}, "window cut-1: port '9092': expected tcp or udp and a number from 1 to 65535"),
        ({"flapping_s": [0, 1]}, "flapping is 0 s on and 1 s off: expected whole seconds, at least 1 each"),
        ({"flapping_s": [1, 1], "duration_s": "forever"}, "flapping_s needs two numbers"),
        ({"nodes": ["n1", "n3"]}, "node is 'n2', which is not among nodes (n1 n3)"),
        ({"controllers": ["nobody.invalid"]}, "controllers has 'nobody.invalid', which has no address here"),
        ({"addresses": {}}, "no address of the peer n1 is known here"),
        ({"addresses": {"n1": "127.0.0.1", "n2": "198.18.78.2", "n3": "198.18.78.3"}}, "lead only to 127.0.0.1"),
    ],
)
def test_mistakes_get_a_sentence_and_touch_nothing(net, more, sentence):
    result = net.apply("jepsen_partition", "n2", **more)
    assert result["failed"]
    assert sentence in result["msg"]
    assert net.inside("n2", "nft list ruleset") == ""


@pytest.mark.parametrize(
    ("from_ns", "until_ns", "sentence"),
    [
        (1_500_000_000, 4_000_000_000, "faults take whole seconds only"),
        (4_000_000_000_000_000_000, 3_999_999_999_000_000_000, "expected an end behind its begin"),
        (1_000_000_000, 2_000_000_000, "expected an end behind its begin, still to come, and within a year"),
        (4_000_000_000_000_000_000, 4_000_000_001_000_000_000, "expected an end behind its begin, still to come"),
    ],
)
def test_a_window_that_cannot_be_is_refused(net, from_ns, until_ns, sentence):
    cut = {"name": "w", "grudge": {"n1": ["n2"]}, "from_ns": from_ns, "until_ns": until_ns}
    assert sentence in net.apply("jepsen_partition", "n1", windows=[cut])["msg"]
    assert net.inside("n1", "nft list ruleset") == ""


@pytest.mark.parametrize("after_s", [0.15, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.35])
def test_killed_while_it_applies_it_leaves_nothing_or_a_window_that_ends(net, after_s):
    process = net.start("jepsen_partition", "n1", duration_s="2")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=after_s)
    process.kill()
    process.wait(timeout=10)
    process.stdout.close()
    process.stderr.close()
    time.sleep(0.2)  # an nft that it had started may still commit
    windows = net.apply("jepsen_status", "n1")["windows"]
    assert all(0 < window["remaining_s"] <= 4 and set(window["peers"]) == {"n2", "n3"} for window in windows)
    time.sleep(max((window["remaining_s"] for window in windows), default=0) + 0.1)
    assert net.hears("n1", "n2")


def test_a_node_without_its_rights_says_what_it_needs(net):
    powerless = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw")
    result = net.apply("jepsen_partition", "n1", wrap=powerless)
    assert "run the task as root (become: true)" in result["msg"]
    status = net.apply("jepsen_status", "n1", wrap=powerless)
    assert "run the task as root (become: true)" in status["msg"]


def test_somebody_elses_rule_in_our_chain_is_replaced_and_healed(net):
    net.apply("jepsen_partition", "n1")
    net.inside("n1", "nft add rule inet jepsen partition ip saddr 192.0.2.7 drop")
    assert net.apply("jepsen_status", "n1")["windows"][0]["name"] == "cut-1"
    assert net.apply("jepsen_partition", "n1")["changed"]
    assert "192.0.2.7" not in net.inside("n1", "nft list ruleset")


def test_other_chains_of_our_table_survive_a_partition_and_not_a_heal(net):
    net.inside("n1", "nft add table inet jepsen")
    net.inside("n1", "nft add chain inet jepsen slow")
    net.apply("jepsen_partition", "n1")
    assert "chain slow" in net.inside("n1", "nft list table inet jepsen")
    net.apply("jepsen_heal", "n1")
    assert net.inside("n1", "nft list ruleset") == ""
