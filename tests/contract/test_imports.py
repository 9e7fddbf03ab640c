"""Dependencies run one way: callmaybe -> workloads -> analysis.history; the nodes' modules know nothing of these."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
OWN = {"analysis", "callmaybe", "jepsen_modules", "workloads"}
ALLOWED = {
    "analysis": {"analysis"},
    "workloads": {"workloads", "analysis.history"},
    "callmaybe": {"callmaybe", "workloads", "analysis", "jepsen_modules.module_utils"},
    "jepsen_modules": set(),  # they import each other as ansible.module_utils
}


def imports(path: Path) -> Iterator[str]:
    """The full names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", sorted(OWN))
def test_imports_go_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            allowed = any(f"{name}.".startswith(f"{prefix}.") for prefix in ALLOWED[package])
            assert name.split(".")[0] not in OWN or allowed, f"{path.relative_to(ROOT)} imports {name}"
