"""Deduplication beside that of other makers: what each finds of what was planted, and how fast.

Truth is counted and not estimated: the exact Jaccard similarity of all documents' shingles, as
`minhash.shingles` makes them, which favours the tool that reads words as they do.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from phloem.catalog import ledger
from phloem.catalog.columns import DECLARED_LANGUAGE, ID, TEXT
from phloem.catalog.manifest import read_parquet
from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.catalog.tags import primary
from phloem.filters.minhash import bands as band_hashes
from phloem.filters.op import find_op
from phloem.pipeline.bench import likeness
from phloem.pipeline.bench.breakdown import op_seconds
from phloem.pipeline.bench.chain import (
    PEERS,
    PHLOEM,
    SMALL,
    cpu_of,
    interpreter,
    version_of,
    write_sample,
)
from phloem.pipeline.bench.engine import prepared
from phloem.pipeline.bench.ops import records_of
from phloem.pipeline.bench.planted import (
    Likeness,
    Pair,
    by_language,
    expected,
    plant,
    word_spans,
)
from phloem.pipeline.cleaned import cleaned
from phloem.pipeline.job import Made, steps
from phloem.pipeline.recipe import RECIPES
from phloem.pipeline.registry.fetch import readings
from phloem.pipeline.registry.registry import card_of, load_registry
from phloem.pipeline.stage import StageError
from phloem.pipeline.stages import run_task
from phloem.pipeline.workspace import find_workspace

COLUMNS = (
    *("row", "pairs", "MB", "CPU s", "MB/s", "ratio", "removed"),
    *("recall", "recall .8", "by chance", "precision", "precision, kept"),
    *("bytes", "candidates"),
    *likeness.COLUMNS,
)

FIELD = (14, 8)
"""Bands and rows of FineWeb (arXiv 2406.17557, section 3.4), as the peers run: what these would
find by chance is told beside."""

SETTINGS = ((14, 8), (20, 6), (16, 7), (25, 5), (28, 4), (32, 4), (40, 4), (50, 3), (64, 4))
"""Bands and rows that are compared, whose product is the size of a signature in hashes."""

STAGES = ("bands", "candidates", "filter", "dedup", "removals")
"""What deduplicates besides the op `minhash`, which a stage runs together with others."""

OTHERS = ("udhr", "debian-installation-guide", "debian-reference", "debian-handbook", "gnome-help")
LANGUAGES = dict.fromkeys(("ar", "hi", "km", "my", "th"), 200)
"""Cards whose texts are added in languages of which a sample has little, and pairs of each."""
PIECE = 150  # words of their pieces
ROWS = 1000  # texts that are signed together

ALIKE, SURE = 0.5, 0.8  # as the field counts: a right removal, and a pair that must be found


@dataclass(frozen=True)
class Removed:
    """What a tool takes out.

    Attributes:
        seconds: CPU seconds, without start-up.
        rows: Places of the documents that go.
    """

    seconds: float
    rows: npt.NDArray[np.int64]


def bench_dedup(
    data: Path, *, peers: Mapping[str, str], seeds: Sequence[int], told: Callable[[str], None]
) -> Iterator[Json]:
    """For each seed a row for each tool, and for ours one for each language with planted pairs.

    Args:
        data: Folder of jsonl.gz files with id, text and lang.
        peers: Tool -> a Python that has it; a tool's program is `peers/TOOL_dedup.py`.
        seeds: Of the copies that are planted.
        told: Told of every measurement as it is made.

    Raises:
        StageError: a Python has not its tool, there are too few documents, or a tool failed.
    """
    peers = {tool: interpreter(tool, python) for tool, python in peers.items()}
    versions = {tool: version_of(tool, python) for tool, python in peers.items()}
    with tempfile.TemporaryDirectory(prefix="phloem-bench-") as name:
        folder = Path(name)
        documents = [*_sample(data), *added(folder / "added", told)]
        for seed in seeds:
            records, pairs = plant(documents, seed, LANGUAGES)
            told(f"seed {seed}: {len(records):,} documents, {len(pairs):,} copies planted")
            truth = _Truth(records, pairs)
            own = folder / f"{seed}"
            own.mkdir()
            whole = write_sample(records, own / "whole")
            small = write_sample(records[:SMALL], own / "small")
            removed = {PHLOEM: _ours(whole, small, own, told)}
            for tool, python in peers.items():
                removed[tool] = _theirs(tool, python, whole, small, own)
                told(f"{tool}: {removed[tool].seconds:.1f} CPU s")
            size = sum(len(record["text"].encode()) for record in records)
            for tool, found in removed.items():
                label = " ".join((tool, versions.get(tool, ""))).strip()
                yield {
                    "row": f"seed {seed}: {label}",
                    "MB": round(size / 1e6, 1),
                    "CPU s": round(found.seconds, 2),
                    "MB/s": round(size / 1e6 / found.seconds, 2),
                    "ratio": round(found.seconds / removed[PHLOEM].seconds, 1),
                    "removed": len(found.rows),
                    **truth.score(found.rows),
                }
            for language, places in by_language(pairs):
                row = {"row": f"seed {seed}: {language}"}
                yield row | truth.recall(removed[PHLOEM].rows, places)
            for row in [*settings(records, truth), *_likeness(documents, seed)]:
                yield {**row, "row": f"seed {seed}: {row['row']}"}


def _likeness(documents: Sequence[Json], seed: int) -> Iterator[Json]:
    yield from likeness.units(documents, seed)
    yield from likeness.templates(seed)


def _sample(data: Path) -> list[Json]:
    """The documents of a folder, numbered anew: two may have one id."""
    records = records_of(data)
    if len(records) <= SMALL:
        raise StageError(
            f"{data} holds {len(records)} documents; name a folder of more than {SMALL}"
        )
    return [
        {"id": f"{place}", "text": record["text"], "lang": record.get("lang") or "und"}
        for place, record in enumerate(records)
    ]


def added(root: Path, told: Callable[[str], None]) -> list[Json]:
    """Pieces of the registry's texts in `LANGUAGES`."""
    workspace, store = find_workspace(), Store(str(root))
    registry = load_registry(workspace)
    cards = [card_of(registry, source) for source in OTHERS]
    read, _ = readings(
        store, cards, registry.pins, own=registry.own, skip_unavailable=False, told=told
    )
    names = (ID.name, TEXT.name, DECLARED_LANGUAGE.name)
    found: list[Json] = []
    for reading in read:
        for batch in cleaned(store, workspace, reading):
            for id_, text, tag in zip(*(batch[name].to_pylist() for name in names), strict=True):
                language = primary(tag or "und")
                if text and language in LANGUAGES:
                    found += _pieces(id_, text, language)
    return found


