"""Charsets: what a label means, and from bytes to text as the WHATWG Encoding Standard has it."""

from __future__ import annotations

import codecs
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator

# Byte order marks (Unicode 14.0, section 23.8); UTF-32 first, since its mark begins with UTF-16's.
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PARAMETER = re.compile(r""";\s*charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)  # RFC 9110, 8.3.2

_BAD = "\ufffd"  # what stands for bytes that do not decode

# Labels that Python does not know, by its codec: those of the Encoding Standard (WHATWG, section
# 4.2), and some that pages and databases have for the same.
_LABELS = {
    label: name
    for name, labels in {
        "big5": "big5-eten cn-big5 x-x-big5",
        "cp949": "cseuckr csksc56011987 iso-ir-149 ks_c_5601-1989 ksc_5601",
        "euc_jp": "cp51932 cseucpkdfmtjapanese eucjis x-euc-jp",
        "gbk": "csgb2312 gb_2312 gb_2312-80 x-gbk",
        "iso2022_jp": "cp50220 cp50221",
        "iso8859-1": "8859_1 iso-latin-1 iso88591",
        "iso8859-2": "8859_2 iso-latin-2 iso88592 latin-2",
        "iso8859-3": "iso88593",
        "iso8859-4": "iso88594",
        "iso8859-5": "iso88595",
        "iso8859-6": "csiso88596e csiso88596i iso-8859-6-e iso-8859-6-i iso88596",
        "iso8859-7": "iso88597 sun_eu_greek",
        "iso8859-8": "csiso88598e csiso88598i iso-8859-8-e iso-8859-8-i iso88598 logical visual",
        "iso8859-9": "iso88599",
        "iso8859-10": "iso885910",
        "iso8859-11": "iso885911",
        "iso8859-13": "iso885913",
        "iso8859-14": "iso885914",
        "iso8859-15": "csisolatin9 iso885915",
        "koi8-r": "koi koi8 koi8r",
        "koi8-u": "koi8-ru koi8u",
        "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
        "mac-greek": "x-mac-greek",
        "mac-latin2": "x-mac-ce x-mac-centraleurroman",
        "mac-roman": "csmacintosh mac x-mac-roman",
        "mac-turkish": "x-mac-turkish",
        "shift_jis": "windows-31j x-sjis",
        "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8mb4 utf8n x-unicode20utf8",
        "utf-16-be": "unicodefffe",
        "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 ucs2 unicode unicodefeff",
    }.items()
    for label in labels.split()
}
_CODE_PAGE = re.compile(r"(?:x-)?(?:windows|win|ansi|dos|ibm|ms|cp)[-_]?(\d+)")
# What the Encoding Standard reads under Python's name of a narrower charset: the whole code page.
_WIDER = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
    "tis-620": "cp874",
    "utf-16": "utf-16-le",
    "utf-32": "utf-32-le",
}
# What reads all the letters of a charset that was detected, and others in the place of its rules
# and blocks: Ukrainian in KOI8-U is taken for KOI8-R.
_ALSO = {"koi8-r": "koi8-u"}
# What a page is more likely in than in a charset that was detected, if it reads better so: Italian
# in windows-1252 is taken for DOS's charset of Polish, in which its last letters are capitals.
_RATHER = {"cp1251": "mac-cyrillic", **dict.fromkeys(("cp850", "cp852", "cp865"), "cp1252")}
_READ = 2**16  # bytes of a page that are read so
# Python's codecs of text that are no charset (its docs: "Python Specific Encodings"), and UTF-7,
# which the Encoding Standard forbids: in it any ASCII text may be something else.
_NO_CHARSETS = frozenset(
    {"charmap", "idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"}
)
# The lead bytes of charsets of two bytes (Encoding Standard, 10 to 13), by codec. What does not
# decode takes the byte after its lead with it unless that is ASCII; Python would read that byte as
# a lead, and all that follows shifted by one.
_LEADS = {
    "big5hkscs": range(0x81, 0xFF),
    "cp932": range(0x81, 0xFD),
    "cp949": range(0x81, 0xFF),
    "euc_jp": range(0xA1, 0xFF),
    "gb18030": range(0x81, 0xFF),
}
# The rows of JIS X 0208 that NEC and IBM filled. The standard has them in EUC-JP and ISO-2022-JP
# too (section 12), Python in cp932 alone: each row, and its lead and first trail there.
_NEC_AND_IBM = {
    bytes((0xA0 + row, 0xA0 + cell)): bytes((lead, trail)).decode("cp932", "ignore")
    for row, lead, first in (
        (13, 0x87, 0x40),
        (89, 0xED, 0x40),
        (90, 0xED, 0x9F),
        (91, 0xEE, 0x40),
        (92, 0xEE, 0x9F),
    )
    for cell, trail in enumerate((t for t in range(first, 0xFD) if t != 0x7F), 1)  # noqa: PLR2004
    if cell <= 94  # noqa: PLR2004 - cells of a row
}
_JIS = frozenset({"euc_jp", "iso2022_jp"})
# Bytes that Shift_JIS does not have (Encoding Standard, 12.3.1), as Python's cp932 gives them.
_NOT_SHIFT_JIS = re.compile("[\x80\uf8f0-\uf8f3]")
# What a label may look like in a message: the characters of charsets' names (RFC 2978, 2.3), for
# another may be anything that stands in a page.
_NAMED = re.compile(r"[\w!#$%&'+^`{}~.:-]{1,40}", re.ASCII)

# The tags of HTML as far as a prescan reads them (WHATWG HTML, 13.2.3.2); the text of scripts and
# of what holds no tags is passed over, as it is when a page is parsed. Every repetition is
# possessive or runs to the end, so that no page takes more than one pass.
_ATTRIBUTE = re.compile(
    rb"""[\s/]*+([^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?"""
)
_ATTRIBUTES = b"(?:" + re.sub(rb"\((?!\?)", b"(?:", _ATTRIBUTE.pattern) + b")*+"
_TAG = re.compile(
    rb"<(?:!--(?:-?>|.*?(?:--!?>|\Z))"
    rb"|(script|style|title|textarea|xmp)(?=[\s/>]).*?(?:</\1|\Z)"
    rb"|meta(?=[\s/])(?P<meta>" + _ATTRIBUTES + rb")"
    rb"|/?[a-z][^\s/>]*+" + _ATTRIBUTES + rb"|[!/?][^>]*+)",
    re.IGNORECASE | re.DOTALL,
)
_CONTENT = re.compile(rb"""charset\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s;"']++))""", re.IGNORECASE)
_XML = re.compile(rb"""<\?xml\s[^>]*?\sencoding\s*+=\s*+["']([^"'>]++)""")  # XML 1.0, 4.3.3
_PRESCAN = 1024  # bytes (WHATWG HTML, 13.2.3.2)
# A page that begins with a tag, in UTF-16 without a mark (XML 1.0, appendix F).
_UTF16 = (
    (re.compile(rb"(?:\s\0)*+<\0[^\0]\0"), "utf-16-le"),
    (re.compile(rb"(?:\0\s)*+\0<\0[^\0]"), "utf-16-be"),
)


@functools.lru_cache(1024)
def codec(label: str) -> str | None:
    """Python's codec for a charset's label, as the Encoding Standard means it; None if unknown.

    A label that the standard does not have means what Python takes it for, if that is a charset.
    """
    key = label.strip().lower()
    page = _CODE_PAGE.fullmatch(key)
    known = _LABELS.get(key) or (f"cp{page[1]}" if page else key)
    try:
        name = codecs.lookup(known).name
        b"x".decode(name, "replace")  # a LookupError for what gives no text, such as `hex`
    except (LookupError, ValueError):
        return None
    return None if name in _NO_CHARSETS else _WIDER.get(name, name)


def _known(error: UnicodeDecodeError) -> tuple[str, int] | None:
    """What the Encoding Standard has and Python has not, and where it ends; None if it has not.

    That is `_NEC_AND_IBM` and the euro sign of gb18030 (10.2.1).
    """
    if error.encoding in _JIS:
        pair = error.object[error.start : error.start + 2]
        found = _NEC_AND_IBM.get(bytes(byte | 0x80 for byte in pair))
        return (found, error.start + 2) if found else None
    euro = error.encoding == "gb18030" and error.object[error.start] == 0x80  # noqa: PLR2004
    return ("€", error.start + 1) if euro else None


def _strict(error: UnicodeError) -> tuple[str, int]:
    """A character that the Encoding Standard has and Python has not; else the error.

    The bytes of a code page below A0 that stand for nothing else are controls (section 9), which
    cost a text less than itself; in a page they are told from it, as U+FFFD.
    """
    if isinstance(error, UnicodeDecodeError):
        found = _known(error)
        if found:
            return found
        if error.encoding == "charmap" and error.object[error.start] < 0xA0:  # noqa: PLR2004
            return chr(error.object[error.start]), error.start + 1
    raise error


def _replace(error: UnicodeError) -> tuple[str, int]:
    """The same; else U+FFFD for what the Encoding Standard takes for one error."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    found = _known(error)
    if found:
        return found
    lead, after = (error.object[error.start : error.start + 2] + b"\0")[:2]
    pair = lead in _LEADS.get(error.encoding, ()) and not chr(after).isascii()
    return _BAD, max(error.end, error.start + 1 + pair)


STRICT, REPLACE = "phloem-strict", "phloem-replace"
codecs.register_error(STRICT, _strict)
codecs.register_error(REPLACE, _replace)


def decode_as(content: bytes, label: str) -> str:
    """The text of bytes in the charset of a label.

    Raises ValueError for an unknown label, or with the place of the first bad byte.
    """
    name = codec(label)
    if name is None:
        raise ValueError(_unknown(label))
    try:
        text = content.decode(name, STRICT)
    except UnicodeDecodeError as error:
        at = error.start
    else:
        wrong = _NOT_SHIFT_JIS.search(text) if name == "cp932" else None
        if wrong is None:
            return text
        at = len(text[: wrong.start()].encode(name))
    raise ValueError(f"not {'UTF-8' if name == 'utf-8' else name} (byte {at})")


def _unknown(label: str) -> str:
    """What to say of a label that nobody knows: it stands in a page, and may be anything."""
    return f"unknown charset {label!r}" if _NAMED.fullmatch(label) else "unknown charset"


def decode(content: bytes, media_type: str | None) -> str:
    """The text of bytes: by byte order mark, else by the declared charset, else as UTF-8.

    Raises ValueError with a reason that names no content.
    """
    for mark, name in BOMS:
        if content.startswith(mark):
            return decode_as(content[len(mark) :], name)
    declared = PARAMETER.search(media_type or "")
    return decode_as(content, declared[1] if declared else "utf-8")


def decode_page(content: bytes, media_type: str | None) -> str:
    """The text of an HTML page's bytes, with U+FFFD for what does not decode, as in browsers.

    Raises ValueError if nothing says which charset it is but a label that nobody knows.
    """
    mark, name = next((bom for bom in BOMS if content.startswith(bom[0])), (b"", ""))
    content, name = content[len(mark) :], name or _page_codec(content, media_type or "")
    text = content.decode(name, REPLACE)
    return _NOT_SHIFT_JIS.sub(_BAD, text) if name == "cp932" else text


def _page_codec(content: bytes, media_type: str) -> str:
    """The codec of a page without a byte order mark.

    It is that of the media type, else of the first `meta` tag or XML declaration in `_PRESCAN`
    bytes, with unknown labels passed over, as in browsers. What then reads as UTF-8 is UTF-8;
    browsers take a later tag's charset first, but such a tag is more often a quotation. A guess is
    made only where nothing is declared, and what it does not know is UTF-8 full of U+FFFD: a rule
    can see that, as it cannot see the letters of another charset.
    """
    from resiliparse.parse.encoding import detect_encoding

    header = PARAMETER.search(media_type)
    said = [header[1]] if header else []
    name = codec(said[0]) if said else None
    if name:
        return name
    name = next((name for start, name in _UTF16 if start.match(content)), None)
    name = name or _ascii_codec(_labels(content, media_type, _PRESCAN))
    if name or _reads_as_utf8(content):
        return name or "utf-8"
    whole = b"charset" in content.lower()  # to look through all its tags takes long
    said += _labels(content, media_type, len(content) if whole else _PRESCAN)
    name = _ascii_codec(said)
    if said and not name and not content.isascii():  # what is ASCII reads alike in all
        raise ValueError(_unknown(said[0]))
    guess = codec(detect_encoding(content, html5_compatible=False) or "") or "utf-8"
    return name or _ALSO.get(guess) or _likelier(content, guess)


def _likelier(content: bytes, guess: str) -> str:
    """The charset that was detected, or that in which fewer letters and signs stand oddly."""
    rather = _RATHER.get(guess, guess)
    return guess if rather == guess or _odd(content, guess) <= _odd(content, rather) else rather


def _odd(content: bytes, name: str) -> int:
    """How many capitals and symbols stand right behind small letters, in a page's beginning."""
    return len(_odd_pairs().findall(content[:_READ].decode(name, "replace")))


@functools.cache
def _odd_pairs() -> re.Pattern[str]:
    chars = list(map(chr, range(0x80, 0x2600)))  # of code pages: Latin, Cyrillic, lines and boxes
    small = "".join(filter(str.islower, chars))
    odd = "".join(c for c in chars if c.isupper() or unicodedata.category(c)[0] == "S")
    return re.compile(f"[a-z{small}][{odd}]")


def _ascii_codec(labels: Iterable[str]) -> str | None:
    """The codec of the first known label; UTF-8 if ASCII, in which it was read, is not in it."""
    name = next(filter(None, map(codec, labels)), None)
    return "utf-8" if name and "<".encode(name) != b"<" else name


def _labels(content: bytes, media_type: str, end: int) -> Iterator[str]:
    """What a page's tags before a place declare; the XML declaration first if the page is XML."""
    xml = _XML.search(content, 0, min(end, _PRESCAN))
    if xml and "xml" in media_type:
        yield xml[1].decode("latin-1")
    for tag in _TAG.finditer(content):
        if tag.start() >= end:
            break
        label = _meta_label(tag["meta"]) if tag["meta"] else None
        if label:
            yield label.decode("latin-1")
    if xml:
        yield xml[1].decode("latin-1")


def _meta_label(attributes: bytes) -> bytes | None:
    """The charset that a `meta` tag names, in its own attribute or as a header's equivalent.

    There `x-user-defined` means windows-1252 (WHATWG HTML, 13.2.3.2).
    """
    label = _named_label(attributes)
    return b"windows-1252" if label and label.lower() == b"x-user-defined" else label


def _named_label(attributes: bytes) -> bytes | None:
    values: dict[bytes, bytes] = {}
    for name, *value in _ATTRIBUTE.findall(attributes):
        values.setdefault(name.lower(), b"".join(value).strip())
    if values.get(b"charset"):
        return values[b"charset"]
    if values.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    said = _CONTENT.search(values.get(b"content", b""))
    return said[1] or said[2] or said[3] if said else None


def _reads_as_utf8(content: bytes) -> bool:
    """Whether a page holds characters of more than one byte in UTF-8, and no more of bad bytes.

    Of 2,000 samples of 40 characters of the Universal Declaration in each of 36 pairs of a language
    and a legacy charset, 1 per mille do in Thai, 39 per mille in French in Macintosh's charset, and
    none in others; of 100 characters, 6 per mille of that French and none else.
    """
    if content.isascii():
        return False
    text = content.decode("utf-8", "replace")
    bad = text.count(_BAD)
    return not bad or len(text) - len(text.encode("ascii", "ignore")) >= 2 * bad
