"""What a language is told by: passages from several places of a text, in lower case, without code.

A head may be a licence, a menu or an abstract in another language, so a long text is read in
passages that lie evenly in it, each from the beginning of a line or word; a short one is read
whole. Words are in lower case: models are trained on text that is mostly so, and take capitals for
Japanese. What separates words in any script is a blank. Numbers, addresses, markup and source code
say nothing of a language and are left out, word by word and, where they are most of it, by line.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.filters.kernels import reading
from phloem.filters.kernels.classes import (
    CODE_POINTS,
    DIGIT,
    FORMAT,
    LETTER,
    MARK,
    NUMBER,
    SPACE,
    classes,
    lower,
    scripts,
)
from phloem.filters.kernels.reading import Kinds, Read
from phloem.filters.kernels.utf8 import Integers, strings, to_strings

PLACES, CHARS = 8, 250
"""Passages of a text, and characters of each: 2,000 characters of a long text are read."""

_JOINERS = (0x200C, 0x200D)  # between letters of Persian and of Indic scripts
# Signs between two words of prose, within one, and at the end of a sentence.
_PARTS, _WITHIN, _ENDS = ",/*!?", "'-", '.:;)"'

WHOLE = 2**62  # more characters than any text has


@dataclass(frozen=True)
class Passages:
    """What was read of a batch of texts.

    Attributes:
        lines: The passages, each as words with one blank between them.
        first: One more than there are texts: each one's first passage, and how many there are.
        read: What was left out of each text, and its script.
        scripts: The script (ISO 15924) of most letters of each passage; `Zyyy`: there are none.
    """

    lines: pa.Array
    first: Integers
    read: Read
    scripts: list[str]

    @property
    def code_frac(self) -> npt.NDArray[np.float64]:
        """Of each text, the fraction of bytes read that are code, markup or addresses, 0-1."""
        return self.read.code / np.maximum(self._bytes, 1)

    @property
    def sign_frac(self) -> npt.NDArray[np.float64]:
        """Of each text, the fraction of bytes read that are signs in lines without code, 0-1."""
        return self.read.signs / np.maximum(self._bytes, 1)

    @property
    def figure_frac(self) -> npt.NDArray[np.float64]:
        """Of each text, the fraction of bytes read that are numbers, or no words at all, 0-1."""
        return (self.read.figures + self.read.blobs) / np.maximum(self._bytes, 1)

    @property
    def text_scripts(self) -> list[str]:
        """The script (ISO 15924) of most letters of each text; `Zyyy`: there are none."""
        return _names(self.read.script)

    @property
    def _bytes(self) -> Integers:
        read = self.read
        return read.words + read.code + read.figures + read.blobs


def read(texts: pa.Array, places: int = PLACES, chars: int = CHARS) -> Passages:
    """Read passages of texts.

    Args:
        texts: Strings; a null has no passage.
        places: Of each text, at most.
        chars: Of each passage, at most; it ends with a word.
    """
    found = strings(texts)
    size = int(found.offsets[-1] - found.offsets[0])
    most = min(found.rows * places, size)
    out = np.empty(size, np.uint8)
    bounds = np.zeros(most + 1, np.int64)
    first = np.zeros(found.rows + 1, np.int64)
    seen = Read(*(np.zeros(found.rows, np.int64) for _ in Read._fields))
    of_each = np.zeros(most, np.int64)
    number = reading.passages(found, _kinds(), places, chars, out, bounds, first, seen, of_each)
    ends = bounds[: number + 1]
    lines = to_strings(out[: ends[-1]], ends, np.ones(number, np.bool_), pa.large_string())
    return Passages(lines, first, seen, _names(of_each[:number]))


def words(texts: pa.Array) -> pa.Array:
    """Each text whole, as `read` has it; empty where nothing is left. A model is trained on it."""
    found = read(texts, 1, WHOLE)
    own = found.first[:-1]
    has_one = np.diff(found.first) > 0
    lines = found.lines.take(pa.array(np.where(has_one, own, -1), mask=~has_one))
    return lines.fill_null("")


def _names(numbers: Integers) -> list[str]:
    names, _ = scripts()
    return [names[number] for number in numbers.tolist()]


@functools.cache
def _kinds() -> Kinds:
    flags = classes()
    kinds = np.full(CODE_POINTS, reading.SIGN, np.uint8)
    kinds[(flags & FORMAT) > 0] = reading.NOTHING
    kinds[(flags & (LETTER | MARK)) > 0] = reading.LETTER
    kinds[[*_JOINERS]] = reading.LETTER
    kinds[(flags & (DIGIT | NUMBER)) > 0] = reading.FIGURE
    kinds[(flags & SPACE) > 0] = reading.GAP
    kinds[0] = reading.GAP
    signs = np.full(0x80, reading.CODE, np.uint8)
    signs[[ord(sign) for sign in _PARTS]] = reading.PARTS
    signs[[ord(sign) for sign in _WITHIN]] = reading.WITHIN
    signs[[ord(sign) for sign in _ENDS]] = reading.ENDS
    return Kinds(kinds, signs, lower(), scripts()[1])