def _pieces(document: str, text: str, language: str) -> Iterator[Json]:
    spans = word_spans(text)
    for first in range(0, len(spans) - PIECE + 1, PIECE):
        piece = text[spans[first][0] : spans[first + PIECE - 1][1]]
        yield {"id": f"{document}-{first}", "text": piece, "lang": language}


def _ours(whole: Path, small: Path, folder: Path, told: Callable[[str], None]) -> Removed:
    """What the recipe `quickstart`'s deduplication takes out, without any rule."""
    given = quickstart()
    ops = ["language", *(op for op in given["ops"] if "minhash" in str(op))]
    recipe = {**given, "name": "dedup", "sources": [], "ops": ops, "keep": [], "scrub": {}}
    path = folder / "dedup.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    _done(path, small, folder / "warm")  # loads kernels and tables
    seconds, rows = _done(path, whole, folder / "root")
    told(f"{PHLOEM}: {', '.join(f'{name} {took:.2f}' for name, took in seconds.items())} CPU s")
    return Removed(sum(seconds.values()), rows)


def quickstart() -> dict[str, Json]:
    """The recipe `quickstart`, as it is written."""
    given: dict[str, Json] = yaml.safe_load((RECIPES / "quickstart.yaml").read_text("utf-8"))
    return given


def _done(recipe: Path, data: Path, root: Path) -> tuple[dict[str, float], npt.NDArray[np.int64]]:
    """CPU seconds of what deduplicates, and the rows that are duplicates, in this process."""
    store, made = Store(str(root)), Made()
    job = prepared(str(root), str(data / "*.jsonl.gz"), str(recipe))
    seconds = dict.fromkeys(STAGES, 0.0)
    going = steps(job, store, made)
    step = next(going)
    while "decide" not in made:
        began = time.process_time()
        sent = [run_task(store, task) for task in step.tasks]
        if step.stage in seconds:
            seconds[step.stage] += time.process_time() - began
        step = going.send(sent)
    signed = op_seconds(job, store, made)["minhash"]
    reasons = [
        read_parquet(store, shard.ref("ledger.parquet"), [ledger.REASON.name])[0]
        for shard in made["decide"]
    ]
    gone = [pc.equal(each, ledger.DUPLICATE).fill_null(False).to_numpy() for each in reasons]
    return {"minhash": signed, **seconds}, np.flatnonzero(np.concatenate(gone))


