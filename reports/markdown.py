"""Markdown out of values that anybody may have written: none links, mentions or breaks out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from phloem.reports.visible import plainly

SHOWN = 160  # characters of a value in a line
WHOLE = 2**31  # no value is as long
NOTHING = "nothing"

_BLANK = re.compile(r"((?<=\S) (?=\S))|\s")  # one between others, or any


def code(value: object, characters: int = SHOWN) -> str:
    """A value in a line, as code: CommonMark 6.1 reads nothing inside but the closing backticks.

    Forges make no mention, reference or link of what stands in code. How much is left out of a
    longer value is told.
    """
    text = plainly(" ".join(str(value).split()))
    if not text:
        return NOTHING
    left = len(text) - characters
    text = text[:characters].rstrip() if left > 0 else text
    fence = "`" * (_longest_run(text) + 1)
    space = " " if text[0] == "`" or text[-1] == "`" else ""
    more = f" … and {left:,} more characters" if left > 0 else ""
    return f"{fence}{space}{text}{space}{fence}{more}"


def path_code(path: str) -> str:
    """A path as code, whole; blanks that would be folded away are told by their numbers."""
    return code(_BLANK.sub(lambda m: m[0] if m[1] else f"[U+{ord(m[0]):04X}]", path), WHOLE)


def arrow(before: str, after: str) -> str:
    """`before → after`; marks keep them in this order where both are written from right to left."""
    turns = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in before + after)
    mark = "\u200e" if turns else ""
    return f"{before} {mark}→{mark} {after}"


def codes(values: Iterable[object], *, most: int = 12, characters: int = SHOWN) -> str:
    """Values in a line, with commas between; how many more there are where they are too many."""
    shown = [code(value, characters) for value in values]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more if shown else NOTHING


def fenced(text: str) -> str:
    """A text of several lines as a block of code (CommonMark 4.5)."""
    # A fence ends at a line end of CommonMark 2.1 alone; others of Unicode are no line ends to it.
    lines = plainly(text.replace("\r\n", "\n")).split("\n")
    fence = "`" * max(3, _longest_run(text) + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
