"""Small roots as a run really writes them, made in this process: documents in, a `Root` out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from tiny_workspace import ARTICLES, new_root, run_tiny, write_source
from unguarded import unguard

from phloem.catalog.columns import LICENSE, NATIVE_ID
from phloem.catalog.manifest import Dataset, Shard, read_parquet
from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.review.locking import lock
from phloem.pipeline.stages.ingest import document_id
from phloem.pipeline.workspace import load_workspace
from phloem.sources.connectors import files

Json = Any

FRAIL = '''
"""Ops of a workspace, with a weakness each."""

import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import TEXT, Column
from phloem.filters.op import Measured, op

SIZE = Column("frail_size", pa.int64(), "Characters of the text.")


def _broken(batch, word):
    texts = batch[TEXT.name].to_pylist()
    return [row for row, text in enumerate(texts) if text and word in text]


@op(reads=[TEXT], writes=[SIZE], examples=[("a", 1)])
def frail(batch):
    """Count characters, unless the text tells of a quarantine."""
    sizes = pc.utf8_length(batch[TEXT.name]).cast(pa.int64())
    faults = dict.fromkeys(_broken(batch, "quarantine"), "text longer than the op can hold")
    return Measured([sizes], faults)


@op(reads=[TEXT], writes=[TEXT], examples=[("a", "a")])
def frail_rewrite(batch):
    """Leave a text as it is, unless it tells of a wreck, which is lost."""
    faults = dict.fromkeys(_broken(batch, "wreck"), "too long")
    texts = batch[TEXT.name].to_pylist()
    kept = [None if row in faults else text for row, text in enumerate(texts)]
    return Measured([pa.array(kept, TEXT.type)], faults)
'''


@dataclass(frozen=True)
class Document:
    """A document as a source holds it.

    Attributes:
        id: The source's own name for it.
        text: Its text.
        title: Its title.
        lang: The language that its source declares for it.
        license: The licence that its source states for it.
    """

    id: str
    text: str
    title: str | None = None
    lang: str | None = None
    license: str | None = None


@dataclass(frozen=True)
class Root:
    """A root and its one run.

    Attributes:
        store: Where it lies.
        run_id: Of the run.
        record: Of the run.
        ids: Id of each document, by source and the source's own name.
    """

    store: Store
    run_id: str
    record: Json
    ids: Mapping[tuple[str, str], str]

    def shards(self, stage: str) -> tuple[Shard, ...]:
        """What a stage made."""
        return Dataset.load(self.store, self.record["datasets"][stage]).shards

    def ledger(self, *columns: str) -> list[Json]:
        """Rows of the ledger, in the order of its shards."""
        tables = [
            read_parquet(self.store, shard.path("ledger.parquet")).select(columns)
            for shard in self.shards("decide")
        ]
        return [tuple(row.values()) for table in tables for row in table.to_pylist()]

    def copy(self, folder: Path | str) -> Root:
        """The same under another path or URL, free to change."""
        source, target = Path(self.store.root), Store(folder)
        if isinstance(folder, Path):
            shutil.copytree(source, folder)
        else:
            for path in (path for path in source.rglob("*") if path.is_file()):
                target.write_bytes(str(path.relative_to(source)), path.read_bytes())
        return Root(target, self.run_id, self.record, self.ids)


def make_root(
    folder: Path,
    recipe: str,
    cards: Mapping[str, Json],
    documents: Mapping[str, Sequence[Document]],
    broken: Mapping[str, str],
    *,
    released: bool = False,
) -> Root:
    """Run a recipe over documents.

    Args:
        folder: For the workspace and, below `root`, for the root.
        recipe: YAML; named `tiny`.
        cards: What each source's card says beside what all say.
        documents: Of each source.
        broken: Of some sources, a line that can not be read.
        released: Whether its release is made too.
    """
    workspace = folder / "workspace"
    for name in ("recipes", "cards"):
        (workspace / name).mkdir(parents=True)
    (workspace / "recipes" / "tiny.yaml").write_text(recipe, encoding="utf-8")
    (workspace / "frail_ops.py").write_text(FRAIL, encoding="utf-8")
    (workspace / "phloem.toml").write_text(
        'recipes = ["recipes"]\nsources = ["cards"]\nops = ["frail_ops"]\n', encoding="utf-8"
    )
    root, licenses = new_root(folder / "root"), {}
    for source, held in documents.items():
        rows = [asdict(document) for document in held]
        write_source(workspace, source, rows, broken.get(source, ""), cards.get(source, {}))
        licenses |= {each.id: each.license for each in held if each.license}
    list(lock(load_workspace(workspace), list(documents)))
    with pytest.MonkeyPatch.context() as patch:
        if not released:
            patch.setattr(running, "_release", lambda *_: None)
        patch.setattr(files, "read", _licensing(files.read, licenses))
        unguard(patch)  # another process would read without it
        record = run_tiny(workspace, root)
    ids = {(s, each.id): document_id(s, each.id) for s, held in documents.items() for each in held}
    return Root(Store(root), record["run_id"], record, ids)


def _licensing(read: Callable[..., Iterator[Any]], licenses: Mapping[Any, str]) -> Any:
    """A connector that says the licence of a document, as those of several providers do."""

    def reading(*given: Any) -> Iterator[Any]:
        for found in read(*given):
            if not isinstance(found, pa.RecordBatch):
                yield found
                continue
            told = [licenses.get(name) for name in found[NATIVE_ID.name].to_pylist()]
            place = found.schema.get_field_index(LICENSE.name)
            yield found.set_column(place, LICENSE.field, pa.array(told, LICENSE.type))

    return reading


# Fables and a manual ------------------------------------------------------------------------------
EMAIL = "ana@biblioteca.pt"
FABLES = (
    Document(
        "1",
        "The fox saw ripe grapes hanging high on the vine and wanted them, but however often it"
        " leapt, it could not reach a single one of them.",
        "Fox and grapes",
    ),
    Document("2", "Too short.", "Stub"),
    Document("3", "A document that an op could not work on, so it waits in quarantine.", "Broken"),
    Document(
        "4", "رأى الثعلب عناقيد العنب الناضجة معلقة عاليا على الكرمة فاشتهاها.", "الثعلب والعنب"
    ),
    Document("5", "หมาจิ้งจอกเห็นพวงองุ่นสุกห้อยอยู่สูงบนเถาจึงอยากกิน", "หมาจิ้งจอกกับองุ่น"),
    Document("6", ""),
)
MANUAL = (
    Document(
        "intro",
        f"Write to {EMAIL} if a page of this manual is wrong or hard to read.",
        "Contact",
    ),
    Document(
        "fox",
        "The fox saw ripe grapes hanging high on the vine and wanted them, but however often it"
        " leapt, it could not reach a single one of those.",
        "A fable",
    ),
    Document("hi", "लोमड़ी ने बेल पर ऊँचे लटके पके अंगूर देखे और उन्हें खाना चाहा।", "लोमड़ी और अंगूर"),
    Document("mix", "lorem ipsum 混ぜ 😀 kaputt banana", "Mixed"),
    Document(
        "zh",
        "狐狸看见熟透的葡萄高高挂在藤上，想要吃到它们。这是一个古老的寓言故事，告诉我们得不到的东西往往被说成不好。",
        "狐狸与葡萄",
    ),
    Document(
        "nc",
        "A page of the manual whose own licence forbids any commercial use.",
        "Not free",
        license="CC-BY-NC-4.0",
    ),
)
SMOKE = """\
name: tiny
summary: Two small sources.
policy: quickstart
sources: [fables, manual]
ops: [nfc, language, statistics, minhash, pii, frail]
keep:
  - {name: too_short, column: word_count, min: {default: 5, th: 1, zh: 1}}
  - {name: language_unsure, column: language_score, min: 0.6}
