"""Jepsen's `log-file-pattern`: the databases' logs must not say what they never should, such as `panic:`."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from analysis.checks.verdict import SHOWN, weigh
from analysis.errors import AnalysisError
from analysis.lost_writes import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analysis.run_folder import Window
    from analysis.table import Table

NODES_FOLDER: Final = "nodes"
_LINE_BYTES: Final = 1 << 20
"""A longer line is searched in pieces, so that a log without newlines does not fill the memory."""


def check(
    _table: Table | None, _windows: Sequence[Window] = (), *, folder: Path | str, pattern: str, file_name: str = "*"
) -> dict[str, Any]:
    """Searches the files in `nodes/<node>/` of a run's folder, gzipped ones as well.

    Args:
        _table: Not looked at.
        folder: The run's folder.
        pattern: A regular expression of Python's `re`, searched in each line.
        file_name: Only in files of this name, which may have `*` and `?`.

    Returns:
        The verdict, invalid for any match and unknown where there was no file to search; `file_count`, `match_count`
        (lines), `match_count_by_node` and the first `matches`: `node`, `file` (below the node's), `line`, `text`.

    Raises:
        AnalysisError: If the pattern is no regular expression, or a file cannot be read.
    """
    try:
        expression = re.compile(pattern.encode())
    except re.error as error:
        where = f" at character {error.pos + 1}" if error.pos is not None else ""
        raise AnalysisError(f"the pattern {pattern!r} is not a regular expression: {error.msg}{where}") from None
    root = Path(folder) / NODES_FOLDER
    files = sorted(path for path in root.glob(f"*/**/{file_name}") if path.is_file())
    by_node: dict[str, int] = {}
    matches: list[dict[str, Any]] = []
    for path in files:
        node, *below = path.relative_to(root).parts
        for line, text in _search(path, expression):
            by_node[node] = by_node.get(node, 0) + 1
            if len(matches) < SHOWN:
                matches.append({"node": node, "file": "/".join(below), "line": line, "text": text})
    count = sum(by_node.values())
    findings = []
    if matches:
        first = "{node}:{file}:{line}".format(**matches[0])
        findings.append(f"{plural(count, 'line')} of the nodes' logs match {pattern!r}, the first is {first}")
    doubts = [] if files else [f"no file {file_name!r} of any node was collected"]
    return {
        **weigh(findings, doubts, f"no line of {plural(len(files), 'file')} matches {pattern!r}"),
        "file_count": len(files),
        "match_count": count,
        "match_count_by_node": by_node,
        "matches": matches,
    }


def _search(path: Path, expression: re.Pattern[bytes]) -> Iterator[tuple[int, str]]:
    """Yields the number and the text of each line that matches."""
    number, matched, whole = 1, False, True
    try:
        with _open(path) as file:
            while piece := file.readline(_LINE_BYTES):
                matched = matched and not whole
                whole = piece.endswith(b"\n")
                if not matched and expression.search(piece.rstrip(b"\r\n")):
                    matched = True
                    yield number, piece.decode(errors="replace").strip()[:400]
                number += whole
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AnalysisError(f"{path}: cannot be read ({reason}); collect the logs again") from None


def _open(path: Path) -> IO[bytes]:
    file = path.open("rb")
    if file.read(2) != b"\x1f\x8b":
        file.seek(0)
        return file
    file.close()
    return cast("IO[bytes]", gzip.open(path))