def _theirs(tool: str, python: str, whole: Path, small: Path, folder: Path) -> Removed:
    """What a tool takes out; its seconds without those for a few documents."""
    seconds = {}
    gone: list[int] = []
    for sample in (small, small, whole):  # the first one fills caches and does not count
        work = Path(tempfile.mkdtemp(prefix=f"{tool}-", dir=folder))
        command = [python, program(tool), str(sample), str(work)]
        seconds[sample], _ = cpu_of(tool, command, work, {})
        gone = json.loads((work / "removed.json").read_bytes())
    return Removed(seconds[whole] - seconds[small], np.array(gone, np.int64))


def program(tool: str) -> str:
    """What a tool's Python runs."""
    return str(PEERS / f"{tool}_dedup.py")


def settings(records: Sequence[Json], truth: _Truth) -> Iterator[Json]:
    """What each of `SETTINGS` finds and costs, whatever is verified then.

    Recall: of the documents that another one resembles by the recipe's `jaccard`, those that share
    a band with such a one. Candidates: pairs in one bucket, of all bands, for each document.
    """
    most = max(bands * rows for bands, rows in SETTINGS)
    op = find_op("minhash", {"permutations": most})
    texts = pa.array([record["text"] for record in records])
    signed = pa.chunked_array(
        [op(_batch(texts.slice(at, ROWS))).arrays[0] for at in range(0, len(texts), ROWS)]
    )
    signatures = signed.combine_chunks()
    near = truth.near(quickstart()["dedup"]["jaccard"])
    for bands, rows in SETTINGS:
        hashes = band_hashes(signatures, bands=bands, rows=rows)
        found = [
            bool((hashes[:, row : row + 1] == hashes[:, others]).any()) for row, others in near
        ]
        sizes = [np.unique(own, return_counts=True)[1] for own in hashes]
        pairs = sum(int((size * (size - 1) // 2).sum()) for size in sizes)
        yield {
            "row": f"{bands} x {rows}",
            "pairs": len(near),
            "recall": _share(np.array(found)),
            "bytes": 4 * bands * rows,
            "candidates": round(pairs / len(records), 2),
        }


def _batch(texts: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([texts], [TEXT.name])


class _Truth:
    """How alike the documents are, and which are copies of which."""

    def __init__(self, records: Sequence[Json], pairs: Sequence[Pair]) -> None:
        self._like = Likeness([record["text"] for record in records])
        place = {record["id"]: row for row, record in enumerate(records)}
        self._pairs = np.array([(place[pair.document], place[pair.copy]) for pair in pairs])
        self._jaccard = np.array([self._like.of(b)[a] for a, b in self._pairs])
        self._count = len(records)

    def near(self, least: float) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Each document that others are so alike to, and these."""
        found = ((row, np.flatnonzero(self._like.of(row) >= least)) for row in range(self._count))
        return [(row, others) for row, others in found if len(others)]

    def recall(self, removed: npt.NDArray[np.int64], places: Sequence[int]) -> dict[str, Json]:
        """The share of some planted pairs of which one goes: of all, and of those above `SURE`."""
        goes = np.isin(self._pairs[places], removed)
        gone, jaccard = goes[:, 0] | goes[:, 1], self._jaccard[places]
        return {
            "pairs": len(places),
            "recall": _share(gone),
            "recall .8": _share(gone[jaccard >= SURE]),
            "by chance": round(float(expected(jaccard, *FIELD).mean()), 3),
        }

    def score(self, removed: npt.NDArray[np.int64]) -> dict[str, Json]:
        """Recall of all planted pairs, and how many removed documents are like another one."""
        kept = np.ones(self._count, np.bool_)
        kept[removed] = False
        right = np.zeros((2, len(removed)), np.bool_)
        for place, row in enumerate(removed):
            like = self._like.of(int(row)) >= ALIKE
            right[:, place] = like.any(), (like & kept).any()
        return {
            **self.recall(removed, range(len(self._pairs))),
            "precision": _share(right[0]),
            "precision, kept": _share(right[1]),
        }


def _share(found: npt.NDArray[np.bool_]) -> float | None:
    return round(float(found.mean()), 4) if len(found) else None
