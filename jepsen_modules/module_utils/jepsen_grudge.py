"""Topologies of a partition: seeded, pure functions from the nodes to a grudge.

A grudge says who must not hear whom: ``{node: [peers whose packets it drops]}``. A node that hears everybody is absent.
The same arguments give the same grudge on every machine and on every Python from 3.9 on, so that each node can work out
its own part by itself. The names are those of the Jepsen series and of ``jepsen.nemesis``. In ``one-way`` the clients
may stand on one side, as if they were a node.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

from ansible.module_utils.jepsen_clients import CLIENTS, NO_NODE
from ansible.module_utils.jepsen_error import FaultError
from ansible.module_utils.jepsen_target import (
    TargetError,
    minority_count,
    minority_third_count,
    resolve_targets,
    shuffled,
    split_names,
)

Cut = Tuple[Dict[str, List[str]], str]  # a grudge and its title
FLAPS_LIMIT = 100
MIDDLE = "middle"


class GrudgeError(FaultError, ValueError):
    """A topology that cannot be made; its text is a sentence for the user."""


def complete_grudge(groups: list[list[str]], nodes: list[str]) -> dict[str, list[str]]:
    """Cuts all links between the groups.

    Args:
        groups: lists of nodes. Nobody may stand in two; who stands in none hears everybody.
        nodes: all nodes; the peers in the result stand in this order.

    Returns:
        A grudge, symmetric: a hears b exactly when b hears a.
    """
    group_of = {node: number for number, group in enumerate(groups) for node in group}
    cut = [node for node in nodes if node in group_of]
    grudge = {node: [peer for peer in cut if group_of[peer] != group_of[node]] for node in cut}
    return {node: peers for node, peers in grudge.items() if peers}


def split_groups(groups: str | list[str] | list[list[str]]) -> list[list[str]]:
    """Turns ``"n1 n2 | n3 n4 n5"``, or a list of such texts or lists, into a list of lists of names."""
    return [split_names(group) for group in (groups.split("|") if isinstance(groups, str) else groups)]


def _known(names: list[str], nodes: list[str], what: str) -> list[str]:
    for name in names:
        if name not in nodes:
            raise GrudgeError(f"{what} names the node {name!r}, which is not among {' '.join(nodes)}")
    return names


def _title(groups: list[list[str]]) -> str:
    return " | ".join(" ".join(group) for group in groups)


def _cut(groups: list[list[str]], nodes: list[str]) -> Cut:
    return complete_grudge(groups, nodes), _title(groups)


def _apart(some: list[str], nodes: list[str]) -> Cut:
    """Some nodes, in the order of all nodes, against the rest."""
    return _cut([[node for node in nodes if node in some], [node for node in nodes if node not in some]], nodes)


def _targets(option: str, options: dict[str, Any], nodes: list[str], seed: int) -> list[str]:
    try:
        found: list[str] = resolve_targets(options[option], nodes, options["in_groups"], options["primaries"], seed)
    except TargetError as error:
        raise GrudgeError(f"{option}: {error}") from error
    return found


def _halves(nodes: list[str], _options: dict[str, Any], _seed: int) -> Cut:
    """The first floor(n/2) nodes against the rest: n1 n2 | n3 n4 n5."""
    return _apart(nodes[: len(nodes) // 2], nodes)


def _random_halves(nodes: list[str], _options: dict[str, Any], seed: int) -> Cut:
    """Floor(n/2) nodes, drawn, against the rest."""
    return _apart(shuffled(nodes, seed)[: len(nodes) // 2], nodes)


def _majority(nodes: list[str], _options: dict[str, Any], seed: int) -> Cut:
    """The largest drawn minority against the majority: unlike halves, one side is always more than half."""
    count = minority_count(len(nodes))
    if not count:
        raise GrudgeError("a minority needs at least three nodes: one of two is already half")
    return _apart(shuffled(nodes, seed)[:count], nodes)


def _minority_third(nodes: list[str], _options: dict[str, Any], seed: int) -> Cut:
    """The most nodes that are fewer than a third, drawn, against the rest: what a Byzantine quorum bears."""
    count = minority_third_count(len(nodes))
    if not count:
        raise GrudgeError("minority-third needs at least four nodes: one of three is already a third")
    return _apart(shuffled(nodes, seed)[:count], nodes)


def _isolate(nodes: list[str], options: dict[str, Any], seed: int) -> Cut:
    """One node (``node``: a name, or a target such as ``primary``; drawn if absent) against the rest.

    A target of several nodes cuts each of them off from everybody, the others of them too.
    """
    alone = _targets("node", {"node": "one", **options}, nodes, seed)
    rest = [node for node in nodes if node not in alone]
    return _cut([*([node] for node in alone), *([rest] if rest else [])], nodes)


def _groups(nodes: list[str], options: dict[str, Any], _seed: int) -> Cut:
    """The groups of ``groups``, each against all others; a node in none of them hears everybody."""
    groups = split_groups(options.get("groups") or [])
    if len(groups) < 2 or not all(groups):
        raise GrudgeError('groups needs at least two groups of nodes, as in "n1 n2 | n3 n4 n5"')
    names = _known([name for group in groups for name in group], nodes, "groups")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise GrudgeError(f"groups names the node {twice!r} twice; a node can be in one group only")
    grudge, title = _cut(groups, nodes)
    apart = [node for node in nodes if node not in names]
    return grudge, title + (f" (uncut: {' '.join(apart)})" if apart else "")


def _bridge(nodes: list[str], options: dict[str, Any], seed: int) -> Cut:
    """Drawn halves that do not hear each other, and one node, ``node`` or a drawn one, between all.

    With ``middle`` nothing is drawn: it is the node in the middle of all, with those before it on one side.
    """
    if len(nodes) < 3:
        raise GrudgeError(f"bridge needs at least three nodes, one between two sides, and was given {' '.join(nodes)}")
    in_order = options.get("node") == MIDDLE and MIDDLE not in nodes
    middle = nodes[(len(nodes) - 1) // 2]
    bridges = [middle] if in_order else _targets("node", {"node": "one", **options}, nodes, seed)
    if len(bridges) > 1:
        raise GrudgeError(f"bridge has one node in the middle, and node is {' '.join(bridges)}")
    sides = [node for node in (nodes if in_order else shuffled(nodes, seed)) if node not in bridges]
    one = sides[: len(sides) // 2]
    groups = [[n for n in nodes if n in one], [n for n in nodes if n in sides and n not in one]]
    return complete_grudge(groups, nodes), f"{_title(groups)} (bridge: {bridges[0]})"


def _majorities_ring(nodes: list[str], _options: dict[str, Any], seed: int) -> Cut:
    """Every node and those that it hears are a majority, and no two nodes have the same one; links go both ways.

    In a drawn ring everybody hears its nearest on either side; where a majority is an even count, one is missing:
    the node opposite (of an odd ring, one node has two opposite). Jepsen draws rings of more than five until one is
    right; this one is by construction, and proven by a property for 3 to 40 nodes.
    """
    count = len(nodes)
    if count < 3:
        raise GrudgeError(f"majorities-ring needs at least three nodes: {' '.join(nodes)} have one majority only")
    majority = count // 2 + 1
    links = {(i, (i + step) % count) for i in range(count) for step in range(1, (majority - 1) // 2 + 1)}
    if majority % 2 == 0:
        links |= {(i, i + count // 2) for i in range(count - count // 2)}
    ring = shuffled(nodes, seed)
    hears = {(ring[a], ring[b]) for a, b in links} | {(ring[b], ring[a]) for a, b in links}
    grudge = {node: [peer for peer in nodes if peer != node and (node, peer) not in hears] for node in nodes}
    return {node: peers for node, peers in grudge.items() if peers}, f"ring of majorities {' '.join(ring)}"


def _side(side: str, options: dict[str, Any], nodes: list[str], seed: int) -> list[str]:
    """Who is on a side of one-way: nodes, or the clients."""
    words = [] if isinstance(options[side], int) else split_names(options[side])
    if CLIENTS not in words:
        return _targets(side, options, nodes, seed)
    if words != [CLIENTS]:
        raise GrudgeError(f"{side}: {' '.join(words)}: clients stand alone; give the nodes a window of their own")
    return words


def _one_way(nodes: list[str], options: dict[str, Any], seed: int) -> Cut:
    """What ``from`` sends does not reach ``to``, but the other way; the absent one is every other node."""
    given = {side: _side(side, options, nodes, seed) for side in ("from", "to") if side in options}
    if not given:
        raise GrudgeError("one-way needs from (who is no longer heard), to (who no longer hears), or both")
    senders = given.get("from") or [node for node in nodes if node not in given["to"]]
    receivers = given.get("to") or [node for node in nodes if node not in given["from"]]
    if not senders or not receivers:
        raise GrudgeError("one-way has all nodes on one side; a node always hears itself")
    both = next((name for name in senders if name in receivers), None)
    if both is not None:
        who = CLIENTS if both == CLIENTS else f"the node {both!r}"
        raise GrudgeError(f"one-way has {who} in both from and to; a node always hears itself")
    everybody = [*nodes, CLIENTS]
    grudge = {node: [peer for peer in everybody if peer in senders] for node in everybody if node in receivers}
    return grudge, f"{' '.join(senders)} -/-> {' '.join(receivers)}"


# name: (function, the options it takes)
TOPOLOGIES: dict[str, tuple[Callable[[list[str], dict[str, Any], int], Cut], tuple[str, ...]]] = {
    "halves": (_halves, ()),
    "groups": (_groups, ("groups",)),
    "random-halves": (_random_halves, ()),
    "isolate": (_isolate, ("node",)),
    "majority": (_majority, ()),
    "minority-third": (_minority_third, ()),
    "bridge": (_bridge, ("node",)),
    "majorities-ring": (_majorities_ring, ()),
    "one-way": (_one_way, ("from", "to")),
}


def make_grudge(  # noqa: PLR0913 - whatever any topology may need
    topology: str,
    nodes: list[str],
    options: dict[str, Any] | None = None,
    seed: int = 0,
    *,
    groups: dict[str, list[str]] | None = None,
    primaries: list[str] | None = None,
) -> Cut:
    """Makes the grudge of a topology.

    Args:
        topology: a name in ``TOPOLOGIES``.
        nodes: names of all nodes, at least two; halves takes the first ones in this order.
        options: of the topology: ``groups``; ``node`` of isolate and bridge; ``from``, ``to`` of one-way. All but
            ``groups`` are targets, as ``resolve_targets`` takes them; ``from`` or ``to`` may be ``clients``, and
            ``node`` of bridge may be ``middle``. None is as absent.
        seed: integer of all draws.
        groups: what targets may refer to, as in ``resolve_targets``.
        primaries: likewise.

    Returns:
        ``(grudge, title)``: ``{node: [peers it must not hear]}`` and a text such as ``"n1 n2 | n3 n4 n5"``.

    Raises:
        GrudgeError: unknown topology, node or option, or too few nodes.
    """
    nodes = list(nodes)
    options = {name: value for name, value in (options or {}).items() if value not in (None, "", [])}
    if topology not in TOPOLOGIES:
        raise GrudgeError(f"unknown topology {topology!r}; known are {', '.join(sorted(TOPOLOGIES))}")
    if len(nodes) < 2:
        raise GrudgeError(f"a partition needs at least two nodes, and was given {' '.join(nodes) or 'none'}")
    if len(set(nodes)) < len(nodes):
        raise GrudgeError(f"a node stands twice in {' '.join(nodes)}")
    if CLIENTS in nodes:
        raise GrudgeError(NO_NODE)
    function, takes = TOPOLOGIES[topology]
    for name in options:
        if name not in takes:
            raise GrudgeError(f"topology {topology} has no option {name!r}; it takes {', '.join(takes) or 'none'}")
    return function(nodes, {**options, "in_groups": groups, "primaries": primaries}, seed)


def flap(from_s: int, until_s: int, on_s: int, off_s: int) -> list[tuple[int, int]]:
    """Expands a window that goes on and off: it begins on, and the last turn ends with the window.

    Args:
        from_s: begin of the whole window, seconds.
        until_s: its end.
        on_s: how long it is on, whole seconds.
        off_s: how long it is off after that.

    Returns:
        ``[(from_s, until_s)]`` of the turns.

    Raises:
        GrudgeError: a time is no whole second above zero, or there are more than ``FLAPS_LIMIT`` turns (every packet
            is held against the rules of each).
    """
    if on_s < 1 or off_s < 1:
        raise GrudgeError(f"flapping is {on_s} s on and {off_s} s off: expected whole seconds, at least 1 each")
    begins = range(from_s, until_s, on_s + off_s)
    if len(begins) > FLAPS_LIMIT:
        raise GrudgeError(
            f"flapping {on_s} s on and {off_s} s off for {until_s - from_s} s makes {len(begins)} windows: "
            f"expected at most {FLAPS_LIMIT}; let it last shorter or flap slower"
        )
    return [(begin, min(begin + on_s, until_s)) for begin in begins]


def check_grudge(grudge: Any, nodes: list[str]) -> None:  # noqa: ANN401 - whatever a user wrote
    """Checks a grudge that was given as such.

    Raises:
        GrudgeError: it is no mapping of lists, names an unknown node, or keeps a node from hearing itself.
    """
    if CLIENTS in nodes:
        raise GrudgeError(NO_NODE)
    if not isinstance(grudge, dict) or not all(isinstance(peers, list) for peers in grudge.values()):
        raise GrudgeError("a grudge is a mapping of nodes to the lists of peers that they must not hear")
    for node, peers in grudge.items():
        _known([name for name in (node, *peers) if name != CLIENTS], nodes, "the grudge")
        if node in peers:
            raise GrudgeError(f"the grudge keeps {node} from hearing itself, which no partition does")
