"""What many runs came to, as one table: each scenario's verdicts and figures, and the published result beside them."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml
from jinja2 import Environment, PackageLoader

from analysis.errors import AnalysisError
from analysis.judge import Results, read_results
from analysis.lost_writes import percent
from analysis.sentences import verdict_word
from callmaybe.fault import Fault, Patterned
from callmaybe.project import ROOT
from callmaybe.run_files import read_json
from callmaybe.scenario import Published, Scenario

# What a checker counts as wrong: writes, reads of `bank` and `counter`, pairs of `g2`, rows, elements that copies lack.
WRONG = ("lost_count", "error_count", "illegal_count", "mixed_count", "divergent_count")
WHOM = ("topology", "groups", "node", "targets")
TIMED = ("fault", "at", "for", "every", "times", "weight")
COUNTED = ("attempts", "acknowledged", "wrong", "recovered", "duplicated")

TEMPLATES = Environment(
    loader=PackageLoader("callmaybe"),
    autoescape=False,  # noqa: S701 - Markdown
    trim_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True)
class Finding:
    """One judged run.

    Attributes:
        folder: the run's.
        plan: scenario.yml as expanded.
        cluster: cluster.json.
        results: results.json.
    """

    folder: Path
    plan: dict[str, Any]
    cluster: dict[str, Any]
    results: Results

    @property
    def counts(self) -> dict[str, int | None]:
        """Attempts, acknowledged; wrong; and what is no error: recovered (kept, though it had failed), duplicated."""
        operations, judged = self.results["operations"].values(), self._judged
        counted = [judged[key] for key in WRONG if judged.get(key) is not None]
        return {
            "attempts": judged.get("attempt_count", sum(count["invoke"] for count in operations)),
            "acknowledged": judged.get("acknowledged_count", sum(count["ok"] for count in operations)),
            "wrong": next((count for count in counted if count), 0 if counted else None),
            "recovered": judged.get("recovered_count"),
            "duplicated": judged.get("duplicated_count"),
        }

    @property
    def lost_fraction(self) -> float | None:
        """What part of the acknowledged writes was lost, 0 to 1; None where none was, or the run is not about them."""
        lost, acknowledged = self._judged.get("lost_count"), self._judged.get("acknowledged_count")
        return lost / acknowledged if lost and acknowledged else None

    @property
    def _judged(self) -> dict[str, Any]:
        """All that checkers found; where two count under one name, what the first of them in the scenario counts."""
        results = reversed(self.results["checkers"].values())
        return {key: value for result in results for key, value in result.items()}


def read_finding(folder: Path) -> Finding | None:
    """Reads a run's folder, or returns None where the run did not come to a verdict."""
    try:
        results = read_results(folder)
        plan = yaml.safe_load((folder / "scenario.yml").read_text(encoding="utf-8"))
        return Finding(folder, plan, read_json(folder / "cluster.json"), results)
    except (AnalysisError, OSError, ValueError):
        return None


def read_runs(folders: list[Path]) -> tuple[list[Finding], list[str]]:
    """Reads runs: the findings of those that came to a verdict, and of each other one that it did not."""
    found = [(folder, read_finding(folder)) for folder in folders]
    missing = [f"there is no verdict in `{_short(folder)}`" for folder, finding in found if finding is None]
    return [finding for _, finding in found if finding], missing


def is_as_wanted(scenario: Scenario, finding: Finding) -> bool:
    """Whether a run's verdict is the one that its scenario is there to show; without a wish, any verdict is."""
    wanted = scenario.expect.valid if scenario.expect else "any"
    return wanted == "any" or finding.results["valid"] == wanted


def make_table(found: dict[str, tuple[Scenario, list[Finding], list[str]]], command: str) -> str:
    """Makes the table in Markdown.

    Args:
        found: by a scenario's name: what it asks for, its runs, and why others could not run.
        command: that made them.
    """
    runs = [finding for _, findings, _ in found.values() for finding in findings]
    days = sorted({_day(finding) for finding in runs}) or [datetime.now(UTC).strftime("%Y-%m-%d")]
    notes = [
        f"`{name}`: {note}"
        for name, (scenario, findings, failures) in found.items()
        for note in _notes(scenario, findings, failures)
    ]
    return TEMPLATES.get_template("findings.md.j2").render(
        command=command,
        dates=days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
        rows=[[cell.replace("|", "\\|") for cell in _row(name, *told)] for name, told in found.items()],
        notes=notes,
    )


