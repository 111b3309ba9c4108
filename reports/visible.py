"""What names and texts of others may show on a page or a terminal.

Nothing that steers it, no secret of an address, and no person's e-mail address.
"""

from __future__ import annotations

import re
import unicodedata

from phloem.catalog.withheld import withheld

# Unicode 15.1, UAX 9 section 2: explicit embeddings, overrides and isolates reorder what follows.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# C0 but tab and line feed, DEL, C1: no glyph, and NUL is not allowed in HTML at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Private names for bytes that are no character.
_NONCHARACTER = re.compile("[\ufffe\uffff\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with every character that could hide or reorder others made visible.

    Marks that scripts need (ZWJ, ZWNJ, LRM, RLM) stay as they are; what is never told does not.
    """
    text = withheld(text)
    text = _CONTROL.sub(_picture, text)
    text = _REORDERING.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
    return _NONCHARACTER.sub("\ufffd", text)


# Unicode 15.1, Default_Ignorable_Code_Point, soft hyphen and the fillers among them: no glyph.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\u2800]"
)
# Letters that join, or that no blank parts: beside one, marks that join, part or turn are spelling.
_NEEDS_MARKS = re.compile("[\u0590-\u08ff\u0900-\u109f\u1780-\u18af\ufb1d-\ufdff\ufe70-\ufefc]")
_MARKS = "\u200b\u200c\u200d\u200e\u200f\u061c"


def plainly(text: str) -> str:
    """The text as `visible` gives it, and what has no glyph by its number too.

    For whoever decides by what stands there: two names that look alike are told apart. Marks that
    a script needs stay beside its letters, and so does the one that picks the form of an emoji.
    """
    return _UNSEEN.sub(_told, visible(text))


def _told(match: re.Match[str]) -> str:
    mark, before = match[0], match.string[max(match.start() - 1, 0) : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if mark in _MARKS and _NEEDS_MARKS.match(before) and (not after or _NEEDS_MARKS.match(after)):
        return mark
    if mark == "\ufe0f" and unicodedata.category(before or " ") == "So":
        return mark
    return f"[U+{ord(mark):04X}]"


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:  # noqa: PLR2004 - C0 has pictures from U+2400 on
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"  # noqa: PLR2004 - DEL
