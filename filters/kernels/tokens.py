"""The tokens of spaCy's English rules, without spaCy: where a text is cut.

A chunk between spaces loses prefixes and suffixes sign by sign, unless what is left is an exception
(`don't`, `U.S.`) or an address; then it is cut at infixes. spaCy documents this as the algorithm of
its `Tokenizer`; its tables (release 3.8.18, MIT licence, ExplosionAI GmbH) lie in
`token_classes.txt` and `english_tokens.txt`, written by `tests/support/spacy_rules.py`.
"""

# ruff: noqa: C901, PLR0911, PLR0912, PLR0913, PLR0915, PLR0917, PLR2004 - a kernel is one flat loop
# over arrays that are handed to it one by one, and compares signs with the numbers they are.

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from phloem.filters.kernels import inlined
from phloem.filters.kernels.classes import read_runs
from phloem.filters.kernels.hashing import BASIS, fold, mix, mixed, word_hash
from phloem.filters.kernels.utf8 import Bytes, Integers, Scalar, code_point, width

CLASSES = Path(__file__).with_name("token_classes.txt")
ENGLISH = Path(__file__).with_name("english_tokens.txt")

# Bits of `token_classes.txt`: what a code point may be to the rules, ...
PREFIX, SUFFIX, INFIX, ALPHA, LOWER, UPPER, QUOTE, DOTTED = 1, 2, 4, 8, 16, 32, 64, 128
CURRENCY, HYPHEN, SPACE = 256, 512, 1024
# ... to datatrove: no part of a word, an end of FineWeb's lines, a line break; ...
SIGN, TERMINAL, BREAK = 2048, 4096, 8192
# ... and to spaCy's sentencizer: an end of sentences, punctuation.
STOP, PUNCTUATION = 16384, 32768

LONGEST_CASE = 20  # code points; no exception is longer
LONGEST_UNIT = 8

# What an exception's cuts say beside where it is cut: it may also be joined of tokens.
JOINED = 1 << 62

ASCII = 0x80
DOT, PLUS, COMMA, DASH, TILDE, AT, COLON, SLASH = 0x2E, 0x2B, 0x2C, 0x2D, 0x7E, 0x40, 0x3A, 0x2F
ZERO, NINE, DOLLAR, LOWER_S, UPPER_S = 0x30, 0x39, 0x24, 0x73, 0x53
EM_DASH, ELLIPSIS, DEGREE = 0x2014, 0x2026, 0xB0


class Rules(NamedTuple):
    """What the kernel takes.

    Attributes:
        classes: The bits of each code point.
        slots: Open-addressed table of the hashes of exceptions; 0 is empty.
        cuts: For each, bit n where it is cut behind n code points, and JOINED.
        units: Open-addressed table of the hashes of units of measure and currencies.
    """

    classes: npt.NDArray[np.uint16]
    slots: npt.NDArray[np.uint64]
    cuts: Integers
    units: npt.NDArray[np.uint64]


@functools.cache
def cases() -> tuple[tuple[tuple[str, ...], bool], ...]:
    """The exceptions as their tokens, and whether each may be joined of tokens."""
    rows = [line.split("\t") for line in ENGLISH.read_text(encoding="utf-8").splitlines()[1:]]
    return tuple((tuple(row[1:]), row[0] == "joined") for row in rows if row[0] != "unit")


@functools.cache
def units() -> tuple[str, ...]:
    """Units of measure, and currencies of several signs."""
    rows = [line.split("\t") for line in ENGLISH.read_text(encoding="utf-8").splitlines()[1:]]
    return tuple(row[1] for row in rows if row[0] == "unit")


@functools.cache
def token_classes() -> npt.NDArray[np.uint16]:
    """The bits of every code point."""
    _, starts, kinds = read_runs(CLASSES)
    table = np.repeat(np.array([int(kind, 16) for kind in kinds], np.uint16), np.diff(starts))
    table.flags.writeable = False
    return table


def _open_table(keys: list[int]) -> tuple[npt.NDArray[np.uint64], list[int]]:
    """An open-addressed table, a quarter full at most, and the place of each key."""
    size = 1 << (4 * len(keys)).bit_length()
    slots, places = np.zeros(size, np.uint64), []
    for key in keys:
        place = key & (size - 1)
        while slots[place] and slots[place] != key:
            place = (place + 1) & (size - 1)
        slots[place] = key
        places.append(place)
    return slots, places


