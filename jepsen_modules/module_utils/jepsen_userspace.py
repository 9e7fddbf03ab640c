"""The back end ``userspace`` of shaping: rules of nftables around an NFQUEUE, and a program at it as a systemd unit.

It shapes at the listener, as packets come in: what is held at a sender stays charged to the sender's socket, and TCP
is slowed down far more than by the delay that was asked for.

Two queues take turns: a new program is at the one before the rules lead there, and only then the old program is told
to end, so that neither packets nor a fault are lost in between.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import os
import sys
import time
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable

from ansible.module_utils import jepsen_chance, jepsen_nfqueue, jepsen_shaper
from ansible.module_utils.jepsen_nfqueue import (
    QUEUE_RULE_ANSWERS,
    NetlinkError,
    ask,
    bind_queue,
    open_netlink,
    queue_rule,
)
from ansible.module_utils.jepsen_nft import Nft, NftError
from ansible.module_utils.jepsen_shape_rules import (
    QUEUE_PREFIX,
    chains_of,
    grace_s,
    removal,
    script,
    slots_of,
    windows_of,
)
from ansible.module_utils.jepsen_shaping import USERSPACE, Backend, Shaped, ShapingError

QUEUES = (19011, 19012)
PROBE_QUEUE = 19013
FOLDER = Path("/run/jepsen")  # tmpfs: gone with a reboot, as the rules are
PROGRAM = FOLDER / "shaper.pyz"
MAIN = "from ansible.module_utils.jepsen_shaper import main\n\nmain()\n"
# How many packets a queue holds: those of the longest delay at the most that the program handles, within these bounds.
PACKETS_PER_S = 50_000
LEAST_SLOTS, MOST_SLOTS = 8192, 131072
TOOL_BOUND_S = 20

# Runs a program with its arguments and standard input: (exit status, output, errors); 127 where there is none.
Run = Callable[[list[str], str], tuple[int, str, str]]


def run_with(module: Any) -> Run:  # noqa: ANN401 - AnsibleModule
    """Returns a function that runs programs of this node, each bounded, in UTC and in English."""

    def run(command: list[str], text: str = "") -> tuple[int, str, str]:
        path = module.get_bin_path(command[0], opt_dirs=["/usr/sbin", "/sbin"])
        if path is None:
            return 127, "", f"{command[0]} is not on this node"
        bounded = ["timeout", "--kill-after=1", str(TOOL_BOUND_S), path, *command[1:]]
        code, out, err = module.run_command(bounded, data=text or None, environ_update={"TZ": "UTC", "LC_ALL": "C"})
        return code, out, err or (f"{command[0]} did not end within {TOOL_BOUND_S} s" if code in (124, 137) else "")

    return run


class Units:
    """The program at a queue, as a transient systemd unit."""

    def __init__(self, run: Run) -> None:
        """Takes a function that runs programs."""
        self._run = run

    @staticmethod
    def _name(queue: int) -> str:
        return f"jepsen-shape-{queue}.service"

    def missing(self) -> str | None:
        """Says why units cannot be made here, None where they can."""
        if not Path("/run/systemd/system").is_dir():
            return "systemd is not running as PID 1, and the program that shapes is a systemd unit"
        code, _, err = self._run(["systemd-run", "--version"], "")
        return None if code == 0 else f"systemd-run does not work: {err.strip()[:200]}"

    def running(self) -> list[int]:
        """Lists the queues that have a unit."""
        queues = []
        for queue in QUEUES:
            code, out, err = self._run(["systemctl", "show", "-p", "ActiveState", "--value", self._name(queue)], "")
            if code == 127 or not Path("/run/systemd/system").is_dir():  # then there cannot be any
                continue
            if code:
                raise ShapingError(f"cannot ask systemd for {self._name(queue)}: {err.strip()[:300]}")
            if out.strip() not in ("inactive", "failed"):
                queues.append(queue)
        return queues

    def start(self, queue: int, command: list[str], longest_s: int | None) -> None:
        """Starts it and waits until it is at the queue; it ends at the latest after so many seconds."""
        self._run(["systemctl", "reset-failed", self._name(queue)], "")  # else a failed one keeps the name
        properties = {
            "Description": "shapes what comes in, for a while",
            "Type": "notify",
            "RuntimeMaxSec": "infinity" if longest_s is None else str(longest_s),
            "TimeoutStartSec": "10",
            "TimeoutStopSec": "5",
            "OOMScoreAdjust": "-900",
        }
        options = [f"--property={name}={value}" for name, value in properties.items()]
        code, out, err = self._run(
            ["systemd-run", "--quiet", "--collect", f"--unit={self._name(queue)}", *options, *command], ""
        )
        if code:
            _, journal, _ = self._run(["journalctl", "-n", "5", "-o", "cat", "-u", self._name(queue)], "")
            said = " ".join((err or out).split())[:300]
            raise ShapingError(
                f"the unit {self._name(queue)} did not start: {said}; its journal: {' '.join(journal.split())[-300:]}"
            )

    def stop(self, queue: int) -> None:
        """Ends it; it lets go of the packets that it holds."""
        code, _, err = self._run(["systemctl", "stop", self._name(queue)], "")
        if code and "not loaded" not in err:
            raise ShapingError(f"cannot stop {self._name(queue)}: {err.strip()[:300]}; `systemctl kill` it")


def program_bytes() -> bytes:
    """Packs the program and what it imports, as a zip that Python runs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", MAIN)
        for package in ("ansible", "ansible/module_utils"):
            archive.writestr(f"{package}/__init__.py", "")
        for module in (jepsen_chance, jepsen_nfqueue, jepsen_shaper):
            name = module.__name__.rpartition(".")[2]
            archive.writestr(f"ansible/module_utils/{name}.py", inspect.getsource(module))
    return file.getvalue()


