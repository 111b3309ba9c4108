"""What befalls text on its way: typing errors, bad scans, lost diacritics, other languages in it.

All of it is drawn by a seed and the text itself, so that the same text is spoiled in the same way.
"""

from __future__ import annotations

import random
import unicodedata

TYPO_SHARE = 0.05  # of letters
MISREAD_SHARE = 0.15  # of what a scan may take for something else: about 5 % of letters
LOST_SPACE_SHARE = 0.04
LOST_MARK_SHARE = 0.1

# What optical character recognition takes for one another in Latin letters (Holley 2009; the
# pairs that the papers on correction of newspapers list).
MISREAD = {
    "rn": "m", "m": "rn", "cl": "d", "li": "h", "ii": "n", "vv": "w",
    "e": "c", "c": "e", "l": "1", "i": "l", "I": "l", "o": "0", "O": "0", "h": "b", "u": "n",
    "n": "u", "s": "5", "g": "9", "t": "f", "f": "t", "B": "8", "a": "o",
}  # fmt: skip

# Letters that are written without their strokes and hooks where a keyboard has none: none of them
# is a letter and a mark in Unicode.
_PLAIN = str.maketrans(
    "đĐøØłŁħĦŋŊɓƁɗƊƙƘɛƐɔƆǝəƏıðÐƴƳɖƉʋɣƒɲ",
    "dDoOlLhHnNbBdDkKeEoOeeEidDyYdDvgfn",
) | {ord("ß"): "ss", ord("æ"): "ae", ord("Æ"): "AE", ord("œ"): "oe", ord("þ"): "th", ord("Þ"): "Th"}


def with_typos(text: str, seed: int) -> str:
    """Text in which a letter in twenty is left out, doubled, swapped with the next, or another.

    The other letter is one of the text's own, so that each script is spoiled by its own letters.
    """
    drawn = random.Random(f"{seed} typos {text}")  # noqa: S311 - nothing is kept secret by it
    letters = [char for char in text if char.isalpha()]
    out: list[str] = []
    place = 0
    while place < len(text):
        char = text[place]
        place += 1
        if not char.isalpha() or drawn.random() >= TYPO_SHARE:
            out.append(char)
            continue
        what = drawn.randrange(4)
        if what == 1:
            out += [char, char]
        elif what == 2 and place < len(text):  # noqa: PLR2004 - the third of the four
            out += [text[place], char]
            place += 1
        elif what == 3:  # noqa: PLR2004 - the last of the four
            out.append(drawn.choice(letters))
    return "".join(out)


def as_scanned(text: str, seed: int) -> str:
    """Text as a bad scan reads it: letters taken for one another, lost spaces and lost marks."""
    drawn = random.Random(f"{seed} scan {text}")  # noqa: S311 - nothing is kept secret by it
    out: list[str] = []
    place = 0
    while place < len(text):
        key = text[place : place + 2] if text[place : place + 2] in MISREAD else text[place]
        place += len(key)
        chance = drawn.random()
        if key in MISREAD and chance < MISREAD_SHARE:
            out.append(MISREAD[key])
        elif (key == " " and chance < LOST_SPACE_SHARE) or (
            unicodedata.category(key[0]) == "Mn" and chance < LOST_MARK_SHARE
        ):
            continue
        else:
            out.append(key)
    return "".join(out)


def unmarked(text: str) -> str:
    """Latin text without its diacritics, as it is typed where a keyboard has none."""
    kept = []
    is_latin = False
    for char in unicodedata.normalize("NFD", text.translate(_PLAIN)):
        if unicodedata.category(char) == "Mn" and is_latin:
            continue
        is_latin = char.isascii() and char.isalpha()
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def spliced(head: str, tail: str, chars: int, head_share: float) -> str:
    """So many characters, of which a share is the beginning of one text and the rest another's."""
    first = round(chars * head_share)
    return f"{head[:first].rstrip()} {tail[: chars - first].lstrip()}"
