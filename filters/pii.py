"""Personal data in text: where e-mail addresses, IP addresses and phone numbers stand."""

from __future__ import annotations

import bisect
import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import LANGUAGE, PII_KINDS, PII_SPANS, TEXT, Column
from phloem.catalog.withheld import email_span
from phloem.filters.kernels import cleaning, scanning
from phloem.filters.kernels.utf8 import Flags, nullable, strings
from phloem.filters.language_files import language_of
from phloem.filters.op import op

KINDS = tuple(PII_KINDS)
COUNTS = [Column(f"{kind}_count", pa.int64(), f"{what} found.") for kind, what in PII_KINDS.items()]
EMAIL, IP, PHONE = "email", "ip", "phone"

_DATE = re.compile(r"\d{4}([-./])\d{1,2}\1\d{1,2}(?!\d)|\d{1,2}([-./])\d{1,2}\2\d{4}(?!\d)")
_ISBN = re.compile(r"97[89][- ]")  # ISO 2108: the prefixes of ISBN-13
# A quad of small numbers is taken for a version or a section: 0.5 % of public addresses look so.
_VERSION_FIRST, _VERSION_OTHERS = 20, 99
_GROUPS = re.compile(r"\d+")
# The types of a valid number, as `phonenumbers` names them in its metadata.
_NUMBER_TYPES = (
    "premium_rate toll_free shared_cost voip personal_number pager uan voicemail fixed_line mobile"
).split()
_TRIMS = 3  # groups that a number in international form may have too many, as a year behind it


def _ipv4_span(raw: str) -> tuple[int, int] | None:
    """The whole candidate, if it is a public unicast address."""
    try:
        address = ipaddress.IPv4Address(raw)
    except ValueError:
        return None
    public = address.is_global and not address.is_multicast
    version = address.packed[0] <= _VERSION_FIRST and max(address.packed) <= _VERSION_OTHERS
    return (0, len(raw)) if public and not version else None


def _ipv6_span(raw: str) -> tuple[int, int] | None:
    """Where a global unicast address (RFC 4291, 2.4: 2000::/3) stands in a candidate."""
    trimmed = raw if raw.endswith("::") else raw.rstrip(":")
    start = len(trimmed) - len(trimmed.lstrip(":")) if not trimmed.startswith("::") else 0
    try:
        address = ipaddress.IPv6Address(trimmed[start:])
    except ValueError:
        return None
    public = address.is_global and address.packed[0] >> 5 == 1
    return (start, len(trimmed)) if public else None


@functools.cache
def _library() -> Any:
    """`phonenumbers`, loaded by the first number that is met.

    It keeps its patterns: numbers of more regions than the cache of `re` has room for would compile
    them again and again.
    """
    import phonenumbers

    phonenumbers.enable_pattern_cache()
    return phonenumbers


def _phone_span(raw: str, regions: Sequence[str]) -> tuple[int, int] | None:
    """Where a valid number stands in a candidate: international, or national in these regions."""
    if "+" in raw:
        return _international_span(raw)
    if not regions or _DATE.match(raw) or _ISBN.match(raw):
        return None
    library = _library()
    groups = _GROUPS.findall(raw)
    digits = "".join(groups)
    for region in regions:
        if not may_be_valid(digits, region):
            continue
        try:
            number = library.parse(raw, region)
        except library.NumberParseException:
            continue
        if not library.is_valid_number_for_region(number, region):
            continue
        form = library.format_number(number, library.PhoneNumberFormat.NATIONAL)
        if len(groups) == 1 or _GROUPS.findall(form) == groups:
            return 0, len(raw)
    return None


def may_be_valid(digits: str, region: str) -> bool:
    """Whether `phonenumbers` may find a number of these digits valid in a region.

    Nearly all that are not are told at a fiftieth of the cost of its reading them.
    """
    shape = _shape(region)
    return shape is None or bool(shape.fullmatch(digits))


@functools.cache
def _shape(region: str) -> re.Pattern[str] | None:
    """What the digits of a region's valid numbers look like; None where that is not known.

    `phonenumbers` may strip a prefix for calls abroad, the country's code and national prefixes;
    what is left must be a number of some type. A rule that rewrites it then cannot be told so.
    """
    library = _library()
    own = library.PhoneMetadata.metadata_for_region(region)
    first = library.region_code_for_country_code(own.country_code)  # of several that share a code
    main = library.PhoneMetadata.metadata_for_region(first)
    if own.national_prefix_transform_rule or main.national_prefix_transform_rule:
        return None
    abroad = own.international_prefix or ""
    national = "|".join(each.national_prefix_for_parsing or "" for each in (own, main))
    types = (getattr(own, name) for name in _NUMBER_TYPES)
    numbers = "|".join(each.national_number_pattern or "(?!)" for each in types if each)
    code = own.country_code
    return re.compile(f"(?:{abroad})?(?:{code})?(?:{national})?(?:{national})?(?:{numbers})")


def _international_span(raw: str) -> tuple[int, int] | None:
    library = _library()
    start = raw.index("+")
    ends = [match.end() for match in _GROUPS.finditer(raw)]
    for end in ends[: -_TRIMS - 1 : -1]:
        try:
            number = library.parse(raw[start:end], None)
        except library.NumberParseException:
            continue
        if library.is_valid_number(number):
            return start, end
    return None


