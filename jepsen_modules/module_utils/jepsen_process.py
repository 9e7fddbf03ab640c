"""Faults of processes, killed or paused for a time, as one kind of fault: arming, reading back, ending."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from typing import Any

from ansible.module_utils import jepsen_settle as program
from ansible.module_utils.jepsen_node import check_node, tool
from ansible.module_utils.jepsen_process_plan import FOLDER, commit, locked, own_units, read_plan, wake_ups
from ansible.module_utils.jepsen_process_windows import asked_windows
from ansible.module_utils.jepsen_services import Run, check_processes, find_services, show
from ansible.module_utils.jepsen_window import SECOND_NS, RefusedError, refuse_forbidden, running

KIND = "process"
BACKEND = "systemd timers"


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
    windows = asked_windows(module.params, action, now_ns)
    systemctl = tool(module, "systemctl", "systemd")
    found_plan = read_plan()
    wanted = part_of(systemctl, windows, module.params["node"])
    names = {window["name"] for window in wanted}
    others = [window for window in found_plan if window["name"] not in names]
    if module.params["windows"] is None:
        for window in wanted:
            keep_begin(window, found_plan, now_ns)
        wanted = others + wanted
    else:  # what is over stays for its counts, until somebody heals
        wanted = [window for window in others if (window["until_ns"] or now_ns + 1) <= now_ns] + wanted
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
