"""Benchmarks: MB of text per CPU second of every op and of a whole run, beside peers.

Machines drift by a factor of two: only ratios from one run count.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from phloem.catalog.columns import (
    CONTENT,
    DECLARED_LANGUAGE,
    DECLARED_LANGUAGES,
    ID,
    LANGUAGE,
    MEDIA_TYPE,
    NATIVE_ID,
    SOURCE,
    TEXT,
    URL,
    schema,
)
from phloem.catalog.handoff.tokenizer import Encoded, find_end, library_encoder, train_tokenizer
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.catalog.tags import NO_LANGUAGE
from phloem.filters.bpe import kernel_encoder
from phloem.filters.counted import FREQUENT, counted
from phloem.filters.language_models import LID
from phloem.filters.op import COUNTED, EXTRACTOR, OCCURRENCES, Op, find_op, ops
from phloem.pipeline.bench.classifying import ROW as MODEL
from phloem.pipeline.bench.classifying import model_row
from phloem.pipeline.registry.models import models
from phloem.pipeline.request import OwnFiles, find_request
from phloem.pipeline.run import run
from phloem.pipeline.stage import StageError
from phloem.pipeline.stages.ingest import document_id
from phloem.pipeline.watch.progress import Progress

COLUMNS = ("row", "MB", "MB/s", "peer", "peer MB/s", "ratio", "agrees")
BATCH_ROWS = 2000
EDITED = 300  # documents whose edited copies are compared
VOCAB_SIZE = 50_000
PEER_BYTES = 2_000_000  # a plain-Python peer is measured on this much of the sample
CODE = "code"
TOKENIZE = "tokenize"
WHOLE = "whole run"

TYPES = ("text/html", "text/plain", "text/x-wiki")
INPUT = (
    *(ID, SOURCE, NATIVE_ID, URL, MEDIA_TYPE, CONTENT, TEXT),
    *(DECLARED_LANGUAGE, DECLARED_LANGUAGES),
)


def bench(data: Path, *, names: Sequence[str], repeat: int, peers: bool) -> list[dict[str, Json]]:
    """One row for each op, one each for the language model, tokenizing and the whole run.

    Args:
        data: Folder of jsonl.gz files with id, text and lang.
        names: Rows to measure; all if empty.
        repeat: Passes, of which the best counts.
        peers: Measure the peers that are installed too.

    Raises:
        StageError: the folder holds no sample, or a name is no row.
    """
    # What a list names is of no speed without a list.
    measured = {name: op for name, op in ops().items() if _type_for(op) and not op.list_keys}
    known = [*measured, MODEL, TOKENIZE, WHOLE]
    for name in names:
        if name not in known:
            raise StageError(f"no bench row named {name!r}; {nearest(name, known)}")
    batches = sample(data)
    size = sum(_text_bytes(batch) for batch in batches)
    rows = []
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as folder:
        store = Store(folder)
        paths = _paths(store, [find_op(name, {}) for name in ops()])
        batches = _prepared(batches, paths)
        for name, op in measured.items():
            if not names or name in names:
                own = {**paths, **_counted(op, batches, folder)}
                rows.append(_op_row(op, batches, own, size, repeat, peers=peers))
        if not names or MODEL in names:
            rows.append(model_row(batches, paths[LID.name], repeat, peers=peers))
        if not names or TOKENIZE in names:
            rows.append(_tokenize_row(batches, folder, size, repeat, peers=peers))
        if not names or WHOLE in names:
            rows.append(_whole_row(data, folder, size))
    return rows


def records_of(data: Path) -> list[dict[str, Json]]:
    """The sample's documents: id, text and, if known, lang. Raises StageError if there is none."""
    files = sorted(data.glob("**/*.jsonl.gz"))
    if not files:
        raise StageError(f"{data} holds no *.jsonl.gz to measure on")
    records = []
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            records += [json.loads(line) for line in lines]
    return records


