"""`callmaybe check`: one history or many, judged again, as sentences, as JSON or as pages."""

import json
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from analysis.errors import AnalysisError
from analysis.history import STDIN
from analysis.judge import RESULTS_FILE, Results, check_history, judge, write_results
from analysis.run_folder import Scenario, read_scenario
from analysis.settings import Settings
from callmaybe.workers import Lost, run_all

EXIT_OF: dict[bool | str, int] = {True: 0, False: 1, "unknown": 2}
UNREADABLE = 3


@dataclass(frozen=True)
class Asked:
    """What is asked of every history.

    Attributes:
        checkers: By name; none: a run's folder names its own, and any other history is judged by `lost-writes`.
        settings: What decides the verdicts, and what they may cost.
        columns: See `analysis.read.read_table`.
        out: The folder for results and pages, None for none.
    """

    checkers: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    columns: Mapping[str, str] = field(default_factory=dict)
    out: Path | None = None

    def checkers_of(self, history: str) -> tuple[str, ...]:
        """Returns the checkers that judge a history; none where its scenario names them."""
        return self.checkers or (() if Path(history).is_dir() else ("lost-writes",))


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
        """One object on one line: the verdict, and the checker's own keys where there is one checker.

        What JSON has no type for (a time in Parquet) is written as in `results.json`.
        """
        told: dict[str, Any] = {"history": self.history, "checker": self.checker, "seconds": round(self.seconds, 6)}
        if self.results is None:
            return json.dumps(told | {"valid": None, "reason": self.error})
        checkers = self.results["checkers"]
        own = next(iter(checkers.values())) if len(checkers) == 1 else {"checkers": checkers}
        asked = sum(count["invoke"] for count in self.results["operations"].values())
        verdict = {"valid": self.results["valid"], "reason": self.results["reason"], "operations": asked}
        whole = told | {"model": None} | own | told | verdict | {"warnings": self.results["warnings"]}
        return json.dumps(whole, default=partial(msgspec.to_builtins, enc_hook=str))


def check_all(histories: Sequence[str], asked: Asked) -> Iterator[Checked]:
    """Judges histories, several at once where there are several, and hands them out in their order."""
    folders = dict(zip(histories, folder_names(histories), strict=True))

    def check(history: str) -> Checked:
        return check_one(history, asked, folders[history])

    if len(histories) == 1:
        yield check(histories[0])
        return
    if any(checker.startswith("linearizable") for checker in asked.checkers):
        import_module("analysis.compiled").load()  # once, not in each process
    of_stdin = {STDIN: check(STDIN)} if STDIN in histories else {}  # which no other process has
    others = run_all(check, [history for history in histories if history != STDIN])
    for history in histories:
        answer = of_stdin[STDIN] if history == STDIN else next(others)
        if isinstance(answer, Lost):
            named = ",".join(asked.checkers_of(history))
            answer = Checked(history, named, 0.0, error=f"{history}: {answer}")
        yield answer


def check_one(history: str, asked: Asked, folder_name: str = "") -> Checked:
    """Judges one history; whatever goes wrong becomes a sentence, so that it does not stop the others."""
    began = time.perf_counter()
    failed = partial(Checked, history, ",".join(asked.checkers_of(history)))
    try:
        checked = _judged(history, asked)
        if asked.out and checked.results:
            checked = replace(checked, report=_write(asked.out / folder_name, checked))
        return replace(checked, seconds=time.perf_counter() - began)
    except AnalysisError as error:
        said = str(error) if history in str(error) or history == STDIN else f"{history}: {error}"
        return failed(time.perf_counter() - began, error=said)
    except MemoryError:
        return failed(time.perf_counter() - began, error=f"{history}: there is not enough memory to judge it")
    except Exception as error:  # noqa: BLE001 - a mistake of our own; the other histories still count
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(at.filename).name}:{at.lineno}"
        said = f"{history}: could not be judged, by a mistake of callmaybe's own: {type(error).__name__} in {where}"
        return failed(time.perf_counter() - began, error=f"{said}: {error}")


def _judged(history: str, asked: Asked) -> Checked:
    checkers = asked.checkers_of(history)
    if checkers:
        return Checked(
            history, ",".join(checkers), 0.0, check_history(history, checkers, asked.settings, asked.columns)
        )
    path = Path(history)
    results, scenario = judge(path, asked.settings), read_scenario(path)
    report: Path = import_module("analysis.report").write_report(path)  # plots take long to load: only here
    return Checked(history, ",".join(scenario.checkers), 0.0, results, scenario, report)


def _write(folder: Path, checked: Checked) -> Path:
    """Writes results and page of one history."""
    if checked.results is None:
        raise ValueError("a history without results has no page")
    write_results(folder / RESULTS_FILE, checked.results)
    page: Path = import_module("analysis.page").write_page(folder, checked.history, checked.results)
    return page


def folder_names(histories: Sequence[str]) -> list[str]:
    """Returns a name for the folder of each history: its number keeps them apart, its own name tells them."""
    digits = len(str(len(histories)))
    return [
        f"{number:0{digits}}-{re.sub(r'[^A-Za-z0-9._-]+', '-', Path(history).name)[:60].strip('.-') or 'history'}"
        for number, history in enumerate(histories, 1)
    ]


def prepare(out: Path, histories: Sequence[str]) -> None:
    """Makes the folders for results and pages.

    Raises:
        AnalysisError: If they cannot be made.
    """
    try:
        for name in folder_names(histories):
            (out / name).mkdir(parents=True, exist_ok=True)
            for old in (RESULTS_FILE, "report.html"):
                (out / name / old).unlink(missing_ok=True)  # of a check before: this one may have none
    except OSError as error:
        raise AnalysisError(f"--out {out}: cannot be written ({error.strerror}); give another folder") from None


def write_index(out: Path, done: Sequence[Checked]) -> Path:
    """Writes the page that lists all histories; returns its path."""
    rows = [
        (checked.history, checked.results, checked.error, name)
        for checked, name in zip(done, folder_names([checked.history for checked in done]), strict=True)
    ]
    index: Path = import_module("analysis.page").write_index(out, rows)
    return index


def worst_status(statuses: Sequence[int]) -> int:
    """The exit status of many: one that could not be judged, then invalid, then unknown, then valid."""
    return next(status for status in (UNREADABLE, 1, 2, 0) if status in statuses)
