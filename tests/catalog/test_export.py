"""Exports: every format is held to the tokens of the release, and tells the first that differs."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_root import Root

from phloem.catalog.errors import UseError
from phloem.catalog.handoff.export import EXPORT, ExportError, export_tokens, verify_export
from phloem.catalog.handoff.formats import FORMATS
from phloem.catalog.handoff.formats.megatron import read_indexed
from phloem.catalog.handoff.loader import ReleaseTokens
from phloem.catalog.manifest import Dataset, File, canonical, commit, read_arrow
from phloem.catalog.release import make_release
from phloem.catalog.released import ReleaseError
from phloem.catalog.store import Store
from phloem.catalog.verify import verify_release

EVERY = pytest.mark.parametrize("form", FORMATS)


def _rows(root: Root, shard: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_arrow(root.store, shard.path("tokens.arrow")).read_all()
    return rows.to_pylist()  # type: ignore[attr-defined]


def _export(root: Root, form: str, folder: Path) -> Path:
    export_tokens(root.store, "first", form, str(folder))
    return folder


def _faults(root: Root, folder: Path) -> list[tuple[str, str]]:
    found = verify_export(root.store, "first", str(folder))
    return [(finding.file, finding.problem) for finding in found]


@pytest.fixture(params=FORMATS)
def exported(request: pytest.FixtureRequest, released: Root, tmp_path: Path) -> Path:
    return _export(released, request.param, tmp_path / "out")


# What is written ----------------------------------------------------------------------------------
def _as_megatron(documents: list[list[int]], code: int) -> tuple[bytes, bytes]:
    """The `.bin` and `.idx` that Megatron-LM's IndexedDatasetBuilder and _IndexWriter make."""
    letter, width = {8: ("H", 2), 4: ("i", 4)}[code]
    lengths = [len(document) for document in documents]
    starts = [width * sum(lengths[:number]) for number in range(len(lengths))]
    index = b"MMIDIDX\x00\x00" + struct.pack("<QB", 1, code)
    index += struct.pack("<QQ", len(lengths), len(lengths) + 1)
    index += struct.pack(f"<{len(lengths)}i", *lengths) + struct.pack(f"<{len(starts)}q", *starts)
    index += struct.pack(f"<{len(lengths) + 1}q", *range(len(lengths) + 1))
    tokens = [token for document in documents for token in document]
    return struct.pack(f"<{len(tokens)}{letter}", *tokens), index


@pytest.mark.parametrize(("which", "code"), [("released", 8), ("large_vocabulary", 4)])
def test_megatron_s_files_are_what_megatron_writes(
    request: pytest.FixtureRequest, tmp_path: Path, which: str, code: int
) -> None:
    root = request.getfixturevalue(which)
    folder = _export(root, "megatron", tmp_path / "out")
    for shard in root.shards("tokenize"):
        stem = f"{shard.facts['source']}-00000"
        documents = [row["tokens"] for row in _rows(root, shard)]
        tokens, index = ((folder / f"{stem}{end}").read_bytes() for end in (".bin", ".idx"))
        assert (tokens, index) == _as_megatron(documents, code)
        indexed = read_indexed(index, tokens)
        assert [indexed.sequence(n).tolist() for n in range(len(documents))] == documents


