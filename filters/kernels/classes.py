"""What each code point is: letter, mark, digit, space; upper case; of a script without spaces.

The general categories are those of Unicode 14.0.0, kept in `categories.txt`, the scripts those in
`scripts.txt` and the marks that end a sentence those in `sentence_ends.txt`, so that measures do
not change with the interpreter.
`python tests/support/code_points.py` rewrites the files from the running interpreter.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

LETTER, MARK, DIGIT, NUMBER = 1, 2, 4, 8
SPACE, FORMAT, UPPER, UNSPACED = 16, 32, 64, 128
WORD = LETTER | MARK | DIGIT | NUMBER

CODE_POINTS = 0x110000
CATEGORIES = Path(__file__).with_name("categories.txt")
SCRIPTS = Path(__file__).with_name("scripts.txt")
SENTENCE_ENDS = Path(__file__).with_name("sentence_ends.txt")

_FLAGS = {
    **dict.fromkeys(("Lu", "Lt"), LETTER | UPPER),
    **dict.fromkeys(("Ll", "Lm", "Lo"), LETTER),
    **dict.fromkeys(("Mn", "Mc", "Me"), MARK),
    "Nd": DIGIT,
    **dict.fromkeys(("Nl", "No"), NUMBER),
    **dict.fromkeys(("Zs", "Zl", "Zp"), SPACE),
    "Cf": FORMAT,
}

# Control characters that separate words, as in str.split: bidirectional classes B, S and WS.
_CONTROL_SPACES = (*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85)

# Punctuation that stands between words where others put a space: Ethiopic wordspace (The Unicode
# Standard, section 19.1).
_WORD_SEPARATORS = (0x1361,)

# Blocks whose scripts do not put spaces between words: line-breaking classes SA, ID, CJ and H of
# UAX #14 without Hangul, which is spaced. First and last code point of each.
_UNSPACED_BLOCKS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # radicals
    (0x3000, 0x312F),  # CJK symbols, Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31BF),  # Bopomofo Extended
    (0x31F0, 0x31FF),  # Katakana Phonetic Extensions
    (0x3400, 0x4DBF),  # CJK Extension A
    (0x4E00, 0x9FFF),  # CJK
    (0xA000, 0xA48F),  # Yi
    (0xA9E0, 0xA9FF),  # Myanmar Extended-B
    (0xAA60, 0xAADF),  # Myanmar Extended-A, Tai Viet
    (0xF900, 0xFAFF),  # CJK compatibility
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x1B000, 0x1B16F),  # Kana Supplement and extensions
    (0x20000, 0x3FFFF),  # CJK Extensions B and on
)


def read_runs(path: Path) -> tuple[str, list[int], list[str]]:
    """The first line of a file of runs of code points; where each run begins; what it says.

    The last begin is where the code points end.
    """
    head, *lines = path.read_text().splitlines()
    starts, said = zip(*map(str.split, lines), strict=True)
    return head, [*(int(start, 16) for start in starts), CODE_POINTS], list(said)


@functools.cache
def classes() -> npt.NDArray[np.uint8]:
    """The flags of every code point."""
    _, starts, kinds = read_runs(CATEGORIES)
    flags = [_FLAGS.get(kind, 0) for kind in kinds]
    table = np.repeat(np.array(flags, np.uint8), np.diff(starts))
    table[[*_CONTROL_SPACES, *_WORD_SEPARATORS]] |= SPACE
    for first, last in _UNSPACED_BLOCKS:
        block = table[first : last + 1]
        block[(block & LETTER) > 0] |= UNSPACED
    table.flags.writeable = False
    return table


@functools.cache
def scripts() -> tuple[tuple[str, ...], npt.NDArray[np.uint8]]:
    """Names of scripts (ISO 15924), and the number of each code point's among them.

    The first, number 0, is `Zyyy`: what several scripts share, or none has. From `scripts.txt`, as
    the Unicode Character Database's property Script has them.
    """
    _, starts, kinds = read_runs(SCRIPTS)
    names = ("Zyyy", *sorted(set(kinds) - {"Zyyy", "Zinh"}))
    numbers = {name: number for number, name in enumerate(names)}
    runs = np.array([numbers.get(kind, 0) for kind in kinds], np.uint8)
    table = np.repeat(runs, np.diff(starts))
    table.flags.writeable = False
    return names, table


@functools.cache
def sentence_ends() -> str:
    """Every mark that ends a sentence: the property Sentence_Terminal of Unicode (UAX #29)."""
    _, starts, kinds = read_runs(SENTENCE_ENDS)
    runs = zip(starts, starts[1:], kinds, strict=False)
    return "".join(
        chr(code) for first, end, kind in runs if kind == "STerm" for code in range(first, end)
    )


@functools.cache
def lower() -> npt.NDArray[np.uint32]:
    """The simple lower case of every code point; the first of several (as for U+0130)."""
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    for code in np.flatnonzero(classes() & UPPER):
        table[code] = ord(chr(code).lower()[0])
    table.flags.writeable = False
    return table
