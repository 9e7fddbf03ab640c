"""What the lab needs of the host: root, kernel features, programs, and a subnet that nobody else uses."""

from __future__ import annotations

import ipaddress
import os
import shutil
from contextlib import suppress
from pathlib import Path

from ansible.module_utils.jepsen_lab_cgroups import hierarchies
from ansible.module_utils.jepsen_lab_plan import HOST_LINK, STATE, LabError
from ansible.module_utils.jepsen_lab_run import run

# Program: the Debian package that has it.
PROGRAMS = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemctl": "systemd",
    "systemd-nspawn": "systemd-container",
}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ROUTABLE = {"unicast", "local", "unreachable", "blackhole", "prohibit"}


def missing_packages() -> list[str]:
    """The Debian packages that the lab needs and that are not installed."""
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if not Path(KEYRING).exists():
        missing.add("debian-archive-keyring")
    return sorted(missing)


def check_kernel() -> None:
    """Tries the kernel features that the lab is made of.

    Raises:
        LabError: One is missing.
    """
    if not hierarchies():
        raise LabError("No cgroup hierarchy is mounted on this machine; the lab needs one, at /sys/fs/cgroup.")
    _try(
        "network namespaces, bridges and veth pairs (modules bridge, veth)",
        "unshare --net sh -c 'ip link add cmm1 type bridge && ip link add cmm2 type veth peer name cmm3'",
    )
    probe = STATE.parent / "probe"
    shutil.rmtree(probe, ignore_errors=True)  # of a check that was killed
    for folder in ("lower", "upper", "work", "root"):
        (probe / folder).mkdir(parents=True)
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
    try:
        _try(
            f"overlayfs with its upper layer in {STATE.parent} (module overlay; that folder must not be on an overlay)",
            f"unshare --mount mount -t overlay overlay -o {options} {probe}/root",
        )
    finally:
        shutil.rmtree(probe)
        with suppress(OSError):  # a lab is in it
            STATE.parent.rmdir()


def check_root() -> None:
    """Raises a LabError unless we are root."""
    if os.geteuid() != 0:
        raise LabError("The lab needs root, for namespaces and mounts; run this with sudo or as root.")


def check_subnet(subnet: ipaddress.IPv4Network) -> None:
    """Raises a LabError if the host has an address or a route inside the lab's subnet that is not the lab's."""
    for line in run(["ip", "-4", "route", "show", "table", "all"]).splitlines():
        words = line.split()
        where = words[1] if words[0] in ROUTABLE | {"broadcast"} else words[0]
        if where == "default" or HOST_LINK in words or words[0] == "unreachable":
            continue
        with suppress(ValueError):
            if ipaddress.IPv4Network(where, strict=False).overlaps(subnet):
                raise LabError(
                    f"lab_subnet {subnet} is in use on this machine ({line.strip()}); set lab_subnet to a free /24."
                )


def _try(feature: str, command: str) -> None:
    try:
        run(["sh", "-c", command], timeout_s=10)
    except LabError as error:
        raise LabError(f"This machine's kernel does not let the lab use {feature}. {error}") from None
