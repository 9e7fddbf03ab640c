"""Reading a long history into columns, beside duckdb's bare read of the same JSON Lines: seconds and peak memory.

`python bench/bench_read.py [ROWS]`, four million by default (400 MB, in the temporary folder). Each reading runs in a
process of its own, with the files in the page cache, and what is compiled compiled; the best of three counts.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.read import read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 4_000_000
SMALL_ROWS = 30_000  # read before, so that everything is imported and compiled
COLUMNS = {"index": "BIGINT", "time": "BIGINT"} | dict.fromkeys(
    ("process", "type", "f", "value", "error", "node"), "VARCHAR"
)


def make_history(path: Path, rows: int) -> None:
    """Writes a register's history of ten processes, the same for the same number of rows."""
    rng = random.Random(7)  # noqa: S311 - a workload, no secret
    pending: dict[int, str] = {}
    now = 0
    with path.open("w", encoding="ascii") as file:
        for index in range(rows):
            process = rng.randrange(10)
            now += rng.randrange(100_000)
            ends = process in pending
            what = pending.pop(process) if ends else make_operation(rng)
            if not ends:
                pending[process] = what
            kind = "ok" if ends else "invoke"
            node = process % 5 + 1
            file.write(
                f'{{"index":{index},"time":{now},"process":{process},"type":"{kind}",{what},"node":"n{node}"}}\n'
            )


def make_operation(rng: random.Random) -> str:
    """Draws the function and value of an operation, as JSON."""
    f = rng.choice(("read", "write", "cas"))
    value = {"read": "null", "write": rng.randrange(10**6), "cas": f"[{rng.randrange(1000)},{rng.randrange(1000)}]"}
    return f'"f":"{f}","value":{value[f]}'


def with_duckdb(path: Path) -> int:
    """Reads every column with duckdb, on all cores, and keeps nothing but a maximum of each."""
    import duckdb  # noqa: PLC0415 - its memory counts here only

    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    wanted = ", ".join(f'max("{name}")' for name in COLUMNS)
    query = f"SELECT count(*), {wanted} FROM read_json('{path}', format='newline_delimited', columns={{{columns}}})"  # noqa: S608 - ours
    row = duckdb.connect().execute(query).fetchone()
    return int(row[0]) if row else 0


def into_duckdb(path: Path) -> int:
    """Reads every column into a table of duckdb's in memory."""
    import duckdb  # noqa: PLC0415 - its memory counts here only

    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE h AS SELECT * FROM read_json('{path}', format='newline_delimited', columns={{{columns}}})"  # noqa: S608 - ours
    )
    row = connection.execute("SELECT count(*) FROM h").fetchone()
    return int(row[0]) if row else 0


def with_callmaybe(path: Path) -> int:
    """Reads into columns, with all checks of the order."""
    return len(read_table(path))


def measure(read: Callable[[Path], int], path: Path, answer: multiprocessing.Queue[tuple[int, float, int]]) -> None:
    """Puts rows, seconds and peak bytes of a reading into the queue."""
    read(path.with_suffix(f".small{path.suffix}"))
    started = time.perf_counter()
    rows = read(path)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would count the parent's memory too
    answer.put((rows, seconds, int(status.partition("VmHWM:")[2].split()[0]) << 10))


def best_of(read: Callable[[Path], int], path: Path, rows: int) -> tuple[float, int]:
    """Returns least seconds and least peak bytes of three processes."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    results = []
    for _ in range(3):
        process = context.Process(target=measure, args=(read, path, answer))
        process.start()
        found, seconds, peak_bytes = answer.get(timeout=100)
        process.join(10)
        if found != rows:
            sys.exit(f"{read.__name__} found {found} rows of {rows}")
        results.append((seconds, peak_bytes))
    return min(seconds for seconds, _ in results), min(peak for _, peak in results)


def main() -> None:
    """Measures all and prints one line each, with the ratio to duckdb's bare read."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        lines, edn = Path(folder) / "history.jsonl", Path(folder) / "history.edn"
        for path, size in ((lines, rows), (lines.with_suffix(".small.jsonl"), SMALL_ROWS)):
            make_history(path, size)
            write_table(read_table(path), path.with_suffix(".edn"), "edn")
        base, _ = best_of(with_duckdb, lines, rows)
        for name, read, path in (
            ("duckdb, bare read of JSON Lines", with_duckdb, lines),
            ("duckdb, into a table", into_duckdb, lines),
            ("read_table of JSON Lines", with_callmaybe, lines),
            ("read_table of EDN", with_callmaybe, edn),
        ):
            seconds, peak_bytes = best_of(read, path, rows)
            speed = path.stat().st_size / seconds / 1e6
            ratio = base / seconds
            print(f"{name:32} {seconds:6.2f} s {speed:6.0f} MB/s {ratio:5.2f} x duckdb {peak_bytes >> 20:6,} MiB")


if __name__ == "__main__":
    main()
