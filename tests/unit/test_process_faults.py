"""Process faults: what is due at a moment, and how systemd's answers are read."""

import importlib
import json
from pathlib import Path

import ansible.module_utils
import pytest

FOLDER = str(Path(__file__).parents[2] / "jepsen_modules/module_utils")
if FOLDER not in ansible.module_utils.__path__:
    ansible.module_utils.__path__ = [*ansible.module_utils.__path__, FOLDER]
process = importlib.import_module("ansible.module_utils.jepsen_process")
plans = importlib.import_module("ansible.module_utils.jepsen_process_plan")
windows = importlib.import_module("ansible.module_utils.jepsen_process_windows")
services = importlib.import_module("ansible.module_utils.jepsen_services")
settle = importlib.import_module("ansible.module_utils.jepsen_settle")
RefusedError = process.RefusedError

pytestmark = pytest.mark.unit

S_NS = 1_000_000_000
# systemctl show -p Id,LoadState,ActiveState,ControlGroup,Slice,Restart redis-server cron ssh sshd (systemd 252)
SHOWN = """\
Restart=always
ControlGroup=/system.slice/redis-server.service
Slice=system.slice
Id=redis-server.service
LoadState=loaded
ActiveState=active

Restart=no
ControlGroup=
Slice=system-tick.slice
Id=tick@a.service
LoadState=loaded
ActiveState=inactive

Restart=no
ControlGroup=
Id=none.service
LoadState=not-found
ActiveState=inactive
"""


def window(name: str, from_s: int, until_s: int | None, **more: object) -> dict:
    made = {"name": name, "title": "", "action": "pause", "how": "freezer", "restart": None, "processes": []}
    made |= {"services": [{"unit": "a.service", "cgroup": "system.slice/a.service", "hold": True}], **more}
    made |= {"from_ns": from_s * S_NS, "until_ns": None if until_s is None else until_s * S_NS}
    return {**made, "id": process.identity(made)}


def note(event: str, of: dict) -> dict:
    return {**of, "event": event, "at_ns": of["from_ns"]}


def names(some: list[dict]) -> list[str]:
    return [one["name"] for one in some]


def due(plan: list[dict], notes: list[dict], at_s: float) -> tuple[list[str], ...]:
    return tuple(map(names, settle.steps(plan, notes, int(at_s * S_NS))))


def test_a_window_is_begun_once_and_ended_once() -> None:
    one = window("a", 10, 20)
    assert due([one], [], 9) == ([], [], [])
    assert due([one], [], 10) == ([], ["a"], [])
    assert due([one], [note("begin", one)], 15) == ([], [], [])
    assert due([one], [note("begin", one)], 20) == (["a"], [], [])
    assert due([one], [note("begin", one), note("end", one)], 25) == ([], [], [])


def test_a_begin_that_is_too_late_is_missed_and_never_done() -> None:
    one = window("a", 10, 20)
    assert due([one], [], 20) == ([], [], ["a"])
    assert due([one], [note("missed", one)], 21) == ([], [], [])


def test_what_is_no_longer_planned_ends_now() -> None:
    one = window("a", 10, None)
    assert due([one], [note("begin", one)], 1000) == ([], [], [])
    assert due([], [note("begin", one)], 11) == (["a"], [], [])


def test_systemd_is_held_off_shortly_before_a_kill_and_until_its_end() -> None:
    plan = [window("k", 10, 20, action="kill", how=None, restart=True), window("p", 0, 99)]
    held = {at_s: settle.held_units(plan, at_s * S_NS) for at_s in (7, 8, 19, 20)}
    assert held == {7: set(), 8: {"a.service"}, 19: {"a.service"}, 20: set()}


def test_timers_wake_before_every_bound_that_is_to_come_and_at_it() -> None:
    at = plans.wake_ups([window("a", 10, 20), window("b", 20, None)], 9 * S_NS)
    assert [text[-6:-4] for text in at] == ["10", "18", "20"]


def test_services_are_read_from_systemctl() -> None:
    found = services.find_services(
        lambda _: (0, "\n\n".join(SHOWN.split("\n\n")[:2]), ""), ["redis-server", "tick@a"], "n1"
    )
    assert found["redis-server"] == {
        "unit": "redis-server.service",
        "cgroup": "system.slice/redis-server.service",
        "hold": True,
    }
    assert found["tick@a"]["cgroup"] == "system.slice/system-tick.slice/tick@a.service"
    assert not found["tick@a"]["hold"]
    with pytest.raises(RefusedError, match="n1 has no service none"):
        services.find_services(lambda _: (0, SHOWN.split("\n\n")[2], ""), ["none"], "n1")
    with pytest.raises(RefusedError, match="is systemd PID 1"):
        services.find_services(lambda _: (1, "", "System has not been booted with systemd"), ["none"], "n1")


def test_a_note_that_was_cut_short_hides_no_other(tmp_path) -> None:
    lines = [
        json.dumps(note("begin", window("a", 1, 2))),
        '{"event": "be',
        json.dumps(note("begin", window("b", 1, 2))),
    ]
    (tmp_path / "done.jsonl").write_text("\n".join(lines))
    assert names(settle.read_done(tmp_path)) == ["a", "b"]
