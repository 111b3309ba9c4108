"""A release that somebody wrote anew: each way to do so, and who tells."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from phloem.catalog.manifest import COMMIT, Dataset, File, Shard, canonical, commit, digest_of
from phloem.catalog.records import append, records
from phloem.catalog.release import make_release
from phloem.catalog.released import load_release
from phloem.catalog.store import Store
from phloem.catalog.verify import verify_release
from phloem.pipeline.cli.app import app

Json = Any
STAGES = ("decide", "compose", "tokenizer", "tokenize")


@dataclasses.dataclass(frozen=True)
class Released:
    """A root with one release, free to change."""

    root: Path
    name: str
    run_id: str

    @property
    def store(self) -> Store:
        return Store(self.root)

    @property
    def record(self) -> Path:
        return self.root / "releases" / self.name / "release.json"

    def says(self) -> Json:
        return json.loads(self.record.read_bytes())

    def manifest(self, stage: str) -> Path:
        return self.root / self.says()["datasets"][stage]["name"]

    def dataset(self, stage: str) -> Dataset:
        return Dataset.load(self.store, self.says()["datasets"][stage]["name"])

    def noted(self) -> Path:
        found = (self.root / "records").iterdir()
        return max(found, key=lambda path: json.loads(path.read_bytes())["time"])

    def file(self, stage: str, name: str) -> Path:
        return self.root / self.dataset(stage).shards[0].path(name)

    def rewrite(self, change: Callable[[Json], Any], *, noted: bool = False) -> None:
        """Change `release.json`, with its digest; noted: and the record of it, with its name."""
        value = self.says()
        change(value)
        del value["digest"]
        value["digest"] = digest_of(value)
        self.record.write_bytes(canonical(value))
        if noted:
            self.note(digest=value["digest"])

    def note(self, **changes: Json) -> None:
        """Change the record of the release, and its name with it."""
        path = self.noted()
        value = {**json.loads(path.read_bytes()), **changes}
        digits = digest_of(value)[:8]
        path.unlink()
        path.with_name(re.sub("[0-9a-f]{8}(?=.json)", digits, path.name)).write_bytes(
            canonical(value)
        )

    def relist(self, stage: str, change: Callable[[Shard], Shard], place: int = 0) -> None:
        """Change a shard, its commit, manifest, SHA256SUMS, release and record: all that hashes."""
        dataset = self.dataset(stage)
        shards = list(dataset.shards)
        shards[place] = commit(self.store, change(shards[place]))
        self.resave(dataclasses.replace(dataset, shards=tuple(shards)))

    def resave(self, dataset: Dataset) -> None:
        """Save a dataset in the place of its stage, and make all agree with it that hashes."""
        dataset.save(self.store)
        listed = {"name": dataset.name, "digest": dataset.digest}
        others = [self.dataset(stage) for stage in STAGES if stage != dataset.stage]
        lines = {
            f"{shard.folder}/{file.name}": file.sha256
            for each in (*others, dataset)
            for shard in each.shards
            for file in shard.files
        }
        sums = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(lines.items()))
        self.page("SHA256SUMS", sums.encode(), {dataset.stage: listed})

    def page(self, file: str, data: bytes, datasets: Json = None) -> None:
        """Write a file beside the release's record, and have all hashes agree."""
        self.record.with_name(file).write_bytes(data)

        def change(value: Json) -> None:
            value["files"][file] = hashlib.sha256(data).hexdigest()
            value["datasets"] |= datasets or {}

        self.rewrite(change, noted=True)

    def refile(self, stage: str, name: str, data: bytes, facts: Json = None, rows: int = 0) -> None:
        """Write a file of a shard, and have all agree that hashes."""
        self.file(stage, name).write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()

        def change(shard: Shard) -> Shard:
            files = tuple(
                File(name, sha256, len(data), (f.rows or 0) + rows) if f.name == name else f
                for f in shard.files
            )
            return dataclasses.replace(shard, files=files, facts={**shard.facts, **(facts or {})})

        self.relist(stage, change)


@pytest.fixture
def released(fresh_root: Any) -> Released:
    """A release with a name of its own: no digits tell of what it holds."""
    release = make_release(fresh_root.store, fresh_root.run_id, name="first")
    return Released(Path(fresh_root.store.root), release.name, fresh_root.run_id)


