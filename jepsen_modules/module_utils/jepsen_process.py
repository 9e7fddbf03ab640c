"""Faults of processes, killed or paused for a time, as one kind of fault: arming, reading back, ending.

A plan in ``/run/jepsen/process`` says what is to happen when; transient timers start jepsen_settle.py shortly before
every begin and end, and that does it. Nothing else runs, and nothing of it outlives a reboot.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Iterator

from ansible.module_utils import jepsen_settle as program
from ansible.module_utils.jepsen_node import NODE_ARGUMENTS, check_node, tool
from ansible.module_utils.jepsen_target import TargetError, resolve_targets
from ansible.module_utils.jepsen_window import (
    SECOND_NS,
    WINDOW_OPTIONS,
    RefusedError,
    bounds_from_now,
    check_windows,
    refuse_forbidden,
    running,
)

KIND = "process"
BACKEND = "systemd timers"
FOLDER = Path("/run/jepsen/process")
UNITS = "jepsen-process-"
LOCK_BOUND_S = 15
BEGIN_BOUND_S = 10
UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,200}")
# Without these nobody comes in again, or nothing ends by itself.
HANDS = re.compile(
    r"(ssh|sshd|dropbear|dbus|dbus-broker|systemd-.*|init|systemd|networking|NetworkManager|user@.*|sshd?@.*|jepsen-.*)"
)

Run = Callable[..., "tuple[int, str, str]"]

FAULT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "faults_allowed": {"type": "dict", "default": {}},
    "controllers": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "dict", "default": {}},
    "primaries": {"type": "list", "elements": "str"},
    "target": {"type": "raw"},
    "seed": {"type": "int", "default": 0},
    "services": {"type": "list", "elements": "str", "default": []},
    "processes": {"type": "list", "elements": "str", "default": []},
    "duration_s": {"type": "str", "default": "600"},
    "restart": {"type": "bool", "default": True},
    "how": {"type": "str", "choices": ["freezer", "signal"]},
}


def arguments(action: str) -> dict[str, dict[str, Any]]:
    """The arguments of the module that kills, or of the one that pauses."""
    window = {
        **WINDOW_OPTIONS,
        "until_ns": {"type": "int", "required": True},
        "action": {"type": "str", "choices": ["kill", "pause"], "default": action},
        "nodes_hit": {"type": "list", "elements": "str", "required": True},
        "services": FAULT_ARGUMENTS["services"],
        "processes": FAULT_ARGUMENTS["processes"],
        "restart": FAULT_ARGUMENTS["restart"],
        "how": FAULT_ARGUMENTS["how"],
    }
    other = "how" if action == "kill" else "restart"
    return {
        **NODE_ARGUMENTS,
        **{name: option for name, option in FAULT_ARGUMENTS.items() if name != other},
        "name": {"type": "str", "default": f"{action}-1"},
        "windows": {"type": "list", "elements": "dict", "options": window},
    }


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


def check_window(window: dict[str, Any], nodes: list[str]) -> None:
    """Raises RefusedError for what a window says besides its name and bounds; fills in ``how``."""
    name, stranger = window["name"], [node for node in window["nodes_hit"] if node not in nodes]
    if stranger:
        raise RefusedError(f"window {name} is to hit {stranger[0]!r}, which is not among nodes ({' '.join(nodes)})")
    if not window["services"] and not window["processes"]:
        raise RefusedError(f"window {name} says neither services nor processes; name what to {window['action']}")
    if window["action"] == "kill":
        window["how"] = None
        if window["processes"] and window["restart"]:
            raise RefusedError(
                f"window {name}: processes cannot be started again by their names; name services, or say restart: false"
            )
        return
    window["restart"] = None
    window["how"] = window["how"] or ("signal" if window["processes"] else "freezer")
    if window["how"] == "freezer" and window["processes"]:
        raise RefusedError(f"window {name}: the freezer takes services; name services, or say how: signal")


def asked_windows(parameters: dict[str, Any], action: str, now_ns: int) -> list[dict[str, Any]]:
    """The windows that were asked for: given as a list, or the one that begins now."""
    services, processes = parameters["services"], parameters["processes"]
    if parameters["windows"] is not None:
        windows = [dict(window) for window in parameters["windows"]]
        for window in windows:
            if not window["services"] and not window["processes"]:
                window.update(services=services, processes=processes)
    else:
        hit = resolve_targets(
            parameters["target"] or "all",
            parameters["nodes"],
            parameters["groups"],
            parameters["primaries"],
            parameters["seed"],
        )
        more = {"restart": parameters.get("restart"), "how": parameters.get("how"), "nodes_hit": hit}
        bounds = bounds_from_now(parameters["duration_s"], now_ns)
        one = {"name": parameters["name"], "action": action, "services": services, "processes": processes}
        windows = [{"title": f"{' '.join(services or processes)} on {' '.join(hit)}", **one, **more, **bounds}]
    check_windows(windows, now_ns)
    for window in windows:
        check_window(window, parameters["nodes"])
    return windows


def identity(window: dict[str, Any]) -> str:
    """What makes a window the same one: all but its title and its end."""
    what = [window[key] for key in ("name", "from_ns", "action", "how", "restart", "services", "processes")]
    return json.dumps(what, sort_keys=True)


def part_of(systemctl: Run, windows: list[dict[str, Any]], node: str) -> list[dict[str, Any]]:
    """This node's part of the windows, as the plan has it."""
    mine = [window for window in windows if node in window["nodes_hit"]]
    known = find_services(systemctl, list(dict.fromkeys(s for window in mine for s in window["services"])), node)
    check_processes([name for window in mine for name in window["processes"]])
    if any(window["how"] == "freezer" for window in mine) and program.systemd_root() != program.v2_root():
        raise RefusedError(f"{node} has no freezer for services (cgroup version 2 is not mounted); say how: signal")
    keys = ("name", "title", "action", "how", "restart", "processes", "from_ns", "until_ns")
    part = []
    for window in mine:
        entry = {key: window[key] for key in keys}
        entry["services"] = list({known[s]["unit"]: known[s] for s in window["services"]}.values())
        part.append({**entry, "id": identity(entry)})
    return part


