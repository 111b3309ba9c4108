"""What each code point is to the interpreter and to `tokenizers`, as files of `filters/` keep it.

`python tests/support/code_points.py` writes these files anew.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version

import numpy as np
import regex
from langcodes.data_dicts import ALL_SCRIPTS
from tokenizers import pre_tokenizers

from phloem.filters import bpe
from phloem.filters.kernels import merging as k
from phloem.filters.kernels.classes import CATEGORIES, CODE_POINTS, SCRIPTS, SENTENCE_ENDS


def _runs(kinds: Iterable[object]) -> Iterator[str]:
    start = 0
    for kind, run in itertools.groupby(kinds):
        yield f"{start:x} {kind}"
        start += sum(1 for _ in run)


def categories_of_interpreter() -> str:
    """The running interpreter's general categories, as `categories.txt` holds them."""
    kinds = map(unicodedata.category, map(chr, range(CODE_POINTS)))
    return "\n".join([f"unicode {unicodedata.unidata_version}", *_runs(kinds)]) + "\n"


def scripts_of_library() -> str:
    """The script of each code point as the installed `regex` has it, as `scripts.txt` holds them.

    Only of code points that `categories.txt` knows: `regex` follows a later Unicode.
    """
    every = "".join(map(chr, [*range(0xD800), *([0] * 0x800), *range(0xE000, CODE_POINTS)]))
    kinds = ["Zyyy"] * CODE_POINTS
    for script in sorted(ALL_SCRIPTS - {"Zyyy", "Zzzz"}):
        try:
            pattern = regex.compile(rf"\p{{Script={script}}}+")
        except regex.error:  # of no code point: Kore is Hang with Hani
            continue
        for found in pattern.finditer(every):
            kinds[found.start() : found.end()] = [script] * (found.end() - found.start())
    for code in range(CODE_POINTS):
        if unicodedata.category(chr(code)) == "Cn":
            kinds[code] = "Zyyy"
    return "\n".join([f"unicode {unicodedata.unidata_version}", *_runs(kinds)]) + "\n"


def sentence_ends_of_library() -> str:
    """The property Sentence_Terminal as the installed `regex` has it, for `sentence_ends.txt`.

    Only of code points that `categories.txt` knows, as for the scripts.
    """
    terminal = regex.compile(r"\p{Sentence_Terminal}")
    kinds = [
        "STerm" if unicodedata.category(char) != "Cn" and terminal.match(char) else "other"
        for char in map(chr, range(CODE_POINTS))
    ]
    return "\n".join([f"unicode {unicodedata.unidata_version}", *_runs(kinds)]) + "\n"


def classes_of_library(codes: Sequence[int]) -> list[int]:
    """The class of each code point, found by how `tokenizers` cuts a text of them.

    Each stands between a letter, a digit and a sign: it is what it is not cut from.
    """
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str
    beside = {k.LETTER: "a", k.NUMBER: "1", k.OTHER: "!"}
    found = [k.SPACE] * len(codes)
    for kind, other in beside.items():
        for start in range(0, len(codes), 4096):
            part = codes[start : start + 4096]
            begins = {first for _, (first, _) in cut("\n".join(other + chr(code) for code in part))}
            for number in range(len(part)):
                if 3 * number + 1 not in begins:
                    found[start + number] = kind
    return found


def bpe_classes_of_library() -> str:
    """The classes of the installed library, as `bpe_classes.txt` holds them."""
    surrogates = range(0xD800, 0xE000)  # of no text in UTF-8
    codes = [code for code in range(CODE_POINTS) if code not in surrogates]
    kinds = np.full(CODE_POINTS, k.OTHER)
    kinds[codes] = classes_of_library(codes)
    return "\n".join([f"tokenizers {version('tokenizers')}", *_runs(kinds.tolist())]) + "\n"


if __name__ == "__main__":
    CATEGORIES.write_text(categories_of_interpreter())
    SCRIPTS.write_text(scripts_of_library())
    SENTENCE_ENDS.write_text(sentence_ends_of_library())
    bpe.CLASSES.write_text(bpe_classes_of_library())
