"""A source as a run reads it: its card, its pin, its parts, and where their files lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from phloem.catalog.manifest import Ref
from phloem.sources.cards.source import Source
from phloem.sources.connector import Pin, Split


@dataclass(frozen=True)
class Reading:
    """A source that this run reads.

    Attributes:
        card: What people decided.
        pin: What the lock file says it holds.
        splits: Its parts, each read by one worker.
        files: Where each of its files lies, by its name in the pin.
    """

    card: Source
    pin: Pin
    splits: tuple[Split, ...]
    files: Mapping[str, Ref]
