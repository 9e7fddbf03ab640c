"""Topologies of a partition: seeded, pure functions from the nodes to a grudge.

A grudge says who must not hear whom: ``{node: [peers whose packets it drops]}``. A node that hears everybody is absent.
The same arguments give the same grudge on every machine and on every Python from 3.9 on, so that each node can work out
its own part by itself. The names are those of the Jepsen series and of ``jepsen.nemesis``.
"""

from __future__ import annotations

import random
import re
from typing import Any


class GrudgeError(ValueError):
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


def split_names(text: str | list[str]) -> list[str]:
    """Turns ``"n1, n2 n3"``, or a list of names, into a list of names."""
    return [name for name in re.split(r"[\s,]+", text) if name] if isinstance(text, str) else [str(n) for n in text]


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


def _cut(groups: list[list[str]], nodes: list[str]) -> tuple[dict[str, list[str]], str]:
    return complete_grudge(groups, nodes), _title(groups)


def _shuffled(nodes: list[str], seed: int) -> list[str]:
    shuffled = sorted(nodes)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - a reproducible draw, not a secret
    return shuffled


def _halves(nodes: list[str], _options: dict[str, Any], _seed: int) -> tuple[dict[str, list[str]], str]:
    """The first floor(n/2) nodes against the rest: n1 n2 | n3 n4 n5."""
    return _cut([nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]], nodes)


def _random_halves(nodes: list[str], _options: dict[str, Any], seed: int) -> tuple[dict[str, list[str]], str]:
    """Floor(n/2) nodes, drawn, against the rest."""
    minority = set(_shuffled(nodes, seed)[: len(nodes) // 2])
    return _cut([[n for n in nodes if n in minority], [n for n in nodes if n not in minority]], nodes)


def _isolate(nodes: list[str], options: dict[str, Any], seed: int) -> tuple[dict[str, list[str]], str]:
    """One node, ``node`` or a drawn one, against the rest."""
    alone = options.get("node") or _shuffled(nodes, seed)[0]
    _known([alone], nodes, "isolate")
    return _cut([[alone], [node for node in nodes if node != alone]], nodes)


def _groups(nodes: list[str], options: dict[str, Any], _seed: int) -> tuple[dict[str, list[str]], str]:
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


def _one_way(nodes: list[str], options: dict[str, Any], _seed: int) -> tuple[dict[str, list[str]], str]:
    """What ``from`` sends does not reach ``to``; the other direction is left alone."""
    senders, receivers = split_names(options.get("from") or []), split_names(options.get("to") or [])
    if not senders or not receivers:
        raise GrudgeError("one-way needs from (the senders) and to (the nodes that no longer hear them)")
    _known(senders + receivers, nodes, "one-way")
    both = next((name for name in senders if name in receivers), None)
    if both is not None:
        raise GrudgeError(f"one-way has the node {both!r} in both from and to; a node always hears itself")
    grudge = {node: [peer for peer in nodes if peer in senders] for node in nodes if node in receivers}
    return grudge, f"{' '.join(senders)} -/-> {' '.join(receivers)}"


# name: (function, the options it takes)
TOPOLOGIES = {
    "halves": (_halves, ()),
    "groups": (_groups, ("groups",)),
    "random-halves": (_random_halves, ()),
    "isolate": (_isolate, ("node",)),
    "one-way": (_one_way, ("from", "to")),
}


def make_grudge(
    topology: str, nodes: list[str], options: dict[str, Any] | None = None, seed: int = 0
) -> tuple[dict[str, list[str]], str]:
    """Makes the grudge of a topology.

    Args:
        topology: a name in ``TOPOLOGIES``.
        nodes: names of all nodes, at least two; halves takes the first ones in this order.
        options: of the topology: ``groups``; ``node`` of isolate; ``from``, ``to`` of one-way. None is as absent.
        seed: integer; used by random-halves, and by isolate without a node.

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
    function, takes = TOPOLOGIES[topology]
    for name in options:
        if name not in takes:
            raise GrudgeError(f"topology {topology} has no option {name!r}; it takes {', '.join(takes) or 'none'}")
    return function(nodes, options, seed)


def check_grudge(grudge: Any, nodes: list[str]) -> None:  # noqa: ANN401 - whatever a user wrote
    """Checks a grudge that was given as such.

    Raises:
        GrudgeError: it is no mapping of lists, names an unknown node, or keeps a node from hearing itself.
    """
    if not isinstance(grudge, dict) or not all(isinstance(peers, list) for peers in grudge.values()):
        raise GrudgeError("a grudge is a mapping of nodes to the lists of peers that they must not hear")
    for node, peers in grudge.items():
        _known([node, *peers], nodes, "the grudge")
        if node in peers:
            raise GrudgeError(f"the grudge keeps {node} from hearing itself, which no partition does")
