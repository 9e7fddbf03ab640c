"""Cuts between nodes and the clients, by packets: one port, one direction, and the controller's SSH goes on."""

import contextlib
import re
import time

import pytest

from tests.packet.test_playbooks import Hosts

pytestmark = pytest.mark.packet

S_NS = 1_000_000_000
FAMILIES = pytest.mark.parametrize("version", [4, 6])
# n3 is the controller: it is connected by SSH, and the clients are there.
NODES = {"nodes": ["n1", "n2"]}
TO = {"topology": "one-way", "from": "n1", "to": "clients"}
FROM = {"topology": "one-way", "from": "clients", "to": "n1"}
DATABASE, SSH, OTHER = 5432, 22, 5433
LEAD_S = 8  # for a busy machine to arm a window before it begins


@pytest.fixture
def hosts_of_two(net, tmp_path):
    """An inventory of n1 and n2, and the address of the controller."""
    hosts = Hosts(net, tmp_path)
    del hosts.lines[2]
    return hosts, net.addresses("n3")[0]


def by_ssh(net, version=4, port=SSH):
    """What sshd sets for who comes from n3 to n1."""
    client, node = (net.addresses(name)[version == 6] for name in ("n3", "n1"))
    return {"SSH_CONNECTION": f"{client} 50000 {node} {port}"}


def cut(net, node="n1", version=4, **more):
    words = {**NODES, "ports": [f"tcp {DATABASE}"], "environment": by_ssh(net, version), **more}
    return net.apply("jepsen_partition", node, **words)


def connects(net, node, port, version=4, peer="n1"):
    return net.printed(net.traffic(node, "connect", net.addresses(peer)[version == 6], port))


@contextlib.contextmanager
def listening(net, *ports, node="n1"):
    started = [net.traffic(node, "listen", port, 60) for port in ports]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.communicate(timeout=10)


@FAMILIES
@pytest.mark.parametrize("way", [TO, FROM], ids=["to", "from"])
def test_one_port_is_cut_from_the_clients_and_nothing_else(net, version, way):
    with listening(net, DATABASE, SSH, OTHER), listening(net, DATABASE, node="n3"):
        armed = cut(net, version=version, **way)
        assert not armed.get("failed"), armed
        assert connects(net, "n3", DATABASE, version) == "silent"
        assert connects(net, "n3", SSH, version) == "connected"
        assert connects(net, "n3", OTHER, version) == "connected"
        assert connects(net, "n2", DATABASE, version) == "connected", "another node is no client"
        # The same number at the other end: a node that asks the controller for something.
        assert connects(net, "n1", DATABASE, version, peer="n3") == "connected"
        assert net.hears("n3", "n1", version)
        window = net.apply("jepsen_status", "n1", **NODES)["windows"][0]
        assert window["direction"] == ("out" if way is TO else "in")
        assert window["title"] == f"{'is not heard by' if way is TO else 'does not hear'} clients on tcp {DATABASE}"
        assert window["counts"]["dropped_packets"] == window["dropped"]["clients"] > 0
        healed = net.apply("jepsen_heal", "n1")
        said = re.fullmatch(r"end cut-1, which dropped (\d+) packets", healed["actions"][0])
        assert said
        assert int(said[1]) >= window["dropped"]["clients"], "what was sent again meanwhile counts, too"
        assert connects(net, "n3", DATABASE, version) == "connected"
        assert net.inside("n1", "nft list ruleset") == ""


@pytest.mark.parametrize("way", [TO, FROM], ids=["to", "from"])
def test_the_kernel_itself_begins_and_ends_it_and_ssh_stays_alive(net, way):
    """Two connections from the controller to the node: SSH's goes on all the time, the database's stands still."""
    second = time.time_ns() // S_NS + LEAD_S
    span = {"from_ns": second * S_NS, "until_ns": (second + 2) * S_NS}
    grudge = {"clients": ["n1"]} if way is TO else {"n1": ["clients"]}
    servers = [net.traffic("n1", "serve", port) for port in (SSH, DATABASE)]
    windows = [{"name": "cut-1", "grudge": grudge, "ports": [f"tcp {DATABASE}"], **span}]
    assert not cut(net, ports=[], windows=windows).get("failed")
    until_ns = span["until_ns"] + 2 * S_NS
    streams = [net.traffic("n3", "count", net.addresses("n1")[0], port, until_ns) for port in (SSH, DATABASE)]
    ssh, database = (net.printed(stream) for stream in streams)
    for server in servers:
        with server:
            server.wait(timeout=30)
    slack_ns = 5_000_000
    inside = [ns for _, ns in ssh if span["from_ns"] + slack_ns <= ns < span["until_ns"]]
    assert len(inside) > 5, "SSH goes on"
    assert [number for number, _ in database] == list(range(len(database)))
    assert [ns for _, ns in database if span["from_ns"] + slack_ns <= ns < span["until_ns"]] == []
    assert any(ns < span["from_ns"] for _, ns in database)
    assert any(ns > span["until_ns"] for _, ns in database)
    window = net.apply("jepsen_status", "n1", **NODES)["windows"][0]
    assert window["state"] == "over"
    assert window["dropped"]["clients"] > 0