@functools.cache
def english_rules() -> Rules:
    """The rules as the kernel takes them."""
    texts = ["".join(parts) for parts, _ in cases()]
    slots, places = _open_table([mixed(word_hash(text)) for text in texts])
    cuts = np.zeros(len(slots), np.int64)
    for place, (parts, joined) in zip(places, cases(), strict=True):
        ends = np.cumsum([len(part) for part in parts])
        cuts[place] = sum(1 << int(end) for end in ends) | (JOINED if joined else 0)
    unit_slots, _ = _open_table([mixed(word_hash(unit)) for unit in units()])
    return Rules(token_classes(), slots, cuts, unit_slots)


@inlined
def _slot(slots: np.ndarray, key: np.uint64) -> Scalar:
    """The place of a key in an open-addressed table; -1 if it is not there."""
    last = len(slots) - 1
    place = np.int64(key & np.uint64(last))
    while slots[place] != np.uint64(0):
        if slots[place] == key:
            return place
        place = (place + 1) & last
    return np.int64(-1)


@inlined
def _case(codes: Integers, low: Scalar, high: Scalar, rules: Rules) -> Scalar:
    """The cuts of the exception that stands between two places; 0 if none does."""
    if high - low > LONGEST_CASE or high <= low:
        return np.int64(0)
    seen = BASIS
    for at in range(low, high):
        seen = fold(seen, codes[at])
    place = _slot(rules.slots, mix(seen))
    return rules.cuts[place] if place >= 0 else np.int64(0)


@inlined
def _is_digit(code: Scalar) -> bool:
    return bool(ZERO <= code <= NINE)


@inlined
def _dots(codes: Integers, at: Scalar, high: Scalar) -> Scalar:
    """How many full stops stand in a row from a place on."""
    found = 0
    while at + found < high and codes[at + found] == DOT:
        found += 1
    return found


@inlined
def _prefix(codes: Integers, low: Scalar, high: Scalar, rules: Rules) -> Scalar:
    """The length of the prefix that is cut off; 0 if none is."""
    code = codes[low]
    if code == DOT:
        found = _dots(codes, low, high)
        return found if found > 1 else 0
    if code == PLUS:
        return 0 if low + 1 < high and _is_digit(codes[low + 1]) else 1
    if rules.classes[code] & PREFIX:
        return 1
    if low + 1 < high and codes[low + 1] == DOLLAR and code in (0x43, 0x41):  # C$ A$
        return 2
    if low + 2 < high and code == 0x55 and codes[low + 1] == 0x53 and codes[low + 2] == DOLLAR:
        return 3
    return 0


@inlined
def _unit(codes: Integers, low: Scalar, high: Scalar, rules: Rules) -> Scalar:
    """The length of the unit behind the last digit; 0 if none stands there."""
    at = high
    seen_digit = False
    while at > low and high - at <= LONGEST_UNIT:
        if _is_digit(codes[at - 1]):
            seen_digit = True
            break
        at -= 1
    if not seen_digit or at == high:
        return 0
    seen = BASIS
    for place in range(at, high):
        seen = fold(seen, codes[place])
    return high - at if _slot(rules.units, mix(seen)) >= 0 else 0


@inlined
def _suffix(codes: Integers, low: Scalar, high: Scalar, rules: Rules) -> Scalar:
    """The length of the suffix that is cut off, the longest of those that may be; 0 if none."""
    if high <= low:
        return 0
    classes = rules.classes
    last = codes[high - 1]
    before = codes[high - 2] if high - 2 >= low else np.int64(0)
    earlier = codes[high - 3] if high - 3 >= low else np.int64(0)
    if last == DOT:
        found = 1
        while high - found - 1 >= low and codes[high - found - 1] == DOT:
            found += 1
        if found > 1:
            return found
        if high - 2 < low:
            return 0
        if classes[before] & DOTTED:
            return 1
        if high - 3 >= low and classes[before] & UPPER and classes[earlier] & UPPER:
            return 1
        return 1 if earlier == DEGREE and before in (0x46, 0x43, 0x4B) else 0
    if (last in (LOWER_S, UPPER_S)) and before in (0x27, 0x2019):
        return 2
    if last == ELLIPSIS and before == ELLIPSIS:
        return 2
    found = _unit(codes, low, high, rules)
    if found > 0:
        return found
    if classes[last] & SUFFIX:
        return 1
    behind_digit = high - 2 >= low and _is_digit(before)
    return 1 if behind_digit and (last == PLUS or classes[last] & CURRENCY) else 0


