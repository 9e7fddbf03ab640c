"""Which chains a packet goes through in a partition: those of the windows that are open, however many are armed.

- ``partition`` (prerouting, before conntrack): what is exempt leaves, and what comes from a peer goes on, by the time.
- ``partition_out`` (postrouting, behind whoever translates addresses): likewise what goes to the clients.
- ``partition_time_N``: a tree over all begins and ends. Each chain sends a packet to one of a few parts of the time; at
  its leaves are the windows that are open then, none, one, or several in turn.
- ``partition_window_N``: the rules of one window. They have its begin and end as well: what is read back is what holds.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Iterator

from ansible.module_utils.jepsen_clients import CLIENTS
from ansible.module_utils.jepsen_nft import CHAIN, OUT, Rule, by_family, exempt_rules, in_order

PARTS = 4  # of the time, in each chain of the tree
# A leaf has all windows that are open then, so a tree grows with the square of those that overlap; beyond this there is
# none, and every packet is held against each window.
MOST_JUMPS = 4000


def layout(windows: list[list[Rule]], controllers: list[str]) -> list[Rule]:
    """Puts the rules of windows into their chains, with the ways that lead there; no windows have no rules at all.

    Args:
        windows: the rules of each, not empty; where they overlap a packet counts for the first of them.
        controllers: addresses that are always heard, but for what the windows cut between them and the nodes.
    """
    if not windows:
        return []
    numbers = itertools.count()
    placed = [[replace(r, chain=f"{CHAIN}_window_{n}") for r in rules] for n, rules in enumerate(windows)]
    to_clients = [rules for rules in placed if _way(rules) == "to clients"]
    of_clients = [rules for rules in placed if _way(rules) == "from clients"]
    others = [rules for rules in placed if _way(rules) == "from peers"]
    way_out, out = _tree(to_clients, numbers)
    way_in, heard = _tree(of_clients, numbers)
    way, rest = _tree(others, numbers)
    neighbours, *exempt = exempt_rules(controllers)
    first = [neighbours, *_ports_of_clients(of_clients, way_in), *exempt, *_from_peers(others, way)]
    rules = [*first, *_ports_of_clients(to_clients, way_out), *out, *heard, *rest, *itertools.chain(*placed)]
    return in_order(rules)


def _way(rules: list[Rule]) -> str:
    """Which way the packets go that a window cuts; its last rule has one of the peers."""
    return "to clients" if rules[-1].side == "daddr" else "from clients" if rules[-1].peer == CLIENTS else "from peers"


def _ports_of_clients(windows: list[list[Rule]], way: str) -> list[Rule]:
    """Makes the rules by which the ports that are cut from the clients, and nothing else of theirs, go on."""
    ports: dict[tuple[str, str, tuple[str, ...]], set[int]] = {}
    for rule in itertools.chain(*windows):
        ports.setdefault((rule.side, rule.end, rule.addresses), set()).update(rule.ports)
    chain = {"saddr": CHAIN, "daddr": OUT}
    return [
        Rule(
            "clients: these ports",
            way,
            addresses,
            end=end,
            ports=tuple(sorted(numbers)),
            chain=chain[side],
            side=side,
        )
        for (side, end, addresses), numbers in ports.items()
    ]


def _from_peers(windows: list[list[Rule]], way: str) -> list[Rule]:
    peers = {address for rule in itertools.chain(*windows) for address in rule.addresses}
    return [Rule("peers", way, some) for _, some in by_family(peers)]


def _tree(windows: list[list[Rule]], numbers: Iterator[int]) -> tuple[str, list[Rule]]:
    """Makes the chains of a tree over the time; returns the verdict that leads to its root, and their rules."""
    spans = [(rules[0].from_s or 0, rules[0].until_s, _name(rules), rules[0].chain) for rules in windows]
    if not spans:
        return "", []
    bounds = sorted({bound for begin, end, *_ in spans for bound in (begin, end) if bound is not None})
    leaves = [
        [(name, chain) for begin, end, name, chain in spans if begin <= at and (end is None or at < end)]
        for at in [bounds[0] - 1, *bounds]
    ]
    if sum(map(len, leaves)) > MOST_JUMPS:
        bounds, leaves = [], [[(name, chain) for *_, name, chain in spans]]
    rules: list[Rule] = []

    def grow(first: int, last: int) -> tuple[str, str]:
        """Returns the verdict that leads to these leaves, and what to say of it."""
        if last - first == 1 and len(leaves[first]) < 2:
            return next(((f"goto {chain}", f"time: {name}") for name, chain in leaves[first]), ("accept", "time: none"))
        here = f"{CHAIN}_time_{next(numbers)}"
        if last - first == 1:
            rules.extend(Rule(f"time: {name}", f"jump {chain}", chain=here) for name, chain in leaves[first])
            return f"goto {here}", "time: several"
        step = -(-(last - first) // PARTS)
        for begin in range(first, last, step):
            end = min(begin + step, last)
            verdict, said = grow(begin, end)
            rules.append(Rule(said, verdict, until_s=bounds[end - 1] if end < last else None, chain=here))
        return f"goto {here}", "time"

    way, _ = grow(0, len(leaves))
    return way, rules


def _name(rules: list[Rule]) -> str:
    return next(rule.window for rule in rules if rule.window)
