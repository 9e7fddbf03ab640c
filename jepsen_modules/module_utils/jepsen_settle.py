"""Brings the processes of a node to what the windows say for this moment; runs on the node, as a program of its own.

``python3 jepsen_settle.py FOLDER`` is what a transient timer starts a little before every begin and end. What it does
follows from the plan, from the notes of what was done, and from the clock: so it does not matter how often it runs, how
late, or who died before. An end that is due comes before a begin, and a window that is over is not begun at all.

In the folder, which is below /run and does not outlive a reboot: ``plan.json``, the windows of this node, written by
the modules; ``done.jsonl``, a note for every begin and end, written by this program; ``lock``.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

# The program is awake this long before a deadline, so that neither its start nor systemd's reload are late.
LEAD_NS = 2_000_000_000
SLACK_NS = 500_000_000
SLICE_S = 0.05  # how soon it hears of a new plan, or of a clock that was set
FROZEN_BOUND_S = 1.0
DEAD_BOUND_S = 2.0
TOOL_BOUND_S = 30
END_TRIES_NS = 60_000_000_000
NO_RESTART = "zzz-jepsen-kill.conf"
DROP_INS = Path("/run/systemd/system")


def v2_root() -> Path | None:
    """Where the cgroup v2 hierarchy is mounted, if it is."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    return next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)


def systemd_root() -> Path:
    """The hierarchy in which systemd keeps its units: version 2, or a named one of version 1 on old systems."""
    old = Path("/sys/fs/cgroup/systemd")
    root = v2_root()
    return root if root and (root / "system.slice").exists() else old


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock; the kernel gives it back when the holder dies."""
    with (folder / "lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_plan(folder: Path) -> list[dict[str, Any]]:
    """The windows of this node; none where there is no plan, ValueError where it is not one."""
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    if not isinstance(plan, list) or not all(isinstance(window, dict) and "id" in window for window in plan):
        raise ValueError(f"{folder}/plan.json is not a list of windows")
    return plan


def read_done(folder: Path) -> list[dict[str, Any]]:
    """The notes; a line that a full disk cut short does not hide the others."""
    notes = []
    with suppress(FileNotFoundError):
        for line in (folder / "done.jsonl").read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                notes.append(json.loads(line))
    return [note for note in notes if isinstance(note, dict) and "event" in note]


def open_now(window: dict[str, Any], now_ns: int) -> bool:
    """Whether a window has begun and not ended, by the clock."""
    return window["from_ns"] <= now_ns and (window["until_ns"] is None or now_ns < window["until_ns"])


def begun(notes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The windows that were begun and not ended: ``{id: note of the begin}``."""
    ended = {note["id"] for note in notes if note["event"] == "end"}
    return {note["id"]: note for note in notes if note["event"] == "begin" and note["id"] not in ended}


