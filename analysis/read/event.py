"""One event of any format: the fields that a history knows, held to their types.

Every reader ends here: a format gives a dict of fields, this gives the row of the columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from analysis.history import NEMESIS
from analysis.read import edn
from analysis.table import NEMESIS_PROCESS, TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

MISSING: Final = -(2**63)  # in an index or a time that the source does not have
_TYPES: Final[dict[object, int]] = {name: code for code, name in enumerate(TYPES)}

EXPECTED: Final = {
    "index": "a whole number from 0",
    "time": "a whole number, nanoseconds since the start of the run",
    "process": 'a whole number from 0, or "nemesis"',
    "type": '"invoke", "ok", "fail" or "info"',
    "f": 'a string such as "add"',
    "key": "the key that the value is of, where there are several",
    "value": "what was asked or answered, null where there is nothing",
    "error": "a string",
    "node": "a string",
}


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event with its fields checked.

    Attributes:
        index: Place in the history, `MISSING` where the source has none.
        time: Nanoseconds, `MISSING` where the source has none.
        process: `NEMESIS_PROCESS` for the nemesis.
        type: INVOKE, OK, FAIL or INFO.
        f: The function's name.
        value: As Python has it.
        error: What went wrong.
        node: The node's name.
        line: In the source, from 1.
    """

    index: int
    time: int
    process: int
    type: int
    f: str
    value: Any
    error: str | None
    node: str | None
    line: int


class Mistake(Exception):  # noqa: N818 - made an error with file, line and column by the reader that knows them
    """A field that is not what it must be.

    Attributes:
        key: The field.
        sentence: What was found and what was expected.
    """

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key
        self.sentence = sentence


def check(fields: Mapping[str, Any], line: int, *, foreign: bool) -> Event:
    """Makes an event of a map's fields; fields that no history knows are left out.

    A field `key`, which others keep beside the value, becomes part of it: `[key, value]`.

    Args:
        fields: The event, by the names of docs/formats.md.
        line: Where it begins, from 1.
        foreign: Whether another program wrote it: then a value may be missing, and an error may be of any shape.

    Raises:
        Mistake: Naming the field that is missing or wrong.
    """
    value = _given(fields, "value") if not foreign else fields.get("value")
    process = _given(fields, "process")
    return Event(
        index=_whole(fields, "index", 0),
        time=_whole(fields, "time", MISSING + 1),
        process=NEMESIS_PROCESS if process == NEMESIS else _whole(fields, "process", 0),
        type=_type(_given(fields, "type")),
        f=_f(_given(fields, "f")),
        value=[fields["key"], value] if foreign and "key" in fields else value,
        error=_name(fields, "error", foreign=foreign),
        node=_name(fields, "node", foreign=foreign),
        line=line,
    )


def _given(fields: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - not yet checked
    if key not in fields:
        raise Mistake(key, f'"{key}" is missing: expected {EXPECTED[key]}')
    return fields[key]


def _wrong(key: str, given: object) -> Mistake:
    return Mistake(key, f'"{key}" must be {EXPECTED[key]}, found {_shown(given)}')


def _shown(given: object) -> str:
    """Returns a value as its format would write it, shortened."""
    if isinstance(given, edn.Notation):
        text = given.edn
    elif isinstance(given, (str, int, float, bool, list, dict, type(None))):
        text = edn.write(given).replace("nil", "null") if given is None else edn.write(given)
    else:
        text = repr(given)
    return text if len(text) <= 40 else text[:37] + "..."


def _whole(fields: Mapping[str, Any], key: str, least: int) -> int:
    given = fields.get(key)
    if given is None and key != "process":
        return MISSING
    if type(given) is not int or not least <= given < 2**63:  # a bool is an int to isinstance
        raise _wrong(key, given)
    return given


def _type(given: object) -> int:
    code = _TYPES.get(given) if isinstance(given, str) else None
    if code is None:
        raise _wrong("type", given)
    return code


def _f(given: object) -> str:
    if not isinstance(given, str):
        raise _wrong("f", given)
    return str(given)


def _name(fields: Mapping[str, Any], key: str, *, foreign: bool) -> str | None:
    given = fields.get(key)
    if given is None:
        return None
    if isinstance(given, str):
        return str(given)
    if not foreign:
        raise _wrong(key, given)
    return edn.write(given) if any_notation(given) else msgspec.json.encode(given).decode()


def any_notation(value: object) -> bool:
    """Returns whether a value holds anything that only EDN can write."""
    if isinstance(value, (list, tuple)):
        return isinstance(value, edn.Set) or any(map(any_notation, value))
    if isinstance(value, dict):
        return any(any_notation(part) for item in value.items() for part in item)
    return isinstance(value, edn.Notation)
