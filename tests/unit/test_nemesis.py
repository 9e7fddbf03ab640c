"""The windows that a nemesis tells of: ours by their names, Jepsen's by pairs of starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from analysis.history import Operation
from analysis.judge import check_history
from analysis.nemesis import windows_in
from analysis.table import table_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

NS = 1_000_000_000
NOTE = "no faults.json beside the history: whether its faults dropped anything was not checked"


def told(*events: tuple[str, Any] | None) -> tuple[list[tuple[str, float, float]], list[str]]:
    """The windows of a nemesis whose event i, (f, value), is at i seconds; None: a client's event."""
    operations = [
        Operation(i, i * NS, "nemesis", "info", *event) if event else Operation(i, i * NS, 0, "invoke", "read", None)
        for i, event in enumerate(events)
    ]
    windows, warnings = windows_in(table_of(operations))
    return [(window.name, window.from_s, window.until_s) for window in windows], warnings


def test_named_windows_lie_between_start_and_end_and_an_unfinished_one_lasts_to_the_last_event() -> None:
    one, two = {"window": "cut-1", "title": "n1 | n2"}, {"window": "kill-1"}
    assert told(("arm", one), ("start", one), ("act", {"action": "start"}), ("start", two), ("end", one), None) == (
        [("cut-1", 1.0, 4.0), ("kill-1", 3.0, 5.000000001)],
        [],
    )


def test_a_start_and_a_stop_may_each_be_told_twice() -> None:
    events = [("start", None), ("start", "Cut off {}"), None, ("stop", None), ("stop", "healed"), None]
    assert told(*events, *events)[0] == [("nemesis-1", 0.0, 4.0), ("nemesis-2", 6.0, 10.0)]
    assert told(("start", None), None, ("stop", None), ("stop", None))[0] == [("nemesis-1", 0.0, 2.0)]
    assert told(("stop", None), ("stop", None)) == ([], [])


def test_kinds_of_faults_are_paired_apart() -> None:
    events = [("start-partition", "majority"), ("start-clock", None), ("stop-partition", None), ("stop-clock", None)]
    assert told(*events)[0] == [("partition-1", 0.0, 2.0), ("clock-1", 1.0, 3.0)]


def test_a_start_that_nothing_stops_is_no_window_and_is_told() -> None:
    windows, warnings = told(("start-partition", None), None, ("start", None), ("stop", None))
    assert windows == [("nemesis-1", 2.0, 3.0)]
    said = "the nemesis' start-partition in line 1 was never stopped: the fault was left out"
    assert warnings == [f"{said}, and reads after it count as final"]


EDN = """{:process 0, :type :invoke, :f :add, :value 0}
{:process 0, :type :ok, :f :add, :value 0}
{:process :nemesis, :type :info, :f :start, :value nil}
{:process :nemesis, :type :info, :f :start, :value "Cut off {}"}
{:process 0, :type :invoke, :f :add, :value 1}
{:process 0, :type :ok, :f :add, :value 1}
{:process :nemesis, :type :info, :f :stop, :value nil}
{:process :nemesis, :type :info, :f :stop, :value "fully connected"}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value [0]}
"""
LOG = """0\t:invoke\t:add\t0
0\t:ok\t:add\t0
:nemesis\t:info\t:start\tnil
:nemesis\t:info\t:start\tCut off {}
0\t:invoke\t:add\t1
0\t:ok\t:add\t1
:nemesis\t:info\t:stop\tnil
:nemesis\t:info\t:stop\tfully connected
1\t:invoke\t:read\tnil
1\t:ok\t:read\t[0]
"""


@pytest.mark.parametrize("text", [EDN, LOG])
def test_a_history_of_jepsens_is_judged_after_its_last_stop(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history"
    path.write_text(text)
    results = check_history(path, ["lost-writes"])
    assert (results["valid"], results["warnings"]) == (False, [NOTE])
    assert results["checkers"]["lost-writes"]["lost_by_window"] == {"nemesis-1": 1}
    path.write_text(text.replace("[0]", "[0 1]"))
    assert check_history(path, ["lost-writes"])["valid"] is True


def test_a_read_before_the_last_stop_is_not_final(tmp_path: Path) -> None:
    path = tmp_path / "history"
    lines = EDN.replace(":start", ":start-partition").replace(":stop", ":stop-partition").splitlines(keepends=True)
    path.write_text("".join(lines[:6] + lines[8:] + lines[6:8]))
    assert check_history(path, ["lost-writes"])["reason"].startswith("no final read: none was tried after the last")
