"""Lost writes: elements whose addition was acknowledged and which the final read does not have.

The definitions are those of Jepsen's `set` checker (jepsen.checker/set). One more question is asked: a final read must
have begun after the last fault and after the writes that it is to judge.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.history import Call, History, HistoryError
from analysis.intervals import format_intervals

if TYPE_CHECKING:
    from analysis.run_folder import Window


@dataclass(frozen=True)
class Writes:
    """The elements of a history, sorted by their fate.

    Attributes:
        attempts: element: the first call that asked to add it.
        acknowledged: element: the first call that was told `ok`.
        final_reads: The ok reads invoked after the last window's end, in the order in which they ended.
        present: In the last of them, see `_last_read`; None where there is none.
        lost: Acknowledged before that read began, and absent.
        unread: Acknowledged after that read began, and absent: nobody looked for them again.
        recovered: Present and attempted, not acknowledged; element: the first call that tried.
        unexpected: Present, never attempted.
        duplicated: Listed more than once by that read.
    """

    attempts: dict[int, Call]
    acknowledged: dict[int, Call]
    final_reads: list[Call]
    present: set[int] | None
    lost: set[int]
    unread: set[int]
    recovered: dict[int, Call]
    unexpected: set[int]
    duplicated: set[int]


def check(history: History, windows: list[Window]) -> dict[str, Any]:
    """Judges the `set` workload.

    Returns:
        The result of `lost-writes` as docs/formats.md has it; what needs a final read is None without one.

    Raises:
        HistoryError: If an element is not a whole number.
    """
    writes = sort_writes(history, windows)
    doubts = _doubts(history, windows, writes)
    findings = _findings(writes)
    return {
        "valid": False if findings else "unknown" if doubts else True,
        "reason": "; ".join(findings + doubts) or _praise(writes),
        **_counts(writes),
        **_final_reads(writes),
        **_losses(writes, windows),
    }


def sort_writes(history: History, windows: list[Window]) -> Writes:
    """Sorts the elements of a history by their fate.

    Raises:
        HistoryError: If an element is not a whole number.
    """
    attempts: dict[int, Call] = {}
    acknowledged: dict[int, Call] = {}
    for call in history.calls:
        if call.invoke.f != "add":
            continue
        element = _integer(history, call.invoke.value, call.invoke.index)
        attempts.setdefault(element, call)
        if call.completion and call.completion.type == "ok":
            acknowledged.setdefault(element, call)
    reads = _reads_after(history, _last_end(windows))
    if not reads:
        return Writes(attempts, acknowledged, [], None, set(), set(), {}, set(), set())
    last = _last_read(reads, acknowledged)
    began, listed = last.invoke.index, Counter(_elements(last))
    present = set(listed)
    absent = acknowledged.keys() - present
    unread = {element for element in absent if _end_index(acknowledged[element]) > began}
    return Writes(
        attempts=attempts,
        acknowledged=acknowledged,
        final_reads=reads,
        present=present,
        lost=absent - unread,
        unread=unread,
        recovered={element: attempts[element] for element in (present & attempts.keys()) - acknowledged.keys()},
        unexpected=present - attempts.keys(),
        duplicated={element for element, count in listed.items() if count > 1},
    )


def _last_read(reads: list[Call], acknowledged: dict[int, Call]) -> Call:
    """Returns the read that ended last of those that could have seen all that was acknowledged.

    Where none of them began after the last acknowledgement, it is the one that began last.
    """
    whole = max(map(_end_index, acknowledged.values()), default=-1)
    return max(reads, key=lambda read: (min(read.invoke.index, whole), _end_index(read)))


def window_at(windows: list[Window], time: int) -> str:
    """Returns the name of the first window that holds at a time in nanoseconds since T0; empty outside of all."""
    return next((window.name for window in windows if window.from_time <= time < window.until_time), "")


def _last_end(windows: list[Window]) -> int | None:
    return max((window.until_time for window in windows), default=None)


def _reads_after(history: History, end: int | None) -> list[Call]:
    """Returns the ok reads that began at or after a time, by their completion."""
    reads: list[Call] = []
    for call in history.calls:
        if call.invoke.f != "read" or not call.completion or call.completion.type != "ok":
            continue
        if not isinstance(call.completion.value, list):
            raise _mistake(history, call.completion.index, "an ok read of a set needs a list of whole numbers")
        for element in call.completion.value:
            _integer(history, element, call.completion.index)
        if end is None or call.invoke.time >= end:
            reads.append(call)
    return sorted(reads, key=_end_index)


def _integer(history: History, value: Any, index: int) -> int:  # noqa: ANN401 - anything may stand in a JSON file
    if type(value) is not int:  # a bool is an int to isinstance
        raise _mistake(history, index, f"an element of a set must be a whole number, found {value!r}")
    return value


def _mistake(history: History, index: int, sentence: str) -> HistoryError:
    return HistoryError([f"{history.name}:{index + 1}:1: {sentence}"])  # a line an operation: indices are dense


def _elements(read: Call) -> list[int]:
    return read.completion.value if read.completion else []


def _end_index(call: Call) -> int:
    return call.completion.index if call.completion else call.invoke.index


def _findings(writes: Writes) -> list[str]:
    """What makes the history invalid, one sentence each."""
    findings = []
    if writes.lost:
        lost, acknowledged = len(writes.lost), len(writes.acknowledged)
        verb = "was" if lost == 1 else "were"
        findings.append(f"{lost:,} of {acknowledged:,} acknowledged writes {verb} lost ({percent(lost, acknowledged)})")
    if writes.unexpected:
        findings.append(f"the final read has {plural(len(writes.unexpected), 'element')} that nobody added")
    return findings


def _doubts(history: History, windows: list[Window], writes: Writes) -> list[str]:
    """What keeps the history from being valid, one sentence each."""
    doubts = []
    if writes.present is None:
        doubts.append(_no_final_read(history, _last_end(windows)))
    if not writes.acknowledged:
        doubts.append("no write was acknowledged, so none could be lost")
    if writes.unread:
        late = plural(len(writes.unread), "acknowledged write")
        doubts.append(f"the final read began before {late} ended, and nobody read again")
    lacking = {node: len(_absent(writes, read)) for node, read in _last_reads(writes).items()}
    doubts += [
        f"the final read of {node} lacks {plural(count, 'acknowledged write')} that the last final read has"
        for node, count in sorted(lacking.items())
        if count and not writes.lost
    ]
    return doubts


def _no_final_read(history: History, end: int | None) -> str:
    since = "" if end is None else f" after the last window's end at {end / 1e9:.1f} s"
    tried = [call for call in history.calls if call.invoke.f == "read" and (end is None or call.invoke.time >= end)]
    if not tried:
        return f"no final read: none was tried{since}"
    errors = [call.completion.error for call in tried if call.completion and call.completion.error]
    last = f" (the last error: {errors[-1]})" if errors else ""
    return f"no final read: {len(tried)} tried{since}, none succeeded{last}"


def _praise(writes: Writes) -> str:
    return f"the final read has all {plural(len(writes.acknowledged), 'acknowledged write')}"


def plural(count: int, noun: str) -> str:
    """Returns `1 element`, `1,204 elements`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(part: float, whole: float) -> str:
    """Returns `31.4 %`; two significant digits of what lies nearer than a tenth to nought, or rounds to all."""
    share, rest = 100 * part / whole, 100 * (whole - part) / whole
    if 0 < rest <= 0.05:
        return f"{share:.{1 - math.floor(math.log10(rest))}f}".rstrip("0") + " %"
    return f"{share:.1f} %" if share >= 0.1 or not part else f"{share:.2g} %"


