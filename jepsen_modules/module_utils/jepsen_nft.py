"""The project's own chain in nftables: rules as data, their text, and what nft lists of them, read back.

Everything is in the table ``inet jepsen``; partitions have the chains ``partition...`` in it, laid out by
jepsen_cut_chains. nft runs with TZ=UTC, because it reads and prints ``meta time`` as local time. It takes an integer
there as seconds, prints dates, and drops fractions of a second silently in both; so a window begins and ends on a whole
second. Held against nft 0.9.8, 1.0.6 and 1.1.3.
"""

from __future__ import annotations

import calendar
import ipaddress
import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Iterable

from ansible.module_utils.jepsen_clients import CLIENTS
from ansible.module_utils.jepsen_error import FaultError

# Identifier of our probes' echo requests: dropped like everything else from a peer, but not counted, so that looking at
# a window does not make it look as if it had bitten.
PROBE_ID = 19011
BACKEND = "nftables"
CHAIN = "partition"
OUT = "partition_out"
# Before conntrack; and behind all who translate addresses, where ports are those that the clients see.
HOOKS = {
    CHAIN: "type filter hook prerouting priority -450; policy accept;",
    OUT: "type filter hook postrouting priority 440; policy accept;",
}
OWN = re.compile(r"partition(_out|_(time|window)_[0-9]+)?")
DATE = "%Y-%m-%d %H:%M:%S"
# The answers to what is refused: a reset where it is TCP, "port unreachable" where not (the kernel limits how many).
RESET = "reject with tcp reset"
UNREACHABLE = "reject with icmpx type port-unreachable"
REJECTS = (RESET, UNREACHABLE)
PORTS = re.compile(r"(tcp|udp) ([0-9]{1,5})")
LIST = ["-j", "list", "table", "inet", "jepsen"]
NEIGHBOURS = "exempt: neighbours"
CONTROLLERS = "exempt: controllers"

# Runs nft with arguments and standard input: (exit status, output, errors).
Runner = Callable[[list[str], str], tuple[int, str, str]]


class NftError(FaultError):
    """nft refused; the text says what was attempted, what it printed and what to do."""


class ReadBackError(NftError):
    """The rules were committed, and are not what they should be."""

    changed = True


@dataclass(frozen=True)
class Rule:
    """A rule of a chain of partitions.

    Attributes:
        comment: ``"WINDOW PEER"``, ``"probes: WINDOW"``, ``"exempt: WHAT"``, or why a packet goes on to another chain.
        verdict: ``"drop"``, ``"accept"``, one of ``REJECTS``, or ``"goto CHAIN"`` or ``"jump CHAIN"``.
        addresses: that it applies to, all of one family, in numerical order; empty for all.
        from_s: seconds since the epoch, UTC; None for always.
        until_s: the same, first second in which it no longer applies; None for never.
        end: which end of a connection has one of the ports, ``"tcp dport"``, ``"udp sport"``; empty for all traffic.
        ports: numbers, sorted.
        chain: the chain that it is in.
        side: whose the addresses are, ``"saddr"`` or ``"daddr"``.
        match: the rest of the match, as nft reads it; it follows from the comment and is not compared.
        packets: counter, None where the rule has none; not compared.
        bytes: likewise.
    """

    comment: str
    verdict: str = "drop"
    addresses: tuple[str, ...] = ()
    from_s: int | None = None
    until_s: int | None = None
    end: str = ""
    ports: tuple[int, ...] = ()
    chain: str = CHAIN
    side: str = "saddr"
    match: str = field(default="", compare=False)
    packets: int | None = field(default=None, compare=False)
    bytes: int | None = field(default=None, compare=False)

    @property
    def window(self) -> str | None:
        """Name of the window whose packets the rule drops and counts; None for other rules."""
        counts = self.verdict != "accept" and self.packets is not None and len(self.comment.split()) == 2
        return self.comment.split()[0] if counts else None

    @property
    def peer(self) -> str:
        """Name of the peer whose packets, or towards whom, the rule drops."""
        return self.comment.split()[1]

    @property
    def leads(self) -> bool:
        """Whether it only decides to which chain a packet goes on, or that it goes to none."""
        return self.verdict.startswith(("goto", "jump")) or self.comment.startswith("time:")

    @property
    def span(self) -> str:
        """When it applies, for people."""
        until = "for ever" if self.until_s is None else f"until {time.strftime(DATE, time.gmtime(self.until_s))} UTC"
        return f"from {time.strftime(DATE, time.gmtime(self.from_s or 0))} UTC {until}"


def sort_addresses(addresses: Iterable[str]) -> tuple[str, ...]:
    """Puts addresses of one family into numerical order, as nft lists them."""
    return tuple(sorted(set(addresses), key=lambda address: int(ipaddress.ip_address(address))))