def keep_begin(window: dict[str, Any], plan: list[dict[str, Any]], now_ns: int) -> None:
    """Lets a window that is open just so, and only ends at another time, keep its begin: the fault goes on."""
    for old in plan:
        if program.open_now(old, now_ns) and identity({**window, "from_ns": old["from_ns"]}) == old["id"]:
            window.update(from_ns=old["from_ns"], id=old["id"])


def own_units(systemctl: Run) -> list[str]:
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


def start_timer(systemd_run: Run, plan: list[dict[str, Any]], now_ns: int) -> str:
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


class NotBegunError(RefusedError):
    """The plan is in force, and what was due at once did not happen."""


def describe(plan: list[dict[str, Any]]) -> str:
    """The plan as text, a line a window."""
    return "".join(f"{sentence(window)}\n" for window in plan)


def sentence(window: dict[str, Any]) -> str:
    """One window in words."""
    names = " ".join([service["unit"] for service in window["services"]] + window["processes"])
    how = f"pause {names} by {window['how']}" if window["action"] == "pause" else f"kill {names}"
    again = {True: ", and start again", False: ", and not start again", None: ""}[window["restart"]]
    clock = [
        "for ever" if bound is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bound // SECOND_NS))
        for bound in (window["from_ns"], window["until_ns"])
    ]
    return f"{window['name']}: {how} {' to '.join(clock)}{again}"


def arm(module: Any, action: str) -> dict[str, Any]:  # noqa: ANN401 - AnsibleModule
    """Does the work of jepsen_kill and jepsen_pause: a list of windows replaces all, a single one that of its name."""
    now_ns = time.time_ns()
    wrong = check_node(module.params)
    if wrong:
        raise RefusedError(wrong)
    refuse_forbidden(module.params)
    try:
        windows = asked_windows(module.params, action, now_ns)
    except TargetError as error:
        raise RefusedError(str(error)) from error
    systemctl = tool(module, "systemctl", "systemd")
    found_plan = read_plan()
    wanted = part_of(systemctl, windows, module.params["node"])
    if module.params["windows"] is None:
        for window in wanted:
            keep_begin(window, found_plan, now_ns)
        wanted = [window for window in found_plan if window["name"] != module.params["name"]] + wanted
    old = {window["name"]: window for window in found_plan}
    new = {window["name"]: window for window in wanted}
    actions = [f"end {sentence(window)}" for name, window in old.items() if name not in new]
    actions += [f"arm {sentence(window)}" for name, window in new.items() if window != old.get(name)]
    if not actions and wake_ups(wanted, now_ns) and not any(u.endswith(".timer") for u in own_units(systemctl)):
        actions = ["renew the timers, which are gone"]
    if actions and not module.check_mode:
        commit(module, wanted, now_ns)
    return {
        "changed": bool(actions),
        "actions": actions,
        "windows": windows,
        "backend": BACKEND,
        "started_at_ns": now_ns,
        "applied_at_ns": time.time_ns() if actions and not module.check_mode else None,
        "diff": {"before": describe(found_plan), "after": describe(wanted)},
    }


def read_plan() -> list[dict[str, Any]]:
    """The plan in force; RefusedError where somebody else wrote into it."""
    try:
        return program.read_plan(FOLDER)
    except (ValueError, OSError) as error:
        raise RefusedError(f"{FOLDER}/plan.json cannot be read: {error}; run jepsen_heal, then try again") from error


def counts_of(
    window: dict[str, Any], notes: list[dict[str, Any]], states: dict[str, str], now_ns: int
) -> dict[str, Any]:
    """What a window did, from the notes, and what runs, from systemd."""
    mine = {note["event"]: note for note in notes if note["id"] == window["id"]}
    start, stop = mine.get("begin"), mine.get("end")
    if start is None:
        return {"processes": 0, "missed": "missed" in mine}
    counts: dict[str, Any] = {
        "processes": sum(start["hit"].values()),
        "begun_at_ns": start["at_ns"],
        "begin_late_s": (start["at_ns"] - window["from_ns"]) / 1e9,
        "ended_at_ns": stop["at_ns"] if stop else None,
    }
    if window["action"] == "pause":
        counts["stopped_s"] = ((stop["at_ns"] if stop else now_ns) - start["at_ns"]) / 1e9
    else:
        counts["killed"] = counts["processes"]
        counts["restarted"] = sum(states.get(u) == "active" for u in start.get("owed", [])) if stop else 0
    errors = [note["error"] for note in mine.values() if note.get("error")]
    return {**counts, **({"error": errors[0]} if errors else {})}


