"""The plan of process faults on a node: a file in ``/run`` that says what happens when, and one timer that sees to it.

Transient timers start jepsen_settle.py shortly before every begin and end, and that does it. Nothing else runs, and
nothing of it outlives a reboot.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

from ansible.module_utils import jepsen_settle as program
from ansible.module_utils.jepsen_node import tool
from ansible.module_utils.jepsen_window import SECOND_NS, RefusedError

FOLDER = Path("/run/jepsen/process")
UNITS = "jepsen-process-"
LOCK_BOUND_S = 15
BEGIN_BOUND_S = 10


class NotBegunError(RefusedError):
    """The plan is in force, and what was due at once did not happen."""

    changed = True


@contextmanager
def locked() -> Iterator[None]:
    """Holds the plan's lock, which the program takes for every deadline; RefusedError where it is not to be had."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_BOUND_S
    with (FOLDER / "lock").open("w", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RefusedError(
                        f"{FOLDER}/lock was held for {LOCK_BOUND_S} s by somebody else; see fuser {FOLDER}/lock"
                    ) from None
                time.sleep(0.02)
        yield


def read_plan() -> list[dict[str, Any]]:
    """The plan in force; RefusedError where somebody else wrote into it."""
    try:
        return program.read_plan(FOLDER)
    except (ValueError, OSError) as error:
        raise RefusedError(f"{FOLDER}/plan.json cannot be read: {error}; run jepsen_heal, then try again") from error


def own_units(systemctl: Callable[..., tuple[int, str, str]]) -> list[str]:
    """Our transient timers and services that systemd has; none where systemd does not run."""
    if not Path("/run/systemd/system").is_dir():
        return []
    code, out, err = systemctl(["list-units", "--all", "--plain", "--no-legend", "--no-pager", f"{UNITS}*"])
    if code:
        raise RefusedError(f"systemctl list-units failed with {code}: {(err or out).strip()}; is systemd PID 1?")
    return [line.split()[0] for line in out.splitlines() if line.split()]


def wake_ups(plan: list[dict[str, Any]], now_ns: int) -> list[str]:
    """When a timer is to start the program: a little before each begin and end, and then, as systemd writes times."""
    bounds = {bound for window in plan for bound in (window["from_ns"], window["until_ns"]) if bound}
    times = sorted({t for bound in bounds for t in (bound - program.LEAD_NS, bound) if t > now_ns})
    return [time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(t // SECOND_NS)) for t in times]


def start_timer(systemd_run: Callable[..., tuple[int, str, str]], plan: list[dict[str, Any]], now_ns: int) -> str:
    """Makes one timer for all deadlines, with a service of its own; returns their name."""
    name = f"{UNITS}{now_ns}"
    settings = ["Restart=on-failure", "RestartSec=100ms", "StartLimitIntervalSec=0", "TimeoutStopSec=5s"]
    words = ["--quiet", f"--unit={name}", "--description=Begins and ends process faults (jepsen)"]
    words += [f"--property={setting}" for setting in settings]
    calendar = wake_ups(plan, now_ns)
    if calendar:
        words += ["--timer-property=AccuracySec=1ms", *[f"--timer-property=OnCalendar={time}" for time in calendar]]
    command = [sys.executable or "/usr/bin/python3", "-I", "-S", str(FOLDER / "settle.py"), str(FOLDER)]
    code, out, err = systemd_run([*words, "--", *command])
    if code:
        raise RefusedError(f"systemd-run {name} failed with {code}: {(err or out).strip()}; nothing was armed")
    return name


def write(path: Path, text: str) -> None:
    """Puts a file in place as a whole."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def program_text() -> str:
    """The text of jepsen_settle.py, also where Ansible sent it in an archive."""
    return str(program.__loader__.get_source(program.__name__))  # type: ignore[union-attr]


def commit(module: Any, plan: list[dict[str, Any]], now_ns: int) -> None:  # noqa: ANN401 - AnsibleModule
    """Puts the plan in force: its timer first, then it, then the old timers go; so an end is never without one."""
    systemctl = tool(module, "systemctl", "systemd")
    with locked():
        write(FOLDER / "settle.py", program_text())
        old = [unit for unit in own_units(systemctl) if unit.endswith(".timer")]
        name = start_timer(tool(module, "systemd-run", "systemd"), plan, now_ns)
        write(FOLDER / "plan.json", json.dumps(plan, indent=1) + "\n")
        if old:
            systemctl(["stop", *old])
    # At once for what is due now; it was started already where there is nothing to wait for.
    systemctl(["start", "--no-block", f"{name}.service"])
    deadline = time.monotonic() + BEGIN_BOUND_S
    while any(program.steps(plan, program.read_done(FOLDER), time.time_ns())[:2]):
        if time.monotonic() > deadline:
            raise NotBegunError(
                f"what is due now was not done within {BEGIN_BOUND_S} s; see journalctl -u {name}, and run jepsen_heal"
            )
        time.sleep(0.01)
    failed = [n for n in program.read_done(FOLDER) if n["event"] == "begin" and n.get("error") and n["at_ns"] >= now_ns]
    if failed:
        raise NotBegunError(f"{failed[0]['name']} could not be begun: {failed[0]['error']}; run jepsen_heal")
