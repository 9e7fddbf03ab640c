"""A verdict as a person reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from analysis.lost_writes import percent, plural

if TYPE_CHECKING:
    from analysis.judge import Results
    from analysis.run_folder import Published, Scenario

WORDS = {"True": "VALID", "False": "INVALID", "unknown": "UNKNOWN"}


def sentences(results: Results, scenario: Scenario | None = None) -> list[str]:
    """Returns the verdict, first line first; the published result stands beside ours where the scenario has one."""
    losses = results["checkers"].get("lost-writes", {})
    found = next((result for result in results["checkers"].values() if result.get("contradiction")), {})
    first = f"{verdict_word(results)}  {_sentence(results['reason'])}"
    if losses.get("lost_count") is not None and scenario and scenario.published:
        first += published_beside(scenario.published)
    lines = [first]
    if losses.get("lost_count"):
        lines.append(_who_and_when(losses))
    if found:
        lines += _contradicted(found["contradiction"])
    if losses.get("final_reads_differ"):
        counts = ", ".join(f"{read['node']} {read['present_count']:,}" for read in losses["final_reads"])
        lines.append(f"The final reads of the nodes differ, in elements: {counts}.")
    if results["valid"] is False:
        lines += [f"But: {doubt}." for doubt in results["doubts"]]
    return lines + [f"Note: {warning}." for warning in results["warnings"]]


def verdict_word(results: Results) -> str:
    """Returns VALID, INVALID or UNKNOWN."""
    return WORDS[str(results["valid"])]


def published_year(published: Published) -> str:
    """Returns `Published 2013`, the year taken from the source, or `Published`."""
    year = re.search(r"\((\d{4})\)", published.source)
    return f"Published {year[1]}" if year else "Published"


def published_beside(published: Published) -> str:
    """Returns `  Published 2013: 1,126 of 1,998 (56.4 %).`, or nothing where the counts are not known."""
    lost, acknowledged = published.lost_count, published.acknowledged_count
    if lost is None or not acknowledged:
        return ""
    return f"  {published_year(published)}: {lost:,} of {acknowledged:,} ({percent(lost, acknowledged)})."


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:] + "."


def _contradicted(contradiction: dict[str, Any]) -> list[str]:
    """Returns what fitted, what did not, and in which states, as the series prints it."""
    prefix, bad = contradiction["prefix"], contradiction["operation"]
    last = f", the last is {prefix[-1]['text']} (line {prefix[-1]['line']})" if prefix else ""
    until = "" if bad["returned_line"] is None else f" to {bad['returned_line']}"
    where = f"process {bad['process']}{' on ' + bad['node'] if bad['node'] else ''}, lines {bad['line']}{until}"
    told = [
        f"{plural(contradiction['prefix_count'], 'operation')} fit{last}.",
        f"Then {bad['text']} ({where}) has no place: {'; '.join(contradiction['refusals'][:3]) or 'in no state'}.",
    ]
    pending = [f"{each['text']} (line {each['line']})" for each in contradiction["pending"][:5] if each != bad]
    return told + ([f"Pending then: {', '.join(pending)}."] if pending else [])


def _who_and_when(losses: dict[str, Any]) -> str:
    nodes = [f"{node or 'an unnamed node'} ({count:,})" for node, count in losses["lost_by_node"].items()]
    windows = losses["lost_by_window"]
    named = {name: count for name, count in windows.items() if name}
    after = losses["lost_after_windows_count"]
    outside = windows.get("", 0) - after
    if not named and not after:
        when = "outside of any window"
    elif len(named) == 1 and not outside and not after:
        name = next(iter(named))
        when = f"all inside {name}, the last {losses['last_lost_after_s'][name]:.1f} s after it began"
    else:
        places = [f"{count:,} inside {name}" for name, count in named.items()]
        places += [f"{outside:,} outside of any window"] if outside else []
        when = _listed(places + ([f"{after:,} after the network had healed"] if after else []))
    return f"Acknowledged by {_listed(nodes)}, {when}."


def _listed(words: list[str]) -> str:
    """Returns `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