def test_what_the_node_had_to_say_was_done_all_the_same(net):
    """Replies are cut, not requests: the server takes the connection's bytes and its client never hears of it."""
    second = time.time_ns() // S_NS + LEAD_S
    span = {"from_ns": second * S_NS, "until_ns": (second + 3) * S_NS}
    server = net.traffic("n1", "hear", DATABASE, LEAD_S + 6)
    client = net.traffic("n3", "tell", net.addresses("n1")[0], DATABASE, span["from_ns"] + S_NS // 2, 1)
    windows = [{"name": "cut-1", "grudge": {"clients": ["n1"]}, "ports": [f"tcp {DATABASE}"], **span}]
    assert not cut(net, ports=[], windows=windows).get("failed")
    assert net.printed(client) == "silent"
    assert net.printed(server) == ["before", "inside"]


def test_a_window_that_nobody_met_has_dropped_nothing(net):
    cut(net, **TO)
    window = net.apply("jepsen_status", "n1", **NODES)["windows"][0]
    assert window["counts"] == {"dropped_packets": 0, "dropped_bytes": 0}
    other = net.apply("jepsen_partition", "n2", **NODES, **TO, ports=["tcp 5432"], environment=by_ssh(net))
    assert [other["changed"], other["windows"][0]["peers"]] == [False, {}]


@pytest.mark.parametrize("way", [TO, FROM], ids=["to", "from"])
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"ports": []}, "window cut-1: clients are cut off on certain ports only, since SSH comes the same way"),
        (
            {"ports": ["tcp 5432", "tcp 22"]},
            "window cut-1: refused: tcp 22 is SSH's port, by which the node is reached",
        ),
        ({"ports": ["tcp 02222"]}, "window cut-1: refused: tcp 2222 is SSH's port, by which the node is reached"),
        ({"reject": True}, "window cut-1: what is cut between clients and nodes is dropped, and never answered"),
        (
            {"nodes": ["n1", "clients"], "faults_allowed": {"n1": True, "clients": True}},
            "a node is called 'clients', which stands for the clients of a test",
        ),
        (
            {"environment": {}},
            "nobody knows where the clients are: no SSH connection leads here; say it in controllers",
        ),
    ],
)
def test_what_could_cut_the_hand_is_refused_on_every_node(net, way, more, sentence):
    for node in ("n1", "n2"):
        environment = by_ssh(net, port=2222)
        if node == "n2" and more.get("nodes"):
            continue  # it is not among them
        result = cut(net, node, **{"environment": environment, **way, **more})
        assert result["failed"]
        assert result["msg"].startswith(sentence)
        assert net.inside(node, "nft list ruleset") == ""


def test_controllers_are_clients_too_and_peers_never(net):
    """Where no SSH leads here, as in these namespaces, the addresses are those that the play gives."""
    with listening(net, DATABASE, OTHER):
        armed = cut(net, environment={}, controllers=[net.addresses("n3")[0]], **FROM)
        assert armed["windows"][0]["peers"] == {"clients": [net.addresses("n3")[0]]}
        assert connects(net, "n3", DATABASE) == "silent"
        assert connects(net, "n3", DATABASE, 6) == "connected", "nobody said that address"
        assert connects(net, "n3", OTHER) == "connected"
    refused = net.apply("jepsen_partition", "n1", environment=by_ssh(net))
    assert "the peer n3 has the address" in refused["msg"]


def test_it_stands_beside_a_partition_and_is_the_same_when_asked_again(net):
    span = {"from_ns": time.time_ns() // S_NS * S_NS, "until_ns": (time.time_ns() // S_NS + 300) * S_NS}
    windows = [
        {"name": "cut-1", "grudge": {"n1": ["n2"]}, **span},
        {"name": "cut-2", "grudge": {"clients": ["n1"]}, "ports": ["tcp 5432"], **span},
        {"name": "cut-3", "grudge": {"n1": ["clients"]}, "ports": ["tcp 5432", "udp 53"], **span},
    ]
    planned = cut(net, check=True, windows=windows)
    assert net.inside("n1", "nft list ruleset") == ""
    done = cut(net, windows=windows)
    again = cut(net, windows=windows)
    assert [planned["changed"], done["changed"], again["changed"]] == [True, True, False]
    assert planned["diff"] == done["diff"]
    assert planned["actions"][1].startswith("arm cut-2: are not heard by clients from ")
    assert [w["name"] for w in net.apply("jepsen_status", "n1", **NODES)["windows"]] == ["cut-1", "cut-2", "cut-3"]
    with listening(net, DATABASE, SSH):
        assert connects(net, "n3", DATABASE) == "silent"
        assert connects(net, "n3", SSH) == "connected"
        assert not net.hears("n2", "n1")
        fewer = cut(net, windows=windows[:1])
        assert fewer["actions"] == ["end cut-2, which dropped 0 packets"] or fewer["actions"][-1].startswith(
            "end cut-3"
        )
        assert connects(net, "n3", DATABASE) == "connected"
    assert cut(net, windows=windows[:1])["changed"] is False
    net.apply("jepsen_heal", "n1")
    assert net.inside("n1", "nft list ruleset") == ""


def test_by_hand_and_in_the_table_of_status(hosts_of_two, tmp_path):
    hosts, controller = hosts_of_two
    what = ["topology=one-way", "from=n1", "to=clients", "only='tcp 5432'", f"controllers={controller}"]
    hosts.play("playbooks/partition.yml", *what)
    with listening(hosts.net, DATABASE, SSH):
        assert connects(hosts.net, "n3", DATABASE) == "silent"
        assert connects(hosts.net, "n3", SSH) == "connected"
    shown = hosts.play("playbooks/status.yml", f"file={tmp_path}/status.json").stdout
    assert "n1 is not heard by clients on tcp 5432 (clients " in shown
    assert hosts.play("playbooks/status.yml", "format=json", "probe=false").stdout.count('"clients": [') == 1
    said = hosts.refused("topology=one-way", "from=clients", "to=n1", f"controllers={controller}")
    assert "clients are cut off on certain ports only" in said
    hosts.play("playbooks/heal.yml")
    assert set(hosts.rules().values()) == {""}
