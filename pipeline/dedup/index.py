"""An index of signatures in datasketch's own form, and texts that are looked up in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasketch import LeanMinHash, MinHashLSH

from phloem.catalog.columns import ID, LANGUAGE, SOURCE, TEXT
from phloem.catalog.errors import UseError
from phloem.filters.op import Op, find_op
from phloem.pipeline.dedup.signed import Signed

LEAN = pa.field("lean", pa.binary())
SCHEMA = pa.schema([ID.field, SOURCE.field, LANGUAGE.field, LEAN])
SAID = b"minhash"  # in the file's metadata: the op's version and parameters
SCHEME, ORDER = "affine32", "<"  # of datasketch 2, and of the bytes of a LeanMinHash


@dataclass(frozen=True)
class Match:
    """A document that a text is like.

    Attributes:
        id: Of the document.
        source: Id of its card.
        language: BCP-47 tag.
        similarity: The Jaccard similarity as the signatures estimate it, 0-1.
    """

    id: str
    source: str
    language: str | None
    similarity: float


def write_index(path: Path, documents: Iterator[Signed], minhash: Op) -> int:
    """Write the signatures of documents as an Arrow file; how many there are.

    Each is a `datasketch.LeanMinHash`, serialized with the byte order "<": any program that has
    datasketch reads it.

    Args:
        path: Of the file, which is replaced.
        documents: What is written.
        minhash: What signed them.
    """
    said = json.dumps({"version": minhash.version, "params": minhash.identity["params"]})
    schema = SCHEMA.with_metadata({SAID: said.encode()})
    seed, count = minhash.identity["params"]["seed"], 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for each in documents:
            held = each.signatures.is_valid()
            lean = [_lean(value, seed) for value in each.signatures.drop_null().to_pylist()]
            columns = [
                each.ids.filter(held),
                pa.array([each.source] * len(lean), SOURCE.type),
                each.languages.filter(held),
                pa.array(lean, LEAN.type),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            count += len(lean)
    return count


def _lean(signature: bytes, seed: int) -> bytes:
    made = LeanMinHash(seed=seed, hashvalues=np.frombuffer(signature, "<u4"), scheme=SCHEME)
    held = bytearray(made.bytesize(ORDER))
    made.serialize(held, ORDER)
    return bytes(held)


class Index:
    """The documents of an index file, by their bands."""

    def __init__(self, path: Path, jaccard: float) -> None:
        """Read a file; bands are those that datasketch's search finds best for a threshold.

        Raises UseError for a file that is no index, or that another version of `minhash` signed.
        """
        try:
            with pa.memory_map(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
            said = json.loads(table.schema.metadata[SAID])
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError):
            msg = f"{path} is no index; `phloem dedup index RUN --out {path}` writes one"
            raise UseError(msg) from None
        self._minhash = find_op("minhash", said["params"])
        if said["version"] != self._minhash.version:
            raise UseError(
                f"{path} was signed by minhash {said['version']}, and this is"
                f" {self._minhash.version}; write it anew"
            )
        self._rows = table.drop_columns([LEAN.name])
        self._leans = [
            LeanMinHash.deserialize(value.as_buffer(), ORDER) for value in table[LEAN.name]
        ]
        permutations = self._minhash.identity["params"]["permutations"]
        self._lsh = MinHashLSH(threshold=jaccard, num_perm=permutations)
        self._jaccard = jaccard
        with self._lsh.insertion_session() as session:
            for row, lean in enumerate(self._leans):
                session.insert(row, lean)

    def near(self, texts: Sequence[str]) -> Iterator[list[Match]]:
        """The documents that each text is like, the most alike first."""
        batch = pa.RecordBatch.from_arrays([pa.array(texts, TEXT.type)], [TEXT.name])
        seed = self._minhash.identity["params"]["seed"]
        for value in self._minhash(batch).arrays[0].to_pylist():
            if value is None:
                yield []
                continue
            own = LeanMinHash(seed=seed, hashvalues=np.frombuffer(value, "<u4"), scheme=SCHEME)
            alike = [(float(own.jaccard(self._leans[row])), row) for row in self._lsh.query(own)]
            yield [
                self._match(row, similarity)
                for similarity, row in sorted(alike, key=lambda each: (-each[0], each[1]))
                if similarity >= self._jaccard
            ]

    def _match(self, row: int, similarity: float) -> Match:
        values = {name: self._rows[name][row].as_py() for name in self._rows.column_names}
        return Match(**values, similarity=round(similarity, 3))
