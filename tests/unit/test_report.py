"""The report: complete, escaped, self-contained, the same each time, and small."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from analysis.figures import LOST, RECOVERED, SURVIVED, UNREAD
from analysis.judge import judge
from analysis.report import write_report
from analysis.run_folder import RunError
from tests.unit.hand_made import add, make_folder, read, window
from tests.unit.synthetic_run import NODES, make_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Collects a page's elements, texts and ids, and holds its tags balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def page_of(folder: Path) -> str:
    judge(folder)
    return write_report(folder).read_text()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(make_run(tmp_path_factory.mktemp("run")))


def test_it_tells_the_whole_run(redis: str) -> None:
    text = Page(redis).text
    for said in [
        "480 of 2,361 acknowledged writes were lost (20.3 %). Published 2013: 1,126 of 1,998 (56.4 %).",
        "Acknowledged by n1 (240) and n2 (240), all inside cut-1, the last 29.9 s after it began.",
        "Attempted 2,400 2,000",
        "Present in the end 1,883 872",
        "1,881 survived",
        "480 lost",
        "2 recovered",
        "partition n1 n2 | n3 n4 n5, from 10 s to 40 s",
        "Clocks of the nodes within",
        "redis 7.0.15",
        "callmaybe test redis-sentinel --seed 7",
        "2023-11-14 22:13:20 UTC",
    ]:
        assert said in text


def test_the_picture_has_every_write_in_its_colour(redis: str) -> None:
    picture = next(part for part in redis.split("<figure>") if 'id="writes-figure_1"' in part)
    drawn = {colour: len(re.findall(rf"<use [^>]*fill: {colour}", picture)) for colour in (SURVIVED, LOST, RECOVERED)}
    assert drawn == {SURVIVED: 1881, LOST: 480, RECOVERED: 2}
    labels = [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", picture) if text in NODES]
    assert sorted(labels) == NODES
    assert "cut-1: n1 n2 | n3 n4 n5" in picture


def test_windows_are_shaded_in_every_picture(redis: str) -> None:
    figures = redis.split("<figure>")[1:]
    assert [("fill: var(--shade)" in figure) for figure in figures] == [True, True, True]


def test_nothing_is_fetched_and_nothing_runs(redis: str) -> None:
    page = Page(redis)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}:
                assert (value or "").startswith(("#", "data:image/png;base64,")), (tag, name, value)
    assert not re.search(r"@import|url\((?!['\"]?#)", redis)
    assert set(re.findall(r"https?://[^\"<\s]*", redis)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_ids_are_unique_and_references_lead_somewhere(redis: str) -> None:
    ids = [attributes["id"] for _, attributes in Page(redis).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r"url\(#([^)]*)\)|href=\"#([^\"]*)\"", redis))
    assert {first or second for first, second in references} <= set(ids)


def test_light_and_dark_share_one_drawing(redis: str) -> None:
    assert "prefers-color-scheme: dark" in redis
    assert not re.search(r"#01020\d", redis)
    used = set(re.findall(r"var\((--\w+)\)", redis))
    light, dark = (set(re.findall(r"(--\w+):", block)) for block in re.findall(r":root \{([^}]*)\}", redis)[:2])
    assert used <= light
    assert light == dark


def test_writing_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    here, there = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    assert page_of(here) == page_of(there) == page_of(here)


EVIL = '<script>alert("x")</script>&$x^{'


def test_all_values_are_escaped(tmp_path: Path) -> None:
    evil_window = {"name": EVIL, "fault": EVIL, "title": EVIL, "from_s": 0, "until_s": 4}
    fields = dict.fromkeys(["scenario", "title", "database", "variant"], EVIL)
    lists = {"nodes": [EVIL], "workload": {"name": EVIL}, "published": {"source": EVIL, "lost_count": 1}}
    events = [*add(1), *add(2, "fail"), *read([])]
    folder = make_folder(tmp_path, events, [window(0, 4, EVIL)], **fields, **lists)
    armed = evil_window | {"grudge": {EVIL: [EVIL]}, "dropped": {EVIL: {EVIL: 0}}}
    (folder / "faults.json").write_text(json.dumps({"backend": EVIL, "windows": [armed]}))
    (folder / "cluster.json").write_text(json.dumps({"version": EVIL}))
    history = (folder / "history.jsonl").read_text()
    history = (
        history.replace('"n1"', json.dumps(EVIL)).replace('"n5"', json.dumps(EVIL)).replace('"add"', json.dumps("add"))
    )
    (folder / "history.jsonl").write_text(history.replace("Refused: not the primary", "<b>Refused</b>"))
    page = page_of(folder)
    assert "<script" not in page
    shown = Page(page).text
    assert shown.count(EVIL) >= 12, "each value is there, as text"


def test_an_error_that_is_quoted_is_escaped(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [*add(1), *read(None)], [])
    path = folder / "history.jsonl"
    path.write_text(path.read_text().replace("Refused", "<b>Refused</b>"))
    page = page_of(folder)
    assert "<b>" not in page
    assert "&lt;b&gt;Refused&lt;/b&gt;" in page


@pytest.mark.parametrize("events", [[], [*add(1, None)], [*add(1), *read(None)]])
def test_a_run_without_verdict_has_a_report(tmp_path: Path, events: list[Any]) -> None:
    page = Page(page_of(make_folder(tmp_path, events, [window(0, 4, dropped=0)])))
    assert "Unknown No final read" in page.text
    assert "No evidence: cut-1 dropped no packets" in page.text


def test_a_write_that_nobody_read_has_not_survived(tmp_path: Path) -> None:
    late = [*add(1), (9, "invoke", "read", None), *add(2), (9, "ok", "read", [1])]
    page = page_of(make_folder(tmp_path, late, []))
    assert "1 survived 0 lost 1 unread: acknowledged too late for the final read" in Page(page).text
    assert len(re.findall(rf"<use [^>]*fill: {UNREAD}", page)) == 1
    assert "1 unread</text>" in page
    assert "of 2</text>" in page


def test_counters_that_were_not_read_are_not_nought(tmp_path: Path) -> None:
    text = Page(page_of(make_folder(tmp_path, [*add(1), *read([1])], [window(0, 2, dropped=None)]))).text
    assert "n1 n2 \N{EN DASH} not read" in text


def test_registers_have_a_report_without_writes(tmp_path: Path) -> None:
    events = [(0, "invoke", "write", 1), (0, "ok", "write", 1)]
    page = page_of(make_folder(tmp_path, events, [], checkers=["linearizable-register"]))  # type: ignore[arg-type]
    assert page.count("<figure>") == 2
    assert "nothing was tested" in page.lower()


def test_without_a_verdict_it_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"results\.json: cannot be read \(No such file or directory\); judge the run first"
    ):
        write_report(make_run(tmp_path / "run"))


def test_a_hundred_thousand_operations_stay_below_two_megabytes(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", rate=1700.0)
    assert len(page_of(folder).encode()) < 2_000_000


def test_a_contradiction_is_drawn_and_told(tmp_path: Path) -> None:
    events = [(0, "invoke", "write", 1), (0, "ok", "write", 1), (1, "invoke", "read", None), (1, "ok", "read", 2)]
    page = page_of(make_folder(tmp_path, events, [], checkers=["linearizable-register"]))  # type: ignore[arg-type]
    assert "The contradiction" in page
    assert "can&#39;t read 2 from register 1" in page
    assert page.count("<figure>") == 3
