"""Exponents and indices: how text in which digits stand raised or lowered is written on a line."""

from __future__ import annotations

import re

# What stands in text for a tag until the text around it is known. The null character cannot stand
# in a page: a parser takes it out or puts U+FFFD there (WHATWG HTML, 13.2.5 and 13.2.6).
RAISED = {"sup": "\0^", "sub": "\0_"}
END = "\0/"
LINE = "\0n"

_MARKS = re.compile(r"(?:\0[\^_/])+")
_VALUE = re.compile(r"\w|[-+−–±]\w")
_OPERATION = re.compile(r"\0([\^_])([^\0]*\w ?[-+−–*·×/=] ?\w[^\0]*)\0/")
# Letters that stand raised out of habit: 1st, XXe, Mme, no.
_HABIT = re.compile(r"(?:[^\W\d_]{2,}|[eo])\0/")
_ORDINAL = re.compile(r"(?:st|nd|rd|th|e|er|re|ers|res|ère|ème|eme|nde|o|os|as)\0/", re.IGNORECASE)
_FRACTION = re.compile(r"\d+\0/[/⁄]\0_\d")


def write_raised(text: str) -> str:
    """Text with `^` or `_` where something raised or lowered would be read as one with the text.

    That is what begins with a letter, a digit or a sign, after anything but a blank, a bracket that
    opens or a stroke; letters that stand raised out of habit are left as they are (`1st`, `Mme`). A
    whole number and a fraction are parted by a blank, as are digits behind.
    """
    text = text.replace(LINE, "\n").strip("\n").replace("&nbsp;", "\xa0")
    return _MARKS.sub(_mark, _OPERATION.sub(_operation, text))


def _glued(text: str, at: int) -> bool:
    """Whether what stands raised at a place would be read as one with what stands before."""
    before = text[at - 1 : at]
    return bool(before) and not before.isspace() and before not in "/⁄([{“"


def _operation(raised: re.Match[str]) -> str:
    """An operation that stands raised, in brackets: `2^(n+1)`."""
    return f"{raised[1]}({raised[2]})" if _glued(raised.string, raised.start()) else raised[0]


def _mark(marks: re.Match[str]) -> str:
    text, start, end = marks.string, marks.start(), marks.end()
    before, kind = text[start - 1 : start], marks[0].strip("/\0")[-1:]
    if not kind:
        return " " if before.isdigit() and text[end : end + 1].isdigit() else ""
    if not _glued(text, start) or not _VALUE.match(text, end):
        return ""
    if before.isdigit() and _FRACTION.match(text, end):
        return " "
    habit = _ORDINAL if before.isdigit() else _HABIT if before.isalpha() else None
    return "" if habit and habit.match(text, end) else kind
