"""What shaping is: delay, loss and the rest on the links between nodes, as data that both back ends take.

A window of shaping has ``links``, ``{listener: [speakers]}``, read as a partition's grudge is: what the speakers send
to the listener is shaped. Every node gets the same windows; the back end ``netem`` shapes at the speaker, as packets
leave, ``userspace`` at the listener, as they come in, so one cluster must use one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NETEM = "netem"
USERSPACE = "userspace"
DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")


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


class ShapingError(Exception):
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
        """Reads back the windows: ``{name, title, from_ns, until_ns, shape (dict), peers, ports, counts}``.

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