def _counts(writes: Writes) -> dict[str, Any]:
    fates = ("lost", "recovered", "unexpected", "duplicated", "unread")
    attempted = {"attempt_count": len(writes.attempts), "acknowledged_count": len(writes.acknowledged)}
    if writes.present is None:
        unknowable = ["present_count", "ok_count", *(f"{fate}_count" for fate in fates), "lost_fraction", *fates]
        return attempted | dict.fromkeys(unknowable)
    return {
        **attempted,
        "present_count": len(writes.present),
        "ok_count": len(writes.present & writes.attempts.keys()),
        **{f"{fate}_count": len(getattr(writes, fate)) for fate in fates},
        "lost_fraction": len(writes.lost) / len(writes.acknowledged) if writes.acknowledged else None,
        **{fate: format_intervals(getattr(writes, fate)) for fate in fates},
    }


def _final_reads(writes: Writes) -> dict[str, Any]:
    """What each node answered last, and whether they agree."""
    last = _last_reads(writes)
    answers = {node: frozenset(_elements(read)) for node, read in last.items()}
    return {
        "final_reads_differ": len(set(answers.values())) > 1,
        "final_reads": [
            {
                "node": node,
                "time_s": last[node].invoke.time / 1e9,
                "present_count": len(answer),
                "lost_count": len(_absent(writes, last[node])),
            }
            for node, answer in sorted(answers.items())
        ],
    }


def _last_reads(writes: Writes) -> dict[str, Call]:
    """Returns each node's last final read."""
    return {read.node: read for read in writes.final_reads}


def _absent(writes: Writes, read: Call) -> set[int]:
    """Returns what was acknowledged before a read began and is not in it."""
    began = read.invoke.index
    return {e for e in writes.acknowledged.keys() - set(_elements(read)) if _end_index(writes.acknowledged[e]) < began}


def _losses(writes: Writes, windows: list[Window]) -> dict[str, Any]:
    """Who acknowledged the lost writes, when, and in which window."""
    losses: list[dict[str, Any]] = []
    for element in sorted(writes.lost):
        call = writes.acknowledged[element]
        time = call.completion.time if call.completion else call.invoke.time
        window = window_at(windows, time)
        losses.append({"value": element, "node": call.node, "time_s": time / 1e9, "window": window})
    end_s = max((window.until_s for window in windows), default=float("inf"))
    times_s = {window.name: [loss["time_s"] for loss in losses if loss["window"] == window.name] for window in windows}
    return {
        "lost_by_node": dict(sorted(Counter(loss["node"] for loss in losses).items())),
        "lost_after_windows_count": sum(end_s <= loss["time_s"] for loss in losses),
        "lost_by_window": dict(sorted(Counter(loss["window"] for loss in losses).items())),
        "last_lost_after_s": {w.name: max(times_s[w.name]) - w.from_s for w in windows if times_s[w.name]},
        "lost_writes": losses,
    }
