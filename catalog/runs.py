"""Run records: which runs there are, and what each left."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from phloem.catalog.advice import command
from phloem.catalog.errors import UseError
from phloem.catalog.manifest import Dataset, Shard
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.catalog.store import MissingError, Store

logger = logging.getLogger(__name__)

RUNS = "runs"
HEARTBEATS = "heartbeats"  # a file a run, written again and again while it runs
SILENT_SECONDS = 60.0  # after which a run that should write every two has died, or its machine
BEAT_SECONDS = 2.0  # between heartbeats
NEWEST = 20  # runs that an error looks through or names
TEXT_SUFFIX = ".arrow"  # of text files; what else ingest writes is Parquet


class ViewError(UseError):
    """A run, document or release that is not there: the message says what is."""


class BrokenError(ViewError):
    """A run record that is there and cannot be read."""


def run_ids(store: Store) -> list[str]:
    """All runs of a root, oldest first: their ids begin with the time."""
    names = (name.rsplit("/", 1)[-1] for name in store.list(RUNS))
    return [name.removesuffix(".json") for name in names if name.endswith(".json")]


def load_run(store: Store, run_id: str) -> dict[str, Json]:
    """A run's record. Raises ViewError with the nearest id, or naming a file cut short."""
    name = f"{RUNS}/{run_id}.json"
    try:
        value = json.loads(store.read_bytes(name))
    except MissingError:
        msg = f"no run {run_id!r} in {store.root}; {nearest(run_id, run_ids(store)[-NEWEST:])}"
        raise ViewError(msg) from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or "recipe" not in value:
        msg = (
            f"{name} in {store.root} is no run record, or was cut short; delete it and run its"
            " recipe again: what that run made is still there"
        )
        raise BrokenError(msg)
    return value


def load_runs(store: Store, run_ids: Iterable[str]) -> Iterator[dict[str, Json]]:
    """The records of these runs; one that was cut short is told once, and left out."""
    for run_id in run_ids:
        try:
            yield load_run(store, run_id)
        except BrokenError as error:
            _tell(str(error))


@cache
def _tell(line: str) -> None:
    logger.warning("%s", line)


def newest_run(store: Store) -> str:
    """The newest run that came to its ledger. Raises ViewError if there is none."""
    for record in load_runs(store, reversed(run_ids(store))):
        if "decide" in record.get("datasets", {}):
            return str(record["run_id"])
    run = command("run", "RECIPE", root=store.root)
    msg = f"no run in {store.root} came to its end; run `{run}` first"
    raise ViewError(msg)


def dataset_of(store: Store, record: Mapping[str, Json], stage: str) -> Dataset | None:
    """The dataset that a run made in a stage; None if the run has none, or it was collected.

    Raises ViewError for a manifest that was changed or cut short.
    """
    name = record.get("datasets", {}).get(stage)
    if name is None:
        return None
    try:
        return Dataset.load(store, name)
    except MissingError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{name} cannot be read ({error}); delete it and run its recipe again"
        raise ViewError(msg) from None


def shards_of(store: Store, record: Mapping[str, Json], stage: str) -> tuple[Shard, ...]:
    """The shards that a run made in a stage, in order; empty if there is no dataset of it."""
    dataset = dataset_of(store, record, stage)
    return dataset.shards if dataset else ()


def text_files(ingested: Iterable[Shard]) -> dict[str, str]:
    """sha256 -> name under the root of every text file that a run ingested.

    The ledger and the facts of shards name a text file by its hash: two runs may hold the same
    bytes under different keys and share all that was made from them.
    """
    return {
        file.sha256: shard.path(file.name)
        for shard in ingested
        for file in shard.files
        if file.name.endswith(TEXT_SUFFIX)
    }


def rules_of(record: Mapping[str, Json], source: str) -> list[dict[str, Json]]:
    """The rules of a source in the bit order of `failed_rules`: the recipe's, then its card's."""
    rules: list[dict[str, Json]] = record.get("source_rules", {}).get(source, record["rules"])
    return rules


# Signs of life ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Life:
    """Whether a run still writes heartbeats, as far as this machine can tell.

    Attributes:
        alive: Whether it does.
        beat: Its newest heartbeat, as written; empty if there is none.
        age: Seconds since then: by the writer's clock when it wrote, and by this machine's now.
        skewed: Whether the two clocks must differ: the heartbeat moves, though its age says no.
    """

    alive: bool
    beat: Mapping[str, Json]
    age: float | None
    skewed: bool = False


def heartbeat_name(run_id: str) -> str:
    """Where a run's heartbeat lies under the root."""
    return f"{HEARTBEATS}/{run_id}.json"


def life_of(store: Store, run_id: str, now: float) -> Life:
    """Look for a run's heartbeat.

    A heartbeat bears the time of the machine that wrote it, whose clock may be wrong; or this
    machine's may. Where its age is beyond belief, its counter is looked at twice: one that moves is
    alive, whatever the clocks say.

    Args:
        store: The root.
        run_id: Of the run.
        now: This moment by the clock of this machine, seconds since 1970.
    """
    beat = _beat(store, run_id)
    if beat is None:
        return Life(alive=False, beat={}, age=None)
    age = now - datetime.fromisoformat(beat["written"]).timestamp()
    if beat["ended"]:
        return Life(alive=False, beat=beat, age=age)
    if -BEAT_SECONDS <= age <= SILENT_SECONDS:
        return Life(alive=True, beat=beat, age=age)
    time.sleep(3 * BEAT_SECONDS)
    later = _beat(store, run_id) or beat
    moved = later["count"] != beat["count"] and not later["ended"]
    return Life(alive=moved, beat=later, age=age, skewed=moved or age < 0)


def _beat(store: Store, run_id: str) -> dict[str, Json] | None:
    try:
        value: dict[str, Json] = json.loads(store.read_bytes(heartbeat_name(run_id)))
        datetime.fromisoformat(value["written"])
        _ = value["count"], value["ended"]
    except (MissingError, ValueError, KeyError, TypeError):
        return None
    return value