def told(released: Released, name: str = "") -> list[tuple[str, str]]:
    """What `release verify` says, as a user sees it: no traceback, each fault one line."""
    words = ["release", "verify", name or released.name, "--root", str(released.root)]
    said = CliRunner().invoke(app, [*words, "--json"])
    assert said.exit_code == 1, said.output
    assert isinstance(said.exception, SystemExit), said.exception
    found = json.loads(said.stdout)
    assert found
    assert all("\n" not in each and len(each) < 300 for row in found for each in row.values())
    return [(row["file"], row["problem"]) for row in found]


# Rows ---------------------------------------------------------------------------------------------
def _without_last(path: Path) -> bytes:
    """An Arrow or Parquet file without its last row."""
    sink = pa.BufferOutputStream()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        pq.write_table(table.slice(0, table.num_rows - 1), sink)
    else:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            with pa.ipc.new_file(sink, table.schema) as out:
                out.write_table(table.slice(0, table.num_rows - 1))
    return bytes(sink.getvalue())


def _changed(path: Path, column: str, value: Json) -> bytes:
    """An Arrow or Parquet file with another value in a column's first row."""
    sink = pa.BufferOutputStream()
    with pa.memory_map(str(path)) as file:
        is_parquet = path.suffix == ".parquet"
        table = pq.read_table(file) if is_parquet else pa.ipc.open_file(file).read_all()
        values = [value, *table[column].to_pylist()[1:]]
        place = table.schema.get_field_index(column)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array(values, field.type))
        if is_parquet:
            pq.write_table(table, sink)
        else:
            with pa.ipc.new_file(sink, table.schema) as out:
                out.write_table(table)
    return bytes(sink.getvalue())


def _drop(released: Released, stage: str, name: str, fact: str) -> None:
    """Take a row out of one stage, and make the stage agree with itself."""
    facts = released.dataset(stage).shards[0].facts
    data = _without_last(released.file(stage, name))
    released.refile(stage, name, data, {fact: facts[fact] - 1}, rows=-1)


def _swap(released: Released, stage: str, name: str, column: str, value: Json) -> None:
    released.refile(stage, name, _changed(released.file(stage, name), column, value))


def _undecided(released: Released) -> None:
    """Take a dropped document out of the ledger, and out of its counts."""
    facts = released.dataset("decide").shards[0].facts
    _drop(released, "decide", "ledger.parquet", "documents")
    last = "dropped" if facts["dropped"] else "quarantined"
    _facts(released, "decide", **{last: facts[last] - 1})


ID = "0" * 32
ROWS = {
    "a row less, its count kept": lambda r: r.refile(
        "compose", "text.arrow", _without_last(r.file("compose", "text.arrow"))
    ),
    "a row less in compose": lambda r: _drop(r, "compose", "text.arrow", "documents"),
    "a row less in tokens": lambda r: _drop(r, "tokenize", "tokens.arrow", "documents"),
    "a row less in the index": lambda r: r.refile(
        "tokenize", "index.parquet", _without_last(r.file("tokenize", "index.parquet")), rows=-1
    ),
    "a row less in the ledger": lambda r: _drop(r, "decide", "ledger.parquet", "documents"),
    "a row less in the ledger, which says so": _undecided,
    "a row less of those kept": lambda r: _drop(r, "decide", "kept.parquet", "kept"),
    "another document in compose": lambda r: _swap(r, "compose", "text.arrow", "id", ID),
    "another document in tokens": lambda r: _swap(r, "tokenize", "tokens.arrow", "id", ID),
    "another document in the ledger": lambda r: _swap(r, "decide", "ledger.parquet", "id", ID),
    "another verdict": lambda r: _swap(r, "decide", "ledger.parquet", "verdict", "dropped"),
    "another licence in the ledger": lambda r: _swap(
        r, "decide", "ledger.parquet", "license", "MIT"
    ),
    "another licence in compose": lambda r: _swap(r, "compose", "text.arrow", "license", "MIT"),
    "another source in compose": lambda r: _swap(r, "compose", "text.arrow", "source", "evil"),
    "another place in the index": lambda r: _swap(r, "tokenize", "index.parquet", "first_token", 7),
    "tokens beyond the vocabulary": lambda r: _swap(
        r, "tokenize", "tokens.arrow", "tokens", [60_000, 0]
    ),
    "a document without an end": lambda r: _swap(r, "tokenize", "tokens.arrow", "tokens", [5, 6]),
    "a document without a token": lambda r: _swap(r, "tokenize", "tokens.arrow", "tokens", []),
    "no table": lambda r: r.refile("compose", "text.arrow", b"evil"),
    "an empty file": lambda r: r.refile("tokenize", "tokens.arrow", b""),
    "another column": lambda r: r.refile(
        "tokenize", "tokens.arrow", r.file("compose", "text.arrow").read_bytes()
    ),
    "another tokenizer": lambda r: r.refile("tokenizer", "tokenizer.json", b"{}"),
}