def test_arrow_s_files_are_the_shards_and_load_with_datasets(
    released: Root, tmp_path: Path
) -> None:
    folder = _export(released, "arrow", tmp_path / "out")
    ids = []
    for shard in released.shards("tokenize"):
        data = (folder / f"{shard.facts['source']}-00000.arrow").read_bytes()
        assert data == released.store.read_bytes(shard.path("tokens.arrow"))
        ids += [row["id"] for row in _rows(released, shard)]
    code = (
        "import datasets, json; d = datasets.load_dataset('arrow',"
        f" data_files={str(folder / '*.arrow')!r}, split='train');"
        "print(json.dumps([d.column_names, d['id'][:]]))"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    out = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert out.returncode == 0, out.stderr[-2000:]
    assert json.loads(out.stdout.splitlines()[-1]) == [["id", "source", "tokens"], ids]


def test_export_json_says_what_it_is_of_and_what_is_there(exported: Path, released: Root) -> None:
    said = json.loads((exported / EXPORT).read_bytes())
    release = json.loads(released.store.read_bytes("releases/first/release.json"))
    assert (said["release"], said["release_digest"]) == ("first", release["digest"])
    (tokenizer,) = Dataset.load(released.store, release["datasets"]["tokenizer"]["name"]).shards
    assert said["tokenizer"] == tokenizer.file("tokenizer.json").sha256
    assert (said["end_token"], said["end_id"]) == (release["end_token"], release["end_id"])
    assert (said["documents"], said["tokens"]) == (release["documents"], release["tokens"])
    there = {path.name: path.read_bytes() for path in exported.iterdir() if path.name != EXPORT}
    assert {
        name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in there.items()
    } == {file["name"]: (file["sha256"], file["bytes"]) for file in said["files"]}
    suffixes = len(said["files"]) // 2  # of two sources, a shard each
    assert sum(file["rows"] for file in said["files"]) == suffixes * release["documents"]


@EVERY
@pytest.mark.parametrize("where", ["{folder}", "memory://{name}"])
def test_export_again_or_elsewhere_gives_the_same_bytes(
    released: Root, tmp_path: Path, form: str, where: str
) -> None:
    one = _export(released, form, tmp_path / "one")
    root = released.copy(f"memory://{uuid.uuid4().hex}")
    url = where.format(folder=tmp_path / "two", name=uuid.uuid4().hex)
    export_tokens(root.store, "first", form, url)
    assert verify_export(released.store, "first", url) == []
    two = Store(url)
    names = [name.strip("/") for name in two.list("")]
    assert {name: two.read_bytes(name) for name in names} == {
        path.name: path.read_bytes() for path in one.iterdir()
    }


@EVERY
def test_export_leaves_out_shards_without_documents(
    built_root: Root, tmp_path: Path, form: str
) -> None:
    root = built_root.copy(tmp_path / "root")
    empty = commit(
        root.store,
        dataclasses.replace(
            root.shards("tokenize")[0],
            key="0" * 32,
            files=(),
            facts={"source": "fables", "documents": 0, "tokens": 0, "vocab_size": 400},
        ),
    )
    dataset = Dataset.load(root.store, root.record["datasets"]["tokenize"])
    saved = dataclasses.replace(dataset, shards=(empty, *dataset.shards)).save(root.store)
    record = {**root.record, "datasets": {**root.record["datasets"], "tokenize": saved.name}}
    root.store.write_bytes(f"runs/{root.run_id}.json", canonical(record))
    make_release(root.store, root.run_id, name="first")
    folder = _export(root, form, tmp_path / "out")
    stems = {path.name.partition(".")[0] for path in folder.iterdir()}
    assert stems == {"export", "fables-00000", "manual-00000"}
    assert _faults(root, folder) == []


class Opened:
    """What a format writes, in memory."""

    def __init__(self) -> None:
        self.store = Store(f"memory://{uuid.uuid4().hex}")

    def create(self, suffix: str) -> Any:
        return self.store.create(f"part{suffix}")

    def open(self, suffix: str) -> pa.Buffer:
        return self.store.open(f"part{suffix}").read_buffer()


DOCUMENTS = st.lists(st.lists(st.integers(0, 65_535), min_size=1, max_size=40), min_size=1)


@EVERY
@settings(max_examples=15, deadline=None)
@given(documents=DOCUMENTS, size=st.integers(1, 7))
def test_format_reads_what_it_wrote(form: str, documents: list[list[int]], size: int) -> None:
    """However the batches of the shard are cut, in small and in large numbers."""
    from phloem.catalog.handoff.tokens import Part, tokens_schema

    module = importlib.import_module(f"phloem.catalog.handoff.formats.{form}")
    for vocab_size, more in ((65_536, 0), (300_000, 200_000)):
        given_ = [[token + more for token in document] for document in documents]
        layout, sink = tokens_schema(vocab_size), pa.BufferOutputStream()
        rows = [
            {"id": f"{n:032x}", "source": "s", "tokens": tokens} for n, tokens in enumerate(given_)
        ]
        with pa.ipc.new_file(sink, layout) as writer:
            for start in range(0, len(rows), size):
                batch = pa.RecordBatch.from_pylist(rows[start : start + size], schema=layout)
                writer.write_batch(batch)
        part, opened = (
            Part("part", sink.getvalue(), len(rows), vocab_size),
            Opened(),
        )
        module.write(part, opened.create)
        names = {name.strip("/") for name in opened.store.list("")}
        assert names == {f"part{suffix}" for suffix in module.SUFFIXES}
        read = [row for batch in module.read(opened.open) for row in batch.to_pylist()]
        assert [row["tokens"] for row in read] == given_
        assert all(row.items() <= {**whole}.items() for row, whole in zip(read, rows, strict=True))


def test_megatron_of_more_documents_than_a_batch_has_is_read_whole(
    released: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phloem.catalog.handoff.formats.megatron.BATCH_ROWS", 4)
    folder = _export(released, "megatron", tmp_path / "out")
    assert _faults(released, folder) == []
    flip(folder / "fables-00000.bin", -2)
    found = verify_export(released.store, "first", str(folder))
    last = released.shards("tokenize")[0].facts["documents"] - 1
    assert last > 4
    assert found[1].expected.startswith(f"document {last} (")


# What is refused ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["a.txt", ".hidden", "folder/file"])
def test_export_into_a_folder_that_holds_something_is_refused(
    released: Root, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", "utf-8")
    with pytest.raises(ExportError, match=f"{tmp_path} is not empty; name a new or an empty"):
        _export(released, "arrow", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name.partition("/")[0]]


def test_export_of_what_there_is_not_names_what_there_is(released: Root, tmp_path: Path) -> None:
    with pytest.raises(UseError, match="no format named 'megatorn'; did you mean megatron"):
        _export(released, "megatorn", tmp_path)
    with pytest.raises(ReleaseError, match=r"no release 'frist' in .*; did you mean first"):
        export_tokens(released.store, "frist", "arrow", str(tmp_path))


def _gone(path: Path) -> None:
    path.unlink()


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, place: int | None = None) -> None:
    """Change one bit of a file, in its middle unless a place is given."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    path.write_bytes(data)


@EVERY
@pytest.mark.parametrize("change", [flip, _gone, _emptied])
def test_export_of_a_changed_shard_is_refused_and_leaves_nothing(
    fresh_root: Root, tmp_path: Path, form: str, change: Callable[[Path], None]
) -> None:
    make_release(fresh_root.store, fresh_root.run_id, name="first")
    folder = _export(fresh_root, form, tmp_path / "whole")
    name = fresh_root.shards("tokenize")[-1].path("tokens.arrow")
    change(Path(fresh_root.store.path(name)))
    told = f"{name} is not as released; see `phloem release verify first --root "
    with pytest.raises(ExportError, match=told):
        _export(fresh_root, form, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(ExportError, match=told):
        verify_export(fresh_root.store, "first", str(folder))


# What an earlier version released -----------------------------------------------------------------
def test_release_whose_shards_hold_their_tokens_twice_is_read_as_ever(
    fresh_root: Root, tmp_path: Path
) -> None:
    """Token shards once held Megatron's files too, and named the type of their tokens."""
    store = fresh_root.store
    make_release(store, fresh_root.run_id, name="first")
    folder = _export(fresh_root, "megatron", tmp_path / "new")
    tokens = ReleaseTokens(store, "first", sequence_length=8, seed=1, weights={})
    samples = [tokens.sample(n)["tokens"].tolist() for n in range(tokens.sequences)]
    name = fresh_root.record["datasets"]["tokenize"]
    dataset, shards = Dataset.load(store, name), []
    for shard in dataset.shards:
        more = []
        for suffix in ("bin", "idx"):
            data = (folder / f"{shard.facts['source']}-00000.{suffix}").read_bytes()
            sha256 = store.write_bytes(f"{shard.folder}/tokens.{suffix}", data)
            more.append(File(f"tokens.{suffix}", sha256, len(data)))
        facts = {**shard.facts, "token_type": "uint16"}
        both = dataclasses.replace(shard, files=(*shard.files, *more), facts=facts)
        shards.append(commit(store, both))
    dataclasses.replace(dataset, shards=tuple(shards)).save(store)
    store.delete("releases/first")
    make_release(store, fresh_root.run_id, name="first")
    assert verify_release(store, "first") == []
    again = ReleaseTokens(store, "first", sequence_length=8, seed=1, weights={})
    assert [again.sample(n)["tokens"].tolist() for n in range(again.sequences)] == samples
    old = _export(fresh_root, "megatron", tmp_path / "old")
    assert _faults(fresh_root, old) == []
    for path in folder.glob("*-*"):
        assert (old / path.name).read_bytes() == path.read_bytes()
    name = shards[0].path("tokens.idx")
    flip(Path(store.path(name)))
    assert [(f.file, f.problem) for f in verify_release(store, "first")] == [(name, "digest")]


# What verifying finds -----------------------------------------------------------------------------
def test_verify_export_of_a_whole_one_finds_nothing(exported: Path, released: Root) -> None:
    assert _faults(released, exported) == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_verify_export_names_the_file_of_any_flipped_bit(
    exported: Path, released: Root, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(sorted(exported.glob("*-*"))))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    faults = _faults(released, exported)
    path.write_bytes(whole)
    assert faults[0] == (path.name, "digest")
    stems = {name.partition(".")[0] for name, _ in faults}
    assert stems == {path.name.partition(".")[0]}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_verify_export_sees_any_flipped_bit_of_export_json(
    exported: Path, released: Root, data: st.DataObject
) -> None:
    path = exported / EXPORT
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        found = [str(fault) for fault in _faults(released, exported)]
    except (ExportError, UseError) as error:
        found = str(error).splitlines()
    path.write_bytes(whole)
    assert len(found) > 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [(_gone, "missing"), (lambda path: path.write_bytes(path.read_bytes()[:-2]), "size")],
    ids=["gone", "cut"],
)
def test_verify_export_finds_a_lost_or_cut_file(
    exported: Path, released: Root, change: Callable[[Path], None], problem: str
) -> None:
    for path in sorted(exported.glob("manual-*")):
        whole = path.read_bytes()
        change(path)
        assert _faults(released, exported)[0] == (path.name, problem)
        path.write_bytes(whole)


def _forge(folder: Path, name: str, data: bytes) -> None:
    """Write a file, and what `export.json` says of it."""
    (folder / name).write_bytes(data)
    said = json.loads((folder / EXPORT).read_bytes())
    (file,) = (file for file in said["files"] if file["name"] == name)
    file |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / EXPORT).write_bytes(canonical(said))


