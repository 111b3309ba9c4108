"""Rewrites of the text's code points: canonical composition, and white space."""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import TEXT
from phloem.filters.kernels import cleaning as k
from phloem.filters.kernels.classes import CODE_POINTS
from phloem.filters.kernels.utf8 import leads, strings, to_strings
from phloem.filters.op import op

_HANGUL_JAMO = range(0x1161, 0x1200)  # vowels and finals that compose (Unicode 14.0, section 3.12)
_PLANES = 0x30000  # nothing decomposes or combines beyond plane 2, but for tags, which do neither


@functools.cache
def _combining() -> npt.NDArray[np.uint8]:
    """The combining class of every code point; UNSETTLED where NFC_Quick_Check is not Yes."""
    table = np.zeros(CODE_POINTS, np.uint8)
    chars = list(map(chr, range(_PLANES)))
    table[:_PLANES] = list(map(unicodedata.combining, chars))
    table[list(_HANGUL_JAMO)] = k.UNSETTLED
    for char, parts in zip(chars, map(unicodedata.decomposition, chars), strict=True):
        if parts and parts[0] != "<":
            codes = [int(code, 16) for code in parts.split()]
            if len(codes) == 2 and unicodedata.normalize("NFC", parts_of(codes)) == char:  # noqa: PLR2004
                table[codes[1]] = k.UNSETTLED  # Maybe: composes with what stands before it
            if not unicodedata.is_normalized("NFC", char):
                table[ord(char)] = k.UNSETTLED  # No
    return table


@functools.cache
def _unsure() -> npt.NDArray[np.bool_]:
    """The bytes that begin a code point that the quick check must look at."""
    return leads(_combining() > 0)


def parts_of(codes: list[int]) -> str:
    """The string of these code points."""
    return "".join(map(chr, codes))


def _nfc_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    texts = batch[TEXT.name].to_pylist()
    done = [None if text is None else unicodedata.normalize("NFC", text) for text in texts]
    return [pa.array(done, TEXT.type)]


@op(
    reads=[TEXT],
    writes=[TEXT],
    examples=[
        ("e\u0301", "é"),
        ("ก\u0e34\u0e48น", "ก\u0e34\u0e48น"),
        ("\u1112\u1161\u11ab", "한"),
        (None, None),
    ],
    reference=_nfc_reference,
)
def nfc(batch: pa.RecordBatch) -> list[pa.Array]:
    """Put the text into Unicode normal form C (UAX #15), so that equal texts have equal bytes.

    A text that the quick check of UAX #15, section 9, finds settled is passed on as it is. The
    others go through `unicodedata.normalize`; normal forms are stable for all assigned characters
    (Unicode Normalization Stability Policy), so the interpreter's version does not matter.
    """
    array = batch[TEXT.name]
    texts = strings(array)
    fine = np.zeros(texts.rows, np.bool_)
    k.settled(texts, _combining(), _unsure(), fine)
    if fine.all():
        return [array]
    mask = pa.array(~fine)
    done = [unicodedata.normalize("NFC", text) for text in array.filter(mask).to_pylist()]
    return [pc.replace_with_mask(array, mask, pa.array(done, TEXT.type))]


# White_Space characters of Unicode 14.0 (PropList.txt) that end no line, without the tab.
_BLANKS = (0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
# Line ends: Unicode 14.0, section 5.8, table 5-1.
_BREAKS = (0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
# The byte order mark within a text; the interlinear annotation marks (Unicode 14.0, section 23.8).
_DROPPED = (0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB)


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """What `whitespace` does with every code point."""
    table = np.full(CODE_POINTS, k.KEEP, np.uint8)
    table[[*range(0x20), *range(0x7F, 0xA0), *_DROPPED]] = k.DROP
    table[list(_BLANKS)] = k.BLANK
    table[0x09] = k.TAB
    table[list(_BREAKS)] = k.BREAK
    return table


@functools.cache
def _firsts() -> npt.NDArray[np.uint8]:
    """What `whitespace` may do with a byte before it knows the code point."""
    table = np.where(leads(_kinds() != k.KEEP), k.OTHER, k.PLAIN).astype(np.uint8)
    table[[k.BLANKSPACE, k.NEWLINE]] = k.PARTING
    return table


def _whitespace_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    texts = batch[TEXT.name].to_pylist()
    return [pa.array([None if text is None else _clean(text) for text in texts], TEXT.type)]


def _clean(text: str) -> str:
    kinds = _kinds()
    plain = {k.BLANK: " ", k.TAB: "\t", k.BREAK: "\n", k.DROP: ""}
    whole = text.replace("\r\n", "\n")
    lines = "".join(plain.get(int(kinds[ord(char)]), char) for char in whole).split("\n")
    kept: list[str] = []
    for line in lines:
        body = line.strip(" \t")
        if not body:
            if kept and kept[-1]:
                kept.append("")
            continue
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        kept.append(indent + _one_blank(body))
    return "\n".join(kept).rstrip("\n")


def _one_blank(body: str) -> str:
    """The words of a line with one blank between them: a tab if the run held one."""
    out, run = "", ""
    for char in body:
        if char in " \t":
            run += char
            continue
        if run:
            out += "\t" if "\t" in run else " "
        out, run = out + char, ""
    return out


@op(
    reads=[TEXT],
    writes=[TEXT],
    examples=[
        ("a\r\n\r\n\r\n\r\nb  c \u00a0 d\t\n", "a\n\nb c d"),
        ("def f():\n    return  1\n", "def f():\n    return 1"),
        ("می\u200cخواهم\x00 \u200bไทย", "می\u200cخواهم \u200bไทย"),
        (None, None),
    ],
    reference=_whitespace_reference,
)
def whitespace(batch: pa.RecordBatch) -> list[pa.Array]:
    """Make line ends and blanks uniform, and take control characters out.

    Every line end (Unicode 14.0, table 5-1) becomes a line feed, and at most two follow one
    another. Every other White_Space character becomes a space; a run within a line becomes one
    space, or one tab if it held a tab; indentation stays, blanks at a line's end go, and so do
    blank lines at both ends of the text. Other control characters (category Cc), U+FEFF and
    interlinear annotation marks go. Joiners, zero-width spaces and directional marks stay: Persian,
    Indic scripts, Thai, Khmer and emoji need them.
    """
    array = batch[TEXT.name]
    texts = strings(array)
    whole = texts.data[texts.offsets[0] : texts.offsets[-1]]
    out = np.empty(len(whole), np.uint8)
    bounds = np.zeros(texts.rows + 1, np.int64)
    k.clean(texts, _kinds(), _firsts(), out, bounds)
    if bounds[-1] == len(whole) and np.array_equal(out, whole):
        return [array]
    return [to_strings(out[: bounds[-1]], bounds, texts.valid, array.type)]