@pytest.mark.parametrize("attack", ROWS.values(), ids=ROWS)
def test_rows_changed_with_all_hashes_are_told(
    released: Released, attack: Callable[[Released], None]
) -> None:
    attack(released)
    assert told(released)


# Manifests and what the release says --------------------------------------------------------------
def _facts(released: Released, stage: str, **facts: Json) -> None:
    released.relist(stage, lambda s: dataclasses.replace(s, facts={**s.facts, **facts}))


def _source(what: str, value: Json) -> Callable[[Released], None]:
    return lambda r: r.rewrite(lambda v: v["sources"][0].update({what: value}), noted=True)


def _says(what: str, value: Json) -> Callable[[Released], None]:
    return lambda r: r.rewrite(lambda v: v.update({what: value}), noted=True)


def _repeated(released: Released) -> None:
    dataset = released.dataset("tokenize")
    released.resave(dataclasses.replace(dataset, shards=(*dataset.shards, dataset.shards[0])))


def _reversed(released: Released) -> None:
    dataset = released.dataset("compose")
    released.resave(dataclasses.replace(dataset, shards=dataset.shards[::-1]))


def _fewer(released: Released) -> None:
    for stage in ("decide", "compose", "tokenize"):
        dataset = released.dataset(stage)
        released.resave(dataclasses.replace(dataset, shards=dataset.shards[:1]))


def _licensed(released: Released) -> None:
    """Another licence of a source, in all that a release says, its page included."""
    page = released.record.with_name("ATTRIBUTION.md")
    page.write_bytes(page.read_bytes().replace(b"CC0-1.0", b"MIT"))
    released.page("ATTRIBUTION.md", page.read_bytes())
    released.rewrite(
        lambda v: v["sources"][0].update(license="MIT", licenses={"MIT": 3}), noted=True
    )