def steps(
    plan: list[dict[str, Any]], notes: list[dict[str, Any]], now_ns: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """What is due: ``(notes of begins to end, windows to begin, windows that were missed)``."""
    seen = {note["id"] for note in notes}
    planned = {window["id"]: window for window in plan}
    ends = [note for key, note in begun(notes).items() if key not in planned or not open_now(planned[key], now_ns)]
    fresh = [window for window in plan if window["id"] not in seen]
    begins = [window for window in fresh if open_now(window, now_ns)]
    missed = [window for window in fresh if window["until_ns"] is not None and window["until_ns"] <= now_ns]
    return ends, begins, missed


def next_deadline(plan: list[dict[str, Any]], notes: list[dict[str, Any]], now_ns: int) -> int | None:
    """The next begin or end to come; now, where an end is due and could not be done."""
    if steps(plan, notes, now_ns)[0]:
        return now_ns
    bounds = [bound for window in plan for bound in (window["from_ns"], window["until_ns"])]
    return min((bound for bound in bounds if bound is not None and bound > now_ns), default=None)


def targets(window: dict[str, Any]) -> list[tuple[str, str]]:
    """What a window is to hit: ``("unit", cgroup)`` and ``("name", process name)``."""
    return [("unit", service["cgroup"]) for service in window["services"]] + [("name", n) for n in window["processes"]]


def pids_in(cgroup: Path) -> list[int]:
    """All processes of a cgroup and of those below it."""
    found = []
    for folder, _, _ in os.walk(cgroup):
        with suppress(OSError):  # it is gone meanwhile
            found += [int(pid) for pid in Path(folder, "cgroup.procs").read_text(encoding="ascii").split()]
    return found


def pids_named(name: str) -> list[int]:
    """All processes of a name (the kernel keeps 15 bytes of it), but the first one and this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_bytes().rstrip(b"\n") == name.encode()[:15]:
                found.append(int(path.parent.name))
    return [pid for pid in found if pid not in (1, os.getpid())]


def pids_of(target: tuple[str, str]) -> list[int]:
    """All processes of a target."""
    kind, name = target
    return pids_in(systemd_root() / name) if kind == "unit" else pids_named(name)


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal (or is gone)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"T", b"Z", b"X")
    except OSError:
        return True


def send(pids: list[int], number: int) -> None:
    """Sends a signal to all that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(target: tuple[str, str]) -> int:
    """Kills all processes of a target, also those that it makes meanwhile; returns how many there were."""
    counted: set[int] = set(pids_of(target))
    at_once = systemd_root() / target[1] / "cgroup.kill"  # Linux 5.14
    if counted and target[0] == "unit" and at_once.exists():
        at_once.write_text("1", encoding="ascii")
        return len(counted)
    deadline = time.monotonic() + DEAD_BOUND_S
    while time.monotonic() < deadline:
        there = [pid for pid in pids_of(target) if Path(f"/proc/{pid}/exe").exists()]
        if not there:
            break
        counted.update(there)
        send(there, signal.SIGKILL)
        time.sleep(0.001)
    return len(counted)


def freeze(cgroup: str, *, frozen: bool) -> bool:
    """Freezes or thaws a cgroup and waits until the kernel says so; returns whether it does (a cgroup can be gone)."""
    folder = (v2_root() or Path("/nowhere")) / cgroup
    try:
        (folder / "cgroup.freeze").write_text(str(int(frozen)), encoding="ascii")
        deadline = time.monotonic() + FROZEN_BOUND_S
        while f"frozen {int(frozen)}" not in (folder / "cgroup.events").read_text(encoding="ascii"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
    except FileNotFoundError:
        return False
    return True


def is_frozen(cgroup: str) -> bool:
    """Whether somebody asked the kernel to freeze this cgroup."""
    root = v2_root()
    try:
        return bool(root) and (root / cgroup / "cgroup.freeze").read_text(encoding="ascii").strip() == "1"  # type: ignore[operator]
    except OSError:
        return False


def pause(target: tuple[str, str], how: str) -> int:
    """Stops all processes of a target; returns how many stand still."""
    if how == "freezer":
        freeze(target[1], frozen=True)
        return len(pids_in(systemd_root() / target[1]))
    deadline = time.monotonic() + FROZEN_BOUND_S
    moving = [pid for pid in pids_of(target) if not is_stopped(pid)]
    while moving and time.monotonic() < deadline:  # again, since one that was not stopped yet can make others
        send(moving, signal.SIGSTOP)
        time.sleep(0.001)
        moving = [pid for pid in pids_of(target) if not is_stopped(pid)]
    return len([pid for pid in pids_of(target) if is_stopped(pid)])


def resume(target: tuple[str, str], how: str) -> None:
    """Lets a target's processes go on."""
    if how == "freezer":
        if is_frozen(target[1]):
            freeze(target[1], frozen=False)
    else:
        send([pid for pid in pids_of(target) if is_stopped(pid)], signal.SIGCONT)


def systemctl(*words: str) -> None:
    """Runs systemctl; what it says goes to the journal.

    Raises:
        OSError: it failed, or did not come back.
    """
    try:
        subprocess.run(["systemctl", *words], check=True, timeout=TOOL_BOUND_S, stdin=subprocess.DEVNULL)
    except subprocess.SubprocessError as error:
        raise OSError(f"systemctl {' '.join(words)}: {error}") from error


def hold(units: set[str]) -> bool:
    """Keeps systemd from restarting the units by itself, for the time of their windows; returns whether it was new."""
    new = [unit for unit in sorted(units) if not (DROP_INS / f"{unit}.d" / NO_RESTART).exists()]
    for unit in new:
        folder = DROP_INS / f"{unit}.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NO_RESTART).write_text("[Service]\nRestart=no\n", encoding="ascii")
    if new:
        systemctl("daemon-reload")
    return bool(new)


def release(units: set[str] | None = None) -> list[str]:
    """Gives units (all that are held, but those named) back their own Restart=; returns which."""
    kept = units or set()
    old = [path for path in sorted(DROP_INS.glob(f"*.d/{NO_RESTART}")) if path.parent.name[:-2] not in kept]
    for path in old:
        path.unlink()
        with suppress(OSError):  # somebody else has a file there
            path.parent.rmdir()
    if old:
        systemctl("daemon-reload")
    return [path.parent.name[:-2] for path in old]


def start(units: list[str]) -> None:
    """Starts services that were killed; how long they take is theirs."""
    if units:
        with suppress(OSError):  # none of them counts as failed
            systemctl("reset-failed", *units)
        systemctl("start", "--no-block", *units)


def held_units(plan: list[dict[str, Any]], now_ns: int) -> set[str]:
    """The services that systemd must not restart now: those of kills that are open, or will be very soon."""
    soon = [window for window in plan if open_now({**window, "from_ns": window["from_ns"] - LEAD_NS}, now_ns)]
    kills = [window for window in soon if window["action"] == "kill"]
    return {service["unit"] for window in kills for service in window["services"] if service["hold"]}


def begin(window: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    """Begins a window.

    Args:
        window: it.
        others: notes of the begins of the windows that are open already.

    Returns:
        What belongs into its note: ``hit`` ``{unit or name: processes}``, and for kills ``owed``, the services that are
        to run again; one that another window killed before is owed by both. A service that somebody else froze is left
        to him.
    """
    names = [service["unit"] for service in window["services"]] + window["processes"]
    hit, foreign = {}, []
    held = {target for note in others if note["action"] == "pause" for target in targets(note)}
    for name, target in zip(names, targets(window)):
        if window["action"] == "kill":
            hit[name] = kill(target)
        elif window["how"] == "freezer" and target not in held and is_frozen(target[1]):
            foreign.append(name)
        else:
            hit[name] = pause(target, window["how"])
    if window["action"] == "pause":
        return {"hit": hit, "foreign": foreign}
    owed = {unit for note in others for unit in note.get("owed", [])}
    return {"hit": hit, "owed": [s["unit"] for s in window["services"] if hit[s["unit"]] or s["unit"] in owed]}


def finish(note: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Ends a window that was begun with this note; what other open windows hold stays as it is."""
    held = {(other["how"], target) for other in others if other["action"] == "pause" for target in targets(other)}
    if note["action"] == "pause":
        names = [service["unit"] for service in note["services"]] + note["processes"]
        for name, target in zip(names, targets(note)):
            if (note["how"], target) not in held and name not in note.get("foreign", []):
                resume(target, note["how"])
    elif note["restart"]:
        dead = {s["unit"] for other in others if other["action"] == "kill" for s in other["services"]}
        start([unit for unit in note.get("owed", []) if unit not in dead])


def write_note(folder: Path, window: dict[str, Any], event: str, more: dict[str, Any]) -> dict[str, Any]:
    """Appends a note of what was done just now."""
    keys = ("id", "name", "title", "action", "how", "restart", "services", "processes", "from_ns", "until_ns")
    note = {"event": event, "at_ns": time.time_ns(), **{key: window[key] for key in keys}, **more}
    with (folder / "done.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
    return note


def settle_ends(folder: Path, plan: list[dict[str, Any]], due: list[dict[str, Any]], now_ns: int) -> None:
    """Ends the windows that are due; one that fails is tried again for a while and keeps no other from its end."""
    for note in due:
        others = [window for window in plan if open_now(window, now_ns) and window["id"] != note["id"]]
        planned = next((window for window in plan if window["id"] == note["id"]), note)
        more: dict[str, Any] = {"until_ns": planned["until_ns"]}
        try:
            finish(note, others)
        except OSError as error:
            if now_ns < (planned["until_ns"] or now_ns) + END_TRIES_NS:
                sys.stderr.write(f"{note['name']} could not be ended, trying again: {error}\n")
                continue
            more["error"] = str(error)
        write_note(folder, note, "end", more)


def settle(folder: Path, now_ns: int) -> int | None:
    """Does all that is due, the quick ends first; returns the next deadline."""
    plan, notes = read_plan(folder), read_done(folder)
    ends, begins, missed = steps(plan, notes, now_ns)
    settle_ends(folder, plan, [note for note in ends if note["action"] == "pause"], now_ns)
    held = held_units(plan, now_ns)
    hold(held)
    for window in begins:
        others = list(begun(read_done(folder)).values())
        try:
            more = begin(window, others)
        except OSError as error:
            more = {"hit": {}, "error": str(error)}
        write_note(folder, window, "begin", more)
    for window in missed:
        write_note(folder, window, "missed", {})
    release(held)
    settle_ends(folder, plan, [note for note in ends if note["action"] == "kill"], now_ns)
    return next_deadline(plan, read_done(folder), time.time_ns())


def main(folder: Path) -> None:
    """Settles until the next deadline is too far away to wait for; a timer comes back for that one."""
    while folder.exists():
        with locked(folder):
            next_ns = settle(folder, time.time_ns())
        if next_ns is None or next_ns - time.time_ns() > LEAD_NS + SLACK_NS:
            return
        time.sleep(max(0.001, min((next_ns - time.time_ns()) / 1e9, SLICE_S)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
