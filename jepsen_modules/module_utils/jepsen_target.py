"""Whom a fault hits: names, groups and words such as `one`, `minority` or `40%`, made into nodes by a seeded draw.

Pure: the same arguments give the same nodes on every machine and on every Python from 3.9 on. All draws of one call go
along one shuffled order, so that `one` is among `minority`, and `minority` among `majority`.
"""

from __future__ import annotations

import random
import re

from ansible.module_utils.jepsen_error import FaultError

SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
EXPECTED = (
    "expected names of nodes or groups, first, one, minority, majority, minority-third, primary, primaries, all, "
    "a count, or a share such as 40%"
)


class TargetError(FaultError, ValueError):
    """Targets that lead to no node; its text is a sentence for the user."""


def split_names(text: str | list[str]) -> list[str]:
    """Turns ``"n1, n2 n3"``, or a list of names, into a list of names."""
    return [name for name in re.split(r"[\s,]+", text) if name] if isinstance(text, str) else [str(n) for n in text]


def shuffled(nodes: list[str], seed: int) -> list[str]:
    """Draws an order of the nodes that depends on their names and the seed alone, not on the order they come in."""
    order = sorted(nodes)
    random.Random(seed).shuffle(order)  # noqa: S311 - a reproducible draw, not a secret
    return order


def minority_count(node_count: int) -> int:
    """The most nodes that are fewer than half: 2 of 5, and 1 of 4 (Jepsen's ``minority`` takes 2 of 4)."""
    return (node_count - 1) // 2


def majority_count(node_count: int) -> int:
    """The fewest nodes that are more than half: 3 of 5, and 3 of 4."""
    return node_count // 2 + 1


def minority_third_count(node_count: int) -> int:
    """The most nodes that are fewer than a third: 1 of 5, 2 of 7 (as ``jepsen.util/minority-third``)."""
    return (node_count - 1) // 3


def _share_count(share: str, node_count: int) -> int:
    """So many nodes that their share is nearest to what was asked, half a node up, but one at least."""
    percent = float(share)
    if not 0 < percent <= 100:
        raise TargetError(f"target {share}%: expected a share of the nodes, more than 0 % and at most 100 %")
    return max(1, int(node_count * percent / 100 + 0.5))


def _primaries(word: str, order: list[str], primaries: list[str] | None) -> list[str]:
    if primaries is None:
        raise TargetError(f"target {word}: nobody has asked which nodes are primaries; name the nodes instead")
    there = [node for node in order if node in primaries]
    if not there:
        raise TargetError(f"target {word}: none of {' '.join(sorted(order))} is a primary now")
    return there if word == "primaries" else there[:1]


def _count(word: str, node_count: int) -> int | None:
    """How many nodes a word stands for, None if it is none that counts."""
    counts = {
        "one": 1,
        "minority": minority_count(node_count),
        "majority": majority_count(node_count),
        "minority-third": minority_third_count(node_count),
        "all": node_count,
    }
    share = SHARE.fullmatch(word)
    if share:
        return _share_count(share.group(1), node_count)
    return int(word) if word.isdigit() and word.isascii() else counts.get(word)


def _resolve(
    word: str, nodes: list[str], order: list[str], groups: dict[str, list[str]], primaries: list[str] | None
) -> list[str]:
    """One target's nodes; a node's name comes before a word, and a word before a group."""
    if word in order:
        return [word]
    if word == "first":
        return nodes[:1]
    if word in ("primary", "primaries"):
        return _primaries(word, order, primaries)
    count = _count(word, len(order))
    if count is None:
        if word not in groups:
            raise TargetError(f"target {word!r} is unknown among the nodes {' '.join(sorted(order))}: {EXPECTED}")
        there = [node for node in order if node in groups[word]]
        if not there:
            raise TargetError(f"target {word}: the group has none of the nodes {' '.join(sorted(order))}")
        return there
    if not 0 < count <= len(order):
        raise TargetError(f"target {word}: that is {count} of {len(order)} nodes; expected 1 to {len(order)}")
    return order[:count]


def resolve_targets(
    targets: str | int | list[str],
    nodes: list[str],
    groups: dict[str, list[str]] | None = None,
    primaries: list[str] | None = None,
    seed: int = 0,
) -> list[str]:
    """Makes nodes of targets.

    Args:
        targets: one or several, as text (``"n1, n2"``, ``"primaries"``, ``"40%"``, ``"2"``) or as a list: names of
            nodes or groups; ``first``, of the nodes as they come; ``one``; ``minority``, ``majority``,
            ``minority-third`` (fewer than half, more than half, fewer than a third); ``primaries``, ``primary`` (one
            of them); ``all``; a count; a share, rounded to the nearest count of nodes, at least one. Several are put
            together.
        nodes: names of all nodes.
        groups: ``{group: [nodes]}``; those of its nodes that are not among ``nodes`` do not count.
        primaries: the nodes that are primaries now, None where nobody asked.
        seed: integer of the draw.

    Returns:
        The nodes, each once, in the order of ``nodes``; never empty.

    Raises:
        TargetError: a target is unknown, or leads to no node or to more than there are.
    """
    words = [str(targets)] if isinstance(targets, int) else split_names(targets)
    if not words:
        raise TargetError(f"no target is given: {EXPECTED}")
    order = shuffled(nodes, seed)
    hit = {node for word in words for node in _resolve(word, nodes, order, groups or {}, primaries)}
    return [node for node in nodes if node in hit]