SAID = {
    "documents of a shard": lambda r: _facts(r, "tokenize", documents=9),
    "tokens of a shard": lambda r: _facts(r, "tokenize", tokens=9),
    "source of a shard": lambda r: _facts(r, "tokenize", source="manual"),
    "source of a decided shard": lambda r: _facts(r, "decide", source="manual"),
    "kept documents of a shard": lambda r: _facts(r, "decide", kept=9),
    "a vocabulary that is too small": lambda r: _facts(r, "tokenize", vocab_size=2),
    "the end of documents": lambda r: _facts(r, "tokenizer", end_id=1),
    "documents of the release": _says("documents", 99),
    "tokens of the release": _says("tokens", 99),
    "recipe": _says("recipe", "evil"),
    "digest of the recipe": _says("recipe_digest", "0" * 64),
    "policy": _says("policy", "production"),
    "what the policy did not ask": _says("unasked", []),
    "mix": _says("mix", {"fables": 9.0, "manual": 1.0}),
    "left out": _says("left_out", {"evil": None}),
    "statement": _says("statement", ["All is well."]),
    "checks that failed": lambda r: r.rewrite(
        lambda v: v["checks"][0].update(passed=False), noted=True
    ),
    "no checks": _says("checks", []),
    "other words of a check": lambda r: r.rewrite(
        lambda v: v["checks"][1].update(detail="fine"), noted=True
    ),
    "tokenizer": _says("tokenizer", "0" * 64),
    "file of the tokenizer": _says("tokenizer_file", "../../etc/passwd"),
    "another end": _says("end_id", 1),
    "no end": lambda r: r.rewrite(lambda v: (v.pop("end_token"), v.pop("end_id")), noted=True),
    "files": _says("files", {"../../evil": "0" * 64}),
    "no source": _says("sources", []),
    "licence of a source": _source("license", "MIT"),
    "licences of documents": _source("licenses", {"MIT": 3}),
    "credit": _source("attribution", "Nobody"),
    "custodian": _source("custodian", "Eve"),
    "homepage": _source("homepage", "https://evil.example/"),
    "version": _source("version", "9"),
    "card": _source("card", "0" * 64),
    "files of a source": _source("files", []),
    "documents of a source": _source("documents", 2),
    "tokens of a source": _source("tokens", 2),
    "name of a source": _source("name", "Evil"),
    "licence everywhere": _licensed,
    "a shard twice": _repeated,
    "shards in another order": _reversed,
    "fewer shards everywhere": _fewer,
    "no stage": lambda r: r.rewrite(lambda v: v["datasets"].pop("compose"), noted=True),
    "one stage more": lambda r: r.rewrite(
        lambda v: v["datasets"].update(clean={"name": "x", "digest": "y"}), noted=True
    ),
    "one stage for another": lambda r: r.rewrite(
        lambda v: v["datasets"].update(compose=v["datasets"]["decide"]), noted=True
    ),
    "a line less in SHA256SUMS": lambda r: r.page(
        "SHA256SUMS", r.record.with_name("SHA256SUMS").read_bytes().partition(b"\n")[2]
    ),
    "a line more in SHA256SUMS": lambda r: r.page(
        "SHA256SUMS",
        r.record.with_name("SHA256SUMS").read_bytes() + b"0" * 64 + b"  /etc/passwd\n",
    ),
    "SHA256SUMS that is no text": lambda r: r.page("SHA256SUMS", b"\xff\xfe\n"),
    "attribution": lambda r: r.page("ATTRIBUTION.md", b"# Nobody\n"),
    "attribution that is no text": lambda r: r.page("ATTRIBUTION.md", b"\xff"),
}


@pytest.mark.parametrize("attack", SAID.values(), ids=SAID)
def test_what_is_said_changed_with_all_hashes_is_told(
    released: Released, attack: Callable[[Released], None]
) -> None:
    attack(released)
    assert told(released)


# Values that no run writes ------------------------------------------------------------------------
VALUES = {
    "negative": -1,
    "huge": 10**400,
    "text": "many",
    "true": True,
    "list": [1],
    "null": None,
    "fraction": 1.5,
    "nothing": {},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("fact", ["documents", "tokens", "vocab_size"])
def test_facts_of_another_kind_are_one_line_each(
    released: Released, fact: str, value: Json
) -> None:
    _facts(released, "tokenize", **{fact: value})
    assert (str(released.manifest("tokenize").relative_to(released.root)), "changed manifest") in (
        told(released)
    )


FILES = {
    "absolute": {"name": "/etc/passwd"},
    "outside": {"name": "../../../etc/passwd"},
    "above": {"name": ".."},
    "deeper": {"name": "a/b"},
    "no name": {"name": ""},
    "a number": {"name": 7},
    "with a line feed": {"name": "a\nb"},
    "no hash": {"sha256": "evil"},
    "negative bytes": {"bytes": -1},
    "bytes as text": {"bytes": "1"},
    "huge bytes": {"bytes": 10**30},
    "negative rows": {"rows": -1},
    "rows that are true": {"rows": True},
}


@pytest.mark.parametrize("change", FILES.values(), ids=FILES)
def test_files_of_a_manifest_that_lead_elsewhere_are_told(released: Released, change: Json) -> None:
    dataset = released.dataset("tokenize")
    first = dataset.shards[0]
    file = dataclasses.replace(first.files[0], **change)
    shard = dataclasses.replace(first, files=(file, *first.files[1:]))
    released.resave(dataclasses.replace(dataset, shards=(shard, *dataset.shards[1:])))
    assert told(released)


KEYS = ["../../etc", "/etc", "..", "", "x" * 32, 7]


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_a_manifest_that_lead_elsewhere_are_told(released: Released, key: Json) -> None:
    dataset = released.dataset("compose")
    shard = dataclasses.replace(dataset.shards[0], key=key)
    released.resave(dataclasses.replace(dataset, shards=(shard, *dataset.shards[1:])))
    assert told(released)


def test_a_file_listed_twice_is_told(released: Released) -> None:
    released.relist("compose", lambda s: dataclasses.replace(s, files=(*s.files, *s.files)))
    assert told(released)


BYTES = {
    "no JSON": b"{",
    "nothing": b"",
    "no text": b"\xff\xfe{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "empty": b"{}",
    "NaN": b'{"shards":NaN}',
    "a shard that is none": b'{"shards":[7],"stage":"compose","spec":{},"key":"","digest":""}',
    "shards that are none": b'{"shards":7,"stage":[],"spec":7,"key":[],"digest":{}}',
    "facts that are none": b'{"shards":[{"stage":"compose","key":"0","files":[],"facts":7}],'
    b'"stage":"compose","spec":{},"key":"","digest":""}',
    "deep": b"[" * 100_000,
    "a long number": b"9" * 5000,
    "a lone surrogate": b'{"a":"\\ud800"}',
}
WHERE = {
    "release": lambda r: r.record,
    "manifest": lambda r: r.manifest("compose"),
    "record": lambda r: r.noted(),
    "run": lambda r: r.root / "runs" / f"{r.run_id}.json",
    "commit": lambda r: r.root / r.dataset("compose").shards[0].folder / COMMIT,
}


@pytest.mark.parametrize("data", BYTES.values(), ids=BYTES)
@pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)
def test_bytes_that_are_no_such_file_are_told(
    released: Released, where: Callable[[Released], Path], data: bytes
) -> None:
    path = where(released)
    path.write_bytes(data)
    assert str(path.relative_to(released.root)) in {file for file, _ in told(released)}


