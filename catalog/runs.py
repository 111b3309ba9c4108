"""Run records: which runs there are, and what each left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from phloem.catalog.manifest import Dataset
from phloem.catalog.nearest import nearest
from phloem.catalog.store import MissingError, Store

Json = Any

RUNS = "runs"
NEWEST = 20  # runs that an error looks through or names
TEXT_SUFFIX = ".arrow"  # of text files; what else ingest writes is Parquet


class ViewError(Exception):
    """A run, document or release that is not there: the message says what is."""


def run_ids(store: Store) -> list[str]:
    """All runs of a root, oldest first: their ids begin with the time."""
    names = (name.rsplit("/", 1)[-1] for name in store.list(RUNS))
    return [name.removesuffix(".json") for name in names if name.endswith(".json")]


def load_run(store: Store, run_id: str) -> dict[str, Json]:
    """A run's record. Raises ViewError with the nearest id."""
    try:
        value: dict[str, Json] = json.loads(store.read_bytes(f"{RUNS}/{run_id}.json"))
    except (MissingError, ValueError):
        msg = f"no run {run_id!r} in {store.root}; {nearest(run_id, run_ids(store)[-NEWEST:])}"
        raise ViewError(msg) from None
    return value


def newest_run(store: Store) -> str:
    """The newest run that came to its ledger. Raises ViewError if there is none."""
    for run_id in reversed(run_ids(store)):
        if "decide" in load_run(store, run_id).get("datasets", {}):
            return run_id
    msg = f"no run in {store.root} came to its end; run `phloem run RECIPE` first"
    raise ViewError(msg)


def dataset_of(store: Store, record: Mapping[str, Json], stage: str) -> Dataset | None:
    """The dataset that a run made in a stage; None if the run has none, or it was collected.

    Raises ViewError for a manifest that was changed or cut short.
    """
    name = record.get("datasets", {}).get(stage)
    if name is None or not store.exists(name):
        return None
    try:
        return Dataset.load(store, name)
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{name} cannot be read ({error}); delete it and run its recipe again"
        raise ViewError(msg) from None


def text_files(ingested: Dataset | None) -> dict[str, str]:
    """sha256 -> name under the root of every text file that a run ingested.

    The ledger and the facts of shards name a text file by its hash: two runs may hold the same
    bytes under different keys and share all that was made from them.
    """
    return {
        file.sha256: shard.path(file.name)
        for shard in (ingested.shards if ingested else ())
        for file in shard.files
        if file.name.endswith(TEXT_SUFFIX)
    }


def rules_of(record: Mapping[str, Json], source: str) -> list[dict[str, Json]]:
    """The rules of a source in the bit order of `failed_rules`: the recipe's, then its card's."""
    rules: list[dict[str, Json]] = record.get("source_rules", {}).get(source, record["rules"])
    return rules
