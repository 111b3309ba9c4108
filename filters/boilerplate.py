"""Signs of web pages that are no prose: placeholder text, notices, code, addresses."""

from __future__ import annotations

import functools
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.filters.kernels import marking as k
from phloem.filters.kernels.classes import SPACE, UNSPACED, WORD, classes
from phloem.filters.kernels.utf8 import Flags, Integers, leads, nullable, strings
from phloem.filters.op import op
from phloem.filters.statistics import ratio

BRACE_COUNT = Column("brace_count", pa.int64(), "Braces, '{' and '}'.")
LOREM_IPSUM_COUNT = Column(
    "lorem_ipsum_count", pa.int64(), "How often 'lorem ipsum' stands, in any case."
)
JAVASCRIPT_LINE_COUNT = Column(
    "javascript_line_count", pa.int64(), "Lines that hold 'javascript', in any case."
)
POLICY_LINE_COUNT = Column(
    "policy_line_count",
    pa.int64(),
    "Lines that hold one of C4's six phrases of notices ('terms of use', 'use cookies' …).",
)
BRACKET_FRAC = Column(
    "bracket_frac", pa.float64(), "Brackets ()[]{} per character that is not a space, 0-1."
)
URL_CHAR_FRAC = Column(
    "url_char_frac",
    pa.float64(),
    "Characters of web addresses per character that is not a space, 0-1.",
)

LOREM_IPSUM = "lorem ipsum"
JAVASCRIPT = "javascript"
# C4 (Raffel et al. 2020, arXiv 1910.10683, 2.2: lines about policies), as its published code has
# them: tensorflow_datasets, text/c4_utils.py.
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)

# A letter of each phrase that is rare, by which it is found; of `cookie` the k.
_ANCHORS = {
    LOREM_IPSUM: LOREM_IPSUM.index("p"),
    JAVASCRIPT: 0,
    **{phrase: phrase.find("k") for phrase in POLICY_PHRASES},
    "terms of use": "terms of use".index("f"),
    "privacy policy": "privacy policy".index("v"),
}
_KINDS = {
    LOREM_IPSUM: k.PLACEHOLDERS,
    JAVASCRIPT: k.SCRIPT_LINES,
    **dict.fromkeys(POLICY_PHRASES, k.POLICY_LINES),
}

# What stands in no address, of ASCII (RFC 3986, section 2; appendix C: what delimits one).
_DELIMITERS = "".join(map(chr, range(0x21))) + '"<>\\^`{|}\x7f'
_BEGIN = re.compile(r"(?:https?|ftp)://|(?<![a-z0-9])www\.", re.ASCII | re.IGNORECASE)


@functools.cache
def phrases() -> k.Phrases:
    """C4's phrases: placeholder text, JavaScript, notices."""
    letters = np.zeros((len(_ANCHORS), max(map(len, _ANCHORS))), np.uint8)
    for row, phrase in enumerate(_ANCHORS):
        letters[row, : len(phrase)] = list(phrase.encode())
    return k.Phrases(
        letters,
        np.array([len(phrase) for phrase in _ANCHORS], np.int64),
        np.array(list(_ANCHORS.values()), np.int64),
        np.array([_KINDS[phrase] for phrase in _ANCHORS], np.int64),
    )


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """What each byte may be the sign of, what ends an address, and what goes before none."""
    signs = np.where(leads(classes() & SPACE > 0), k.WIDE, k.PLAIN).astype(np.uint8)
    for chars, sign in (
        ("".join(chr(code) for code in range(0x80) if classes()[code] & SPACE), k.BLANK),
        ("\n", k.NEWLINE),
        ("{}", k.BRACE),
        ("()[]", k.BRACKET),
        (":", k.COLON),
        ("wW", k.WWW),
        ("".join(phrase[at] + phrase[at].upper() for phrase, at in _ANCHORS.items()), k.PHRASE),
    ):
        signs[[ord(char) for char in chars]] = sign
    delimits, joins = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    delimits[[ord(char) for char in _DELIMITERS]] = 1
    joins[[code for code in range(0x80) if chr(code).isalnum()]] = 1
    return signs, delimits, joins


