"""Keeps the programs in a cgroup from the host's devices, by each of the kernel's two ways.

A node's root may mount a device file system and make device nodes; what counts is that it cannot open them. Where
systemd runs the lab it does all this itself (DevicePolicy=closed).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import TYPE_CHECKING

from ansible.module_utils.jepsen_lab_plan import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Major and minor numbers of null, zero, full, random, urandom, tty, console, ptmx and tun; of all pts.
HARMLESS = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (10, 200))
TERMINALS = 136

SYS_BPF = {"x86_64": 321, "aarch64": 280}
PROG_LOAD, PROG_ATTACH = 5, 8
TYPE_CGROUP_DEVICE, ATTACH_CGROUP_DEVICE = 15, 6
ALLOW_MULTI = 2  # beside the programs that a node's own systemd attaches further down


def close(groups: Sequence[Path]) -> None:
    """Takes all devices but the harmless ones away from the programs of a cgroup.

    Args:
        groups: The cgroup's folder in each hierarchy.

    Raises:
        LabError: The kernel refuses.
    """
    old = [group for group in groups if (group / "devices.deny").exists()]
    for group in old:
        (group / "devices.deny").write_text("a", encoding="ascii")
        rules = [f"c {major}:{minor} rwm" for major, minor in HARMLESS]
        for rule in (*rules, f"c {TERMINALS}:* rwm", "c *:* m", "b *:* m"):
            (group / "devices.allow").write_text(rule, encoding="ascii")
    if not old:
        for group in groups:
            _attach(group, _program())


def _program() -> bytes:
    """A BPF program that says 1 to a harmless device or to making a node, and 0 to anything else.

    Its argument is `struct bpf_cgroup_dev_ctx` of linux/bpf.h: access << 16 | type, major, minor, 32 bits each.
    """
    load, shift, mask, equal, differs = 0x61, 0x77, 0x57, 0x15, 0x55  # opcodes of the instructions below
    code = [
        (load, 2, 1, 0, 0),  # r2 = access and type
        (load, 4, 1, 4, 0),  # r4 = major
        (load, 5, 1, 8, 0),  # r5 = minor
        (0xBF, 3, 2, 0, 0),  # r3 = r2
        (shift, 3, 0, 0, 16),  # r3 = access: 1 make, 2 read, 4 write
        (mask, 2, 0, 0, 0xFFFF),  # r2 = type: 1 block, 2 character
    ]
    tests = [(equal, 3, 1), (differs, 2, 2), (equal, 4, TERMINALS)]
    end = len(code) + len(tests) + 2 * len(HARMLESS)  # where "no" stands; "yes" is two further on
    for opcode, register, value in tests:
        target = end if opcode == differs else end + 2
        code.append((opcode, register, 0, target - len(code) - 1, value))
    for major, minor in HARMLESS:
        code.append((differs, 4, 0, 1, major))
        code.append((equal, 5, 0, end + 2 - len(code) - 1, minor))
    for answer in (0, 1):
        code += [(0xB7, 0, 0, 0, answer), (0x95, 0, 0, 0, 0)]  # r0 = answer; exit
    return b"".join(
        struct.pack("<BBhi", op, source << 4 | target, jump, value) for op, target, source, jump, value in code
    )


def _attach(group: Path, program: bytes) -> None:
    """Loads a program and ties it to a cgroup, where it stays until the cgroup goes."""
    code, licence = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack(
        "<IIQQ", TYPE_CGROUP_DEVICE, len(program) // 8, ctypes.addressof(code), ctypes.addressof(licence)
    )
    loaded = _bpf(PROG_LOAD, load.ljust(128, b"\0"))
    directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _bpf(PROG_ATTACH, struct.pack("<IIII", directory, loaded, ATTACH_CGROUP_DEVICE, ALLOW_MULTI))
    finally:
        os.close(directory)
        os.close(loaded)


def _bpf(command: int, attributes: bytes) -> int:
    """The system call bpf(2)."""
    number = SYS_BPF.get(platform.machine())
    if number is None:
        raise LabError(f"The lab does not know how to keep nodes from the host's disks on {platform.machine()}.")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(number, command, ctypes.create_string_buffer(attributes), len(attributes))
    if result < 0:
        raise LabError(
            "The kernel does not let the lab keep nodes from the host's disks "
            f"(bpf: {os.strerror(ctypes.get_errno())}); it needs CONFIG_CGROUP_BPF, or systemd as init."
        )
    return result