dedup: {bands: 14, rows: 8, jaccard: 0.7}
scrub: {email: "<EMAIL>", ip: "<IP>", phone: "<PHONE>"}
tokenizer: {train: {vocab_size: 512}}
mix: {fables: 2, manual: 1}
"""
CARDS: Mapping[str, Json] = {
    "fables": {
        "name": "Fables",
        "languages": ["en", "ar", "th"],
        "license": {"spdx": "CC0-1.0", "attribution": "Fables of Aesop"},
    },
    "manual": {
        "name": "The manual",
        "languages": ["en", "hi", "zh"],
        "license": {
            "spdx": "GPL-3.0-or-later OR CC-BY-SA-4.0",
            "attribution": "The manual's authors",
        },
    },
}


def fables(folder: Path, *, filler: int = 0) -> Root:
    """The root of most tests of the catalog.

    Args:
        folder: To make it in.
        filler: Further documents of the source `fables` that are kept.
    """
    words = ARTICLES["en"].split()
    shuffled = (Random(n).sample(words, len(words)) for n in range(filler))  # noqa: S311 - no secret
    more = [Document(f"x{n}", " ".join(text)) for n, text in enumerate(shuffled)]
    documents = {"fables": [*FABLES, *more], "manual": MANUAL}
    return make_root(folder, SMOKE, CARDS, documents, {"manual": "{not json"})