@inlined
def _infix(codes: Integers, low: Scalar, at: Scalar, high: Scalar, rules: Rules) -> Scalar:
    """The length of the infix that begins at a place; 0 if none does."""
    classes = rules.classes
    code = codes[at]
    own = classes[code]
    if code == DOT:
        found = _dots(codes, at, high)
        if found > 1:
            return found
    elif own & INFIX:
        return 1
    if at == low or at + 1 >= high:
        return 0
    before, after = classes[codes[at - 1]], classes[codes[at + 1]]
    digit = _is_digit(codes[at - 1])
    if code == DOT:
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    number = _is_digit(codes[at + 1]) or codes[at + 1] == DASH
    if code in (PLUS, DASH, 0x2A, 0x5E) and digit and number:  # + - * ^
        return 1
    if code == COMMA:
        return 1 if before & ALPHA and after & ALPHA else 0
    if not (before & ALPHA or digit):
        return 0
    if own & HYPHEN:
        if after & ALPHA:
            return 1
        if code in (DASH, EM_DASH) and codes[at + 1] == code and at + 2 < high:
            if classes[codes[at + 2]] & ALPHA:
                return 2
            dashes = code == DASH and codes[at + 2] == DASH and at + 3 < high
            return 3 if dashes and classes[codes[at + 3]] & ALPHA else 0
        return 0
    return 1 if code in (COLON, 0x3C, 0x3E, 0x3D, SLASH) and after & ALPHA else 0  # : < > = /


@inlined
def _is_label(code: Scalar) -> bool:
    """Whether a sign may begin or end a part of a host's name."""
    if code < ASCII:
        return bool(_is_digit(code) or 0x41 <= code <= 0x5A or 0x61 <= code <= 0x7A)
    return bool(0xA1 <= code <= 0xFFFF)


@inlined
def _is_schemes(code: Scalar, rules: Rules) -> bool:
    """Whether a sign may be of the scheme of an address: one of a word, + - or a full stop."""
    if code < ASCII:
        return bool(_is_label(code) or code in (0x5F, PLUS, DASH, DOT))
    return bool(rules.classes[code] & ALPHA)


@inlined
def _is_tail(codes: Integers, at: Scalar, high: Scalar) -> bool:
    """Whether what follows a host is a port, a path or nothing."""
    if at < high and codes[at] == COLON:
        digits = 0
        while at + 1 + digits < high and _is_digit(codes[at + 1 + digits]):
            digits += 1
        if 2 <= digits <= 5:
            at += 1 + digits
    return bool(at == high or codes[at] in (SLASH, 0x3F, 0x23))  # / ? #


@inlined
def _is_host(codes: Integers, low: Scalar, high: Scalar, rules: Rules) -> bool:
    """Whether a host's name stands at a place, and nothing but a port or path behind it."""
    at = low
    while at < high:
        begin = at
        while at < high and (_is_label(codes[at]) or codes[at] in (0x5F, DASH)):
            at += 1
        size = at - begin
        whole = 0 < size <= 64 and _is_label(codes[begin]) and _is_label(codes[at - 1])
        if not whole or at >= high or codes[at] != DOT:
            return False
        at += 1
        top = at
        while top < high and rules.classes[codes[top]] & LOWER:
            top += 1
        if 2 <= top - at <= 63 and _is_tail(codes, top, high):
            return True
    return False


@inlined
def _is_address(codes: Integers, low: Scalar, high: Scalar, rules: Rules) -> bool:
    """Whether a chunk is a web or mail address, which is one token."""
    if _is_host(codes, low, high, rules):
        return True
    at = low
    while at < high and _is_schemes(codes[at], rules):
        at += 1
    scheme = at - low >= 2 and at + 2 < high and codes[at] == COLON
    scheme = scheme and codes[at + 1] == SLASH and codes[at + 2] == SLASH
    if scheme and _is_host(codes, at + 3, high, rules):
        return True
    for place in range(low + 1, high):
        if codes[place] == AT and _is_host(codes, place + 1, high, rules):
            return True
    return False


@inlined
def _mark(cut: Bytes, low: Scalar, cuts: Scalar) -> None:
    """Cut an exception that begins at a place into its tokens."""
    for size in range(1, LONGEST_CASE + 1):
        if cuts >> size & 1:
            cut[low + size] = 1


@inlined
def _join(codes: Integers, high: Scalar, cut: Bytes, rules: Rules) -> None:
    """Make exceptions of tokens that stand side by side and are one together."""
    low = 0
    while low < high:
        seen = BASIS
        best: Scalar = np.int64(0)
        stop = low
        for at in range(low, min(high, low + LONGEST_CASE)):
            seen = fold(seen, codes[at])
            if cut[at + 1]:
                place = _slot(rules.slots, mix(seen))
                if place >= 0 and rules.cuts[place] & JOINED:
                    best, stop = rules.cuts[place], at + 1
        if best:
            for at in range(low + 1, stop):
                cut[at] = 0
            _mark(cut, low, best)
            low = stop
        else:
            low += 1
            while low < high and not cut[low]:
                low += 1