def _row(name: str, scenario: Scenario, findings: list[Finding], failures: list[str]) -> list[str]:
    words = Counter(verdict_word(finding.results).lower() for finding in findings)
    words["could not run"] = len(failures)
    total = len(findings) + len(failures)
    verdict = ", ".join(f"{count} of {total} {word}" for word, count in words.most_common() if count)
    versions = sorted({finding.cluster["version"] for finding in findings})
    spans = {what: _span([finding.counts[what] for finding in findings]) for what in COUNTED}
    return [
        f"`{name}`",
        " ".join([scenario.database, ", ".join(versions)]).strip(),
        scenario.variant,
        scenario.workload.name,
        _faults(scenario),
        verdict or "not run",
        _wanted(scenario),
        spans["attempts"],
        spans["acknowledged"],
        spans["wrong"] + _share(findings),
        spans["recovered"],
        spans["duplicated"],
        _published(scenario.published),
    ]


def _wanted(scenario: Scenario) -> str:
    if scenario.expect is None or scenario.expect.valid == "any":
        return "any"
    return "valid" if scenario.expect.valid else "invalid"


def _notes(scenario: Scenario, findings: list[Finding], failures: list[str]) -> list[str]:
    """The newest run's verdict in words with its report, and each run that went otherwise than wanted."""
    newest = findings[-1:]
    others = [finding for finding in findings[:-1] if not is_as_wanted(scenario, finding)]
    told = [
        f"seed {finding.plan['seed']}, {verdict_word(finding.results)}: {finding.results['reason']} "
        f"(`{_short(finding.folder)}/report.html`)"
        for finding in [*newest, *others]
    ]
    return told + [f"could not run: {failure}" for failure in failures]


def _faults(scenario: Scenario) -> str:
    """The timeline in the scenario's own words, so that runs on other nodes, or with other draws, say the same."""
    if isinstance(scenario.faults, Patterned):
        pattern = scenario.faults.pattern
        choices = ", ".join(_fault(fault) for fault in pattern.faults)
        return f"every {pattern.every:g} s, for {pattern.duration:g} s, one of: {choices}"
    return "; ".join(_fault(fault) for fault in scenario.faults) or "none"


def _fault(fault: Fault) -> str:
    """One fault: its kind, at whom, what else is not as usual, how long and how often."""
    given: dict[str, Any] = msgspec.to_builtins(fault, enc_hook=float)
    whom = [_flat(value) for key in WHOM if (value := getattr(fault, key, None))]
    how = [f"{key} {_flat(value)}" for key, value in given.items() if key not in (*TIMED, *WHOM)]
    length = f", {fault.duration:g} s" if fault.duration else ""
    return " ".join([given["fault"], *whom, *how]) + length + (f" x {fault.times}" if fault.times > 1 else "")


def _flat(value: object) -> str:
    """An option's value in words: numbers plain, groups of nodes parted as pictures of a cut part them."""
    if isinstance(value, list):
        return (" | " if value and isinstance(value[0], list) else " ").join(map(_flat, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _span(counts: list[int | None]) -> str:
    known = [count for count in counts if count is not None]
    if not known:
        return "-"
    return f"{min(known):,}" if min(known) == max(known) else f"{min(known):,} to {max(known):,}"


def _share(findings: list[Finding]) -> str:
    """What part of the acknowledged writes was lost, where any was: ` (48.1 % to 55.0 %)`."""
    shares = [share for finding in findings if (share := finding.lost_fraction)]
    if not shares:
        return ""
    least, most = percent(min(shares), 1), percent(max(shares), 1)
    return f" ({least})" if least == most else f" ({least} to {most})"


def _published(published: Published | None) -> str:
    if published is None:
        return "-"
    counts = msgspec.to_builtins(published)
    said = []
    if published.lost_count is not None and published.acknowledged_count:
        said.append(f"{published.lost_count:,} of {published.acknowledged_count:,} lost")
    elif "acknowledged_count" in counts and "present_count" in counts:
        said.append(f"{published.acknowledged_count:,} acknowledged, {published.present_count:,} present")
    if published.finding:
        said.append(published.finding)
    source = f"[{published.source}]({published.url})" if published.url else published.source
    return f"{'; '.join(said)} ({source})" if said else source


def _day(finding: Finding) -> str:
    name = finding.folder.resolve().name  # 20261127T001203Z
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}"


def _short(folder: Path) -> str:
    path = folder.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
