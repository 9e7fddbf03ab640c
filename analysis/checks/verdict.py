"""How findings and doubts become a verdict, and where in a history something stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analysis.table import Table

Verdict = bool | Literal["unknown"]

SHOWN = 32
"""How many examples of one kind a result holds; its counts are of all."""


def weigh(findings: list[str], doubts: list[str], praise: str) -> dict[str, Any]:
    """Returns `valid` and `reason`: invalid for a finding, unknown for a doubt, else valid for the praise's reason."""
    valid: Verdict = False if findings else "unknown" if doubts else True
    return {"valid": valid, "reason": "; ".join(findings + doubts) or praise}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Composes verdicts: invalid beats unknown beats valid; nobody having looked is unknown."""
    found = set(verdicts)
    if False in found:
        return False
    return True if found == {True} else "unknown"


def mistake(table: Table, row: int, sentence: str) -> AnalysisError:
    """Returns an error that names the file and line of a row."""
    return AnalysisError(f"{table.name}:{table.line[row]}:1: {sentence}")
