"""What shaping is: delay, loss and the rest on the links between nodes, as data that both back ends take.

A window of shaping has ``links``, ``{listener: [speakers]}``, read as a partition's grudge is: what the speakers send
to the listener is shaped. Every node gets the same windows; the back end ``netem`` shapes at the speaker, as packets
leave, ``userspace`` at the listener, as they come in, so one cluster must use one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from ansible.module_utils.jepsen_error import FaultError
from ansible.module_utils.jepsen_window import RefusedError

KIND = "shape"
NETEM = "netem"
USERSPACE = "userspace"
DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")
LONGEST_DELAY_MS = 60_000
MOST_RATE_KBIT = 100_000_000
# Given in percent by people, kept as shares.
SHARES = ("delay_correlation", "loss", "loss_correlation", "duplicate", "reorder", "corrupt")
PORT = re.compile(r"(tcp|udp) ([1-9][0-9]{0,4})")

DELAY_OPTIONS: dict[str, dict[str, Any]] = {
    "delay_ms": {"type": "float", "default": 0},
    "jitter_ms": {"type": "float", "default": 0},
    "delay_correlation": {"type": "float", "default": 0},
    "distribution": {"type": "str", "default": "normal", "choices": list(DISTRIBUTIONS)},
}
LOSS_OPTIONS: dict[str, dict[str, Any]] = {
    "loss": {"type": "float", "default": 0},
    "loss_correlation": {"type": "float", "default": 0},
}
SHAPE_OPTIONS: dict[str, dict[str, Any]] = {
    **DELAY_OPTIONS,
    **LOSS_OPTIONS,
    "gilbert": {"type": "list", "elements": "float"},
    "duplicate": {"type": "float", "default": 0},
    "reorder": {"type": "float", "default": 0},
    "corrupt": {"type": "float", "default": 0},
    "rate_kbit": {"type": "int", "default": 0},
}


@dataclass(frozen=True)
class Shape:
    """What is done to packets; all that is zero is not done.

    Attributes:
        delay_ms, jitter_ms: mean and, for ``uniform``, the half width, else the standard deviation.
        delay_correlation: 0..1, how much a packet's delay is like the one before it.
        distribution: one of ``DISTRIBUTIONS``.
        loss: 0..1, the share of packets that are lost.
        loss_correlation: 0..1, how much a loss is like the one before it: the chance that a loss is followed by one is
            ``loss_correlation + (1 - loss_correlation) * loss``, and the share of lost packets stays ``loss``.
        gilbert: None, or (p, r, h, k) of Gilbert and Elliott: the chances to go bad, to go good, and that a packet
            passes while bad and while good. It stands in place of loss.
        duplicate, reorder, corrupt: 0..1, shares of packets.
        rate_kbit: kilobits a second; 0 for any.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    delay_correlation: float = 0.0
    distribution: str = "normal"
    loss: float = 0.0
    loss_correlation: float = 0.0
    gilbert: tuple[float, float, float, float] | None = None
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate_kbit: int = 0

    @property
    def parts(self) -> dict[str, Any]:
        """What differs from doing nothing: ``{attribute: value}``."""
        given = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in given.items() if value != default}

    def __str__(self) -> str:
        """Says it as people do: ``50 ms +- 10 ms normal, loss 20 % (correlation 75 %)``."""
        said = []
        if self.delay_ms:
            jitter = f" +- {self.jitter_ms:g} ms {self.distribution}" if self.jitter_ms else ""
            said.append(f"{self.delay_ms:g} ms{jitter}{_correlated(self.delay_correlation)}")
        if self.gilbert:
            said.append(f"loss gilbert {' '.join(f'{100 * share:g} %' for share in self.gilbert)}")
        elif self.loss:
            said.append(f"loss {100 * self.loss:g} %{_correlated(self.loss_correlation)}")
        rest = [name for name in ("duplicate", "reorder", "corrupt") if getattr(self, name)]
        said += [f"{name} {100 * getattr(self, name):g} %" for name in rest]
        return ", ".join([*said, f"{self.rate_kbit} kbit/s"] if self.rate_kbit else said)


def _correlated(share: float) -> str:
    return f" (correlation {100 * share:g} %)" if share else ""


def _within(name: str, value: float, most: float, unit: str) -> float:
    if not 0 <= value <= most:  # NaN is not either
        raise RefusedError(f"{name} is {value:g}: expected {unit}, from 0 to {most:g}")
    return value