def _columns(counts: Integers, valid: Flags) -> list[pa.Array]:
    one = counts.T
    numbers = (k.BRACES, k.PLACEHOLDERS, k.SCRIPT_LINES, k.POLICY_LINES)
    arrays = [nullable(one[number], valid, pa.int64()) for number in numbers]
    parts = (k.BRACKETS, k.ADDRESS_CHARS)
    return arrays + [
        nullable(ratio(one[part], one[k.CHARS]), valid, pa.float64()) for part in parts
    ]


def _boilerplate_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    texts = batch[TEXT.name].to_pylist()
    counts = np.zeros((len(texts), k.COUNTS), np.int64)
    for row, text in enumerate(texts):
        counts[row] = _count_one(text or "")
    return _columns(counts, np.array([text is not None for text in texts], np.bool_))


def lower_ascii(text: str) -> str:
    """The text with the capitals of ASCII in lower case."""
    return text.translate({code: code + 32 for code in range(ord("A"), ord("Z") + 1)})


def _count_one(text: str) -> list[int]:
    lowered = lower_ascii(text)
    lines = lowered.split("\n")
    counts = [0] * k.COUNTS
    counts[k.CHARS] = sum(not classes()[ord(char)] & SPACE for char in text)
    counts[k.BRACES] = sum(char in "{}" for char in text)
    counts[k.BRACKETS] = sum(char in "()[]{}" for char in text)
    counts[k.ADDRESS_CHARS] = _address_chars(text)
    counts[k.PLACEHOLDERS] = lowered.count(LOREM_IPSUM)
    counts[k.SCRIPT_LINES] = sum(JAVASCRIPT in line for line in lines)
    counts[k.POLICY_LINES] = sum(any(each in line for each in POLICY_PHRASES) for line in lines)
    return counts


def _address_chars(text: str) -> int:
    found, free = 0, 0
    for begin in _BEGIN.finditer(text):
        if begin.start() < free:
            continue
        end = begin.end()
        while end < len(text) and _continues(text[end]):
            end += 1
        if end > begin.end():
            found += end - begin.start()
            free = end
    return found


def _continues(char: str) -> bool:
    if char.isascii():
        return char not in _DELIMITERS
    flags = classes()[ord(char)]
    return bool(flags & WORD and not flags & UNSPACED)


@op(
    reads=[TEXT],
    writes=[
        BRACE_COUNT,
        LOREM_IPSUM_COUNT,
        JAVASCRIPT_LINE_COUNT,
        POLICY_LINE_COUNT,
        BRACKET_FRAC,
        URL_CHAR_FRAC,
    ],
    data=["kernels/categories.txt"],
    examples=[
        ("Lorem Ipsum (x)\nEnable JavaScript.\nWe use cookies {…}", (2, 1, 1, 1, 0.0889, 0.0)),
        ("See https://example.org/a?b, www.w3.org", (0, 0, 0, 0, 0.0, 0.9189)),
        ("", (0, 0, 0, 0, 0.0, 0.0)),
        (None, (None,) * 6),
    ],
    reference=_boilerplate_reference,
)
def boilerplate(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count what web pages hold beside prose: placeholder text, notices, braces, addresses.

    Phrases and braces are those of C4 (Raffel et al. 2020, arXiv 1910.10683, 2.2): it drops pages
    with 'lorem ipsum' or a brace, and lines with 'javascript' or about policies. The share of
    addresses is a rule of NeMo Curator's heuristic filters (at most 0.2). An address begins with
    `http://`, `https://`, `ftp://` or `www.` and ends before what RFC 3986 allows in none, or what
    is neither of ASCII nor a letter of a spaced script.
    """
    texts = strings(batch[TEXT.name])
    counts = np.zeros((texts.rows, k.COUNTS), np.int64)
    k.count_marks(texts, classes(), *_tables(), phrases(), counts)
    return _columns(counts, texts.valid)
