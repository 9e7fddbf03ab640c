"""Jepsen's `set-full`: for every element, when it was known to be there, and whether it stayed.

The definitions are those of jepsen.checker/set-full, per element:

- *known*: the end of its add, or of the first read that has it, whichever is earlier.
- *stable*: some read has it, and no later one lacks it. *Lost*: known before the newest read began, and that read lacks
  it. Otherwise *never read*. Reads are ordered by their invocations; those that ended before the add began say nothing.
- *stale*: stable, though a read that began after it was known lacked it; for how long is its latency.

Adding an element again begins its story anew. Two things differ from Jepsen: an element that one read lists twice is
found (its test for that is never true), and latencies are nanoseconds, so that staleness below a millisecond counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.checks.elements import Numbering, canonical, column_at, column_of, elements_at, listed
from analysis.checks.rows import began, rows_of, said
from analysis.checks.verdict import weigh
from analysis.lost_writes import percent, plural
from analysis.table import INVOKE, OK

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from analysis.run_folder import Window
    from analysis.table import Table

_BATCH = 1_000_000
"""Elements of reads that are held as columns at a time."""

_NEVER: Final = np.iinfo(np.int64).max
_QUANTILES: Final = (0, 0.5, 0.95, 0.99, 1)
_WORST: Final = 8


def check(table: Table, _windows: Sequence[Window] = (), *, linearizable: bool = False) -> dict[str, Any]:
    """Judges adds of single elements (`add`) and reads of all (`read`); linear in the sizes of the reads.

    Args:
        table: The history.
        linearizable: Whether a stale element is a violation.

    Returns:
        The verdict; `attempt_count`, `read_count`; `stable_count`, `lost_count`, `never_read_count`, `stale_count`,
        `duplicated_count`, `unexpected_count`; `lost`, `never_read`, `stale`, `duplicated`, `unexpected` as intervals;
        `worst_stale`, and `stable_latencies_ns` and `lost_latencies_ns` by quantile (None without any).

    Raises:
        AnalysisError: If an ok read is not a list of elements.
    """
    story = _follow(table)
    numbering = story.numbering
    fates = story.fates()
    counts = {name: int(fate.sum()) for name, fate in fates.items()}
    result = {
        "attempt_count": int(numbering.present.sum()),
        "read_count": len(story.reads),
        **{f"{name}_count": count for name, count in counts.items()},
        "duplicated_count": len(story.duplicated),
        "unexpected_count": len(story.unexpected),
        **{name: listed(numbering.values(np.flatnonzero(fate))) for name, fate in fates.items() if name != "stable"},
        "duplicated": listed(value for value, _ in story.duplicated.values()),
        "unexpected": listed(story.unexpected.values()),
        "worst_stale": _worst_stale(table, story),
        "stable_latencies_ns": _quantiles(story.latencies_ns(table)[fates["stable"]]),
        "lost_latencies_ns": _quantiles(story.lost_latencies_ns(table)[fates["lost"]]),
    }
    findings = _findings(result, linearizable=linearizable)
    doubts = [] if counts["stable"] or counts["lost"] else [_why_nothing_stayed(result)]
    praise = f"all {plural(counts['stable'], 'element')} that reads could judge stayed once seen"
    notes = [f"{plural(counts['stale'], 'element')} stale for a while"] * bool(counts["stale"])
    notes += [f"{plural(len(story.unexpected), 'element')} read that nobody added"] * bool(story.unexpected)
    return weigh(findings, doubts, "; ".join([praise, *notes])) | result


@dataclass
class _Story:
    """What became of each element; arrays by its number.

    Attributes:
        numbering: The elements that were added.
        reads: Rows of the ok reads, by their invocations; `begun` has these.
        added: int64[size]: the row of its last add's invocation.
        known: int64[size]: the row since which it is known, `_NEVER` without.
        present: int64[size]: the newest read that has it, as a place in `reads`, -1 without.
        absent: int64[size]: the row where the newest read that lacks it began, if the newest of all has it, else -1.
        duplicated: An element that a read lists more than once, and how often at most.
        unexpected: An element that was read and that nobody added.
    """

    numbering: Numbering
    reads: NDArray[np.int64]
    begun: NDArray[np.int64]
    added: NDArray[np.int64]
    known: NDArray[np.int64]
    present: NDArray[np.int64]
    absent: NDArray[np.int64]
    duplicated: dict[Hashable, tuple[Any, int]] = field(default_factory=dict)
    unexpected: dict[Hashable, Any] = field(default_factory=dict)

    def fates(self) -> dict[str, NDArray[np.bool_]]:
        """Returns which elements are stable, lost, never_read and stale."""
        newest = len(self.reads) - 1
        last_end_since = np.append(np.maximum.accumulate(self.reads[::-1])[::-1], -1)
        lacking = last_end_since[self.present + 1] > self.added  # a newer read looked for it: in vain
        stable = (self.present >= 0) & ~lacking
        since = self.begun[newest] if len(self.reads) else -1
        lost = (self.known < since) & (self.present < newest)
        return {
            "stable": stable,
            "lost": lost,
            "never_read": self.numbering.present & ~stable & ~lost,
            "stale": stable & self._late(),
        }

    def latencies_ns(self, table: Table) -> NDArray[np.int64]:
        """Returns for how long each element was known and yet missed by a read; for stable ones."""
        known = np.where(self._late(), self.known, 0)
        return np.where(self._late(), table.time[self.absent] + 1 - table.time[known], 0) if len(known) else known

    def lost_latencies_ns(self, table: Table) -> NDArray[np.int64]:
        """Returns for how long each element was known and still seen; for lost ones."""
        seen = (self.present >= 0) & (self.known < _NEVER)
        known = np.where(seen, self.known, 0)
        last = self.begun[np.where(seen, self.present, 0)] if len(self.reads) else known
        return np.where(seen, np.maximum(table.time[last] + 1 - table.time[known], 0), 0) if len(known) else known

    def _late(self) -> NDArray[np.bool_]:
        return self.absent > self.known


def _follow(table: Table) -> _Story:
    """Walks over the adds, then over the reads from the newest to the oldest."""
    invoked = rows_of(table, "add", INVOKE)
    adds = column_at(table, invoked)
    numbering = Numbering(adds)
    added, known = np.full(numbering.size, -1, np.int64), np.full(numbering.size, _NEVER, np.int64)
    np.maximum.at(added, numbering.of(adds), invoked)
    acknowledged = rows_of(table, "add", OK)
    elements = numbering.of(column_at(table, said(table, acknowledged)))
    counts = (elements >= 0) & (added[elements] < acknowledged) if numbering.size else elements >= 0
    np.minimum.at(known, elements[counts], acknowledged[counts])
    reads = rows_of(table, "read", OK)
    begun = began(table, reads)
    order = np.argsort(begun, kind="stable")
    nowhere = np.full(numbering.size, -1, np.int64)
    story = _Story(numbering, reads[order], begun[order], added, known, nowhere, nowhere.copy())
    _walk(table, story)
    return story


def _walk(table: Table, story: _Story) -> None:
    unbroken: NDArray[np.int64] | None = None  # the elements that all reads so far have
    mark = np.full(story.numbering.size + 1, -1, np.int64)  # one more, for the elements without a number, -1
    for places, lists in _batches(table, story.reads):
        numbers = story.numbering.of(column_of(lists))
        _see(story, numbers, np.repeat(places, [len(a_list) for a_list in lists]))
        _look_for_odd(story, lists, numbers)
        end = 0
        for place, a_list in zip(places, lists, strict=True):
            start, end = end, end + len(a_list)
            if unbroken is None:
                unbroken = np.unique(numbers[start:end])
                unbroken = unbroken[unbroken >= 0]
            elif len(unbroken):
                mark[numbers[start:end]] = place
                here = mark[unbroken] == place
                story.absent[unbroken[~here]] = story.begun[place]
                unbroken = unbroken[here]


def _batches(table: Table, reads: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], list[list[Any]]]]:
    """Yields reads, newest first, with their elements, as many as fit into a batch."""
    newest, held, lists = len(reads) - 1, 0, list[list[Any]]()
    for place in range(len(reads) - 1, -1, -1):
        lists.append(elements_at(table, int(reads[place])))
        held += len(lists[-1]) + 1
        if held >= _BATCH or place == 0:
            yield np.arange(newest, place - 1, -1), lists
            newest, held, lists = place - 1, 0, []


def _see(story: _Story, numbers: NDArray[np.int64], places: NDArray[np.int64]) -> None:
    """Notes which elements a batch has; an element that was not yet being added counts for nothing."""
    ends = story.reads[places]
    seen = numbers >= 0
    numbers, places, ends = numbers[seen], places[seen], ends[seen]
    timely = story.added[numbers] < ends
    np.minimum.at(story.known, numbers[timely], ends[timely])
    np.maximum.at(story.present, numbers[timely], places[timely])


def _look_for_odd(story: _Story, lists: list[list[Any]], numbers: NDArray[np.int64]) -> None:
    """Notes elements that a read lists twice, and such as nobody added; cheap where there are none."""
    end = 0
    strange = np.concatenate([[0], np.cumsum(numbers < 0)])
    for a_list in lists:
        start, end = end, end + len(a_list)
        if strange[end] > strange[start]:
            for at in range(start, end):
                if strange[at + 1] > strange[at]:
                    story.unexpected.setdefault(canonical(a_list[at - start]), a_list[at - start])
        if _all_differ(a_list):
            continue
        names = [canonical(value) for value in a_list]
        values = dict(zip(names, a_list, strict=True))
        for name, count in Counter(names).items():
            if count > max(1, story.duplicated.get(name, (None, 0))[1]):
                story.duplicated[name] = (values[name], count)


def _all_differ(values: list[Any]) -> bool:
    try:
        return len(set(values)) == len(values)
    except TypeError:  # lists and maps cannot be hashed as they are
        return False


def _findings(result: dict[str, Any], *, linearizable: bool) -> list[str]:
    findings = []
    if lost := result["lost_count"]:
        total = result["attempt_count"]
        findings.append(f"{lost:,} of {plural(total, 'element')} lost ({percent(lost, total)})")
    if result["duplicated_count"]:
        findings.append(f"{plural(result['duplicated_count'], 'element')} listed more than once by one read")
    if linearizable and result["stale_count"]:
        findings.append(f"{plural(result['stale_count'], 'element')} missed by reads that began after it was known")
    return findings


def _why_nothing_stayed(result: dict[str, Any]) -> str:
    if not result["attempt_count"]:
        return "no element was added"
    return "no element was seen to stay" if result["read_count"] else "the set was never read"


def _worst_stale(table: Table, story: _Story) -> list[dict[str, Any]]:
    latencies = story.latencies_ns(table)
    stale = np.flatnonzero(story.fates()["stale"])
    worst = stale[np.argsort(-latencies[stale], kind="stable")][:_WORST]
    return [
        {
            "value": story.numbering.value(int(number)),
            "latency_ns": int(latencies[number]),
            "known_line": int(table.line[story.known[number]]),
            "absent_line": int(table.line[story.absent[number]]),
        }
        for number in worst
    ]


def _quantiles(latencies: NDArray[np.int64]) -> dict[str, int] | None:
    if not len(latencies):
        return None
    ordered = np.sort(latencies)
    last = len(ordered) - 1
    return {f"{point:g}": int(ordered[min(last, int(len(ordered) * point))]) for point in _QUANTILES}
