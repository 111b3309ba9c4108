"""What could not be read names the file that it was met in, however files share a split."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unguarded import unguard

from phloem.catalog.manifest import Ref, read_parquet
from phloem.catalog.policy import load_policy, loss_alarm
from phloem.catalog.store import Store
from phloem.pipeline import extraction
from phloem.pipeline.job import balance
from phloem.pipeline.reading import Reading
from phloem.pipeline.registry.registry import local_card
from phloem.pipeline.stage import StageError, Task
from phloem.pipeline.stages import ingest, run_task
from phloem.sources.cards.source import Access
from phloem.sources.clients.clients import pinned
from phloem.sources.connector import Fault, Files, Pin, PinnedFile, Split, find_connector
from phloem.sources.connectors import files
from phloem.sources.formats import together
from phloem.sources.limits import Limits

Json = Any

EMPTY = hashlib.sha256().hexdigest()


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few files share a split too."""
    monkeypatch.setattr(together, "ALONE", 0)
    monkeypatch.setattr(together, "BITS", 0)


def tasks_of(connector: str, params: dict[str, Json], pin: Pin, found: Files) -> list[Task]:
    """The tasks that read files by a connector."""
    module = find_connector(connector)
    splits = module.splits(module.Params.model_validate(params), pin, found)
    access = Access(connector=connector, params=params)
    card = local_card("unused").model_copy(update={"access": access})
    refs = {each.name: Ref(found[each.name], each.sha256, each.bytes) for each in pin.files}
    return ingest.tasks(Reading(card, pin, tuple(splits), refs), ("", ()), Limits())


def quarantined(tasks: list[Task], store: Store) -> list[dict[str, Json]]:
    """The quarantine rows of all tasks."""
    shards = [shard for task in tasks for shard in run_task(store, task)]
    rows = [read_parquet(store, shard.path("quarantine.parquet")).to_pylist() for shard in shards]
    assert sum(s.facts["rests"] for s in shards) <= sum(map(len, rows))
    return [row for each in rows for row in each]


def jsonl(*texts: str) -> bytes:
    return "".join(json.dumps({"text": text, "key": f"k-{text}"}) + "\n" for text in texts).encode()


def parquet(*texts: str) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "key": texts}), out)
    return out.getvalue()


def arrow(*texts: str) -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": texts, "key": texts})
    with pa.ipc.new_file(out, table.schema) as to:
        to.write_table(table)
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def csv(*texts: str) -> bytes:
    return ("key,text\n" + "".join(f"{text[:7]},{text}\n" for text in texts)).encode()


def texts(number: int) -> list[str]:
    """Those of one file: no other holds one of them."""
    return [f"{number} {n:05d} ทุกคน {n**9}" for n in range(500)]


TEXTS = texts(0)
CSV = csv(*TEXTS)


def opened(content: bytes) -> bytes:
    """A table whose eighth row opens a quote that nothing closes."""
    return content.replace(b"00007,", b'00007,"')


# Name's ending: (how a file is written, how it breaks, how often its stream is cut)
Made = tuple[Callable[..., bytes], Callable[[bytes], bytes], int]
BROKEN: dict[str, Made] = {
    ".jsonl.gz": (lambda *own: gzip.compress(jsonl(*own)), lambda whole: whole[:-900], 1),
    ".jsonl": (jsonl, lambda whole: whole[:-9], 0),
    ".csv": (csv, opened, 1),
    ".csv.gz": (
        lambda *own: gzip.compress(csv(*own)),
        lambda whole: gzip.compress(opened(gzip.decompress(whole))),
        1,
    ),
    ".tsv.gz": (lambda *own: gzip.compress(csv(*own)), lambda whole: whole[:-900], 1),
    ".txt.gz": (lambda *own: gzip.compress(csv(*own)), lambda whole: whole[:-900], 0),
    ".parquet": (parquet, lambda whole: whole[:-9], 1),
    ".arrow": (arrow, lambda whole: whole[:90], 1),
    ".zip": (lambda *own: zipped({"a.txt": own[0].encode()}), lambda whole: whole[:-9], 1),
    ".tar.gz": (lambda *own: tarred({"a.csv": csv(*own)}), lambda whole: whole[:-900], 1),
}


