"""Pieces of text in three tiers: clean prose; short, noisy and mixed text; and cousins.

Nothing that tells languages chooses a piece. Text that nobody translated is left out by its lines,
and what stands in an unusual script by its tag.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import xxhash

from phloem.catalog.tags import NO_LANGUAGE, UNKNOWN, primary, script
from phloem.pipeline.langid import noise
from phloem.pipeline.langid.scoring import ENOUGH_BYTES, SEED
from phloem.pipeline.langid.texts import Text, pieces

PIECES = 100  # of each language in each tier, so that none weighs more in another's precision
STRETCH = 3000  # characters of a document at most, whose pieces are right and wrong together
STRETCHES = 60  # of a language
TO_DRAW_FROM = 10  # times as many pieces are cut as are drawn; the rest of a stretch is left whole
NOBODYS = 3  # languages: a line that stands in as many is a name, or English left as it was
LEAST_SHARE = 0.9  # of the characters of a piece: where a word ends within the last tenth
ENGLISH_HEAD = 1500  # characters of English before `DOCUMENT` of another language
DOCUMENT = 6000
HEAD_SHARE = 2 / 3  # of a piece in two languages

SHORT = {20: "20 characters", 50: "50 characters"}
CLEAN = {300: "300 characters", 100: "100 characters"}
NOISY = 100  # characters

COUSINS = (
    ("nb", "nn", "da", "sv"),
    ("bs", "hr", "sr", "sl"),
    ("rn", "rw"),
    ("zu", "xh", "ss", "nr"),
    ("st", "nso", "tn"),
    ("id", "ms", "jv", "su"),
    ("ak", "tw", "fat"),
    ("cs", "sk"),
    ("es", "gl", "ast", "pt"),
    ("dz", "bo"),
    ("ti", "am"),
    ("fo", "is"),
    ("ny", "tum"),
    ("lg", "cgg"),
    ("bm", "wo"),
    ("be", "uk", "ru"),
    ("bg", "mk"),
    ("hi", "ne", "mr"),
    ("bn", "as"),
    ("az", "tr", "tk"),
    ("tt", "ky", "kk", "uz"),
    ("fa", "ckb", "ur", "ug"),
    ("af", "nl"),
    ("fr", "oc", "ca"),
    ("it", "fur", "co"),
    ("gd", "ga"),
    ("br", "cy"),
    ("zh", "lzh", "ja", "yue"),
)
"""Languages that are taken for one another, each group a table."""


@dataclass(frozen=True)
class Tier:
    """Pieces that are asked of, all spoiled in one way or in none.

    Attributes:
        name: Such as `300 characters`.
        pieces: By language.
    """

    name: str
    pieces: tuple[Text, ...]


def translated(texts: Sequence[Text]) -> Iterator[Text]:
    """The texts without the lines that stand in three languages or more: those are nobody's."""
    owners: dict[int, set[str]] = defaultdict(set)
    for text in texts:
        for line in set(text.text.split("\n")):
            owners[hash(line)].add(primary(text.language))
    for text in texts:
        lines = text.text.split("\n")
        kept = [line for line in lines if len(owners[hash(line)]) < NOBODYS]
        if kept:
            yield replace(text, text="\n".join(kept))


def is_usual(tag: str) -> bool:
    """Whether a text is in the script that its language is mostly written in.

    Chinese has two, which are told apart by no label of a language.
    """
    usual, own = script(primary(tag)), script(tag)
    return own == usual or {own, usual} <= {"Hans", "Hant", "Hani"}


def prose_first(texts: Iterable[Text], interface: Collection[str]) -> list[Text]:
    """The prose of each language that has enough of it; of the others interface texts too.

    Args:
        texts: Of any languages.
        interface: The sources whose texts are those of programs.
    """
    found = list(texts)
    prose = text_bytes(text for text in found if text.source not in interface)
    return [
        text
        for text in found
        if text.source not in interface or prose[primary(text.language)] < ENOUGH_BYTES
    ]


def text_bytes(texts: Iterable[Text]) -> Counter[str]:
    """UTF-8 bytes of each language."""
    found: Counter[str] = Counter()
    for text in texts:
        found[primary(text.language)] += len(text.text.encode("utf-8", "replace"))
    return found


def stretches(texts: Iterable[Text], number: int = STRETCHES) -> list[Text]:
    """Some parts of each language's documents, from which all its pieces are cut.

    Pieces of one stretch are right and wrong together: its name is that of the document and its
    place in it.
    """

    def parted() -> Iterator[Text]:
        for text in texts:
            line = " ".join(text.text.split())
            start = 0
            while start < len(line):
                end = start + STRETCH
                end = line.rfind(" ", start, end) if end < len(line) else end
                end = end if end > start else start + STRETCH
                name = f"{text.document} {start}"
                yield replace(text, document=name, text=line[start:end].strip())
                start = end

    return drawn(parted(), number)


