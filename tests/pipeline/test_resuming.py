"""Wherever a child ends: each record once and in order, as a plain reading gives them."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unguarded import EndedError, unguard

from phloem.catalog.columns import CONTENT, TEXT
from phloem.filters.op import op
from phloem.pipeline import extraction
from phloem.pipeline.extraction import Asked, extract
from phloem.pipeline.guard import overrun
from phloem.sources import records
from phloem.sources.connector import Fault, Split
from phloem.sources.formats import read_files
from phloem.sources.limits import Limits

LIMITS = Limits()
HOW = ["seconds", "memory", "SIGKILL", "no memory", "still"]
Rows = list[str | None]  # the text of each record; None for one that is no JSON
Cuts = dict[str, tuple[int, str]]  # after how many batches and faults reading a file ends, and how

words = st.sampled_from(["добре", "நல்ல", "", *(f"end {how}" for how in HOW)])
tables = st.lists(st.none() | words, max_size=9)
archives = st.dictionaries(st.sampled_from(["a.jsonl", "b.txt", "c.jsonl"]), tables, max_size=3)
contents = st.dictionaries(
    st.sampled_from(["m.jsonl", "n.jsonl", "o.json", "p.zip", "q.jsonl"]),
    st.tuples(tables, archives, st.none() | st.tuples(st.integers(0, 3), st.sampled_from(HOW))),
    min_size=1,
)


@op(reads=(CONTENT,), writes=(TEXT,), media_types=("text/plain",))
def heavy(batch: pa.RecordBatch) -> list[pa.Array]:
    for content in batch[CONTENT.name].to_pylist():
        if content.startswith(b"end "):
            raise EndedError(content.decode()[4:])
    return [batch[CONTENT.name].cast(pa.string())]


def _lines(rows: Rows) -> bytes:
    lines = ["{" if row is None else json.dumps({"text": row}) for row in rows]
    return "\n".join(["", *lines, ""]).encode()


def _content(name: str, rows: Rows, members: dict[str, Rows]) -> bytes:
    if name.endswith("json"):
        return json.dumps([{"text": row} for row in rows]).encode()
    if not name.endswith("zip"):
        return _lines(rows)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for member, own in members.items():
            text = "\n".join(filter(None, own[:1])).encode()
            archive.writestr(member, text if member.endswith("txt") else _lines(own))
    return held.getvalue()


def _read(cuts: Cuts, *, is_plain: bool) -> Any:
    """`read_files._read` that ends at each cut: with a fault that says so, or as a process does."""
    real = read_files._read

    def read(params: Any, kind: str, part: Any, path: str, limits: Any) -> Iterator[Any]:
        number, how = cuts.get(part[0], (-1, ""))
        found = real(params, kind, part, path, limits)
        while number and (each := next(found, None)) is not None:
            yield each
            number -= 1
        if not number and is_plain:
            yield Fault(None, -1, f"reading {overrun(how, 'reading', LIMITS)}", rest=True)
        elif not number:
            raise EndedError(how)

    return read


def _plainly(asked: Asked) -> tuple[list[Any], list[Fault]]:
    """What stands in the files, record by record."""
    texts, faults = [], []
    params = read_files.Format.model_validate({"documents": "file"})
    for each in read_files.read(params, asked.split, asked.files, LIMITS):
        if isinstance(each, Fault):
            faults.append(each)
            continue
        file = extraction.file_of(each)
        for row in each.to_pylist():
            name, text = row["native_id"], row["content"].decode()
            if text.startswith("end "):
                reason = overrun(text[4:], "record", LIMITS)
                own = name if name.startswith(f"{file}/") else file
                faults.append(Fault(name, -1, reason, file=own))
            else:
                texts.append((name, text))
    return texts, faults


@settings(max_examples=150)
@given(contents)
@example({"m.jsonl": (["a", "end seconds", "end memory"], {}, None)})
@example({"m.jsonl": (["a"], {}, (0, "SIGKILL")), "n.jsonl": (["end still"], {}, (1, "seconds"))})
@example({"p.zip": ([], {"a.jsonl": ["a"], "b.txt": ["b"], "c.jsonl": ["end seconds"]}, None)})
def test_records_that_end_the_process_and_files_that_do_leave_all_others(held: Any) -> None:
    cuts = {
        f"{name}/a.jsonl" if name.endswith("zip") and cut[0] else name: cut
        for name, (_, _, cut) in held.items()
        if cut
    }
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        unguard(patch)
        patch.setattr(extraction, "extractors", lambda _: {"text/plain": heavy})
        patch.setattr(extraction, "SLICE_BYTES", 20)
        patch.setattr(extraction, "MOST_OVERRUNS", 1000)
        patch.setattr(records, "BATCH_ROWS", 3)
        for name, (rows, members, _) in held.items():
            Path(folder, name).write_bytes(_content(name, rows, members))
        files = {name: f"{folder}/{name}" for name in held}
        sizes = [Path(path).stat().st_size for path in files.values()]
        spec = {"parts": [[name, 0, None] for name in files], "bytes": sizes}
        split = Split("all", spec, tuple(files))
        params = {"path": [*files.values()], "documents": "file"}
        asked = Asked("s", "files", params, split, files, LIMITS)
        with pytest.MonkeyPatch.context() as plain:
            plain.setattr(read_files, "_read", _read(cuts, is_plain=True))
            texts, faults = _plainly(asked)
        patch.setattr(read_files, "_read", _read(cuts, is_plain=False))
        found = list(extract(asked))
    rows = [row for each in found if each.rows for row in each.rows.to_pylist()]
    assert [(row["native_id"], row["text"]) for row in rows] == texts
    assert [fault for each in found for fault in each.faults] == faults
    assert sum(each.read for each in found) == len(texts) + len(faults)
