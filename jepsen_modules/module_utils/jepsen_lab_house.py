"""The lab as a whole: looking at what is there, bringing it up, taking it down."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ansible.module_utils import jepsen_lab_cgroups as cgroups
from ansible.module_utils import jepsen_lab_network as network
from ansible.module_utils import jepsen_lab_nodes as nodes
from ansible.module_utils.jepsen_lab_plan import CACHE, STATE, Lab, LabError
from ansible.module_utils.jepsen_lab_preflight import check_subnet
from ansible.module_utils.jepsen_lab_run import start

if TYPE_CHECKING:
    from pathlib import Path

    from ansible.module_utils.jepsen_lab_plan import Node

PLAN = STATE / "lab.json"  # written last: where it is, the lab was whole once
PROXY = "proxy"  # the proxy's cgroup
PATIENCE_S = 5  # for a node that runs and does not answer; it may be rebooting


@dataclass(frozen=True)
class Found:
    """What is there of a wanted lab.

    Attributes:
        whole: Whether the lab's network, proxy and disks are there, so that nodes only need power.
        off: The nodes that are off or do not answer.
    """

    whole: bool
    off: list[Node] = field(default_factory=list)

    def needed(self) -> list[str]:
        """What is to be done to have the lab up, one phrase each."""
        if not self.whole:
            return ["built the lab"]
        return [f"powered on {' '.join(node.name for node in self.off)}"] if self.off else []


def look(lab: Lab) -> Found:
    """Looks for a lab.

    Raises:
        LabError: A lab is up that is not the wanted one.
    """
    present = _plan()
    if present is None or not network.intact() or not cgroups.processes(PROXY):
        return Found(whole=False)
    alive = [node for node in present.nodes if nodes.supervised(node)]
    if alive and present != lab:
        raise LabError(
            f"A lab is up with {'; '.join(present.differences(lab))}. Take it down first (playbooks/lab_down.yml)."
        )
    silent = nodes.wait_for_ssh(alive, timeout_s=PATIENCE_S)
    return Found(whole=present == lab, off=[node for node in present.nodes if node not in alive or node in silent])


def bring_up(lab: Lab, found: Found, image: Path, programs: Path, timeout_s: float) -> list[str]:
    """Does what is needed to have the lab up.

    Returns:
        What was done, one phrase each.

    Raises:
        LabError: It could not be done; no process of a new lab is left.
    """
    if not found.needed():
        return []
    if found.whole:
        for node in found.off:
            cgroups.end(node.name)
            nodes.power_on(lab, node, programs / "run_node.sh")
        if not nodes.wait_for_ssh(found.off, timeout_s=timeout_s):
            return found.needed()
    done = ["cleared away what was left of a lab"] if STATE.exists() else []
    take_down()
    _build(lab, image, programs, timeout_s)
    return [*done, "built the lab"]


def remains() -> bool:
    """Whether there is anything of a lab on this machine."""
    return any((STATE.exists(), network.intact(), cgroups.exist()))


def take_down() -> None:
    """Ends and removes the lab, or whatever is left of one; nothing is left to be done twice."""
    present = _plan()
    if present:
        nodes.end_connections(present.nodes)
    cgroups.end()
    network.remove()
    _erase()


def _build(lab: Lab, image: Path, programs: Path, timeout_s: float) -> None:
    """Builds a lab where there is none."""
    check_subnet(lab.network)
    _prune(lab, image)
    STATE.mkdir(parents=True)
    try:
        nodes.IMAGE.symlink_to(image)
        network.build(lab)
        _start_proxy(lab, programs / "package_proxy.py")
        nodes.make_keys(lab)
        for node in lab.nodes:
            nodes.make_disk(lab, node)
            nodes.power_on(lab, node, programs / "run_node.sh")
        nodes.must_answer(lab.nodes, timeout_s=timeout_s)
    except BaseException:  # Ctrl-C and a full disk as well
        take_down()
        raise
    (STATE / "inventory.yml").write_text(lab.inventory(), encoding="utf-8")
    unfinished = PLAN.with_suffix(".part")
    unfinished.write_text(lab.to_json(), encoding="utf-8")
    unfinished.rename(PLAN)


def _prune(lab: Lab, image: Path) -> None:
    """Removes older images of the release; no lab is up that could lie over one."""
    for other in image.parent.glob(f"{lab.release}-*"):
        if other != image:
            shutil.rmtree(other)


def _start_proxy(lab: Lab, program: Path) -> None:
    """Starts the package proxy with a socket that listens in the lab; its own way out is the host's."""
    origins = {f"{url.scheme}://{url.netloc}" for url in map(urlsplit, (lab.mirror, lab.security_mirror))}
    with network.listen_for_proxy(lab) as server:
        fd = server.fileno()
        command = [sys.executable, "-I", str(program), str(fd), str(CACHE / "packages"), *sorted(origins)]
        start([*cgroups.inside(PROXY), *command], STATE / "proxy.log", pass_fds=[fd])


def _plan() -> Lab | None:
    """The plan of the lab that is there, or None if there is none or it never was whole."""
    try:
        return Lab.from_json(PLAN.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _erase() -> None:
    """Removes the state folder; the kernel lets go of dead nodes' disks a moment after their end."""
    deadline = time.monotonic() + 10
    while STATE.exists():
        try:
            shutil.rmtree(STATE)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"{error.filename} could not be removed: {error.strerror}.") from None
            time.sleep(0.05)
    with suppress(OSError):  # absent, or somebody else's as well
        STATE.parent.rmdir()
