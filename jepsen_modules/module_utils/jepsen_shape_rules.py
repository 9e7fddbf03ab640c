"""Rules of nftables around the queue of ``userspace``: which packets go into it, and what was done to them.

Chains in the table ``inet jepsen``, all behind the partition's, which drops first:

- ``shape`` (prerouting, before conntrack): what is exempt leaves; each window that is open is a jump to its
  ``shape_in_N``, where packets get the window's bit by peer and port; what has a bit goes to ``shape_queue_Q``.
- ``shape_done``, behind the queue: each window's ``shape_out_N`` counts by peer what the program wrote into the mark,
  and drops what is lost. Then our bits are taken out of the mark.

Of a datagram in fragments a window with ports shapes the first one, which alone has the ports; the rest waits for it.
"""

from __future__ import annotations

import calendar
import ipaddress
import json
import math
import re
import time
import urllib.parse
from dataclasses import asdict
from typing import Any

from ansible.module_utils.jepsen_nft import DATE, PROBE_ID, sort_addresses
from ansible.module_utils.jepsen_shaper import (
    ALL_SLOTS,
    CORRUPTED,
    DELAYED,
    DUPLICATED,
    EARLY_S,
    LOST,
    OURS,
    REORDERED,
    SEEN,
    SLOTS,
    slot_bit,
)
from ansible.module_utils.jepsen_shaping import Shape, Shaped, ShapingError

PREFIX = "shape_"
QUEUE_PREFIX = "shape_queue_"
OWN = re.compile(r"shape(_done|_(in|out|queue)_[0-9]+)?")  # not those of netem, shape_netem...
BASE = {"shape": -448, "shape_done": -447}  # partitions drop at -450
FOREIGN_BITS = 0xFFFFFFFF ^ OURS
ABOUT = "about: "
ABOUT_CHARACTERS = 100  # comments have 127
SLACK_S = 2
# A window's bit is used again only when all of its packets are out of hand; the longest wait that is reckoned with.
LONGEST_GRACE_S = 120
# What is counted: bits that must be set, of those that are looked at besides.
COUNTED = {
    "delayed": (DELAYED, 0),
    "lost": (LOST, 0),
    "duplicated": (DUPLICATED, 0),
    "reordered": (REORDERED, 0),
    "corrupted": (CORRUPTED, 0),
    "unshaped": (0, SEEN),  # went by without the program: it is dead, or had no room
}


def grace_s(shape: Shape) -> int:
    """Returns how long after the end of a window packets of it may still be held."""
    waits_s = (shape.delay_ms + 4 * shape.jitter_ms) / 1000
    if shape.rate_kbit:
        waits_s += 1500 * 8 / shape.rate_kbit * 10
    return min(LONGEST_GRACE_S, math.ceil(waits_s) + SLACK_S)


def slots_of(windows: list[Shaped]) -> list[int]:
    """Gives each window one of ``SLOTS`` slots, so that none has two windows at once; raises ShapingError."""
    free_at: list[float] = [-math.inf] * SLOTS
    slots = {}
    for number, window in sorted(enumerate(windows), key=lambda item: item[1].from_s):
        slot = min(range(SLOTS), key=lambda candidate: free_at[candidate])
        if free_at[slot] > window.from_s - EARLY_S:
            raise ShapingError(f"window {window.name}: more than {SLOTS} windows of shaping at once; ask for fewer")
        free_at[slot] = math.inf if window.until_s is None else window.until_s + grace_s(window.shape)
        slots[number] = slot
    return [slots[number] for number in range(len(windows))]


def _counted(shape: Shape) -> list[str]:
    wanted = {
        "delayed": shape.delay_ms or shape.jitter_ms or shape.rate_kbit,
        "lost": shape.loss or shape.gilbert or shape.rate_kbit,
        "duplicated": shape.duplicate,
        "reordered": shape.reorder,
        "corrupted": shape.corrupt,
        "unshaped": True,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]


def _sources(addresses: list[str]) -> list[str]:
    """Writes matches of source addresses, one a family."""
    matches = []
    for version, family in ((4, "ip"), (6, "ip6")):
        some = sort_addresses(a for a in addresses if ipaddress.ip_address(a).version == version)
        if some:
            matches.append(f"{family} saddr {{ {', '.join(some)} }}")
    return matches


