"""What is beyond a limit is told and left out, all else goes on, and a recipe can raise it."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import guarded_work
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tiny_workspace import ARTICLES, change_recipe, make_workspace, new_root, recipe_of, run_tiny

from phloem.catalog.manifest import Ref, Shard, read_arrow, read_parquet
from phloem.catalog.store import Store
from phloem.pipeline.docs import tables as docs_tables
from phloem.pipeline.engines.local import end_larger, open_pool, own_bytes
from phloem.pipeline.reading import Reading
from phloem.pipeline.recipe import RecipeError
from phloem.pipeline.stage import Task
from phloem.pipeline.stages import ingest, run_task
from phloem.sources.cards.source import Access, Source, local_card
from phloem.sources.connector import Fault, Files, Pin, Split, find_connector
from phloem.sources.connectors import files
from phloem.sources.formats import text_lines
from phloem.sources.limits import Limits

MIB = 2**20
DEFAULT = Limits()


# The model ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", Limits.model_fields)
def test_limit_names_its_unit_has_a_reason_and_stands_in_the_docs(name: str) -> None:
    field = Limits.model_fields[name]
    assert name.endswith(("_bytes", "_seconds", "_members", "_ratio"))
    assert len(field.description or "") > 80
    page = Path(__file__).parents[2] / "docs" / "limits.md"
    assert f"\n| `{name}` | {docs_tables.amount(name, field.default)} |" in page.read_text("utf-8")


@pytest.mark.parametrize("name", Limits.model_fields)
@pytest.mark.parametrize("value", [0, -1, 1.5, "1", True, None])
def test_limit_that_is_no_positive_whole_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        Limits.model_validate({name: value})


def test_limits_that_decide_what_is_read_are_all_but_those_of_a_task() -> None:
    assert Limits.model_fields.keys() - DEFAULT.deciding().keys() == {"task_seconds", "task_bytes"}


def test_recipe_with_a_limit_misspelt_names_the_nearest(tmp_path: Path) -> None:
    folder = make_workspace(tmp_path)
    change_recipe(folder, "tokenizer:", "limits: {document_byte: 5}\ntokenizer:")
    with pytest.raises(RecipeError, match=r"limits\.document_byte: .*mean document_bytes"):
        recipe_of(folder)


# A source, read whole -----------------------------------------------------------------------------
def card_of(connector: str, params: dict[str, Any]) -> Source:
    """A card that reads by this connector."""
    access = Access(connector=connector, params=params)
    return local_card("unused").model_copy(update={"access": access})


def tasks_of(
    card: Source, pin: Pin, found: Files, splits: list[Split], limits: Limits
) -> list[Task]:
    """The tasks that read a source."""
    return ingest.tasks(reading_of(card, pin, found, splits), ("", ()), limits)


def reading_of(card: Source, pin: Pin, found: Files, splits: list[Split]) -> Reading:
    """A source whose files are a user's own."""
    refs = {each.name: Ref(found[each.name], each.sha256, each.bytes) for each in pin.files}
    return Reading(card, pin, tuple(splits), refs)


def read_whole(folder: Path, params: dict[str, Any], limits: Limits) -> tuple[list[str], list[str]]:
    """Names of the documents of a folder's files, and the reasons of what is in quarantine."""
    given = files.Params(path=str(folder), **params)
    pin = files.resolve(given)
    found = files.fetch(given, pin, folder)
    card = card_of("files", {"path": str(folder), **params})
    return run_all(tasks_of(card, pin, found, files.splits(given, pin, found), limits), folder.name)


def run_all(tasks: list[Task], name: str) -> tuple[list[str], list[str]]:
    """Do tasks in this process: what was read is in the documents or in quarantine."""
    store = Store(f"memory://limits-{name}")
    names, reasons, read = [], [], 0
    for task in tasks:
        (shard,) = run_task(store, task)
        names += [name for file in texts(shard) for name in _names(store, file)]
        rows = read_parquet(store, shard.path("quarantine.parquet")).to_pylist()
        reasons += [row["reason"] for row in rows for _ in range(row["records"])]
        read += shard.facts["read"]
    assert read == len(names) + len(reasons)
    return names, reasons


def texts(shard: Shard) -> list[str]:
    """Where a shard's text files lie."""
    return [shard.path(file.name) for file in shard.files if file.name.startswith("text-")]


