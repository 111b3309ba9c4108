"""Lists of pages: how their items are marked."""

from __future__ import annotations

import re

_KIND = re.compile(
    r' type="([1aAiI])"|list-style(?:-type)?:\s*(none)|(lower|upper)-?(alpha|latin|roman)[ ;"]'
)
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


def kind_of(attributes: str, kind: str) -> str:
    """How the items of a list are marked: as its attributes say, else as is given."""
    said = _KIND.search(attributes)
    if said and said[2]:
        return ""
    if said and kind not in ("", "•"):
        letter = said[1] or ("i" if said[4] == "roman" else "a")
        return letter.upper() if said[3] == "upper" else letter
    return kind


def numbered(value: int, kind: str) -> str:
    """The marker of an item (CSS Counter Styles 3, 6 and 7); what a kind cannot say is decimal."""
    if kind in ("", "•"):
        return kind
    said, rest = "", value
    if kind in "aA":
        while rest > 0:
            rest, letter = divmod(rest - 1, 26)
            said = chr(ord("a") + letter) + said
    elif kind in "iI" and 0 < value < 4000:  # noqa: PLR2004 - what Roman numerals can say
        for worth, letters in _ROMAN:
            said += letters * (rest // worth)
            rest %= worth
    return f"{(said.upper() if kind.isupper() else said) or value}."
