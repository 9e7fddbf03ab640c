"""Arms a partition on one node; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_partition
short_description: Keeps this node from hearing some of its peers, for a while
description:
  - Arms windows of time in which this node drops what certain peers send. Rules are in the nftables table
    C(inet jepsen), a table of its own, and are committed in one transaction. No other table is read or changed.
  - The kernel of this node begins and ends each window by itself, whatever happens to the controller.
  - Every node gets the same arguments (but I(node)) and works out its own part. The windows armed before by this module
    are replaced; other faults stay.
  - The controller is always heard. If a peer has the controller's address the module refuses.
  - C(clients) may stand for the clients of a test, which run on the controller. Then this node drops what they send to
    certain ports, or what it sends them from these, and nothing else of the controller's.
  - Where windows overlap, a packet counts for the first of them, and windows that reject come after all others.
extends_documentation_fragment:
  - jepsen_nodes
  - jepsen_nodes.armed
options:
  nodes:
    description: Inventory names of all nodes of the cluster. In I(topology=halves) the first ones are the minority.
  topology:
    description: Who is cut off from whom. C(halves) where neither this nor I(windows) is given.
    type: str
    choices: [halves, groups, random-halves, isolate, majority, minority-third, bridge, majorities-ring, one-way]
  groups:
    description:
      - For I(topology=groups), groups of nodes such as C(n1 n2 | n3 n4 n5), or a list of lists.
      - Who is in no group hears everybody.
    type: raw
  isolate:
    description:
      - For I(topology=isolate), the node, and for I(topology=bridge), the one in the middle; one is drawn by I(seed)
        where it is absent.
      - A target, such as C(n3), C(primary), C(minority) or C(40%).
      - C(middle), for I(topology=bridge), is the node in the middle of all; those before it are one side.
    type: raw
    aliases: [bridge]
  from:
    description:
      - For I(topology=one-way), a target, the nodes that are no longer heard; all others where it is absent.
      - Or C(clients), the controllers' addresses; it needs I(ports), which SSH's is not among.
    type: raw
  to:
    description:
      - For I(topology=one-way), a target, the nodes that no longer hear them; all others where it is absent.
      - Or C(clients), likewise.
    type: raw
  groups_of_nodes:
    description: For each group, its nodes; targets may name groups.
    type: dict
    default: {}
  primaries:
    description: The nodes that are primaries now, which targets may ask for.
    type: list
    elements: str
  ports:
    description:
      - Cuts these ports only, such as C(tcp 9092), at either end of a connection, so that requests and replies are cut.
      - Between nodes and C(clients), the nodes' own ports alone, in the one direction that is cut.
      - All traffic where none is given. Each window of I(windows) has its own.
    type: list
    elements: str
    default: []
  reject:
    description:
      - Answers what is dropped by a TCP reset, or by ICMP's port unreachable, instead of saying nothing. The kernel
        limits how many of the latter it sends.
      - Resets and unreachables from the peers are let in meanwhile, because both sides of a cut may answer.
    type: bool
    default: false
  flapping_s:
    description:
      - Seconds on and seconds off, in turns, within I(duration_s), such as C([2, 3]).
      - Makes windows C(NAME.1), C(NAME.2) and so on.
    type: list
    elements: int
  flapping_from_s:
    description:
      - The second since the epoch with which the first turn begins, so that all nodes flap in step.
      - Each node's own present second where it is absent.
    type: int
  seed:
    description: For what I(topology) draws. The same seed draws the same.
    type: int
    default: 0
  name: {default: cut-1}
  windows:
    description: A whole timeline instead of I(topology).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the window, unique.
        type: str
        required: true
      title:
        description: What a person calls it, such as C(n1 n2 | n3 n4 n5).
        type: str
        default: ""
      grudge:
        description: For each node, the peers that it must not hear; C(clients) may be all of either.
        type: dict
        required: true
      ports:
        description: As I(ports).
        type: list
        elements: str
        default: []
      reject:
        description: As I(reject).
        type: bool
        default: false
      from_ns:
        description: Begin, nanoseconds since the epoch, on a whole second (nft knows no fractions).
        type: int
        required: true
      until_ns:
        description: End, likewise.
        type: int
        required: true
attributes:
  check_mode:
    support: full
    description: The kernel is asked whether it would take the rules, and does not get them.
  diff_mode:
    support: full
    description: Shows the rules before and after.
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: Cut n1 and n2 off from n3, n4 and n5, for ten minutes
  jepsen_partition:
    nodes: "{{ ansible_play_hosts_all }}"
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true, n4: true, n5: true}

- name: Let n3 no longer hear n1, for a minute
  jepsen_partition:
    nodes: [n1, n2, n3]
    node: "{{ inventory_hostname }}"
    addresses: {n1: [10.0.0.1], n2: [10.0.0.2], n3: [10.0.0.3]}
    faults_allowed: {n1: true, n2: true, n3: true}
    topology: one-way
    from: n1
    to: n3
    duration_s: 60

- name: Refuse the primary's Kafka for a minute, two seconds on and three off
  jepsen_partition:
    nodes: [n1, n2, n3]
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true}
    topology: isolate
    isolate: primary
    primaries: [n2]
    ports: [tcp 9092]
    reject: true
    flapping_s: [2, 3]
    duration_s: 60

- name: Drop what n1's PostgreSQL answers the clients, so that nobody learns what became of a commit
  jepsen_partition:
    nodes: [n1, n2, n3]
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true, n3: true}
    topology: one-way
    from: n1
    to: clients
    ports: [tcp 5432]
    duration_s: 10

- name: Arm a timeline
  jepsen_partition:
    nodes: [n1, n2]
    node: "{{ inventory_hostname }}"
    faults_allowed: {n1: true, n2: true}
    windows:
      - name: cut-1
        title: n1 | n2
        grudge: {n1: [n2], n2: [n1]}
        from_ns: 1900000000000000000
        until_ns: 1900000030000000000
"""