def found(module: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - AnsibleModule
    """The windows on this node, with what they did; RefusedError if that cannot be told, or nothing would end them."""
    plan, notes, now_ns = read_plan(), program.read_done(FOLDER), time.time_ns()
    if not plan:
        return []
    systemctl = tool(module, "systemctl", "systemd")
    units = sorted({service["unit"] for window in plan for service in window["services"]})
    states = {unit["Id"]: unit["ActiveState"] for unit in show(systemctl, units)}
    if wake_ups(plan, now_ns) and not own_units(systemctl):
        raise RefusedError("the timers of process faults are gone, so that nothing ends them; run jepsen_heal")
    return [
        {
            "kind": KIND,
            **running(window, now_ns),
            "peers": {},
            "services": [service["unit"] for service in window["services"]],
            "counts": counts_of(window, notes, states, now_ns),
            "backend": window["how"] or "SIGKILL",
        }
        for window in plan
    ]


def resume_now(note: dict[str, Any]) -> list[str]:
    """Lets all that one pause stopped go on, whatever other windows say; returns what stands still all the same."""
    still = []
    names = [service["unit"] for service in note["services"]] + note["processes"]
    for name, target in zip(names, program.targets(note)):
        if name in note.get("foreign", []):
            continue
        try:
            program.resume(target, note["how"])
        except OSError as error:
            still.append(f"{name} ({error})")
            continue
        if note["how"] == "freezer" and program.is_frozen(target[1]):
            still.append(name)
    return still


def end(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    """Ends all of it: timers gone, the paused run, the killed that were to be started again are started."""
    systemctl = tool(module, "systemctl", "systemd")
    units, held = own_units(systemctl), sorted(program.DROP_INS.glob(f"*.d/{program.NO_RESTART}"))
    notes = list(program.begun(program.read_done(FOLDER)).values())
    pauses = [note for note in notes if note["action"] == "pause"]
    kills = [note for note in notes if note["action"] == "kill"]
    owed = list(dict.fromkeys(u for note in kills if note["restart"] for u in note.get("owed", [])))
    said = [f"end {sentence(note)}" for note in notes]
    said += [f"start {unit}" for unit in owed]
    said += [f"leave {sentence(note)}" for note in kills if not note["restart"] and note.get("owed")]
    said += [f"let systemd restart {path.parent.name[:-2]} again" for path in held]
    said += [f"remove {FOLDER} and {len(units)} units"] if units or FOLDER.exists() else []
    if module.check_mode or not said:
        return said
    if units:
        systemctl(["stop", *units])
        systemctl(["reset-failed", *units])  # fails where none of them did
    with locked():
        still = [name for note in pauses for name in resume_now(note)]
        program.release()
        program.start(owed)
        if still:
            raise RefusedError(f"still paused: {' '.join(still)}; see cat /sys/fs/cgroup/system.slice/*/cgroup.events")
        shutil.rmtree(FOLDER)
    with suppress(OSError):  # other kinds keep things there
        FOLDER.parent.rmdir()
    return said


def left(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    """What is still there, looked up again."""
    there = own_units(tool(module, "systemctl", "systemd"))
    there += [str(path) for path in program.DROP_INS.glob(f"*.d/{program.NO_RESTART}")]
    return there + ([str(FOLDER)] if FOLDER.exists() else [])


def resume(module: Any) -> dict[str, Any]:  # noqa: ANN401 - AnsibleModule
    """Does the work of jepsen_resume: pauses end now, and those to come (of these services, or names) are not armed."""
    now_ns, plan = time.time_ns(), read_plan()
    services = {s if s.endswith(".service") else f"{s}.service" for s in module.params["services"]}
    names, processes = set(module.params["names"]), set(module.params["processes"])

    def meant(window: dict[str, Any]) -> bool:
        hit = {service["unit"] for service in window["services"]} & services or set(window["processes"]) & processes
        return window["action"] == "pause" and (
            not (services or names or processes) or bool(hit) or window["name"] in names
        )

    ending = [w for w in plan if meant(w) and (w["until_ns"] is None or w["until_ns"] > now_ns)]
    kept = [window for window in plan if window not in ending]
    if ending and not module.check_mode:
        commit(module, kept, now_ns)
    return {
        "changed": bool(ending),
        "actions": [f"end {sentence(window)}" for window in ending],
        "windows": [{**window, "services": [s["unit"] for s in window["services"]]} for window in ending],
        "backend": BACKEND,
        "started_at_ns": now_ns,
        "applied_at_ns": time.time_ns() if ending and not module.check_mode else None,
        "diff": {"before": describe(plan), "after": describe(kept)},
    }
