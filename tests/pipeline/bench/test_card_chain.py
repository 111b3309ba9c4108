"""What a card asks for itself: rewrites before the recipe's ops, rules beside the recipe's."""

from typing import Any

import pytest
from inline_engine import finish, job_of
from tiny_workspace import ARTICLES, Documents, add_source, change_recipe, make_workspace, new_root

from phloem.catalog.manifest import read_arrow, read_parquet
from phloem.catalog.store import Store
from phloem.pipeline.job import Job, Made
from phloem.pipeline.review.locking import lock
from phloem.pipeline.stages.measure import chain
from phloem.pipeline.workspace import load_workspace

OWN = """\
clean:
  - {strip_substrings: {substrings: ["[citation needed]"]}}
  - drop_lines
  - {cut_references: {language: en}}
keep:
  - {name: too_small, column: text_bytes, min: {default: 100, zh: 30}}
"""
SCRIPT = "window.ads = window.ads || {};"
WORK = "Shannon, C. E. (1948). A mathematical theory of communication. Bell System Journal 27."

DOCUMENTS: Documents = [
    {
        "id": "dirty",
        "text": f"{ARTICLES['en']}[citation needed]\r\n{SCRIPT}\u2028That is all.\r\n\r\n{WORK}",
        "lang": "en",
    },
    {"id": "small", "text": f"It is not as long as it was before.\n{SCRIPT * 9}", "lang": "en"},
    {"id": "script", "text": f"{SCRIPT}\n{SCRIPT}", "lang": "en"},
    {"id": "han", "text": ARTICLES["zh"], "lang": "zh"},
    {"id": "thai", "text": f"{ARTICLES['th']}\n{WORK}", "lang": "th"},
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Store, Made]:
    """A finished job: the same documents from a card with a chain of its own and one without."""
    top = tmp_path_factory.mktemp("chain")
    folder = make_workspace(top / "workspace")
    for name in ("first", "second"):
        add_source(folder, name, DOCUMENTS)
    card = folder / "cards" / "first.yaml"
    card.write_text(card.read_text(encoding="utf-8") + OWN, encoding="utf-8")
    list(lock(load_workspace(folder), ["first"]))
    change_recipe(folder, "dedup: {bands: 14, rows: 8, jaccard: 0.7}\n", "")
    root = new_root(top / "root")
    job, store, made = job_of(folder, root), Store(str(root)), {}
    finish(job, store, made)
    return job, store, made


def _ledger(store: Store, made: Made, source: str) -> dict[str, dict[str, Any]]:
    """The ledger rows of a source by native id, with the cleaned text."""
    (ingested,) = [shard for shard in made["ingest"] if shard.facts["source"] == source]
    (file,) = [file for file in ingested.files if file.name.startswith("text-")]
    ids = read_arrow(store, ingested.path(file.name)).read_all()["native_id"].to_pylist()
    texts, rows = (
        next(shard for shard in made[stage] if shard.facts["source"] == source)
        for stage in ("clean", "decide")
    )
    cleaned = read_arrow(store, texts.path("text.arrow")).read_all()["text"].to_pylist()
    ledger = read_parquet(store, rows.path("ledger.parquet")).to_pylist()
    return {id_: {**row, "text": text} for id_, row, text in zip(ids, ledger, cleaned, strict=True)}


def test_rewrites_of_a_card_come_before_the_ops_of_the_recipe(
    done: tuple[Job, Store, Made],
) -> None:
    job, _, _ = done
    first, second = (
        [op.name for op in chain(job.cards[source], job.ops, ())] for source in ("first", "second")
    )
    assert second == ["nfc", "whitespace", "language", "statistics", "minhash", "pii"]
    assert first == ["strip_substrings", "drop_lines", "cut_references", *second]


def test_rewrites_of_a_card_change_its_texts_and_no_others(
    done: tuple[Job, Store, Made],
) -> None:
    _, store, made = done
    own, plain = (_ledger(store, made, source) for source in ("first", "second"))
    assert own["dirty"]["text"] == f"{ARTICLES['en']}\nThat is all."
    assert plain["dirty"]["text"] == (
        f"{ARTICLES['en']}[citation needed]\n{SCRIPT}\nThat is all.\n\n{WORK}"
    )
    assert own["script"]["text"] == ""
    assert own["thai"]["text"] == plain["thai"]["text"]  # no list of words for Thai
    assert own["han"]["text_hash"] == plain["han"]["text_hash"]
    assert own["dirty"]["text_hash"] != plain["dirty"]["text_hash"]


def test_rules_of_a_card_drop_by_what_its_rewrites_left(done: tuple[Job, Store, Made]) -> None:
    _, store, made = done
    own, plain = (_ledger(store, made, source) for source in ("first", "second"))
    assert {id_: row["verdict"] for id_, row in own.items()} == {
        "dirty": "kept", "small": "dropped", "script": "dropped", "han": "kept", "thai": "kept",
    }  # fmt: skip
    small = own["small"]
    assert (small["reason"], small["measured"]) == ("too_small", "text_bytes")
    assert (small["value"], small["threshold"]) == (len(small["text"].encode()), 100.0)
    assert own["script"]["failed_rules"] & 0b101 == 0b101  # too_short and too_small
    assert own["script"]["reason"] == "too_short"
    assert plain["small"]["verdict"] == "kept"
    assert "too_small" not in {row["reason"] for row in plain.values()}
