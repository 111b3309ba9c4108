"""Whether the sentence that a card quotes stands in the file that it names, of what is fetched."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace

from phloem.catalog.columns import CONTENT, NATIVE_ID
from phloem.catalog.store import Store
from phloem.pipeline.reading import Reading
from phloem.pipeline.registry.registry import params_of
from phloem.sources.cards.source import Source
from phloem.sources.connector import Fault, Strict, find_connector
from phloem.sources.limits import Limits

READ_BYTES = 128 * 2**20  # of files that may hold the sentence
READ_SECONDS = 30.0
AROUND = 12  # words on either side of a quote, within its sentence, that may turn its sense

_ELISION = re.compile(r"\[\s*(?:…|\.{3})\s*\]|…|\.{3}")
_NOTE = re.compile(r"\([^()]*\)\.?")  # which package a part of a quote is of
_MARKUP = re.compile(r"<[^<>]{1,400}>|\\[nt]")
_TOKEN = re.compile(
    r"(?P<word>[^\W_]+)|(?P<end>[.!?;](?=\s|$)|\n[ \t>#*/|;-]*\n|\n \.\n"
    r"|\n(?=[A-Z][\w-]*:))"
)
_FILE = re.compile(
    r"(?<![\w/.@:])(?:[\w@.+*-]+/)+[\w@.+*-]*[\w*]"  # a path
    r"|(?<![\w/])[\w+-]+(?:\.[\w+-]+)*\.(?:txt|md|rst|html?|ini|toml|json|py|c|h|rb|java|in|yaml|yml"
    r"|cfg|xml|README)\b"
    r"|\b\w*(?:LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|METADATA|README|AUTHORS|UNLICENSE)(?:[-.]\w+)*",
)
_DENIES = frozenset("not never neither nor cannot".split())  # what follows them
_TAKES_BACK = frozenset("except forbidden prohibited".split())  # what comes before them


def evidence_fault(store: Store, reading: Reading) -> tuple[str, str]:
    """Why the quoted sentence is no evidence, and why it was not looked for to the end.

    Both are empty where it stands in the file that the card names.

    Args:
        store: The root, which holds the files.
        reading: The source.
    """
    card = reading.card
    quote, place = card.license.evidence or "", card.license.place or ""
    if not quote:
        return "", ""
    beside = _beside(place, card)
    if beside:
        return "", f"the evidence is said to stand in {beside}, which is not fetched"
    globs = named_files(place)
    names: list[str] = []
    lacking, turned = parts(quote), ""
    for name, text in _texts(store, reading, globs or ["*"]):
        if name is None:
            return "", f"the evidence was not looked for to the end in {place}"
        names.append(name)
        words, starts = _words(text)
        held = f" {' '.join(words)} "
        for part in lacking[:]:
            if _held(part) in held:
                turned = turning(_words(part)[0], words, starts) or turned
                lacking.remove(part)
        if not lacking:
            break
    if not names:
        return f"what is fetched holds no file that `place` names: {place}", ""
    if lacking:
        return f"not found in {_listed(names)}: {' '.join(quote.split())}", ""
    return f"cut out of a sentence that denies: {turned}" if turned else "", ""


def _beside(place: str, card: Source) -> str:
    """The package of the same family that keeps the copyright of those read; empty if none does.

    Debian lets the documentation of packages that are built together be a link to that of one.
    """
    named = re.search(r"usr/share/doc/([a-z0-9.+-]+)/copyright", place)
    own = card.access.params.get("packages", ())
    if not named or named[1] in own:
        return ""
    stem = named[1].rpartition("-")[0]
    is_family = "-" in stem and all(name.startswith(f"{stem}-") for name in own)
    return named[1] if is_family else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 1} more files" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def named_files(place: str) -> list[str]:
    """Globs over the members that a card's `license.place` names; none if it names no file."""
    found: list[str] = []
    if re.search(r"(?i)\bheaders?\b", place):  # of files that nobody lists
        return found
    for match in _FILE.finditer(place):
        path = match[0].replace("PACKAGE", "*").replace(".dist-info", "*.dist-info")
        found += [each + ending for each in (path, f"*/{path}") for ending in ("", ".gz")]
    return found


def _texts(store: Store, reading: Reading, globs: list[str]) -> Iterator[tuple[str | None, str]]:
    """(name, text) of the members that globs match, read as the connector reads all others.

    A name of None ends them where there was no time for all.
    """
    card = reading.card
    connector = find_connector(card.access.connector)
    params: Strict = params_of(connector, card)
    fields: Mapping[str, object] = {"include": globs, "exclude": [], "documents": "file"}
    wanted = params.model_copy(update={k: v for k, v in fields.items() if hasattr(params, k)})
    files = {name: ref.on_this_machine(store) for name, ref in reading.files.items()}
    left, ends = READ_BYTES, time.monotonic() + READ_SECONDS
    # As if each file were small: it is then read once, and not in parts that each unpack it.
    pin = replace(reading.pin, files=tuple(replace(file, bytes=1) for file in reading.pin.files))
    for split in connector.splits(wanted, pin, files):
        if left < 0 or time.monotonic() > ends:
            yield None, ""
            return
        for found in connector.read(wanted, split, files, Limits()):
            if isinstance(found, Fault):
                continue
            names, contents = found[NATIVE_ID.name].to_pylist(), found[CONTENT.name].to_pylist()
            for name, content in zip(names, contents, strict=True):
                left -= len(content or b"")
                yield name, (content or b"").decode(errors="replace")


def parts(quote: str) -> list[str]:
    """The parts of a quote between what it leaves out and what it notes in brackets."""
    pieces = [part for piece in _ELISION.split(quote) for part in _NOTE.split(piece)]
    return [piece for piece in pieces if _words(piece)[0]]


def _words(text: str) -> tuple[list[str], list[int]]:
    """The words of a text without case and marks, and before which of them a sentence begins."""
    words, starts = [], [0]
    plain = unicodedata.normalize("NFKC", _MARKUP.sub(" ", text)).casefold()
    for match in _TOKEN.finditer(plain):
        if match["word"]:
            words.append(match["word"])
        elif starts[-1] != len(words):
            starts.append(len(words))
    return words, starts


def _held(text: str) -> str:
    return f" {' '.join(_words(text)[0])} "


def turning(wanted: list[str], words: list[str], starts: list[int]) -> str:
    """The sentence around a quote, where words before or behind it deny; empty if none do.

    Args:
        wanted: The words of the quote, which stand in the text.
        words: Those of the text.
        starts: Before which of them a sentence begins.
    """
    held, asked = f" {' '.join(words)} ", f" {' '.join(wanted)} "
    first = held[: held.find(asked) + 1].count(" ") - 1
    last = first + len(wanted)
    begin = max((start for start in starts if start <= first), default=0)
    stop = min((start for start in starts if start >= last), default=len(words))
    before = words[max(begin, first - AROUND) : first]
    behind = words[last : min(stop, last + AROUND)]
    if _DENIES & {*before} or _TAKES_BACK & {*behind}:
        return " ".join([*before, "“", *wanted, "”", *behind])
    return ""
