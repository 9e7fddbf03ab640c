"""The lab's processes, kept and ended by their cgroups.

Every program of the lab runs in a cgroup of its own, `callmaybe/<name>`: a process cannot leave it, so what runs there
is what there is to end, even when the program that started it is long dead. On a host with systemd the cgroup is a
transient scope; elsewhere it is made by hand, in each mounted hierarchy, because a node's systemd needs one in each.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from ansible.module_utils import jepsen_lab_devices as devices
from ansible.module_utils.jepsen_lab_plan import LabError
from ansible.module_utils.jepsen_lab_run import run

GROUP = "callmaybe"
SYSTEMD = Path("/run/systemd/system")  # exists where systemd is the init, says sd_booted(3)

# What the project says of devices in jepsen_lab_devices, as systemd puts it.
SCOPE_DEVICES = ("DevicePolicy=closed", "DeviceAllow=/dev/net/tun rwm", "DeviceAllow=char-pts rw")

# Joins the cgroups named before "--", then becomes the program after it.
JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 70; shift; done; shift; exec "$@"'


def hierarchies() -> list[Path]:
    """Where cgroup hierarchies are mounted: one on a host with cgroup v2 alone, several on older ones."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return list(dict.fromkeys(Path(words[1]) for words in mounts if words[2] in ("cgroup", "cgroup2")))


def unified() -> bool:
    """Whether the host has cgroup v2 alone."""
    return [path for path in hierarchies() if (path / "cgroup.controllers").exists()] == hierarchies()


def inside(name: str, *, guest: bool = False) -> list[str]:
    """Words to put before a command so that it runs in the lab's cgroup of this name.

    Args:
        name: The cgroup's name.
        guest: Whether what runs there may open harmless devices only.
    """
    if SYSTEMD.exists():
        settings = [word for s in ("Delegate=yes", *(SCOPE_DEVICES if guest else ())) for word in ("-p", s)]
        scope = ["systemd-run", "--scope", "--quiet", "--collect", f"--slice={GROUP}", f"--unit={GROUP}-{name}"]
        return [*scope, *settings, "--"]
    groups = [path / GROUP / name for path in hierarchies()]
    for group in groups:
        _make(group)
    if guest:
        devices.close(groups)
    return ["sh", "-c", JOIN, "sh", *map(str, groups), "--"]


def processes(name: str = "") -> set[int]:
    """The processes in one of the lab's cgroups, or in all of them."""
    found: set[int] = set()
    for group in _groups(name):
        for procs in group.glob("**/cgroup.procs"):
            try:
                found.update(map(int, procs.read_text(encoding="ascii").split()))
            except OSError:  # the cgroup went away, and its processes with it
                continue
    return found - {0}  # 0 stands for a process of another PID namespace


def exist() -> bool:
    """Whether there is any cgroup of the lab's."""
    return bool(_groups(""))


def end(name: str = "", *, timeout_s: float = 20) -> None:
    """Kills all processes of one of the lab's cgroups, or of all, and removes the cgroups.

    Raises:
        LabError: Something could not be killed within the bound.
    """
    groups = _groups(name)
    deadline = time.monotonic() + timeout_s
    while left := processes(name):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise LabError(f"Processes of the lab could not be killed within {timeout_s:.0f} s: {_names(left)}.")
        time.sleep(0.01)
    if groups and SYSTEMD.exists():
        # Its slice goes on without its cgroup if that is taken away behind its back.
        run(["systemctl", "stop", f"{GROUP}-{name}.scope" if name else f"{GROUP}.slice"], check=False)
    for group in groups:
        _remove(group, deadline)
        if group.parent.name == GROUP:
            with suppress(OSError):  # others are in it
                group.parent.rmdir()


def _groups(name: str) -> list[Path]:
    """The existing cgroups of this name, one a hierarchy."""
    scope = Path(f"{GROUP}.slice") / (f"{GROUP}-{name}.scope" if name else "")
    paths = [base / tail for base in hierarchies() for tail in (Path(GROUP) / name, scope)]
    return [path for path in paths if path.is_dir()]


def _make(group: Path) -> None:
    """Makes a cgroup and its parent, with what a new one needs before it takes a process."""
    for path in (group.parent, group):
        try:
            path.mkdir()
        except FileExistsError:
            continue
        for knob in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cpuset of cgroup v1, which then takes nobody
            if (path / knob).exists() and not (path / "cgroup.controllers").exists():
                (path / knob).write_text((path.parent / knob).read_text(encoding="ascii"), encoding="ascii")


def _remove(group: Path, deadline: float) -> None:
    """Removes a cgroup and those below it; the kernel may call it busy for a moment after its last process died."""
    inner = sorted((path for path in group.glob("**/") if path != group), key=lambda path: -len(path.parts))
    for path in (*inner, group):
        while path.is_dir():
            try:
                path.rmdir()
            except FileNotFoundError:
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise LabError(f"The cgroup {path} could not be removed: {error.strerror}.") from None
                time.sleep(0.01)


def _names(pids: set[int]) -> str:
    """Process numbers with their programs, for a message."""
    words = []
    for pid in sorted(pids):
        try:
            words.append(f"{pid} ({Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()})")
        except OSError:
            words.append(str(pid))
    return ", ".join(words)
