"""The lab's network: a bridge in a network namespace of its own, and one cable from there to the host.

On the host stand one interface and its routes, no NAT, no forwarding, no rule. Frames between nodes never pass the
host's own namespace, so that the host's firewall, whatever it says about forwarding, has no say in the lab.
"""

from __future__ import annotations

import ctypes
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.jepsen_lab_plan import HOST_LINK, IPV6_SUBNET, LAB_BRIDGE, PROXY_PORT, STATE, LabError
from ansible.module_utils.jepsen_lab_run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible.module_utils.jepsen_lab_plan import Lab

NAMESPACE = STATE / "netns"
INSIDE = ("nsenter", f"--net={NAMESPACE}", "--")
CLONE_NEWNET = 0x40000000
# Worse than the connected route of the host's interface, so that it counts only while that one is not there.
LAST_METRIC = 4278198272


def uplink_mtu_bytes() -> int:
    """The MTU of the interface of the default route, or 1500: the lab shall not be roomier than the real network."""
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if words[1] == words[7] == "00000000":
            return int(Path(f"/sys/class/net/{words[0]}/mtu").read_text(encoding="ascii"))
    return 1500


def build(lab: Lab) -> None:
    """Makes the namespace, the bridge in it, the cable and the host's end."""
    mtu = uplink_mtu_bytes()
    # Before anything else: what is meant for a lab node must never leave this machine by the default route.
    guards = [f"route replace unreachable {lab.network} metric {LAST_METRIC}"]
    guards += [f"-6 route replace unreachable {IPV6_SUBNET} metric {LAST_METRIC}"] if _has_ipv6() else []
    for guard in guards:
        run(["ip", *guard.split()])
    NAMESPACE.touch()
    run(["unshare", f"--net={NAMESPACE}", "true"])
    run(["ip", *f"link add {HOST_LINK} mtu {mtu} type veth peer name host netns {NAMESPACE}".split()])
    _batch(
        INSIDE,
        "link set lo up",
        f"link add {LAB_BRIDGE} type bridge stp_state 0 forward_delay 0",
        f"link set host mtu {mtu} master {LAB_BRIDGE} up",
        f"link set {LAB_BRIDGE} mtu {mtu} up",
        f"address add {lab.proxy_ipv4} dev {LAB_BRIDGE}",
    )
    _batch((), f"address add {lab.host_ipv4} dev {HOST_LINK}", f"link set {HOST_LINK} up")
    if _has_ipv6():
        _batch((), f"address add {lab.host_ipv6} dev {HOST_LINK} nodad")


def intact() -> bool:
    """Whether the host's end and the namespace are there."""
    return Path(f"/sys/class/net/{HOST_LINK}").exists() and os.path.ismount(NAMESPACE)


def unplug(link: str) -> None:
    """Removes an interface from the lab's bridge, if it is there."""
    run([*INSIDE, "ip", "link", "delete", link], check=False)


def remove() -> None:
    """Takes away whatever of the lab's network there is; the processes in it must have ended."""
    while os.path.ismount(NAMESPACE):
        run(["umount", str(NAMESPACE)])
    if Path(f"/sys/class/net/{HOST_LINK}").exists():
        # It goes by itself with the namespace, at some moment: maybe just now.
        run(["ip", "link", "delete", HOST_LINK], check=False)
    for family in ("-4", "-6"):
        # Ours are the unreachable routes with the metric that nobody else uses.
        for line in run(["ip", family, "route", "show", "type", "unreachable"], check=False).splitlines():
            words = line.split()
            if words[0] == "unreachable" and str(LAST_METRIC) in words:
                run(["ip", family, "route", "delete", "unreachable", words[1], "metric", str(LAST_METRIC)])


def listen_for_proxy(lab: Lab) -> socket.socket:
    """A listening socket inside the lab's namespace, for a program that itself stays outside."""
    with _in_namespace():
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((str(lab.proxy_ipv4.ip), PROXY_PORT))
        server.listen(128)
    return server


@contextmanager
def _in_namespace() -> Iterator[None]:
    """Puts this thread into the lab's namespace; sockets made there stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home, NAMESPACE.open("rb") as lab:
        if libc.setns(lab.fileno(), CLONE_NEWNET):
            raise LabError(f"The network namespace {NAMESPACE} cannot be entered: {os.strerror(ctypes.get_errno())}.")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def _batch(prefix: tuple[str, ...], *commands: str) -> None:
    """Runs several `ip` commands as one program."""
    run([*prefix, "ip", "-batch", "-"], stdin="\n".join(commands) + "\n")


def _has_ipv6() -> bool:
    """Whether the host lets a new interface have IPv6 addresses."""
    try:
        return Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").read_text(encoding="ascii").strip() == "0"
    except FileNotFoundError:
        return False
