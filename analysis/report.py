"""The report: one page that tells what a run did to whom, and what became of the writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup

from analysis import figures
from analysis.atomic import write_atomically
from analysis.judge import Results, read_results
from analysis.linear.picture import picture
from analysis.lost_writes import percent, sort_writes
from analysis.nemesis import windows_in
from analysis.read import read_table
from analysis.record import Record
from analysis.run_folder import (
    CLIENTS,
    FAULTS_FILE,
    PARTITION,
    SHAPE,
    Faults,
    Scenario,
    Window,
    read_cluster,
    read_faults,
    read_scenario,
)
from analysis.sentences import published_year, sentences, verdict_word

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.history import History

REPORT_FILE = "report.html"

NOT_KNOWN = "\N{EN DASH}"


def write_report(folder: Path) -> Path:
    """Writes `report.html` into the folder of a judged run; writing it again gives the same bytes.

    Returns:
        The page's path. It needs no other file, no network and no JavaScript.

    Raises:
        HistoryError: If the history is not one.
        RunError: If another file of the run is missing or wrong (judge it first), or the disk is full.
    """
    scenario, results, record = read_scenario(folder), read_results(folder), Record(read_table(folder))
    history = record.history
    faults_path = folder / FAULTS_FILE
    faults = read_faults(faults_path) if faults_path.exists() else Faults(windows=windows_in(record.table)[0])
    lines = sentences(results, scenario)
    page = _environment().get_template("report.html").render(
        scenario=scenario,
        results=results,
        word=verdict_word(results),
        verdict=_unbroken(lines[0].partition("  ")[2]),
        notes=[_unbroken(line) for line in lines[1:]],
        losses=(losses := results["checkers"].get("lost-writes")),
        unread_count=(losses or {}).get("unread_count") or 0,
        contradiction=contradiction_of(results).get("contradiction"),
        compared=_compared(results, scenario),
        windows=[_window_row(window) for window in faults.windows],
        operations=_operation_rows(history, results),
        facts=_facts(scenario, read_cluster(folder), faults),
        colours={"survived": figures.SURVIVED, "lost": figures.LOST, "recovered": figures.RECOVERED,
                 "unread": figures.UNREAD},
        outcomes=figures.OUTCOMES,
        **_pictures(history, faults.windows, results),
    )  # fmt: skip
    path = folder / REPORT_FILE
    write_atomically(path, page.encode())
    return path


def _environment() -> jinja2.Environment:
    """Everything is escaped but the project's own style sheet and pictures."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: NOT_KNOWN if number is None else f"{round(number, 1):,.10g}"
    environment.filters["duration"] = _duration
    return environment


def _pictures(history: History, windows: list[Window], results: Results) -> dict[str, Markup | None]:
    """Markup: the drawings are made here, and figures.py lets matplotlib escape their texts."""
    span = figures.time_span(history)
    writes = sort_writes(history, windows) if "lost-writes" in results["checkers"] else None
    has_writes = writes is not None and writes.present is not None and writes.acknowledged
    return {
        "writes_picture": Markup(figures.draw_writes(writes, windows, span)) if writes and has_writes else None,  # noqa: S704 - see above
        "contradiction_picture": Markup(picture(contradiction_of(results), windows)),  # noqa: S704 - see above
        "rate_picture": Markup(figures.draw_rate(history, windows, span)),  # noqa: S704 - see above
        "latency_picture": Markup(figures.draw_latency(history, windows, span)),  # noqa: S704 - see above
    }


def contradiction_of(results: Results) -> dict[str, Any]:
    """Returns the result of the checker that found a contradiction; empty where none did."""
    return next((result for result in results["checkers"].values() if "contradiction" in result), {})


