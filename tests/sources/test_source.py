"""Cards, approvals and the local card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from phloem.sources.cards.source import (
    LOCAL,
    Access,
    CardError,
    License,
    PersonalData,
    Source,
    approvals,
    card_hash,
    license_refs,
    local_card,
    schema_json,
    sources,
)

CARD: dict[str, Any] = {
    "id": "tales",
    "name": "Tales, Swahili",
    "summary": "Folk tales, one a document.",
    "homepage": "https://example.org/tales",
    "kind": "literature",
    "languages": ["sw"],
    "license": {"spdx": "CC-BY-4.0"},
    "access": {"connector": "files", "params": {"path": "tales.jsonl"}},
    "custodian": "Nobody in particular",
    "personal_data": {"level": "none"},
    "status": "active",
    "evidence": "read",
    "limits": "Twelve tales that somebody made up.",
}


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / f"{name}.yaml"
    text = value if isinstance(value, str) else yaml.safe_dump(value, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_sources_further_folder_adds_cards(tmp_path: Path) -> None:
    write(tmp_path, "tales", CARD)
    found = sources([tmp_path])
    assert found["tales"].languages == ("sw",)
    assert "udhr" in found
    assert list(found) == sorted(found)


def test_sources_many_faults_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "tales", {**CARD, "custodiann": "x", "kind": "novels"})
    write(tmp_path, "other", CARD)
    write(tmp_path, "deep", {**CARD, "id": "deep", "license": {"spdx": "MIT", "evidense": "x"}})
    write(tmp_path, "broken", "id: [")
    with pytest.raises(CardError) as error:
        sources([tmp_path])
    text = str(error.value)
    assert "\\n" not in text  # a line, and none that was folded up
    for part in (
        "tales.yaml: custodiann: unknown key; did you mean custodian?",
        "tales.yaml: kind: found 'novels', expected:",
        "other.yaml: id: found 'tales', expected 'other'",
        "deep.yaml: license.evidense: unknown key; did you mean evidence?",
        "broken.yaml: line 2: not YAML",
    ):
        assert part in text


def test_sources_python_tag_is_not_run(tmp_path: Path) -> None:
    write(tmp_path, "bad", "id: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(CardError, match="the tag"):
        sources([tmp_path])


def test_card_hash_status_changes_nothing_and_licence_does() -> None:
    card = Source.model_validate(CARD)
    paused = card.model_copy(update={"status": "paused", "reason": "under review"})
    other = Source.model_validate({**CARD, "license": {"spdx": "MIT"}})
    assert card_hash(card) == card_hash(paused) != card_hash(other)


def test_card_hash_field_that_cards_get_later_changes_nothing() -> None:
    class Later(Source):
        embargo: str | None = None
        license: Terms

    class Terms(License):
        jurisdiction: str = "unknown"

    Later.model_rebuild(_types_namespace={"Terms": Terms})
    later = Later.model_validate(CARD)
    assert card_hash(later) == card_hash(Source.model_validate(CARD))
    assert card_hash(later) != card_hash(later.model_copy(update={"embargo": "2030"}))


def test_schema_file_equals_model() -> None:
    path = Path(__file__).parents[2] / "sources" / "schema.json"
    command = (
        "python -c 'from phloem.sources.cards.source import schema_json;"
        " print(schema_json(), end=str())'"
        " > sources/schema.json"
    )
    assert path.read_text(encoding="utf-8") == schema_json(), f"run: {command}"


def test_schema_every_field_is_described() -> None:
    models = (License, Access, PersonalData)
    fields = {f"{m.__name__}.{key}": f for m in models for key, f in m.model_fields.items()}
    assert [name for name, field in fields.items() if not field.description] == []


def test_local_card_says_that_nobody_looked() -> None:
    card = local_card("s3://bucket/*.parquet", text_column="body")
    assert (card.id, card.evidence, card.license.spdx) == (LOCAL, "none", "LicenseRef-unknown")
    assert card.access.params == {"path": "s3://bucket/*.parquet", "text_column": "body"}


def test_license_refs_unknown_obliges_to_unknown() -> None:
    assert license_refs()["LicenseRef-unknown"]["obligations"] == ["unknown"]


def test_approvals_reads_them_and_tells_faults(tmp_path: Path) -> None:
    good = {
        "source": "tales",
        "card": card_hash(Source.model_validate(CARD)),
        "role": "data steward",
        "date": "2026-01-31",
        "basis": "Read the licence and fifty documents.",
    }
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "approvals").mkdir(parents=True)
    write(first / "approvals", "tales", good)
    write(second / "approvals", "rhymes", {**good, "source": "rhymes"})
    found = approvals([first, second])
    assert [key for key in found if key not in approvals()] == ["rhymes", "tales"]
    assert found["tales"].role == "data steward"
    write(second / "approvals", "tales", good)
    with pytest.raises(CardError, match=r"second.*tales is approved in another file too"):
        approvals([first, second])
    write(second / "approvals", "tales", {**good, "card": "abc"})
    with pytest.raises(CardError, match=r"tales.yaml: card: found 'abc'"):
        approvals([first, second])
