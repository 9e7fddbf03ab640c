"""Shaping by the kernel's netem, where packets leave: a root qdisc of our own, and nftables that chooses what goes in.

Each interface that leads to a peer gets the root qdisc ``htb 4a45:``. What nobody classifies passes it by its direct
queue, unshaped. Each window has a class under it with a netem; windows that can meet in one packet have a class for
each such combination, with one netem inside the other, so that they compose and each counts its own losses. The chain
``shape_netem`` sets the class (``meta priority``) of the chosen peers' and ports' packets between two wall-clock times:
the kernel begins and ends a window by itself, and the qdiscs stay, idle, until ``end``.

Nothing is kept but that: addresses, times and counters are read back from the rules; shapes, titles and ports, which
neither nft nor tc can tell, stand in the comments of the chain ``shape_netem_notes``, which no packet ever enters.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from dataclasses import dataclass
from typing import Any, Callable

from ansible.module_utils.jepsen_nft import DATE, PROBE_ID, Nft, NftError, ReadBackError, sort_addresses
from ansible.module_utils.jepsen_shaping import NETEM, Backend, Shape, Shaped, ShapingError
from ansible.module_utils.jepsen_window import SECOND_NS

CHAIN = "shape_netem"
NOTES = "shape_netem_notes"
ROOT = 0x4A45  # "JE"
FIRST_HANDLE, LAST_HANDLE = 0x4B00, 0x7FFF  # of the netems; the kernel itself hands out 0x8001 and up
# What the kernel puts on an interface by itself, under the handle 0:, and again when ours is deleted.
DEFAULTS = ("noqueue", "pfifo_fast", "mq", "fq_codel", "fq", "pfifo")
MOST_CLASSES = 2000
# Room for what is on its way while it is delayed; netem's own 1,000 packets lose a third of 15,000/s at 100 ms.
PACKETS_PER_S = 200_000
LEAST_LIMIT = 1000
TRIED = Shape(delay_ms=1, jitter_ms=1, loss=0.5)

Tool = Callable[..., "tuple[int, str, str]"]


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


def losses(qdiscs: list[dict[str, Any]]) -> dict[int, int]:
    """Counts what each netem of ours lost: ``{handle: packets}``; a netem counts those of the one inside it too."""
    drops, inside = {}, {}
    for qdisc in qdiscs:
        if qdisc["kind"] == "netem" and FIRST_HANDLE <= _major(qdisc["handle"]) <= LAST_HANDLE:
            drops[_major(qdisc["handle"])] = qdisc.get("drops", 0)
            inside[_major(qdisc.get("parent", "0:"))] = qdisc.get("drops", 0)
    return {handle: max(0, count - inside.get(handle, 0)) for handle, count in drops.items()}


def _major(handle: str) -> int:
    return int(handle.partition(":")[0] or "0", 16)


class Netem(Backend):
    """netem on this node."""

    name = NETEM

    def __init__(self, nft: Tool, tc: Tool, ip: Tool, unshare: Tool) -> None:
        """Takes functions that run these programs with arguments and standard input."""
        self._nft = Nft(nft)
        self._tc, self._ip, self._unshare = tc, ip, unshare

    def missing(self) -> str | None:
        """Says why this node cannot use it (found by trying, in a network namespace of its own), None where it can."""
        window = Shaped("probe", "", TRIED, {}, (), 0, None)
        return self._try([window], plan([window], set()))

    def _try(self, windows: list[Shaped], classes: list[Class]) -> str | None:
        batch = "\n".join([root_line("lo"), *tc_batch("lo", windows, classes)]) + "\n"
        code, _, err = self._unshare(["--net", "tc", "-batch", "-"], batch)
        if code == 0:
            return None
        said = f"tc printed {' '.join(err.split())[:300]!r} on an interface made for the trial"
        if "Operation not permitted" in err:
            return f"{said}; run the task as root (become: true)"
        if "netem" in err and "duplicating" in err:
            return (
                f"{said}; this kernel lets a netem that duplicates stand alone only: give one window, or no duplicate"
            )
        return f"{said}; the kernel needs sch_netem and sch_htb (modprobe sch_netem sch_htb)"

    def _qdiscs(self) -> list[dict[str, Any]]:
        code, out, err = self._tc(["-s", "-j", "qdisc", "show"])
        if code != 0:
            raise ShapingError(f"cannot list the qdiscs: `tc -s -j qdisc show` printed {err.strip()[:300]!r}")
        listed: list[dict[str, Any]] = json.loads(out or "[]")
        return listed

    def _listed(self) -> Listed:
        try:
            return read_listing(self._nft.read())
        except NftError as error:
            raise ShapingError(str(error)) from error

    def found(self) -> list[dict[str, Any]]:
        """Reads back the windows; where a qdisc of one is gone, ``broken`` says so."""
        listed = windows_of(self._listed())
        qdiscs = self._qdiscs() if listed else []
        lost: dict[int, int] = {}
        for device in {qdisc["dev"] for qdisc in qdiscs}:
            for handle, count in losses([q for q in qdiscs if q["dev"] == device]).items():
                lost[handle] = lost.get(handle, 0) + count
        for window in listed:
            shape, handles = window["shape"], window.pop("handles")
            packets, size = window.pop("shaped")
            counts = {"shaped_packets": packets, "shaped_bytes": size}
            if shape.delay_ms or shape.rate_kbit:
                counts.update(delayed_packets=packets, delayed_bytes=size)
            counts["lost_packets"] = sum(lost.get(handle, 0) for handle in handles)
            window["counts"] = counts
            if not set(handles) <= set(lost):
                window["broken"] = "its queues are gone, so it shapes nothing; arm it again, or run jepsen_heal"
        return listed

    def _devices(self, windows: list[Shaped]) -> list[str]:
        """Finds the interfaces that lead to the peers."""
        devices: dict[str, None] = {}
        peers = {peer: some for window in windows for peer, some in window.peers.items()}
        for peer, addresses in peers.items():
            answers = [self._ip(["-j", "route", "get", address]) for address in addresses]
            ways = [json.loads(out)[0].get("dev") for code, out, _ in answers if code == 0 and out.strip()]
            if not any(ways):
                raise ShapingError(
                    f"no interface leads to {peer}: `ip route get {addresses[0]}` printed "
                    f"{answers[0][2].strip()[:200]!r}; give this node a route to it, or {peer} another address"
                )
            devices.update(dict.fromkeys(way for way in ways if way))
        return list(devices)

    def _roots(self, devices: list[str], qdiscs: list[dict[str, Any]]) -> list[str]:
        """Returns the interfaces that have no root qdisc of ours yet; refuses those that have somebody else's."""
        bare = []
        for device in devices:
            roots = [q for q in qdiscs if q["dev"] == device and q.get("root")]
            kinds = {(q["kind"], _major(q["handle"])) for q in roots}
            if ("htb", ROOT) in kinds:
                continue
            for kind, handle in kinds:
                if handle or kind not in DEFAULTS:
                    raise ShapingError(
                        f"refused, nothing was changed: {device}, which leads to the peers, has the root qdisc "
                        f"{kind} {handle:x}: of somebody else; remove it (tc qdisc del dev {device} root) or shape "
                        "with backend: userspace"
                    )
            bare.append(device)
        return bare

    def arm(self, windows: list[Shaped], controllers: list[str], *, check: bool) -> None:
        """Puts these windows in the place of those that are armed.

        New classes are added beside the old ones, one transaction of nft turns the packets to them, and the old ones
        go. Packets that wait in an old one at that moment are lost.
        """
        windows = [window for window in windows if window.peers]
        if not windows:
            if not check:
                self.end()
            return
        qdiscs, listed, devices = self._qdiscs(), self._listed(), self._devices(windows)
        bare = self._roots(devices, qdiscs)
        classes = plan(windows, {_major(q["handle"]) for q in qdiscs})
        wrong = self._try(windows, classes)
        if wrong:
            raise ShapingError(f"nothing was changed: the kernel does not take these queues: {wrong}")
        text = nft_script(windows, classes, controllers, listed.chains)
        try:
            self._nft.check(text)
        except NftError as error:
            raise ShapingError(str(error)) from error
        if not check:
            self._commit(windows, classes, devices, bare, text)
            self._remove_others(devices, classes)
            self._read_back(windows)

    def _commit(
        self, windows: list[Shaped], classes: list[Class], devices: list[str], bare: list[str], text: str
    ) -> None:
        added: list[str] = []
        try:
            for device in devices:
                added.append(device)
                roots = [root_line(device)] if device in bare else []
                batch = "\n".join([*roots, *tc_batch(device, windows, classes)]) + "\n"
                code, _, err = self._tc(["-batch", "-"], batch)
                if code != 0:
                    raise ShapingError(  # noqa: TRY301 - undone below, as nft's errors are
                        f"tc could not add the queues on {device}, and what was armed before is as it was: tc printed "
                        f"{' '.join(err.split())[:300]!r}; look at `tc qdisc show dev {device}` on the node"
                    )
            self._nft.commit(text)
        except (ShapingError, NftError) as error:
            for device in added:
                self._delete_root(device) if device in bare else self._delete(device, [one.minor for one in classes])
            raise ShapingError(str(error)) from error

    def _delete_root(self, device: str) -> tuple[int, str, str]:
        return self._tc(["qdisc", "del", "dev", device, "root", "handle", f"{ROOT:x}:"])

    def _delete(self, device: str, minors: list[int]) -> None:
        """Deletes classes; a class goes only after the netem on it."""
        lines = [f"class del dev {device} classid {ROOT:x}:{minor:x}" for minor in minors]
        self._tc(["-force", "-batch", "-"], "\n".join(lines) + "\n")

    def _remove_others(self, devices: list[str], classes: list[Class]) -> None:
        """Removes what the windows before had: classes, and roots of interfaces that lead to no peer any more."""
        kept = {one.minor for one in classes}
        for qdisc in self._qdiscs():
            device, parent = qdisc["dev"], qdisc.get("parent", "0:")
            if _is_ours(qdisc) and device not in devices:
                self._delete_root(device)
            elif _major(parent) == ROOT and int(parent.partition(":")[2] or "0", 16) not in kept:
                self._delete(device, [int(parent.partition(":")[2], 16)])

    def _read_back(self, windows: list[Shaped]) -> None:
        found = self.found()
        broken = [window["name"] for window in found if "broken" in window]
        if [window["name"] for window in found] != [window.name for window in windows] or broken:
            raise ReadBackError(
                f"the rules were committed but others are listed, so somebody else changes them: wanted "
                f"{' '.join(w.name for w in windows)}, found {' '.join(w['name'] for w in found)}"
                f"{', without queues: ' + ' '.join(broken) if broken else ''}; run jepsen_heal, then try again alone"
            )

    def end(self) -> list[str]:
        """Removes chains and qdiscs, and says what it removed."""
        removed = []
        chains = self._listed().chains
        if chains:
            try:
                self._nft.commit(nft_script([], [], [], chains))
            except NftError as error:
                raise ShapingError(str(error)) from error
            removed.append(f"delete the chain {CHAIN} of the table inet jepsen")
        for device in self._rooted():
            code, _, err = self._delete_root(device)
            if code != 0 and device in self._rooted():
                raise ShapingError(
                    f"cannot delete the root qdisc htb {ROOT:x}: on {device}: tc printed {err.strip()[:300]!r}; "
                    f"run `tc qdisc del dev {device} root` on the node"
                )
            removed.append(f"delete the root qdisc htb {ROOT:x}: on {device}")
        return removed

    def _rooted(self) -> list[str]:
        return [qdisc["dev"] for qdisc in self._qdiscs() if _is_ours(qdisc)]

    def left(self) -> list[str]:
        """Looks for chains and qdiscs of ours."""
        chains = [f"the chain {CHAIN} of the table inet jepsen"] if self._listed().chains else []
        return chains + [f"the root qdisc htb {ROOT:x}: on {device}" for device in self._rooted()]


def _is_ours(qdisc: dict[str, Any]) -> bool:
    return bool(qdisc.get("root")) and qdisc["kind"] == "htb" and _major(qdisc["handle"]) == ROOT