def _rewritten(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Write the Arrow file of the manual with other rows, in batches of one."""
    name = "manual-00000.arrow"
    table = pa.ipc.open_file(pa.BufferReader((folder / name).read_bytes())).read_all()
    rows, sink = table.to_pylist(), pa.BufferOutputStream()
    change(rows)
    with pa.ipc.new_file(sink, table.schema) as writer:
        for row in rows:
            writer.write_batch(pa.RecordBatch.from_pylist([row], schema=table.schema))
    _forge(folder, name, sink.getvalue().to_pybytes())


def _second_is(name: str, value: Callable[[Any], Any]) -> Callable[[list[dict[str, Any]]], object]:
    return lambda rows: rows[1].update({name: value(rows[1][name])})


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        (lambda rows: rows.pop(), "document 2", "no more document"),
        (lambda rows: rows.append(rows[0]), "no more document", "document 3"),
        (lambda rows: rows.reverse(), "document 0 (ID): id ID", "id "),
        (_second_is("id", str.upper), "document 1 (ID): id ID", "id "),
        (_second_is("source", str.upper), "document 1 (ID): source manual", "source MANUAL"),
        (_second_is("tokens", lambda t: [*t[:3], 9, *t[4:]]), "document 1 (ID): token 3 is ", "9"),
        (_second_is("tokens", lambda t: t[:-1]), "document 1 (ID): token ", "none"),
        (_second_is("tokens", lambda t: [*t, t[-1]]), "document 1 (ID): token ", "0"),
        (_second_is("tokens", lambda _: []), "document 1 (ID): token 0 is ", "none"),
        (_second_is("tokens", lambda _: None), "document 1 (ID): token 0 is ", "none"),
    ],
)
def test_verify_export_tells_the_first_document_that_differs(
    released: Root, tmp_path: Path, change: Any, expected: str, found: str
) -> None:
    folder = _export(released, "arrow", tmp_path / "out")
    _rewritten(folder, lambda _: None)
    assert _faults(released, folder) == []  # other batches are the same documents
    _rewritten(folder, change)
    (finding,) = verify_export(released.store, "first", str(folder))
    assert (finding.file, finding.problem) == ("manual-00000.arrow", "tokens")
    ids = [row["id"] for row in _rows(released, released.shards("tokenize")[1])]
    shape = finding.expected
    for each in ids:
        shape = shape.replace(each, "ID")
    assert shape.startswith(expected)
    assert finding.found.startswith(found)


def test_verify_export_reads_the_documents_where_hashes_were_forged(
    released: Root, tmp_path: Path
) -> None:
    folder = _export(released, "megatron", tmp_path / "out")
    name = "fables-00000.bin"
    tokens = np.frombuffer((folder / name).read_bytes(), "<u2").copy()
    tokens[-1] = 7  # the end of the last document
    _forge(folder, name, tokens.tobytes())
    (finding,) = verify_export(released.store, "first", str(folder))
    assert (finding.file, finding.problem, finding.found) == (name, "tokens", "7")
    assert finding.expected.endswith(f"is {released_end(released)}")
    _forge(folder, name, tokens.tobytes()[:-2])
    (finding,) = verify_export(released.store, "first", str(folder))
    assert (finding.problem, "their index asks for" in finding.found) == ("unreadable", True)


def released_end(root: Root) -> int:
    """The number of the token that ends documents."""
    return int(json.loads(root.store.read_bytes("releases/first/release.json"))["end_id"])


def test_verify_export_sees_that_a_release_s_own_ends_are_wrong(
    fresh_root: Root, tmp_path: Path
) -> None:
    store, name = fresh_root.store, fresh_root.record["datasets"]["tokenizer"]
    dataset = Dataset.load(store, name)
    wrong = dataclasses.replace(dataset.shards[0], facts={"end_token": "!", "end_id": 1})
    dataclasses.replace(dataset, shards=(wrong,)).save(store)
    make_release(store, fresh_root.run_id, name="first")
    folder = _export(fresh_root, "arrow", tmp_path / "out")
    assert set(_faults(fresh_root, folder)) == {
        (f"{source}-00000.arrow", "end of document") for source in ("fables", "manual")
    }


def test_verify_export_of_another_release_says_whose_it_is(
    fresh_root: Root, tmp_path: Path
) -> None:
    store = fresh_root.store
    make_release(store, fresh_root.run_id, name="first")
    make_release(store, fresh_root.run_id, name="second")
    folder = _export(fresh_root, "arrow", tmp_path / "out")
    found = verify_export(store, "second", str(folder))
    assert {finding.problem for finding in found} == {"changed export"}
    assert (found[0].expected, found[0].found) == ("release second", "first")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda said: said["files"].pop(), "manual-00000.arrow of 3 documents"),
        (lambda said: said["files"].reverse(), "fables-00000.arrow of 23 documents"),
        (lambda said: said.update(end_id=5), "end_id 0"),
        (lambda said: said.update(what="text"), "what tokens"),
    ],
)
def test_verify_export_says_what_export_json_should_say(
    released: Root, tmp_path: Path, change: Callable[[Any], object], told: str
) -> None:
    folder = _export(released, "arrow", tmp_path / "out")
    said = json.loads((folder / EXPORT).read_bytes())
    change(said)
    (folder / EXPORT).write_bytes(canonical(said))
    (finding,) = verify_export(released.store, "first", str(folder))
    assert (finding.file, finding.problem) == (EXPORT, "changed export")
    assert finding.expected == told


def test_verify_export_of_no_export_says_what_to_do(released: Root, tmp_path: Path) -> None:
    folder = _export(released, "arrow", tmp_path / "out")
    for data in (b"{", b"[]", b'{"files": []}', b'{"files": [{"name": "a"}]}'):
        (folder / EXPORT).write_bytes(data)
        with pytest.raises(ExportError, match=r"cannot be read \(\w+\); export again"):
            verify_export(released.store, "first", str(folder))
    shutil.rmtree(folder)
    with pytest.raises(ExportError, match=r"holds no export\.json: no export came to its end"):
        verify_export(released.store, "first", str(folder))
