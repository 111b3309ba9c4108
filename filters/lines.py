"""Rewrites that a source's own card asks for: lines dropped, joined or cut, strings taken out.

They are what ROOTS (Laurençon et al. 2022, arXiv 2303.03915) cleaned its datasets with, each by a
chain of its own. A card names them in `clean`, with the parameters that its texts need.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from phloem.catalog.columns import DECLARED_LANGUAGE, TEXT
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.filters.hyphens import CutWords, cut_words
from phloem.filters.kernels.classes import UNSPACED, classes
from phloem.filters.op import OpError, op

MARKS: Mapping[str, tuple[str, ...]] = {
    "code": ("{", "}", "[if", "<script"),
    "html": ("<span", "</span>", "<div", "</div>", "<a", "</a>", "br>"),
}
"""Named sets of strings that show that a line is no prose: of scripts and style sheets that
extraction left behind, and of markup. ROOTS' `remove_lines_with_code` and `remove_html_spans`.
`<a` also begins `<abbr>` and `<article>`."""

PLACEHOLDER = "\ufffc"
"""Stands for an embedded object that the text does not hold (Unicode 14.0, section 23.8)."""

# Line ends: Unicode 14.0, section 5.8, table 5-1. A card's rewrites run before `whitespace`.
_END = "\r\n|[\n\v\f\r\x85\u2028\u2029]"
_ENDS = re.compile(f"({_END})")
# East Asian punctuation, which no space precedes or follows.
_CLOSE_PUNCTUATION = frozenset("。，、！？；：…「」『』《》〈〉（）【】")

_Line = tuple[str, str]  # what stands in the line, and its end


def split_lines(text: str) -> list[_Line]:
    """The lines of a text with their ends; the last has none, and may be empty."""
    parts = _ENDS.split(text)  # a body, an end, a body …
    return list(zip(parts[::2], [*parts[1::2], ""], strict=True))


def whole_text(lines: Iterable[_Line]) -> str:
    """The text of lines with their ends."""
    return "".join(body + end for body, end in lines)


def _rewritten(array: pa.Array, rows: pa.Array, rewrite: Callable[[str], str]) -> pa.Array:
    """The texts, those of the rows of a mask written anew."""
    mask = pc.fill_null(rows, False)
    done = [rewrite(text) for text in array.filter(mask).to_pylist()]
    return pc.replace_with_mask(array, mask, pa.array(done, TEXT.type)) if done else array


def _strings(op_name: str, parameter: str, given: Json) -> list[str]:
    """A list of strings that a card gives. Raises OpError for anything else."""
    strings = [] if isinstance(given, str) else list(given or ())
    if not strings or not all(isinstance(each, str) and each for each in strings):
        msg = f"op {op_name}: {parameter} is {given!r}; give a list of strings, none of them empty"
        raise OpError(msg)
    return strings


def _marks(given: str | Sequence[str]) -> list[str]:
    """The strings of a set's name, or those given. Raises OpError."""
    if not isinstance(given, str):
        return _strings("drop_lines", "marks", given)
    if given not in MARKS:
        hint = nearest(given, MARKS)
        msg = f"op drop_lines: no set of marks is named {given!r} (own marks are a list); {hint}"
        raise OpError(msg)
    return list(MARKS[given])


def _drop_lines_reference(
    batch: pa.RecordBatch, *, marks: str | Sequence[str] = "code"
) -> list[pa.Array]:
    """The same in plain Python."""
    found = _marks(marks)
    texts = batch[TEXT.name].to_pylist()
    done = [None if text is None else _without(text, found) for text in texts]
    return [pa.array(done, TEXT.type)]


def _without(text: str, marks: Sequence[str]) -> str:
    return whole_text(
        line for line in split_lines(text) if not any(mark in line[0] for mark in marks)
    )


