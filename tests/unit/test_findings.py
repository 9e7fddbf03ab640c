"""The table of many runs: verdicts counted, figures from least to most, what went otherwise said."""

from pathlib import Path

import pytest

from analysis.judge import judge
from callmaybe.findings import is_as_wanted, make_table, read_finding
from callmaybe.scenario import Expect, Published, Scenario, Workload
from tests.unit.synthetic_run import make_run

pytestmark = pytest.mark.unit

PUBLISHED = Published("Call Me Maybe: Redis (2013)", acknowledged_count=1998, present_count=872, lost_count=1126)


def scenario(*, valid: bool) -> Scenario:
    return Scenario(
        title="a test",
        database="redis",
        workload=Workload("set", 60.0, 40.0),  # type: ignore[arg-type]
        checkers=["lost-writes"],
        published=PUBLISHED,
        expect=Expect(valid),
    )


def judged(folder: Path, seed: int, *, loses: bool) -> Path:
    run = make_run(folder / f"2026112{seed}T000000Z", seed=seed, loses=loses)
    judge(run)
    return run


def test_a_row_counts_verdicts_and_spans_figures(tmp_path: Path) -> None:
    runs = [judged(tmp_path, 1, loses=True), judged(tmp_path, 2, loses=True), judged(tmp_path, 3, loses=False)]
    findings = [finding for run in runs if (finding := read_finding(run))]
    lost = sorted(finding.counts["wrong"] for finding in findings)  # type: ignore[type-var]
    assert lost[0] == 0
    table = make_table({"redis-sentinel": (scenario(valid=False), findings, [])}, "callmaybe matrix")
    (row,) = [line for line in table.splitlines() if line.startswith("| `redis-sentinel`")]
    assert "| redis 7.0.15 | default | set | partition n1 n2 \\| n3 n4 n5, 30 s |" in row
    assert "| 2 of 3 invalid, 1 of 3 valid | invalid |" in row
    assert f"| 0 to {lost[-1]:,} | 1,126 of 1,998 lost (Call Me Maybe: Redis (2013)) |" in row
    assert "from runs of 2026-11-21 to 2026-11-23" in table
    assert [is_as_wanted(scenario(valid=False), finding) for finding in findings] == [True, True, False]


def test_what_could_not_run_is_in_the_table(tmp_path: Path) -> None:
    finding = read_finding(judged(tmp_path, 1, loses=False))
    assert finding
    found = {"redis-sentinel": (scenario(valid=True), [finding], ["n3 is not ready after 90 s"])}
    table = make_table(found, "callmaybe matrix")
    assert "| 1 of 2 valid, 1 of 2 could not run | valid |" in table
    assert "- `redis-sentinel`: could not run: n3 is not ready after 90 s" in table


def test_a_folder_without_a_verdict_is_no_finding(tmp_path: Path) -> None:
    assert read_finding(make_run(tmp_path / "20261121T000000Z")) is None
