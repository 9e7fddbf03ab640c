"""Registers, locks and stores that other people's tests recorded get the verdicts that are known of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from analysis.linear import Options, check
from analysis.read import read_table

pytestmark = pytest.mark.corpus

CORPORA = Path(os.environ.get("CALLMAYBE_CORPORA", Path(__file__).resolve().parents[3] / "shared" / "corpora"))
VERDICTS = CORPORA / "verdicts.json"
KNOWN = {
    name: known
    for name, known in (json.loads(VERDICTS.read_text()) if VERDICTS.exists() else {}).items()
    if "model" in known
}


def options_of(known: dict[str, Any]) -> Options:
    return Options(
        model="kv" if known["model"] == "append-kv" else known["model"],
        initial=known.get("initial"),
        nil_read="wildcard" if known.get("nil_read_is_wildcard") else "initial",
        failed_cas="evidence" if known.get("failed_cas_is_evidence") else "none",
    )


@pytest.mark.skipif(not KNOWN, reason=f"no corpora at {CORPORA}; set CALLMAYBE_CORPORA to their folder")
def test_every_file_has_a_verdict() -> None:
    folders = {"cas-register", "etcd-2014", "kv", "multi-register", "mutex"}
    files = {str(path.relative_to(CORPORA)) for folder in folders for path in (CORPORA / folder).rglob("*.*")}
    assert files == KNOWN.keys()
    assert sum(known["valid"] is False for known in KNOWN.values()) > 40


@pytest.mark.parametrize(("name", "known"), KNOWN.items(), ids=list(KNOWN))
def test_the_verdict_is_the_known_one(name: str, known: dict[str, Any]) -> None:
    result = check(read_table(CORPORA / name), [], options_of(known))
    assert result["valid"] == known["valid"], result["reason"]
    if not known["valid"]:
        contradiction = result["contradiction"]
        assert contradiction["operation"] in contradiction["window"]
        assert contradiction["states"]
        assert len(contradiction["refusals"]) == len(contradiction["states"])
        json.dumps(result)