def read_shape(options: dict[str, Any]) -> Shape:
    """Reads a shape as people give it, shares in percent.

    Args:
        options: some or all of ``SHAPE_OPTIONS``; None and absence mean that it is not done.

    Raises:
        RefusedError: a value is out of its bounds, or has no meaning beside the others.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in ("delay_ms", "jitter_ms"):
        _within(name, given.get(name, 0), LONGEST_DELAY_MS, "milliseconds")
    _within("rate_kbit", given.get("rate_kbit", 0), MOST_RATE_KBIT, "kilobits a second, 0 for any,")
    for name in SHARES:
        given[name] = _within(name, given.get(name, 0), 100, "percent") / 100
    if "gilbert" in given:
        four = given["gilbert"]
        if len(four) != 4:
            raise RefusedError(f"gilbert has {len(four)} numbers: expected four percentages, p r h k")
        given["gilbert"] = tuple(_within("gilbert", percent, 100, "percent") / 100 for percent in four)
    shape = Shape(**given)
    _refuse_nonsense(shape)
    return shape


def _refuse_nonsense(shape: Shape) -> None:
    if shape.jitter_ms > shape.delay_ms:
        raise RefusedError(
            f"jitter_ms is {shape.jitter_ms:g}, more than delay_ms, {shape.delay_ms:g}: no packet can arrive before it "
            "was sent, so give a delay at least as long as the jitter"
        )
    if shape.distribution not in DISTRIBUTIONS:
        raise RefusedError(f"distribution is {shape.distribution!r}: expected one of {', '.join(DISTRIBUTIONS)}")
    if shape.reorder and not shape.delay_ms:
        raise RefusedError("reorder lets packets overtake others that are delayed: give delay_ms as well")
    if shape.loss_correlation == 1:
        raise RefusedError("loss_correlation is 100: the first packet would decide for all; give less, or loss: 100")
    if shape.gilbert and shape.loss:
        raise RefusedError("gilbert stands in place of loss: give one of them")
    if not {"delay_ms", "loss", "gilbert", "duplicate", "reorder", "corrupt", "rate_kbit"} & set(shape.parts):
        raise RefusedError("the shape does nothing: give a delay_ms, loss, gilbert, duplicate, corrupt or rate_kbit")


def percents(shape: Shape) -> dict[str, Any]:
    """Writes a shape as ``read_shape`` reads it, with what it does only."""
    found = shape.parts
    for name in SHARES:
        if name in found:
            found[name] = round(100 * found[name], 9)
    if shape.gilbert:
        found["gilbert"] = [round(100 * share, 9) for share in shape.gilbert]
    return found


def read_ports(ports: list[str] | None) -> tuple[str, ...]:
    """Reads ``["tcp 9092", "udp 53"]``; raises RefusedError."""
    for port in ports or []:
        found = PORT.fullmatch(port)
        if not found or int(found[2]) > 65535:
            raise RefusedError(f"port {port!r}: expected 'tcp NUMBER' or 'udp NUMBER', such as 'tcp 9092'")
    return tuple(sorted(set(ports or [])))


def make_links(nodes: list[str], speakers: list[str], listeners: list[str], *, both: bool) -> dict[str, list[str]]:
    """Makes links by hand: what the speakers send to the listeners, and ``both`` ways; all where none is named.

    Raises:
        RefusedError: a name is none of the nodes, or no link comes of it.
    """
    chosen: set[tuple[str, str]] = set()
    for speaker in speakers or nodes:
        for listener in listeners or nodes:
            chosen.add((listener, speaker))
            if both:
                chosen.add((speaker, listener))
    links = {node: [peer for peer in nodes if peer != node and (node, peer) in chosen] for node in nodes}
    check_links({node: [] for node in (*speakers, *listeners)}, nodes)
    if not any(links.values()):
        raise RefusedError(f"from {' '.join(speakers)} to {' '.join(listeners)} is no link: name two different nodes")
    return {node: peers for node, peers in links.items() if peers}


def check_links(links: dict[str, list[str]], nodes: list[str]) -> None:
    """Raises RefusedError for links between others than the nodes, or from a node to itself."""
    for listener, speakers in links.items():
        if not isinstance(speakers, list):
            raise RefusedError(f"links of {listener} are {speakers!r}: expected a list of nodes")
        for node in (listener, *speakers):
            if node not in nodes:
                raise RefusedError(f"{node!r} is not a node of this play; its nodes are {' '.join(nodes)}")
        if listener in speakers:
            raise RefusedError(f"{listener} would shape what it sends to itself: name other nodes")


@dataclass(frozen=True)
class Shaped:
    """One node's part of one window.

    Attributes:
        name: of the window, and title, what a person calls it.
        shape: what is done.
        peers: ``{peer: [addresses]}``; for ``netem`` those to whom it goes out, for ``userspace`` those from whom it
            comes in.
        ports: ``("tcp 9092", "udp 53")``, either end of the connection; empty for all traffic.
        from_s, until_s: seconds since the epoch, until_s None for never.
    """

    name: str
    title: str
    shape: Shape
    peers: dict[str, list[str]]
    ports: tuple[str, ...]
    from_s: int
    until_s: int | None


class ShapingError(FaultError):
    """A back end cannot do what was asked; the text says what was attempted, what was printed and what to do."""


class Backend:
    """A way to shape on this node; ``jepsen_netem.Netem`` and ``jepsen_userspace.Userspace`` are the two.

    Both keep what they armed where it can be read back from the kernel and systemd, and need no state of their own.
    """

    name = ""

    def missing(self) -> str | None:
        """Says why this node cannot use it (found by trying), None where it can; leaves nothing behind."""
        raise NotImplementedError

    def found(self) -> list[dict[str, Any]]:
        """Reads back the windows: ``{name, title, from_ns, until_ns, shape (Shape), peers, ports, counts}``.

        ``counts``: ``{delayed_packets, delayed_bytes, lost_packets, duplicated_packets, ...}`` of what was done.
        """
        raise NotImplementedError

    def arm(self, windows: list[Shaped], controllers: list[str], *, check: bool) -> None:
        """Puts these windows in the place of those that are armed, in one step; ``check`` only tries.

        Raises:
            ShapingError: it did not work, and what was armed before is as it was.
        """
        raise NotImplementedError

    def end(self) -> list[str]:
        """Removes all of it, whatever state it is in, and says what it removed; nothing where nothing was there."""
        raise NotImplementedError

    def left(self) -> list[str]:
        """Looks for what is still there after ``end``."""
        raise NotImplementedError
