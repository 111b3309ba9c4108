"""Roots with known numbers: what a run really leaves, and what becomes of its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import duckdb
import pytest
import real_root
from real_root import Document, make_root

from phloem.catalog.manifest import canonical
from phloem.catalog.runs import load_run
from phloem.catalog.store import Store
from phloem.catalog.views import connect
from phloem.reports.run import Run, run_of

Json = Any
NONE: Mapping[str, Json] = MappingProxyType({})

RECIPE = """\
name: tiny
summary: A test of everything.
policy: quickstart
sources: [SOURCES]
ops: [frail_rewrite, nfc, language, statistics, minhash, pii]
keep:
  - {name: too_short, column: word_count, min: {default: 5, th: 2}}
  - {name: too_symbolic, column: hash_word_ratio, max: 0.25}
  - {name: unsure, column: language_score, min: 0.6}
dedup: {bands: 28, rows: 4, jaccard: 0.7}
scrub: {email: "<EMAIL>", ip: "<IP>", phone: "<PHONE>"}
tokenizer: {train: {vocab_size: 512}}
"""
HOSTILE = (
    '<script>alert("x")</script> "><img src=x onerror=alert(1)> {{ 7 * 7 }} \x00 \u202eevil\u202c'
    " </blockquote></section> &amp; ' end, of a document that was kept."
)
HARBOUR = (
    "The harbour master writes every ship into the book, with the hour at which it came, the"
    " flag that it flew, the cargo that it bore and the port from which it sailed."
)
NEAR = HARBOUR.replace("The harbour", "The haven").replace("sailed", "departed")
DOCUMENTS = {
    "books": (
        Document("harbour", HARBOUR),
        Document("hostile", HOSTILE),
        Document("stub", "Too short."),
        Document("noise", "#### noise"),
        Document("fault", "An op failed here, at the wreck."),
    ),
    "letters": (
        Document("mail", "Please write to ana.b@correio.pt before the month of May ends."),
        Document("copy", NEAR),
        Document("same", HARBOUR),
        Document("ar", "كتب رئيس الميناء اسم كل سفينة في الدفتر مع ساعة وصولها."),
        Document("hi", "बंदरगाह का प्रमुख हर जहाज़ को पुस्तक में लिखता है।"),
        Document("th", "นายท่าเรือเขียนชื่อเรือทุกลำลงในสมุด"),
        Document("zh", "港务长把每艘船都写进簿子里。", lang="ja"),
        Document("unsure", "lorem ipsum 混ぜ 😀 bob@correio.pt kaputt banana"),
        Document("nc", "No trade is allowed in it.", license="CC-BY-NC-4.0"),
    ),
}
CARDS: Mapping[str, Json] = {
    "books": {"name": "The books <b>"},
    "letters": {"name": "The letters <b>"},
}
BROKEN = {"letters": "{not json"}


@dataclass(frozen=True)
class Root:
    """A root, its run, and a connection with the views that the sections read."""

    store: Store
    run: Run
    connection: duckdb.DuckDBPyConnection
    ids: Mapping[tuple[str, str], str]


Build = Callable[..., Root]


def opened(root: real_root.Root, **changes: Any) -> Root:
    """A root as the sections are given it, with what its run's record says otherwise."""
    root.store.write_bytes(f"runs/{root.run_id}.json", canonical({**root.record, **changes}))
    run = run_of(load_run(root.store, root.run_id), root.store.root)
    return Root(root.store, run, connect(root.store, root.run_id), root.ids)


def made(
    folder: Path,
    documents: Mapping[str, Sequence[Document]],
    cards: Mapping[str, Json] = NONE,
    recipe: str = RECIPE,
) -> real_root.Root:
    """The root of a run over some documents."""
    recipe = recipe.replace("SOURCES", ", ".join(documents))
    return make_root(folder, recipe, cards, documents, {}, released=True)


@pytest.fixture(scope="session")
def known_root(tmp_path_factory: pytest.TempPathFactory) -> real_root.Root:
    """The root of `DOCUMENTS`."""
    folder = tmp_path_factory.mktemp("reports")
    recipe = RECIPE.replace("SOURCES", ", ".join(DOCUMENTS))
    return make_root(folder, recipe, CARDS, DOCUMENTS, BROKEN, released=True)


@pytest.fixture(scope="session")
def root(known_root: real_root.Root) -> Root:
    """The root of `DOCUMENTS`, which tests only read."""
    return opened(known_root)


@pytest.fixture
def build(known_root: real_root.Root, tmp_path: Path) -> Build:
    """A root for the test alone, of `DOCUMENTS` or others, whose run's record says otherwise."""

    def make(
        documents: Mapping[str, Sequence[Document]] | None = None,
        cards: Mapping[str, Json] = NONE,
        asked: str = RECIPE,
        *,
        without: str = "",
        **changes: Any,
    ) -> Root:
        folder = tmp_path / "root"
        root = made(folder, documents, cards, asked) if documents else known_root.copy(folder)
        datasets = {name: path for name, path in root.record["datasets"].items() if name != without}
        return opened(root, **{"datasets": datasets, **changes})

    return make


@pytest.fixture(scope="session")
def known() -> Any:
    """This module's documents and makers of roots, for tests that want others."""
    return SimpleNamespace(
        Document=Document,
        DOCUMENTS=DOCUMENTS,
        RECIPE=RECIPE,
        HARBOUR=HARBOUR,
        HOSTILE=HOSTILE,
        made=made,
        opened=opened,
    )