def test_member_that_is_no_text_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("m/good.txt", "good")
        packed.writestr("m/bad.txt", b"caf\xe9")
    params = {"path": str(tmp_path / "a.zip")}
    given = files.Params.model_validate(params)
    pin = files.resolve(given)
    tasks = tasks_of("files", params, pin, files.fetch(given, pin, tmp_path))
    (row,) = quarantined(tasks, Store(f"memory://{tmp_path}"))
    assert (row["file"], row["native_id"]) == ("a.zip/m/bad.txt",) * 2


@pytest.mark.parametrize("id_column", [None, "key"])
@pytest.mark.parametrize("ending", BROKEN)
def test_broken_file_among_small_ones_is_named(
    tmp_path: Path, ending: str, id_column: str | None
) -> None:
    write, broken, rests = BROKEN[ending]
    for number in range(4):
        whole = write(*texts(number))
        (tmp_path / f"part-{number}{ending}").write_bytes(broken(whole) if number == 2 else whole)
    params = {"path": str(tmp_path / "part-*"), "id_column": id_column}
    given = files.Params.model_validate(params)
    pin = files.resolve(given)
    tasks = tasks_of("files", params, pin, files.fetch(given, pin, tmp_path))
    assert len(tasks) == 1
    store = Store(f"memory://{tmp_path}")
    rows = quarantined(tasks, store)
    assert {row["file"] for row in rows} == {f"part-2{ending}"}
    (shard,) = run_task(store, tasks[0])
    assert shard.facts["rests"] == rests
    found = balance([shard.facts["source"]], [shard], [])
    cut = {shard.facts["source"]: shard.facts["rests"]}
    alarms = loss_alarm(load_policy("quickstart"), found, cut)
    assert any("the rest of 1 streams could not be read" in each for each in alarms) == bool(rests)


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    ("member", "content"),
    [("b.csv", opened(CSV)), ("b.jsonl", b"{\n"), ("b.parquet", b"PAR1"), ("b.zip", zipped({}))],
)
def test_broken_member_is_named_with_its_archive(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes], member: str, content: bytes
) -> None:
    ending = ".zip" if pack is zipped else ".tar.gz"
    for number in range(3):
        members = {"a.csv": CSV, **({member: content} if number == 1 else {}), "c.csv": CSV}
        (tmp_path / f"part-{number}{ending}").write_bytes(pack(members))
    params = {"path": str(tmp_path / "part-*")}
    given = files.Params.model_validate(params)
    pin = files.resolve(given)
    tasks = tasks_of("files", params, pin, files.fetch(given, pin, tmp_path))
    rows = quarantined(tasks, Store(f"memory://{tmp_path}"))
    named = [row["native_id"] or row["file"] for row in rows]
    assert [row["file"].partition("/")[0] for row in rows] == [f"part-1{ending}"]
    assert [name.partition("@")[0] for name in named] == [f"part-1{ending}/{member}"]


def test_document_that_gives_no_text_is_named_by_its_file_though_it_has_an_id(
    tmp_path: Path,
) -> None:
    for number, text in enumerate(["a", "b", "\ud800", "d"]):
        (tmp_path / f"part-{number}.jsonl").write_bytes(jsonl(text))
    params = {"path": str(tmp_path / "part-*"), "id_column": "key"}
    given = files.Params.model_validate(params)
    pin = files.resolve(given)
    tasks = tasks_of("files", params, pin, files.fetch(given, pin, tmp_path))
    (row,) = quarantined(tasks, Store(f"memory://{tmp_path}"))
    assert row["file"] == "part-2.jsonl"
    assert row["native_id"].startswith("k-")


def kept(folder: Path, contents: dict[str, bytes]) -> tuple[Pin, Files]:
    """A pin of these files, and where they lie."""
    pins, found = [], {}
    for number, (name, content) in enumerate(contents.items()):
        path = folder / str(number)
        path.write_bytes(content)
        pins.append(PinnedFile(name, pinned(path).sha256, len(content)))
        found[name] = str(path)
    return Pin("1", tuple(pins)), found


