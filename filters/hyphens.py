"""Words that were cut at a line's end: whether a hyphen was put there, or is the word's own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

SOFT_HYPHEN = "\u00ad"
_HYPHENS = ("-", "\u2010", "\u058a", SOFT_HYPHEN)  # the third is that of Armenian
# Behind these a line may end within what no blank parts (UAX #14: classes B2, BA and SY): "and/or",
# "1990–1995", "so—and", the maqaf of Hebrew. They are never put at a line's end.
_OWN = ("/", "–", "—", "\u05be")
_AROUND = ".,;:!?…()[]{}<>\"“”„«»‘’'—–*_·"
# Behind a hyphen they join two words that share their end: "Haus- und Gartenarbeit".
_CONJUNCTIONS = frozenset(
    "und oder bzw sowie bis and or to en of och eller og og/eller samt ja tai sekä és vagy".split()
)


@dataclass(frozen=True)
class CutWords:
    """What a text says of the words that its lines end in.

    Attributes:
        words: Those that stand within its lines, in lower case.
        mostly_put: Whether more hyphens at line ends were put there than are the word's own, of
            those that the text's other words tell of.
    """

    words: frozenset[str]
    mostly_put: bool = False

    def ended(self, before: str, rest: str) -> str | None:
        """How a line ends that another follows at once; None if a blank stands between them."""
        if not rest[:1].isalnum() or not before[-2:-1].isalnum():
            return None
        if not before.endswith(_HYPHENS):
            return before if before.endswith(_OWN) else None
        if before[-1] == SOFT_HYPHEN:
            return before[:-1]
        left, right = _parts(before, rest)
        own = self.is_put(left, right)
        if own is None and right in _CONJUNCTIONS:
            return None
        if not before[-2].isalpha() or not rest[0].isalpha() or rest[0].isupper():
            return before
        put = self.mostly_put if own is None else own
        return before[:-1] if put else before

    def is_put(self, left: str, right: str) -> bool | None:
        """Whether a hyphen was put between two parts of a word; None if the text does not tell."""
        whole = left + right in self.words
        return None if whole == (f"{left}-{right}" in self.words) else whole


def cut_words(lines: Sequence[str]) -> CutWords:
    """What the lines of a text say of the words that they end in."""
    bodies = [line.strip() for line in lines]
    ends = [
        (before, rest)
        for before, rest in itertools.pairwise(bodies)
        if before.endswith(_HYPHENS[:3]) and rest[:1].isalpha() and not rest[0].isupper()
    ]
    if not ends:
        return CutWords(frozenset())
    found = CutWords(frozenset(_bare(word) for body in bodies for word in body.split()))
    said = [found.is_put(*_parts(before, rest)) for before, rest in ends]
    return CutWords(found.words, said.count(True) > said.count(False))


def _parts(before: str, rest: str) -> tuple[str, str]:
    return _bare(before.rsplit(maxsplit=1)[-1][:-1]), _bare(rest.split(maxsplit=1)[0])


def _bare(word: str) -> str:
    return word.strip(_AROUND).replace("\u2010", "-").replace("\u058a", "-").lower()
