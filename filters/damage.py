"""Signs that a text was decoded wrongly before it came here: what `statistics` counts of them."""

from __future__ import annotations

import functools
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import Column
from phloem.filters.kernels import damaging as k
from phloem.filters.kernels.classes import CODE_POINTS
from phloem.filters.kernels.utf8 import leads

REPLACEMENT_FRAC = Column(
    "replacement_frac",
    pa.float64(),
    "U+FFFD, which stands for what could not be decoded, per character that is not a space, 0-1.",
)
MOJIBAKE_FRAC = Column(
    "mojibake_frac",
    pa.float64(),
    "Characters of UTF-8 read as Windows-1252 or 1251 ('Ã©', 'Р°'), per character that is not a"
    " space, 0-1.",
)
ZAWGYI_FRAC = Column(
    "zawgyi_frac",
    pa.float64(),
    "Signs of Burmese where only the encoding Zawgyi has them, per character that is not a space,"
    " 0-1.",
)

# What a byte of UTF-8 that continues a character becomes in Windows-1252, or in ISO 8859-1.
_BYTES = [bytes([byte]) for byte in range(0x80, 0xC0)]
_TRAILS = "".join(
    dict.fromkeys(each.decode(name, "ignore") for each in _BYTES for name in ("cp1252", "latin-1"))
)
# The letters, dashes, quotation and ellipsis marks among them may stand behind a letter in sound
# text: German „Ö“, French œ.
_SIGNS = "".join(char for char in _TRAILS if char not in "…‘’“”–—‹›ŠšŽžŒœŸ")
# What begins a character of two bytes, but ß, which guillemets close in German; and of three.
_LEADS2 = "".join(map(chr, range(0xC2, 0xDF)))
_LEADS3 = "".join(map(chr, range(0xE0, 0xF0)))
# The same of Windows-1251, with the signs alone.
_CAPITALS = "".join(map(chr, range(0x412, 0x430)))
_CYRILLIC = "‚€†‡‰¤¦§©¬®°±µ¶·"

# Letters and medials that the vowel U+1031 and the medial U+103B follow (The Unicode Standard,
# section 16.3); Zawgyi writes both before the letter, as they are seen, and the sign that kills a
# vowel as U+1039, which in Unicode stacks a consonant (Unicode Technical Note 11).
_CONSONANTS = "".join(map(chr, range(0x1000, 0x102B)))
_OTHERS = (*range(0x103A, 0x1040), *range(0x1050, 0x1056), *range(0x105A, 0x1062), 0x1065, 0x1066)
_MINORITIES = (*range(0x106E, 0x1071), *range(0x1075, 0x1083), 0x108E, *range(0xAA60, 0xAA77))
_BASES = _CONSONANTS + "".join(map(chr, (*_OTHERS, *_MINORITIES, 0xAA7A, 0xAA7E, 0xAA7F)))

_REPLACED = re.compile("\ufffd")
_MOJIBAKE = re.compile(
    f"[{_LEADS2}](?=[{re.escape(_SIGNS)}])|[{_LEADS3}](?=€|[{re.escape(_SIGNS)}]"
    f"[{re.escape(_TRAILS)}])|[{_CAPITALS}](?=[{_CYRILLIC}])"
)
_ZAWGYI = re.compile(f"\u1039(?![{_CONSONANTS}])|(?<![{_BASES}])[\u1031\u103b]")


@functools.cache
def damage_parts() -> npt.NDArray[np.uint8]:
    """What each code point is a part of: the bits of the kernel."""
    table = np.zeros(CODE_POINTS, np.uint8)
    for chars, bit in (
        (_LEADS2, k.LEAD2),
        (_LEADS3, k.LEAD3),
        (_SIGNS, k.SIGN),
        (_TRAILS, k.TRAIL),
        (_CAPITALS, k.CAPITAL),
        (_CYRILLIC, k.CYRILLIC),
        (_BASES, k.BASE),
        (_CONSONANTS, k.CONSONANT),
    ):
        table[[ord(char) for char in chars]] |= bit
    return table


@functools.cache
def damage_firsts() -> npt.NDArray[np.bool_]:
    """The bytes that a code point begins with which the kernel looks at."""
    wanted = (damage_parts() & k.BEGINS) > 0
    wanted[list(k.ALONE)] = True
    return leads(wanted)


def count_damage(text: str) -> list[int]:
    """What the kernel counts, in plain Python."""
    counts = [0] * k.KINDS
    for kind, pattern in ((k.REPLACED, _REPLACED), (k.MOJIBAKE, _MOJIBAKE), (k.ZAWGYI, _ZAWGYI)):
        counts[kind] = sum(1 for _ in pattern.finditer(text))
    return counts