Span = tuple[int, int, str]


def _validated(kind: int, raw: bytes, regions: Sequence[str]) -> tuple[int, int, str] | None:
    """The span of a candidate, in bytes from its beginning, and its kind."""
    text = raw.decode("utf-8", "replace")
    if kind == scanning.EMAIL:
        span, name = email_span(text), EMAIL
    elif kind == scanning.IPV4:
        span, name = _ipv4_span(text), IP
    elif kind == scanning.IPV6:
        span, name = _ipv6_span(text), IP
    else:
        span, name = _phone_span(text, regions), PHONE
    if span is None:
        return None
    start, end = (len(text[:place].encode()) for place in span)
    return start, end, name


def _apart(spans: Iterable[Span]) -> list[Span]:
    """The spans in order; of two that overlap, the one whose kind comes first in KINDS."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: (KINDS.index(one[2]), one)):
        place = bisect.bisect(kept, span)
        before = kept[place - 1][1] if place else 0
        after = kept[place][0] if place < len(kept) else span[1]
        if before <= span[0] and span[1] <= after:
            kept.insert(place, span)
    return kept


def _spans_of(
    data: bytes, candidates: Iterable[tuple[int, int, int]], tag: str | None
) -> list[Span]:
    """The spans of one text out of its candidates (start, end, kind)."""
    regions = language_of(tag).regions
    found = []
    for first, last, kind in candidates:
        if kind == scanning.IPV6 and _within_word(data, first, last):
            continue
        span = _validated(kind, data[first:last], regions)
        if span is not None:
            found.append((first + span[0], first + span[1], span[2]))
    return _apart(found)


def _within_word(data: bytes, first: int, last: int) -> bool:
    around = data[max(first - 1, 0) : first] + data[last : last + 1]
    return any(chr(byte).isalnum() or byte == ord("_") for byte in around if byte < 128)  # noqa: PLR2004


def _columns(rows: Mapping[int, list[Span]], valid: Flags) -> list[pa.Array]:
    """The columns of `pii`: the spans of each row that has any, in ascending order of rows."""
    sizes = np.zeros(len(valid), np.int64)
    counts = np.zeros((len(KINDS), len(valid)), np.int64)
    for row, spans in rows.items():
        sizes[row] = len(spans)
        for _, _, kind in spans:
            counts[KINDS.index(kind), row] += 1
    flat = [span for spans in rows.values() for span in spans]
    struct = PII_SPANS.type.value_type
    values = [pa.array([span[n] for span in flat], one.type) for n, one in enumerate(struct)]
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    listed = pa.ListArray.from_arrays(
        pa.array(ends),
        pa.StructArray.from_arrays(values, fields=list(struct)),
        type=PII_SPANS.type,
        mask=pa.array(~valid),
    )
    return [listed, *(nullable(each, valid, pa.int64()) for each in counts)]


# The kernel's candidates as patterns over bytes, for the reference.
_SEPARATORS = rb"(?:[ \-./()]|\xc2\xa0|\xe2\x80[\x90-\x93]){0,3}"
_EMAILS = re.compile(rb"[A-Za-z0-9._%+'-]+@[A-Za-z0-9.-]{3,}")
_HEXES = re.compile(rb"[0-9A-Fa-f:]{8,}")
_NUMBERS = re.compile(
    rb"(?<![A-Za-z0-9_])(?:(?<!\.)(?P<quad>\d{1,3}(?:\.\d{1,3}){3})(?![A-Za-z0-9_]|[.-]\d)"
    rb"|(?P<number>[+(]*\d(?:" + _SEPARATORS + rb"\d)*))"
)


def _candidates_reference(data: bytes) -> list[tuple[int, int, int]]:
    found = [(*match.span(), scanning.EMAIL) for match in _EMAILS.finditer(data)]
    found += [
        (*match.span(), scanning.IPV6)
        for match in _HEXES.finditer(data)
        if match[0].count(b":") >= 2  # noqa: PLR2004
    ]
    for match in _NUMBERS.finditer(data):
        if match["quad"]:
            found.append((*match.span(), scanning.IPV4))
            continue
        number, digits = match["number"], len(re.findall(rb"\d", match["number"]))
        likely = number.startswith((b"+", b"(+", b"0")) or not number.lstrip(b"+(").isdigit()
        ends = not re.match(rb"[A-Za-z0-9_]", data[match.end() : match.end() + 1])
        if scanning.MIN_DIGITS <= digits <= scanning.MAX_DIGITS and likely and ends:
            found.append((*match.span(), scanning.NUMBER))
    return found


def _pii_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same with the standard library's regular expressions."""
    texts, tags = (batch[column.name].to_pylist() for column in (TEXT, LANGUAGE))
    rows = {
        row: _spans_of(text.encode(), _candidates_reference(text.encode()), tags[row])
        for row, text in enumerate(texts)
        if text is not None
    }
    return _columns(rows, np.array([text is not None for text in texts], np.bool_))


