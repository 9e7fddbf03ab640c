"""The verdict: what the checkers found, weighed against the evidence that the run gives.

A verdict is never better than its evidence. Doubts (a fault that did not bite, a function that never succeeded) turn
valid into unknown; they never excuse what a checker has found.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec

from analysis.atomic import write_atomically
from analysis.checkers import find_checker
from analysis.history import STDIN, History, read_history
from analysis.run_folder import FAULTS_FILE, Evidence, RunError, evidence_of, read_faults, read_scenario, windows_in

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULTS_FILE = "results.json"

Verdict = bool | Literal["unknown"]


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


def judge(folder: Path) -> Results:
    """Judges a run: reads its folder, writes `results.json` into it, and returns what that holds.

    Judging again gives the same bytes.

    Raises:
        HistoryError: If the history is not one.
        RunError: If another file of the run is missing or wrong, or a checker is unknown, or the disk is full.
    """
    scenario = read_scenario(folder)
    history = read_history(folder)
    asked = [window.name for window in scenario.windows]
    path = folder / FAULTS_FILE
    evidence = evidence_of(read_faults(path), asked) if path.exists() else _unarmed(history, asked)
    results = _weigh(history, scenario.checkers, evidence, [])
    write_atomically(folder / RESULTS_FILE, msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    return results


def check_history(history: Path | str, checker: str, faults: Path | None = None) -> Results:
    """Judges a history alone and writes nothing.

    Args:
        history: A history file, a run's folder, or `-` for the standard input.
        checker: `lost-writes` or another name of `analysis.checkers.CHECKERS`.
        faults: The `faults.json` of the run; the one beside the history if None. Where there is none, the windows are
            those of the history's nemesis events, and whether they bit is not asked; a warning says so.

    Raises:
        HistoryError: If the history is not one.
        RunError: If `faults` is wrong or the checker is unknown.
    """
    find_checker(checker)
    read = read_history(history)
    path = faults or _beside(history)
    if path:
        return _weigh(read, [checker], evidence_of(read_faults(path), []), [])
    evidence = Evidence(windows_in(read), [])
    warning = f"no {FAULTS_FILE} beside the history: whether its faults dropped anything was not checked"
    return _weigh(read, [checker], evidence, [warning])


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


def _unarmed(history: History, asked: list[str]) -> Evidence:
    """The evidence of a run without `faults.json`: enough only where no fault was asked for."""
    return Evidence(windows_in(history), [f"{name} was asked for, but there is no {FAULTS_FILE}" for name in asked])


def _beside(history: Path | str) -> Path | None:
    if str(history) == STDIN:
        return None
    path = Path(history)
    beside = (path if path.is_dir() else path.parent) / FAULTS_FILE
    return beside if beside.exists() else None


def _weigh(history: History, checkers: list[str], evidence: Evidence, warnings: list[str]) -> Results:
    """Runs the checkers and composes their verdicts: invalid beats unknown beats valid."""
    operations = _count_operations(history)
    doubts = evidence.doubts + _never_succeeded(operations)
    judged = {name: _temper(find_checker(name)(history, evidence.windows), doubts) for name in checkers}
    valid = _worst(result["valid"] for result in judged.values())
    reasons = [result["reason"] for result in judged.values() if result["valid"] == valid]
    return {
        "valid": valid,
        "reason": "; ".join(reasons) or "no checker was asked for",
        "doubts": doubts,
        "warnings": history.warnings + warnings,
        "operations": operations,
        "checkers": judged,
    }


def _temper(result: dict[str, Any], doubts: list[str]) -> dict[str, Any]:
    if result["valid"] is False or not doubts:
        return result
    reasons = [] if result["valid"] is True else [result["reason"]]
    return result | {"valid": "unknown", "reason": "; ".join(reasons + doubts)}


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Returns the worst verdict; nobody having looked is unknown."""
    found = set(verdicts)
    if False in found:
        return False
    return True if found == {True} else "unknown"


def _count_operations(history: History) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for call in history.calls:
        of_function = counts.setdefault(call.invoke.f, Counter(invoke=0, ok=0, fail=0, info=0))
        of_function["invoke"] += 1
        if call.completion:
            of_function[call.completion.type] += 1
    return {function: dict(count) for function, count in sorted(counts.items())}


def _never_succeeded(operations: dict[str, dict[str, int]]) -> list[str]:
    """A function that never succeeded was not tested (jepsen.checker/stats)."""
    return [
        f"of {count['invoke']:,} {function} operations none succeeded"
        for function, count in operations.items()
        if not count["ok"]
    ]
