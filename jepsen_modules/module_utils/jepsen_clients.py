"""The clients as a peer of a partition: for certain ports, in one direction, and never the way by which we come.

Clients run on the controller, where no rule may stand. So it is the node that drops what they send to it, or what it
sends to them. In a grudge they stand as a node does: ``{n1: [clients]}``, n1 does not hear them, and
``{clients: [n1]}``, they do not hear n1. Pure.
"""

from __future__ import annotations

from typing import Iterable

CLIENTS = "clients"
SSH_PORT = 22
NO_NODE = "a node is called 'clients', which stands for the clients of a test; give it another name in the inventory"


def has_clients(grudge: dict[str, list[str]]) -> bool:
    """Whether the clients are on either side of a cut."""
    return CLIENTS in grudge or any(CLIENTS in peers for peers in grudge.values())


def wrong_with_clients(
    grudge: dict[str, list[str]], ports: dict[str, tuple[int, ...]], *, reject: bool, ssh_ports: Iterable[int] = ()
) -> str | None:
    """Says why a cut from clients must not be, None where it may, or is none.

    Args:
        grudge: of the window.
        ports: such as ``{"tcp": (5432,)}``.
        reject: whether the window answers what it drops.
        ssh_ports: of connections to this very node that are alive, besides 22.
    """
    if not has_clients(grudge):
        return None
    they_listen = set(grudge) == {CLIENTS} and CLIENTS not in grudge[CLIENTS]
    they_speak = CLIENTS not in grudge and all(peers == [CLIENTS] for peers in grudge.values())
    if not they_listen and not they_speak:
        return "clients are cut off in one direction and together with nobody else: give others a window of their own"
    if not ports:
        return "clients are cut off on certain ports only, since SSH comes the same way: say which, as tcp 5432"
    if reject:
        return "what is cut between clients and nodes is dropped, and never answered: leave reject out"
    closed = next((number for number in ports.get("tcp", ()) if number in {SSH_PORT, *ssh_ports}), None)
    if closed is None:
        return None
    return f"refused: tcp {closed} is SSH's port, by which the node is reached and healed; name the database's ports"


def bearers(grudge: dict[str, list[str]]) -> list[str]:
    """The nodes whose rules a grudge becomes: who must not hear, and whom the clients must not hear."""
    listeners = [node for node in grudge if node != CLIENTS]
    return list(dict.fromkeys([*listeners, *grudge.get(CLIENTS, [])]))


def peers_of(node: str, grudge: dict[str, list[str]]) -> tuple[list[str], str]:
    """Returns a node's part of a grudge: its peers, and whether what comes ``in`` from them or goes ``out`` is cut."""
    return ([CLIENTS], "out") if node in grudge.get(CLIENTS, []) else (grudge.get(node, []), "in")
