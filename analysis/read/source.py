"""Where a history comes from: a file, a run's folder or the standard input; plain, gzip or zstd; in pieces."""

from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from analysis.history import HISTORY_FILE, STDIN, HistoryError

if TYPE_CHECKING:
    from types import TracebackType

PIECE_BYTES: Final = 4 << 20
MAX_FORM_BYTES: Final = 256 << 20  # of one event: beyond it a file is no history, and would only fill the memory
_FOLDER_FILES: Final = (HISTORY_FILE, HISTORY_FILE + ".gz", HISTORY_FILE + ".zst", "history.edn", "history.txt")
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"  # which editors put before UTF-8, and no format knows


class Source:
    """A history's bytes, unpacked, one piece after the other.

    Attributes:
        name: What errors call it: the path as it was given.
        warnings: What is worth knowing about the bytes.
    """

    def __init__(self, source: Path | str) -> None:
        self.name, self._file = _open(source)
        self.warnings: list[str] = []
        self._member: Any = None  # the part of a gzip file that is being unpacked
        self._ahead: list[bytes] = []
        self._ended = False
        magic = self._magic()
        self._unpack = self._gzip if magic.startswith(_GZIP) else self._raw
        if magic.startswith(_ZSTD):
            self._file = _zstd(self._file)
            self._unpack = self._zstd

    def __enter__(self) -> Source:  # noqa: PYI034 - Self would promise subclasses
        """Returns itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes the file, the standard input excepted."""
        if self._file is not sys.stdin.buffer:
            self._file.close()

    @property
    def short_name(self) -> str:
        """The name without its folders: warnings go into results, and no path of this machine with them."""
        return Path(self.name).name

    def head(self, size: int = 65_536) -> bytes:
        """Returns the first bytes, which `read` will give again; all there are where they are fewer.

        Whoever reads asks for them first, to find the format: a byte order mark is left out here.
        """
        while sum(map(len, self._ahead)) < size and (piece := self._next()):
            self._ahead.append(piece)
        self._ahead = [b"".join(self._ahead).removeprefix(_BOM)]
        return self._ahead[0][:size]

    def read(self, size: int = PIECE_BYTES) -> bytes:
        """Returns about `size` bytes more, at least one; none at the end."""
        pieces: list[bytes] = []
        have = 0
        while have < size:
            piece = self._ahead.pop(0) if self._ahead else self._next()
            if not piece and not self._ahead:
                break
            pieces.append(piece)
            have += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def rest(self) -> bytes:
        """Returns all that is left, for formats that are not read in pieces."""
        pieces = []
        while piece := self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def seekable(self) -> IO[bytes]:
        """Returns the unpacked bytes as a file to seek in, for formats that begin at their end."""
        if self._unpack == self._raw and self._file.seekable():
            self._file.seek(0)
            return self._file
        return io.BytesIO(self.rest())

    def fail(self, sentence: str) -> HistoryError:
        """Returns the error of a source as a whole."""
        return HistoryError([f"{self.name}: {sentence}"])

    def _next(self) -> bytes:
        if self._ended:
            return b""
        try:
            piece = self._unpack()
        except OSError as error:
            raise self.fail(f"cannot be read ({error.strerror or error})") from None
        self._ended = not piece
        return piece

    def _magic(self) -> bytes:
        """Returns the first bytes as the file has them, and leaves them there."""
        try:
            if isinstance(self._file, io.BufferedReader):
                return self._file.peek(4)[:4]
            begin = self._file.read(4)
            self._file.seek(0)
        except OSError as error:
            raise self.fail(f"cannot be read ({error.strerror or error})") from None
        return begin

    def _raw(self) -> bytes:
        return self._file.read(PIECE_BYTES)

    def _gzip(self) -> bytes:
        """Unpacks a file of gzip members; one that was cut short gives what can be had, and a warning."""
        piece = b""
        while not piece:
            packed = self._member.unconsumed_tail if self._member and not self._member.eof else b""
            if self._member and self._member.eof:
                packed, self._member = self._member.unused_data, None
            packed = packed or self._raw()
            if not packed:
                if self._member:
                    self.warnings.append(f"{self.short_name}: the gzip data ends early; what came before it was read")
                return b""
            self._member = self._member or zlib.decompressobj(wbits=31)
            try:
                piece = self._member.decompress(packed, PIECE_BYTES)
            except zlib.error as error:
                raise self.fail(f"damaged gzip data ({error}); expected a gzip, zstd or plain file") from None
        return piece

    def _zstd(self) -> bytes:
        try:
            return self._file.read(PIECE_BYTES)
        except OSError as error:
            if "truncated" in str(error).lower():
                self.warnings.append(f"{self.short_name}: the zstd data ends early; what came before it was read")
                return b""
            raise self.fail(f"damaged zstd data ({error}); expected a gzip, zstd or plain file") from None


def _open(source: Path | str) -> tuple[str, IO[bytes]]:
    if str(source) == STDIN:
        return "standard input", sys.stdin.buffer
    path = Path(source)
    if path.is_dir():
        path = next((path / name for name in _FOLDER_FILES if (path / name).exists()), path / HISTORY_FILE)
    try:
        return str(path), path.open("rb")
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        message = f"{path}: cannot be read ({said}); give a history file, a run's folder, or - for stdin"
        raise HistoryError([message]) from None


def _zstd(file: IO[bytes]) -> IO[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that plain files need not wait for

    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))
