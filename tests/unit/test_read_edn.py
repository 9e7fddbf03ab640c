"""EDN values: every notation comes in as what it means, and goes out as it was written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.read import edn, read_table

pytestmark = pytest.mark.unit


def read(text: str | bytes) -> Any:
    reader = edn.Reader(text if isinstance(text, bytes) else text.encode())
    value = reader.value()
    assert not reader.skip(), "something is left"
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("123456789012345678901234567890N", 123456789012345678901234567890),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("-1e3", -1000.0),
        ("1.50M", "1.50M"),
        ("22/7", "22/7"),
        ("##NaN", "NaN"),
        (":read", "read"),
        (":my.ns/read", "my.ns/read"),
        ("symbol", "symbol"),
        ("-", "-"),
        ('"a\\tb\\n\\"\\\\ \\u00e9 \\ud83d\\ude00"', 'a\tb\n"\\ é 😀'),
        ('"several\nlines"', "several\nlines"),
        ("\\a", "a"),
        ("\\newline", "\n"),
        ("\\u0041", "A"),
        ("\\é", "é"),
        ("\\{", "{"),
        ("[1 2]", [1, 2]),
        ("(1, 2 ,)", [1, 2]),
        ("#{1 [2]}", [1, [2]]),
        ("{:a 1 0 2}", {"a": 1, "0": 2}),
        ("{[1 2] nil}", {"[1 2]": None}),
        ('#inst "2026-01-01"', {"#inst": "2026-01-01"}),
        ("#my/tag [1]", {"#my/tag": [1]}),
        ("[1 #_ 2 #_#_ 3 4 5 ; six\n 7]", [1, 5, 7]),
        ("[[] {} #{}]", [[], {}, []]),
        ("\\o101", "A"),
    ],
)
def test_a_value_comes_in(text: str, value: Any) -> None:
    assert read(text) == value
    assert type(read(text)) is type(value) or isinstance(read(text), (edn.Notation, edn.Set))


@pytest.mark.parametrize(
    "text",
    [
        ":read",
        "sym",
        "\\newline",
        "1.50M",
        "22/7",
        "##Inf",
        "#{1 2}",
        '{:a 1, 0 2, "b" 3}',
        '#inst "2026"',
        "#a#_ 1",
        "#été 1",
    ],
)
def test_a_notation_goes_out_as_it_came(text: str) -> None:
    assert edn.write(read(text)) == text


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("[1 2}", 4, "found } where a value"),
        ("{:a}", 3, "has no value"),
        ("{:a 1 :a 2}", 6, "stands twice"),
        ('{0 1 "0" 2}', 5, "stands twice"),
        ('"\\q"', 0, "unknown escape"),
        ('"\\ud800"', 0, "surrogate"),
        ("\\ud800", 0, "surrogate"),
        ("\\wrong", 0, "unknown character"),
        ("017", 0, "no number"),
        ("1x", 0, "no number"),
        ("9" * 5000, 0, "too many digits"),
        (":", 0, "colon without a name"),
        ('#"regex"', 0, "unknown form"),
        ("#<Object>", 0, "unknown form"),
        (b'"\xff"', 0, "not UTF-8"),
        ("[" * 1000, 201, "levels deep"),
        ("#a " * 1000, 602, "levels deep"),
        ("#_" * 100_000, None, "levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_byte(text: str | bytes, at: int | None, said: str) -> None:
    with pytest.raises(edn.Malformed, match=said) as raised:
        read(text + (b" " if isinstance(text, bytes) else " "))  # which ends the token: it is not cut
    assert not isinstance(raised.value, edn.Incomplete)
    assert at is None or raised.value.at == at


@pytest.mark.parametrize(
    "text",
    ["", "[1", "{:a", "{:a 1", '"abc', '"abc\\"', "#", "#inst", "#_", "\\", "; only this", ":", "[1 \\newl", "##Na"],
)
def test_a_text_that_ends_early_is_incomplete(text: str) -> None:
    with pytest.raises(edn.Incomplete):
        read(text)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
atoms = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
values = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@given(values)
def test_a_round_trip_loses_nothing(value: Any) -> None:
    assert read(edn.write(value)) == value


def holds_for_any(data: bytes) -> None:
    """What reads is written so that it reads the same; what does not is malformed, at a byte of the text."""
    try:
        value = edn.Reader(data).value()
    except edn.Malformed as malformed:
        at = malformed.at
    else:
        at = 0
        assert read(edn.write(value)) == value
    assert 0 <= at <= len(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    holds_for_any(data)


@given(
    st.lists(
        st.sampled_from(list('[](){}#_"\\:;,1aN.-/\n \t')) | st.sampled_from(["#{", "#_", "nil", "\\u00"]), max_size=25
    )
)
def test_any_row_of_marks_is_a_value_or_malformed(marks: list[str]) -> None:
    holds_for_any("".join(marks).encode())


def test_a_discarded_value_may_be_torn(tmp_path):
    (tmp_path / "h").write_bytes(b"{:process 0, :type :invoke, :f :add, :value 1}\n#_\xb5\x01\x00")
    table = read_table(tmp_path / "h")
    assert len(table) == 1
    assert "torn from byte" in table.warnings[0]