@op(
    reads=[TEXT],
    writes=[TEXT],
    examples=[
        ("Uda.\nvar ad = {};\nNegua.", "Uda.\nNegua."),
        ("ฝนตก\r\n{{title}}\r\n", "ฝนตก\r\n"),
        ("{ a }\u2028下雨了。", "下雨了。"),
        (None, None),
    ],
    reference=_drop_lines_reference,
)
def drop_lines(batch: pa.RecordBatch, *, marks: str | Sequence[str] = "code") -> list[pa.Array]:
    """Drop every line that holds one of some strings, together with its line end.

    `marks` is the name of a set (`code`, `html`: see `MARKS`) or a list of the card's own strings;
    case counts. ROOTS (Laurençon et al. 2022, arXiv 2303.03915) cleaned 148 datasets of crawled
    pages so. The set `code` is for prose that others extracted: of code, mathematics and
    documentation it drops what matters. Where `clean` stands, texts are not yet in normal form C,
    so a mark with accents may need `nfc` before it. Raises OpError for a set that there is not.
    """
    array = batch[TEXT.name]
    found = _marks(marks)
    rows = functools.reduce(pc.or_, [pc.match_substring(array, mark) for mark in found])
    return [_rewritten(array, rows, functools.partial(_without, marks=found))]


def _strip_substrings_reference(
    batch: pa.RecordBatch, *, substrings: Sequence[str] = (PLACEHOLDER,)
) -> list[pa.Array]:
    """The same in plain Python."""
    found = _strings("strip_substrings", "substrings", substrings)

    def stripped(text: str) -> str:
        return functools.reduce(lambda rest, each: rest.replace(each, ""), found, text)

    texts = batch[TEXT.name].to_pylist()
    return [pa.array([None if text is None else stripped(text) for text in texts], TEXT.type)]


@op(
    reads=[TEXT],
    writes=[TEXT],
    examples=[
        ("Figure 1\ufffc shows\ufffc", "Figure 1 shows"),
        ("ภาพ\ufffc", "ภาพ"),
        (None, None),
    ],
    reference=_strip_substrings_reference,
)
def strip_substrings(
    batch: pa.RecordBatch, *, substrings: Sequence[str] = (PLACEHOLDER,)
) -> list[pa.Array]:
    """Take every occurrence of some strings out, one string after the other.

    For sentences that a site puts into its texts, such as "This entry needs pronunciation
    information": ROOTS (Laurençon et al. 2022, arXiv 2303.03915) took seventeen of them out of the
    English Wiktionary. Case counts, and what a string joins when it goes may be the next one. By
    default the placeholders of embedded objects go. Raises OpError for a list that is none.
    """
    array = batch[TEXT.name]
    for each in _strings("strip_substrings", "substrings", substrings):
        array = pc.replace_substring(array, pattern=each, replacement="")
    return [array]


def _join_lines_reference(batch: pa.RecordBatch, *, paragraphs: bool = True) -> list[pa.Array]:
    """The same in plain Python."""
    texts = batch[TEXT.name].to_pylist()
    done = [None if text is None else _joined(text, paragraphs=paragraphs) for text in texts]
    return [pa.array(done, TEXT.type)]


def _joined(text: str, *, paragraphs: bool) -> str:
    lines = split_lines(text)
    cut = cut_words([body for body, _ in lines])
    if not paragraphs:
        return _flat([body for body, _ in lines], cut)
    out = []
    for blank, run in itertools.groupby(lines, key=lambda line: not line[0].strip()):
        part = list(run)
        bodies = [body for body, _ in part]
        out.append(whole_text(part) if blank else _flat(bodies, cut) + part[-1][1])
    return "".join(out)


def _flat(bodies: list[str], cut: CutWords) -> str:
    """Lines as one, blank ones left out. A single line stays as it is."""
    if len(bodies) == 1:
        return bodies[0]
    first, *others = [body for body in bodies if body.strip()] or [""]
    parts = [first.rstrip() if others else first]
    for number, body in enumerate(others, 1):
        rest = body.lstrip() if number == len(others) else body.strip()
        before = parts[-1]
        ended = cut.ended(before, rest)
        if ended is not None:
            parts[-1] = ended
        elif not (_is_close(before[-1]) and _is_close(rest[0])):
            parts.append(" ")
        parts.append(rest)
    return "".join(parts)


def _is_close(char: str) -> bool:
    """Whether a character stands beside its like without a space."""
    return bool(classes()[ord(char)] & UNSPACED) or char in _CLOSE_PUNCTUATION