@pytest.mark.parametrize("where", ["release", "manifest", "record", "commit"])
def test_another_spelling_is_told(released: Released, where: str) -> None:
    """Of a key that stands there twice, one reader takes the first, and another the last."""
    path = WHERE[where](released)
    whole = path.read_bytes()
    for data in (
        b'{"name":"evil",' + whole[1:],
        json.dumps(json.loads(whole)).encode(),
        whole + b"\n",
    ):
        path.write_bytes(data)
        assert told(released)


RELEASE = {
    "datasets": [[], 7, {"compose": 7}, {"compose": {"name": 7}}, {"compose": {}}],
    "sources": [{}, [7], [{}], None],
    "checks": [7, [{}], [[]]],
    "files": [[], {"SHA256SUMS": 7}],
    "mix": [[], {"fables": "x"}, {"fables": float("nan")}, {"fables": float("inf")}],
    "documents": [-1, "7", None, 1.5, True, 10**400],
    "end_id": ["0", -7, None],
    "name": ["", 7, "../x", "\x1b[31mred"],
    "statement": ["x", [7]],
    "date": [7, "yesterday"],
    "more": [1],
}


@pytest.mark.parametrize(
    ("what", "value"), [(what, value) for what, values in RELEASE.items() for value in values]
)
def test_values_of_a_release_of_another_kind_are_one_line_each(
    released: Released, what: str, value: Json
) -> None:
    said = released.says() | {what: value}
    released.record.write_bytes(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())
    assert str(released.record.relative_to(released.root)) in {file for file, _ in told(released)}
    listed = CliRunner().invoke(app, ["release", "list", "--root", str(released.root)])
    assert listed.exit_code in (0, 1)
    assert listed.exception is None or isinstance(listed.exception, SystemExit)


# Files, links and what lies beside them -----------------------------------------------------------
def _outside(path: Path) -> Path:
    """A folder beside the root."""
    return next(folder.parent for folder in path.parents if folder.name == "root")


def _link(path: Path) -> None:
    target = shutil.move(path, _outside(path) / path.name)
    path.symlink_to(target)


def _hard_link(path: Path) -> None:
    os.link(path, _outside(path) / "another-name")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