@inlined
def _split(codes: Integers, high: Scalar, cut: Bytes, rules: Rules) -> None:
    """Mark the ends of the tokens of a chunk: `cut[n]` where one ends before sign n.

    Args:
        codes: The chunk's code points.
        high: How many there are, at least one.
        cut: Room for one more.
        rules: Of the language.
    """
    for at in range(high):
        cut[at] = 0
    cut[high] = 1
    size = high
    low = 0
    case = np.int64(0)
    while low < high:
        case = _case(codes, low, high, rules)
        if case:
            break
        prefix = _prefix(codes, low, high, rules)
        if prefix > 0:
            case = _case(codes, low + prefix, high, rules)
            if case:
                low += prefix
                cut[low] = 1
                break
        suffix = _suffix(codes, low + prefix, high, rules)
        if suffix > 0:
            case = _case(codes, low, high - suffix, rules)
            if case:
                high -= suffix
                cut[high] = 1
                break
        if prefix + suffix == 0:
            break
        low += prefix
        high -= suffix
        cut[low] = 1
        cut[high] = 1
    if case:
        _mark(cut, low, case)
    elif low < high:
        dotted = False
        found = 0
        for at in range(low, high):
            dotted |= codes[at] == DOT
        if not (dotted and _is_address(codes, low, high, rules)):
            at = low
            while at < high:
                found = _infix(codes, low, at, high, rules)
                if found > 0 and at > low:
                    cut[at] = 1
                    cut[at + found] = 1
                at += max(found, 1)
    _join(codes, size, cut, rules)


@inlined
def _is_closed(data: Bytes, at: Scalar, end: Scalar) -> bool:
    """Whether . , ! ? or ; stands before a space: but for the first, no exception ends with it."""
    if at >= end or data[at] not in (DOT, COMMA, 0x21, 0x3F, 0x3B):
        return False
    return bool(at + 1 == end or data[at + 1] in (0x20, 0x0A))


@inlined
def tokenize(
    data: Bytes,
    at: Scalar,
    end: Scalar,
    rules: Rules,
    codes: Integers,
    places: Integers,
    cut: Bytes,
    begins: Integers,
    ends: Integers,
) -> Scalar:
    """Find the tokens of a text that are no spaces; how many there are.

    Args:
        data: UTF-8.
        at: Where the text begins in it.
        end: Where it ends.
        rules: Of the language.
        codes: Room for the code points of the longest chunk, `end - at` at most.
        places: Room for one more.
        cut: Room for one more.
        begins: Filled with where each token begins in `data`; room for `end - at`.
        ends: Filled with where it ends.
    """
    classes = rules.classes
    found = 0
    while at < end:
        begin = at
        seen = BASIS
        while at < end:  # letters of ASCII alone make one token, unless they are an exception
            byte = data[at]
            if not (0x61 <= byte <= 0x7A or 0x41 <= byte <= 0x5A):
                break
            seen = fold(seen, byte)
            at += 1
        cuts: Scalar = np.int64(0)
        if 0 < at - begin <= LONGEST_CASE:
            place = _slot(rules.slots, mix(seen))
            if place >= 0:
                cuts = rules.cuts[place]
        if at > begin and cuts == 0 and _is_closed(data, at, end):
            alone = data[at] != DOT
            if not alone and _slot(rules.slots, mix(fold(seen, DOT))) < 0:
                single = at - begin == 1
                alone = data[at - 1] >= 0x61 or not (single or data[at - 2] >= 0x61)
                if not alone:  # X. and McD. are one
                    begins[found], ends[found] = begin, at + 1
                    found += 1
                    at += 2
                    continue
            if alone:
                begins[found], ends[found] = begin, at
                begins[found + 1], ends[found + 1] = at, at + 1
                found += 2
                at += 2
                continue
        if at > begin and (at == end or data[at] in (0x20, 0x0A)):
            last = begin
            for size in range(1, min(at - begin, LONGEST_CASE)):
                if cuts >> size & 1:
                    begins[found], ends[found] = last, begin + size
                    last = begin + size
                    found += 1
            begins[found], ends[found] = last, at
            found += 1
            at += 1
            continue
        at = begin
        size = 0
        while at < end:
            code = np.int64(data[at])
            wide = 1
            if code >= ASCII:
                wide = width(data[at])
                if at + wide > end:
                    wide = 1
                code = code_point(data, at, wide)
            if classes[code] & SPACE:
                at += wide
                break
            codes[size] = code
            places[size] = at
            size += 1
            at += wide
            places[size] = at
        if size == 0:
            continue
        _split(codes, size, cut, rules)
        last = 0
        for place in range(1, size + 1):
            if cut[place]:
                begins[found], ends[found] = places[last], places[place]
                last = place
                found += 1
    return found