def _ports(ports: tuple[str, ...]) -> list[str]:
    if not ports:
        return [""]
    numbers: dict[str, list[str]] = {}
    for port in ports:
        protocol, number = port.split()
        numbers.setdefault(protocol, []).append(number)
    return [
        f"meta l4proto {protocol} th {end} {{ {', '.join(some)} }} "
        for protocol, some in numbers.items()
        for end in ("sport", "dport")
    ]


def _span(from_s: int, until_s: int | None) -> str:
    until = "" if until_s is None else f'meta time < "{time.strftime(DATE, time.gmtime(until_s))}" '
    return f'meta time >= "{time.strftime(DATE, time.gmtime(from_s))}" {until}'


def _about(window: Shaped) -> list[str]:
    shape = {name: value for name, value in asdict(window.shape).items() if value}
    text = json.dumps({"title": window.title, "ports": window.ports, "shape": shape}, separators=(",", ":"))
    quoted = urllib.parse.quote(text, safe=":,{}[]|")
    return [quoted[at : at + ABOUT_CHARACTERS] for at in range(0, len(quoted), ABOUT_CHARACTERS)]


def _chain_in(window: Shaped, bit: int) -> list[str]:
    rules = [f'continue comment "{ABOUT}{part}"' for part in _about(window)]
    for peer, addresses in window.peers.items():
        rules += [
            f'{source} {ports}meta mark set meta mark or {bit:#x} comment "{window.name} {peer}"'
            for source in _sources(addresses)
            for ports in _ports(window.ports)
        ]
    return rules


def _chain_out(window: Shaped, bit: int) -> list[str]:
    rules = []
    for peer, addresses in window.peers.items():
        for source in _sources(addresses):
            for name in _counted(window.shape):
                must, looked_at = COUNTED[name]
                match = f"meta mark & {bit | must | looked_at:#x} == {bit | must:#x}"
                drop = "drop " if name == "lost" else ""
                rules.append(f'{source} {match} counter {drop}comment "{window.name} {peer} {name}"')
    return rules


def _exempt(controllers: list[str]) -> list[str]:
    return [
        f'meta mark & {SEEN:#x} != 0 accept comment "exempt: copies"',
        'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept comment "exempt: neighbours"',
        f'icmp id {PROBE_ID} accept comment "exempt: probes"',
        f'icmpv6 id {PROBE_ID} accept comment "exempt: probes"',
        *(f'{source} accept comment "exempt: controllers"' for source in _sources(controllers)),
    ]


def script(windows: list[Shaped], controllers: list[str], queue: int, old: list[str], *, own_queue: bool) -> str:
    """Writes the transaction that puts these windows in the place of those that the chains hold.

    The base chains are emptied, never deleted: the kernel drops all packets in queues when a hook goes away.

    Args:
        windows: this node's part.
        controllers: addresses that are never shaped.
        queue: number of the queue.
        old: names of chains that there are.
        own_queue: whether nft's own statement ``queue`` is used; else the chain to the queue is already there.
    """
    to_queue = f"{QUEUE_PREFIX}{queue}"
    chains: dict[str, list[str]] = {to_queue: [f"queue num {queue} bypass"]} if own_queue else {}
    shape, done = _exempt(controllers), [f"meta mark & {OURS:#x} == 0 accept"]
    for number, (window, slot) in enumerate(zip(windows, slots_of(windows))):
        bit, late_s = slot_bit(slot), None if window.until_s is None else window.until_s + grace_s(window.shape)
        chains[f"{PREFIX}in_{number}"] = _chain_in(window, bit)
        chains[f"{PREFIX}out_{number}"] = _chain_out(window, bit)
        shape.append(f'{_span(window.from_s, window.until_s)}jump {PREFIX}in_{number} comment "{window.name}"')
        done.append(f'{_span(window.from_s, late_s)}jump {PREFIX}out_{number} comment "{window.name}"')
    shape.append(f"meta mark & {ALL_SLOTS:#x} != 0 goto {to_queue}")
    done += [f"meta mark & {LOST:#x} != 0 drop", f"meta mark set meta mark & {FOREIGN_BITS:#x}"]
    lines = ["add table inet jepsen"]
    for name, priority in BASE.items():
        lines.append(
            f"add chain inet jepsen {name} {{ type filter hook prerouting priority {priority}; policy accept; }}"
        )
        lines.append(f"flush chain inet jepsen {name}")
    gone = [name for name in old if OWN.fullmatch(name) and name not in BASE and (own_queue or name != to_queue)]
    lines += [f"{verb} chain inet jepsen {name}" for verb in ("flush", "delete") for name in gone]
    chains.update({"shape": shape, "shape_done": done})
    body = "".join(
        f"  chain {name} {{\n" + "".join(f"    {r}\n" for r in some) + "  }\n" for name, some in chains.items()
    )
    return "\n".join(lines) + f"\ntable inet jepsen {{\n{body}}}\n"


