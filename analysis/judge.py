"""The verdict: what the checkers found, weighed against the evidence that the run gives.

A verdict is never better than its evidence. Doubts (a fault that did not bite, a function that never succeeded) turn
valid into unknown; they never excuse what a checker has found.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import numpy as np

from analysis.atomic import write_atomically
from analysis.checkers import find_checker
from analysis.checks.verdict import Verdict, worst
from analysis.history import STDIN
from analysis.nemesis import windows_in
from analysis.read import read_table
from analysis.record import Record
from analysis.run_folder import (
    FAULTS_FILE,
    SCENARIO_FILE,
    Evidence,
    RunError,
    evidence_of,
    read_faults,
    read_scenario,
)
from analysis.settings import Settings
from analysis.table import NEMESIS_PROCESS, TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.table import Table

RESULTS_FILE = "results.json"


class Results(TypedDict):
    """What `results.json` holds; docs/formats.md has the checkers' own keys.

    Attributes:
        valid: The worst of the checkers': False, then "unknown", then True.
        reason: Why, as the part of a sentence.
        doubts: Why a valid verdict would prove nothing, one sentence each.
        warnings: What a reader should know and what does not change the verdict.
        operations: function: how many operations were invoked and ended `ok`, `fail`, `info`.
        checkers: The result of each checker by its name.
    """

    valid: Verdict
    reason: str
    doubts: list[str]
    warnings: list[str]
    operations: dict[str, dict[str, int]]
    checkers: dict[str, dict[str, Any]]


def judge(folder: Path, settings: Settings | None = None) -> Results:
    """Judges a run: reads its folder, writes `results.json` into it, and returns what that holds.

    Judging again gives the same bytes.

    Args:
        folder: The run's.
        settings: What it may cost; what decides the verdict is for the checkers that the scenario names.

    Raises:
        HistoryError: If the history is not one.
        RunError: If another file of the run is missing or wrong, or a checker is unknown, or the disk is full, or a
            setting is for none of the scenario's checkers.
    """
    scenario, settings = read_scenario(folder), settings or Settings()
    if misplaced := settings.misplaced(scenario.checkers):
        raise RunError(f"{folder}: {misplaced}, which its scenario names; name another with --checker")
    record = Record(read_table(folder))
    results = _weigh(record, scenario.checkers, _evidence_of_run(folder, record.table), settings, folder)
    write_results(folder / RESULTS_FILE, results)
    return results


def check_history(
    history: Path | str,
    checkers: Sequence[str],
    settings: Settings | None = None,
    columns: Mapping[str, str] | None = None,
) -> Results:
    """Judges a history alone and writes nothing.

    A run's history, beside its `scenario.yml`, has the doubts that `judge` has. The fault windows of any other are
    those of the `faults.json` beside it. Where there is none, they are those of the history's nemesis events, and
    whether they bit is not asked; a warning says so.

    Args:
        history: A history file of any format, a run's folder, or `-` for the standard input.
        checkers: Names of `analysis.checkers.CHECKERS`.
        settings: What decides the verdicts, and what they may cost.
        columns: See `analysis.read.read_table`.

    Raises:
        AnalysisError: If the history is not one, a file beside it is wrong, a checker is unknown, or a setting is for
            none of them.
    """
    settings = settings or Settings()
    for name in checkers:
        find_checker(name)
    if misplaced := settings.misplaced(checkers):
        raise RunError(misplaced)
    record = Record(read_table(history, columns=columns))
    folder = Path(history) if str(history) != STDIN and Path(history).is_dir() else None
    evidence = _evidence_beside(history, record.table)
    record.table.warnings.extend(_overruled(folder, checkers))
    return _weigh(record, checkers, evidence, settings, folder)


def _overruled(folder: Path | None, checkers: Sequence[str]) -> list[str]:
    """Says that a run was not judged by the checkers that its scenario names."""
    if folder is None or not (folder / SCENARIO_FILE).exists():
        return []
    named = read_scenario(folder).checkers
    if list(checkers) == named:
        return []
    asked, own = " and ".join(checkers), " and ".join(named) or "no checker"
    return [f"judged by {asked}, as asked for; its scenario names {own}, and its {RESULTS_FILE} was left as it is"]


def write_results(path: Path, results: Results) -> None:
    """Writes a `results.json`.

    Raises:
        RunError: If the disk is full, or the folder is not there.
    """
    text = msgspec.json.encode(results, enc_hook=str)  # what EDN writes in its own way is a string here
    write_atomically(path, msgspec.json.format(text, indent=1) + b"\n")


def read_results(folder: Path) -> Results:
    """Reads the `results.json` of a judged run.

    Raises:
        RunError: If it is missing or not what docs/formats.md says.
    """
    path = folder / RESULTS_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); judge the run first") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: {error}; judge the run again") from None


def _evidence_of_run(folder: Path, table: Table) -> Evidence:
    """The evidence that a run gives: what was armed, against what was asked for, and whether anything succeeded."""
    asked = [window.name for window in read_scenario(folder).windows]
    path = folder / FAULTS_FILE
    evidence = evidence_of(read_faults(path), asked) if path.exists() else _unarmed(table, asked)
    return replace(evidence, doubts=evidence.doubts + _never_succeeded(count_operations(table)))


def _unarmed(table: Table, asked: list[str]) -> Evidence:
    """The evidence of a run without `faults.json`: enough only where no fault was asked for."""
    windows, warnings = windows_in(table)
    return Evidence(windows, [f"{name} was asked for, but there is no {FAULTS_FILE}" for name in asked], warnings)


def _evidence_beside(history: Path | str, table: Table) -> Evidence:
    """The evidence that stands beside a history; without any, what its nemesis says."""
    beside = Path(history) if Path(history).is_dir() else Path(history).parent
    if str(history) != STDIN and (beside / SCENARIO_FILE).exists():
        return _evidence_of_run(beside, table)
    if str(history) != STDIN and (beside / FAULTS_FILE).exists():
        return evidence_of(read_faults(beside / FAULTS_FILE), [])
    windows, warnings = windows_in(table)
    if windows:
        warnings.append(f"no {FAULTS_FILE} beside the history: whether its faults dropped anything was not checked")
    return Evidence(windows, [], warnings)


def _weigh(
    record: Record, checkers: Sequence[str], evidence: Evidence, settings: Settings, folder: Path | None
) -> Results:
    """Runs the checkers and composes their verdicts: invalid beats unknown beats valid."""
    judged = {}
    for name in checkers:
        result = find_checker(name)(record, evidence.windows, settings, folder)
        if folder and result["valid"] is True and not result.get("tested", True):
            result["valid"] = "unknown"  # a run's verdict is never better than its evidence
        judged[name] = _temper(result, evidence.doubts)
    valid = worst(result["valid"] for result in judged.values())
    reasons = [result["reason"] for result in judged.values() if result["valid"] == valid]
    return {
        "valid": valid,
        "reason": "; ".join(reasons) or "no checker was asked for",
        "doubts": evidence.doubts,
        "warnings": record.table.warnings + evidence.warnings,
        "operations": count_operations(record.table),
        "checkers": judged,
    }


def _temper(result: dict[str, Any], doubts: list[str]) -> dict[str, Any]:
    if result["valid"] is False or not doubts:
        return result
    reasons = [] if result["valid"] is True else [result["reason"]]
    return result | {"valid": "unknown", "reason": "; ".join(reasons + doubts)}


def count_operations(table: Table) -> dict[str, dict[str, int]]:
    """Returns, by function, how many operations were invoked and how many ended in each way."""
    clients = table.process != NEMESIS_PROCESS
    counts = np.zeros((len(table.f_names), len(TYPES)), np.int64)
    np.add.at(counts, (table.f[clients], table.type[clients]), 1)
    named = {name: dict(zip(TYPES, row, strict=True)) for name, row in zip(table.f_names, counts.tolist(), strict=True)}
    return {name: count for name, count in sorted(named.items()) if any(count.values())}


def _never_succeeded(operations: dict[str, dict[str, int]]) -> list[str]:
    """A function that never succeeded was not tested (jepsen.checker/stats)."""
    return [
        f"of {count['invoke']:,} {function} operations none succeeded"
        for function, count in operations.items()
        if not count["ok"]
    ]
