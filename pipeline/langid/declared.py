"""What cards do: how much of a language's text is kept as itself under right, wrong and no card."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phloem.catalog.tags import primary
from phloem.pipeline.langid.texts import Text

CHARS = 1000  # of a piece: a short document
PIECES = 40  # of a language
SURE = 0.3  # the least score that recipes keep: a document with none is kept, one below is dropped

WRONG = ("fr", "ts", "ki")
"""Cards that are wrong: a language that every model knows, one that few do, one that hardly any."""

NONE, RIGHT, SEVERAL = "no card", "right card", "right, with another"

Answer = tuple[str, float | None]
Ask = Callable[[Sequence[str], Sequence[Sequence[str]]], Sequence[Answer]]
"""(texts, tags declared for each) -> language and score of each."""


@dataclass(frozen=True)
class Kept:
    """Of one language, how many pieces were asked of, and how many came out right by each card.

    Attributes:
        language: Its tag.
        pieces: How many.
        right: By what its card declares: those that are called their own language, with no score
            or one that recipes keep. Under a wrong card: those that are not kept as it says.
    """

    language: str
    pieces: int
    right: Mapping[str, int]


def cards_of(language: str) -> dict[str, list[str]]:
    """What each kind of card declares for text in a language."""
    other = "en" if language != "en" else "fr"
    return {
        NONE: [],
        RIGHT: [language],
        SEVERAL: [language, other],
        **{f"wrong: {tag}": [tag] for tag in WRONG if primary(tag) != primary(language)},
    }


def kept_by_card(pieces: Sequence[Text], ask: Ask) -> list[Kept]:
    """Ask of every piece under every card.

    Args:
        pieces: Texts of the length of documents, each in one language.
        ask: What is asked.
    """
    asked = [
        (piece, name, tags)
        for piece in pieces
        for name, tags in cards_of(primary(piece.language)).items()
    ]
    answers = ask([piece.text for piece, _, _ in asked], [tags for _, _, tags in asked])
    right: dict[str, Counter[str]] = defaultdict(Counter)
    for (piece, name, tags), answer in zip(asked, answers, strict=True):
        own = primary(piece.language)
        wanted = tags[0] if name.startswith("wrong") else own
        is_kept = is_kept_as(answer, wanted)
        right[own][name] += is_kept if wanted == own else not is_kept
    number = Counter(primary(piece.language) for piece in pieces)
    return [Kept(own, number[own], dict(right[own])) for own in sorted(number)]


def is_kept_as(answer: Answer, language: str) -> bool:
    """Whether a document is called a language, and no rule on the score drops it."""
    found, score = answer
    return primary(found) == primary(language) and (score is None or score >= SURE)
