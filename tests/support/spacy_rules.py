"""The rules of spaCy's English tokenizer as files of `filters/kernels/` keep them.

`python tests/support/spacy_rules.py FOLDER`, with a Python that has spaCy and datatrove, writes
them anew. It needs nothing of this project.
"""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import spacy
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
from spacy.lang.char_classes import (
    ALPHA,
    ALPHA_LOWER,
    ALPHA_UPPER,
    CONCAT_QUOTES,
    LIST_CURRENCY,
    LIST_HYPHENS,
    LIST_UNITS,
)
from spacy.lang.lex_attrs import is_punct
from spacy.pipeline import Sentencizer

CODE_POINTS = 0x110000


def flags_of(tokenizer: spacy.tokenizer.Tokenizer) -> list[int]:
    """What each code point is to the rules: the bits of `kernels/tokens.py`, lowest first."""
    alpha, lower, upper = (re.compile(f"[{each}]") for each in (ALPHA, ALPHA_LOWER, ALPHA_UPPER))
    quote = re.compile(f"[{CONCAT_QUOTES}]")
    currencies = {each.replace("\\", "") for each in LIST_CURRENCY}
    found = []
    for code in range(CODE_POINTS):
        char = chr(code) if not 0xD800 <= code < 0xE000 else " "
        dotted = tokenizer.suffix_search(char + ".")
        tests = (
            tokenizer.prefix_search(char) is not None,
            tokenizer.suffix_search(char) is not None,
            bool(list(tokenizer.infix_finditer(char))),
            alpha.match(char) is not None,
            lower.match(char) is not None,
            upper.match(char) is not None,
            quote.match(char) is not None,
            dotted is not None and dotted.end() - dotted.start() == 1,
            char in currencies,
            char in LIST_HYPHENS,
            char.isspace(),
            char in PUNCTUATION_SET,
            char in TERMINAL_PUNCTUATION,
            len(f"a{char}b".splitlines()) > 1,
            char in Sentencizer.default_punct_chars,
            is_punct(char),
        )
        found.append(sum(1 << bit for bit, test in enumerate(tests) if test))
    return found


def main(folder: Path) -> None:
    """Write both files."""
    tokenizer = spacy.blank("en").tokenizer
    lines, start = [f"spacy-{spacy.__version__}"], 0
    for flags, run in itertools.groupby(flags_of(tokenizer)):
        lines.append(f"{start:x} {flags:x}")
        start += sum(1 for _ in run)
    (folder / "token_classes.txt").write_text("\n".join(lines) + "\n")
    cases = [f"spacy-{spacy.__version__}"]
    for text, parts in sorted(tokenizer.rules.items()):
        if any(map(str.isspace, text)):
            continue
        affixed = (
            tokenizer.prefix_search(text)
            or tokenizer.suffix_search(text)
            or list(tokenizer.infix_finditer(text))
        )
        orths = [next(iter(part.values())) for part in parts]
        cases.append("\t".join(["joined" if affixed else "whole", *orths]))
    cases += [f"unit\t{unit}" for unit in LIST_UNITS]
    cases += [f"unit\t{each}" for each in (c.replace("\\", "") for c in LIST_CURRENCY) if each[1:]]
    (folder / "english_tokens.txt").write_text("\n".join(cases) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