def cut(texts: Iterable[Text], chars: int, number: int = PIECES) -> list[Text]:
    """So many pieces of each language, of about so many characters.

    Args:
        texts: Of any languages.
        chars: Characters of the longest piece; most have nine tenths of it or more, and none less
            than 45 %: a piece ends at a blank where there is one.
        number: Pieces of a language, or all that there are.
    """
    whole = list(texts)
    sizes = Counter(primary(text.language) for text in whole)

    def cut_up() -> Iterator[Text]:
        for text in whole:
            most = TO_DRAW_FROM * max(1, number // sizes[primary(text.language)])
            found = pieces([text], round(chars * LEAST_SHARE), chars, SEED)
            yield from itertools.islice(found, most)

    return drawn(cut_up(), number)


def drawn(texts: Iterable[Text], number: int) -> list[Text]:
    """So many of each language, evenly over its sources, by the hash of what stands in them."""
    held: dict[str, dict[str, dict[str, Text]]] = defaultdict(lambda: defaultdict(dict))
    for text in texts:
        digest = xxhash.xxh3_128_hexdigest(f"{SEED}\0{text.text}".encode("utf-8", "replace"))
        held[primary(text.language)][text.source].setdefault(digest, text)
    chosen = []
    for language in sorted(held):
        queues = [
            [own[digest] for digest in sorted(own)] for _, own in sorted(held[language].items())
        ]
        turns = (
            queue[turn]
            for turn in range(max(map(len, queues)))
            for queue in queues
            if turn < len(queue)
        )
        chosen += list(itertools.islice(turns, number))
    return chosen


def clean(texts: Sequence[Text], code: Sequence[Text], number: int = PIECES) -> list[Tier]:
    """Prose as it stands, code, and text without a letter.

    Args:
        texts: Stretches of prose in the usual script of its language.
        code: Of any programming language.
        number: Pieces of a language.
    """
    return [
        Tier(
            name,
            (
                *cut(texts, chars, number),
                *(replace(piece, language=NO_LANGUAGE) for piece in cut(code, chars, number)),
                *cut(map(_without_letters, texts), chars, number),
            ),
        )
        for chars, name in CLEAN.items()
    ]


def _without_letters(text: Text) -> Text:
    """Digits and signs of a text: what is in no language."""
    signs = (char for char in text.text if unicodedata.category(char)[0] not in "LMC")
    return replace(text, language=UNKNOWN, text=" ".join("".join(signs).split()))


def hard(
    texts: Sequence[Text], unusual: Sequence[Text], documents: Sequence[Text], number: int = PIECES
) -> list[Tier]:
    """Short and noisy text, capitals, two languages in one text, and unusual scripts.

    Args:
        texts: Stretches of prose in the usual script of its language.
        unusual: Text in another script: transliterated catalogues.
        documents: Whole documents, English ones among them.
        number: Pieces of a language.
    """
    base = cut(texts, NOISY, number)
    made = [Tier(name, tuple(cut(texts, chars, number))) for chars, name in SHORT.items()]
    spoilt: Mapping[str, Callable[[str], str]] = {
        "typing errors": lambda text: noise.with_typos(text, SEED),
        "bad scan": lambda text: noise.as_scanned(text, SEED),
        "no diacritics": noise.unmarked,
        "capitals": str.upper,
    }
    for name, spoil in spoilt.items():
        changed = (replace(piece, text=spoil(piece.text)) for piece in base)
        told_apart = zip(base, changed, strict=True)
        own = tuple(piece for before, piece in told_apart if piece.text != before.text)
        made.append(Tier(name, own))
    made += [
        Tier("two languages", tuple(_spliced(cut(texts, 300, number)))),
        Tier("English head", tuple(_headed(documents, number))),
        Tier("unusual script", tuple(cut(unusual, NOISY, number))),
    ]
    return made


def _spliced(found: Sequence[Text]) -> Iterator[Text]:
    """Each piece with a third of it in the language of another, far from it by the alphabet."""
    for place, piece in enumerate(found):
        other = found[(place + len(found) // 2) % len(found)]
        if primary(other.language) != primary(piece.language):
            text = noise.spliced(piece.text, other.text, len(piece.text), HEAD_SHARE)
            yield replace(piece, text=text)


def _headed(documents: Sequence[Text], number: int) -> Iterator[Text]:
    """Long texts behind some English, such as a licence or a menu."""
    english = [text for text in documents if primary(text.language) == "en"]
    heads = cut(english, ENGLISH_HEAD, number)
    for place, piece in enumerate(cut(documents, DOCUMENT, number // 10)):
        if heads and primary(piece.language) != "en":
            head = heads[place % len(heads)].text
            yield replace(piece, text=f"{head}\n\n{piece.text}")


def cousins(
    found: Sequence[Text], answers: Sequence[str]
) -> list[tuple[tuple[str, ...], dict[str, Counter[str]]]]:
    """How each group of cousins is told: of each, how often each is answered, and all others.

    Groups of which fewer than two languages have pieces are left out.
    """
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for piece, answer in zip(found, answers, strict=True):
        counted[primary(piece.language)][primary(answer)] += 1
    tables = []
    for group in COUSINS:
        there = [language for language in group if language in counted]
        if len(there) > 1:
            rows = {}
            for language in there:
                own = counted[language]
                inside = Counter({other: own[other] for other in there})
                inside["other"] = own.total() - inside.total()
                rows[language] = inside
            tables.append((tuple(there), rows))
    return tables
