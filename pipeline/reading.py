"""A source as a run reads it: its card, its pin, its parts, and where their files lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phloem.sources.cards.source import Source
from phloem.sources.connector import Pin, Split

Json = Any


@dataclass(frozen=True)
class Reading:
    """A source that this run reads.

    Attributes:
        card: What people decided.
        pin: What the lock file says it holds.
        splits: Its parts, each read by one worker.
        places: Where each of its files lies: {"fetched": sha256} or {"path": …}.
    """

    card: Source
    pin: Pin
    splits: tuple[Split, ...]
    places: Mapping[str, Json]