OWN = {
    "release.json": lambda r: r.record,
    "ATTRIBUTION.md": lambda r: r.record.with_name("ATTRIBUTION.md"),
    "SHA256SUMS": lambda r: r.record.with_name("SHA256SUMS"),
    "manifest": lambda r: r.manifest("compose"),
    "record": lambda r: r.noted(),
    "commit": lambda r: r.root / r.dataset("compose").shards[0].folder / COMMIT,
    "ledger": lambda r: r.file("decide", "ledger.parquet"),
    "kept": lambda r: r.file("decide", "kept.parquet"),
    "text": lambda r: r.file("compose", "text.arrow"),
    "tokenizer": lambda r: r.file("tokenizer", "tokenizer.json"),
    "tokens": lambda r: r.file("tokenize", "tokens.arrow"),
    "index": lambda r: r.file("tokenize", "index.parquet"),
}
TO_FILES = {
    "flipped": _flip,
    "linked": _link,
    "hard-linked": _hard_link,
    "a folder": _folder,
    "a pipe": _pipe,
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
}


@pytest.mark.parametrize("where", OWN.values(), ids=OWN)
@pytest.mark.parametrize("attack", TO_FILES.values(), ids=TO_FILES)
def test_each_file_of_a_release_is_its_own_and_whole(
    released: Released, where: Callable[[Released], Path], attack: Callable[[Path], None]
) -> None:
    path = where(released)
    attack(path)
    if path == released.record and not os.path.lexists(path):
        words = ["release", "verify", released.name, "--root", str(released.root)]
        said = CliRunner().invoke(app, words)
        assert (said.exit_code, said.stderr.count("\n")) == (1, 1)
    else:
        found = {file for file, _ in told(released)}
        own = {
            str(path.relative_to(released.root)),
            str(released.record.relative_to(released.root)),
        }
        assert found & own


FOLDERS = {
    "the release": lambda r: r.record.parent,
    "releases": lambda r: r.root / "releases",
    "datasets": lambda r: r.root / "datasets",
    "records": lambda r: r.root / "records",
    "a stage": lambda r: r.root / "compose",
    "a shard": lambda r: r.root / r.dataset("compose").shards[0].folder,
}


@pytest.mark.parametrize("where", FOLDERS.values(), ids=FOLDERS)
def test_folders_that_are_links_out_of_the_root_are_told(
    released: Released, where: Callable[[Released], Path]
) -> None:
    path = where(released)
    _link(path)
    assert (str(path.relative_to(released.root)), "link") in told(released)


PLACES = {
    "the release": lambda r: r.record.with_name("evil.json"),
    "a shard": lambda r: r.file("compose", "text.arrow").with_name("evil.arrow"),
    "hidden": lambda r: r.file("compose", "text.arrow").with_name(".evil"),
    "as if it were being written": lambda r: r.record.with_name("evil.tmp-1"),
    "records": lambda r: r.root / "records" / "evil.json",
    "with a line feed": lambda r: r.record.with_name("a\nb\x1b[31m"),
}


