"""Where two texts differ, word by word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

LONGEST_WORDS = 1500  # of each text that are compared: matching takes quadratic time
CONTEXT_WORDS = 12  # shown on either side of a difference
LONGEST_SHOWN = 60  # words of one difference
UNSPACED = 24  # a run of more characters is taken apart: few words of any spaced script are longer

_RUN = re.compile(r"\S+|\s+")


@dataclass(frozen=True)
class Piece:
    """A stretch of one text: the same in the other one, or not."""

    text: str
    differs: bool


def words(text: str) -> list[str]:
    """Words, runs of space, and single characters of text without spaces, joined the same text.

    A combining mark stays with the character before it.
    """
    found: list[str] = []
    for match in _RUN.finditer(text):
        run = match[0]
        found += list(_characters(run)) if len(run) > UNSPACED else [run]
    return found


def _characters(run: str) -> Iterator[str]:
    start = 0
    for place in range(1, len(run) + 1):
        if place == len(run) or not unicodedata.category(run[place]).startswith("M"):
            yield run[start:place]
            start = place


def differing(left: str, right: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts as pieces, long stretches that are the same cut to a few words.

    Only the first `LONGEST_WORDS` words are compared.
    """
    ours, theirs = words(left)[:LONGEST_WORDS], words(right)[:LONGEST_WORDS]
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    codes = matcher.get_opcodes()
    mine, other = [], []
    for place, (tag, a, b, c, d) in enumerate(codes):
        first, last = place == 0, place == len(codes) - 1
        if tag == "equal":
            mine.append(Piece(_shorten(ours[a:b], first=first, last=last), differs=False))
            other.append(Piece(_shorten(theirs[c:d], first=first, last=last), differs=False))
            continue
        if a < b:
            mine.append(Piece(_clip(ours[a:b]), differs=True))
        if c < d:
            other.append(Piece(_clip(theirs[c:d]), differs=True))
    return tuple(mine), tuple(other)


def _shorten(run: Sequence[str], *, first: bool, last: bool) -> str:
    """A stretch that is the same: what lies next to a difference is kept."""
    kept = 2 * CONTEXT_WORDS  # words and the spaces between them
    if first and last:
        return "".join(run[: 4 * kept]) + (" …" if len(run) > 4 * kept else "")
    if first:
        return "".join(run) if len(run) <= kept else "… " + "".join(run[-kept:])
    if last:
        return "".join(run) if len(run) <= kept else "".join(run[:kept]) + " …"
    if len(run) <= 2 * kept:
        return "".join(run)
    return "".join(run[:kept]) + " … " + "".join(run[-kept:])


def _clip(run: Sequence[str]) -> str:
    return "".join(run[:LONGEST_SHOWN]) + (" …" if len(run) > LONGEST_SHOWN else "")
