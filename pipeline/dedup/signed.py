"""The signatures of the documents that a run kept, read as it stored them: no text is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog import ledger
from phloem.catalog.advice import command
from phloem.catalog.columns import ID, LANGUAGE, MINHASH, TEXT_BYTES
from phloem.catalog.errors import UseError
from phloem.catalog.manifest import read_parquet
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.catalog.runs import dataset_of, load_run, load_runs, run_ids, shards_of
from phloem.catalog.store import Store
from phloem.filters.op import Op, find_op

NEWEST = 20  # runs that a message may name


@dataclass(frozen=True)
class Signed:
    """Kept documents of one text file.

    Attributes:
        source: Id of the card.
        ids: Of each document.
        languages: Of each.
        signatures: Of each, as `minhash` writes them; null for one without a word.
    """

    source: str
    ids: pa.Array
    languages: pa.Array
    signatures: pa.Array


def run_of(store: Store, asked: str) -> dict[str, Json]:
    """The run of this id; or the newest that made the release of this name, or ran this recipe.

    Raises UseError if there is none.
    """
    runs = run_ids(store)
    if asked in runs:
        return load_run(store, asked)
    known: list[str] = []
    for record in load_runs(store, reversed(runs)):
        if "decide" in record.get("datasets", {}):
            release = str(record.get("release") or "").rsplit("/", 1)[-1]
            names = [name for name in (release, str(record["recipe"]["name"])) if name]
            if asked in names:
                return record
            known += names
    msg = (
        f"no run, release or recipe {asked!r} in {store.root};"
        f" {nearest(asked, [*dict.fromkeys(known), *runs[-NEWEST:]])}"
    )
    raise UseError(msg)


def minhash_of(store: Store, record: Mapping[str, Json]) -> Op:
    """The op that signed the documents of a run, with its parameters.

    Raises UseError where it signed none, or by another version of the op.
    """
    dataset = dataset_of(store, record, "measure")
    said = [each for each in (dataset.spec.get("ops", ()) if dataset else ()) if _signs(each)]
    again = command("run", str(record["recipe"]["name"]), root=store.root)
    if not said:
        raise UseError(f"run {record['run_id']} holds no signatures; `{again}` makes them")
    op = find_op("minhash", said[0]["params"])
    if op.version != said[0]["version"]:
        raise UseError(
            f"run {record['run_id']} was signed by minhash {said[0]['version']}, and this is"
            f" {op.version}; `{again}` signs it anew"
        )
    return op


def _signs(identity: Mapping[str, Json]) -> bool:
    return bool(identity["op"] == "minhash")


def signed(store: Store, record: Mapping[str, Json]) -> Iterator[Signed]:
    """The kept documents of a run, a text file at a time, in the order of its ledger."""
    files = {
        shard.facts["text"]: shard
        for shard in shards_of(store, record, "measure")
        if shard.facts["op"] == "minhash"
    }
    names = [ID.name, LANGUAGE.name, ledger.VERDICT.name, TEXT_BYTES.name]
    for shard in shards_of(store, record, "decide"):
        table = read_parquet(store, shard.ref("ledger.parquet"), names[:3])
        kept = np.flatnonzero(np.asarray(pc.equal(table[ledger.VERDICT.name], ledger.KEPT)))
        file = files[shard.facts["text"]].ref("minhash.parquet")
        signatures = read_parquet(store, file, [MINHASH.name])[MINHASH.name].take(kept)
        rows = table.take(kept)
        yield Signed(
            shard.facts["source"],
            pa.concat_arrays([pa.array([], pa.string()), *rows[ID.name].chunks]),
            pa.concat_arrays([pa.array([], pa.string()), *rows[LANGUAGE.name].chunks]),
            pa.concat_arrays([pa.array([], MINHASH.type), *signatures.chunks]),
        )
