"""Queues of netem: shapes in tc's words, and a class for each set of windows that can meet in one packet. Pure.

Each window has a class under our root qdisc with a netem; windows that can meet in one packet have a class for each
such combination, with one netem inside the other, so that they compose and each counts its own losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible.module_utils.jepsen_shaping import Shape, Shaped, ShapingError

ROOT = 0x4A45  # "JE"
FIRST_HANDLE, LAST_HANDLE = 0x4B00, 0x7FFF  # of the netems; the kernel itself hands out 0x8001 and up
MOST_CLASSES = 2000
# Room for what is on its way while it is delayed; netem's own 1,000 packets lose a third of 15,000/s at 100 ms.
PACKETS_PER_S = 200_000
LEAST_LIMIT = 1000


@dataclass(frozen=True)
class Class:
    """Packets that are in all of these windows at once.

    Attributes:
        windows: indices of the windows, rising.
        minor: of the HTB class.
        handles: of the netems, one a window, the first next to the class.
    """

    windows: tuple[int, ...]
    minor: int
    handles: tuple[int, ...]


def chances(shape: Shape) -> tuple[float, float, float, float] | None:
    """Returns (p, r, 1-h, 1-k) of the Gilbert-Elliott model that a shape's loss is, None where losses are independent.

    netem's own correlation of losses is known to lose far fewer packets than was asked. A Markov chain of two states
    keeps the share: a loss follows a loss with 1 - r = c + (1 - c) loss, and p / (p + r) = loss.
    """
    if shape.gilbert:
        p, r, h, k = shape.gilbert
        return p, r, 1 - h, 1 - k
    if shape.loss_correlation and 0 < shape.loss < 1:
        apart = 1 - shape.loss_correlation
        return apart * shape.loss, apart * (1 - shape.loss), 1.0, 0.0
    return None


def _percent(share: float) -> str:
    return f"{100 * share:.7g}%"


def netem(shape: Shape) -> str:
    """Writes a shape in tc's words, such as ``netem limit 18000 delay 50ms 10ms distribution normal``."""
    longest_s = (shape.delay_ms + 4 * shape.jitter_ms) / 1000
    words = [f"netem limit {max(LEAST_LIMIT, round(longest_s * PACKETS_PER_S))}"]
    if shape.delay_ms:
        words.append(f"delay {shape.delay_ms:g}ms")
        if shape.jitter_ms:
            words.append(f"{shape.jitter_ms:g}ms {_percent(shape.delay_correlation)}")
            words.append("" if shape.distribution == "uniform" else f"distribution {shape.distribution}")
    model = chances(shape)
    if model:
        words.append(f"loss gemodel {' '.join(map(_percent, model))}")
    elif shape.loss:
        words.append(f"loss random {_percent(shape.loss)}")
    words += [
        f"{name} {_percent(getattr(shape, name))}"
        for name in ("duplicate", "reorder", "corrupt")
        if getattr(shape, name)
    ]
    if shape.rate_kbit:
        words.append(f"rate {shape.rate_kbit}kbit")
    return " ".join(word for word in words if word)


def combinations(windows: list[Shaped]) -> list[tuple[int, ...]]:
    """Lists the sets of windows that one packet can be in, each once, smaller ones before those that extend them.

    Raises:
        ShapingError: there are more than ``MOST_CLASSES``.
    """
    found: list[tuple[int, ...]] = []
    for index, window in enumerate(windows):
        met = [some for some in found if all(_meet(windows[other], window) for other in some)]
        found += [*((*some, index) for some in met), (index,)]
        if len(found) > MOST_CLASSES:
            raise ShapingError(
                f"the windows up to {window.name} overlap in more than {MOST_CLASSES} ways; let fewer of them overlap"
            )
    return found


def _meet(one: Shaped, other: Shaped) -> bool:
    begins, ends = max(one.from_s, other.from_s), [w.until_s for w in (one, other) if w.until_s is not None]
    addresses = {a for some in one.peers.values() for a in some} & {a for some in other.peers.values() for a in some}
    return bool(addresses) and all(begins < end for end in ends)


def plan(windows: list[Shaped], used: set[int]) -> list[Class]:
    """Gives each combination its class, with numbers that nothing armed before uses."""
    free = iter(number for number in range(FIRST_HANDLE, LAST_HANDLE + 1) if number not in used)
    classes = []
    for some in combinations(windows):
        handles = tuple(next(free, 0) for _ in some)
        if 0 in handles:
            raise ShapingError("the windows need more netem queues than there are numbers; arm fewer of them")
        classes.append(Class(some, handles[0], handles))
    return classes


def tc_batch(device: str, windows: list[Shaped], classes: list[Class]) -> list[str]:
    """Writes the lines for ``tc -batch`` that add the classes under the root qdisc."""
    lines = []
    for one in classes:
        # A rate that never holds back; a class must have one.
        lines.append(
            f"class add dev {device} parent {ROOT:x}: classid {ROOT:x}:{one.minor:x} htb rate 100gbit quantum 60000"
        )
        parent = f"{ROOT:x}:{one.minor:x}"
        for handle, index in zip(one.handles, one.windows):
            lines.append(f"qdisc add dev {device} parent {parent} handle {handle:x}: {netem(windows[index].shape)}")
            parent = f"{handle:x}:"
    return lines


def root_line(device: str) -> str:
    """Writes the line for ``tc -batch`` that adds the root qdisc."""
    return f"qdisc add dev {device} root handle {ROOT:x}: htb default 0 direct_qlen 10000"


def losses(qdiscs: list[dict[str, Any]]) -> dict[int, int]:
    """Counts what each netem of ours lost: ``{handle: packets}``; a netem counts those of the one inside it too."""
    drops, inside = {}, {}
    for qdisc in qdiscs:
        if qdisc["kind"] == "netem" and FIRST_HANDLE <= major(qdisc["handle"]) <= LAST_HANDLE:
            drops[major(qdisc["handle"])] = qdisc.get("drops", 0)
            inside[major(qdisc.get("parent", "0:"))] = qdisc.get("drops", 0)
    return {handle: max(0, count - inside.get(handle, 0)) for handle, count in drops.items()}


def major(handle: str) -> int:
    """Returns the number of a handle such as ``4a45:``."""
    return int(handle.partition(":")[0] or "0", 16)


def is_our_root(qdisc: dict[str, Any]) -> bool:
    """Whether it is the root qdisc that we put there."""
    return bool(qdisc.get("root")) and qdisc["kind"] == "htb" and major(qdisc["handle"]) == ROOT