def sample(data: Path) -> list[pa.RecordBatch]:
    """The sample as batches of the columns that ops read."""
    records = records_of(data)
    made = []
    for start in range(0, len(records), BATCH_ROWS):
        part = records[start : start + BATCH_ROWS]
        texts = [record["text"] for record in part]
        arrays = [
            pa.array([document_id("bench", str(record["id"])) for record in part]),
            pa.array(["bench"] * len(part)),
            pa.array([str(record["id"]) for record in part]),
            pa.nulls(len(part), URL.type),
            pa.array(["text/plain"] * len(part)),
            pa.array([text.encode() for text in texts], pa.binary()),
            pa.array(texts),
            pa.array([record.get("lang") for record in part], DECLARED_LANGUAGE.type),
            pa.array([[record.get("lang") or "und"] for record in part], DECLARED_LANGUAGES.type),
        ]
        made.append(pa.RecordBatch.from_arrays(arrays, schema=schema(INPUT)))
    return made


def _text_bytes(batch: pa.RecordBatch) -> int:
    return int(pc.sum(pc.binary_length(batch[TEXT.name])).as_py() or 0)


def _paths(store: Store, needed: Sequence[Op]) -> dict[str, str]:
    found = models(store, needed, lambda _: None)
    return {name: ref.on_this_machine(store) for name, ref in found.items()}


def _prepared(batches: Sequence[pa.RecordBatch], paths: Mapping[str, str]) -> list[pa.RecordBatch]:
    """The batches with the language column, which other ops read."""
    op = find_op("language", {})
    made = []
    for batch in batches:
        arrays = [*batch.columns, *op(batch, paths).arrays]
        fields = [*batch.schema, *(column.field for column in op.writes)]
        made.append(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)))
    return made


def _counted(op: Op, batches: Sequence[pa.RecordBatch], folder: str) -> dict[str, str]:
    """The file of what is frequent in the sample, for an op that counts; nothing for another."""
    if op.counts is None:
        return {}
    hashes, counts = counted(np.concatenate([op.hashes(batch) for batch in batches]))
    frequent = hashes[counts >= {**op.defaults, **op.params}[OCCURRENCES]]
    path = f"{folder}/{op.name}.parquet"
    pq.write_table(pa.table([frequent], schema=FREQUENT), path)
    return {COUNTED: path}


def _done(op: Op, batch: pa.RecordBatch, paths: Mapping[str, str]) -> Any:
    """An op's output for a batch; one that counts counts it first."""
    if op.counts is not None:
        op.hashes(batch)
    return op(batch, paths)


def _op_row(
    op: Op,
    batches: Sequence[pa.RecordBatch],
    paths: Mapping[str, str],
    size: int,
    repeat: int,
    *,
    peers: bool,
) -> dict[str, Json]:
    if op.name == CODE:
        batches = [_as_code(batch) for batch in batches]
    for batch in batches[:1]:
        op(batch, paths)  # compiles kernels and loads models outside the clock
    if op.kind == EXTRACTOR:
        batches = [_of_type(batch, str(_type_for(op))) for batch in batches]
    seconds = min(
        _cpu(lambda: [_done(op, batch, paths) for batch in batches]) for _ in range(repeat)
    )
    row = _row(op.name, size, seconds)
    peer = _peer(op, paths) if peers else None
    if peer is None:
        return row
    own = functools.partial(op, paths=paths)
    return row | _beside(peer, own, _part(batches), repeat, min(repeat, 2))


def _row(name: str, size: int, seconds: float, digits: int = 1) -> dict[str, Json]:
    return {"row": name, "MB": round(size / 1e6, 1), "MB/s": round(size / 1e6 / seconds, digits)}


