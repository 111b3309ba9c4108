"""The tokens of spaCy's English rules in plain Python: the reference of the kernel `tokens`."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from phloem.filters.kernels import tokens as k
from phloem.filters.kernels.classes import CODE_POINTS


def _set(bits: int, without: str = "") -> str:
    """A class of a regular expression: the code points that have one of some bits."""
    codes = np.flatnonzero(k.token_classes() & bits)
    codes = codes[~np.isin(codes, [ord(char) for char in without])]
    begins = codes[np.diff(codes, prepend=-2) != 1]
    ends = codes[np.diff(codes, append=CODE_POINTS + 1) != 1]
    runs = zip(begins.tolist(), ends.tolist(), strict=True)
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in runs) + "]"


class _Patterns(NamedTuple):
    prefix: re.Pattern[str]
    suffix: re.Pattern[str]
    infix: re.Pattern[str]
    address: re.Pattern[str]


@functools.cache
def _patterns() -> _Patterns:
    """The rules as regular expressions."""
    alpha, lower, upper = _set(k.ALPHA), _set(k.LOWER), _set(k.UPPER)
    after_lower, before_upper = _set(k.LOWER | k.QUOTE), _set(k.UPPER | k.QUOTE)
    unit = "|".join(map(re.escape, k.units()))
    prefix = rf"\.\.+|\+(?![0-9])|{_set(k.PREFIX, without='.+')}|US\$|C\$|A\$"
    suffix = (
        rf"\.\.+$|……$|['’][sS]$|(?<=[0-9])(?:{unit})$|(?<=[0-9])(?:\+|{_set(k.CURRENCY)})$"
        rf"|{_set(k.SUFFIX)}$|(?<={_set(k.DOTTED)})\.$|(?<={upper}{upper})\.$|(?<=°[FCK])\.$"
    )
    infix = (
        rf"\.\.+|{_set(k.INFIX, without='.')}|(?<=[0-9])[-+*^](?=[0-9-])"
        rf"|(?<={after_lower})\.(?={before_upper})|(?<={alpha}),(?={alpha})"
        rf"|(?<=[0-9]|{alpha})(?:-|–|—|--|---|——|~)(?={alpha})|(?<=[0-9]|{alpha})[:<>=/](?={alpha})"
    )
    label = "A-Za-z0-9\u00a1-\uffff"
    host = rf"(?:(?:[{label}][{label}_-]{{0,62}})?[{label}]\.)+{lower}{{2,63}}"
    scheme = _set(k.ALPHA)[:-1] + "0-9_+.-]"
    address = rf"(?:{scheme}{{2,}}://|.+@)?{host}(?::[0-9]{{2,5}})?(?:[/?#].*)?"
    return _Patterns(*map(re.compile, (prefix, suffix, infix, address)))


@functools.cache
def _cases() -> dict[str, tuple[tuple[str, ...], bool]]:
    return {"".join(parts): (parts, joined) for parts, joined in k.cases()}


def english_tokens(text: str) -> list[str]:
    """The tokens of a text, by the rules of spaCy's English without a model; no spaces."""
    return [token for chunk in text.split() for token in _joined(list(_tokens_of(chunk)))]


def _tokens_of(chunk: str) -> Iterator[str]:
    prefixes, suffixes, rest = [], [], chunk
    while rest and rest not in _cases():
        found = _patterns().prefix.match(rest)
        prefix = found[0] if found else ""
        if prefix and rest[len(prefix) :] in _cases():
            prefixes.append(prefix)
            rest = rest[len(prefix) :]
            break
        found = _patterns().suffix.search(rest[len(prefix) :])
        suffix = found[0] if found else ""
        if suffix and rest[: -len(suffix)] in _cases():
            suffixes.append(suffix)
            rest = rest[: -len(suffix)]
            break
        if not prefix and not suffix:
            break
        prefixes += [prefix] if prefix else []
        suffixes += [suffix] if suffix else []
        rest = rest[len(prefix) : len(rest) - len(suffix)]
    yield from prefixes
    if rest in _cases():
        yield from _cases()[rest][0]
    elif _patterns().address.fullmatch(rest):
        yield rest
    else:
        yield from _parted(rest)
    yield from reversed(suffixes)


def _parted(rest: str) -> Iterator[str]:
    """What is left of a chunk, cut at its infixes but one that it begins with."""
    found = [each.span() for each in _patterns().infix.finditer(rest) if each.start()]
    cuts = itertools.chain.from_iterable(found)
    bounds = [0, *cuts, len(rest)]
    yield from (rest[one:two] for one, two in itertools.pairwise(bounds) if one < two)


def _joined(tokens: list[str]) -> list[str]:
    """Tokens of a chunk, with those that are an exception together made what it says."""
    made: list[str] = []
    place = 0
    while place < len(tokens):
        best: tuple[str, ...] = (tokens[place],)
        size = 1
        for end in range(place + 1, len(tokens) + 1):
            whole = "".join(tokens[place:end])
            if len(whole) > k.LONGEST_CASE:
                break
            parts, joined = _cases().get(whole, ((), False))
            if joined:
                best, size = parts, end - place
        made += best
        place += size
    return made
