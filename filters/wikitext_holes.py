"""Sentences of wikitext that lost a word with a template, cut rather than left with a hole."""

from __future__ import annotations

import re

HOLE = "\x01"
"""Stands for a template in a line of which it is not known what it showed."""

NOTHING = "\x05"
"""Stands for one that is known to show nothing."""

_GONE = re.compile(rf"\s*{NOTHING}+(?=[\s.,;:!?…)。，、]|$)|{NOTHING}+")
_RUN = re.compile(f"{HOLE}(?:\\s*{HOLE})+")
# Behind a word or its punctuation, with no word attached: the mark of a note.
_NOTE = re.compile(rf"(?<=[^\s(\[{{（【「『“„«‘\"'=/–—-]){HOLE}(?![^\W_])")
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
    line = _LOOSE.sub(_unless_begun, _NOTE.sub("", _RUN.sub(HOLE, line)))
    while (place := line.find(HOLE)) >= 0:
        begin, end = _bracket(line, place) or _sentence(line, place)
        line = line[:begin] + line[end:]
    return line.rstrip()


def _unless_begun(found: re.Match[str]) -> str:
    """Nothing for a hole that no sentence needs: the next begins behind it, or the line ends."""
    following = found.string[found.end() : found.end() + 1]
    begins = following.isalpha() and not following.islower()
    return found[1] if not following or begins or following in "'\"“„«‘([（「『" else found[0]


def _bracket(line: str, place: int) -> tuple[int, int] | None:
    """Where the innermost bracket around a place begins, with the blanks before it, and ends."""
    begin = _unmatched(line, range(place - 1, -1, -1), _BRACKETS, _CLOSING)
    end = _unmatched(line, range(place + 1, len(line)), _CLOSING, _BRACKETS)
    if begin is None or end is None or _BRACKETS[line[begin]] != line[end]:
        return None
    return len(line[:begin].rstrip()), end + 1


def _unmatched(
    line: str, places: range, wanted: dict[str, str], other: dict[str, str]
) -> int | None:
    depth = 0
    for place in places:
        if line[place] in other:
            depth += 1
        elif line[place] in wanted:
            if not depth:
                return place
            depth -= 1
    return None


def _sentence(line: str, place: int) -> tuple[int, int]:
    """Where the sentence around a place begins and ends; an abbreviation ends none."""
    ends = [found for found in _ENDS.finditer(line) if not _is_short(line, found)]
    begin = max((found.end() for found in ends if found.end() <= place), default=0)
    end = min((found.end() for found in ends if found.start() > place), default=len(line))
    return (2 if not begin and line.startswith("• ") else begin), end


def _is_short(line: str, found: re.Match[str]) -> bool:
    """Whether a full stop may be that of an abbreviation or an initial: `St. `, `J. `."""
    word = re.search(r"[^\W\d_]*$", line[: found.start()])
    letters = len(word[0]) if word else 0
    following = line[found.end() : found.end() + 1]
    return found[0][0] == "." and (0 < letters <= _SHORT or following.islower())