def _names(store: Store, path: str) -> list[str]:
    table = read_arrow(store, path).read_all()
    return [str(name) for name in table["native_id"].to_pylist()]


def jsonl(*records: str) -> bytes:
    return "".join(
        json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in records
    ).encode()


def _gzip_bomb() -> dict[str, bytes]:
    return {"a.jsonl.gz": gzip.compress(jsonl("first", *["0" * 8 * MIB] * 9, "last"))}


def _long_stream() -> dict[str, bytes]:
    return {"a.jsonl.gz": gzip.compress(jsonl("first", *["0" * MIB] * 9, "last"))}


def _long_line() -> dict[str, bytes]:
    return {"a.jsonl": jsonl("first", ARTICLES["th"] * 40_000, "last")}


def _long_block() -> dict[str, bytes]:
    lines = f"{ARTICLES['hi']}\n" * 10_000
    return {"a.txt": f"first\n\n{lines}\nlast\n".encode()}


def _long_cell() -> dict[str, bytes]:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["first", ARTICLES["zh"] * 20_000, "last"]}), out)
    return {"a.parquet": out.getvalue()}


def _long_group() -> dict[str, bytes]:
    out = io.BytesIO()
    table = pa.table({"text": ["first", "x", *[f"{n} {ARTICLES['ar']}" for n in range(98)]]})
    with pq.ParquetWriter(out, table.schema, use_dictionary=False) as writer:
        writer.write_table(table[:2])
        writer.write_table(table[2:])
    return {"a.parquet": out.getvalue()}


def _long_text(unit: str, size: int) -> Callable[[], dict[str, bytes]]:
    many = size // len(unit.encode()) + 1
    return lambda: {"a.jsonl": jsonl("first", unit * many, "last")}


PLANTED: dict[str, tuple[Callable[[], dict[str, bytes]], Limits, list[str], Limits]] = {
    "gzip bomb": (
        _gzip_bomb,
        DEFAULT,
        ["gzip unpacks to more than 250 times its size (limits.unpacked_ratio)"],
        Limits(unpacked_ratio=1100),
    ),
    "long stream": (
        _long_stream,
        Limits(unpacked_ratio=1100, stream_bytes=2 * MIB),
        ["gzip unpacks to more than 2097152 bytes (limits.stream_bytes)"],
        Limits(unpacked_ratio=1100, stream_bytes=10 * MIB),
    ),
    "long line": (
        _long_line,
        Limits(record_bytes=MIB),
        ["record larger than 1048576 bytes (limits.record_bytes)"],
        Limits(record_bytes=20 * MIB),
    ),
    "long block": (
        _long_block,
        Limits(record_bytes=MIB),
        ["record larger than 1048576 bytes (limits.record_bytes)"],
        Limits(record_bytes=20 * MIB),
    ),
    "long cell": (
        _long_cell,
        Limits(record_bytes=MIB),
        ["record larger than 1048576 bytes (limits.record_bytes)"],
        Limits(record_bytes=20 * MIB),
    ),
    "long row group": (
        _long_group,
        Limits(row_group_bytes=4000),
        ["row group larger than 4000 bytes (limits.row_group_bytes)"] * 98,
        Limits(row_group_bytes=MIB),
    ),
    **{
        f"long text in {script}": (
            _long_text(unit, size),
            Limits(document_bytes=size),
            [f"document larger than {size} bytes (limits.document_bytes)"],
            Limits(document_bytes=size + len(unit.encode())),
        )
        for script, unit, size in (
            ("Han", ARTICLES["zh"], 4 * MIB),
            ("Arabic", ARTICLES["ar"], MIB),
            ("emoji", "👩🏽‍🚀🌍", MIB),
        )
    },
}


@pytest.mark.parametrize("name", PLANTED)
def test_source_with_too_much_of_something_gives_the_rest_and_says_why(
    tmp_path: Path, name: str
) -> None:
    planted, limits, reasons, raised = PLANTED[name]
    folder = tmp_path / name.replace(" ", "-")
    folder.mkdir()
    for file, content in planted().items():
        (folder / file).write_bytes(content)
    other = "z.txt" if name == "long block" else f"z.{next(iter(planted())).partition('.')[2]}"
    small = {"txt": b"other\n", "parquet": _small_parquet(), "jsonl": jsonl("other")}
    kind = other.split(".")[1]
    (folder / other).write_bytes(
        gzip.compress(small[kind]) if other.endswith(".gz") else small[kind]
    )
    params = {"documents": "paragraph"} if name == "long block" else {}
    names, told = read_whole(folder, params, limits)
    assert told == reasons
    assert any(each.startswith("a.") for each in names)
    assert names[-1].startswith("z.")
    more, none = read_whole(folder, params, raised)
    assert none == []
    assert set(names) < set(more)


