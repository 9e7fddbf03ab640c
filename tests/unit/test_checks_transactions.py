"""`bank`, `long-fork` and `g2` against Jepsen's definitions on drawn histories, `row-isolation` against its own."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.checks import bank, g2, long_fork, row_isolation
from analysis.errors import AnalysisError
from analysis.table import table_of
from tests.unit.drawn import Call, Event, completions, ended, interleaved, mapped, ok, operations_of, renamed, shifted
from tests.unit.drawn import table as table_with

if TYPE_CHECKING:
    from analysis.history import Operation

pytestmark = pytest.mark.unit

ENDS = st.sampled_from(["ok", "ok", "ok", "fail", "info", None])
TENS = st.sampled_from([{"a": 5, "b": 5}, {"a": 10, "b": 0}, {"a": 15, "b": -5}, {"b": 10}])
BALANCES = TENS | st.dictionaries(st.sampled_from("abc"), st.sampled_from([5, 5, 0, 10, -5, None]), max_size=3)
BANK_READS = st.builds(lambda value, end: Call("read", None, end, value), BALANCES, ENDS)
TRANSFER = {"from": "a", "to": "b", "amount": 5}
TRANSFERS = st.builds(lambda end: Call("transfer", TRANSFER, end, TRANSFER), ENDS)


def jepsens_bank(balances: dict[str, Any], *, overdraw: bool) -> str | None:
    """The error of one read, as jepsen.tests.bank/check-op has it, of accounts a and b and a total of 10."""
    if not balances.keys() <= {"a", "b"}:
        return "unexpected-account"
    if None in balances.values():
        return "nil-balance"
    if sum(balances.values()) != 10:
        return "wrong-total"
    return "negative-balance" if min(balances.values()) < 0 and not overdraw else None


@settings(max_examples=300)
@given(interleaved(BANK_READS | BANK_READS | TRANSFERS), st.booleans())
def test_bank_is_jepsens(history: list[Operation], overdraw: bool) -> None:  # noqa: FBT001 - drawn
    options: dict[str, Any] = {"accounts": ["a", "b"], "total_amount": 10, "negative_balances": overdraw}
    result = bank.check(table_of(history), **options)
    reads = [(o.index + 1, o.value) for o in history if o.f == "read" and o.type == "ok"]
    errors = [(kind, line) for line, value in reads if (kind := jepsens_bank(value, overdraw=overdraw))]
    assert result["valid"] == (False if errors else True if reads else "unknown")
    assert (result["read_count"], result["error_count"]) == (len(reads), len(errors))
    assert result["errors"].keys() == {kind for kind, _ in errors}
    for kind, summary in result["errors"].items():
        lines = [line for each, line in errors if each == kind]
        assert (summary["count"], summary["first"]["line"], summary["last"]["line"]) == (
            len(lines),
            lines[0],
            lines[-1],
        )
    first = result["first_error"]
    assert (first and (first["kind"], first["line"])) == (errors[0] if errors else None)
    assert bank.check(renamed(history), **options) == bank.check(shifted(history), **options) == result


def test_the_worst_the_lowest_and_the_highest_total_are_told() -> None:
    reads = [event for a in (5, 6, 1, 8, 5) for event in ok("read", None, {"a": a, "b": 5})]
    result = bank.check(table_with(*reads))
    assert result["reason"] == "3 reads with a wrong total"
    wrong = result["errors"]["wrong-total"]
    assert wrong["worst"] == {"kind": "wrong-total", "line": 6, "total": 6}
    assert (wrong["lowest"], wrong["highest"], result["total_amount"]) == (6, 13, 10)


def test_accounts_are_the_same_as_numbers_and_as_strings() -> None:
    history = table_with(*ok("read", None, {"1": 4, "2": 6}))
    assert bank.check(history, accounts=[1, 2], total_amount=10)["valid"] is True
    assert bank.check(history, accounts=[1], total_amount=10)["first_error"]["accounts"] == ["2"]


def test_the_first_read_is_what_the_others_must_agree_with_unless_told() -> None:
    history = table_with(*ok("read", None, {"a": 4, "b": 6}))
    assert bank.check(history)["valid"] == "unknown"
    assert bank.check(history, total_amount=10)["valid"] is True
    assert bank.check(history, total_amount=9)["valid"] is False
    assert bank.check(table_with(*ok("read", None, {"a": 4, "b": 6}), *ok("read", None, {"a": 10})))["valid"] is True


def test_balances_with_a_point_are_summed_as_they_are_written() -> None:
    before, after = {"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 0.3, "b": 0.2, "c": 0.1}
    result = bank.check(table_with(*ok("read", None, before), *ok("read", None, after)))
    assert (result["valid"], result["reason"]) == (True, "all 2 reads sum up to 0.6")
    assert result["total_amount"] == 0.6
    assert bank.check(table_with(*ok("read", None, before)), total_amount=0.6)["valid"] is True
    less = bank.check(table_with(*ok("read", None, before), *ok("read", None, after | {"a": 0.30000000000000004})))
    assert less["first_error"] == {"kind": "wrong-total", "line": 4, "total": 0.6000000000000001}


@pytest.mark.parametrize("balance", [float("inf"), float("nan"), 1e308])
def test_a_total_that_is_no_number_is_wrong(balance: float) -> None:
    reads = [event for each in (1, balance) for event in ok("read", None, {"a": each, "b": each})]
    result = bank.check(table_with(*reads))
    assert (result["valid"], result["reason"]) == (False, "1 read with a wrong total")


@pytest.mark.parametrize(("events", "reason"), [
    ([], "nobody read"),
    ([*ended("read", None, "fail"), *ended("read", None, "info")], "of 2 reads none told the balances"),
])  # fmt: skip
def test_a_bank_that_nobody_read_is_unknown(events: list[Event], reason: str) -> None:
    result = bank.check(table_with(*events))
    assert (result["valid"], result["reason"]) == ("unknown", reason)


@pytest.mark.parametrize(("answer", "message"), [
    ([1, 2], r"history:2:1: an ok read of a bank needs a map of accounts to balances, found \[1,2\]"),
    ({"a": "x"}, 'history:2:1: the balance of account "a" must be a number or nil, found "x"'),
])  # fmt: skip
def test_what_is_no_bank_is_told_with_its_line(answer: Any, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        bank.check(table_with(*ok("read", None, answer)))


GROUPS = st.sampled_from([(0, 1), (2, 3, 4)])


@st.composite
def group_reads(draw: st.DrawFn) -> Call:
    keys = draw(GROUPS.flatmap(st.permutations))
    answer = [["r", key, draw(st.sampled_from([None, 1]))] for key in keys]
    return Call("txn", [["r", key, None] for key in keys], draw(ENDS), answer)


def incomparable(a: Operation, b: Operation) -> bool:
    """jepsen.tests.long-fork/read-compare: each has seen what the other has not."""
    one, other = ({key: value for _, key, value in o.value} for o in (a, b))
    more = {one[key] is not None for key in one if one[key] != other[key]}
    return len(more) == 2


@settings(max_examples=400)
@given(interleaved(group_reads(), max_calls=8))
def test_long_fork_is_found_where_any_two_reads_contradict(history: list[Operation]) -> None:
    writes = [event for key in range(5) for event in ok("txn", [["w", key, 1]], process=90)]
    reads = [o for o in history if o.process != "nemesis" and o.type == "ok"]
    groups = [[o for o in reads if {step[1] for step in o.value} == keys] for keys in ({0, 1}, {2, 3, 4})]
    forked = any(incomparable(a, b) for group in groups for a, b in combinations(group, 2))
    table = table_of([*operations_of(writes), *history])
    result = long_fork.check(table)
    assert result["valid"] == (not forked if reads else "unknown")
    assert bool(result["fork_count"]) == forked
    assert result["read_count"] == len(reads)
    lines = {o.index + 1 + len(writes): o for o in reads}
    for one, other in result["forks"]:
        assert incomparable(*(lines[each["line"]] for each in (one, other)))
    assert long_fork.check(renamed(history)) == long_fork.check(shifted(history))
    text = long_fork.check(mapped(history, lambda value: value and [[kind, f"k{key}", v] for kind, key, v in value]))
    assert (text["valid"], text["fork_count"]) == (result["valid"], result["fork_count"])


FORKED = [
    *ok("txn", [["w", "x", 1]]),
    *ok("txn", [["w", "y", 1]]),
    *ok("txn", [["r", "x", None], ["r", "y", None]], [["r", "x", None], ["r", "y", 1]]),
    *ok("txn", [["r", "y", None], ["r", "x", None]], [["r", "y", None], ["r", "x", 1]]),
]


def test_a_fork_is_shown() -> None:
    result = long_fork.check(table_with(*FORKED), group_size=2)
    assert (result["valid"], result["reason"]) == (False, "1 pair of reads saw writes in opposite orders")
    assert result["forks"] == [
        [
            {"line": 6, "value": [["r", "x", None], ["r", "y", 1]]},
            {"line": 8, "value": [["r", "y", None], ["r", "x", 1]]},
        ]
    ]


@pytest.mark.parametrize(("events", "options", "reason"), [
    ([*FORKED, *ok("txn", [["w", "x", 2]])], {}, 'key "x" is written again in line 9, expected one write a key'),
    ([*FORKED, *ok("txn", [["r", "x", 2], ["r", "y", 1]])], {},
     "the read in line 10 sees another value of a key than one before it"),
    (FORKED, {"group_size": 3}, "the read in line 6 has 2 keys, expected 3"),
    (FORKED[:4], {}, "no transaction of reads was answered"),
])  # fmt: skip
def test_what_long_fork_cannot_judge_is_unknown(events: list[Event], options: dict[str, int], reason: str) -> None:
    result = long_fork.check(table_with(*events), **options)
    assert (result["valid"], result["reason"]) == ("unknown", reason)


def test_what_is_no_transaction_is_told_with_its_line() -> None:
    with pytest.raises(
        AnalysisError, match=r'history:1:1: a transaction is a list of \["r", key, value\] and .* found 5'
    ):
        long_fork.check(table_with(*ok("txn", 5)))


ROWS = st.integers(0, 9)
INSERTS = st.builds(
    lambda key, row, end, silent: Call("insert", [key, row], end, None if silent else [key, row]),
    st.sampled_from([0, 1, "x", [1, 2]]), ROWS, ENDS, st.booleans(),
)  # fmt: skip


def jepsens_g2(history: list[Operation]) -> dict[str, Any]:
    """jepsen.adya/g2-checker, one event after the other; the key of a completion is that of its invocation."""
    acknowledged: dict[str, int] = {}
    tried: dict[str, int] = {}
    for begun, done in completions(history).values():
        key = repr(begun.value[0])
        tried[key] = tried.get(key, 0) + 1
        acknowledged[key] = acknowledged.get(key, 0) + (done is not None and done.type == "ok")
    illegal = {key: count for key, count in acknowledged.items() if count > 1}
    tested = max(tried.values(), default=0) > 1 and sum(acknowledged.values()) > 0
    return {
        "valid": False if illegal else True if tested else "unknown",
        "key_count": len(tried),
        "legal_count": sum(count == 1 for count in acknowledged.values()),
        "illegal_count": len(illegal),
        "illegal": illegal,
    }


@settings(max_examples=400)
@given(interleaved(INSERTS))
def test_g2_is_jepsens(history: list[Operation]) -> None:
    result, expected = g2.check(table_of(history)), jepsens_g2(history)
    illegal = {repr(each["key"]): each["count"] for each in result["illegal"]}
    assert {key: result[key] for key in expected if key != "illegal"} | {"illegal": illegal} == expected
    by_line = {o.index + 1: o for o in history}
    for each in result["illegal"]:
        told = [by_line[insert["line"]] for insert in each["inserts"]]
        assert [(o.type, o.f) for o in told] == [("ok", "insert")] * each["count"]
    assert g2.check(renamed(history)) == g2.check(shifted(history)) == result


def test_two_inserts_that_did_not_see_each_other_are_shown() -> None:
    both = [(0, "invoke", "insert", [7, 14]), (1, "invoke", "insert", [7, 15])]
    both += [(1, "ok", "insert", [7, 15]), (0, "ok", "insert", [7, 14])]
    legal = [*ok("insert", [8, 16]), *ended("insert", [8, 17], "fail", 1)]
    result = g2.check(table_with(*both, *legal))
    assert (result["valid"], result["reason"]) == (False, "more than one insert was acknowledged of 1 of 2 keys")
    assert result["illegal"] == [
        {"key": 7, "count": 2, "inserts": [{"line": 4, "value": [7, 14]}, {"line": 3, "value": [7, 15]}]}
    ]
    counts = ("attempt_count", "acknowledged_count", "key_count", "contended_count", "legal_count", "undecided_count")
    assert [result[name] for name in counts] == [4, 3, 2, 2, 1, 0]


@pytest.mark.parametrize(("events", "valid", "reason"), [
    ([], "unknown", "nobody inserted anything"),
    ([*ok("insert", [1, 2]), *ok("insert", [2, 4], process=1)], "unknown",
     "of 2 keys none was tried twice, so none could get two rows"),
    ([*ended("insert", [1, 2], "fail"), *ended("insert", [1, 3], "info", 1)], "unknown",
     "of 2 inserts none was acknowledged"),
    ([*ok("insert", [1, 2]), *ended("insert", [1, 3], "fail", 1)], True,
     "at most one insert was acknowledged of each of 1 key"),
    ([*ok("insert", [1, 2]), *ended("insert", [1, 3], "info", 1)], True,
     "at most one insert was acknowledged of each of 1 key; of 1 nobody knows"),
])  # fmt: skip
def test_what_g2_says_where_no_key_has_two(events: list[Event], valid: Any, reason: str) -> None:
    result = g2.check(table_with(*events))
    assert (result["valid"], result["reason"]) == (valid, reason)


def test_an_insert_without_a_key_is_told_with_its_line() -> None:
    with pytest.raises(AnalysisError, match=r"history:3:1: an insert needs \[key, row\], found 5"):
        g2.check(table_with(*ok("insert", [1, 2]), *ok("insert", 5)))


ROW_WRITES = st.builds(
    lambda row, value, end: Call("write", [row, value], end, [row, value]), st.integers(0, 2), st.integers(1, 3), ENDS
)
CELLS = st.none() | st.integers(0, 3) | st.integers(1, 3).map(lambda value: -value)
ROW_READS = st.builds(
    lambda row, one, two, whole: Call("read", row, "ok", [row, one, -one if whole and one is not None else two]),
    st.integers(0, 2), CELLS, CELLS, st.booleans(),
)  # fmt: skip
NO_ROW = st.builds(
    lambda row, end: Call("read", row, end, None), st.integers(0, 2), st.sampled_from(["ok", "fail", None])
)


def by_the_definition(history: list[Operation]) -> dict[str, Any]:
    """Every read against every write that may have happened."""
    writes = [begun.value for begun, done in completions(history).values() if begun.f == "write"
              and not (done and done.type == "fail")]  # fmt: skip
    reads = [o.value for o in history if o.f == "read" and o.type == "ok" and o.value is not None]
    mixed, unwritten = set(), set()
    for row, one, two in reads:
        if any(one is not None and [row, one] == write and two == -one for write in writes):
            continue
        known = (one is None or [row, one] in writes) and (two is None or [row, -two] in writes)
        known = known and (one, two) != (None, None)
        (mixed if known else unwritten).add(row)
    rows = {row for row, _ in writes}
    contended = sum(len({value for other, value in writes if other == row}) > 1 for row in rows)
    valid = False if mixed or unwritten else True if reads and contended else "unknown"
    counts = {"row": rows, "mixed": mixed, "unwritten": unwritten, "read": reads}
    return {"valid": valid, "contended_count": contended} | {f"{name}_count": len(of) for name, of in counts.items()}


@settings(max_examples=500)
@given(interleaved(ROW_WRITES | ROW_WRITES | ROW_READS | NO_ROW))
def test_rows_are_held_against_each_write(history: list[Operation]) -> None:
    result, expected = row_isolation.check(table_of(history)), by_the_definition(history)
    assert {key: result[key] for key in expected} == expected
    assert row_isolation.check(renamed(history)) == row_isolation.check(shifted(history)) == result


BOTH = [*ok("write", [7, 1]), *ok("write", [7, 2], process=1)]


@pytest.mark.parametrize(("events", "valid", "reason"), [
    ([], "unknown", "no row was read"),
    ([*ok("write", [7, 1]), *ok("read", 7, [7, 1, -1])], "unknown",
     "of 1 row none was written by two, so none could be mixed"),
    ([*BOTH, *ok("read", 7, [7, 2, -2])], True, "1 read of whole rows, of which 1 were written by several"),
    ([*BOTH, *ok("read", 7, [7, 2, -1])], False, "1 of 1 row found mixed of several writes"),
    ([*BOTH, *ok("read", 7, [7, 3, -3])], False, "1 row with what nobody wrote"),
    ([*BOTH, *ok("read", 7, [7, 2, None])], False,
     "1 of 1 row found mixed of several writes (1 with a cell that none had set)"),
    ([*BOTH, *ok("read", 7, [7, None, -3])], False, "1 row with what nobody wrote"),
    ([*BOTH, *ok("read", 7, [7, None, None])], False, "1 row with what nobody wrote"),
])  # fmt: skip
def test_what_is_said_of_rows(events: list[Event], valid: Any, reason: str) -> None:
    result = row_isolation.check(table_with(*events))
    assert (result["valid"], result["reason"]) == (valid, reason)


def test_a_mixed_row_is_shown_with_its_line() -> None:
    result = row_isolation.check(table_with(*BOTH, *ok("read", 7, [7, 2, -1])))
    assert result["mixed"] == [{"row": 7, "first": 2, "second": -1, "line": 6}]


@pytest.mark.parametrize(("event", "message"), [
    (ok("write", 5), r"history:1:1: a write needs \[row, value\] of whole numbers, found 5"),
    (ok("read", 7, [7, "1", 1]), r"history:2:1: the answer of a read needs \[row, first, second\] of whole numbers"),
])  # fmt: skip
def test_rows_that_are_none_are_told_with_their_line(event: list[Event], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        row_isolation.check(table_with(*event))
