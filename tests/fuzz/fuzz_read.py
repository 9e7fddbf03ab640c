"""Coverage-guided fuzzing of every reader: `make fuzz`, or with libFuzzer's arguments of one's own.

Whatever the bytes are, reading ends with a table or with an AnalysisError; libFuzzer watches time and memory.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["analysis.read", "analysis.table"]):
    from analysis.errors import AnalysisError
    from analysis.read import read_table

SEEDS = (
    b'{"index":0,"time":0,"process":0,"type":"invoke","f":"add","value":[1,null]}\n',
    b'[{"process":0,"type":"invoke","f":"add","value":1}]',
    b'{:process 0, :type :invoke, :f :txn, :value [[:r 1 nil] #{2} \\a #inst "2026" 1/2 {1 2}]}\n',
    b"INFO  jepsen.util - 0\t:invoke\t:read\tnil\n",
    b"process,type,f,value\n0,invoke,add,1\n",
    b"\x1f\x8b\x08\x00",
    b"\x28\xb5\x2f\xfd\x24\x00",
    b"PAR1",
)
FOLDER = tempfile.TemporaryDirectory()
PATH = Path(FOLDER.name) / "history"


def read(data: bytes) -> None:
    """Reads one input."""
    PATH.write_bytes(data)
    try:
        read_table(PATH)
    except AnalysisError as error:
        if "\n" not in str(error) and not str(error).startswith(str(PATH)):
            raise AssertionError(f"an error without its file: {error}") from error


def main() -> None:
    """Writes the seeds and lets libFuzzer go."""
    corpus = Path(FOLDER.name) / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS):
        (corpus / str(number)).write_bytes(seed)
    limits = ["-timeout=10", "-rss_limit_mb=2000", f"-artifact_prefix={tempfile.gettempdir()}/"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
