"""The fast way: a compiled scanner of events that stand one a line, flat, in JSON or EDN.

It knows what nearly all lines of a long history look like: the fields of docs/formats.md in any order, each once,
names in printable ASCII without escapes, values that are nil, a number or two numbers. At anything else it gives up
the line, which the exact reader then reads or refuses: the scanner accepts nothing that the exact reader would not.

It reads memory by address, a byte or eight at a time. Every loop stops at a newline, and the scan ends `_MARGIN_BYTES`
before the data do, so nothing reads past them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from analysis.compiled import compiled
from analysis.read.columns import COLUMNS, Block, Names
from analysis.read.event import MISSING
from analysis.read.memory import byte_at, word_at
from analysis.table import FAIL, INFO, INT, INVOKE, NEMESIS_PROCESS, NIL, OK, PAIR

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN: Final = 255  # the kind of a row whose line was given up
_MARGIN_BYTES = 16
_SLOTS = 512  # of a table of names, a power of two; half of them are used, and lines with further names given up
_LEAST_LINE_BYTES = 48  # rows are allocated for lines that long; with shorter ones a scan takes several calls

_NEWLINE, _SPACE, _QUOTE, _COMMA, _MINUS, _COLON = 10, 32, 34, 44, 45, 58
_OPEN_LIST, _BACKSLASH, _CLOSE_LIST, _OPEN, _CLOSE = 91, 92, 93, 123, 125
_INDEX, _TIME, _PROCESS, _TYPE, _F, _VALUE, _ERROR, _NODE = 1, 2, 4, 8, 16, 32, 64, 128
_NEEDED = _PROCESS | _TYPE | _F | _VALUE


def _word(text: bytes) -> int:
    """Returns at most eight characters as the number that they are in memory."""
    return int.from_bytes(text, "little")


_BYTES_2, _BYTES_3, _BYTES_4, _BYTES_5, _BYTES_6, _BYTES_7 = ((1 << 8 * size) - 1 for size in range(2, 8))
_F_JSON, _F_EDN = _word(b'f":'), _word(b"f ")
_TIME_JSON, _TIME_EDN = _word(b'time":'), _word(b"time ")
_TYPE_JSON, _TYPE_EDN = _word(b'type":'), _word(b"type ")
_NODE_JSON, _NODE_EDN = _word(b'node":'), _word(b"node ")
_INDEX_JSON, _INDEX_EDN = _word(b'index":'), _word(b"index ")
_VALUE_JSON, _VALUE_EDN = _word(b'value":'), _word(b"value ")
_ERROR_JSON, _ERROR_EDN = _word(b'error":'), _word(b"error ")
_PROCESS_JSON, _PROCESS_EDN = _word(b'process"'), _word(b"process ")
_NIL_WORD, _NULL_WORD = _word(b"nil"), _word(b"null")
_OK_WORD, _INVOKE_WORD, _FAIL_WORD, _INFO_WORD = _word(b"ok"), _word(b"invoke"), _word(b"fail"), _word(b"info")
_NEMESIS_WORD = _word(b"nemesis")


class Scan(NamedTuple):
    """What a scan found.

    Attributes:
        block: The columns; names are numbered by `f`, `node` and `error`, and lines are missing.
        begin: int64[rows + 1], the byte where each row's line begins, and the byte where the scan stopped.
        f: The functions' names.
        node: The nodes' names.
        error: The errors.
    """

    block: Block
    begin: NDArray[np.int64]
    f: list[str]
    node: list[str]
    error: list[str]


def scan(data: bytes, at: int = 0, *, edn: bool) -> Scan:
    """Scans the lines from a byte on.

    Args:
        data: Text; its last few lines are left alone.
        at: Where a line begins.
        edn: Whether the lines are EDN, where the scan ends at the first line that it does not know, as that need not
            be a line at all; in JSON it goes on, and the line's row has the kind `UNKNOWN`.
    """
    end = max(data.rfind(b"\n", at, max(len(data) - _MARGIN_BYTES, at)) + 1, at)
    capacity = (end - at) // _LEAST_LINE_BYTES + 1
    columns: dict[str, Any] = {name: np.empty(capacity, COLUMNS[name]) for name in COLUMNS if name != "line"}
    begin = np.empty(capacity + 1, np.int64)
    tables = [np.full((_SLOTS + 1, 4), -1, np.int64) for _ in range(3)]
    base = np.frombuffer(data, np.uint8).ctypes.data if data else 0
    filled: list[Any] = [*columns.values(), begin, *tables]
    count = _scan(base, at, end, edn, capacity, *filled)
    if 2 * count < capacity:  # a view would keep all of it
        columns = {name: column[:count].copy() for name, column in columns.items()}
    block = {name: column[:count] for name, column in columns.items()}
    return Scan(block, begin[: count + 1], *(_texts(data, table) for table in tables))


def renumber(scan: Scan, f: Names, node: Names, error: Names, line: int) -> Block:
    """Returns the block of a scan with the names numbered as in a whole table, and its lines from `line` on."""
    block = scan.block
    for column, texts, names in (("f", scan.f, f), ("node", scan.node, node), ("error", scan.error, error)):
        places = np.array([*map(names.place, texts), -1], np.int32)  # -1, no name, picks the last
        block[column] = places[block[column]]
    block["line"] = np.arange(line, line + len(block["type"]))
    return block


def _texts(data: bytes, names: NDArray[np.int64]) -> list[str]:
    """Returns the names of a table by number."""
    rows = sorted((number, begin, length) for _, number, begin, length in names[:_SLOTS].tolist() if number >= 0)
    return [data[begin : begin + length].decode("ascii") for _, begin, length in rows]


@compiled
def _scan(  # noqa: PLR0913, PLR0917 - what a compiled function reads and fills it is given
    base: int,
    at: int,
    end: int,
    edn: bool,  # noqa: FBT001 - compiled
    capacity: int,
    index: NDArray[np.int64],
    time: NDArray[np.int64],
    process: NDArray[np.int64],
    type_: NDArray[np.uint8],
    f: NDArray[np.int32],
    kind: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    node: NDArray[np.int32],
    error: NDArray[np.int32],
    begin: NDArray[np.int64],
    f_names: NDArray[np.int64],
    node_names: NDArray[np.int64],
    error_names: NDArray[np.int64],
) -> int:
    """Scans lines until the end, the capacity, or, in EDN, an unknown one; returns the number of rows."""
    f_names[_SLOTS, 0] = node_names[_SLOTS, 0] = error_names[_SLOTS, 0] = 0
    row, at, end = 0, base + at, base + end
    while at < end and row < capacity:
        begin[row] = at - base
        after, values, names = _line(base, at, edn, f_names, node_names, error_names)
        if after < 0:
            if edn:
                break
            after = _next_line(at)
        index[row], time[row], process[row], first[row], second[row] = values
        type_[row], kind[row], f[row], node[row], error[row] = names
        if after < 0 or names[1] == UNKNOWN:
            f[row] = node[row] = error[row] = -1
        at = after
        row += 1
    begin[row] = at - base
    return row


@compiled
def _next_line(at: int) -> int:
    while byte_at(at) != _NEWLINE:
        at += 1
    return at + 1


@compiled
def _line(  # noqa: C901, PLR0912, PLR0913, PLR0917 - one loop over the fields, as fast as can be
    base: int,
    at: int,
    edn: bool,  # noqa: FBT001 - compiled
    f_names: NDArray[np.int64],
    node_names: NDArray[np.int64],
    error_names: NDArray[np.int64],
) -> tuple[int, tuple[int, int, int, int, int], tuple[int, int, int, int, int]]:
    """Reads the line that begins at an address.

    Returns:
        The address after its newline, -1 to give it up; index, time, process, first, second; type, kind, f, node,
        error.
    """
    index = time = MISSING
    process = first = second = 0
    type_ = f = node = error = -1
    kind = UNKNOWN
    seen = 0
    at = _blanks(at)
    good = byte_at(at) == _OPEN
    at += 1
    while good:
        key, at = _key(at, edn)
        if key == 0 or seen & key:
            good = False
            break
        seen |= key
        if key == _VALUE:
            kind, first, second, at = _value(at, edn)
        elif key == _TYPE:
            type_, at = _type(at, edn)
        elif key == _F:
            f, at = _name(base, at, edn, f_names)
        elif key == _NODE:
            node, at = _name(base, at, edn, node_names)
        elif key == _ERROR:
            error, at = _name(base, at, edn, error_names)
        elif key == _TIME:
            time, at = _whole(at)
        elif key == _INDEX:
            index, at = _natural(at)
        else:
            process, at = _process(at, edn)
        if at < 0:
            good = False
            break
        begin = at
        at = _blanks(at)
        byte = byte_at(at)
        if byte == _CLOSE:
            break
        if byte == _COMMA:
            at = _blanks(at + 1)
        elif not edn or at == begin:
            good = False
    if good:
        at = _blanks(at + 1)
        if edn and byte_at(at) == _COMMA:
            at = _blanks(at + 1)
        good = byte_at(at) == _NEWLINE and seen & _NEEDED == _NEEDED
    if not good:
        at, kind = -2, UNKNOWN
    return at + 1, (index, time, process, first, second), (type_, kind, f, node, error)


@compiled
def _blanks(at: int) -> int:
    while byte_at(at) == _SPACE:
        at += 1
    return at


@compiled
def _key(at: int, edn: bool) -> tuple[int, int]:  # noqa: C901, FBT001, PLR0911, PLR0912 - compiled
    """Returns which key stands at an address, 0 for an unknown one, and the address where its value begins."""
    if byte_at(at) != (_COLON if edn else _QUOTE):
        return 0, at
    word = word_at(at + 1)
    if edn:
        if word & _BYTES_5 == _TYPE_EDN:
            return _TYPE, _blanks(at + 6)
        if word & _BYTES_2 == _F_EDN:
            return _F, _blanks(at + 3)
        if word & _BYTES_6 == _VALUE_EDN:
            return _VALUE, _blanks(at + 7)
        if word & _BYTES_5 == _TIME_EDN:
            return _TIME, _blanks(at + 6)
        if word == _PROCESS_EDN:
            return _PROCESS, _blanks(at + 9)
        if word & _BYTES_6 == _INDEX_EDN:
            return _INDEX, _blanks(at + 7)
        if word & _BYTES_5 == _NODE_EDN:
            return _NODE, _blanks(at + 6)
        return (_ERROR if word & _BYTES_6 == _ERROR_EDN else 0), _blanks(at + 7)
    if word & _BYTES_6 == _TYPE_JSON:
        return _TYPE, _blanks(at + 7)
    if word & _BYTES_3 == _F_JSON:
        return _F, _blanks(at + 4)
    if word & _BYTES_7 == _VALUE_JSON:
        return _VALUE, _blanks(at + 8)
    if word & _BYTES_6 == _TIME_JSON:
        return _TIME, _blanks(at + 7)
    if word == _PROCESS_JSON:
        return (_PROCESS if byte_at(at + 9) == _COLON else 0), _blanks(at + 10)
    if word & _BYTES_7 == _INDEX_JSON:
        return _INDEX, _blanks(at + 8)
    if word & _BYTES_6 == _NODE_JSON:
        return _NODE, _blanks(at + 7)
    return (_ERROR if word & _BYTES_7 == _ERROR_JSON else 0), at + 8


@compiled
def _whole(at: int) -> tuple[int, int]:
    """Returns the number of at most 18 digits at an address, and the address after it, -1 for anything else."""
    negative = byte_at(at) == _MINUS
    begin = at + 1 if negative else at
    at = begin
    value = 0
    digit = byte_at(at) - 48
    while 0 <= digit <= 9:
        value = value * 10 + digit
        at += 1
        digit = byte_at(at) - 48
    digits = at - begin
    if digits == 0 or digits > 18 or (digits > 1 and byte_at(begin) == 48) or not _ends(byte_at(at)):
        return 0, -1
    return (-value if negative else value), at


@compiled
def _ends(byte: int) -> bool:
    """Returns whether a byte ends a number or a word."""
    return byte == _COMMA or byte == _CLOSE or byte == _CLOSE_LIST or byte == _SPACE  # noqa: PLR1714 - compiled


@compiled
def _natural(at: int) -> tuple[int, int]:
    value, after = _whole(at)
    return value, (-1 if byte_at(at) == _MINUS else after)


@compiled
def _process(at: int, edn: bool) -> tuple[int, int]:  # noqa: FBT001 - compiled
    first = byte_at(at)
    if first != _QUOTE and not (edn and first == _COLON):
        return _natural(at)
    at += 1
    if word_at(at) & _BYTES_7 != _NEMESIS_WORD:
        return 0, -1
    return NEMESIS_PROCESS, _after_word(at + 7, first)


@compiled
def _after_word(at: int, first: int) -> int:
    """Returns the address after the end of a word that began with a quote or a colon, -1 if it goes on."""
    if first == _QUOTE:
        return at + 1 if byte_at(at) == _QUOTE else -1
    return at if _ends(byte_at(at)) else -1


@compiled
def _type(at: int, edn: bool) -> tuple[int, int]:  # noqa: FBT001 - compiled
    first = byte_at(at)
    if first != _QUOTE and not (edn and first == _COLON):
        return 0, -1
    word = word_at(at + 1)
    if word & _BYTES_2 == _OK_WORD:
        return OK, _after_word(at + 3, first)
    if word & _BYTES_6 == _INVOKE_WORD:
        return INVOKE, _after_word(at + 7, first)
    if word & _BYTES_4 == _FAIL_WORD:
        return FAIL, _after_word(at + 5, first)
    if word & _BYTES_4 == _INFO_WORD:
        return INFO, _after_word(at + 5, first)
    return 0, -1


@compiled
def _value(at: int, edn: bool) -> tuple[int, int, int, int]:  # noqa: FBT001 - compiled
    """Returns kind, first and second of a value of a plain kind, and the address after it, -1 for any other."""
    zero = 0
    byte = byte_at(at)
    if byte == _OPEN_LIST:
        return _pair(at, edn)
    if byte != ord("n"):
        value, at = _whole(at)
        return INT, value, zero, at
    word = word_at(at)
    at += 3 if edn else 4
    known = word & _BYTES_3 == _NIL_WORD if edn else word & _BYTES_4 == _NULL_WORD
    return NIL, zero, zero, (at if known and _ends(byte_at(at)) else -1)


@compiled
def _pair(at: int, edn: bool) -> tuple[int, int, int, int]:  # noqa: FBT001 - compiled
    second = 0
    first, at = _whole(_blanks(at + 1))
    if at >= 0:
        at = _blanks(at)
        if byte_at(at) == _COMMA:
            at = _blanks(at + 1)
        elif not edn:
            at = -1
    if at >= 0:
        second, at = _whole(at)
    if at >= 0:
        at = _blanks(at)
        at = at + 1 if byte_at(at) == _CLOSE_LIST else -1
    return PAIR, first, second, at


@compiled
def _name(base: int, at: int, edn: bool, names: NDArray[np.int64]) -> tuple[int, int]:  # noqa: FBT001 - compiled
    """Returns the number of the name at an address, and the address after it, -1 for what is no plain name."""
    first = byte_at(at)
    is_keyword = edn and first == _COLON
    if not is_keyword and first != _QUOTE:
        return -1, -1
    begin = at = at + 1
    hashed = 0
    byte = byte_at(at)
    while byte != _QUOTE and _SPACE <= byte < 127 and byte != _BACKSLASH and (not is_keyword or _in_keyword(byte)):
        hashed = hashed * 1_000_003 ^ byte
        at += 1
        byte = byte_at(at)
    after = _after_word(at, first)
    if after < 0 or (is_keyword and at == begin):
        return -1, -1
    number = _number(base, begin, at - begin, hashed, names)
    return number, (after if number >= 0 else -1)


@compiled
def _in_keyword(byte: int) -> bool:
    return 97 <= byte | 32 <= 122 or 48 <= byte <= 57 or byte == _MINUS or byte == ord("_")


@compiled
def _number(base: int, begin: int, length: int, hashed: int, names: NDArray[np.int64]) -> int:
    """Returns the number of a name, a new one where it is new, -1 where there is no room for it.

    A row of `names` is hash, number (-1: free), begin and length; the last row holds how many there are.
    """
    slot = (hashed ^ (hashed >> 17)) & (_SLOTS - 1)
    while names[slot, 1] >= 0:
        if names[slot, 0] == hashed and names[slot, 3] == length:
            known, place = base + names[slot, 2], 0
            while place < length and byte_at(known + place) == byte_at(begin + place):
                place += 1
            if place == length:
                return int(names[slot, 1])
        slot = (slot + 1) & (_SLOTS - 1)
    count = int(names[_SLOTS, 0])
    if count == _SLOTS // 2:
        return -1
    names[slot, 0], names[slot, 1], names[slot, 2], names[slot, 3] = hashed, count, begin - base, length
    names[_SLOTS, 0] = count + 1
    return count
