"""Rewrites of the text's code points: canonical composition, and white space."""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import TEXT
from phloem.filters.kernels import cleaning as k
from phloem.filters.kernels import spacing
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

# What prose does not hold and nearly every file of source code does: a quotation mark three times,
# a call with a string, a literal that a name is given, a block's head, strings parted by commas;
# and the head of a part of a patch, in which lines begin with a blank.
_SIGNS = re.compile(r"""(["'])\1\1|\w\(["']|=[ ]?["'({\[]|\):\n[ \t]|,"\w|@@ -\d""", re.ASCII)
_SIGN_BYTES = b"\"'(=),@\t\n\r"
_TYPED = re.compile(r"""[.!?]|[.!?]["')]""")  # what a typist puts two spaces behind
_JOINED = re.compile(r"[,;|][A-Za-z]")  # cells that no blank parts
_CONTROLS = "".join(map(chr, range(0x21)))


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """What `whitespace` does with every code point."""
    table = np.full(CODE_POINTS, spacing.KEEP, np.uint8)
    table[[*range(0x20), *range(0x7F, 0xA0), *_DROPPED]] = spacing.DROP
    table[list(_BLANKS)] = spacing.BLANK
    table[0x09] = spacing.TAB
    table[list(_BREAKS)] = spacing.BREAK
    return table


@functools.cache
def _firsts() -> npt.NDArray[np.uint8]:
    """What `whitespace` may do with a byte before it knows the code point."""
    table = np.where(leads(_kinds() != spacing.KEEP), spacing.OTHER, spacing.PLAIN).astype(np.uint8)
    table[[spacing.BLANKSPACE, spacing.NEWLINE]] = spacing.PARTING
    return table


@functools.cache
def _signs() -> npt.NDArray[np.bool_]:
    """The bytes that tell source code and tables."""
    table = np.zeros(256, np.bool_)
    table[list(_SIGN_BYTES)] = True
    return table


def _whitespace_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    texts = batch[TEXT.name].to_pylist()
    return [pa.array([None if text is None else _clean(text) for text in texts], TEXT.type)]


def _clean(text: str) -> str:
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return unified.strip("\n") if _keeps_form(unified) else _clean_prose(unified)


def _keeps_form(text: str) -> bool:
    lines = [line for line in (each.lstrip(_CONTROLS) for each in text.split("\n")) if line]
    rows = sum("\t" in line for line in lines)
    return bool(_SIGNS.search(text)) or (rows > 1 and 2 * rows >= len(lines))


def _clean_prose(text: str) -> str:
    kinds = _kinds()
    whole = "".join(char for char in text if kinds[ord(char)] != spacing.DROP)
    lines = "".join("\n" if kinds[ord(char)] == spacing.BREAK else char for char in whole)
    kept: list[str] = []
    for line in lines.split("\n"):
        body = _clean_line(line)
        if body or (kept and kept[-1]):
            kept.append(body)
    return "\n".join(kept).rstrip("\n")


def _clean_line(line: str) -> str:
    """A line of prose, with blanks at its end left out."""
    blanks = "".join(map(chr, _BLANKS))
    plain = line.translate(dict.fromkeys(_BLANKS, " ")).rstrip(" \t")
    line = line[: len(plain)]
    laid = plain.startswith(("\t", "  ", " \t")) or _JOINED.search(plain) is not None
    runs = [run for run in re.finditer(f"[{blanks}\t]+", line) if run.start()]
    laid = laid or any("\t" in run[0] or (len(run[0]) > 2 and set(run[0]) == {" "}) for run in runs)  # noqa: PLR2004
    done, at = "", 0
    for run in runs:
        done += plain[at : run.start()]
        typed = run[0] == "  " and not "0" <= plain[run.end()] <= "9"
        typed = typed and any(_TYPED.fullmatch(done[-size:]) for size in (1, 2))
        one = not laid and (typed or set(run[0]) != {" "})
        done += " " if one else plain[run.start() : run.end()]
        at = run.end()
    return done + plain[at:]


@op(
    reads=[TEXT],
    writes=[TEXT],
    version=3,
    examples=[
        ("a\r\n\r\n\r\n\r\nb.  C \u00a0 d\t\n", "a\n\nb. C d"),
        ("def f(x):\n    return 'a  b'\n", "def f(x):\n    return 'a  b'"),
        ("Oslo\t\tNO\r\nAccra\t\t\r\n", "Oslo\t\tNO\nAccra\t\t"),
        ("@@ -1,2 +1,2 @@\n-if a  :\n+if a:\n \n", "@@ -1,2 +1,2 @@\n-if a  :\n+if a:\n "),
        ("می\u200cخواهم\x00 \u200bไทย", "می\u200cخواهم \u200bไทย"),
        (None, None),
    ],
    reference=_whitespace_reference,
)
def whitespace(batch: pa.RecordBatch) -> list[pa.Array]:
    """Make line ends and blanks of prose uniform; leave those of code and tables as they are.

    Every line end (Unicode 14.0, table 5-1) becomes a line feed, and at most two follow one
    another. Every other White_Space character becomes a space. One space is left of two that a
    typist puts behind a sentence, and of a run that holds others than the plain one, but not in a
    line whose blanks place what stands in it: indented by two or more, with a tab, with three
    spaces in a row, or with commas, semicolons or bars that a letter follows at once. All other
    runs stay, and so does indentation; blanks at a line's end go, and so do blank lines at both
    ends of the text. Other control characters (category Cc), U+FEFF and interlinear annotation
    marks go. Joiners, zero-width spaces and directional marks stay: Persian, Indic scripts, Thai,
    Khmer and emoji need them.

    Source code keeps all of it, or its strings would change, and so does a text with a tab in half
    of its lines; only carriage returns become line feeds, and line ends at both ends of the text
    go. A text is source code that holds one of six signs: a quotation mark three times, a call
    with a string (`f("`), a literal that a name is given (`= [`), a block's head (`):` and an
    indented line), strings without a blank between them (`,"a`), or the head of a part of a patch
    (`@@ -1`).
    """
    array = batch[TEXT.name]
    texts = strings(array)
    whole = texts.data[texts.offsets[0] : texts.offsets[-1]]
    out = np.empty(len(whole), np.uint8)
    bounds = np.zeros(texts.rows + 1, np.int64)
    spacing.clean(texts, _kinds(), _firsts(), _signs(), out, bounds)
    if bounds[-1] == len(whole) and np.array_equal(out, whole):
        return [array]
    return [to_strings(out[: bounds[-1]], bounds, texts.valid, array.type)]
