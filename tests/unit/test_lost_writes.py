"""Every count of lost-writes, by histories written by hand and against set arithmetic on drawn ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.history import HistoryError
from analysis.intervals import format_intervals
from analysis.lost_writes import check, percent
from tests.unit.hand_made import Event, add, make_history, read, window

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def counts(result: dict[str, Any]) -> dict[str, int]:
    """The counts that are not nought."""
    return {key.removesuffix("_count"): value for key, value in result.items() if key.endswith("_count") and value}


def judged(folder: Path, events: list[Event], *windows: Any) -> dict[str, Any]:
    return check(make_history(folder, events), list(windows))


def test_all_present_is_valid(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *add(2), *read([2, 1])])
    assert (result["valid"], result["reason"]) == (True, "the final read has all 2 acknowledged writes")
    assert counts(result) == {"attempt": 2, "acknowledged": 2, "present": 2, "ok": 2}
    assert result["lost_fraction"] == 0.0
    assert result["lost_writes"] == []


def test_an_acknowledged_write_that_is_absent_is_lost(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(0), *add(1), *add(2), *add(3), *read([0])])
    assert (result["valid"], result["lost"]) == (False, "1..3")
    assert result["reason"] == "3 of 4 acknowledged writes were lost (75.0 %)"
    assert counts(result) == {"attempt": 4, "acknowledged": 4, "present": 1, "ok": 1, "lost": 3}
    assert result["lost_fraction"] == 0.75


def test_one_lost_write_was_lost(tmp_path: Path) -> None:
    assert judged(tmp_path, [*add(0), *read([])])["reason"] == "1 of 1 acknowledged writes was lost (100.0 %)"


def test_a_failed_add_that_turns_up_is_ok_and_recovered(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *add(2, "fail"), *read([1, 2])])
    assert (result["valid"], result["recovered"]) == (True, "2")
    assert counts(result) == {"attempt": 2, "acknowledged": 1, "present": 2, "ok": 2, "recovered": 1}


def test_a_failed_add_that_does_not_turn_up_is_nothing(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *add(2, "fail"), *read([1])])
    assert result["valid"] is True
    assert counts(result) == {"attempt": 2, "acknowledged": 1, "present": 1, "ok": 1}


@pytest.mark.parametrize("kind", ["info", None])
def test_a_crashed_add_that_turns_up_is_recovered(tmp_path: Path, kind: str | None) -> None:
    result = judged(tmp_path, [*add(1), *add(2, kind, process=1), *read([1, 2])])
    assert (result["valid"], result["recovered"]) == (True, "2")
    assert counts(result) == {"attempt": 2, "acknowledged": 1, "present": 2, "ok": 2, "recovered": 1}


@pytest.mark.parametrize("kind", ["info", None])
def test_a_crashed_add_that_does_not_turn_up_is_not_lost(tmp_path: Path, kind: str | None) -> None:
    result = judged(tmp_path, [*add(1), *add(2, kind, process=1), *read([1])])
    assert result["valid"] is True
    assert counts(result) == {"attempt": 2, "acknowledged": 1, "present": 1, "ok": 1}


def test_an_element_that_nobody_added_is_unexpected(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *read([1, 7, 8])])
    assert (result["valid"], result["unexpected"]) == (False, "7..8")
    assert result["reason"] == "the final read has 2 elements that nobody added"
    assert counts(result) == {"attempt": 1, "acknowledged": 1, "present": 3, "ok": 1, "unexpected": 2}


def test_an_element_listed_twice_is_duplicated_and_still_valid(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *add(2), *read([1, 2, 1, 1])])
    assert (result["valid"], result["duplicated"]) == (True, "1")
    assert counts(result) == {"attempt": 2, "acknowledged": 2, "present": 2, "ok": 2, "duplicated": 1}


def test_an_element_added_twice_counts_once(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1, "fail"), *add(1), *add(1), *read([])])
    assert counts(result) == {"attempt": 1, "acknowledged": 1, "lost": 1}
    assert result["lost_writes"][0]["time_s"] == 3.0


def test_only_invocations_are_unknown(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1, None, process=0), *add(2, None, process=1)])
    assert result["valid"] == "unknown"
    assert result["reason"] == "no final read: none was tried; no write was acknowledged, so none could be lost"
    assert counts(result) == {"attempt": 2}


def test_an_empty_history_is_unknown(tmp_path: Path) -> None:
    result = judged(tmp_path, [])
    assert result["valid"] == "unknown"
    assert (result["attempt_count"], result["lost_count"], result["lost_fraction"]) == (0, None, None)


def test_nothing_acknowledged_is_unknown_also_after_a_read(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1, "fail"), *read([])])
    assert (result["valid"], result["reason"]) == ("unknown", "no write was acknowledged, so none could be lost")
    assert (result["lost_count"], result["lost_fraction"]) == (0, None)


def test_no_final_read_is_unknown_and_nothing_is_said_of_losses(tmp_path: Path) -> None:
    result = judged(tmp_path, add(1))
    assert (result["valid"], result["reason"]) == ("unknown", "no final read: none was tried")
    assert {result[key] for key in ("present_count", "ok_count", "lost_count", "lost", "lost_fraction")} == {None}
    assert counts(result) == {"attempt": 1, "acknowledged": 1}


def test_a_failed_final_read_is_unknown_with_its_error(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *read(None)])
    assert result["valid"] == "unknown"
    assert result["reason"] == "no final read: 1 tried, none succeeded (the last error: Refused: not the primary)"


def test_a_read_before_the_last_window_ended_is_not_final(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *add(2), *read([1])], window(0, 3), window(1, 4.5, "cut-2"))
    assert result["valid"] == "unknown"
    assert result["reason"] == "no final read: none was tried after the last window's end at 4.5 s"


def test_a_read_that_began_as_the_window_ended_is_final(tmp_path: Path) -> None:
    assert judged(tmp_path, [*add(1), *add(2), *read([1])], window(0, 4))["lost"] == "2"


def test_the_last_ok_read_counts_and_differences_are_told(tmp_path: Path) -> None:
    events = [*add(1), *add(2), *read([1], process=0), *read([1, 2], process=1), *read(None, process=2)]
    result = judged(tmp_path, events)
    assert (result["valid"], result["final_reads_differ"]) == ("unknown", True)
    assert result["reason"] == "the final read of n1 lacks 1 acknowledged write that the last final read has"
    assert result["final_reads"] == [
        {"node": "n1", "time_s": 4.0, "present_count": 1, "lost_count": 1},
        {"node": "n2", "time_s": 6.0, "present_count": 2, "lost_count": 0},
    ]
    assert judged(tmp_path, events[:8] + read([1], process=3))["lost"] == "2"


def test_the_read_that_ended_last_counts_not_the_one_that_began_last(tmp_path: Path) -> None:
    overlapping: list[Event] = [
        (5, "invoke", "read", None),
        (6, "invoke", "read", None),
        (6, "ok", "read", [1]),
        (5, "ok", "read", []),
    ]
    assert judged(tmp_path, [*add(1), *overlapping])["lost"] == "1"


def test_reads_that_agree_do_not_differ(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *add(2), *read([1, 2], process=0), *read([2, 1], process=1)])
    assert result["final_reads_differ"] is False


def test_a_write_acknowledged_after_the_final_read_began_is_unread_not_lost(tmp_path: Path) -> None:
    events: list[Event] = [*add(1), *add(2), (9, "invoke", "read", None), *add(3), (9, "ok", "read", [1, 2])]
    result = judged(tmp_path, events)
    assert (result["valid"], result["unread"], result["lost_count"]) == ("unknown", "3", 0)
    assert result["reason"] == "the final read began before 1 acknowledged write ended, and nobody read again"
    with_loss = judged(tmp_path, [*events[:-1], (9, "ok", "read", [1])])
    assert (with_loss["valid"], with_loss["lost"]) == (False, "2")


def test_a_read_that_began_after_the_last_acknowledgement_goes_before_one_that_ended_later(tmp_path: Path) -> None:
    begun: list[Event] = [(0, "invoke", "read", None), *add(5, process=1)]
    result = judged(tmp_path, [*begun, *read([], process=2), (0, "ok", "read", [])])
    assert (result["valid"], result["lost"], result["unread"]) == (False, "5", "")
    assert result["reason"] == "1 of 1 acknowledged writes was lost (100.0 %)"
    seen = judged(tmp_path, [*begun, *read([5], process=2), (0, "ok", "read", [])])
    assert (seen["valid"], seen["unread"]) == (True, "")


def test_of_reads_that_all_began_too_early_the_last_to_begin_counts(tmp_path: Path) -> None:
    early: list[Event] = [(0, "invoke", "read", None), *add(1, process=1), (2, "invoke", "read", None)]
    result = judged(tmp_path, [*early, *add(2, process=1), (2, "ok", "read", []), (0, "ok", "read", [])])
    assert (result["valid"], result["lost"], result["unread"]) == (False, "1", "2")


def test_each_lost_write_has_its_node_time_and_window(tmp_path: Path) -> None:
    events = [*add(10, process=0), *add(11, process=1), *add(12, process=1), *add(13, process=2), *read([13])]
    result = judged(tmp_path, events, window(0, 1, "early"), window(1, 5, "cut-1"), window(2, 4, "inner"))
    assert result["lost_writes"] == [
        {"value": 10, "node": "n1", "time_s": 1.0, "window": "cut-1"},
        {"value": 11, "node": "n2", "time_s": 3.0, "window": "cut-1"},
        {"value": 12, "node": "n2", "time_s": 5.0, "window": ""},
    ]
    assert result["lost_by_node"] == {"n1": 1, "n2": 2}
    assert result["lost_by_window"] == {"": 1, "cut-1": 2}


def test_losses_and_strangers_are_both_named(tmp_path: Path) -> None:
    result = judged(tmp_path, [*add(1), *read([2])])
    assert result["reason"] == (
        "1 of 1 acknowledged writes was lost (100.0 %); the final read has 1 element that nobody added"
    )


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        (add("one"), ":1:1: an element of a set must be a whole number, found 'one'"),
        (add(element=True), ":1:1: an element of a set must be a whole number, found True"),
        ([*add(1), *read([1, 2.5])], ":4:1: an element of a set must be a whole number, found 2.5"),
        ([*add(1), (9, "invoke", "read", None), (9, "ok", "read", 3)], ":4:1: an ok read of a set needs a list"),
    ],
)
def test_what_is_not_a_set_is_named_with_its_line(tmp_path: Path, events: list[Event], problem: str) -> None:
    with pytest.raises(HistoryError) as raised:
        judged(tmp_path, events)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("values", "text"),
    [([], ""), ([9, 0, 1, 2, 3, 4, 5, 3], "0..5 9"), ([-3, -1, -2, 5], "-3..-1 5"), ([4, 5], "4..5")],
)
def test_intervals(values: list[int], text: str) -> None:
    assert format_intervals(values) == text


def test_percent_never_rounds_a_loss_to_nought_and_a_part_to_all() -> None:
    assert [percent(0, 5), percent(1126, 1998), percent(1, 100_000)] == ["0.0 %", "56.4 %", "0.001 %"]
    assert [percent(999, 1000), percent(1999, 2000), percent(5, 5)] == ["99.9 %", "99.95 %", "100.0 %"]
    assert [percent(999_999, 1_000_000), percent(99_988, 100_000)] == ["99.9999 %", "99.988 %"]


kinds = st.sampled_from(["ok", "fail", "info", None])


@given(
    adds=st.lists(st.tuples(st.integers(0, 12), kinds), max_size=20),
    reads=st.lists(st.none() | st.lists(st.integers(0, 14), max_size=15), max_size=4),
)
def test_counts_are_set_arithmetic(
    tmp_path_factory: pytest.TempPathFactory,
    adds: list[tuple[int, str | None]],
    reads: list[list[int] | None],
) -> None:
    """The oracle is the definition, applied to what was drawn: it sees neither history nor times."""
    events = [event for process, (element, kind) in enumerate(adds) for event in add(element, kind, process)]
    events += [event for number, answer in enumerate(reads) for event in read(answer, process=1000 + number)]
    result = judged(tmp_path_factory.mktemp("h"), events)

    attempts = {element for element, _ in adds}
    acknowledged = {element for element, kind in adds if kind == "ok"}
    answers = [answer for answer in reads if answer is not None]
    assert (result["attempt_count"], result["acknowledged_count"]) == (len(attempts), len(acknowledged))
    if not answers:
        assert (result["valid"], result["lost_count"]) == ("unknown", None)
        return
    present = set(answers[-1])
    fates = {
        "lost": acknowledged - present,
        "recovered": (present & attempts) - acknowledged,
        "unexpected": present - attempts,
        "duplicated": {element for element, count in Counter(answers[-1]).items() if count > 1},
        "unread": set(),
    }
    for fate, elements in fates.items():
        assert (result[f"{fate}_count"], result[fate]) == (len(elements), format_intervals(elements))
    assert (result["present_count"], result["ok_count"]) == (len(present), len(present & attempts))
    invalid = fates["lost"] or fates["unexpected"]
    agreed = all(acknowledged <= set(answer) for answer in answers)  # each read is another node's
    assert result["valid"] == (False if invalid else True if acknowledged and agreed else "unknown")
    assert sum(result["lost_by_node"].values()) == sum(result["lost_by_window"].values()) == len(fates["lost"])
