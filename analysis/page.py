"""The pages of `callmaybe check --out`: one a history, small whatever its size, and one that lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup

from analysis.atomic import write_atomically
from analysis.linear.picture import picture
from analysis.run_folder import Window
from analysis.sentences import sentences, verdict_word

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from analysis.judge import Results

PAGE_FILE: Final = "report.html"
INDEX_FILE: Final = "index.html"
_MOST_LETTERS: Final = 400  # of one thing that a checker says


def write_page(folder: Path, history: str, results: Results) -> Path:
    """Writes the page of one history: the verdict, why, the picture of a contradiction, the checkers' figures.

    Returns:
        Its path. It needs no other file, no network and no JavaScript.

    Raises:
        RunError: If it cannot be written.
    """
    found = next((result for result in results["checkers"].values() if result.get("contradiction")), {})
    contradiction = found.get("contradiction")
    faults = [Window(**fault) for fault in contradiction["faults"]] if contradiction else []
    lines = sentences(results)
    return _write(
        folder / PAGE_FILE,
        "history.html",
        history=history,
        word=verdict_word(results),
        verdict=lines[0].partition("  ")[2],
        notes=lines[1:],
        contradiction=contradiction,
        contradiction_picture=Markup(picture(found, faults)),  # noqa: S704 - the picture escapes its texts
        checkers=[(name, result["reason"], _facts(result)) for name, result in results["checkers"].items()],
    )


def write_index(folder: Path, rows: Sequence[tuple[str, Results | None, str, str]]) -> Path:
    """Writes the page that lists histories: each with its results, or the error instead, and its folder's name.

    Raises:
        RunError: If it cannot be written.
    """
    told = [
        (history, verdict_word(results), results["reason"], f"{name}/{PAGE_FILE}")
        if results
        else (history, "NOT JUDGED", error, None)
        for history, results, error, name in rows
    ]
    return _write(folder / INDEX_FILE, "index.html", rows=told)


def _write(path: Path, template: str, **told: object) -> Path:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    page = environment.get_template(template).render(**told)
    write_atomically(path, page.encode(errors="replace"))
    return path


def _facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns what a checker says in a word or a number."""
    plain = {name: value for name, value in result.items() if name not in {"valid", "reason"}}
    return [
        (name.replace("_", " "), (f"{value:,}" if type(value) is int else str(value))[:_MOST_LETTERS])
        for name, value in plain.items()
        if isinstance(value, str | int | float) and value != ""
    ]
