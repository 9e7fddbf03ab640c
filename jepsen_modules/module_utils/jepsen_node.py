"""What the modules of the faults share on a node: their common arguments, and the tools that they run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable

from ansible.module_utils.jepsen_window import RefusedError

# A tool that does not come back is ended, and the task fails.
TOOL_BOUND_S = 10

NODE_ARGUMENTS: dict[str, dict[str, Any]] = {
    "nodes": {"type": "list", "elements": "str", "required": True},
    "node": {"type": "str", "required": True},
    "addresses": {"type": "dict", "default": {}},
}


def tool(module: Any, name: str, package: str) -> Callable[..., tuple[int, str, str]]:  # noqa: ANN401 - AnsibleModule
    """Finds a program on this node.

    Returns:
        A function that runs it with arguments and standard input, bounded by ``TOOL_BOUND_S``, in UTC and in English:
        ``(exit status, output, errors)``.

    Raises:
        RefusedError: it is not there. What does not need it (other kinds of faults, in a heal) goes on.
    """
    path = module.get_bin_path(name, opt_dirs=["/usr/sbin", "/sbin"])
    if path is None:
        raise RefusedError(
            f"{name} is not on this node; install the Debian package {package} (playbooks/base.yml does)"
        )

    def run(arguments: list[str], text: str = "") -> tuple[int, str, str]:
        command = ["timeout", "--kill-after=1", str(TOOL_BOUND_S), path, *arguments]
        code, out, err = module.run_command(command, data=text or None, environ_update={"TZ": "UTC", "LC_ALL": "C"})
        return code, out, err or (f"{name} did not end within {TOOL_BOUND_S} s" if code in (124, 137) else "")

    return run


def given_addresses(parameters: dict[str, Any]) -> dict[str, list[str]]:
    """Reads ``addresses``: ``{node: address, or list of addresses}``, without those that the inventory leaves empty."""
    given = {}
    for node, some in (parameters["addresses"] or {}).items():
        listed = some if isinstance(some, list) else [some]
        given[node] = [str(address) for address in listed if address]
    return given


def check_node(parameters: dict[str, Any]) -> str | None:
    """Says what is wrong with ``node`` and ``nodes``, None if nothing is."""
    if parameters["node"] in parameters["nodes"]:
        return None
    return f"node is {parameters['node']!r}, which is not among nodes ({' '.join(parameters['nodes'])})"


def boot() -> tuple[str, int]:
    """Says which start of this node it is, and when it was, nanoseconds since the epoch by the clock now.

    A container starts under a kernel that goes on, so the identifier has the begin of process 1 in it, too.
    """
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    ticks = int(Path("/proc/1/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])
    up_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return f"{kernel}-{ticks}", time.time_ns() - round(up_s * 1e9)
