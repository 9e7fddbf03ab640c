"""What a check says: options, budgets, explanations, hostile histories."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from analysis.errors import AnalysisError
from analysis.history import HistoryError, Operation
from analysis.linear import Model, Options, check
from analysis.linear.decide import decide
from analysis.linear.locks import Semaphore
from analysis.linear.picture import picture
from analysis.run_folder import Window
from analysis.table import table_of

pytestmark = pytest.mark.unit


def history(*lines):
    """Each line: process, type, f, value; a second apart."""
    return table_of([Operation(i, i * 10**9, *line) for i, line in enumerate(lines)])


def done(*calls):
    """Calls of process 0, one after the other: f, what was asked, what was answered."""
    return history(*(half for f, asked, told in calls for half in ((0, "invoke", f, asked), (0, "ok", f, told))))


STALE = done(("write", 1, 1), ("write", 2, 2), ("read", None, 1))


def test_a_stale_read_is_explained():
    result = check(STALE, [Window("cut-1", 4.5, 9.0)], Options("register"))
    assert result["valid"] is False
    assert result["reason"] == "not linearizable: read -> 1 at 5.000 s is impossible: can't read 1 from register 2"
    contradiction = result["contradiction"]
    assert contradiction["prefix_count"] == 2
    assert [told["text"] for told in contradiction["prefix"]] == ["write 1", "write 2"]
    assert contradiction["operation"]["fault"] == "cut-1"
    assert contradiction["operation"]["line"] == 5
    assert contradiction["states"] == [2]
    assert contradiction["window_proven"] is True
    assert [told["text"] for told in contradiction["window"]] == ["write 2", "read -> 1"]
    json.dumps(result)


def test_sets_are_told_in_their_order_whatever_is_in_them():
    result = check(history(*((0, kind, "read", [10, 9]) for kind in ("invoke", "ok"))), [], Options("set"))
    assert result["contradiction"]["operation"]["text"] == "read -> [9, 10]"
    assert result["contradiction"]["refusals"] == ["can't read -> [9, 10] in []"]
    table = done(("add", ["x"], ["x"]), ("add", [1], [1]), ("add", None, None), ("read", None, [["x"]]))
    result = check(table, [], Options("set"))
    assert result["valid"] is False
    assert result["contradiction"]["states"] == [[None, ["x"], [1]]]


def test_states_before_it_are_all_told():
    table = history(
        (0, "invoke", "write", 1),
        (1, "invoke", "write", 2),
        (0, "ok", "write", 1),
        (2, "invoke", "read", None),
        (2, "ok", "read", 3),
        (1, "ok", "write", 2),
    )
    contradiction = check(table, [], Options("register"))["contradiction"]
    assert sorted(contradiction["states"]) == [1, 2]
    assert [told["text"] for told in contradiction["pending"]] == ["write 2"]


def test_a_nil_read_is_what_the_option_says():
    table = done(("write", 1, 1), ("read", None, None), ("read", None, 1))
    assert check(table, [], Options("register"))["valid"] is False
    assert check(table, [], Options("register", nil_read="wildcard"))["valid"] is True
    assert check(table, [], Options("register", initial=0))["valid"] is True
    assert check(table, [], Options("register", initial=0, nil_read="initial"))["valid"] is False


def test_a_failed_cas_is_what_the_option_says():
    table = history(
        (0, "invoke", "write", 1), (0, "ok", "write", 1), (0, "invoke", "cas", [1, 2]), (0, "fail", "cas", [1, 2])
    )
    assert check(table, [], Options())["valid"] is True
    assert check(table, [], Options(failed_cas="evidence"))["valid"] is False


def test_keys_are_objects_of_their_own():
    table = done(("write", ["x", 1], ["x", 1]), ("write", ["y", 2], ["y", 2]), ("read", ["x", None], ["x", 1]))
    result = check(table, [], Options())
    assert (result["valid"], result["key_count"]) == (True, 2)
    table = done(("write", ["x", 1], ["x", 1]), ("read", ["y", None], ["y", 1]), ("read", ["x", None], ["x", 1]))
    result = check(table, [], Options())
    assert (result["valid"], result["invalid_keys"]) == (False, ["y"])
    assert "of key y" in result["reason"]


def test_permits_of_a_semaphore_are_counted():
    table = history(*((process, kind, "acquire", None) for process in range(3) for kind in ("invoke", "ok")))
    assert check(table, [], Options(Semaphore(3)))["valid"] is True
    assert check(table, [], Options(Semaphore(2)))["valid"] is False


def test_locks_know_their_holder():
    others = history(*((p, kind, f, 1) for p, f in ((0, "acquire"), (1, "release")) for kind in ("invoke", "ok")))
    twice = done(("acquire", None, 1), ("acquire", None, 2))
    again = done(("acquire", None, 5), ("release", None, None), ("acquire", None, 5))
    verdicts = {
        model: [check(table, [], Options(model))["valid"] for table in (others, twice, again)]
        for model in ("mutex", "reentrant-mutex", "fenced-mutex")
    }
    assert verdicts == {
        "mutex": [True, False, True],
        "reentrant-mutex": [False, True, True],
        "fenced-mutex": [False, False, False],
    }


def test_a_model_of_ones_own():
    class Stack(Model):
        name = "stack"
        reads = frozenset()

        def step(self, state, f, argument, result):
            if f == "push":
                return (*state, argument)
            return state[:-1] if state and state[-1] == result else None

    pushes = [("push", 1, 1), ("push", 2, 2)]
    assert check(done(*pushes, ("pop", None, 2), ("pop", None, 1)), [], Options(Stack()))["valid"] is True
    assert check(done(*pushes, ("pop", None, 1), ("pop", None, 2)), [], Options(Stack()))["valid"] is False


@pytest.mark.parametrize("count", [63, 64, 65, 130, 200])
def test_more_calls_are_pending_than_a_word_has_bits(count):
    writes = [(p, "invoke", "write", p) for p in range(count)]
    crashed = [(1000 + p, kind, "write", -p) for p in range(1, count) for kind in ("invoke", "info")]
    reads = [(5000, kind, "read", value) for value in (count - 1, -count + 1, -1) for kind in ("invoke", "ok")]
    oks = [(p, "ok", "write", p) for p in range(count)]
    last = [(5000, "invoke", "read", None), (5000, "ok", "read", -2), (5000, "invoke", "read", None)]
    fine = history(*writes, *crashed, *reads, *oks, *last, (5000, "ok", "read", -3))
    assert check(fine, [], Options("register"))["valid"] is True
    gone = history(*writes, *reads[:2], *oks, (6000, "invoke", "read", None), (6000, "ok", "read", -2))
    assert check(gone, [], Options("register", budget_s=30))["valid"] is False


def test_ten_thousand_crashed_writes():
    rows = [(i + 10, kind, "write", i % 7) for i in range(10_000) for kind in ("invoke", "info")]
    reads = [(0, kind, "read", i % 7) for i in range(500) for kind in ("invoke", "ok")]
    assert check(history(*rows, *reads), [], Options("register", budget_s=20))["valid"] is True


def queue_of_overlapping(count):
    """Elements that come twice, which no rule decides."""
    begun = [(p, "invoke", "enqueue", p // 2) for p in range(count)]
    ended = [(p, "ok", "enqueue", p // 2) for p in range(count)]
    emptied = [(0, kind, "dequeue", -1 - p) for p in range(count) for kind in ("invoke", "ok")]
    return history(*begun, *ended, *emptied)


@pytest.mark.parametrize("budget", [{"budget_s": 0.2}, {"budget_configurations": 100}, {"budget_bytes": 100_000}])
def test_a_budget_ends_in_unknown_and_says_how_far_it_came(budget):
    check(queue_of_overlapping(30), [], Options("fifo-queue", budget_configurations=100))  # loads the compiler: seconds
    result = check(queue_of_overlapping(30), [], Options("fifo-queue", **budget))
    assert result["valid"] == "unknown"
    assert "budget of" in result["reason"]
    assert "came to completion" in result["reason"]
    assert "of 60" in result["reason"]


def queue_of_crashed_dequeues(count, crashed):
    """Elements that come twice, of which nobody knows which the crashed dequeues took; what is left is taken out."""
    put = [(0, kind, "enqueue", element // 2) for element in range(count) for kind in ("invoke", "ok")]
    lost = [(1 + p, kind, "dequeue", None) for p in range(crashed) for kind in ("invoke", "info")]
    left = [(0, kind, "dequeue", element // 2) for element in range(count - crashed) for kind in ("invoke", "ok")]
    return history(*put, *lost, *left, (0, "invoke", "dequeue", None), (0, "ok", "dequeue", None))


def test_a_state_of_too_many_contents_ends_in_unknown():
    result = check(queue_of_crashed_dequeues(60, 30), [], Options("unordered-queue"))
    assert result["valid"] == "unknown"
    assert result["reason"].startswith("undecided: the queue may hold any of more than 20,000 contents; came to")


def test_states_weigh_what_they_hold():
    result = check(queue_of_crashed_dequeues(40, 20), [], Options("unordered-queue", budget_bytes=10_000_000))
    assert result["valid"] == "unknown"
    assert "and has a budget of 10 MB" in result["reason"]


def test_ctrl_c_ends_in_unknown(monkeypatch):
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return decide(*arguments)

    objects = sys.modules["analysis.linear.objects"]
    monkeypatch.setattr(objects, "decide", interrupted)
    monkeypatch.setattr(objects, "decide_at_a_stroke", lambda *_: 0)  # as if none were easy
    monkeypatch.setattr(objects, "cores", lambda: 1)
    table = done(*(("write", [key, 1], [key, 1]) for key in "xyz"), ("read", ["x", None], ["x", 1]))
    result = check(table, [], Options())
    assert result["valid"] == "unknown"
    assert result["reason"] == "undecided: interrupted; 1 of 3 keys are decided"


def test_ctrl_c_during_an_explanation_keeps_the_verdict(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["analysis.linear.check"], "explain", interrupted)
    result = check(STALE, [], Options("register"))
    assert result["valid"] is False
    assert "contradiction" not in result
    assert result["reason"].endswith("(not explained: interrupted)")


def test_nobody_asked_for_an_explanation():
    result = check(STALE, [], Options("register", explain=False))
    assert result["valid"] is False
    assert result["reason"] == "not linearizable: no order of the operations explains the answers"


def test_a_history_without_times_names_the_line():
    table = table_of(
        [
            Operation(i, i, *line)
            for i, line in enumerate(
                (0, kind, f, value) for f, value in (("write", 1), ("read", 2)) for kind in ("invoke", "ok")
            )
        ]
    )
    assert "read -> 2 in line 4 is impossible" in check(table, [], Options("register"))["reason"]


def test_a_long_window_is_shown_in_part():
    crowd = [(p, "invoke", "write", p) for p in range(10, 3000)]
    table = history((0, "invoke", "write", 1), (0, "ok", "write", 1), *crowd,
                    (0, "invoke", "read", None), (0, "ok", "read", -7))  # fmt: skip
    result = check(table, [], Options("register", budget_s=30))
    assert result["valid"] is False
    assert len(json.dumps(result)) < 100_000
    assert result["contradiction"]["operation"] in result["contradiction"]["window"]


@pytest.mark.parametrize(
    ("model", "call", "sentence"),
    [
        ("register", ("cas", [1, 2], [1, 2]), "the model register knows read, write; found 'cas'"),
        ("cas-register", ("cas", 5, 5), "expected the old and the new value of a cas as a list of two, found 5"),
        ("counter", ("add", "x", "x"), "expected a whole number to add, found 'x'"),
        ("fenced-mutex", ("acquire", None, None), "expected the fencing token of an ok acquire as a whole number"),
        ("kv", ("get", "x", None), "expected [key, value] as the value of get, found 'x'"),
        ("multi-register", ("txn", 1, 1), "expected a txn as a list of [read or write, key, value], found 1"),
        ("set", ("read", None, 3), "expected the elements of an ok read as a list, found 3"),
    ],
)
def test_what_a_model_does_not_know_is_named(model, call, sentence):
    with pytest.raises(HistoryError, match=r"history:1:1: ") as caught:
        check(done(call), [], Options(model))
    assert sentence in str(caught.value)


def test_unknown_models_are_refused_with_those_there_are():
    with pytest.raises(AnalysisError, match="unknown model 'regster'; there are: register, cas-register"):
        check(STALE, [], Options("regster"))


def test_a_completion_without_invocation_is_refused():
    with pytest.raises(HistoryError, match='history:1:1: "ok" of process 0 without an invocation'):
        check(history((0, "ok", "read", 1)), [], Options())


NOTHING = {
    "register": [(0, kind, "write", 1) for kind in ("invoke", "ok")],
    "cas-register": [(0, kind, "cas", [0, 1]) for kind in ("invoke", "fail")],
    "multi-register": [(0, kind, "txn", [["write", "x", 1]]) for kind in ("invoke", "ok")],
    "kv": [(0, kind, "append", ["k", "a"]) for kind in ("invoke", "ok")],
    "mutex": [(0, "invoke", "acquire", None)],
    "set": [(0, kind, "add", 1) for kind in ("invoke", "ok")],
    "fifo-queue": [(0, kind, "enqueue", i) for i in range(200) for kind in ("invoke", "ok")],
    "unordered-queue": [(0, kind, "dequeue", None) for kind in ("invoke", "info")],
    "stack": [(0, kind, "push", 1) for kind in ("invoke", "ok")],
    "counter": [(0, kind, "increment", None) for kind in ("invoke", "ok")],
}


@pytest.mark.parametrize("model", NOTHING)
def test_a_history_that_tested_nothing_says_so(model):
    for rows, valid in (([], "unknown"), (NOTHING[model], True)):
        result = check(history(*rows), [], Options(model))
        assert (result["valid"], result["tested"]) == (valid, False)
        assert result["reason"].startswith("nothing was tested: no")


def test_a_long_history_of_nil_reads_tests_nothing_where_nil_says_nothing():
    calls = [(0, kind, f, value) for f, value in (("write", 1), ("read", None)) for kind in ("invoke", "ok")] * 5001
    table = history(*calls)
    assert check(table, [], Options("register", nil_read="wildcard"))["tested"] is False
    assert check(table, [], Options("register", nil_read="initial"))["valid"] is False


def test_a_large_register_is_decided_by_zones_and_explained_by_two_values():
    calls = [("write", i, i) if i % 2 else ("read", None, i - 1 if i > 1 else None) for i in range(1, 20_001)]
    calls = [("read", None, calls[i - 1][1]) if f == "read" else (f, a, b) for i, (f, a, b) in enumerate(calls)]
    result = check(done(*calls), [], Options("register"))
    assert (result["valid"], result["configuration_count"]) == (True, 0)
    calls[15_001] = ("read", None, 777)
    result = check(done(*calls), [], Options("register"))
    assert result["valid"] is False
    assert "read -> 777" in result["reason"]
    assert result["contradiction"]["window_count"] < 10


def test_the_picture_marks_the_impossible_one_and_stays_small():
    assert picture(check(done(("write", 1, 1)), [], Options())) == ""
    result = check(STALE, [], Options("register"))
    drawing = picture(result, [Window("cut-1", 0.0, 9.0)])
    ET.fromstring(drawing.replace("xlink:href", "href"))  # noqa: S314 - our own
    assert "var(--lost)" in drawing
    assert "read -&gt; 1" in drawing
    assert "cut-1" in drawing
    many = [("write", 1, 1), *(("write", 2, 2) for _ in range(2000)), ("read", None, 1)]
    assert len(picture(check(done(*many), [], Options("register")))) < 100_000


def test_a_long_queue_is_decided_without_a_search():
    puts = [("enqueue", i, i) for i in range(2000)]
    takes = [("dequeue", None, i) for i in range(2000)]
    assert check(done(*puts, *takes), [], Options("fifo-queue"))["valid"] is True
    result = check(done(*puts, *takes[::-1]), [], Options("fifo-queue", budget_s=1))
    assert result["valid"] is False
    assert "dequeue ->" in result["reason"]
    empty = check(done(*puts, ("dequeue", None, None)), [], Options("fifo-queue", budget_s=1))
    assert empty["valid"] is False


def test_values_of_megabytes_make_no_large_result():
    large = "x" * 3_000_000
    result = check(done(("write", large, large), ("read", None, large + "y")), [], Options("register"))
    assert result["valid"] is False
    assert len(json.dumps(result)) < 20_000


def test_five_thousand_at_once():
    crowd = range(5000)
    begun = [(p, "invoke", "cas", [p % 50, (p + 1) % 50]) for p in crowd]
    ended = [(p, "ok", "cas", [p % 50, (p + 1) % 50]) for p in crowd]
    assert check(history(*begun, *ended), [], Options(initial=0, budget_s=20))["valid"] is True
    assert check(history(*begun, *ended), [], Options(budget_s=20))["valid"] is False


def test_ten_thousand_crashed_writes_of_values_that_differ():
    rows = [(i + 10, kind, "write", i) for i in range(10_000) for kind in ("invoke", "info")]
    reads = [(0, kind, "read", value) for value in (5, 7, 5) for kind in ("invoke", "ok")]
    result = check(history(*rows, *reads), [], Options("register", budget_s=20))
    assert result["valid"] is False


def test_what_a_rule_finds_when_the_budget_is_spent_is_explained_still():
    calls = [(p, kind, "enqueue", p) for kind in ("invoke", "ok") for p in range(40)]
    taken = [(0, kind, "dequeue", -1 - p) for p in range(30) for kind in ("invoke", "ok")]
    result = check(history(*calls, *taken), [], Options("fifo-queue", budget_configurations=1000))
    assert result["valid"] is False
    assert result["contradiction"]["operation"]["text"].startswith("dequeue -> -")


def test_a_short_history_does_not_load_the_compiler(tmp_path):
    events = [(0, "invoke", "write", 1), (0, "ok", "write", 1), (0, "invoke", "read", None), (0, "ok", "read", 2)]
    rows = [
        {"index": i, "time": i, "process": p, "type": t, "f": f, "value": v} for i, (p, t, f, v) in enumerate(events)
    ]
    (tmp_path / "history.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    asks = """
import sys
from analysis.judge import check_history
told = check_history(sys.argv[1], ["linearizable"])
assert told["valid"] is False and told["checkers"]["linearizable"]["contradiction"]["window_proven"]
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", asks, str(tmp_path / "history.jsonl")], check=True, timeout=60)


def test_ctrl_c_in_the_plain_search_ends_in_unknown_or_a_verdict(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    module = sys.modules["analysis.linear.check"]
    monkeypatch.setattr(module, "_is_plain", lambda _: True)
    monkeypatch.setattr(sys.modules["analysis.linear.plain"].PlainSearch, "decide", interrupted)
    assert check(STALE, [], Options("register", explain=False))["valid"] in (False, "unknown")
