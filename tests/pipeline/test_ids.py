"""Two documents of one native id: refused the same way however the files are split."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_workspace import ARTICLES, change_recipe, make_workspace, new_root, run_tiny, write_source

from phloem.pipeline.review.locking import lock
from phloem.pipeline.run import RunError
from phloem.pipeline.workspace import load_workspace
from phloem.sources.formats import read_files

ROWS = [
    {"id": f"d{n}", "text": text, "lang": tag} for n, (tag, text) in enumerate(ARTICLES.items())
]


@pytest.mark.parametrize("size", [2**25, 200])
@pytest.mark.parametrize("files", [1, 2, 70])
def test_a_native_id_of_two_documents_is_refused_with_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, size: int
) -> None:
    folder = make_workspace(tmp_path / "workspace")
    change_recipe(folder, "[first, second]", "[third]")
    again = {**ROWS[0], "text": ARTICLES["th"]}
    write_source(folder, "third", [*ROWS, again])
    whole = folder / "third.jsonl"
    if files > 1:
        lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
        whole.unlink()
        (folder / "third").mkdir()
        (folder / "third" / "a.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
        (folder / "third" / "b.jsonl").write_text(lines[-1], encoding="utf-8")
        for number in range(2, files):
            more = lines[1].replace('"d1"', f'"more{number}"')
            (folder / "third" / f"c{number}.jsonl").write_text(more, encoding="utf-8")
        card = folder / "cards" / "third.yaml"
        given = card.read_text(encoding="utf-8").replace(str(whole), str(folder / "third"))
        card.write_text(given, encoding="utf-8")
    list(lock(load_workspace(folder), ["third"]))
    monkeypatch.setattr(read_files, "SPLIT_BYTES", size)
    with pytest.raises(RunError) as caught:
        run_tiny(folder, new_root(tmp_path / "root"))
    told = str(caught.value)
    assert "third: the native id 'd0' stands " in told
    assert "make the card's id column unique, or leave `id_column` out" in told
    places = {"third.jsonl"} if files == 1 else {"a.jsonl", "b.jsonl"}
    assert {place for place in places if place in told} == places
