"""What the source of a page says: what its text is held to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """What a page must say: its blocks of code, and all of its text."""

    code: tuple[str, ...]
    text: str


def without(text: str, *rules: tuple[str, str]) -> str:
    """Text in which each rule's pattern is replaced, one rule after another."""
    for pattern, left in rules:
        text = re.sub(pattern, left, text)
    return text


def joined(truths: Iterable[Truth | None]) -> Truth | None:
    """What several sources say together; None if one of them does not tell what a page must say."""
    held = []
    for truth in truths:
        if truth is None:
            return None
        held.append(truth)
    return Truth(
        tuple(block for truth in held for block in truth.code),
        "\n\n".join(truth.text for truth in held),
    )