def _beside(
    peer: Peer, own: Work, part: Sequence[pa.RecordBatch], repeat: int, peer_repeat: int
) -> dict[str, Json]:
    """A peer and what we have for it, on some batches, each by the best of so many passes."""
    name, function, compare = peer
    ours: list[Any] = []
    theirs: list[Any] = []
    own_seconds = min(_cpu(lambda: ours.append([own(b) for b in part])) for _ in range(repeat))
    peer_seconds = min(
        _cpu(lambda: theirs.append([function(b) for b in part])) for _ in range(peer_repeat)
    )
    part_size = sum(map(_text_bytes, part))
    return {
        "peer": name,
        "peer MB/s": round(part_size / 1e6 / peer_seconds, 2),
        "ratio": round(peer_seconds / own_seconds, 1),
        "agrees": compare(ours[-1], theirs[-1], part),
    }


def _type_for(op: Op) -> str | None:
    """The media type of which a sample of texts can be handed to an op; None if there is none.

    The texts have none of the markup of an article or a catalogue: of these no speed is known.
    """
    if op.kind != EXTRACTOR:
        return "text/plain"
    return next((kind for kind in TYPES if kind in op.media_types), None)


def _as_code(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as if it were in no human language: of all else `code` measures nothing."""
    place = batch.schema.get_field_index(LANGUAGE.name)
    tags = pa.array([NO_LANGUAGE] * batch.num_rows, LANGUAGE.type)
    return batch.set_column(place, LANGUAGE.field, tags)


def _of_type(batch: pa.RecordBatch, kind: str) -> pa.RecordBatch:
    """The batch as content of a media type: for HTML, each line becomes a paragraph."""
    place = batch.schema.get_field_index(MEDIA_TYPE.name)
    batch = batch.set_column(place, MEDIA_TYPE.field, pa.array([kind] * batch.num_rows))
    if kind != "text/html":
        return batch
    place = batch.schema.get_field_index(CONTENT.name)
    pages = []
    for text in batch[TEXT.name].to_pylist():
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        body = "".join(f"<p>{line}</p>\n" for line in escaped.split("\n"))
        pages.append(f"<!doctype html><title>t</title><body>{body}</body>".encode())
    return batch.set_column(place, CONTENT.field, pa.array(pages, pa.binary()))


def _cpu(work: Callable[[], Any]) -> float:
    before = time.process_time()
    work()
    return max(time.process_time() - before, 1e-9)


def _part(batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Rows spread over the sample, about `PEER_BYTES` of text."""
    size = sum(_text_bytes(batch) for batch in batches)
    step = max(1, size // PEER_BYTES)
    return [batch.take(pa.array(range(0, batch.num_rows, step))) for batch in batches]


Work = Callable[[pa.RecordBatch], Any]
Compare = Callable[[Any, Any, Sequence[pa.RecordBatch]], str]
Peer = tuple[str, Work, Compare]


def _peer(op: Op, paths: Mapping[str, str]) -> Peer | None:
    """The strongest peer of an op that is installed here: a library, else its reference."""
    if op.name == "minhash" and importlib.util.find_spec("datasketch"):
        return "datasketch", _datasketch, _same_jaccard(op)
    if op.name == "language":
        return "fasttext predict", _fasttext(paths["lid.176.ftz"]), _same_labels
    if op.reference is None:
        return None
    reference = op.reference

    def run(batch: pa.RecordBatch) -> Any:
        columns = [column.name for column in op.reads]
        return reference(batch.select(columns), **op.arguments(paths))

    return "plain Python", run, _same_arrays


def _same_arrays(ours: Any, theirs: Any, _part: Sequence[pa.RecordBatch]) -> str:
    same = all(
        left.equals(right)
        for mine, other in zip(ours, theirs, strict=True)
        for left, right in zip(mine.arrays, getattr(other, "arrays", other), strict=True)
    )
    return "exactly" if same else "NO"


def _datasketch(batch: pa.RecordBatch) -> list[np.ndarray]:
    from datasketch import MinHash

    found = []
    for text in batch[TEXT.name].to_pylist():
        words = text.lower().split()
        signature = MinHash(num_perm=112)
        signature.update_batch(
            {" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))}
        )
        found.append(signature.hashvalues)
    return found


def _same_jaccard(op: Op) -> Compare:
    """How far both estimates of a document's likeness to an edited copy of it lie apart."""

    def compare(_ours: Any, _theirs: Any, part: Sequence[pa.RecordBatch]) -> str:
        texts = [text for batch in part for text in batch[TEXT.name].to_pylist()][:EDITED]
        pairs = [(text, _edited(text)) for text in texts]
        gaps = []
        for pair in pairs:
            batch = pa.RecordBatch.from_pydict({TEXT.name: list(pair)})
            left, right = op(batch).arrays[0].to_pylist()
            if left is None or right is None:
                continue
            mine = np.mean(np.frombuffer(left, "<u4") == np.frombuffer(right, "<u4"))
            first, second = _datasketch(batch)
            gaps.append(abs(float(mine) - float(np.mean(first == second))))
        return f"estimates of {len(gaps)} edited pairs within {np.mean(gaps):.3f}"

    return compare


def _edited(text: str) -> str:
    """The text with every fortieth word replaced: a near duplicate."""
    words = text.split(" ")
    return " ".join(word if place % 40 else "other" for place, word in enumerate(words))


def _fasttext(path: str) -> Callable[[pa.RecordBatch], list[str]]:
    import fasttext

    model = fasttext.load_model(path)

    def run(batch: pa.RecordBatch) -> list[str]:
        labels = []
        for text in batch[TEXT.name].to_pylist():
            found, _ = model.predict(text.replace("\n", " "))
            labels.append(found[0].removeprefix("__label__") if found else "und")
        return labels

    return run


def _same_labels(ours: Any, theirs: Any, _part: Sequence[pa.RecordBatch]) -> str:
    """Share of documents with one label: ours looks at the first characters only."""
    same = total = 0
    for mine, other in zip(ours, theirs, strict=True):
        detected = mine.arrays[2].to_pylist()
        total += len(other)
        same += sum((a or "").split("-")[0] == b for a, b in zip(detected, other, strict=True))
    return f"{same / max(total, 1):.1%} of labels"


def _tokenize_row(
    batches: Sequence[pa.RecordBatch], folder: str, size: int, repeat: int, *, peers: bool
) -> dict[str, Json]:
    """Byte-level BPE with a tokenizer trained on a part of the sample."""
    part = _part(batches)
    path = Path(folder) / "tokenizer.json"
    texts = (text for batch in part for text in batch[TEXT.name].to_pylist())
    path.write_bytes(train_tokenizer(texts, vocab_size=VOCAB_SIZE))
    end = find_end(str(path))
    ours, library = kernel_encoder(str(path), end), library_encoder(str(path), end)
    if ours is None:
        raise StageError("the tokenizer that was trained is of no kind that the kernel knows")
    ours.encode(batches[0][TEXT.name].slice(0, 1))  # compiles outside the clock
    seconds = min(
        _cpu(lambda: [ours.encode(batch[TEXT.name]) for batch in batches]) for _ in range(repeat)
    )
    row = _row(TOKENIZE, size, seconds)
    if not peers:
        return row

    def encode(batch: pa.RecordBatch) -> Encoded:
        return ours.encode(batch[TEXT.name])

    peer = ("tokenizers", lambda batch: library.encode(batch[TEXT.name]), _same_tokens)
    return row | _beside(peer, encode, part, repeat, 1)


def _same_tokens(ours: Any, theirs: Any, _part: Sequence[pa.RecordBatch]) -> str:
    same = all(
        np.array_equal(mine, other)
        for left, right in zip(ours, theirs, strict=True)
        for mine, other in zip(left, right, strict=True)
    )
    return "exactly" if same else "NO"


def _whole_row(data: Path, folder: str, size: int) -> dict[str, Json]:
    """The quickstart recipe on the sample with one worker, start-up of the worker not counted."""
    own = OwnFiles(str(data / "**/*.jsonl.gz"))
    asked = find_request("quickstart", f"{folder}/root", workers=1, own=own)
    return _row(WHOLE, size, run(*asked, Progress(Console(quiet=True))).cpu_seconds, digits=2)
