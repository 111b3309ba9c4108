"""Sentences of wikitext that lost a word with a template, cut rather than left with a hole."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

HOLE = "\x01"
"""Stands for a template in a line of which it is not known what it showed."""

NOTHING = "\x05"
"""Stands for one that is known to show nothing."""

_GONE = re.compile(rf"(?<!\s)\s*{NOTHING}+(?=[\s.,;:!?…)。，、]|$)|{NOTHING}+")
_RUN = re.compile(f"{HOLE}(?:\\s*{HOLE})+")
# Behind a word or its punctuation, with no word attached: the mark of a note.
_NOTE = re.compile(rf"(?<=[^\s(\[{{（【「『“„«‘\"'=/–—-]){HOLE}(?![^\W_])")
_NUMBER = re.compile(r"(?<!\d)\d{1,3}$")  # and no year
# At a line's beginning, or behind a sentence.
_LOOSE = re.compile(rf"(^\s*(?:• )?|[.!?…:]['\"”»’)\]]*\s+|[。！？।۔։]\s*){HOLE}\s*")
_ENDS = re.compile(r"[.!?…]['\"”»’)\]]*\s+|[。！？।۔։]['\"”»’」』）)]*\s*")
_SHORT = 3  # letters of a word behind which a full stop may be an abbreviation's
_BRACKETS = {"(": ")", "（": "）", "[": "]"}
_CLOSING = {close: opens for opens, close in _BRACKETS.items()}


def without_holes(line: str) -> str:
    """The line without the brackets or sentences that hold a hole; one that shows nothing goes."""
    line = _GONE.sub("", line) if NOTHING in line else line
    if HOLE not in line:
        return line
    line = _LOOSE.sub(_unless_begun, _NOTE.sub(_unless_number, _RUN.sub(HOLE, line)))
    kept, at = [], 0
    for begin, end in _cut(line):
        kept.append(line[at : max(at, begin)])
        at = max(at, end)
    return ("".join(kept) + line[at:]).rstrip()


def _unless_number(found: re.Match[str]) -> str:
    """Nothing for a note; but what stands right behind a number is as likely its unit."""
    return HOLE if _NUMBER.search(found.string[max(0, found.start() - 4) : found.start()]) else ""


def _unless_begun(found: re.Match[str]) -> str:
    """Nothing for a hole that no sentence needs: the next begins behind it, or the line ends."""
    following = found.string[found.end() : found.end() + 1]
    begins = following.isalpha() and not following.islower()
    return found[1] if not following or begins or following in "'\"“„«‘([（「『" else found[0]


def _cut(line: str) -> list[tuple[int, int]]:
    """Where what goes with each hole begins and ends: its innermost bracket, else its sentence."""
    ends = [found for found in _ENDS.finditer(line) if not _is_short(line, found)]
    places = [place for place, char in enumerate(line) if char == HOLE]
    brackets = _brackets(line)
    return sorted({brackets.get(place) or _sentence(line, ends, place) for place in places})


def _brackets(line: str) -> dict[int, tuple[int, int]]:
    """Of each hole in brackets that match, the innermost: its begin, with the blanks before it."""
    found: dict[int, tuple[int, int]] = {}
    opened: list[tuple[int, list[int]]] = []  # where, and the holes right inside
    for place, char in enumerate(line):
        if char == HOLE and opened:
            opened[-1][1].append(place)
        elif char in _BRACKETS:
            opened.append((place, []))
        elif char in _CLOSING and opened:
            begin, holes = opened.pop()
            if holes and _BRACKETS[line[begin]] == char:
                while begin and line[begin - 1].isspace():
                    begin -= 1
                found |= dict.fromkeys(holes, (begin, place + 1))
    return found


def _sentence(line: str, ends: Sequence[re.Match[str]], place: int) -> tuple[int, int]:
    """Where the sentence around a place begins and ends; an abbreviation ends none."""
    after = bisect_right(ends, place, key=lambda found: found.start())
    begin = ends[after - 1].end() if after else 0
    end = ends[after].end() if after < len(ends) else len(line)
    return (2 if not begin and line.startswith("• ") else begin), end


def _is_short(line: str, found: re.Match[str]) -> bool:
    """Whether a full stop may be that of an abbreviation or an initial: `St. `, `J. `."""
    word = re.search(r"[^\W\d_]*$", line[max(0, found.start() - _SHORT - 1) : found.start()])
    letters = len(word[0]) if word else 0
    following = line[found.end() : found.end() + 1]
    return found[0][0] == "." and (0 < letters <= _SHORT or following.islower())
