"""Late windows, in a run: when they are aimed, at whom they were, and by how much too late. Kept in aimed.json."""

import time
from pathlib import Path
from typing import Any

import yaml

from callmaybe.arming import for_modules, missing_windows
from callmaybe.counts import counters_of, lost_on_the_way, summed
from callmaybe.project import UserError
from callmaybe.run_files import driving, holders, read_json, write_json
from callmaybe.timeline import KIND_OF, TimelineError, Window, aim

AIMED_FILE = "aimed.json"
ASK_S, ARM_KIND_S = 8, 4  # before a window: to ask who is primary, and to arm each kind anew
SETTLE_S = 10  # after a window, for the nodes to agree on who is primary
TOGETHER_S = 5.0  # windows that begin within this are aimed at once
TRIES = 3
SPARE_NS = 2 * 10**9  # a window that ends before this has passed is not armed any more
POLL_S = 0.2


def plan_aims(windows: list[Window], ahead_s: float = 0) -> list[dict[str, Any]]:
    """Which late windows are aimed together, and when, each several times; a try after a success has nothing to do.

    Args:
        windows: of the run, all of them.
        ahead_s: how long it may take to ask and to arm, where that is more than usual. It is not begun sooner while
            another window is open, or has just ended, since the nodes may not agree yet on who is primary.

    Returns:
        `at_s` since T0, `names` of the windows, and `asks`, whether the nodes must be asked who is primary.
    """
    groups: list[list[Window]] = []
    for window in sorted((w for w in windows if "late" in w), key=lambda w: w["from_s"]):
        if not groups or window["from_s"] > groups[-1][0]["from_s"] + TOGETHER_S:
            groups.append([])
        groups[-1].append(window)
    aims = []
    for group in groups:
        kinds = {KIND_OF[window["fault"]] for window in group}
        from_s = group[0]["from_s"]
        at_s = from_s - ASK_S - ARM_KIND_S * len(kinds)
        asks = any(window["late"]["asked"] != "holder" for window in group)
        if asks:
            settled_s = [window["until_s"] + SETTLE_S for window in windows if window["from_s"] < from_s]
            at_s = min(at_s, max([from_s - ahead_s, *settled_s]))
        aims += [{"at_s": at_s, "names": [window["name"] for window in group], "asks": asks}] * TRIES
    return aims


def read_aimed(folder: Path) -> dict[str, Any]:
    """Reads aimed.json: `windows`, what became of each late one, and `counted`, as `lost_on_the_way` has it."""
    path = folder / AIMED_FILE
    return read_json(path) if path.exists() else {"windows": {}, "counted": {}}


def await_aim(folder: Path, at_s: float, names: list[str]) -> bool:
    """Waits until it is time to aim.

    Returns:
        Whether there is something to aim: not if all of it was aimed before, or is over, or the drive has ended.
    """
    faults = read_json(folder / "faults.json")
    began = time.monotonic()
    while True:
        now_ns = time.time_ns()
        done = [name for name, told in read_aimed(folder)["windows"].items() if told.get("armed_ns")]
        open_still = [w for w in faults["windows"] if w["name"] in names and w["until_ns"] > now_ns + SPARE_NS]
        if all(window["name"] in done for window in open_still) or not driving(folder, began, ("main",)):
            return False
        if now_ns >= faults["t0_ns"] + at_s * 1e9:
            return True
        time.sleep(POLL_S)


def await_end(folder: Path) -> None:
    """Waits until the drive has ended; it has its own bounds."""
    began = time.monotonic()
    while driving(folder, began):
        time.sleep(POLL_S)


