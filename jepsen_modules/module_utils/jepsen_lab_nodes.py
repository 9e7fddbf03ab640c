"""The nodes: what is on their disks when they first start, starting them, and waiting until SSH answers."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils import jepsen_lab_cgroups as cgroups
from ansible.module_utils.jepsen_lab_network import INSIDE, unplug, uplink_mtu_bytes
from ansible.module_utils.jepsen_lab_plan import LAB_BRIDGE, STATE, USER, LabError
from ansible.module_utils.jepsen_lab_run import run, start

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.jepsen_lab_plan import Lab, Node

MACHINE = "cmm-"  # before a node's name, for systemd-nspawn, which may run machines of the same name
USER_ID = 1000  # of the user in the image
HOST_KEY = STATE / "host_key"  # one for all nodes, made with the lab, so that it is known before they are
USER_KEY = STATE / "ssh_key"
KNOWN_HOSTS = STATE / "known_hosts"
IMAGE = STATE / "image"  # a link: what all disks of this lab lie over, even when there is a newer one
# A clock, kernel modules and raw devices are the host's, not a node's.
DROPPED_CAPABILITIES = "CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO"

NETWORK = """\
[Match]
Name=host0
[Link]
MTUBytes={mtu}
[Network]
IPv6AcceptRA=no
ConfigureWithoutCarrier=yes
[Address]
Address={ipv4}
[Address]
Address={ipv6}
DuplicateAddressDetection=none
"""
APT = """\
Acquire::http::Proxy "{proxy}";
Acquire::http::Timeout "120";
Acquire::Languages "none";
"""
HOSTS = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
{ip} {name}
"""


def make_keys(lab: Lab) -> None:
    """Makes the user's key, the nodes' host key, and the known_hosts file that names it."""
    for key in (HOST_KEY, USER_KEY):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "callmaybe lab", "-f", str(key)])
    public = Path(f"{HOST_KEY}.pub").read_text(encoding="ascii")
    lines = [f"{node.name},{node.ipv4.ip},{node.ipv6.ip} {public}" for node in lab.nodes]
    KNOWN_HOSTS.write_text("".join(lines), encoding="ascii")


def make_disk(lab: Lab, node: Node) -> None:
    """Fills the upper layer of a node's disk with what is the node's own."""
    for layer in ("upper", "work", "root"):
        (node.disk / layer).mkdir(parents=True)
    upper = node.disk / "upper"
    files = {
        "etc/hostname": f"{node.name}\n",
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "etc/hosts": HOSTS.format(ip=node.ipv4.ip, name=node.name),
        "etc/systemd/network/10-lab.network": NETWORK.format(mtu=uplink_mtu_bytes(), ipv4=node.ipv4, ipv6=node.ipv6),
        "etc/apt/apt.conf.d/90lab": APT.format(proxy=lab.proxy_url),
    }
    for path, text in files.items():
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        (upper / path).write_text(text, encoding="utf-8")
    (upper / "etc/ssh").mkdir()
    shutil.copy(HOST_KEY, upper / "etc/ssh/ssh_host_ed25519_key")
    shutil.copy(f"{HOST_KEY}.pub", upper / "etc/ssh/ssh_host_ed25519_key.pub")
    _authorize(upper / "home" / USER)


def power_on(lab: Lab, node: Node, runner: Path) -> None:
    """Starts a node from its disk.

    Args:
        lab: The lab that it belongs to.
        node: The node; none of its processes may be alive.
        runner: The script run_node.sh.
    """
    unplug(f"vb-{MACHINE}{node.name}")  # the cable of a node that was killed may still hang there
    options = [
        "--boot",
        "--quiet",
        "--register=no",
        "--keep-unit",
        f"--machine={MACHINE}{node.name}",
        f"--hostname={node.name}",
        f"--network-bridge={LAB_BRIDGE}",
        "--timezone=off",
        "--resolv-conf=off",
        "--link-journal=no",
        f"--drop-capability={DROPPED_CAPABILITIES}",
    ]
    # systemd 257 no longer boots on the old hierarchies; beside them it gets the new one.
    environment = ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"] if lab.release == "trixie" and not cgroups.unified() else []
    start(
        [
            *cgroups.inside(node.name, guest=True),
            "env",
            *environment,
            *INSIDE,
            *("unshare", "--mount", "--propagation=private", "--"),
            *("sh", str(runner), str(IMAGE.resolve()), str(node.disk)),
            *options,
        ],
        node.console,
    )


def supervised(node: Node) -> bool:
    """Whether a node's systemd-nspawn lives; without it a node may answer and yet cannot reboot."""
    for pid in cgroups.processes(node.name):
        try:
            if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "systemd-nspawn":
                return True
        except OSError:  # ended meanwhile
            continue
    return False


def wait_for_ssh(nodes: Sequence[Node], *, timeout_s: float) -> list[Node]:
    """Waits until a login on each node succeeds.

    Returns:
        The nodes on which none did within the bound.
    """
    deadline = time.monotonic() + timeout_s
    waiting = list(nodes)
    while waiting and time.monotonic() < deadline:
        greeted = [node for node in waiting if _greets(node)]
        done = _logins(greeted)
        waiting = [node for node in waiting if node.name not in done]
        time.sleep(0.02)
    return waiting


def end_connections(nodes: Iterable[Node]) -> None:
    """Ends the SSH connections that Ansible keeps open to the nodes."""
    for node in nodes:
        control = STATE / f"ssh-{USER}@{node.ipv4.ip}"
        if control.exists():
            run(["ssh", "-o", f"ControlPath={control}", "-O", "exit", str(node.ipv4.ip)], timeout_s=5, check=False)


def must_answer(nodes: Sequence[Node], *, timeout_s: float) -> None:
    """Waits until a login on each node succeeds.

    Raises:
        LabError: On some it did not within the bound; the message has the end of the first one's console.
    """
    silent = wait_for_ssh(nodes, timeout_s=timeout_s)
    if silent:
        node = silent[0]
        console = node.console.read_text(encoding="utf-8", errors="replace") if node.console.exists() else ""
        lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", console).strip().splitlines()
        raise LabError(
            f"After {timeout_s:.0f} s SSH does not answer on {', '.join(n.name for n in silent)}. "
            f"The console of {node.name} ends with: {' / '.join(lines[-5:]) or 'nothing'}"
        )


def _authorize(home: Path) -> None:
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    shutil.copy(f"{USER_KEY}.pub", home / ".ssh/authorized_keys")
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, USER_ID, USER_ID)


def _greets(node: Node) -> bool:
    """Whether sshd says its name."""
    try:
        with socket.create_connection((str(node.ipv4.ip), 22), timeout=0.3) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _logins(nodes: Iterable[Node]) -> set[str]:
    """The names of the nodes on which a login with sudo succeeds, tried at the same time."""
    options = [f"-oUserKnownHostsFile={KNOWN_HOSTS}", "-oBatchMode=yes", "-oConnectTimeout=3", "-oControlPath=none"]
    tries = {
        node.name: subprocess.Popen(
            ["ssh", "-F", "none", "-i", str(USER_KEY), *options, f"{USER}@{node.ipv4.ip}", "sudo", "-n", "true"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for node in nodes
    }
    done = set()
    for name, attempt in tries.items():
        try:
            if attempt.wait(timeout=10) == 0:
                done.add(name)
        except subprocess.TimeoutExpired:
            attempt.kill()
            attempt.wait()
    return done
