"""The page as a whole: safe with hostile text, whole with little data, alone on the network."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from outside import require

from phloem.catalog.manifest import read_parquet, write_parquet
from phloem.reports.page import LONG_TABLE, SHOWN_ROWS, language_attribute
from phloem.reports.run import shards_of
from phloem.reports.run_report import collect, render, write_report
from phloem.reports.sections import sections

BUNDLED = Path(__file__).parents[2] / "sources" / "bundled"
VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}
LOADING = {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "source", "base"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Page(HTMLParser):
    """What a page holds, and whether its tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


Make = Callable[..., str]


@pytest.fixture
def page(build: Any) -> Make:
    def make(*documents: Any, **record: Any) -> str:
        root = build(*documents, **record)
        return render(root.run, collect(root.connection, root.store, root.run))

    return make


def well_formed(text: str) -> Page:
    parsed = Page(text)
    assert (parsed.faults, parsed.open) == ([], [])
    assert len(parsed.ids) == len(set(parsed.ids))
    return parsed


def test_page_known_run_is_well_formed_and_has_every_section(page: Make) -> None:
    parsed = well_formed(page())
    assert {section.name for section in sections()} <= set(parsed.ids)
    links = {own["href"] for tag, own in parsed.tags if tag == "a" and own["href"].startswith("#")}
    assert {link[1:] for link in links} <= set(parsed.ids)


def test_page_hostile_text_is_shown_and_never_markup(page: Make, known: Any) -> None:
    parsed = well_formed(page({"a": [known.Document("1", known.HOSTILE)]}))
    assert not [tag for tag, _ in parsed.tags if tag in LOADING]
    assert not [name for _, own in parsed.tags for name in own if name.startswith("on")]
    assert '<script>alert("x")</script> "><img src=x onerror=alert(1)> {{ 7 * 7 }}' in parsed.text
    assert "␀ [U+202E]evil[U+202C]" in parsed.text


def test_page_hostile_names_of_a_source_and_a_rule_are_escaped(build: Any) -> None:
    """As of a root that somebody else wrote: a card's id and a rule's name are no such thing."""
    bad = '"><script>x</script>\x00\u202e'
    root = build(error=bad, status=bad, release=None, runner=bad, skipped={bad: bad})
    for shard in shards_of(root.store, root.run, "decide"):
        table = read_parquet(root.store, shard.path("ledger.parquet"))
        for column in ("source", "language", "reason", "license", "detail"):
            place = table.schema.get_field_index(column)
            table = table.set_column(place, column, pa.array([bad] * len(table)))
        write_parquet(root.store, shard.folder, "ledger.parquet", table)
    text = render(root.run, collect(root.connection, root.store, root.run))
    parsed = well_formed(text)
    assert "<script" not in text
    assert not {"\x00", "\u202e"} & set(text)
    assert bad[:12] in parsed.text


def test_page_loads_nothing_and_says_so_to_the_browser(page: Make) -> None:
    text = page()
    parsed = well_formed(text)
    assert not [own for _, own in parsed.tags if "src" in own or "srcset" in own or "style" in own]
    assert not re.search(r"url\(|@import", text)
    outward = [own for tag, own in parsed.tags if (own.get("href") or "#")[0] != "#"]
    assert outward
    assert all("noopener" in (own["rel"] or "") for own in outward)
    assert all(re.match("https?://", own["href"] or "") for own in outward)
    (policy,) = (own["content"] for _, own in parsed.tags if own.get("http-equiv"))
    assert (policy or "").startswith("default-src 'none'; style-src 'sha256-")


def test_page_personal_data_is_nowhere(page: Make) -> None:
    text = page()
    assert "[email]" in text
    assert "ana.b@" not in text
    assert "bob@" not in text


def test_page_excerpts_keep_their_direction_and_language(page: Make) -> None:
    quotes = [own for tag, own in well_formed(page()).tags if tag == "blockquote"]
    assert quotes
    assert {own["dir"] for own in quotes} == {"auto"}
    assert any(own.get("lang") for own in quotes)


@pytest.mark.parametrize("tag", [None, "", "und", '"><b>', "x y", "e"])
def test_language_attribute_no_tag_gives_none(tag: str | None) -> None:
    assert language_attribute(tag) == ""


def test_language_attribute_tag_with_script_is_kept() -> None:
    assert language_attribute("zh-Hant") == ' lang="zh-Hant"'


def test_page_without_documents_renders(page: Make) -> None:
    parsed = well_formed(page(datasets={}, balance={}))
    assert "read no documents" in parsed.text
    assert "nan" not in parsed.text.lower().split()


def test_page_of_one_source_renders(page: Make, known: Any) -> None:
    assert "100.0 %" in well_formed(page({"a": [known.Document("1", known.HARBOUR)]})).text


@pytest.mark.parametrize("stage", ["ingest", "clean", "measure", "decide", "compose", "tokenize"])
def test_page_without_one_stage_renders(page: Make, stage: str) -> None:
    well_formed(page(without=stage))


def test_page_of_a_run_that_failed_at_once_renders(page: Make) -> None:
    text = page(
        status="failed", error="no network", stages=[], datasets={}, balance={}, sources={},
        release=None, rules=[], finished=None, recipe={"name": "r", "digest": "", "spec": {}},
    )  # fmt: skip
    assert "no network" in well_formed(text).text


def test_page_long_table_is_folded(build: Any, known: Any) -> None:
    with gzip.open(BUNDLED / "udhr.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    root = build({"a": [known.Document(row["id"], row["text"][200:700]) for row in rows]})
    text = render(root.run, collect(root.connection, root.store, root.run))
    parsed = well_formed(text)
    found = root.connection.execute("select distinct language from decisions").fetchall()
    tags = [tag for (tag,) in found]
    assert len(tags) > LONG_TABLE
    assert f"{len(tags) - SHOWN_ROWS} further rows" in parsed.text
    assert len(text.encode()) < 1_000_000


def test_page_same_run_gives_the_same_bytes(root: Any) -> None:
    pages = {render(root.run, collect(root.connection, root.store, root.run)) for _ in range(2)}
    assert len(pages) == 1


def test_write_report_is_found_under_the_root(root: Any) -> None:
    name = write_report(root.store, root.run.run_id)
    assert name == f"reports/{root.run.run_id}/index.html"
    well_formed(root.store.read_bytes(name).decode())


@pytest.mark.needs(*BROWSERS)
def test_page_in_a_browser_writes_nothing_to_the_console(page: Make, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page(), encoding="utf-8")
    dom, log = browse(file, tmp_path)
    assert "CONSOLE" not in log
    assert "Documents to read" in dom


@pytest.mark.needs(*BROWSERS)
def test_browser_check_itself_sees_a_blocked_script(page: Make, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page().replace("</body>", "<script>1</script></body>"), encoding="utf-8")
    assert "CONSOLE" in browse(file, tmp_path)[1]


def browse(file: Path, folder: Path) -> tuple[str, str]:
    """The page's DOM as a browser sees it, and what the browser logs, its console included."""
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]
    done = subprocess.run(
        [require(*BROWSERS), *flags, f"--user-data-dir={folder / 'profile'}", file.as_uri()],
        capture_output=True,
        timeout=60,
        check=True,
        text=True,
    )
    return done.stdout, done.stderr
