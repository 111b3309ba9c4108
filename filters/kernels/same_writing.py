"""What is the same writing: how each code point is read where texts are compared.

A text with its vowel points and one without, a copy out of a PDF that holds presentation forms, a
page in full-width letters and a file in plain ones say the same, letter by letter. Marks that make
other words are read: those of Indic scripts, of Thai, Lao, Khmer and Burmese, and the accents of
Latin, Greek and Cyrillic.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels.classes import CODE_POINTS, DIGIT, FORMAT, MARK, classes, lower

_POINTS = (
    (0x0591, 0x05BD),  # Hebrew accents and points (The Unicode Standard, section 9.1)
    *((code, code) for code in (0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7)),
    (0x0610, 0x061A),  # Arabic: honorifics, and signs over the lines of the Koran (9.2)
    (0x064B, 0x0652),  # tashkil: vowels, nunation, shadda, sukun
    (0x0670, 0x0670),  # superscript alef
    (0x06D6, 0x06DC),  # signs of the Koran
    (0x06DF, 0x06E4),
    (0x06E7, 0x06E8),
    (0x06EA, 0x06ED),
)
_TATWEEL = ((0x0640, 0x0640),)  # makes a word longer, and says nothing (9.2)
_DOT_OF_I = ((0x0307, 0x0307),)  # what lower case leaves of U+0130; composed letters keep theirs
# Default_Ignorable_Code_Point (UAX #44) that are not of category Cf, which is passed over anyway.
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180D),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
_PASSED_OVER = (*_POINTS, *_TATWEEL, *_DOT_OF_I, *_IGNORABLE)

_LETTERS = {
    # Farsi yeh; alef maksura, as yeh without dots ends words; keheh for kaf: the letters of Persian
    # and of Arabic keyboards (The Unicode Standard, 9.2; Lucene's Arabic and Persian normalizers)
    "ی": "ي",
    "ى": "ي",
    "ک": "ك",
    "ς": "σ",  # final sigma, which capitals do not tell (SpecialCasing.txt)
    "ı": "i",  # in Turkish the lower case of I, which elsewhere is i (SpecialCasing.txt)
    "ſ": "s",  # long s, ß and ẞ: full case folding (CaseFolding.txt)
    "ß": "ss",
    "ẞ": "ss",
}

# Blocks of forms that are kept for other encodings: each is read as what it is compatible with
# (UAX #15, NFKC), unless that holds a blank.
_FORMS = (
    (0x2E80, 0x2FDF),  # radicals, as PDF files hold them for ideographs
    (0xFB00, 0xFDFF),  # ligatures; Hebrew and Arabic presentation forms A
    (0xFE70, 0xFEFC),  # Arabic presentation forms B
    (0xFF01, 0xFFEE),  # half-width and full-width forms
)
# Half-width Katakana writes a voiced letter as two: others are taken apart (UAX #15, NFD).
_KANA = ((0x3040, 0x30FF),)
_VOICED = (0xFF9E, 0xFF9F)  # half-width letters that are read as marks


class Reading(NamedTuple):
    """How texts are read. A kernel takes it as it is.

    Attributes:
        classes: Flags of each code point; what is passed over is `FORMAT`.
        read_as: The code point that each counts as; from `CODE_POINTS` on a row of `spelt`.
        spelt: Code points that one counts as, 0 behind the last.
    """

    classes: npt.NDArray[np.uint8]
    read_as: npt.NDArray[np.uint32]
    spelt: npt.NDArray[np.uint32]


@functools.cache
def nominating() -> Reading:
    """As candidates are found: the same writing is one, in lower case, and each digit is 0."""
    return _reading(dict.fromkeys(_digits(), "0"))


@functools.cache
def verifying() -> Reading:
    """As candidates are verified: so too, but each decimal digit is read as that of ASCII.

    The ten digits of a script stand in a row, 0 first (The Unicode Standard, section 4.6).
    """
    return _reading({code: str(unicodedata.decimal(chr(code))) for code in _digits()})


def read(text: str, reading: Reading) -> Iterator[tuple[int, str]]:
    """The flags of each code point of a text and what it is read as, in plain Python."""
    for char in text:
        value = int(reading.read_as[ord(char)])
        row: Any = [value] if value < CODE_POINTS else reading.spelt[value - CODE_POINTS].tolist()
        yield int(reading.classes[ord(char)]), "".join(chr(code) for code in row if code)


def _digits() -> list[int]:
    return [int(code) for code in np.flatnonzero(classes() & DIGIT)]


def _reading(digits: dict[int, str]) -> Reading:
    flags, read_as = classes().copy(), lower().copy()
    passed = {code for first, last in _PASSED_OVER for code in range(first, last + 1)}
    flags[list(passed)] = FORMAT
    spelt: list[str] = []
    for code, text in _plain().items():
        letters = "".join(_LETTERS.get(each, each) for each in text if ord(each) not in passed)
        letters = "".join(digits.get(ord(each), chr(lower()[ord(each)])) for each in letters)
        flags[code] = flags[ord(letters[0])] if letters else FORMAT
        if not letters:
            continue
        if len(letters) == 1:
            read_as[code] = ord(letters)
        else:
            read_as[code] = CODE_POINTS + len(spelt)
            spelt.append(letters)
    for code, text in digits.items():
        read_as[code] = ord(text)
    flags[list(_VOICED)] = MARK
    table = np.zeros((len(spelt), max(map(len, spelt))), np.uint32)
    for row, letters in enumerate(spelt):
        table[row, : len(letters)] = [ord(each) for each in letters]
    for array in (flags, read_as, table):
        array.flags.writeable = False
    return Reading(flags, read_as, table)


def _plain() -> dict[int, str]:
    """What each form and variant stands for, which no version of Unicode changes (UAX #15, 3)."""
    found = {ord(each): text for each, text in _LETTERS.items()}
    for first, last in (*_FORMS, *_KANA):
        for code in range(first, last + 1):
            text = unicodedata.normalize("NFKC", chr(code))
            text = unicodedata.normalize("NFD", text) if _is_kana(text) else text
            if text != chr(code) and not any(each.isspace() for each in text):
                found[code] = text
    return found


def _is_kana(text: str) -> bool:
    return any(first <= ord(each) <= last for each in text for first, last in _KANA)