@pytest.mark.parametrize("where", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("is_folder", [False, True])
def test_what_lies_beside_the_files_of_a_release_is_told(
    released: Released, where: Callable[[Released], Path], is_folder: bool
) -> None:
    path = where(released)
    if is_folder:
        path.mkdir()
        (path / "text.arrow").write_bytes(b"evil")
    else:
        path.write_bytes(b"evil")
    assert told(released)


def test_each_fault_is_a_line_whatever_it_is_called(released: Released) -> None:
    for name in ("a\nb", "\x1b[31mred", "\u202etxt", "x" * 250):
        released.record.with_name(name).write_bytes(b"evil")
    words = ["release", "verify", "first", "--root", str(released.root)]
    lines = CliRunner().invoke(app, words).stdout.splitlines()
    assert len(lines) == 4 + 2
    assert lines[-1] == "first: 4 faults"
    assert not re.search("[\x00-\x1f\u202e]", "".join(lines))


# Records, names and runs --------------------------------------------------------------------------
def test_release_without_a_record_is_told(released: Released) -> None:
    shutil.rmtree(released.root / "records")
    assert told(released) == [("releases/first/release.json", "changed record")]


def test_release_whose_record_is_of_another_is_told(released: Released) -> None:
    released.note(release="second")
    assert told(released) == [("releases/first/release.json", "changed record")]
    released.note(release="first", digest="0" * 64)
    assert told(released) == [("releases/first/release.json", "changed record")]


def test_release_of_another_name_is_told(released: Released) -> None:
    released.record.parent.rename(released.record.parents[1] / "second")
    assert set(told(released, "second")) == {
        ("releases/second/release.json", "changed record"),
        ("releases/second/release.json", "changed release"),
    }


def test_record_of_an_older_release_in_the_place_of_this_is_told(released: Released) -> None:
    older = released.noted().read_bytes()
    shutil.rmtree(released.record.parent)
    make_release(released.store, released.run_id, name="first", date="2026-01-31")
    assert (
        CliRunner()
        .invoke(app, ["release", "verify", "first", "--root", str(released.root)])
        .exit_code
        == 0
    )  # the newest record counts: a release may be given up and made anew
    released.noted().write_bytes(older)
    assert told(released)


def test_older_release_in_the_place_of_this_is_told(released: Released) -> None:
    older = {path: path.read_bytes() for path in released.record.parent.iterdir()}
    shutil.rmtree(released.record.parent)
    make_release(released.store, released.run_id, name="first", date="2026-01-31")
    for path, data in older.items():
        path.write_bytes(data)
    assert told(released) == [("releases/first/release.json", "changed record")]


def test_release_given_up_and_made_anew_as_it_was_holds(released: Released) -> None:
    for date in ("2026-01-31", ""):
        shutil.rmtree(released.record.parent)
        make_release(released.store, released.run_id, name="first", date=date)
        words = ["release", "verify", "first", "--root", str(released.root)]
        assert CliRunner().invoke(app, words).exit_code == 0
    assert len(records(released.store)) == 3


def test_digits_of_a_name_tell_of_what_is_changed_with_all_hashes_and_records(
    fresh_root: Any,
) -> None:
    release = make_release(fresh_root.store, fresh_root.run_id)
    own = Released(Path(fresh_root.store.root), release.name, fresh_root.run_id)
    fresh_root.store.delete(f"runs/{fresh_root.run_id}.json")
    own.rewrite(lambda v: v["sources"][0].update(custodian="Eve"), noted=True)
    assert told(own) == [(f"releases/{release.name}/release.json", "changed release")]


def test_no_release_is_made_whose_name_has_the_digits_of_another(fresh_root: Any) -> None:
    with pytest.raises(Exception, match="is a name for other contents than these"):
        make_release(fresh_root.store, fresh_root.run_id, name="tiny-0123456789ab")
    own = make_release(fresh_root.store, fresh_root.run_id)
    assert make_release(fresh_root.store, fresh_root.run_id, name=own.name) == own


def _run(released: Released, change: Callable[[Json], Any]) -> None:
    path = released.root / "runs" / f"{released.run_id}.json"
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(canonical(value))


RUNS = {
    "licence": lambda v: v["sources"]["fables"].update(license="MIT"),
    "card": lambda v: v["sources"]["fables"].update(card="0" * 64),
    "sources swapped": lambda v: v.update(
        sources={"fables": v["sources"]["manual"], "manual": v["sources"]["fables"]}
    ),
    "datasets": lambda v: v["datasets"].update(compose=v["datasets"]["decide"]),
    "policy": lambda v: v["recipe"]["spec"].update(policy="production"),
    "balance": lambda v: v["balance"]["fables"].update(kept=1),
    "no balance": lambda v: v.pop("balance"),
    "sources of another kind": lambda v: v.update(sources=[7]),
    "recipe of another kind": lambda v: v.update(recipe=[7]),
    "mix of another kind": lambda v: v["recipe"]["spec"].update(mix={"fables": "x"}),
}


@pytest.mark.parametrize("change", RUNS.values(), ids=RUNS)
def test_run_that_says_other_things_than_its_release_is_told(
    released: Released, change: Callable[[Json], Any]
) -> None:
    _run(released, change)
    assert told(released)


def test_approvals_that_changed_places_are_told(fresh_root: Any, tmp_path: Path) -> None:
    """Of a policy that asks for approvals: each is of one card."""
    policy = """
name: signed
summary: Each source is approved.
approval: true
evidence: none
forbidden: [unknown]
max_quarantine_share: 1
max_loss_share: 1
pii_scrubbed: false
"""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "signed.yaml").write_text(policy)
    root = Released(Path(fresh_root.store.root), "first", fresh_root.run_id)

    def approve(value: Json) -> None:
        value["recipe"]["spec"]["policy"] = "signed"
        for source in value["sources"].values():
            source["approval"] = {"card": source["card"], "verified": True}

    def swap(value: Json) -> None:
        one, other = value["sources"].values()
        one["approval"], other["approval"] = other["approval"], one["approval"]

    _run(root, approve)
    folders = [tmp_path / "policies"]
    make_release(root.store, root.run_id, name="first", policy_folders=folders)
    assert verify_release(root.store, "first", folders) == []
    _run(root, swap)
    (found,) = verify_release(root.store, "first", folders)
    assert (found.file, found.problem) == ("releases/first/release.json", "changed release")
    assert "its card has changed since it was approved" in found.expected


