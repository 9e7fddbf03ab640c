"""Rules of nftables around netem: which packets go into which class, written and read back. Pure.

The chain ``shape_netem`` sets the class (``meta priority``) of the chosen peers' and ports' packets between two
wall-clock times. Addresses, times and counters are read back from the rules; shapes, titles and ports, which neither
nft nor tc can tell, stand in the comments of the chain ``shape_netem_notes``, which no packet ever enters.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.jepsen_netem_queues import ROOT, Class
from ansible.module_utils.jepsen_nft import DATE, PROBE_ID, sort_addresses
from ansible.module_utils.jepsen_shaping import Shape, Shaped, ShapingError
from ansible.module_utils.jepsen_window import SECOND_NS

CHAIN = "shape_netem"
NOTES = "shape_netem_notes"


def _families(addresses: list[str]) -> list[str]:
    """Writes the matches of some addresses, one a family."""
    some = {"ip": [a for a in addresses if ":" not in a], "ip6": [a for a in addresses if ":" in a]}
    return [f"{family} daddr {{ {', '.join(sort_addresses(found))} }}" for family, found in some.items() if found]


def _port_matches(ports: tuple[str, ...]) -> list[str]:
    """Writes matches that take each packet with one of the ports at either end exactly once."""
    matches = [] if ports else [""]
    for protocol in ("tcp", "udp"):
        numbers = ", ".join(port.split()[1] for port in ports if port.startswith(protocol))
        if numbers:
            at = f"{protocol} {{}} {{}}{{{{ {numbers} }}}} "
            matches += [at.format("dport", ""), at.format("dport", "!= ") + at.format("sport", "")]
    return matches


def _date(operator: str, second: int | None) -> str:
    return "" if second is None else f'meta time {operator} "{time.strftime(DATE, time.gmtime(second))}" '


def _base(windows: list[Shaped], controllers: list[str]) -> list[str]:
    rules = [
        'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept comment "exempt: neighbours"',
        f'icmp id {PROBE_ID} accept comment "exempt: probes"',
        f'icmpv6 id {PROBE_ID} accept comment "exempt: probes"',
        *(f'{match} accept comment "exempt: controllers"' for match in _families(controllers)),
    ]
    for index, window in enumerate(windows):
        span = _date(">=", window.from_s) + _date("<", window.until_s)
        for peer, addresses in window.peers.items():
            rules += [
                f'{span}{match} {port}jump {CHAIN}_{index} comment "{window.name} {peer}"'
                for match in _families(addresses)
                for port in _port_matches(window.ports)
            ]
    return rules


def _marks(index: int, window: Shaped, classes: list[Class]) -> list[str]:
    """Writes the chain of one window: it moves a packet from the class of the windows before to the one with this."""
    minors = {one.windows: one.minor for one in classes}
    rules = [f'counter comment "{window.name}"']
    for some, minor in minors.items():
        before = minors.get(some[:-1])
        if some[-1] == index and before:
            rules.append(f"meta priority {ROOT:x}:{before:x} meta priority set {ROOT:x}:{minor:x} return")
    return [*rules, f"meta priority set {ROOT:x}:{minors[(index,)]:x}"]


def _notes(windows: list[Shaped], classes: list[Class], controllers: list[str]) -> list[str]:
    said = [f"controllers {address}" for address in controllers]
    for index, window in enumerate(windows):
        title = re.sub(r'["\\\n]', "'", window.title).encode()[:60].decode(errors="ignore")
        said += [f"{window.name} title {title}", *(f"{window.name} port {port}" for port in window.ports)]
        for name, value in window.shape.parts.items():
            values = value if isinstance(value, tuple) else [value]
            said += [f"{window.name} {name} {one!r}".replace("'", "") for one in values]
        for one in classes:
            said += [f"{window.name} netem {h:x}" for h, i in zip(one.handles, one.windows) if i == index]
    return [f'continue comment "{note}"' for note in said]


def nft_script(windows: list[Shaped], classes: list[Class], controllers: list[str], old: list[str]) -> str:
    """Writes the transaction that puts these windows in the place of the chains that are there."""
    chains = [CHAIN, *(chain for chain in old if chain != CHAIN)]
    lines = ["add table inet jepsen"]
    lines += [f"add chain inet jepsen {chain}" for chain in chains]
    lines += [f"flush chain inet jepsen {chain}" for chain in chains]
    lines += [f"delete chain inet jepsen {chain}" for chain in chains]
    if windows:
        wanted = {NOTES: _notes(windows, classes, controllers)}
        wanted.update({f"{CHAIN}_{i}": _marks(i, window, classes) for i, window in enumerate(windows)})
        # Behind all who set priorities or translate addresses.
        hook = "type filter hook postrouting priority 450; policy accept;"
        wanted[CHAIN] = [hook, *_base(windows, controllers)]
        lines.append("table inet jepsen {")
        for chain, rules in wanted.items():
            lines += [f"  chain {chain} {{", *(f"    {rule}" for rule in rules), "  }"]
        lines.append("}")
    return "\n".join(lines) + "\n"


@dataclass
class Listed:
    """What nft lists of ours.

    Attributes:
        chains: names.
        rules: ``{chain, comment, from_s, until_s, addresses}``, and ``packets, bytes`` where it counts.
    """

    chains: list[str]
    rules: list[dict[str, Any]]


def _seconds(date: str | int) -> int:
    return date if isinstance(date, int) else calendar.timegm(time.strptime(date, DATE))


def _read_rule(rule: dict[str, Any]) -> dict[str, Any]:
    found = {"chain": rule["chain"], "comment": rule.get("comment", ""), "from_s": 0, "until_s": None, "addresses": []}
    for part in rule["expr"]:
        match = part.get("match", {})
        left = match.get("left", {})
        if left == {"meta": {"key": "time"}}:
            found["from_s" if match["op"] == ">=" else "until_s"] = _seconds(match["right"])
        elif isinstance(left, dict) and left.get("payload", {}).get("field") == "daddr":
            right = match["right"]
            found["addresses"] = right["set"] if isinstance(right, dict) else [right]
        elif isinstance(part.get("counter"), dict):
            found.update(packets=part["counter"]["packets"], bytes=part["counter"]["bytes"])
    return found


def read_listing(listing: str | None) -> Listed:
    """Reads what ``nft -j list table inet jepsen`` printed.

    Raises:
        ShapingError: it is not the JSON of nft.
    """
    try:
        objects = json.loads(listing)["nftables"] if listing else []
        ours = [item for item in objects for kind in ("chain", "rule") if kind in item]
        chains = [item["chain"]["name"] for item in ours if "chain" in item]
        chains = [name for name in chains if re.fullmatch(f"{CHAIN}(_notes|_[0-9]+)?", name)]
        rules = [_read_rule(item["rule"]) for item in ours if "rule" in item and item["rule"]["chain"] in chains]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShapingError(
            f"cannot read what nft lists of the table inet jepsen ({type(error).__name__}: {error}); "
            "if somebody edited it by hand, jepsen_heal removes it"
        ) from error
    return Listed(chains, rules)


def _shape_of(notes: list[list[str]]) -> Shape:
    values: dict[str, Any] = {}
    for name, text in notes:
        if name == "gilbert":
            values[name] = (*values.get(name, ()), float(text))
        elif name in Shape.__dataclass_fields__:
            values[name] = text if name == "distribution" else int(text) if name == "rate_kbit" else float(text)
    return Shape(**values)


def windows_of(listed: Listed) -> list[dict[str, Any]]:
    """Puts rules and notes together into windows, as ``Backend.found`` does, with ``handles`` and ``shaped``."""
    notes: dict[str, list[list[str]]] = {}
    windows: dict[str, dict[str, Any]] = {}
    for rule in listed.rules:
        if rule["chain"] == NOTES:
            name, _, rest = rule["comment"].partition(" ")
            notes.setdefault(name, []).append([*rest.split(" ", 1), ""][:2])
    for rule in listed.rules:
        words = rule["comment"].split()
        if rule["chain"] == CHAIN and len(words) == 2 and words[0] != "exempt:":
            window = windows.setdefault(words[0], {"name": words[0], "title": "", **_bounds(rule), "peers": {}})
            known = window["peers"].setdefault(words[1], [])
            known += [address for address in rule["addresses"] if address not in known]
    for name, window in windows.items():
        said = notes.get(name, [])
        counted = [r for r in listed.rules if r["comment"] == name and "packets" in r]
        window.update(
            title=" ".join(text for key, text in said if key == "title"),
            shape=_shape_of(said),
            ports=tuple(text for key, text in said if key == "port"),
            handles=[int(text, 16) for key, text in said if key == "netem"],
            controllers=[key for key, _ in notes.get("controllers", [])],
            shaped=(sum(r["packets"] for r in counted), sum(r["bytes"] for r in counted)),
        )
    return list(windows.values())


def _bounds(rule: dict[str, Any]) -> dict[str, Any]:
    until_s = rule["until_s"]
    return {"from_ns": rule["from_s"] * SECOND_NS, "until_ns": None if until_s is None else until_s * SECOND_NS}