def _small_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["other"]}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("members", "limits", "reasons", "raised"),
    [
        (
            {f"{n:02}.txt": bytes(6 * MIB) for n in range(12)},
            DEFAULT,
            ["archive unpacks to more than 250 times its size (limits.unpacked_ratio)"],
            Limits(unpacked_ratio=1100),
        ),
        (
            {f"{n:03}.txt": f"page {n}".encode() for n in range(150)},
            Limits(archive_members=100),
            ["more than 100 members (limits.archive_members)"],
            DEFAULT,
        ),
        (
            {"a.txt": b"a", "b.txt": ARTICLES["hi"].encode() * 10_000, "c.txt": b"c"},
            Limits(member_bytes=MIB),
            ["member larger than 1048576 bytes (limits.member_bytes)"],
            DEFAULT,
        ),
    ],
    ids=["zip bomb", "members", "large member"],
)
def test_package_with_too_much_of_something_gives_the_rest_and_says_why(
    tmp_path: Path, members: dict[str, bytes], limits: Limits, reasons: list[str], raised: Limits
) -> None:
    connector = find_connector("pypi")
    found, pins = {}, []
    for package, held in (("pack", members), ("small", {"z.txt": b"other"})):
        path = tmp_path / f"{package}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in held.items():
                archive.writestr(name, content)
        found[path.name] = str(path)
        pins.append(_pinned(path))
    params = {"packages": ["pack", "small"]}
    given, pin = connector.Params.model_validate(params), Pin("1", tuple(pins))
    splits = connector.splits(given, pin, found)

    def read(under: Limits) -> tuple[list[str], list[str]]:
        tasks = tasks_of(card_of("pypi", params), pin, found, splits, under)
        return run_all(tasks, str(under))

    names, told = read(limits)
    assert told == reasons
    assert (names[0], names[-1]) == (f"pack/{next(iter(members))}", "small/z.txt")
    more, none = read(raised)
    assert (len(more), none) == (len(members) + 1, [])
    assert set(names) < set(more)


def _pinned(path: Path) -> Any:
    from phloem.sources.clients.clients import pinned

    return pinned(path)