RETURN = r"""
changed:
  description: Whether the rules had to be changed. In a failure, whether they were.
  type: bool
  returned: always
actions:
  description: What was done, or would be in check mode, a sentence each.
  type: list
  elements: str
  returned: always
windows:
  description: The windows that are armed, with the whole cluster's grudge and the addresses of this node's part of it.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Name., type: str}
    title: {description: What a person calls it., type: str}
    from_ns: {description: "Begin, nanoseconds since the epoch.", type: int}
    until_ns: {description: "End, or null for never.", type: int}
    grudge: {description: "For each node, the peers that it must not hear.", type: dict}
    peers: {description: "For each peer that this node does not hear, its addresses.", type: dict}
    direction: {description: "C(in), or C(out) where it is the clients that do not hear this node.", type: str}
    ports: {description: "The ports that alone are cut; none for all traffic.", type: list}
    reject: {description: Whether it answers what it drops., type: bool}
controllers:
  description: Addresses that are always heard.
  type: list
  elements: str
  returned: success
backend:
  description: What drops the packets, C(nftables).
  type: str
  returned: always
started_at_ns:
  description: This node's clock when the module began.
  type: int
  returned: always
applied_at_ns:
  description: This node's clock when the rules were committed and read back; null where there was nothing to commit.
  type: int
  returned: success
"""

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible.module_utils.jepsen_address import (
    own_addresses,
    peer_addresses,
    refuse_controllers,
    resolve,
    ssh_connections,
)
from ansible.module_utils.jepsen_clients import CLIENTS, has_clients, peers_of, wrong_with_clients
from ansible.module_utils.jepsen_cut_chains import layout
from ansible.module_utils.jepsen_grudge import TOPOLOGIES, check_grudge, flap, make_grudge
from ansible.module_utils.jepsen_module import run
from ansible.module_utils.jepsen_nft import (
    BACKEND,
    Nft,
    ReadBackError,
    Rule,
    describe,
    own_chains,
    parse,
    read_ports,
    script,
    window_rules,
    windows_of,
)
from ansible.module_utils.jepsen_node import NODE_ARGUMENTS, check_node, given_addresses, tool
from ansible.module_utils.jepsen_window import (
    SECOND_NS,
    WINDOW_OPTIONS,
    RefusedError,
    bounds_from_now,
    check_windows,
    refuse_forbidden,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

PEER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")

ARGUMENTS: dict[str, dict[str, Any]] = {
    **NODE_ARGUMENTS,
    "faults_allowed": {"type": "dict", "default": {}},
    "controllers": {"type": "list", "elements": "str", "default": []},
    "topology": {"type": "str", "choices": list(TOPOLOGIES)},
    "groups": {"type": "raw"},
    "isolate": {"type": "raw", "aliases": ["bridge"]},
    "from": {"type": "raw"},
    "to": {"type": "raw"},
    "groups_of_nodes": {"type": "dict", "default": {}},
    "primaries": {"type": "list", "elements": "str"},
    "ports": {"type": "list", "elements": "str", "default": []},
    "reject": {"type": "bool", "default": False},
    "flapping_s": {"type": "list", "elements": "int"},
    "flapping_from_s": {"type": "int"},
    "seed": {"type": "int", "default": 0},
    "name": {"type": "str", "default": "cut-1"},
    "duration_s": {"type": "str", "default": "600"},
    "windows": {
        "type": "list",
        "elements": "dict",
        "options": {
            **WINDOW_OPTIONS,
            "grudge": {"type": "dict", "required": True},
            "ports": {"type": "list", "elements": "str", "default": []},
            "reject": {"type": "bool", "default": False},
        },
    },
}


def windows_of_topology(parameters: dict[str, Any], now_ns: int) -> list[dict[str, Any]]:
    """Makes the window that begins now, or the turns of one that flaps."""
    options = {"groups": parameters["groups"], "node": parameters["isolate"]}
    options.update({"from": parameters["from"], "to": parameters["to"]})
    known = {"groups": parameters["groups_of_nodes"], "primaries": parameters["primaries"]}
    topology = parameters["topology"] or "halves"
    grudge, title = make_grudge(topology, parameters["nodes"], options, parameters["seed"], **known)
    turns, turns_from_s = parameters["flapping_s"], parameters["flapping_from_s"]
    begin_ns = now_ns if turns is None or turns_from_s is None else turns_from_s * SECOND_NS
    bounds = bounds_from_now(parameters["duration_s"], begin_ns)
    window = {"name": parameters["name"], "title": title, "grudge": grudge, **bounds}
    window.update(ports=parameters["ports"], reject=parameters["reject"])
    if turns is None:
        return [window]
    if len(turns) != 2 or window["until_ns"] is None:
        raise RefusedError("flapping_s needs two numbers, seconds on and seconds off, and a duration_s that ends")
    flaps = flap(window["from_ns"] // SECOND_NS, window["until_ns"] // SECOND_NS, *turns)
    return [
        {**window, "name": f"{window['name']}.{number}", "from_ns": begin * SECOND_NS, "until_ns": end * SECOND_NS}
        for number, (begin, end) in enumerate(flaps, 1)
    ]


def check_cut(window: dict[str, Any], nodes: list[str], ssh_ports: list[int]) -> None:
    """Raises RefusedError or GrudgeError for what a window says besides its name and bounds."""
    check_grudge(window["grudge"], nodes)
    try:
        ports = read_ports(window["ports"])
    except ValueError as error:
        raise RefusedError(f"window {window['name']}: {error}") from error
    wrong = wrong_with_clients(window["grudge"], ports, reject=window["reject"], ssh_ports=ssh_ports)
    if wrong:
        raise RefusedError(f"window {window['name']}: {wrong}")


def find_peers(
    module: AnsibleModule, windows: list[dict[str, Any]], ssh: list[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Resolves every peer that anybody is not to hear (so that all nodes refuse alike), and the controllers."""
    named = {peer for window in windows for peers in window["grudge"].values() for peer in peers}
    peers = [node for node in module.params["nodes"] if node in named and node != module.params["node"]]
    for peer in peers:
        if not PEER.fullmatch(peer):
            raise RefusedError(f"node name {peer!r}: expected at most 80 letters, digits, dots, dashes or underscores")
    known = resolve(set(module.params["controllers"]))
    for controller, some in known.items():
        if not some:
            raise RefusedError(f"controllers has {controller!r}, which has no address here; give its address")
    controllers = list(dict.fromkeys(ssh + [address for some in known.values() for address in some]))
    if not controllers and any(has_clients(window["grudge"]) for window in windows):
        raise RefusedError("nobody knows where the clients are: no SSH connection leads here; say it in controllers")
    own = own_addresses(tool(module, "ip", "iproute2"))
    addresses = peer_addresses(peers, given_addresses(module.params), own)
    refuse_controllers(addresses, controllers)
    return {**addresses, CLIENTS: controllers}, controllers


def keep_begin(window: dict[str, Any], found: list[Rule]) -> None:
    """Lets a window that is armed just so, and only ends at another time, keep its begin: the cut goes on."""
    name, begin_ns = window["name"], window["from_ns"]
    mine = [r for r in found if r.window == name and (r.from_s or 0) * SECOND_NS <= begin_ns]
    alive = [rule for rule in mine if rule.until_s is None or rule.until_s * SECOND_NS > begin_ns]
    wanted = [rule for rule in rules_of(window) if rule.window]
    if alive and untimed(alive) == untimed(wanted):
        window["from_ns"] = (alive[0].from_s or 0) * SECOND_NS


def untimed(rules: list[Rule]) -> list[Rule]:
    """Leaves of rules what says whom they cut."""
    return [replace(rule, from_s=0, until_s=0, chain="") for rule in rules]


def rules_of(window: dict[str, Any]) -> list[Rule]:
    """Turns this node's part of a window into rules."""
    until_s = None if window["until_ns"] is None else window["until_ns"] // SECOND_NS
    rules: list[Rule] = window_rules(
        window["name"],
        window["peers"],
        window["from_ns"] // SECOND_NS,
        until_s,
        read_ports(window["ports"]),
        reject=window["reject"],
        direction=window["direction"],
    )
    return rules


def wanted_rules(windows: list[dict[str, Any]], controllers: list[str]) -> list[Rule]:
    """Turns this node's part of the windows into rules; a node that hears everybody gets none.

    Windows that reject let the peers' resets in, so they stand behind those that drop everything.
    """
    parts = [rules_of(window) for window in sorted(windows, key=lambda window: bool(window["reject"]))]
    rules: list[Rule] = layout([part for part in parts if part], controllers)
    return rules


def by_window(rules: list[Rule]) -> dict[str, list[Rule]]:
    """The rules that drop, by their windows, wherever they are."""
    windows: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.window:
            windows.setdefault(rule.window, []).append(replace(rule, chain=""))
    return windows


def compare(found: list[Rule], wanted: list[Rule]) -> list[str]:
    """Says what must be done to come from the found rules to the wanted ones; nothing if they are alike."""
    if found == wanted:
        return []
    counts = {window["name"]: sum(window["dropped"].values()) for window in windows_of(found)}
    new = {rule.window: rule for rule in wanted if rule.window}
    ended = [name for name in counts if name not in new]
    before, after = by_window(found), by_window(wanted)
    armed = [name for name in new if before.get(name) != after[name]]
    actions = [f"end {name}, which dropped {counts[name]} packets" for name in ended]
    for name in armed:
        peers = dict.fromkeys(rule.peer for rule in after[name])
        what = "are not heard by" if new[name].side == "daddr" else "do not hear"
        actions.append(f"arm {name}: {what} {' '.join(peers)} {new[name].span}")
    return actions or ["renew the rules that exempt controllers and neighbours, and lead to the windows"]


def apply(module: AnsibleModule, nft: Nft, wanted: list[Rule], old: list[str]) -> None:
    """Checks, commits and reads back; `old` are the chains that there are."""
    text = script(wanted, old)
    nft.check(text)
    if module.check_mode:
        return
    nft.commit(text)
    armed = parse(nft.read() or '{"nftables": []}')
    if armed != wanted:
        raise ReadBackError(
            f"nft took the rules but lists others, so somebody else changes the table inet jepsen: wanted "
            f"{describe(wanted, ways=True)!r}, found {describe(armed, ways=True)!r}; "
            "run jepsen_heal, then try again alone"
        )


def partition(module: AnsibleModule) -> dict[str, Any]:
    """Does the module's work and returns its result."""
    started_at_ns = time.time_ns()
    wrong = check_node(module.params)
    if wrong:
        raise RefusedError(wrong)
    refuse_forbidden(module.params)
    given = module.params["windows"]
    windows = windows_of_topology(module.params, started_at_ns) if given is None else [dict(window) for window in given]
    check_windows(windows, started_at_ns)
    ssh = ssh_connections()
    for window in windows:
        check_cut(window, module.params["nodes"], [port for _, port in ssh])
    addresses, controllers = find_peers(module, windows, [client for client, _ in ssh])
    nft = Nft(tool(module, "nft", "nftables"))
    listing = nft.read() or '{"nftables": []}'
    found = parse(listing)
    for window in windows:
        peers, window["direction"] = peers_of(module.params["node"], window["grudge"])
        window["peers"] = {peer: addresses[peer] for peer in peers}
        if given is None and module.params["flapping_s"] is None:
            keep_begin(window, found)
    wanted = wanted_rules(windows, controllers)
    actions = compare(found, wanted)
    if actions:
        apply(module, nft, wanted, own_chains(listing))
    return {
        "changed": bool(actions),
        "actions": actions,
        "windows": windows,
        "controllers": controllers,
        "backend": BACKEND,
        "started_at_ns": started_at_ns,
        "applied_at_ns": time.time_ns() if actions and not module.check_mode else None,
        "diff": {"before": describe(found), "after": describe(wanted)},
    }


def main() -> None:
    """Runs the module."""
    run(partition, ARGUMENTS, mutually_exclusive=[("topology", "windows")])


if __name__ == "__main__":
    main()
