"""The invariants that other people's tests recorded get the verdicts that their own checkers gave."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from analysis.checks import CHECKS
from analysis.checks.independent import check_keys, split
from analysis.read import read_table

pytestmark = pytest.mark.corpus

CORPORA = Path(os.environ.get("CALLMAYBE_CORPORA", Path(__file__).resolve().parents[3] / "shared" / "corpora"))
VERDICTS = CORPORA / "verdicts.json"
INVARIANTS = {
    name: known
    for name, known in (json.loads(VERDICTS.read_text()) if VERDICTS.exists() else {}).items()
    if name.startswith("invariants/")
}
needs_corpora = pytest.mark.skipif(
    not INVARIANTS, reason=f"no corpora at {CORPORA}; set CALLMAYBE_CORPORA to their folder"
)


@needs_corpora
def test_each_file_has_a_checker_and_a_verdict() -> None:
    files = {f"invariants/{path.name}" for path in (CORPORA / "invariants").iterdir()}
    assert files == INVARIANTS.keys()
    assert {known["checker"] for known in INVARIANTS.values()} == {"bank", "counter", "set", "set-full"}


@pytest.mark.parametrize(("name", "known"), INVARIANTS.items(), ids=list(INVARIANTS))
def test_the_verdict_is_the_known_one(name: str, known: dict[str, Any]) -> None:
    result = CHECKS[known["checker"]](read_table(CORPORA / name), [])
    assert result["valid"] == known["valid"], result["reason"]


@needs_corpora
def test_the_reasons_are_the_histories_own() -> None:
    def check(name: str, checker: str) -> dict[str, Any]:
        return CHECKS[checker](read_table(CORPORA / "invariants" / name), [])

    assert check("bank-negative-balances.json", "bank")["first_error"]["balances"] == {"7": -1}
    assert check("bank.json", "bank")["read_count"] == 168
    assert check("set.edn", "set")["acknowledged_count"] == 3
    assert check("counter.json", "counter")["upper_bound"] == 287


@needs_corpora
def test_the_tuples_of_set_full_are_elements_unless_told_that_they_are_keys() -> None:
    table = read_table(CORPORA / "invariants" / "set_full.json")
    whole = CHECKS["set-full"](table, [])
    assert (whole["lost_count"], whole["unexpected"]) == (293, "0..292")  # [0, 0] was added, and 0 was read
    ((key, part),) = split(table)
    assert (key, len(part)) == (0, len(table))
    assert check_keys(table, [], CHECKS["set-full"])["valid"] is True
