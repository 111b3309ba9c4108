"""What is asked of whom, and a user's own labelled text."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from phloem.catalog.errors import UseError
from phloem.pipeline.cli.app import app
from phloem.pipeline.docs import languages as docs_languages
from phloem.pipeline.langid.peers import tag_of
from phloem.pipeline.langid.score import _first_of, held, of_user
from phloem.pipeline.langid.texts import Text

SW = "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa."


def test_texts_are_parted_by_what_each_tier_asks_for():
    texts = [
        Text("sw", "udhr", "a", SW),
        Text("sr-Latn", "udhr", "b", "Sva ljudska bića"),
        Text("zxx", "code", "c", "fn main() {}"),
        Text("zu", "menus", "d", "Vala"),
    ]
    found = held(texts, frozenset({"menus"}))
    assert [text.language for text in found.prose] == ["sw", "zu"]
    assert [text.language for text in found.unusual] == ["sr-Latn"]
    assert [text.language for text in found.code] == ["zxx"]


def test_others_are_asked_of_the_first_pieces_of_what_they_know():
    pieces = [Text(tag, "one", "a", "") for tag in ("sw", "zu", "sw", "swh", "sw", "fr")]
    assert _first_of(pieces, frozenset({"sw", "fr"}), 2) == [0, 2, 5]


@pytest.mark.parametrize(
    ("label", "language"),
    [
        ("iw", "he"), ("jw", "jv"), ("no", "nb"), ("zh-Hant", "zh"), ("un", "und"), ("als", "gsw"),
        ("xx-Goth", "und"), ("nb", "nb"), ("swh", "sw"),
    ],
)  # fmt: skip
def test_labels_of_others_are_languages(label, language):
    assert tag_of(label) == language


def test_a_users_labelled_text_is_read_by_line(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(f'{{"language": "swh", "text": "{SW}"}}\n', encoding="utf-8")
    assert of_user(path) == [Text("sw", "own.jsonl", "1", SW)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not JSON", "no JSON object with `language` and `text`"),
        ('{"text": "x"}', "no JSON object with `language` and `text`"),
        ('["sw", "x"]', "no JSON object with `language` and `text`"),
        ('{"language": "swahili", "text": "x"}', "did you mean sw"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, line, said):
    path = tmp_path / "own.jsonl"
    path.write_text(f'{{"language": "sw", "text": "x"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(UseError, match=f"line 2: .*{said}"):
        of_user(path)


def test_the_pages_tables_are_made_of_what_was_measured(monkeypatch):
    interval = {"value": 0.75, "low": 0.5, "high": 1.0}
    row = {
        "language": "sw", "bytes": 20_400, "sources": 2, "pieces": 4, "standing": "scored",
        "precision": 1.0, "recall": 0.6, "f1": interval, "confused": {"und": 1},
    }  # fmt: skip
    little = {**row, "language": "zu", "standing": "insufficient data", "bytes": 900, "f1": None}
    tier = {
        "tier": "300 characters", "tool": "phloem", "macro F1": 0.75, "low": 0.5, "high": 1.0,
        "languages": 1, "pieces": 4, "und": 1, "rows": [row, little],
    }  # fmt: skip
    short = {**tier, "tier": "100 characters"}
    monkeypatch.setattr(docs_languages, "scores", lambda: {"tiers": [tier, short], "peers": []})
    assert docs_languages.tiers_table().splitlines()[2] == (
        "| 300 characters | 1 | 4 | .750 (.500–1.000) | 25.0% |"
    )
    assert docs_languages.languages_table("scored").splitlines()[2] == (
        "| `sw` | 20 | 2 | 4 | 1.000 | .600 | .750 (.500–1.000) | .750 (.500–1.000) | und 1 |"
    )
    assert docs_languages.insufficient() == ("Insufficient data, kB of independent text: `zu` 0.9.")
    assert docs_languages.one_source_table() == "Not measured."


def test_labelled_text_is_scored_by_the_command(tmp_path):
    path = tmp_path / "own.jsonl"
    english = "All human beings are born free and equal in dignity and rights. " * 400
    rows = [("en", english), ("fr", "Tous les êtres humains naissent libres et égaux.")]
    lines = [json.dumps({"language": language, "text": text}) for language, text in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    asked = ["langid", "score", "--root", str(tmp_path / "root"), "--texts", str(path), "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    for row in json.loads(done.stdout):
        # Of English there is enough; of French there is not.
        assert (row["languages"], row["macro F1"], row["pieces"]) == (1, 1.0, 2)
        assert [each["f1"] and each["f1"]["value"] for each in row["rows"]] == [1.0, None]