def test_all_faults_are_told_at_once(released: Released) -> None:
    paths = [OWN[name](released) for name in ("text", "tokens", "index", "ATTRIBUTION.md")]
    for path in paths:
        _flip(path)
    released.manifest("decide").unlink()
    ledger = max(released.root.glob("decide/*/ledger.parquet"))
    _flip(ledger)
    (released.record.with_name("more")).write_bytes(b"")
    shutil.rmtree(released.root / "records")
    assert {file for file, _ in told(released)} == {
        *(str(path.relative_to(released.root)) for path in (*paths, ledger, released.record)),
        released.says()["datasets"]["decide"]["name"],
        "releases/first/more",
    }


@pytest.mark.parametrize("name", ["../first", "/etc", "..", "", "first/", "a\nb", "First", "firts"])
def test_names_of_no_release_are_one_line(released: Released, name: str) -> None:
    words = ["release", "verify", name, "--root", str(released.root)]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 1
    assert isinstance(said.exception, SystemExit)
    assert "no release" in said.stderr


def test_release_whose_run_was_given_up_holds(released: Released) -> None:
    (released.root / "runs" / f"{released.run_id}.json").unlink()
    words = ["release", "verify", "first", "--root", str(released.root)]
    assert CliRunner().invoke(app, words).exit_code == 0


# ATTRIBUTION.md -----------------------------------------------------------------------------------
WORDS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![pixel](https://evil.example/p.png)",
    "**bold** _it_ `code` ~~gone~~",
    "line\n\n# heading\n- item",
    "&lt;b&gt; &#60;",
    "| a | b |",
    "\\[x\\](y)",
    "C # $x$",
    "red \x1b[31m \u202eevil",
    "https://evil.example/<script>",
]


@pytest.mark.parametrize("words", WORDS)
def test_attribution_shows_a_card_s_words_and_makes_nothing_of_them(
    fresh_root: Any, words: str
) -> None:
    def change(value: Json) -> None:
        value["sources"]["fables"] |= {"name": words, "attribution": words, "custodian": words}

    root = Released(Path(fresh_root.store.root), "first", fresh_root.run_id)
    _run(root, change)
    make_release(root.store, root.run_id, name="first")
    page = root.record.with_name("ATTRIBUTION.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) == len(page.split("\n")) - 1
    heading = next(line for line in page.splitlines() if line.startswith("## "))
    plain = re.sub(r"\\(.)", "", heading[3:])  # what is left is what Markdown may work on
    assert not re.search(r"[\\`*_\[\]<>~|&#$\x00-\x1f\u202e]", plain)
    shown = re.sub(r"\\(.)", r"\1", heading[3:])
    assert shown == " ".join(words.split()).replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert (
        CliRunner().invoke(app, ["release", "verify", "first", "--root", str(root.root)]).exit_code
        == 0
    )


def test_attribution_links_to_an_address_as_it_is(released: Released) -> None:
    page = released.record.with_name("ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "- Found at: <https://example.org/fables>\n" in page


def test_release_that_an_earlier_version_told_in_plain_words_holds(released: Released) -> None:
    page = released.record.with_name("ATTRIBUTION.md")
    plain = re.sub(r"\\(.)|<(https?:.*?)>", r"\1\2", page.read_text(encoding="utf-8"))
    released.page("ATTRIBUTION.md", plain.encode())
    words = ["release", "verify", "first", "--root", str(released.root)]
    assert CliRunner().invoke(app, words).exit_code == 0
    told_before = load_release(released.store, "first")
    assert make_release(released.store, released.run_id, name="first") == told_before
    append(released.store, "released", {"release": "first", "digest": "0" * 64})
    with pytest.raises(Exception, match="with other contents exists"):
        make_release(released.store, released.run_id, name="first")