def _compared(results: Results, scenario: Scenario) -> dict[str, Any] | None:
    """The rows of the table: our result, and the published one where there is one."""
    losses = results["checkers"].get("lost-writes")
    if losses is None:
        return None
    published = scenario.published
    keys = {"Attempted": "attempt_count", "Acknowledged": "acknowledged_count",
            "Present in the end": "present_count", "Acknowledged and lost": "lost_count"}  # fmt: skip
    rows = [(title, losses[key], getattr(published, key, None)) for title, key in keys.items()]
    theirs = _share(published.lost_count, published.acknowledged_count) if published else ""
    return {
        "rows": rows,
        "shares": (_share(losses["lost_count"], losses["acknowledged_count"]), theirs),
        "heading": published_year(published) if published else None,
        "source": published.source if published else None,
    }


def _share(lost: int | None, acknowledged: int | None) -> str:
    return percent(lost, acknowledged) if lost is not None and acknowledged else NOT_KNOWN


def _window_row(window: Window) -> dict[str, Any]:
    """A window and, for each node that it touches, which peers and what it did, in the unit of its kind."""
    effect, peers = window.effect, window.peers
    nodes = list(dict.fromkeys([*window.nodes, *sorted(effect or {})]))
    rows = []
    for node in nodes:
        dropped = (window.dropped or {}).get(node)
        rows.append({
            "node": node,
            "peers": [(peer, (dropped or {}).get(peer, 0)) for peer in peers.get(node, sorted(dropped or {}))],
            "by_peer": dropped is not None,
            "total": None if effect is None else effect.get(node),
        })  # fmt: skip
    cut = "Was not heard by" if CLIENTS in window.grudge else "Could not hear"
    about = {PARTITION: f"{cut}, packets dropped", SHAPE: "Shaped towards it"}.get(window.kind, "")
    return {
        "window": window,
        "rows": rows,
        "about": about,
        "unit": window.kind.unit,
        "total": window.effect_total,
        "doubt": window.doubt(),
        "span": f"from {window.from_s:g} s to {window.until_s:g} s",
    }


def _operation_rows(history: History, results: Results) -> list[dict[str, Any]]:
    """How the operations of each function ended, and how long the successful ones took, in seconds."""
    took: dict[str, list[float]] = {}
    for call in history.calls:
        if call.completion and call.completion.type == "ok":
            took.setdefault(call.invoke.f, []).append((call.completion.time - call.invoke.time) / 1e9)
    return [
        {"f": f, **counts, "quantiles": [float(q) for q in np.quantile(took[f], [0.5, 0.99, 1])] if f in took else None}
        for f, counts in results["operations"].items()
    ]


def _unbroken(sentence: str) -> str:
    """Keeps a figure and its percent sign on one line."""
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%")


def _duration(seconds: float) -> str:
    """Returns `0.42 ms`, `31 us` or `5 s`: three significant digits at most."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _facts(scenario: Scenario, cluster: dict[str, Any], faults: Faults) -> list[tuple[str, str]]:
    """What one needs to know to run it again; only what is known."""
    started = datetime.fromtimestamp(faults.t0_ns // 10**9, UTC) if faults.t0_ns is not None else None
    workload = scenario.workload
    pace = [f"{workload[key]:g} {unit}" for key, unit in (("rate", "operations a second"), ("duration_s", "s"))
            if isinstance(workload.get(key), (int, float))]  # fmt: skip
    far_ns = [abs(clock.offset_ns) + clock.error_ns for clock in faults.controller_clock.values()]
    facts = {
        "Scenario": scenario.scenario,
        "Seed": "" if scenario.seed is None else str(scenario.seed),
        "Database": " ".join(str(part) for part in (scenario.database, cluster.get("version", "")) if part),
        "Variant": scenario.variant,
        "Workload": ", ".join([str(workload.get("name", "")), *pace]),
        "Nodes": " ".join(scenario.nodes),
        "Faults made by": faults.backend,
        "Clocks of the nodes within": "" if faults.clock_spread_ns is None else _duration(faults.clock_spread_ns / 1e9),
        "The controller's clock from theirs at most": _duration(max(far_ns) / 1e9) if far_ns else "",
        "Started": "" if started is None else f"{started:%Y-%m-%d %H:%M:%S} UTC",
    }
    return [(name, value) for name, value in facts.items() if value]