@op(
    reads=[TEXT],
    writes=[TEXT],
    examples=[
        ("A line that\nwas wrapped.\n\nAnother.", "A line that was wrapped.\n\nAnother."),
        ("一行，\r\n又一行。\r\n", "一行，又一行。\r\n"),
        ("बारिश\u2028हुई", "बारिश हुई"),
        ("A mo-\nment, a co-\nop. One moment of co-op.", "A moment, a co-op. One moment of co-op."),
        (None, None),
    ],
    version=3,
    reference=_join_lines_reference,
)
def join_lines(batch: pa.RecordBatch, *, paragraphs: bool = True) -> list[pa.Array]:
    """Join the lines of each paragraph by a space: for prose that was wrapped at a width.

    Blanks around what is joined go. Blank lines stay and part paragraphs; with `paragraphs: false`
    they go too and the text becomes one line, as by ROOTS' `replace_newline_with_space` (Laurençon
    et al. 2022, arXiv 2303.03915). Between two characters of scripts that put no spaces between
    words (Han, kana, Thai …; UAX #14) none is put. Not for verse, lists, tables or code.

    Behind a hyphen that a word was cut at no space is put either. The hyphen itself goes if it is
    a soft one (U+00AD), or if the whole word stands elsewhere in the text; it stays if the word
    stands there with a hyphen, or before a capital or a digit. Of words that stand nowhere else it
    goes if more of the text's cut words lost theirs than kept it (`hyphens.py`). Behind a dash, a
    stroke or a maqaf within a word no space is put either.
    """
    array = batch[TEXT.name]
    rewrite = functools.partial(_joined, paragraphs=paragraphs)
    return [_rewritten(array, pc.match_substring_regex(array, _END), rewrite)]


@functools.cache
def function_words() -> Mapping[str, frozenset[str]]:
    """The function words of the languages that `cut_references` can judge, by tag."""
    path = Path(__file__).with_name("function_words.yaml")
    value = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    return {tag: frozenset(words.split()) for tag, words in value.items()}


def _cut(text: str, words: frozenset[str], ratio: float) -> str:
    lines = split_lines(text)
    kept = len(lines)
    while kept and _share(lines[kept - 1][0], words) <= ratio:
        kept -= 1
    return whole_text(lines[:kept]) if kept else text


def _share(line: str, words: frozenset[str]) -> float:
    found = unicodedata.normalize("NFC", line).split()
    return sum(word in words for word in found) / len(found) if found else 0.0


@op(
    reads=[TEXT, DECLARED_LANGUAGE],
    writes=[TEXT],
    data=["function_words.yaml"],
    examples=[
        (
            (
                "We show that this is not the case.\nReferences\nShannon, C. (1948). A theory.\n",
                "en",
            ),
            "We show that this is not the case.\n",
        ),
        (
            ("On le voit dans les deux cas.\r\n\r\nDurkheim, É. (1895). Paris : Alcan.", "fr"),
            "On le voit dans les deux cas.\r\n",
        ),
        (("No prose here", "en"), "No prose here"),
        (("ไม่มีรายการ\n1. ก (2500)", "th"), "ไม่มีรายการ\n1. ก (2500)"),
        ((None, "en"), None),
    ],
)
def cut_references(
    batch: pa.RecordBatch, *, language: str | None = None, ratio: float = 0.3
) -> list[pa.Array]:
    """Cut the references at a text's end: its last lines, as far as they hold few function words.

    A line's share is that of its words, parted by white space, that stand in
    `function_words.yaml`; blank lines have none. From the end, lines whose share is at most `ratio`
    go. A text without any other line stays whole, and so does one in a language that has no list:
    that is the language that the document declares, else `language`. For scholarly texts with an
    entry or a paragraph a line; notes and signatures at the end go too.

    ROOTS' `remove_references` (Laurençon et al. 2022, arXiv 2303.03915) has a ratio and a longer
    list for each of 13 languages: 0.3 in English, 0.27 in French, 0.4 in Spanish, 0.2 in
    Portuguese. Raises OpError for a `language` that has no list.
    """
    known = function_words()
    if language is not None and _listed(language) is None:
        msg = f"op cut_references: no function words of {language!r}; there are {sorted(known)}"
        raise OpError(msg)
    texts, tags = (batch[column.name].to_pylist() for column in (TEXT, DECLARED_LANGUAGE))
    done = []
    for text, tag in zip(texts, tags, strict=True):
        listed = _listed(tag or language)
        done.append(text if text is None or listed is None else _cut(text, known[listed], ratio))
    return [pa.array(done, TEXT.type)]


def _listed(tag: str | None) -> str | None:
    """The tag whose list holds for a language: its primary subtag's; None if there is none."""
    primary = (tag or "").split("-")[0]
    return primary if primary in function_words() else None