def write_program() -> None:
    """Writes the program to where it is run from, in one step: one that runs keeps its own."""
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    written = PROGRAM.with_suffix(f".{os.getpid()}")
    written.write_bytes(program_bytes())
    written.replace(PROGRAM)


def plan_of(windows: list[Shaped], queue: int) -> dict[str, Any]:
    """Writes what the program must know, as ``jepsen_shaper.Shaper`` takes it."""
    planned = [
        {
            "slot": slot,
            "from_s": window.from_s,
            "until_s": window.until_s,
            "grace_s": grace_s(window.shape),
            "shape": {name: value for name, value in asdict(window.shape).items() if value},
        }
        for window, slot in zip(windows, slots_of(windows))
    ]
    peers = {address: peer for window in windows for peer, some in window.peers.items() for address in some}
    ends = [None if window["until_s"] is None else window["until_s"] + window["grace_s"] for window in planned]
    longest_s = max((w.shape.delay_ms + 4 * w.shape.jitter_ms) / 1000 for w in windows)
    return {
        "queue": queue,
        "slots": min(MOST_SLOTS, max(LEAST_SLOTS, math.ceil(PACKETS_PER_S * longest_s))),
        "end_s": None if None in ends else max(end for end in ends if end is not None),
        "peers": peers,
        "windows": planned,
    }