def test_line_of_200_megabytes_is_passed_over_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(jsonl("first") + b'{"text": "')
        for _ in range(200):
            file.write("人".encode() * (MIB // 3))
        file.write(b'"}\n' + jsonl("last"))
    tracemalloc.start()
    with path.open("rb") as file:
        found = list(text_lines.lines(file, None, Limits(record_bytes=4 * MIB)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [isinstance(line, Fault) for line in found] == [False, True, False]
    assert peak < 20 * MIB


# A whole run --------------------------------------------------------------------------------------
def test_run_with_a_low_limit_balances_and_one_raised_keeps_more(tmp_path: Path) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")
    low = len(ARTICLES["hi"].encode()) - 1
    counts = []
    for limit in (low, low + 1):
        change_recipe(folder, "tokenizer:", f"limits: {{document_bytes: {limit}}}\ntokenizer:")
        counts.append(run_tiny(folder, root)["balance"])
        change_recipe(folder, f"limits: {{document_bytes: {limit}}}\n", "")
    for balance in counts:
        for each in balance.values():
            assert each["read"] == each["kept"] + each["dropped"] + each["quarantined"]
    first, raised = (balance["first"] for balance in counts)
    assert first["read"] == raised["read"] == 9
    assert first["quarantined"] > raised["quarantined"] >= 1  # one line is no JSON
    assert first["kept"] < raised["kept"]


def test_limits_of_a_task_redo_nothing_and_the_others_read_again(tmp_path: Path) -> None:
    folder, root = make_workspace(tmp_path / "workspace"), new_root(tmp_path / "root")

    def ingested(limits: str) -> int:
        change_recipe(folder, "tokenizer:", f"limits: {limits}\ntokenizer:")
        record = run_tiny(folder, root)
        change_recipe(folder, f"limits: {limits}\n", "")
        return next(s["tasks"] - s["cached"] for s in record["stages"] if s["stage"] == "ingest")

    assert ingested("{}") == 2
    assert ingested("{task_seconds: 77, task_bytes: 999999999}") == 0
    assert ingested("{archive_members: 77}") == 2


# Tasks --------------------------------------------------------------------------------------------
@contextmanager
def heavy_tasks(folder: Path, contents: dict[str, str]) -> Iterator[Callable[[Limits], list[Task]]]:
    """The tasks that read one file each by the extractor `heavy` of a workspace."""
    (folder / "heavy_ops.py").write_text(guarded_work.HEAVY, encoding="utf-8")
    for name, text in contents.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    params = {"path": str(folder / "*.txt"), "media_type": "text/x-heavy"}
    given = files.Params.model_validate(params)
    pin = files.resolve(given)
    found = files.fetch(given, pin, folder)
    parts = [
        Split(f.name, {"parts": [[f.name, 0, None]], "bytes": [f.bytes]}, (f.name,))
        for f in pin.files
    ]
    reading = reading_of(card_of("files", params), pin, found, parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield lambda limits: ingest.tasks(reading, (str(folder), ("heavy_ops",)), limits)


@pytest.mark.beam
def test_task_too_long_fails_alone_and_passes_when_raised(tmp_path: Path) -> None:
    contents = {"day": "sleep 15", "big": f"hold {600 * MIB}", "hi": "नमस्ते", "zh": "你好 👋🏽"}
    low = Limits(task_seconds=12)
    high = Limits(task_seconds=600)
    root = tmp_path / "root"
    (tmp_path / "in").mkdir()
    done: dict[str, Shard] = {}
    with heavy_tasks(tmp_path / "in", contents) as tasks:
        with open_pool(str(root), 2, low) as pool:
            failures = pool.run(
                "ingest", tasks(low), lambda task, made: done.update({task.label: made[0]})
            )
        assert sorted(done) == ["local big.txt", "local hi.txt", "local zh.txt"]
        assert {failure.task.label: failure.reason for failure in failures} == {
            "local day.txt": "took longer than 12 seconds (limits.task_seconds)",
        }
        left = [failure.task for failure in failures]
        assert {task.makes for task in left} < {task.makes for task in tasks(high)}
        with open_pool(str(root), 2, high) as pool:
            assert (
                pool.run("ingest", left, lambda task, made: done.update({task.label: made[0]}))
                == []
            )
    assert sorted(done) == ["local big.txt", "local day.txt", "local hi.txt", "local zh.txt"]
    assert {label: made.facts["quarantined"] for label, made in done.items()} == {
        "local big.txt": 1, "local day.txt": 0, "local hi.txt": 0, "local zh.txt": 0,
    }  # fmt: skip


@pytest.mark.beam
def test_worker_that_needs_too_much_memory_is_ended_and_its_task_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    low = Limits(task_bytes=20 * MIB)  # a worker with Beam holds more
    with (
        heavy_tasks(tmp_path / "in", {"day": "sleep 20"}) as tasks,
        open_pool(str(tmp_path / "root"), 1, low) as pool,
    ):
        (failure,) = pool.run("ingest", tasks(low), lambda *_: None)
    assert failure.reason == f"needed more than {20 * MIB} bytes (limits.task_bytes)"


def test_own_bytes_leaves_out_mapped_files(tmp_path: Path) -> None:
    me = psutil.Process()
    path = tmp_path / "a.arrow"
    path.write_bytes(b"x" * 100 * MIB)
    before = own_bytes(me)
    with pa.memory_map(str(path)) as mapped:
        assert mapped.read_buffer().to_pybytes().count(b"x") == 100 * MIB
        mapped.seek(0)
        view = memoryview(mapped.read_buffer())
        assert sum(view[::4096]) > 0
        assert own_bytes(me) - before < 80 * MIB


def test_end_larger_touches_nobody_who_is_not_at_work(tmp_path: Path) -> None:
    with psutil.Popen(["sleep", "60"]) as idle:
        try:
            assert end_larger(1, tmp_path) == set()
            assert idle.is_running()
            (tmp_path / str(idle.pid)).touch()
            assert end_larger(2**40, tmp_path) == set()
            assert end_larger(1, tmp_path) == {idle.pid}
            assert idle.wait(10) != 0
        finally:
            if idle.is_running():
                idle.kill()