def choose_targets(folder: Path, names: list[str], primaries: list[str]) -> dict[str, list[Window]]:
    """Aims late windows.

    Args:
        folder: the run's.
        names: of the windows.
        primaries: the nodes that say that they are.

    Returns:
        For each kind among them, all its windows that are known and not over, as its module takes them.

    Raises:
        UserError: they can be aimed at nobody.
    """
    faults, aimed = read_json(folder / "faults.json"), read_aimed(folder)
    now_ns = _let_end(faults["windows"], {KIND_OF[w["fault"]] for w in faults["windows"] if w["name"] in names})
    plan = yaml.safe_load((folder / "scenario.yml").read_text(encoding="utf-8"))
    cluster = read_json(folder / "cluster.json")
    open_still = [window for window in faults["windows"] if window["until_ns"] > now_ns + SPARE_NS]
    try:
        holding = holders(folder)
        now_whole = {w["name"]: aim(w, plan["nodes"], primaries, holding) for w in open_still if w["name"] in names}
    except TimelineError as error:
        raise UserError(str(error)) from None
    for name, window in now_whole.items():
        at = {"holders": holding} if window["late"]["asked"] == "holder" else {"primaries": primaries}
        aimed["windows"][name] = _told(window) | {"aimed": at}
    write_json(folder / AIMED_FILE, aimed)
    kinds = {KIND_OF[window["fault"]] for window in now_whole.values()}
    whole = [window | aimed["windows"].get(window["name"], {}) for window in open_still]
    return {kind: windows for kind, windows in for_modules(whole, cluster).items() if kind in kinds}


def record_aimed(
    folder: Path, names: list[str], before: dict[str, Any], after: dict[str, Any], armed_ns: list[int]
) -> None:
    """Notes that late windows are armed, by how much too late, and the counters that began anew with it.

    Args:
        folder: the run's.
        names: of the windows.
        before: what jepsen_status returned on each node before they were armed.
        after: and behind it.
        armed_ns: each node's clock when they were.

    Raises:
        UserError: a node does not list what it was given.
    """
    faults, aimed = read_json(folder / "faults.json"), read_aimed(folder)
    lost = lost_on_the_way(counters_of(before), counters_of(after))
    for name, nodes in lost.items():
        for node, kinds in nodes.items():
            kept = aimed["counted"].setdefault(name, {}).setdefault(node, {})
            for what, counts in kinds.items():
                kept[what] = summed(kept.get(what, {}), counts)
    mine = [
        window
        for window in faults["windows"]
        if window["name"] in names and "aimed" in aimed["windows"].get(window["name"], {})
    ]
    missing = missing_windows([window | aimed["windows"][window["name"]] for window in mine], after)
    last_ns = max(armed_ns, default=time.time_ns())
    for window in mine if not missing else []:
        late_s = max(0.0, (last_ns - window["from_ns"]) / 1e9)
        aimed["windows"][window["name"]] |= {"armed_ns": last_ns, "late_s": round(late_s, 3)}
    write_json(folder / AIMED_FILE, aimed)
    if missing:
        raise UserError("; ".join(missing))


def record_missed(folder: Path, names: list[str], why: str) -> None:
    """Notes why late windows were not armed; what was armed stays so."""
    aimed = read_aimed(folder)
    for name in names:
        told = aimed["windows"].setdefault(name, {})
        if not told.get("armed_ns"):
            told["missed"] = why
    write_json(folder / AIMED_FILE, aimed)


def _let_end(windows: list[Window], kinds: set[str]) -> int:
    """Waits for windows of these kinds that are about to end, since arming anew would cut them short; says the time."""
    while True:
        now_ns = time.time_ns()
        ends_ns = [window["until_ns"] for window in windows if KIND_OF[window["fault"]] in kinds]
        if not any(now_ns < end_ns <= now_ns + SPARE_NS for end_ns in ends_ns):
            return now_ns
        time.sleep(POLL_S)


def _told(window: Window) -> dict[str, Any]:
    """What aiming adds to a window."""
    keys = ("title", "grudge", "links", "shape", "ports", "reject", "action", "nodes_hit", "restart", "how")
    return {key: window[key] for key in keys if key in window}