RECORD = b'{"license_code": "CC BY", "is_pmc_openaccess": true, "is_retracted": false}'
SHARED: dict[str, tuple[str, dict[str, Json], dict[str, bytes], set[str]]] = {
    "books": (
        "gutenberg",
        {"languages": ["pt"]},
        {f"pt/pg{number}.txt": b"no book" for number in (7, 8, 9)},
        {"pt/pg7.txt", "pt/pg8.txt", "pt/pg9.txt"},
    ),
    "articles": (
        "pmc",
        {},
        {
            "PMC1.1.json": b"{", "PMC1.1.xml": b"<a/>",
            "PMC2.1.json": RECORD, "PMC2.1.xml": b"<a",
        },
        {"PMC1.1.json", "PMC2.1.xml"},
    ),
    "web archives": (
        "warc",
        {"urls": [f"https://example.org/{name}.warc.gz" for name in "ab"]},
        {f"{name}.warc.gz": gzip.compress(b"WARC/1.0\r\n" * 99)[:-4] for name in "ab"},
        {"a.warc.gz", "b.warc.gz"},
    ),
    "translations": (
        "opus",
        {"corpus": "Haki", "release": "v1", "form": "moses", "languages": {"hi": "hi", "sw": "sw"}},
        {"moses/hi-sw.txt.zip": zipped({"Haki.hi-sw.hi": bytes(2**27), "Haki.hi-sw.sw": b"a\n"})},
        {"moses/hi-sw.txt.zip/Haki.hi-sw.hi"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_connector_names_what_it_could_not_read(tmp_path: Path, name: str) -> None:
    connector, params, contents, named = SHARED[name]
    tasks = tasks_of(connector, params, *kept(tmp_path, contents))
    rows = quarantined(tasks, Store(f"memory://{tmp_path}"))
    assert {row["file"] for row in rows} == named


@pytest.mark.parametrize("found", [Fault(None, 3, "broken"), "documents"])
def test_connector_that_reads_several_files_and_does_not_say_which_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Fault | str
) -> None:
    batch = pa.RecordBatch.from_pydict(
        {"native_id": ["a"], "content": [b"a"], "media_type": ["text/plain"]}
    )

    def read(*_: Any) -> Iterator[pa.RecordBatch | Fault]:
        yield batch if isinstance(found, str) else found

    fake = SimpleNamespace(Params=files.Params, read=read)
    monkeypatch.setattr(extraction, "find_connector", lambda _: fake)
    unguard(monkeypatch)

    def run(*names: str) -> None:
        refs = {}
        for name in names:
            path = tmp_path / name
            path.write_bytes(b"")
            refs[name] = Ref(str(path), EMPTY, 0)
        work = ingest.IngestWork(
            source="s", connector="fake", params={"path": "x"}, split=Split("only", {}),
            place=("", ()), limits=Limits(), files=refs,
        )  # fmt: skip
        ingest.run(Store("memory://refused"), "k", work)

    run("a.txt")
    with pytest.raises(StageError, match=r"reads 2 files and .* `met_in`"):
        run("a.txt", "b.txt")


def test_faults_beyond_very_many_are_counted_by_file_and_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "NAMED_FAULTS", 3)
    reading = ingest.Ingested("s", "all")
    for number in range(10):
        reading.fault("a.jsonl", f"a#{number}", number, "not JSON")
        reading.fault("b.jsonl", f"b#{number}", number, "not JSON", records=2)
    columns = ("file", "native_id", "offset", "records")
    told = [tuple(row[name] for name in columns) for row in reading.faults]
    named = [("a.jsonl", "a#0", 0, 1), ("b.jsonl", "b#0", 0, 2), ("a.jsonl", "a#1", 1, 1)]
    assert told == [*named, ("b.jsonl", None, -1, 18), ("a.jsonl", None, -1, 8)]
    assert {row["reason"] for row in reading.faults} == {"not JSON"}
