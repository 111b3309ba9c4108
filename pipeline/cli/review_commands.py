"""What the commands that look at sources before they are agreed to do: sample and review."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import typer

from phloem.catalog.errors import UseError
from phloem.catalog.store import Store
from phloem.pipeline.cli.console import listing, note, open_root, print_json, put, told
from phloem.pipeline.registry.fetch import CLIENTS, FetchError, readings
from phloem.pipeline.registry.registry import (
    Registry,
    card_of,
    load_registry,
    params_of,
    reach_of,
)
from phloem.pipeline.review.sample import NEAR, sample
from phloem.pipeline.workspace import Workspace, find_workspace
from phloem.reports import source_sample
from phloem.reports.source_sample import SourceSample
from phloem.sources.cards.source import Source
from phloem.sources.connector import SourceError, find_connector

FAILED = "failed"


def sample_sources(
    asked: Sequence[str],
    *,
    all_available: bool,
    documents: int,
    root: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print what a few documents of each source look like; exit 1 if a source gave none."""
    with told():
        if bool(asked) == all_available:
            raise UseError("name cards, or say --all-available; one of the two")
        store, workspace = open_root(root), find_workspace()
        registry = load_registry(workspace)
        cards = available(registry) if all_available else [card_of(registry, id_) for id_ in asked]
        found: list[SourceSample] = []
        failed: dict[str, str] = {}
        for card, outcome in _each(store, registry, workspace, cards, documents):
            if isinstance(outcome, SourceSample):
                found.append(outcome)
            else:
                failed[card.id] = outcome
            if all_available:
                shown = outcome if isinstance(outcome, str) else _short(outcome)
                note(f"{len(found) + len(failed)} of {len(cards)} {card.id}: {shown}")
        if out:
            out.write_text(source_sample.page(found, failed), encoding="utf-8")
    _put(found, failed, as_rows=all_available, as_json=as_json)
    if out:
        note(f"page     {out}")
    if failed:
        raise typer.Exit(1)


def available(registry: Registry) -> list[Source]:
    """The active cards whose bytes this machine can have without the open network."""
    found = []
    for card in registry.cards.values():
        if card.status == "active" and reach_of(card) in NEAR:
            connector = find_connector(card.access.connector)
            if connector.unavailable(params_of(connector, card)) is None:
                found.append(card)
    return found


def _short(found: SourceSample) -> str:
    mismatch = f"; mismatch: {'; '.join(found.mismatches)}" if found.mismatches else ""
    return f"{found.kept} of {found.documents} documents kept{mismatch}"


def _each(
    store: Store,
    registry: Registry,
    workspace: Workspace,
    cards: Sequence[Source],
    documents: int,
) -> Iterator[tuple[Source, SourceSample | str]]:
    """A sample of each card, or why there is none; clients fetch ahead for those to come."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        ahead = [pool.submit(_fetched, store, registry, card) for card in cards]
        for card, fetched in zip(cards, ahead, strict=True):
            reason = fetched.result()
            if reason:
                yield card, reason
                continue
            try:
                yield (
                    card,
                    sample(store, registry, workspace, card, documents=documents, told=note),
                )
            except Exception as error:  # noqa: BLE001 - what one card does stops no other
                yield card, f"{type(error).__name__}: {error}"


def _fetched(store: Store, registry: Registry, card: Source) -> str | None:
    """Why a card's files cannot be had; None once the root holds them."""
    try:
        readings(store, [card], registry.pins, skip_unavailable=False, told=note)
    except (FetchError, SourceError, OSError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - what one card does stops no other
        return f"{type(error).__name__}: {error}"
    return None


def _put(
    found: Sequence[SourceSample], failed: dict[str, str], *, as_rows: bool, as_json: bool
) -> None:
    """Print samples: as JSON, as a row each, or as the Markdown of a review."""
    if as_json:
        print_json({"samples": [_plain(each) for each in found], FAILED: failed})
        return
    if not as_rows:
        for each in found:
            put(source_sample.markdown(each, heading="#"))
            put("")
        for source, reason in failed.items():
            note(f"{source}: {reason}")
        return
    rows = [source_sample.row(each) for each in found]
    rows += [{"id": source, FAILED: reason} for source, reason in failed.items()]
    columns = [*source_sample.COLUMNS, *([FAILED] if failed else [])]
    listing(sorted(rows, key=lambda row: str(row["id"])), columns, as_json=False)
    wrong = sum(bool(each.mismatches) for each in found)
    put(f"{len(found)} sources sampled, {wrong} with a mismatch, {len(failed)} failed")
    if counted := [each.source for each in found if each.counted]:
        put(f"what is frequent was {source_sample.COUNTED_HERE}: {', '.join(sorted(counted))}")


def _plain(found: SourceSample) -> dict[str, object]:
    return {**asdict(found), "kept": found.kept, "shares": found.shares}


def review_branch(span: str, *, samples: int, root: str) -> None:
    """Print the review of what a branch does to the registry; exit 1 if it holds an error."""
    from phloem.pipeline.review.review import review
    from phloem.reports.review import comment

    with told():
        made = review(Path.cwd(), span, open_root(root), samples=samples, told=note)
    sys.stdout.write(comment(made))
    if made.errors:
        raise typer.Exit(1)
