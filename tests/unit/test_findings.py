"""The table of many runs: verdicts counted, figures from least to most, what went otherwise said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from analysis.judge import judge
from callmaybe.ansible import Outcome
from callmaybe.commands import matrix as command
from callmaybe.duration import Duration
from callmaybe.fault import AnyFault, Flaky, Kill, Partition, Pattern, Patterned, Slow
from callmaybe.findings import Finding, is_as_wanted, make_table, read_finding
from callmaybe.project import SCENARIOS
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
        faults=[Partition(at=Duration(10), duration=Duration(30))],
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
    assert "| redis 7.0.15 | default | set | partition halves, 30 s |" in row
    assert "| 2 of 3 invalid, 1 of 3 valid | invalid |" in row
    recovered = sorted(finding.counts["recovered"] for finding in findings)  # type: ignore[type-var]
    told = f"0 to {lost[-1]:,} (20.3 %) | {recovered[0]} to {recovered[-1]} | 0 |"
    assert f"| {told} 1,126 of 1,998 lost (Call Me Maybe: Redis (2013)) |" in row
    assert "from runs of 2026-11-21 to 2026-11-23" in table
    assert [is_as_wanted(scenario(valid=False), finding) for finding in findings] == [True, True, False]


TIMES: dict[str, Any] = {"at": Duration(10), "duration": Duration(5)}
GROUPS = [["n1", "n2"], ["n3", "n4", "n5"]]
PATTERN = Pattern(Duration(10), Duration(6), [Kill(), Flaky(weight=2.0, loss=5.0)])


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([], "none"),
        ([Partition(topology="isolate", node="primary", **TIMES)], "partition isolate primary, 5 s"),
        ([Partition(topology="groups", groups=GROUPS, **TIMES)], r"partition groups n1 n2 \| n3 n4 n5, 5 s"),
        (
            [Partition(topology="one-way", source="first", to="clients", ports=["tcp 5432"], times=3, **TIMES)],
            "partition one-way from first to clients ports tcp 5432, 5 s x 3",
        ),
        (
            [Slow(targets=["n1", "n2"], delay_ms=100.0, **TIMES), Kill(**TIMES)],
            "slow n1 n2 delay_ms 100, 5 s; kill one, 5 s",
        ),
        (Patterned(PATTERN), "every 10 s, for 6 s, one of: kill one, flaky all loss 5"),
    ],
)
def test_the_timeline_is_told_in_the_scenarios_words(faults: list[AnyFault] | Patterned, told: str) -> None:
    asked = msgspec.structs.replace(scenario(valid=True), faults=faults)
    table = make_table({"a": (asked, [], [])}, "callmaybe matrix")
    assert f"| redis | default | set | {told} | not run |" in table


def test_a_row_spans_what_part_was_lost(tmp_path: Path) -> None:
    finding = read_finding(judged(tmp_path, 1, loses=True))
    assert finding
    counts = {"lost_count": 12, "acknowledged_count": 30}
    more = replace(finding, results={**finding.results, "checkers": {"lost-writes": counts}})
    table = make_table({"redis-sentinel": (scenario(valid=False), [more, finding], [])}, "callmaybe matrix")
    assert "| 12 to 480 (20.3 % to 40.0 %) |" in table


def test_what_could_not_run_is_in_the_table(tmp_path: Path) -> None:
    finding = read_finding(judged(tmp_path, 1, loses=False))
    assert finding
    found = {"redis-sentinel": (scenario(valid=True), [finding], ["n3 is not ready after 90 s"])}
    table = make_table(found, "callmaybe matrix")
    assert "| 1 of 2 valid, 1 of 2 could not run | valid |" in table
    assert "- `redis-sentinel`: could not run: n3 is not ready after 90 s" in table


def test_a_folder_without_a_verdict_is_no_finding(tmp_path: Path) -> None:
    assert read_finding(make_run(tmp_path / "20261121T000000Z")) is None


@pytest.mark.parametrize(("divergent", "wrong"), [(92, 92), (0, 0)])
def test_what_is_wrong_is_counted_by_whichever_checker_found_it(divergent: int, wrong: int) -> None:
    lost = {"lost_count": 0, "attempt_count": 9, "acknowledged_count": 8, "recovered_count": 1, "duplicated_count": 2}
    copies = {"divergent_count": divergent, "acknowledged_count": 3}
    results: Any = {"operations": {}, "checkers": {"lost-writes": lost, "divergence": copies}}
    counts = {"attempts": 9, "acknowledged": 8, "wrong": wrong, "recovered": 1, "duplicated": 2}
    assert Finding(Path(), {}, {}, results).counts == counts


def matrix(monkeypatch: pytest.MonkeyPatch, store: Path, *words: str) -> tuple[Result, str]:
    """Runs `callmaybe matrix` on a store of its own; returns its result, and the table."""
    monkeypatch.setattr(command, "STORE", store)
    table = store / "table.md"
    done = CliRunner().invoke(command.matrix, [*words, "--table", str(table)])
    return done, table.read_text(encoding="utf-8")


def test_a_table_of_runs_that_were_counts_those_that_ended_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "redis-sentinel"
    judged(folder, 1, loses=True)
    judged(folder, 2, loses=True)
    early = make_run(folder / "20261123T000000Z")
    done, table = matrix(monkeypatch, tmp_path, "redis-sentinel", "--no-run", "--runs", "2")
    assert "| 1 of 2 invalid, 1 of 2 could not run |" in table
    assert "Made by `callmaybe matrix redis-sentinel --runs 2 --no-run`" in table
    assert f"- `redis-sentinel`: could not run: there is no verdict in `{early}`" in table
    assert done.exit_code == 3
    done, table = matrix(monkeypatch, tmp_path, "redis-sentinel", "redis-sentinel-safe", "--no-run", "--runs", "1")
    assert "| 1 of 1 could not run |" in table
    assert "| not run |" in table


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    """What a matrix ran: its runs, which are judged at once, and its playbooks."""
    runs: list[Any] = []
    playbooks: list[Any] = []

    def run(*words: object) -> None:
        runs.append(words)
        judged(tmp_path / Path(str(words[0])).stem, len(runs), loses=True)

    def play(*words: object, **_: object) -> Outcome:
        playbooks.append(words)
        return Outcome("failed", [("", "n1 does not answer")])

    monkeypatch.setattr(command, "run_scenario", run)
    monkeypatch.setattr(command, "run_playbook", play)
    return runs, playbooks


def test_runs_of_a_matrix_have_the_time_to_arm_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: tuple[list[Any], list[Any]]
) -> None:
    hosts = tmp_path / "hosts.yml"
    hosts.touch()
    asked = ("redis-sentinel", "--ahead", "30", "--runs", "2", "--seed", "5", "-i", str(hosts), "--target", "five")
    done, table = matrix(monkeypatch, tmp_path, *asked)
    assert [words[1:] for words in ran[0]] == [(hosts, "five", 5, 30.0), (hosts, "five", 6, 30.0)]
    assert "| 2 of 2 invalid |" in table
    assert done.exit_code == 0
    assert ran[1] == [("db.yml", {"db": "redis", "verb": "wipe", "target": "five"})]
    assert "callmaybe: redis was not wiped: n1 does not answer" in done.output


def test_a_cluster_that_was_there_before_is_not_wiped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: tuple[list[Any], list[Any]]
) -> None:
    mine = tmp_path / "mine.yml"
    mine.write_text((SCENARIOS / "redis-sentinel.yml").read_text(encoding="utf-8") + "provision: false\n")
    done, _ = matrix(monkeypatch, tmp_path, str(mine))
    assert (len(ran[0]), ran[1], done.exit_code) == (1, [], 0)
