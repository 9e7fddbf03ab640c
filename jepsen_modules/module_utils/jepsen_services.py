"""Services and processes that are to be hit, looked up; and those by which a node is reached, which are refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable

from ansible.module_utils.jepsen_window import RefusedError

UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,200}")
# Without these nobody comes in again, or nothing ends by itself.
HANDS = re.compile(
    r"(ssh|sshd|dropbear|dbus|dbus-broker|systemd-.*|init|systemd|networking|NetworkManager|user@.*|sshd?@.*|jepsen-.*)"
)

Run = Callable[..., "tuple[int, str, str]"]


def ancestors() -> tuple[set[str], set[str]]:
    """Units and names of this process and of all above it: the way by which it was started."""
    units, names, pid = set(), set(), os.getpid()
    while pid > 1:
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
            units.update(part for part in re.split(r"[/\n]", lines) if part.endswith((".service", ".scope")))
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            break
        names.add(stat.partition(b"(")[2].rpartition(b")")[0].decode(errors="replace"))
        pid = int(stat.rpartition(b")")[2].split()[1])
    return units, names


def slice_path(name: str) -> str:
    """The cgroup of a slice, such as ``a.slice/a-b.slice`` for ``a-b.slice`` (systemd.slice(5))."""
    stem = name[: -len(".slice")]
    if stem in ("-", ""):
        return ""
    parts = stem.split("-")
    return "/".join("-".join(parts[: count + 1]) + ".slice" for count in range(len(parts)))


def parse_show(text: str) -> list[dict[str, str]]:
    """Reads what ``systemctl show`` prints of several units: a block of ``Property=value`` each."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return [dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line) for block in blocks]


def show(systemctl: Run, units: list[str]) -> list[dict[str, str]]:
    """Asks systemd about units, in their order."""
    if not units:
        return []
    properties = "Id,LoadState,ActiveState,ControlGroup,Slice,Restart"
    code, out, err = systemctl(["show", "-p", properties, "--", *units])
    found = parse_show(out)
    if code or len(found) != len(units):
        raise RefusedError(
            f"systemctl show {' '.join(units)} failed with {code}: {(err or out).strip()}; is systemd PID 1?"
        )
    return found


def find_services(systemctl: Run, names: list[str], node: str) -> dict[str, dict[str, Any]]:
    """Looks services up: ``{name as given: {unit, cgroup, hold}}``; raises RefusedError for those not to be touched."""
    for name in names:
        suffix = name.rpartition(".")[2]
        if not UNIT.fullmatch(name) or suffix in ("socket", "slice", "scope", "target", "timer", "mount", "device"):
            raise RefusedError(f"service {name!r}: expected the name of a systemd service, such as redis-server")
    units = [name if name.endswith(".service") else f"{name}.service" for name in names]
    own, _ = ancestors()
    found = {}
    for name, unit in zip(names, show(systemctl, units)):
        if unit["LoadState"] != "loaded":
            raise RefusedError(
                f"{node} has no service {name} (systemd: {unit['LoadState']}); see systemctl list-unit-files"
            )
        if unit["Id"] in own or HANDS.fullmatch(unit["Id"][: -len(".service")]):
            raise RefusedError(
                f"refused: {name} ({unit['Id']}) is how this node is reached or kept running, and a fault there could "
                "not be ended from outside; name the database's services"
            )
        path = unit["ControlGroup"].strip("/") or f"{slice_path(unit['Slice'])}/{unit['Id']}".strip("/")
        found[name] = {"unit": unit["Id"], "cgroup": path, "hold": unit["Restart"] != "no"}
    return found


def check_processes(names: list[str]) -> None:
    """Raises RefusedError for names of processes that must not be touched."""
    _, own = ancestors()
    for name in names:
        if not name or "/" in name or "\n" in name:
            raise RefusedError(f"process {name!r}: expected a name as ps -o comm= shows it, such as redis-server")
        if name[:15] in own or HANDS.fullmatch(name):
            raise RefusedError(
                f"refused: {name} is among the processes by which this node is reached; name the database's processes"
            )
