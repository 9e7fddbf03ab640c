"""`callmaybe check`: one history or many, judged again, as sentences or as JSON."""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.judge import Results, check_history, judge
from analysis.linear.options import Options
from analysis.run_folder import Scenario, read_scenario
from callmaybe.project import ROOT

EXIT_OF: dict[bool | str, int] = {True: 0, False: 1, "unknown": 2}
UNREADABLE = 3
COMPILED = ROOT / "analysis" / "linear"


@dataclass(frozen=True)
class Checked:
    """What became of one history: results, or the sentence that says why there are none."""

    history: str
    checker: str
    seconds: float
    results: Results | None = None
    scenario: Scenario | None = None
    report: Path | None = None
    error: str = ""

    @property
    def status(self) -> int:
        """The exit status of this history alone."""
        return EXIT_OF[self.results["valid"]] if self.results else UNREADABLE

    def as_json(self) -> str:
        """One object on one line: the verdict, and the checker's own keys where there is one checker."""
        told: dict[str, Any] = {"history": self.history, "checker": self.checker, "seconds": round(self.seconds, 6)}
        if self.results is None:
            return json.dumps(told | {"valid": None, "reason": self.error})
        checkers = self.results["checkers"]
        own = next(iter(checkers.values())) if len(checkers) == 1 else {"checkers": checkers}
        asked = sum(count["invoke"] for count in self.results["operations"].values())
        verdict = {"valid": self.results["valid"], "reason": self.results["reason"], "operations": asked}
        return json.dumps({"model": None} | own | told | verdict | {"warnings": self.results["warnings"]})


def must_compile() -> bool:
    """Whether the search of linearizability has still to be compiled: once after installation, some seconds."""
    return not any(COMPILED.glob("**/*.nbc"))


def check_one(checker: str | None, options: Options, history: str) -> Checked:
    """Judges one history; a run's folder without a checker is judged by its scenario, and its report written anew."""
    began = time.perf_counter()
    path = Path(history)
    try:
        if path.is_dir() and checker is None:
            results, scenario = judge(path), read_scenario(path)
            named = ",".join(scenario.checkers)
            report: Path = import_module("analysis.report").write_report(path)  # plots take long to load: only here
            return Checked(history, named, time.perf_counter() - began, results, scenario, report)
        named = checker or "lost-writes"
        results = check_history(history, named, options)
        return Checked(history, named, time.perf_counter() - began, results)
    except AnalysisError as error:
        return Checked(history, checker or "", time.perf_counter() - began, error=str(error))


def check_all(histories: Sequence[str], checker: str | None, options: Options) -> Iterator[Checked]:
    """Judges histories, several at once where there are several, and hands them out in their order."""
    judge_it = partial(check_one, checker, options)
    if len(histories) == 1:
        yield judge_it(histories[0])
        return
    with ProcessPoolExecutor() as pool:
        yield from pool.map(judge_it, histories, chunksize=max(1, min(16, len(histories) // 8)))


def worst_status(statuses: Sequence[int]) -> int:
    """The exit status of many: one that could not be read, then invalid, then unknown, then valid."""
    return next(status for status in (UNREADABLE, 1, 2, 0) if status in statuses)