@op(
    reads=[TEXT, LANGUAGE],
    writes=[PII_SPANS, *COUNTS],
    libraries=["phonenumbers"],
    data=["languages"],
    examples=[
        (
            ("é: o'brien@mail.de, 9.9.9.9.", "de"),
            ([{"start": 4, "end": 19, "kind": "email"}], 1, 0, 0),
        ),
        (("Tel. 030 901820", "de"), ([{"start": 5, "end": 15, "kind": "phone"}], 0, 0, 1)),
        (
            ("8.8.178.4 logo@2x.png a@example.com", "en"),
            ([{"start": 0, "end": 9, "kind": "ip"}], 0, 1, 0),
        ),
        ((None, "en"), (None, None, None, None)),
    ],
    reference=_pii_reference,
)
def pii(batch: pa.RecordBatch) -> list[pa.Array]:
    """Find e-mail addresses, public IP addresses and phone numbers.

    One pass over the bytes finds candidates; only these are validated:

    - e-mail: dot-atoms of a common subset of RFC 5322, section 3.2.3, sizes of RFC 5321, an
      alphabetic top-level domain; not the reserved names of RFC 2606, not file names.
    - IP: what `ipaddress` reads and IANA's registries call globally reachable; IPv6 only in
      2000::/3. Private, loopback and documentation ranges name no person. A quad of small numbers
      (first at most 20, others at most 99) is taken for a version or a section.
    - phone: valid for `phonenumbers` (ITU-T E.164 plans): with `+`, or national in a region of the
      document's language (`languages/*.yaml`) and grouped as is usual there. Dates and ISBNs are
      left out.

    Spans are UTF-8 byte offsets, ascending, not overlapping.
    """
    texts = strings(batch[TEXT.name])
    table = scanning.byte_classes()
    found = np.empty((max(64, texts.rows), 4), np.int64)
    count = scanning.scan(texts, table, found)
    if count > len(found):
        found = np.empty((count, 4), np.int64)
        scanning.scan(texts, table, found)
    found = found[:count]
    firsts = np.searchsorted(found[:, 0], np.arange(texts.rows + 1))
    tags = batch[LANGUAGE.name]
    rows = {}
    for row in np.unique(found[:, 0]).tolist():
        data = texts.data[texts.offsets[row] : texts.offsets[row + 1]].tobytes()
        candidates = found[firsts[row] : firsts[row + 1], 1:].tolist()
        rows[row] = _spans_of(data, candidates, tags[row].as_py())
    return _columns(rows, texts.valid)


ALL = "all"


def placeholders(scrub: Mapping[str, str] | str) -> Mapping[str, str]:
    """What stands for each kind; `all` is every kind by its name, such as ``<EMAIL>``."""
    if isinstance(scrub, str):
        if scrub != ALL:
            raise ValueError(f"{scrub!r} scrubs nothing; write {ALL}, or what replaces each kind")
        return {kind: f"<{kind.upper()}>" for kind in KINDS}
    return scrub


def replace_spans(
    texts: pa.Array, spans: pa.Array, replacements: Mapping[str, str] | str
) -> pa.Array:
    """The texts with each span replaced by what stands for its kind; a kind without one stays.

    Args:
        texts: Strings.
        spans: Of `pii`, one list a text: ascending, not overlapping; null for none.
        replacements: What stands for each kind, such as ``{"email": "<EMAIL>"}``, or `all`.

    Raises:
        ValueError: a span leaves its text or overlaps another, or the lists are not one a text.
    """
    replacements = placeholders(replacements)
    if len(texts) != len(spans):
        msg = f"{len(spans)} lists of spans for {len(texts)} texts; there must be one a text"
        raise ValueError(msg)
    found = strings(texts)
    rows = spans.fill_null([]) if spans.null_count else spans
    flat = rows.flatten()
    lengths = pc.list_value_length(rows).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(len(rows)), lengths)
    starts, ends = (np.asarray(flat.field(name), np.int64) for name in ("start", "end"))
    kinds = flat.field("kind").dictionary_encode()
    known = np.array([kind in replacements for kind in kinds.dictionary.to_pylist()], np.bool_)
    codes = kinds.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    keep = known[codes] & found.valid[owner] if len(codes) else np.zeros(0, np.bool_)
    owner, starts, ends, codes = owner[keep], starts[keep], ends[keep], codes[keep]
    _check_spans(owner, starts, ends, np.diff(found.offsets))
    pool = [replacements.get(kind, "").encode() for kind in kinds.dictionary.to_pylist()]
    return cleaning.with_words(found, owner, starts, ends, codes, pool, texts.type)


def _check_spans(
    owner: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
) -> None:
    outside = (starts < 0) | (ends < starts) | (ends > sizes[owner])
    overlaps = (owner[1:] == owner[:-1]) & (starts[1:] < ends[:-1])
    for wrong, what in ((outside, "leaves its text"), (overlaps, "overlaps the next one")):
        if wrong.any():
            row = int(owner[np.flatnonzero(wrong)[0]])
            msg = f"a span of row {row} {what}; spans are byte offsets of the text that pii read"
            raise ValueError(msg)
