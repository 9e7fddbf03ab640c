"""The verdict of a run: what checkers found, weighed against the evidence; and how a person reads it."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from analysis.checkers import BANK_ACCOUNTS, BANK_TOTAL
from analysis.history import HistoryError, Operation, encode_line
from analysis.judge import check_history, judge, read_results
from analysis.report import write_report
from analysis.run_folder import RunError, Window, read_scenario
from analysis.sentences import sentences
from tests.unit.hand_made import Event, add, make_folder, read, window, write_history
from tests.unit.synthetic_run import make_run
from workloads.generators import ACCOUNTS, BALANCE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

GOOD = [*add(1), *add(2), *read([1, 2])]
BAD = [*add(1), *add(2), *read([1])]
CUT = window(0, 4)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_run_is_judged_and_results_are_written(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    results = judge(folder)
    assert (results["valid"], results["reason"]) == (True, "the final read has all 2 acknowledged writes")
    assert results["operations"] == {
        "add": {"invoke": 2, "ok": 2, "fail": 0, "info": 0},
        "read": {"invoke": 1, "ok": 1, "fail": 0, "info": 0},
    }
    assert json.loads((folder / "results.json").read_text()) == results == read_results(folder)


def test_judging_again_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    judge(folder)
    before = (folder / "results.json").read_bytes()
    judge(folder)
    assert (folder / "results.json").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [
        "cluster.json", "faults.json", "history.jsonl", "results.json", "scenario.yml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("windows", "doubt"),
    [
        ([window(0, 4, dropped=0)], "cut-1 dropped no packets, so the cut was not tested"),
        (
            [window(0, 4, dropped=None)],
            "the counters of cut-1 were never read, so nobody knows whether it cut anything",
        ),
        ([CUT, window(1, 2, "cut-2", dropped=0)], "cut-2 dropped no packets, so the cut was not tested"),
    ],
)
def test_a_window_that_did_not_bite_makes_valid_unknown(tmp_path: Path, windows: list[Any], doubt: str) -> None:
    results = judge(make_folder(tmp_path, GOOD, windows))
    assert (results["valid"], results["reason"], results["doubts"]) == ("unknown", doubt, [doubt])
    assert results["checkers"]["lost-writes"]["valid"] == "unknown"
    assert results["checkers"]["lost-writes"]["ok_count"] == 2


def test_a_window_that_did_not_bite_excuses_no_loss(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, BAD, [window(0, 4, dropped=0)])
    results = judge(folder)
    assert (results["valid"], results["reason"]) == (False, "1 of 2 acknowledged writes was lost (50.0 %)")
    assert sentences(results, read_scenario(folder)) == [
        "INVALID  1 of 2 acknowledged writes was lost (50.0 %).",
        "Acknowledged by n1 (1), all inside cut-1, the last 3.0 s after it began.",
        "But: cut-1 dropped no packets, so the cut was not tested.",
    ]


def test_a_node_whose_counters_are_missing_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    faults = json.loads((folder / "faults.json").read_text())
    faults["windows"][0] |= {"grudge": {"n1": ["n2"], "n2": ["n1"]}, "dropped": {"n1": {"n2": 0}}}
    change(folder / "faults.json", windows=faults["windows"])
    assert judge(folder)["reason"] == (
        "cut-1 dropped no packets (the counters of n2 could not be read), so the cut was not tested"
    )
    faults["windows"][0]["dropped"] = {"n1": {"n2": 3}}
    change(folder / "faults.json", windows=faults["windows"])
    assert judge(folder)["valid"] is True


def fault(name: str, **more: Any) -> Window:
    kind = name.partition("-")[0]
    return Window(name, 0, 4, fault={"cut": "partition"}.get(kind, kind), **more)


@pytest.mark.parametrize(
    ("window", "doubt"),
    [
        (fault("slow-1", links={"n1": ["n2"]}, counts={"n1": {"delayed_packets": 3}}), None),
        (fault("slow-1", links={"n1": ["n2"]}, counts={"n2": {"shaped_packets": 3, "lost_packets": 0}}), None),
        (
            fault("flaky-1", links={"n1": ["n2"]}, counts={"n1": {"lost_packets": 0}}),
            "flaky-1 shaped no packets, so its links were not tested",
        ),
        (
            fault("shape-1", links={"n1": ["n2"]}, counts={}),
            "shape-1 shaped no packets (the counters of n1 could not be read), so its links were not tested",
        ),
        (fault("kill-1", nodes_hit=["n1"], counts={"n1": {"processes": 1, "killed": 1}}), None),
        (
            fault("kill-1", nodes_hit=["n1"], counts={"n1": {"processes": 0, "missed": True}}),
            "kill-1 killed no process, so the kill was not tested",
        ),
        (fault("pause-1", nodes_hit=["n1"], counts={"n1": {"processes": 2, "stopped_s": 4.0}}), None),
        (
            fault("pause-1", nodes_hit=["n1"], counts={"n1": {"processes": 0, "stopped_s": 4.0}}),
            "pause-1 stopped no process, so the pause was not tested",
        ),
        (
            fault("pause-1", nodes_hit=["n1"]),
            "the counters of pause-1 were never read, so nobody knows whether it stopped anything",
        ),
        (fault("cut-1", grudge={"n1": ["n2"]}, counts={"n1": {"dropped_packets": 2}}), None),
        (fault("cut-1", grudge={"clients": ["n1"]}, dropped={"n1": {"clients": 2}}), None),
        (
            fault("cut-1", grudge={"clients": ["n1"]}, dropped={"n1": {"clients": 0}}),
            "cut-1 dropped no packets, so the cut was not tested",
        ),
        (
            fault("cut-1", grudge={"clients": ["n1"]}, dropped={}),
            "cut-1 dropped no packets (the counters of n1 could not be read), so the cut was not tested",
        ),
        (
            fault("kill-1", title="primaries", late={}, missed="nobody is the primary"),
            "kill-1 was never aimed at primaries (nobody is the primary), so the kill was not tested",
        ),
        (
            fault("cut-1", title="primary", late={}, dropped={"n1": {"n2": 4}}),
            "cut-1 was never aimed at primary, so the cut was not tested",
        ),
    ],
)
def test_each_kind_has_its_own_evidence(tmp_path: Path, window: Window, doubt: str | None) -> None:
    results = judge(make_folder(tmp_path, GOOD, [window]))
    assert results["doubts"] == ([doubt] if doubt else [])
    assert results["valid"] == ("unknown" if doubt else True)
    write_report(tmp_path)


def test_clocks_restarts_and_delays_are_told_and_change_nothing(tmp_path: Path) -> None:
    late = fault("kill-1", nodes_hit=["n1"], late={}, armed_ns=1, late_s=1.5, counts={"n1": {"killed": 1}})
    passed = fault("slow-1", links={"n1": ["n2"]}, counts={"n1": {"delayed_packets": 9, "unshaped_packets": 4}})
    folder = make_folder(tmp_path, GOOD, [late, passed])
    clocks = {
        "n1": {"offset_ns": 60_000_000, "error_ns": 20_000_000},
        "n2": {"offset_ns": -900_000_000, "error_ns": 9},
    }
    boots = {"n1": ["a", "a"], "n2": ["b", "c"], "n3": ["d"]}
    change(folder / "faults.json", controller_clock=clocks, boot_ids=boots, clock_spread_ns=80_000_000)
    results = judge(folder)
    assert results["valid"] is True
    assert [warning.partition(":")[0] for warning in results["warnings"]] == [
        "the clock of n2 was 0.9 s behind the controller's (give or take 9e-09 s)",
        "the nodes' clocks were 0.08 s apart, and so were each window's begins",
        "n2 restarted in the middle of the run",
        "4 packets went by unshaped in slow-1",
        "kill-1 was aimed 1.5 s too late, and was so much shorter; raise --ahead",
    ]


def test_a_clock_that_is_seconds_off_is_a_doubt(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    change(folder / "faults.json", controller_clock={"n2": {"offset_ns": 120_000_000_000, "error_ns": 9}})
    doubt = "the clock of n2 was 120 s ahead of the controller's: its windows were at other times than the history says"
    assert judge(folder)["doubts"] == [doubt]
    assert judge(folder)["valid"] == "unknown"


def test_a_window_asked_for_and_not_armed_is_a_doubt(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    change(folder / "faults.json", windows=[])
    assert judge(folder)["reason"] == "cut-1 was asked for but never armed"
    (folder / "faults.json").unlink()
    assert judge(folder)["reason"] == "cut-1 was asked for, but there is no faults.json"


def test_a_run_without_faults_needs_no_faults_json(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [])
    (folder / "faults.json").unlink()
    assert judge(folder)["valid"] is True


def test_a_function_that_never_succeeded_is_said(tmp_path: Path) -> None:
    write = [(3, "invoke", "write", 1), (3, "fail", "write", 1)]
    results = judge(make_folder(tmp_path, [*write, *GOOD], []))
    assert (results["valid"], results["reason"]) == ("unknown", "of 1 write operations none succeeded")


def test_all_reads_failed(tmp_path: Path) -> None:
    results = judge(make_folder(tmp_path, [*add(1), *read(None), *read(None)], [CUT]))
    assert results["valid"] == "unknown"
    assert results["reason"] == (
        "no final read: 1 tried after the last window's end at 4.0 s, none succeeded "
        "(the last error: Refused: not the primary); of 2 read operations none succeeded"
    )


def test_a_torn_history_is_a_warning_and_never_valid_by_accident(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    whole = (folder / "history.jsonl").read_bytes()
    first_of_read = whole.rindex(b"\n", 0, whole.rindex(b"\n")) + 1
    for cut in range(1, len(whole)):
        (folder / "history.jsonl").write_bytes(whole[:cut])
        results = judge(folder)
        line_is_whole = whole[cut : cut + 1] == b"\n" or whole[cut - 1 : cut] == b"\n"
        assert bool(results["warnings"]) == (not line_is_whole)
        assert results["valid"] == (True if cut == len(whole) - 1 else "unknown"), cut
    (folder / "history.jsonl").write_bytes(whole[: first_of_read + 10])
    torn = f"Note: history.jsonl:6: the last line is torn, from byte {first_of_read} on; it was left out."
    assert sentences(judge(folder))[-1] == torn


@pytest.mark.parametrize(("answer", "valid"), [(1, True), (None, False), (2, False)])
def test_a_register_must_be_linearizable(tmp_path: Path, answer: int | None, valid: bool) -> None:  # noqa: FBT001 - a row
    events: list[Event] = [
        (0, "invoke", "write", 1),
        (0, "ok", "write", 1),
        (1, "invoke", "read", None),
        (1, "ok", "read", answer),
    ]
    results = judge(make_folder(tmp_path, events, [CUT], checkers=["linearizable-register"]))
    assert results["valid"] is valid
    assert results["checkers"]["linearizable-register"]["model"] == "cas-register"


def test_a_cas_that_failed_is_no_evidence(tmp_path: Path) -> None:
    """Its connection may have been refused."""
    events: list[Event] = [
        (0, "invoke", "write", 1),
        (0, "ok", "write", 1),
        (1, "invoke", "cas", [1, 2]),
        (1, "fail", "cas", [1, 2]),
        (2, "invoke", "cas", [1, 3]),
        (2, "ok", "cas", [1, 3]),
    ]
    assert judge(make_folder(tmp_path, events, [CUT], checkers=["linearizable-register"]))["valid"] is True


def test_checkers_compose_to_the_worst(tmp_path: Path) -> None:
    both = ["lost-writes", "unique-ids"]  # nobody asked for ids
    assert judge(make_folder(tmp_path, GOOD, [CUT], checkers=both))["valid"] == "unknown"
    results = judge(make_folder(tmp_path, BAD, [CUT], checkers=both))
    assert (results["valid"], results["reason"]) == (False, "1 of 2 acknowledged writes was lost (50.0 %)")
    nothing = judge(make_folder(tmp_path, GOOD, [CUT], checkers=[]))
    assert (nothing["valid"], nothing["reason"]) == ("unknown", "no checker was asked for")


def test_a_history_alone_takes_its_windows_from_the_nemesis(tmp_path: Path) -> None:
    told = {"window": "cut-1", "title": "n1 | n2"}
    events: list[Event] = [
        ("nemesis", "info", "arm", told),
        *add(1),
        ("nemesis", "info", "start", told),
        *add(2),
        ("nemesis", "info", "end", told),
        *read([1]),
    ]
    path = write_history(tmp_path, events)
    results = check_history(path, ["lost-writes"])
    assert results["checkers"]["lost-writes"]["lost_by_window"] == {"cut-1": 1}
    assert results["warnings"] == [
        "no faults.json beside the history: whether its faults dropped anything was not checked"
    ]
    assert not (tmp_path / "results.json").exists()
    unfinished = write_history(tmp_path, [*events[:6], *read([1])])
    assert check_history(unfinished, ["lost-writes"])["reason"].startswith(
        "no final read: none was tried after the last"
    )


def test_a_history_alone_reads_the_faults_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "run", GOOD, [window(0, 4, dropped=0)])
    for history in (folder, folder / "history.jsonl"):
        results = check_history(history, ["lost-writes"])
        assert (results["valid"], results["warnings"]) == ("unknown", [])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((folder / "history.jsonl").read_bytes())))
    assert check_history("-", ["lost-writes"])["valid"] is True


@pytest.mark.parametrize("armed", [None, {"windows": []}])
def test_a_run_judged_by_another_checker_keeps_its_doubts(tmp_path: Path, armed: dict[str, Any] | None) -> None:
    """A fault was asked for and never armed, and the one transfer failed."""
    balances = {"0": 20, "1": 20, "2": 20, "3": 20, "4": 20}
    transfer: list[Event] = [(0, "invoke", "transfer", None), (0, "fail", "transfer", None)]
    reads: list[Event] = [(1, "invoke", "read", None), (1, "ok", "read", balances)] * 2
    folder = make_folder(tmp_path, [*transfer, *reads], [CUT], checkers=["stats"])
    (folder / "faults.json").unlink()
    if armed is not None:
        (folder / "faults.json").write_text(json.dumps(armed))
    own = judge(folder)
    for history in (folder, folder / "history.jsonl"):
        results = check_history(history, ["bank"])
        assert (results["valid"], results["doubts"]) == ("unknown", own["doubts"])
        assert len(own["doubts"]) == 2


def test_the_verdict_stands_beside_the_published_one(tmp_path: Path) -> None:
    lost = make_run(tmp_path / "lost")
    assert sentences(judge(lost), read_scenario(lost)) == [
        "INVALID  480 of 2,361 acknowledged writes were lost (20.3 %).  Published 2013: 1,126 of 1,998 (56.4 %).",
        "Acknowledged by n1 (240) and n2 (240), all inside cut-1, the last 29.9 s after it began.",
    ]
    kept = make_run(tmp_path / "kept", loses=False)
    assert sentences(judge(kept), read_scenario(kept)) == [
        "VALID  The final read has all 2,361 acknowledged writes.  Published 2013: 1,126 of 1,998 (56.4 %).",
    ]


def test_losses_in_several_windows_and_outside_are_told_apart(tmp_path: Path) -> None:
    events = [*add(1), *add(2, process=1), *add(3, process=2), *read([]), *read([], process=3)]
    results = judge(make_folder(tmp_path, events, [window(0, 2), window(2, 4, "cut-2")]))
    assert sentences(results)[1] == (
        "Acknowledged by n1 (1), n2 (1) and n3 (1), 1 inside cut-1, 1 inside cut-2 and 1 after the network had healed."
    )


def test_final_reads_that_differ_are_told(tmp_path: Path) -> None:
    results = judge(make_folder(tmp_path, [*add(1), *read([]), *read([1], process=1)], []))
    assert sentences(results) == [
        "UNKNOWN  The final read of n5 lacks 1 acknowledged write that the last final read has.",
        "The final reads of the nodes differ, in elements: n2 1, n5 0.",
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("scenario.yml", None, r"scenario\.yml: cannot be read \(No such file"),
        ("scenario.yml", "a: [1", r"scenario\.yml:1: not YAML"),
        ("scenario.yml", "scenario: x\nchecker: []", r"scenario\.yml: Object missing required field `checkers`"),
        ("scenario.yml", "{scenario: x, checkers: [magic]}", "unknown checker 'magic'; there are: lost-writes, lin"),
        ("faults.json", "{", r"faults\.json: Input data was truncated"),
        (
            "faults.json",
            '{"windows": [{"name": "a", "from_s": "0"}]}',
            r"faults\.json: .* at `\$\.windows\[0\]\.from_s`",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, name: str, text: str | None, problem: str) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(RunError, match=problem):
        judge(folder)
    assert not (folder / "results.json").exists()


def test_a_folder_without_history_is_one_sentence(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    (folder / "history.jsonl").unlink()
    with pytest.raises(HistoryError, match=r"history\.jsonl: cannot be read"):
        judge(folder)


def test_results_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, GOOD, [CUT])
    (folder / "results.json").mkdir()
    with pytest.raises(RunError, match=r"results\.json: cannot be written \(Is a directory\)"):
        judge(folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_an_unknown_checker_is_found_before_the_history_is_read(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="unknown checker 'magic'"):
        check_history(tmp_path / "none", ["magic"])


@pytest.mark.parametrize("checker", ["linearizable-register", "counter"])
def test_a_run_that_tested_nothing_is_unknown_and_a_history_alone_says_so(tmp_path: Path, checker: str) -> None:
    f = "add" if checker == "counter" else "write"
    folder = make_folder(tmp_path, [(0, "invoke", f, 1), (0, "ok", f, 1)], [], checkers=[checker])
    results = judge(folder)
    assert (results["valid"], results["reason"][:18]) == ("unknown", "nothing was tested")
    alone = check_history(next(folder.glob("history.*")), [checker])
    assert (alone["valid"], alone["reason"][:18]) == (True, "nothing was tested")


def queue_run(folder: Path, *events: tuple[Any, ...]) -> Path:
    """A run without faults of the workload queue: (process, type, f, value, node) an event."""
    make_run(folder, checkers=["total-queue"], windows=[])
    (folder / "faults.json").unlink()
    lines = [
        encode_line(Operation(i, i, process, type_, f, value, None, node))
        for i, (process, type_, f, value, node) in enumerate(events)
    ]
    (folder / "history.jsonl").write_bytes(b"".join(lines))
    return folder


def asked(process: int, f: str, value: Any, answer: Any, node: str) -> list[tuple[Any, ...]]:
    return [(process, "invoke", f, value, node), (process, "ok", f, answer, node)]


PUT = [*asked(0, "enqueue", 1, 1, "n1"), *asked(1, "enqueue", 2, 2, "n2")]
ONE = asked(0, "drain", None, [1], "n1")
EMPTY = [*asked(0, "drain", None, [], "n1"), *asked(1, "drain", None, [], "n2")]


def test_a_queue_must_be_drained_on_every_node_before_anything_counts_as_lost(tmp_path: Path) -> None:
    lost = judge(queue_run(tmp_path / "lost", *PUT, *ONE, *EMPTY))
    assert (lost["valid"], lost["checkers"]["total-queue"]["lost"]) == (False, "2")
    undrained = judge(queue_run(tmp_path / "undrained", *PUT, *ONE, *EMPTY[:2]))
    assert undrained["valid"] == "unknown"
    assert "n2 was not drained until empty" in undrained["reason"]
    strange = judge(queue_run(tmp_path / "strange", *PUT, *asked(0, "drain", None, [9], "n1")))
    assert strange["valid"] is False, "what nobody put in is wrong however much is left"
    whole = judge(queue_run(tmp_path / "whole", *PUT, *asked(0, "drain", None, [1, 2], "n1"), *EMPTY))
    assert whole["valid"] is True


def test_two_holders_of_a_mutex_are_invalid(tmp_path: Path) -> None:
    held = [*asked(0, "acquire", None, None, "n1"), *asked(0, "release", None, None, "n1")]
    both = [*asked(0, "acquire", None, None, "n1"), *asked(1, "acquire", None, None, "n3")]
    for name, events, valid in (("one", held, True), ("two", both, False)):
        folder = queue_run(tmp_path / name, *events)
        make_again = (folder / "scenario.yml").read_text().replace("total-queue", "linearizable-mutex")
        (folder / "scenario.yml").write_text(make_again)
        assert judge(folder)["valid"] is valid


def bank_run(folder: Path, *totals: int) -> Path:
    """A run of the workload `bank` with reads of such totals."""
    events: list[Event] = []
    for total in totals:
        balances = {"0": 20, "1": 20, "2": 20, "3": 20, "4": total - 80}
        events += [(0, "invoke", "read", None), (0, "ok", "read", balances)]
    return make_folder(folder, events, [], checkers=["bank"])


@pytest.mark.parametrize(("totals", "valid"), [
    ((100, 100), True), ((100, 101), False), ((99, 99), False), ((100,), True), ((), "unknown"),
])  # fmt: skip
def test_a_run_of_the_bank_began_with_what_the_workload_has(
    tmp_path: Path, totals: tuple[int, ...], valid: Any
) -> None:
    folder = bank_run(tmp_path, *totals)
    assert judge(folder)["valid"] == valid
    (folder / "scenario.yml").unlink()
    alone = check_history(folder / "history.jsonl", ["bank"])
    assert alone["valid"] == (totals[0] == totals[1] if len(totals) == 2 else "unknown"), "the first read says it"


def test_the_bank_is_judged_by_what_its_clients_begin_with() -> None:
    assert (ACCOUNTS, BALANCE * len(ACCOUNTS)) == (BANK_ACCOUNTS, BANK_TOTAL)


def test_both_of_a_pair_committed_is_invalid(tmp_path: Path) -> None:
    events = [(0, "invoke", "insert", [1, 2]), (1, "invoke", "insert", [1, 3])]
    events += [(0, "ok", "insert", [1, 2]), (1, "fail", "insert", [1, 3])]
    results = judge(make_folder(tmp_path, events, [], checkers=["g2"]))
    assert (results["valid"], results["reason"]) == (True, "at most one insert was acknowledged of each of 1 key")
    events[3] = (1, "ok", "insert", [1, 3])
    results = judge(make_folder(tmp_path, events, [], checkers=["g2"]))
    assert (results["valid"], results["reason"]) == (False, "more than one insert was acknowledged of 1 of 1 key")
