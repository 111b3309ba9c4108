"""Exponents and indices: how text in which digits stand raised or lowered is written on a line."""

from __future__ import annotations

import re

# What stands in text for a tag until the text around it is known. The null character cannot stand
# in a page: a parser takes it out or puts U+FFFD there (WHATWG HTML, 13.2.5 and 13.2.6); no XML
# holds it, and of wikitext it is taken out.
RAISED = {"sup": "\0^", "sub": "\0_"}
END = "\0/"

_MARKS = re.compile(r"(?:\0[\^_/])+")
_VALUE = re.compile(r"\w|[-+−–±]\w")
_OPERATION = re.compile(
    r"\0([\^_])([^\0]{0,80}\w ?[-+−–*·×/=] ?\w[^\0]{0,80})\0/"  # longer ones are no exponents
)
# Letters that stand raised out of habit: 1st, XXe, Mme, no.
_HABIT = re.compile(r"(?:[^\W\d_]{2,}|[eo])\0/")
_ORDINAL = re.compile(r"(?:st|nd|rd|th|e|er|re|ers|res|ère|ème|eme|nde|o|os|as)\0/", re.IGNORECASE)
_LOWERED = re.compile(r"\d+\0/")
_FRACTION = re.compile(r"\d+\0/[/⁄]\0_\d")


def write_raised(text: str) -> str:
    """Text with `^` or `_` where something raised or lowered would be read as one with the text.

    That is what begins with a letter, a digit or a sign, after anything but a blank, a bracket that
    opens or a stroke; letters that stand raised out of habit are left as they are (`1st`, `Mme`),
    and so is a lowered number behind a letter (`H2O`). A whole number and a fraction are parted by
    a blank, as are digits behind.
    """
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
    opened, ended = "", False
    for mark in marks[0][1::2]:
        if mark != "/":
            opened += mark
        elif opened:  # what holds nothing marks nothing
            opened = opened[:-1]
        else:
            ended = True
    before, kind = text[start - 1 : start], opened[-1:]
    if not kind:
        return " " if ended and before.isdigit() and text[end : end + 1].isdigit() else ""
    if not _glued(text, start) or not _VALUE.match(text, end):
        return ""
    if before.isdigit() and _FRACTION.match(text, end):
        return " "
    letter, number = (_LOWERED, None) if kind == "_" else (_HABIT, _ORDINAL)
    habit = number if before.isdigit() else letter if before.isalpha() else None
    return "" if habit and habit.match(text, end) else kind