class Userspace(Backend):
    """Shapes with nftables and the program, where the kernel has no netem."""

    name = USERSPACE

    def __init__(self, run: Run, units: Units | None = None) -> None:
        """Takes a function that runs programs (``run_with``); systemd's units, unless others are given."""
        self._run = run
        self._nft = Nft(lambda arguments, text: run(["nft", *arguments], text))
        self._units = units or Units(run)

    def missing(self) -> str | None:
        """Says why this node cannot use it, None where it can; what is tried is not committed."""
        code, _, err = self._run(["nft", "--version"], "")
        if code:
            return f"nft does not work: {err.strip()[:200]}; install the Debian package nftables"
        try:
            if not self._own_queue():
                self._queue_rule(PROBE_QUEUE, commit=False)
            with contextlib.closing(open_netlink()) as link:
                bind_queue(link, PROBE_QUEUE, 16)
        except (NetlinkError, OSError) as error:
            return f"this kernel cannot hand packets to a program (nfnetlink_queue, nft_queue or xt_NFQUEUE): {error}"
        return self._units.missing()

    def found(self) -> list[dict[str, Any]]:
        """Reads back the windows, with ``counts_by_peer`` and ``program``: whether it runs."""
        running = bool(self._units.running())
        return [{**window, "program": running} for window in windows_of(self._listing())]

    def arm(self, windows: list[Shaped], controllers: list[str], *, check: bool) -> None:
        """Puts these windows in the place of those that are armed, in one step; ``check`` only tries.

        Raises:
            ShapingError: it did not work, and what was armed before is as it was.
        """
        if not windows:
            if not check:
                self.end()
            return
        missing = self._units.missing()
        if missing:
            raise ShapingError(f"cannot shape on this node: {missing}")
        running, chains, own_queue = self._units.running(), chains_of(self._listing()), self._own_queue()
        queue = self._free_queue(running, chains)
        text = script(windows, controllers, queue, chains, own_queue=own_queue)
        self._try(text, queue, own_queue=own_queue)
        if check:
            return
        self._start(windows, queue, again=queue in running)
        try:
            if not own_queue:
                self._queue_rule(queue, commit=True)
            self._nft.commit(text)
        except (NetlinkError, NftError) as error:
            self._units.stop(queue)
            if f"{QUEUE_PREFIX}{queue}" not in chains:
                self._run(["nft", "delete", "chain", "inet", "jepsen", f"{QUEUE_PREFIX}{queue}"], "")
            raise ShapingError(f"cannot commit the rules that shape; nothing else was changed: {error}") from error
        for old in set(running) - {queue}:
            self._units.stop(old)

    def _start(self, windows: list[Shaped], queue: int, *, again: bool) -> None:
        if again:  # one of an earlier time, to whose queue no rule leads
            self._units.stop(queue)
        plan = plan_of(windows, queue)
        longest_s = None if plan["end_s"] is None else math.ceil(plan["end_s"] - time.time()) + 5
        write_program()
        self._units.start(queue, [sys.executable, str(PROGRAM), jepsen_shaper.pack(plan)], longest_s)

    def end(self) -> list[str]:
        """Removes all of it and says what it removed."""
        removed = []
        chains = chains_of(self._listing())
        if "shape" in chains:  # nothing more goes in; then what is held comes out; only then the hooks go away
            self._commit("flush chain inet jepsen shape\n")
        for queue in self._units.running():
            self._units.stop(queue)
            removed.append(f"stop the program at queue {queue}")
        if chains:
            self._commit(removal(chains))
            removed.append(f"delete the chains {' '.join(chains)}")
        if PROGRAM.exists():
            PROGRAM.unlink()
            removed.append(f"delete {PROGRAM}")
        with contextlib.suppress(OSError):  # others may have something in it
            FOLDER.rmdir()
        return removed

    def left(self) -> list[str]:
        """Looks for what is still there after ``end``."""
        left = [f"the program at queue {queue}" for queue in self._units.running()]
        left += [f"the chain {chain} of inet jepsen" for chain in chains_of(self._listing())]
        return left + ([str(PROGRAM)] if PROGRAM.exists() else [])

    def _listing(self) -> str | None:
        try:
            return self._nft.read()
        except NftError as error:
            raise ShapingError(str(error)) from error

    def _commit(self, text: str) -> None:
        try:
            self._nft.commit(text)
        except NftError as error:
            raise ShapingError(str(error)) from error

    def _own_queue(self) -> bool:
        """Finds out by trying whether nft's own statement ``queue`` works here."""
        text = f"table inet jepsen_probe {{\n chain c {{\n queue num {PROBE_QUEUE} bypass\n }}\n}}\n"
        return self._run(["nft", "-c", "-f", "-"], text)[0] == 0

    @staticmethod
    def _free_queue(running: list[int], chains: list[str]) -> int:
        led_to = [queue for queue in QUEUES if f"{QUEUE_PREFIX}{queue}" in chains]
        for taken in (set(led_to) | set(running), set(led_to)):
            free = [queue for queue in QUEUES if queue not in taken]
            if free:
                return free[0]
        return QUEUES[0]

    def _try(self, text: str, queue: int, *, own_queue: bool) -> None:
        stand_in = "" if own_queue else f"add table inet jepsen\nadd chain inet jepsen {QUEUE_PREFIX}{queue}\n"
        try:
            self._nft.check(stand_in + text)
        except NftError as error:
            raise ShapingError(str(error)) from error

    @staticmethod
    def _queue_rule(queue: int, *, commit: bool) -> None:
        with contextlib.closing(open_netlink()) as link:
            batch = queue_rule("jepsen", f"{QUEUE_PREFIX}{queue}", queue, commit=commit)
            ask(link, batch, QUEUE_RULE_ANSWERS, f"cannot make a rule that hands packets to queue {queue}")
