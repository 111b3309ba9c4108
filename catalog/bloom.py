"""The languages of BLOOM, which the registry measures its breadth by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

NATURAL: Mapping[str, str] = MappingProxyType(
    {
        "ak": "Akan",
        "ar": "Arabic",
        "as": "Assamese",
        "bm": "Bambara",
        "bn": "Bengali",
        "ca": "Catalan",
        "en": "English",
        "es": "Spanish",
        "eu": "Basque",
        "fon": "Fon",
        "fr": "French",
        "gu": "Gujarati",
        "hi": "Hindi",
        "id": "Indonesian",
        "ig": "Igbo",
        "ki": "Kikuyu",
        "kn": "Kannada",
        "lg": "Luganda",
        "ln": "Lingala",
        "ml": "Malayalam",
        "mr": "Marathi",
        "ne": "Nepali",
        "nso": "Northern Sotho",
        "ny": "Chichewa",
        "or": "Odia",
        "pa": "Punjabi",
        "pt": "Portuguese",
        "rn": "Kirundi",
        "rw": "Kinyarwanda",
        "sn": "Shona",
        "st": "Sesotho",
        "sw": "Swahili",
        "ta": "Tamil",
        "te": "Telugu",
        "tn": "Setswana",
        "ts": "Xitsonga",
        "tum": "Tumbuka",
        "tw": "Twi",
        "ur": "Urdu",
        "vi": "Vietnamese",
        "wo": "Wolof",
        "xh": "Xhosa",
        "yo": "Yoruba",
        "zh-Hans": "Chinese, simplified",
        "zh-Hant": "Chinese, traditional",
        "zu": "Zulu",
    }
)
"""BCP-47 tag and name of the 46 natural languages of ROOTS (arXiv 2303.03915, table 3)."""

PROGRAMMING = "c c# c++ go java javascript lua php python ruby rust scala typescript".split()
"""The 13 programming languages of ROOTS (the same, appendix), as cards name them in `domains`."""

# A tag that names no script, or names it by the country where it is usual; and the languages that
# ISO 639-3 counts under the macrolanguage Akan.
ALSO: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ak": ("fat", "tw"),
        "zh-Hans": ("zh", "zh-CN", "zh-SG"),
        "zh-Hant": ("zh", "zh-TW", "zh-HK", "zh-MO"),
    }
)


def in_language(tag: str, tags: Iterable[str]) -> bool:
    """Whether texts of these BCP-47 tags are in one of `NATURAL`: pt-BR is Portuguese too."""
    also = ALSO.get(tag, ())
    return any(each == tag or each.startswith(f"{tag}-") or each in also for each in tags)
