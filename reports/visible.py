"""What names and texts of others may show on a page or a terminal: nothing that steers it."""

from __future__ import annotations

import re

# Unicode 15.1, UAX 9 section 2: explicit embeddings, overrides and isolates reorder what follows.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# C0 but tab and line feed, DEL, C1: no glyph, and NUL is not allowed in HTML at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Private names for bytes that are no character.
_NONCHARACTER = re.compile("[\ufffe\uffff\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with every character that could hide or reorder others made visible.

    Marks that scripts need (ZWJ, ZWNJ, LRM, RLM) stay as they are.
    """
    text = _CONTROL.sub(_picture, text)
    text = _REORDERING.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
    return _NONCHARACTER.sub("\ufffd", text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:  # noqa: PLR2004 - C0 has pictures from U+2400 on
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"  # noqa: PLR2004 - DEL
