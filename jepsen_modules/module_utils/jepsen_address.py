"""Addresses of peers and controllers, as this node sees them."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Callable

from ansible.module_utils.jepsen_error import FaultError

# Of all look-ups together. A resolver that nobody answers would take its time for each name.
RESOLVE_BOUND_S = 3.0


class AddressError(FaultError):
    """A peer without an address, or one that must not be cut; the text is a sentence for the user."""


def normal(address: str) -> str:
    """Writes an address in its one canonical form, without a zone, and IPv4 as IPv4; ValueError if it is none."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def _literal(name: str) -> str | None:
    try:
        return normal(name.strip("[]"))
    except ValueError:
        return None


def _look_up(name: str, found: dict[str, list[str]]) -> None:
    try:
        found[name] = [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):  # a name that nobody knows, or that is none
        found[name] = []


def resolve(names: set[str]) -> dict[str, list[str]]:
    """Resolves names and literal addresses, all at once, within ``RESOLVE_BOUND_S``.

    Returns:
        ``{name: [addresses, v4 and v6]}``; a name unknown, or unanswered in time, has none.
    """
    found: dict[str, list[str]] = {}
    threads = [threading.Thread(target=_look_up, args=(n, found), daemon=True) for n in names if not _literal(n)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + RESOLVE_BOUND_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    answers = dict(found)
    return {
        name: [_literal(name) or ""] if _literal(name) else [normal(a) for a in answers.get(name, [])] for name in names
    }


def own_addresses(run: Callable[[list[str]], tuple[int, str, str]]) -> set[str]:
    """Lists this node's addresses; `run` runs ``ip`` with arguments."""
    code, out, err = run(["-j", "address", "show"])
    if code != 0:
        raise AddressError(f"cannot list this node's own addresses: `ip -j address show` printed {err.strip()[:300]!r}")
    links = json.loads(out or "[]")
    return {normal(info["local"]) for link in links for info in link.get("addr_info", []) if "local" in info}


def peer_addresses(peers: list[str], given: dict[str, list[str]], own: set[str]) -> dict[str, list[str]]:
    """Finds every address of the peers.

    Args:
        peers: inventory names.
        given: ``{peer: [addresses or names]}``, what the inventory says; looked up besides the inventory name.
        own: this node's addresses. They never stand for a peer, and neither do loopback addresses: /etc/hosts of Debian
            has the own name at 127.0.1.1, and port-forwarded machines have ansible_host=127.0.0.1.

    Returns:
        ``{peer: [addresses]}``, none empty.

    Raises:
        AddressError: a peer has no address.
    """
    names = {peer: [peer, *given.get(peer, [])] for peer in peers}
    resolved = resolve({name for some in names.values() for name in some})
    result = {}
    for peer, some in names.items():
        all_of_them = dict.fromkeys(address for name in some for address in resolved[name])
        usable = [a for a in all_of_them if a not in own and not _nobody(a)]
        if not usable:
            found = f"lead only to {' '.join(all_of_them)}, this node itself" if all_of_them else "lead nowhere"
            raise AddressError(
                f"no address of the peer {peer} is known here: the names {', '.join(dict.fromkeys(some))} {found}; "
                f"give {peer} an ansible_host or a jepsen_address in the inventory, or a line in this node's /etc/hosts"
            )
        result[peer] = usable
    return result


def _nobody(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast


def ssh_connections() -> list[tuple[str, int]]:
    """Finds by which SSH connections this very process is reached: ``[(address of the client, port of this node)]``.

    sudo takes SSH_CONNECTION out of the environment, so all ancestors are asked, up to PID 1.
    """
    found = []
    pid = os.getpid()
    while pid > 1:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
            pid = int(
                Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1]
            )
        except OSError:  # ended meanwhile, or hidden from us: above it we see nothing
            break
        values = [value[len("SSH_CONNECTION=") :] for value in environment if value.startswith("SSH_CONNECTION=")]
        found += [value.split() for value in values if value.strip()]  # client, its port, this node, its port
    return list(dict.fromkeys((normal(words[0]), int(words[-1])) for words in found))


def ssh_clients() -> list[str]:
    """Finds who is connected to this very process by SSH."""
    return list(dict.fromkeys(client for client, _ in ssh_connections()))


def refuse_controllers(peers: dict[str, list[str]], controllers: list[str]) -> None:
    """Raises AddressError if a peer is a controller: cutting it would cut the hand that heals."""
    for peer, addresses in peers.items():
        for address in addresses:
            if address in controllers:
                raise AddressError(
                    f"refused: the peer {peer} has the address {address}, which is the controller's (the SSH client of "
                    "this very connection, or one of `controllers`), and a controller is never cut off; "
                    f"run the play from another machine, or leave {peer} out of the partition"
                )
