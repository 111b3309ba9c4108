"""A sample of a source: what is drawn, how it is measured, and what is told of it."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from inline_engine import inline
from tiny_workspace import ADDRESS, ARTICLES, make_workspace, new_root
from typer.testing import CliRunner
from unguarded import unguard

from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.cli.app import app
from phloem.pipeline.registry.registry import Registry, load_registry
from phloem.pipeline.review.draw import Drawn, quotas
from phloem.pipeline.review.locking import lock
from phloem.pipeline.review.sample import measured_text, sample
from phloem.pipeline.review.samples import available
from phloem.pipeline.stages.ingest import document_id
from phloem.pipeline.workspace import Workspace, load_workspace
from phloem.reports.source_sample import COUNTED_HERE, SourceSample, markdown, page, row
from phloem.sources.cards.lock import Text, read_lock
from phloem.sources.connector import Fault

HOSTILE = '<script>alert("x")</script> @everyone ``` \u202eevil {{ 7 * 7 }} http://evil.example'

CARD = """\
id: liar
name: A help that is not in Hindi
summary: It says that it is in Hindi, and most of it is not. It is here to be found out.
homepage: https://example.org/liar
kind: software_docs
languages: [hi]
license: {spdx: LICENSE}
access: {connector: files, params: {path: PATH, id_column: id}}
custodian: nobody
personal_data: {level: none}
status: active
evidence: none
limits: It is a liar.
"""


NOUNS = "harbour garden library mountain railway kitchen museum river school market".split()
VERBS = "opened watched painted measured carried followed described repaired forgot sold".split()
PEOPLE = "teacher sailor farmer doctor painter child widow soldier baker judge".split()


def english(number: int) -> str:
    """A text of its own that is safely English."""
    chosen = random.Random(number)  # noqa: S311 - no secret: the same text for the same number
    return " ".join(
        f"Before the {chosen.choice(NOUNS)} was there, the {chosen.choice(PEOPLE)} of our town"
        f" {chosen.choice(VERBS)} the {chosen.choice(NOUNS)} with the {chosen.choice(PEOPLE)}, and"
        f" nobody {chosen.choice(VERBS)} what the {chosen.choice(PEOPLE)} {chosen.choice(VERBS)}."
        for _ in range(4)
    )


@pytest.fixture
def liar(tmp_path: Path) -> tuple[Workspace, Registry]:
    """A workspace with one more source, which declares Hindi and holds English."""
    return make_liar(tmp_path, "CC0-1.0")


def make_liar(tmp_path: Path, licence: str) -> tuple[Workspace, Registry]:
    folder = make_workspace(tmp_path / "workspace")
    rows = [{"id": f"en-{n}", "text": english(n)} for n in range(46)]
    rows += [{"id": "en-copy", "text": english(0)}]
    rows += [{"id": "hi", "text": ARTICLES["hi"]}, {"id": "hi-too", "text": ARTICLES["hi"][:120]}]
    rows += [{"id": f"mail-{ADDRESS}", "text": f"{english(99)} Write to {ADDRESS}. {HOSTILE}"}]
    data = folder / "liar.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in rows) + "{broken\n", "utf-8")
    card = CARD.replace("PATH", json.dumps(str(data))).replace("LICENSE", licence)
    (folder / "cards" / "liar.yaml").write_text(card, encoding="utf-8")
    workspace = load_workspace(folder)
    list(lock(workspace, ["liar"]))
    return workspace, load_registry(workspace)


def taken(workspace: Workspace, registry: Registry, root: Path, **more: Any) -> SourceSample:
    store = Store(str(new_root(root)))
    return sample(store, registry, workspace, registry.cards["liar"], told=lambda _: None, **more)


# Drawing ------------------------------------------------------------------------------------------
def batch(*names: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"native_id": list(names), "content": [b"x"] * len(names)})


def test_drawn_documents_are_those_of_the_smallest_ids_however_they_come():
    names = [f"page-{number}" for number in range(100)]
    whole, pieces = Drawn("s", 7), Drawn("s", 7)
    whole.add(batch(*names))
    for name in reversed(names):
        pieces.add(batch(name))
    expected = sorted(names, key=lambda name: document_id("s", name))[:7]
    for drawn in (whole, pieces):
        assert drawn.read == 100
        assert [row["native_id"][0].as_py() for row in drawn.first(7)] == expected


@pytest.mark.parametrize(
    ("available", "total", "expected"),
    [
        ([100, 100], 10, [5, 5]),
        ([1, 100, 2], 30, [1, 27, 2]),
        ([1, 1], 10, [1, 1]),
        ([0, 5], 3, [0, 3]),
        ([], 3, []),
    ],
)
def test_quotas_are_as_equal_as_what_is_there(available, total, expected):
    assert quotas(available, total) == expected


# What is told -------------------------------------------------------------------------------------
def test_sample_of_a_liar_marks_both_languages(liar, tmp_path):
    found = taken(*liar, tmp_path / "root")
    assert (found.read, found.documents, found.splits) == (50, 50, (1, 1))
    assert found.declared == ("hi",)
    assert found.mismatches == (
        "hi: found in 4% of the 50 documents declared so",
        "en: not declared, but 96% of the documents are in it",
    )
    assert found.shares["en"] > 0.9
    assert sum(found.shares.values()) == pytest.approx(1, abs=0.01)
    assert found.faults == {"not JSON": 1}
    assert found.duplicates == 1
    assert found.personal["email"][0] == 1
    assert sum(found.verdicts.values()) + found.duplicates == found.documents
    assert found.lengths["least"] <= found.lengths["median"] <= found.lengths["most"]
    assert found.compared_with == "the root holds no finished run"


@pytest.mark.parametrize("of_card", [["und"], ["sw"]])
def test_sample_of_undeclared_languages_contradicts_nobody(tmp_path, of_card):
    """What nobody declares is not called a mismatch, and is marked nowhere."""
    folder = make_workspace(tmp_path / "workspace")
    rows = [{"id": f"{tag}-{n}", "text": f"{text} {n}"} for tag, text in ARTICLES.items()
            for n in range(6)]  # fmt: skip
    declares = of_card != ["und"]
    rows += [{"id": f"und-{n}", "text": english(n), "lang": "und"} for n in range(6)]
    data = folder / "liar.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")
    params = json.dumps(str(data)) + ", language_column: lang"
    card = CARD.replace("PATH", params).replace("LICENSE", "CC0-1.0").replace("[hi]", str(of_card))
    (folder / "cards" / "liar.yaml").write_text(card, encoding="utf-8")
    workspace = load_workspace(folder)
    list(lock(workspace, ["liar"]))
    found = taken(workspace, load_registry(workspace), tmp_path / "root")
    assert bool(found.mismatches) == declares
    assert {each.tag for each in found.languages if each.is_contrary} == (
        {*ARTICLES} if declares else set()
    )
    assert ("not declared" in page([found], {})) == declares
    assert ("Mismatch" in markdown(found)) == declares
    assert "`und`" not in markdown(found)


def test_sample_leaves_only_fetched_files_in_the_root(liar, tmp_path):
    taken(*liar, tmp_path / "root")
    assert {path.name for path in (tmp_path / "root").iterdir()} == {"fetched"}


def test_sample_of_fewer_documents_is_a_part_of_the_larger_one(liar, tmp_path):
    few, same = (taken(*liar, tmp_path / name, documents=10) for name in ("a", "b"))
    assert few == same
    assert (few.read, few.documents) == (50, 10)


def test_sample_of_a_multilingual_source_agrees_with_its_documents(tmp_path):
    folder = make_workspace(tmp_path / "workspace")
    workspace = load_workspace(folder)
    registry = load_registry(workspace)
    store = Store(str(new_root(tmp_path / "root")))
    found = sample(store, registry, workspace, registry.cards["first"], told=lambda _: None)
    assert found.mismatches == ()
    assert {each.tag for each in found.languages} >= {"en", "ar", "hi", "th", "zh"}
    assert all(each.agreeing == each.declared for each in found.languages if each.tag != "en")


def test_sample_of_a_refused_licence_shows_no_text_but_judges_it(tmp_path):
    workspace, registry = make_liar(tmp_path, "CC-BY-NC-4.0")
    found = taken(workspace, registry, tmp_path / "root")
    assert found.withheld == found.documents == 50
    assert [each.text for each in found.excerpts if each.text] == []
    assert found.kept > 0
    assert "license" not in found.verdicts


def test_sample_excerpts_hold_no_personal_data(liar, tmp_path):
    found = taken(*liar, tmp_path / "root")
    assert found.personal["email"][0] == 1
    assert all(ADDRESS not in (each.text or "") for each in found.excerpts)
    assert {each.verdict for each in found.excerpts} >= {"kept"}


def test_sample_excerpts_break_out_of_neither_markdown_nor_html(liar, tmp_path):
    found = taken(*liar, tmp_path / "root", documents=5)
    hostile = replace(found.excerpts[0], text=HOSTILE, name=HOSTILE, language=HOSTILE)
    shown = replace(found, excerpts=(hostile,), version=HOSTILE, declared=(HOSTILE,))
    left = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", markdown(shown))
    left = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", left)
    assert not re.search("script|@everyone|http|evil|[{]", left)
    html = page([shown], {HOSTILE: HOSTILE})
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 5
    assert "default-src 'none'" in html
    assert "script-src" not in html


def test_sample_row_puts_declared_and_measured_side_by_side(liar, tmp_path):
    made = row(taken(*liar, tmp_path / "root"))
    assert made["declared"] == ["hi"]
    assert str(made["measured"][0]).startswith("en 9")
    assert "not declared" in str(made["mismatch"])


def test_sample_counts_in_itself_alone_and_says_so(liar, tmp_path):
    workspace, registry = liar
    footer = "Home | News | About us"
    data = tmp_path / "workspace" / "liar.jsonl"
    rows = [{"id": f"en-{n}", "text": f"{footer}\n{english(n)}"} for n in range(12)]
    data.write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")
    list(lock(workspace, ["liar"]))
    card = registry.cards["liar"].model_copy(update={"clean": ("drop_frequent_lines",)})
    registry = load_registry(workspace)
    registry = replace(registry, cards={**registry.cards, "liar": card})
    whole = taken(workspace, registry, tmp_path / "whole")
    part = taken(workspace, registry, tmp_path / "part", documents=9)
    plain = taken(workspace, load_registry(workspace), tmp_path / "plain")
    assert footer not in " ".join(each.text or "" for each in whole.excerpts)
    assert all(footer in (each.text or "") for each in part.excerpts)
    assert (whole.counted, part.counted, plain.counted) == ("drop_frequent_lines",) * 2 + ("",)
    for shown in (markdown(part), page([part], {})):
        assert COUNTED_HERE in shown
    for shown in (markdown(plain), page([plain], {})):
        assert "counted" not in shown


def test_measured_text_is_of_all_documents_and_none_of_the_open_network(liar, tmp_path):
    workspace, registry = liar
    store = Store(str(new_root(tmp_path / "root")))
    card, pin = registry.cards["liar"], registry.pins["liar"]
    shares, text = measured_text(store, registry, workspace, card, pin)
    assert shares is not None
    assert shares["en"] > 0.9
    whole = sample(store, registry, workspace, card, documents=10**6, told=str)
    assert text == Text(whole.kept_bytes, is_whole=True, repeated=whole.repeated_bytes)
    assert sum(text.bytes.values()) > sum(
        sample(store, registry, workspace, card, documents=20, told=str).kept_bytes.values()
    )
    access = card.access.model_copy(update={"params": {"path": "https://example.org/a.txt"}})
    far = card.model_copy(update={"access": access})
    assert measured_text(store, registry, workspace, far, pin) == (None, None)


def test_sample_of_a_source_without_documents_says_so(tmp_path):
    workspace, _ = make_liar(tmp_path, "CC0-1.0")
    (tmp_path / "workspace" / "liar.jsonl").write_text("{broken\n", encoding="utf-8")
    list(lock(workspace, ["liar"]))
    found = taken(workspace, load_registry(workspace), tmp_path / "root")
    assert (found.documents, found.faults) == (0, {"not JSON": 1})
    assert "0 documents" in markdown(found)
    assert page([found], {})


def test_available_leaves_out_what_lies_on_the_open_network(liar):
    _, registry = liar
    card = registry.cards["liar"]
    far = card.access.model_copy(update={"params": {"path": "https://example.org/a.txt"}})
    cards = {
        "near": card.model_copy(update={"id": "near"}),
        "far": card.model_copy(update={"id": "far", "access": far}),
        "asleep": card.model_copy(update={"id": "asleep", "status": "paused"}),
    }
    assert [each.id for each in available(replace(registry, cards=cards))] == ["near"]


# Against what the root holds ----------------------------------------------------------------------
@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Store]:
    """A workspace and a root with a finished run of its two sources."""
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(running, "open_pool", inline)
    result = CliRunner().invoke(app, ["run", "tiny", "--root", str(root), "--workers", "1"])
    assert result.exit_code == 0, result.output
    return load_workspace(folder), Store(str(root))


def test_sample_tells_what_another_source_of_the_newest_run_has(ran):
    workspace, store = ran
    registry = load_registry(workspace)
    card = registry.cards["second"]
    found = sample(store, registry, workspace, card, told=lambda _: None)
    assert found.compared_with.startswith("run ")
    assert found.elsewhere == {"first": 2}  # one is the same, one nearly so
    assert "`first` 2" in markdown(found)


# The command --------------------------------------------------------------------------------------
def phloem(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["sources", "sample", *arguments])


def test_command_goes_on_after_a_card_that_fails_and_exits_1(liar, tmp_path, monkeypatch):
    workspace, _ = liar
    monkeypatch.chdir(workspace.folder)
    (Path(workspace.folder) / "liar.jsonl").unlink()
    out = tmp_path / "page.html"
    root = str(new_root(tmp_path / "root"))
    result = phloem("first", "liar", "second", "--root", root, "--json", "--out", str(out))
    assert result.exit_code == 1, result.output
    made = json.loads(result.stdout)
    assert [each["source"] for each in made["samples"]] == ["first", "second"]
    assert list(made["failed"]) == ["liar"]
    assert "liar" in out.read_text(encoding="utf-8")


def test_command_survives_a_connector_that_breaks(liar, tmp_path, monkeypatch):
    from phloem.sources.connectors import files

    def broken(*_: object) -> Iterator[Fault]:
        raise KeyError("a bug")

    workspace, _ = liar
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setattr(files, "read", broken)
    unguard(monkeypatch)
    result = phloem("first", "--root", str(new_root(tmp_path / "root")), "--json")
    assert result.exit_code == 1
    assert "KeyError" in json.loads(result.stdout)["failed"]["first"]


@pytest.mark.parametrize("arguments", [[], ["first", "--all-available"]])
def test_command_wants_cards_or_all_of_them(liar, monkeypatch, arguments):
    monkeypatch.chdir(liar[0].folder)
    result = phloem(*arguments)
    assert result.exit_code == 2
    assert "one of the two" in result.stderr


def test_command_for_a_person_prints_the_markdown(liar, tmp_path, monkeypatch):
    monkeypatch.chdir(liar[0].folder)
    result = phloem("liar", "--root", str(new_root(tmp_path / "root")))
    assert result.exit_code == 0, result.output
    assert "# Sample of `liar`" in result.stdout
    assert "**Mismatch:** `hi`: found in 4%" in result.stdout


def test_lock_writes_measured_text_and_keeps_it_with_the_bytes(liar, tmp_path):
    workspace, _ = liar
    store = Store(str(new_root(tmp_path / "root")))
    place = Path(workspace.folder) / "cards" / "sources.lock"
    assert read_lock(place)["liar"].languages is None
    list(lock(workspace, ["liar"], store))
    measured = read_lock(place)["liar"]
    assert measured.languages is not None
    assert measured.languages["en"] > 0.9
    assert measured.text is not None
    assert measured.text.bytes["en"] > 0
    list(lock(workspace, ["liar"]))  # the same bytes
    assert read_lock(place)["liar"] == measured
    (Path(workspace.folder) / "liar.jsonl").write_text('{"id": "a", "text": "x"}\n', "utf-8")
    list(lock(workspace, ["liar"]))
    assert read_lock(place)["liar"].languages is None
    assert read_lock(place)["liar"].text is None
