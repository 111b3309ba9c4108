"""What the page was made from, by hash, and how anybody can check it."""

from __future__ import annotations

from dataclasses import dataclass

from phloem.catalog.advice import command
from phloem.catalog.store import Store
from phloem.reports.run import Run, dataset_of


@dataclass(frozen=True)
class Made:
    """A dataset of the run; its digest is empty if its manifest is gone."""

    stage: str
    manifest: str
    digest: str
    shards: int
    bytes: int


@dataclass(frozen=True)
class Provenance:
    """What the page was made from.

    Attributes:
        datasets: In the order of the record.
        cards: (card id, hash of the card).
        commands: (command, what it checks).
    """

    datasets: tuple[Made, ...]
    cards: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]


def provenance(store: Store, run: Run) -> Provenance:
    """Digests of the datasets and cards, and the commands that verify them."""
    made = []
    for stage, name in run.datasets.items():
        dataset = dataset_of(store, run, stage)
        if dataset is None:
            made.append(Made(stage, name or "", "", 0, 0))
            continue
        size = sum(shard.bytes for shard in dataset.shards)
        made.append(Made(stage, name, dataset.digest, len(dataset.shards), size))
    cards = tuple((name, own.get("card") or "") for name, own in sorted(run.sources.items()))
    return Provenance(tuple(made), cards, _commands(run, store.root))


def _commands(run: Run, root: str) -> tuple[tuple[str, str], ...]:
    own = ("--run", run.run_id)
    commands = [
        (run.again, "makes what is missing; equal inputs give equal digests"),
        (
            command("explain", "ID", *own, root=root),
            "tells one document's whole story, from its card to its tokens",
        ),
        (
            command("catalog", "query", "select * from decisions limit 5", *own, root=root),
            "asks the ledger anything",
        ),
    ]
    if run.release:
        check = "hashes every file of the release and compares it with its manifest"
        commands.insert(0, (command("release", "verify", run.release, root=root), check))
    return tuple(commands)
