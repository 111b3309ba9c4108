"""What a card reads, under one name however it is spelt: a package, a data set, an address."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Literal
from urllib.parse import unquote, urlsplit

from phloem.sources.cards.source import Source, texts_of

# Letters of other scripts, and digits, that pass for Latin letters (Unicode UTS 39).
_ALIKE = str.maketrans("01ıіοоаерсухѕԁһκкјνѵԛԝ", "oliiooaepcyxsdhkkjvvqw")
_SEPARATORS = re.compile(r"[-_.]+")
_INNER = re.compile(r"(?i)https?:[/\\]+")
_HOST = re.compile(
    r"(?:^(?:https?:)?/{0,2}|[/=]https?:/{1,2})(?:[^/@\s]*@)?"
    r"((?:[\w-]+\.)+[a-z][\w-]+)(?=[/:?#*]|$)",
    re.IGNORECASE,
)
_REPOSITORY = re.compile(
    r"^(?:github\.com|gitlab\.com|codeberg\.org|bitbucket\.org|raw\.githubusercontent\.com"
    r"|raw\.github\.com|codeload\.github\.com|cdn\.jsdelivr\.net/gh|[^/]*gitee\.com"
    r"|git\.[^/]+|[^/]*github[^/]*)/(?P<name>[^/]+/[^/@]+?)(?:\.git)?(?:[/@](?P<rest>.*))?$"
)
_REFERENCE = re.compile(r"^(?:(?:-/)?(?:raw|blob|tree|archive|zip|tar\.gz)/)?[^/]*/?")
_DATASET = re.compile(r"^[^/]*/datasets/(?P<name>[^/]+/[^/]+)(?:/(?P<rest>.*))?$")

Kind = Literal["package", "data set", "repository", "domain", "page", "corpus"]


@dataclass(frozen=True)
class Read:
    """One thing that a card reads.

    Attributes:
        kind: What it is.
        name: Under which all spellings of it meet.
        said: As the card spells it.
        part: Glob over what of it is taken.
    """

    kind: Kind
    name: str
    said: str
    part: str = "*"


def alike(name: str) -> str:
    """A name as an eye reads it: no case, no separators, no letters that pass for others."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return _SEPARATORS.sub("-", folded.translate(_ALIKE))


def address(url: str) -> str:
    """`host/path` of a web address, under one name: no scheme, no `www.`, no slash at its end.

    Of an address within another, as archives and proxies serve pages, the inner one.
    """
    inner = list(_INNER.finditer(url))
    rest = url[inner[-1].end() :] if inner else url.removeprefix("//")
    parts = urlsplit(f"https://{rest}")
    host = (parts.hostname or "").rstrip(".")
    with suppress(UnicodeError):
        host = host.encode("idna").decode()
    path = unquote(parts.path).rstrip("/").lower()
    asked = f"?{parts.query.lower()}" if parts.query else ""
    return f"{host.removeprefix('www.')}{path}{asked}"


def addresses(card: Source) -> list[str]:
    """The web addresses that a card reads from."""
    named = (_texts(card.access.params.get(field)) for field in ("urls", "path", "repositories"))
    return [text for texts in named for text in texts if "://" in text]


def places(card: Source) -> list[str]:
    """The addresses and domains that a card reads from."""
    return [*addresses(card), *_texts(card.access.params.get("domains"))]


def hosts(value: object) -> set[str]:
    """Every host in plain data: alone, in an address, or in an address within another."""
    return {
        match[1].lower().removeprefix("www.")
        for text in texts_of(value)
        for match in _HOST.finditer(text)
    }


def is_under(host: str, other: str) -> bool:
    """Whether a host is another one, or below it."""
    return host == other or host.endswith(f".{other}")


def reads(card: Source) -> Iterator[Read]:
    """What a card reads, as far as its connector's parameters name it."""
    connector, params = card.access.connector, card.access.params
    parts = _texts(params.get("include")) or ["*"]
    for name in _texts(params.get("packages")):
        yield from (Read("package", f"{connector} {alike(name)}", name, part) for part in parts)
    if isinstance(params.get("dataset"), str):
        configs = _texts(params.get("configs")) or ["*"]
        yield from (
            Read("data set", alike(params["dataset"]), params["dataset"], c) for c in configs
        )
    for name in _texts(params.get("domains")):
        yield from (Read("domain", address(name), name, part) for part in parts)
    for field in ("wikis", "sites"):
        yield from (Read("corpus", alike(name), name) for name in _texts(params.get(field)))
    if isinstance(params.get("corpus"), str):
        name = f"{connector} {alike(params['corpus'])}"
        languages = _texts(params.get("languages")) or ["*"]
        yield from (Read("corpus", name, params["corpus"], each) for each in languages)
    for url in addresses(card):
        yield from _of_address(url, parts)


def _of_address(url: str, parts: list[str]) -> Iterator[Read]:
    """The repository, data set or page that an address leads to."""
    plain = address(url)
    repository, dataset = _REPOSITORY.match(plain), _DATASET.match(plain)
    if repository:
        rest = _REFERENCE.sub("", repository["rest"] or "", count=1)
        name = alike(repository["name"])
        yield from (Read("repository", name, url, part) for part in ([rest] if rest else parts))
    elif dataset:
        yield Read("data set", alike(dataset["name"]), url)
    else:
        yield from (Read("page", plain, url, part) for part in parts)


def _texts(value: object) -> list[str]:
    """The texts of a list, or the keys of a mapping; one alone; none of anything else."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple, Mapping)):
        return [each for each in value if isinstance(each, str)]
    return []


def meet(one: Read, other: Read) -> bool:
    """Whether two of one name may take the same of it."""
    return _overlap(one.part.lower(), other.part.lower())


_WILD = re.compile(r"[*?\[\]{}]")


def _overlap(one: str, other: str) -> bool:
    """Whether two globs may match one name: neither their beginnings nor their ends differ."""
    (begin, end), (begins, ends) = _fixed(one), _fixed(other)
    return (begin.startswith(begins) or begins.startswith(begin)) and (
        end.endswith(ends) or ends.endswith(end)
    )


def _fixed(glob: str) -> tuple[str, str]:
    pieces = _WILD.split(glob)
    return pieces[0], pieces[-1]


def shared(cards: list[Source]) -> Iterator[tuple[Source, Source, Read]]:
    """(one, an earlier one, what both read) of cards, once for a pair."""
    held: dict[tuple[str, str], list[tuple[Source, Read]]] = {}
    for card in cards:
        told = set()
        for each in reads(card):
            known = held.setdefault((each.kind, each.name), [])
            for other, theirs in known:
                if other.id != card.id and other.id not in told and meet(each, theirs):
                    told.add(other.id)
                    yield card, other, each
            known.append((card, each))


def pairs(one: set[str], other: set[str]) -> Iterator[tuple[str, str]]:
    """The hosts of one that are, or lie below, one of the other, with it."""
    return ((a, b) for a, b in product(sorted(one), sorted(other)) if is_under(a, b))
