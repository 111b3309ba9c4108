"""An index of what a run kept: written, read by datasketch itself, looked up, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasketch
import pyarrow as pa
import pytest
from tiny_workspace import ARTICLES
from typer.testing import CliRunner, Result

from phloem.catalog.columns import ID
from phloem.catalog.manifest import read_parquet
from phloem.catalog.runs import shards_of
from phloem.catalog.store import Store
from phloem.filters.op import find_op
from phloem.pipeline.cli.app import app
from phloem.pipeline.dedup.index import SAID, Index, write_index
from phloem.pipeline.dedup.signed import Signed, run_of, signed

TEXTS = [*(ARTICLES[language] for language in sorted(ARTICLES)), "", "…"]
MINHASH = find_op("minhash", {})


def _signed(source: str = "tales") -> Signed:
    batch = pa.record_batch({"text": pa.array(TEXTS)})
    names = pa.array([f"d{n}" for n in range(len(TEXTS))])
    tags = pa.array([*sorted(ARTICLES), None, None], pa.string())
    return Signed(source, names, tags, MINHASH(batch).arrays[0])


def _phloem(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["dedup", *arguments])


def test_each_text_finds_itself_and_its_copy_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "index.arrow"
    assert write_index(path, iter([_signed(), _signed("again")]), MINHASH) == 2 * len(ARTICLES)
    index = Index(path, 0.7)
    *found, empty, marks, other = index.near([*TEXTS, "quite another text altogether"])
    assert empty == marks == other == []
    for tag, matches in zip(sorted(ARTICLES), found, strict=True):
        assert [(m.source, m.language, m.similarity) for m in matches] == [
            ("tales", tag, 1.0), ("again", tag, 1.0),
        ]  # fmt: skip
    copy = ARTICLES["en"].upper().replace(" ", "  ")
    (near,) = index.near([copy])
    assert [match.similarity for match in near] == [1.0, 1.0]


def test_the_file_is_datasketchs_own(tmp_path: Path) -> None:
    write_index(tmp_path / "a", iter([_signed()]), MINHASH)
    with pa.memory_map(str(tmp_path / "a")) as file:
        first = pa.ipc.open_file(file).read_all()["lean"][0].as_py()
    lean = datasketch.LeanMinHash.deserialize(first, "<")
    assert (lean.seed, len(lean), lean.scheme) == (1, 112, "affine32")
    value = _signed().signatures[0].as_py()
    assert lean.hashvalues.astype("<u4").tobytes() == value


def test_what_is_no_index_or_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no index")
    table = pa.table({"id": ["a"]})
    for name, said in (("bare", None), ("old", {"version": 0, "params": {}})):
        made = table.replace_schema_metadata({SAID: json.dumps(said)} if said else None)
        with pa.OSFile(str(tmp_path / name), "wb") as file:
            pa.ipc.new_file(file, made.schema).close()
    for name, reason in (("text", "is no index"), ("bare", "is no index"), ("old", "minhash 0")):
        asked = str(tmp_path / name)
        result = _phloem("query", asked, asked)
        assert result.exit_code == 2
        assert reason in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert "no file of text" in _phloem("query", str(tmp_path / "old"), "nowhere").stderr


def test_a_runs_kept_documents_are_found_again(
    finished: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, root, record = finished
    store, out = Store(root), str(tmp_path / "kept.arrow")
    result = _phloem("index", record["run_id"], "--out", out, "--root", str(root))
    assert result.exit_code == 0, result.output
    kept = {
        id_
        for shard in shards_of(store, record, "decide")
        for id_, verdict in zip(
            *(read_parquet(store, shard.ref("ledger.parquet"))[name].to_pylist()
              for name in (ID.name, "verdict")),
            strict=True,
        )
        if verdict == "kept"
    }  # fmt: skip
    assert {id_ for each in signed(store, record) for id_ in each.ids.to_pylist()} == kept
    assert f"{len(kept):,} documents of run {record['run_id']}" in result.output
    (tmp_path / "en.txt").write_text(ARTICLES["en"], encoding="utf-8")
    told = json.loads(_phloem("query", out, str(tmp_path / "en.txt"), "--json").output)
    assert {row["id"] for row in told} <= kept
    assert told[0]["similarity"] > 0.9
    assert run_of(store, record["recipe"]["name"]) == run_of(store, record["run_id"])
    if record["release"]:
        assert run_of(store, record["release"].rsplit("/", 1)[-1])["run_id"] == record["run_id"]
    nobody = _phloem("index", "nobody", "--out", out, "--root", str(root))
    assert nobody.exit_code == 2
    assert "no run, release or recipe 'nobody'" in nobody.stderr


@pytest.mark.parametrize("jaccard", [0.3, 0.5, 0.9])
def test_bands_are_those_that_datasketch_finds_for_the_threshold(
    tmp_path: Path, jaccard: float
) -> None:
    write_index(tmp_path / "a", iter([_signed()]), MINHASH)
    index, wanted = Index(tmp_path / "a", jaccard), datasketch.MinHashLSH(jaccard, 112)
    assert (index._lsh.b, index._lsh.r) == (wanted.b, wanted.r)