def chains_of(listing: str | None) -> list[str]:
    """Lists the chains of shaping in what ``nft -j list table inet jepsen`` printed."""
    objects = json.loads(listing)["nftables"] if listing else []
    names = [item["chain"]["name"] for item in objects if "chain" in item]
    return [name for name in names if OWN.fullmatch(name)]


def removal(chains: list[str]) -> str:
    """Writes the transaction that removes these chains."""
    return "".join(f"{verb} chain inet jepsen {name}\n" for verb in ("flush", "delete") for name in chains)


def _second(date: str | int) -> int:
    return date if isinstance(date, int) else calendar.timegm(time.strptime(date, DATE))


def _matches(rule: dict[str, Any]) -> dict[str, Any]:
    """Reads of a rule what is used here: bounds, target of a jump, addresses, counter."""
    found: dict[str, Any] = {"addresses": [], "until_s": None}
    for part in rule["expr"]:
        match = part.get("match", {})
        left = match.get("left")
        if left == {"meta": {"key": "time"}}:
            found["from_s" if match["op"] == ">=" else "until_s"] = _second(match["right"])
        elif isinstance(left, dict) and left.get("payload", {}).get("field") == "saddr":
            right = match["right"]
            found["addresses"] = right["set"] if isinstance(right, dict) else [right]
        elif "jump" in part:
            found["jump"] = part["jump"]["target"]
        elif "counter" in part:
            found["counter"] = part["counter"]
    return found


def _window(bounds: dict[str, Any], name: str, rules_in: list[Any], rules_out: list[Any]) -> dict[str, Any]:
    about = "".join(r["comment"][len(ABOUT) :] for r in rules_in if r.get("comment", "").startswith(ABOUT))
    said = json.loads(urllib.parse.unquote(about))
    peers: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    by_peer: dict[str, dict[str, int]] = {}
    for rule in rules_in:
        words = rule.get("comment", "").split()
        if len(words) == 2 and words[0] == name:
            some = peers.setdefault(words[1], [])
            some += [address for address in _matches(rule)["addresses"] if address not in some]
    for rule in rules_out:
        words, counter = rule.get("comment", "").split(), _matches(rule).get("counter")
        if len(words) == 3 and counter is not None:
            for unit in ("packets", "bytes"):
                key = f"{words[2]}_{unit}"
                counts[key] = counts.get(key, 0) + counter[unit]
                one = by_peer.setdefault(words[1], {})
                one[key] = one.get(key, 0) + counter[unit]
    until_s = bounds["until_s"]
    gilbert = said["shape"].get("gilbert")
    shape = Shape(**{**said["shape"], "gilbert": gilbert and tuple(gilbert)})
    return {
        "name": name,
        "title": said["title"],
        "from_ns": bounds["from_s"] * 1_000_000_000,
        "until_ns": None if until_s is None else until_s * 1_000_000_000,
        "shape": shape,
        "peers": peers,
        "ports": said["ports"],
        "counts": counts,
        "counts_by_peer": by_peer,
    }


def windows_of(listing: str | None) -> list[dict[str, Any]]:
    """Reads the windows out of what ``nft -j list table inet jepsen`` printed.

    Raises:
        ShapingError: somebody else has changed the chains.
    """
    try:
        objects = json.loads(listing)["nftables"] if listing else []
        rules: dict[str, list[dict[str, Any]]] = {}
        for item in objects:
            if "rule" in item:
                rules.setdefault(item["rule"]["chain"], []).append(item["rule"])
        windows = []
        for rule in rules.get("shape", []):
            bounds = _matches(rule)
            target = bounds.get("jump", "")
            if target.startswith(f"{PREFIX}in_"):
                out = target.replace(f"{PREFIX}in_", f"{PREFIX}out_")
                windows.append(_window(bounds, rule["comment"], rules.get(target, []), rules.get(out, [])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShapingError(
            f"cannot read the chains of shaping in the table inet jepsen ({type(error).__name__}: {error}); "
            "somebody edited them by hand; jepsen_heal removes them"
        ) from error
    return windows
