"""Histories that other people's tests recorded are read whole."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from analysis.read import read_table
from analysis.table import NEMESIS_PROCESS

pytestmark = pytest.mark.corpus

CORPORA = Path(os.environ.get("CALLMAYBE_CORPORA", Path(__file__).resolve().parents[3] / "shared" / "corpora"))
FILES = sorted(path for path in CORPORA.glob("*/**/*") if path.is_file())


@pytest.mark.skipif(not FILES, reason=f"no corpora at {CORPORA}; set CALLMAYBE_CORPORA to their folder")
def test_every_folder_is_there() -> None:
    folders = {path.relative_to(CORPORA).parts[0] for path in FILES}
    assert folders == {"cas-register", "etcd-2014", "invariants", "kv", "multi-register", "mutex"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORPORA)))
def test_every_operation_is_read(path: Path) -> None:
    text = re.sub(r"^\s*;.*", "", path.read_text(), flags=re.MULTILINE)
    count = len(re.findall(r'"type":"(?:invoke|ok|fail|info)"|:type :|\t:(?:invoke|ok|fail|info)\t', text))
    table = read_table(path)
    assert len(table) == count > 0
    clients = (table.process != NEMESIS_PROCESS) & (table.type != 0)
    assert (table.pair[clients] >= 0).all()