def by_family(addresses: Iterable[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Splits addresses into ``[(4, (...)), (6, (...))]`` without empty families."""
    every = list(addresses)
    versions = [(v, sort_addresses(a for a in every if ipaddress.ip_address(a).version == v)) for v in (4, 6)]
    return [(version, some) for version, some in versions if some]


def read_ports(ports: list[str]) -> dict[str, tuple[int, ...]]:
    """Turns ``["tcp 9092", "udp 53"]`` into ``{"tcp": (9092,), "udp": (53,)}``; ValueError names what is no port."""
    read: dict[str, set[int]] = {}
    for port in ports:
        found = PORTS.fullmatch(" ".join(port.split()))
        if not found or not 0 < int(found.group(2)) < 65536:
            raise ValueError(f"port {port!r}: expected tcp or udp and a number from 1 to 65535, such as 'tcp 9092'")
        read.setdefault(found.group(1), set()).add(int(found.group(2)))
    return {protocol: tuple(sorted(numbers)) for protocol, numbers in sorted(read.items())}


def window_rules(  # noqa: PLR0913 - the parts of a window
    name: str,
    peers: dict[str, list[str]],
    from_s: int,
    until_s: int | None,
    ports: dict[str, tuple[int, ...]] | None = None,
    *,
    reject: bool = False,
    direction: str = "in",
) -> list[Rule]:
    """Makes the rules of one window: one or more a peer and family, counted, behind those for our own probes.

    Args:
        name: of the window.
        peers: ``{peer: [addresses]}`` whose packets are dropped; of the clients, those to or from the ports.
        from_s: first second, since the epoch.
        until_s: first second after the window, None for never.
        ports: ``{"tcp": (9092,)}``, at either end, so that requests and replies are cut; None for all traffic, and
            then our own probes are dropped uncounted.
        reject: answers instead of saying nothing. Both sides of a cut may answer, so answers are let in.
        direction: ``"in"``, or ``"out"`` for what goes to the clients.
    """
    everyone = by_family([address for addresses in peers.values() for address in addresses])
    icmp = {4: f"icmp id {PROBE_ID}", 6: f"icmpv6 id {PROBE_ID}"}
    answer = {4: "icmp type destination-unreachable", 6: "icmpv6 type destination-unreachable"}
    rules = []
    for version, addresses in everyone:
        if reject:
            rules.append(Rule(f"refusals: {name}", "accept", addresses, from_s, until_s, match="tcp flags rst"))
            rules.append(Rule(f"refusals: {name}", "accept", addresses, from_s, until_s, match=answer[version]))
        if not ports:
            rules.append(Rule(f"probes: {name}", "drop", addresses, from_s, until_s, match=icmp[version]))
    for peer, some in peers.items():
        for _, addresses in by_family(some):
            rule = Rule(f"{name} {peer}", "drop", addresses, from_s, until_s, packets=0, bytes=0)
            if direction == "out":
                rule = replace(rule, side="daddr")
            rules += _spread(rule, ports or {}, reject=reject)
    return rules


def _spread(rule: Rule, ports: dict[str, tuple[int, ...]], *, reject: bool) -> list[Rule]:
    """Makes the rules that ports and answers take of one."""
    ends = ["dport", "sport"]
    if rule.peer == CLIENTS:  # the node's own ports: it may talk to such a port of the controller's
        ends = ["sport" if rule.side == "daddr" else "dport"]
    answers = {"tcp": RESET, "udp": UNREACHABLE} if reject else {"tcp": "drop", "udp": "drop"}
    if ports:
        return [
            replace(rule, verdict=answers[protocol], end=f"{protocol} {end}", ports=numbers)
            for protocol, numbers in ports.items()
            for end in ends
        ]
    if reject:
        return [replace(rule, verdict=RESET, match="meta l4proto tcp"), replace(rule, verdict=UNREACHABLE)]
    return [rule]


def exempt_rules(controllers: list[str]) -> list[Rule]:
    """Makes the rules that come first.

    IPv6 finds its neighbours by packets from the peers' own addresses (IPv4 asks by ARP, which no rule of ours sees):
    without them a one-way cut would end the other direction too. An accept ends this chain only and overrules nobody.
    """
    match = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
    rules = [Rule(NEIGHBOURS, "accept", match=match)]
    return rules + [Rule(CONTROLLERS, "accept", addresses) for _, addresses in by_family(controllers)]


def _time(operator: str, second: int | None) -> str:
    return "" if second is None else f'meta time {operator} "{time.strftime(DATE, time.gmtime(second))}" '


def _text(rule: Rule) -> str:
    addresses = ""
    if rule.addresses:
        family = "ip6" if ":" in rule.addresses[0] else "ip"
        addresses = f"{family} {rule.side} {{ {', '.join(rule.addresses)} }} "
    ports = f"{rule.end} {{ {', '.join(map(str, rule.ports))} }} " if rule.ports else ""
    match = f"{rule.match} " if rule.match else ""
    counter = "" if rule.packets is None else "counter "
    bounds = _time(">=", rule.from_s) + _time("<", rule.until_s)
    return f'    {bounds}{addresses}{ports}{match}{counter}{rule.verdict} comment "{rule.comment}"\n'


def describe(rules: list[Rule], *, ways: bool = False) -> str:
    """Writes what is compared of rules, one a line; the sides of a diff, without the ways from chain to chain."""
    shown = [rule for rule in rules if ways or not rule.leads]
    return "".join(
        (f"{rule.chain}: " if ways else "") + _text(replace(rule, match="", packets=None, bytes=None)).lstrip()
        for rule in shown
    )


def script(rules: list[Rule], old: Iterable[str] = ()) -> str:
    """Writes the transaction that puts these rules in the place of all that our chains hold; none removes the chains.

    The base chains stay where there are rules: when a hook goes, the kernel drops every packet that a queue of shaping
    holds at that moment.

    Args:
        rules: with the chains that they are in.
        old: names of our chains that there are.
    """
    new: dict[str, list[str]] = {}
    for rule in rules:
        new.setdefault(rule.chain, []).append(_text(rule))
    every = dict.fromkeys([CHAIN, *old, *new])
    gone = [name for name in every if name not in HOOKS or not rules]
    lines = ["add table inet jepsen"]
    lines += [f"add chain inet jepsen {name}" + (f" {{ {HOOKS[name]} }}" if name in HOOKS else "") for name in every]
    lines += [
        f"{verb} chain inet jepsen {name}" for verb, some in (("flush", every), ("delete", gone)) for name in some
    ]
    if rules:  # those that others lead to come first
        body = "".join(f"  chain {name} {{\n{''.join(new[name])}  }}\n" for name in reversed(list(new)))
        lines.append(f"table inet jepsen {{\n{body}}}")
    return "\n".join(lines) + "\n"


def _second(date: str | int) -> int:
    return date if isinstance(date, int) else calendar.timegm(time.strptime(date, DATE))


def _listed(right: Any) -> list[Any]:  # noqa: ANN401 - what nft's JSON has on the right of a match
    return list(right["set"]) if isinstance(right, dict) else [right]


def _parse_rule(listed: dict[str, Any]) -> Rule:
    found: dict[str, Any] = {"comment": listed.get("comment", "exempt: a rule without a comment")}
    found["chain"] = listed["chain"]
    for part in listed["expr"]:
        match = part.get("match", {})
        payload = match.get("left", {}).get("payload", {})
        if match.get("left") == {"meta": {"key": "time"}}:
            found["from_s" if match["op"] == ">=" else "until_s"] = _second(match["right"])
        elif payload.get("field") in ("saddr", "daddr"):
            found["side"] = payload["field"]
            found["addresses"] = sort_addresses(_listed(match["right"]))
        elif payload.get("field") in ("dport", "sport"):
            found["end"] = f"{payload['protocol']} {payload['field']}"
            found["ports"] = tuple(sorted(_listed(match["right"])))
        elif "counter" in part:
            found.update(packets=part["counter"]["packets"], bytes=part["counter"]["bytes"])
        elif "reject" in part:  # nft lists nothing more of the default, "port unreachable"
            found["verdict"] = RESET if (part["reject"] or {}).get("type") == "tcp reset" else UNREACHABLE
        elif "drop" in part or "accept" in part:
            found["verdict"] = next(iter(part))
        elif "goto" in part or "jump" in part:
            ((verb, there),) = part.items()
            found["verdict"] = f"{verb} {there['target']}"
    return Rule(**found)


def in_order(rules: list[Rule]) -> list[Rule]:
    """Sorts rules by their chains, as they are compared; nft lists chains in the order in which they were made."""
    return sorted(rules, key=lambda rule: [part.zfill(9) for part in re.split(r"([0-9]+)", rule.chain)])


def parse(listing: str) -> list[Rule]:
    """Reads what ``nft -j list table inet jepsen`` printed: the rules of the chains of partitions, chain by chain.

    Raises:
        NftError: it is not the JSON of nft.
    """
    try:
        objects = json.loads(listing)["nftables"]
        rules = [item["rule"] for item in objects if "rule" in item]
        return in_order([_parse_rule(rule) for rule in rules if OWN.fullmatch(rule["chain"])])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NftError(
            f"cannot read what `nft {' '.join(LIST)}` printed ({type(error).__name__}: {error}): {listing[:300]!r}; "
            "if somebody edited the table by hand, jepsen_heal removes it"
        ) from error


def own_chains(listing: str | None) -> list[str]:
    """Names the chains of partitions in a listing of our table; if that is not JSON, those that it mentions."""
    try:
        objects = json.loads(listing or '{"nftables": []}')["nftables"]
        names = [item["chain"]["name"] for item in objects if "chain" in item]
    except (ValueError, KeyError, TypeError):
        names = re.findall(r"[A-Za-z0-9_-]+", listing or "")
    return [name for name in dict.fromkeys(names) if OWN.fullmatch(name)]


def windows_of(rules: list[Rule]) -> list[dict[str, Any]]:
    """Puts rules together into windows.

    Returns:
        ``[{name, from_ns, until_ns, peers: {peer: [addresses]}, direction: "in" or "out", ports: ["tcp 9092"], reject,
        dropped: {peer: packets}, counts: {dropped_packets, dropped_bytes}}]``.
    """
    windows: dict[str, dict[str, Any]] = {}
    for rule in rules:
        if rule.window is None:
            continue
        until_ns = None if rule.until_s is None else rule.until_s * 1_000_000_000
        bounds = {"from_ns": (rule.from_s or 0) * 1_000_000_000, "until_ns": until_ns}
        counts = {"dropped_packets": 0, "dropped_bytes": 0}
        new: dict[str, Any] = {
            "name": rule.window,
            **bounds,
            "peers": {},
            "direction": "out" if rule.side == "daddr" else "in",
            "ports": [],
            "reject": rule.verdict in REJECTS,
            "dropped": {},
        }
        window = windows.setdefault(rule.window, {**new, "counts": counts})
        addresses = window["peers"].setdefault(rule.peer, [])
        addresses += [address for address in rule.addresses if address not in addresses]
        ports = [f"{rule.end.split()[0]} {port}" for port in rule.ports]
        window["ports"] += [port for port in ports if port not in window["ports"]]
        window["dropped"][rule.peer] = window["dropped"].get(rule.peer, 0) + (rule.packets or 0)
        window["counts"]["dropped_packets"] += rule.packets or 0
        window["counts"]["dropped_bytes"] += rule.bytes or 0
    return list(windows.values())


class Nft:
    """nft on this node."""

    def __init__(self, run: Runner) -> None:
        """Takes a function that runs nft with arguments and standard input."""
        self._run = run

    def read(self) -> str | None:
        """Returns the listing of our table, None where there is none.

        Raises:
            NftError: nft could not say.
        """
        code, out, err = self._run(LIST, "")
        if code == 0:
            return out
        if "No such file or directory" in err:
            return None
        raise NftError(f"cannot list the table inet jepsen: {self._reason(err)}")

    def check(self, text: str) -> None:
        """Lets nft and the kernel try a transaction without making it; raises NftError."""
        code, _, err = self._run(["-c", "-f", "-"], text)
        if code != 0:
            raise NftError(f"nft refuses the rules, and nothing was changed: {self._reason(err, text)}")

    def commit(self, text: str) -> None:
        """Makes a transaction, all or nothing; raises NftError."""
        code, _, err = self._run(["-f", "-"], text)
        if code != 0:
            raise NftError(f"nft did not commit the rules, and nothing was changed: {self._reason(err, text)}")

    def _reason(self, printed: str, text: str = "") -> str:
        """Finds out by trying what it is that this node cannot do."""
        said = f"nft printed {' '.join(printed.split())[:500]!r}"
        if "Operation not permitted" in printed:
            return f"{said}; run the task as root (become: true), with CAP_NET_ADMIN in this network namespace"
        probe = "table inet jepsen_probe {{\n chain c {{\n type filter hook prerouting priority -450\n {}\n }}\n }}\n"
        if self._run(["-c", "-f", "-"], probe.format(""))[0] != 0:
            return f"{said}; the kernel refuses any table of the family inet: load nf_tables (modprobe nf_tables)"
        if self._run(["-c", "-f", "-"], probe.format(f"{_time('>=', 0)}counter drop"))[0] != 0:
            return f"{said}; the kernel cannot match `meta time`, which begins and ends a fault: use Linux 5.4 or later"
        if "reject" in text and self._run(["-c", "-f", "-"], probe.format("meta l4proto tcp " + RESET))[0] != 0:
            return f"{said}; the kernel cannot reject at this hook: use Linux 5.10 or later, or leave `reject` out"
        return f"{said}; `nft list table inet jepsen` on the node shows what is armed, jepsen_heal removes it"
