"""The lock file: what machines saw when they asked each source what it holds."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from phloem.sources.cards.source import card_files
from phloem.sources.connector import Json, Pin, SourceError

NAME = "sources.lock"
FORMAT = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Text:
    """How much text a source holds.

    Attributes:
        bytes: Of cleaned UTF-8 that the rules keep, by BCP-47 tag, each near duplicate once.
        is_whole: Whether all of the source was read; if not, it holds at least so much.
        repeated: Bytes beside those that were near duplicates of others of the source, and not
            kept; None: not counted.
    """

    bytes: Mapping[str, int]
    is_whole: bool
    repeated: int | None = None


@dataclass(frozen=True)
class Entry:
    """What was seen of one source.

    Attributes:
        pin: Its version and files.
        fetched_on: ISO 8601 date on which it was asked.
        languages: Share of each language measured in it, once a run has measured it.
        text: How much of each language, once it was measured.
    """

    pin: Pin
    fetched_on: str
    languages: Mapping[str, float] | None = None
    text: Text | None = None


def own_lock() -> Path:
    """The project's lock file."""
    return Path(str(files("phloem.sources") / NAME))


def read_lock(path: str | Path) -> dict[str, Entry]:
    """The entries of a lock file by source id; none if there is no file.

    Raises SourceError if it is not one that this version wrote, or naming each entry that is none.
    """
    entries, faults = parsed(path)
    if faults:
        told = "; ".join(f"{source}: {fault}" for source, fault in faults.items())
        raise SourceError(f"{path}: {told}; write it with `phloem sources lock`")
    return entries


def parsed(path: str | Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """The entries of a lock file, and why the others are none that a machine wrote.

    Raises SourceError if it is not one that this version wrote.
    """
    path = Path(path)
    if not path.exists():
        return {}, {}
    if not path.is_file():  # a device has no end
        raise SourceError(f"{path} is no file; write it with `phloem sources lock`")
    try:
        value = json.loads(
            path.read_bytes(),
            object_pairs_hook=_once,
            parse_constant=_finite,
            parse_float=_finite,
        )
        if value["format"] != FORMAT:
            raise SourceError(f"{path} has format {value['format']}, this version reads {FORMAT}")
        given = dict(value["sources"].items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if isinstance(error, _TwiceError) else type(error).__name__
        msg = f"{path} is no lock file ({why}); write it with `phloem sources lock`"
        raise SourceError(msg) from None
    entries: dict[str, Entry] = {}
    faults: dict[str, str] = {}
    for source, each in given.items():
        try:
            entry = Entry(
                Pin.from_json(each), each["fetched_on"], each["languages"], _text(each.get("text"))
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            faults[source] = "it has not the keys of one"
            continue
        fault = _fault(entry)
        if fault:
            faults[source] = fault
        else:
            entries[source] = entry
    return entries, faults


class _TwiceError(ValueError):
    """An object with a key that stands there twice."""


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object whose every key stands there once: of two, a reader of the file may see either."""
    value = dict(pairs)
    if len(value) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise _TwiceError(f"the key {key!r} stands there twice")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _text(value: Json) -> Text | None:
    """What an entry says of its text; one that says nothing was not measured."""
    return None if value is None else Text(value["bytes"], value["is_whole"], value.get("repeated"))


def _fault(entry: Entry) -> str | None:
    """Why a lock entry is none that a machine wrote; its names and hashes become paths."""
    value: Json = entry.pin.to_json()  # a lock file is JSON: its values may be of any kind
    if not isinstance(value["version"], str):
        return "its version is no text"
    if not value["version"].isprintable():
        return "its version is no line that can be printed"
    told = next(filter(None, map(_file_fault, value["files"])), None)
    if told:
        return told
    seen = [each for one in value.get("observed", ()) for each in one.values()]
    if not all(isinstance(each, str | None) for each in (entry.fetched_on, *seen)):
        return "a date or what a host said is no text"
    return _measure_fault(entry)


def _measure_fault(entry: Entry) -> str | None:
    shares = {} if entry.languages is None else entry.languages
    if not isinstance(shares, dict) or not all(
        isinstance(each, int | float) for each in shares.values()
    ):
        return "its languages are no shares"
    if entry.text is not None and not (
        isinstance(entry.text.bytes, dict)
        and all(
            type(each) is int and each >= 0
            for each in (*entry.text.bytes.values(), entry.text.repeated or 0)
        )
        and isinstance(entry.text.is_whole, bool)
    ):
        return "its text is no sizes"
    return None


def _file_fault(file: Mapping[str, Json]) -> str | None:
    name, sha256, size = file["name"], file["sha256"], file["bytes"]
    if not isinstance(name, str) or ".." in name.split("/") or name[:1] == "/":
        return "a file name leaves its folder"
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return "the sha256 of a file is none"
    if type(size) is not int or size < 0:
        return "the size of a file is none"
    if not isinstance(file["url"], str | None):
        return "the address of a file is none"
    return None


def write_lock(path: str | Path, entries: Mapping[str, Entry]) -> None:
    """Write a lock file, sorted: one entry changed is one place changed in a diff."""
    value = {
        "format": FORMAT,
        "sources": {source: _written(entries[source]) for source in sorted(entries)},
    }
    part = Path(f"{path}.tmp")
    part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _written(entry: Entry) -> dict[str, Json]:
    """An entry as plain data; text that was not measured has no key."""
    seen = {} if entry.text is None else dataclasses.asdict(entry.text)
    text = {"text": {k: v for k, v in seen.items() if v is not None}} if seen else {}
    return {
        **entry.pin.to_json(),
        "fetched_on": entry.fetched_on,
        "languages": entry.languages,
        **text,
    }


def locked(folders: Sequence[str | Path] = ()) -> Mapping[str, Entry]:
    """Every entry by source id, of the project's lock file and of those in these card folders."""
    found = read_lock(own_lock())
    for folder in folders:
        found |= read_lock(Path(folder) / NAME)
    return MappingProxyType(dict(sorted(found.items())))


def pins(folders: Sequence[str | Path] = ()) -> Mapping[str, Pin]:
    """Every pin by source id, as `locked`."""
    return MappingProxyType({source: entry.pin for source, entry in locked(folders).items()})


def pin_of(source: str, folders: Sequence[str | Path] = ()) -> Pin:
    """A source's pin. Raises SourceError if it was never locked."""
    found = pins(folders)
    if source not in found:
        raise SourceError(f"no lock entry for {source}; run `phloem sources lock {source}`")
    return found[source]


def write_pin(
    source: str,
    pin: Pin,
    folders: Sequence[str | Path] = (),
    *,
    languages: Mapping[str, float] | None = None,
    text: Text | None = None,
    today: date | None = None,
) -> None:
    """Write what a source holds into the lock file beside its card.

    The project's cards have theirs in `sources.lock`, cards of another folder in that folder. An
    entry of which nothing has changed keeps its date, and what was measured of it.

    Raises SourceError if no card has the id.
    """
    places = {path.stem: path.parent for path in card_files(folders)}
    if source not in places:
        raise SourceError(f"no card has the id {source!r}")
    own = own_lock()
    place = own if places[source] == own.parent / "entries" else places[source] / NAME
    entries = read_lock(place)
    old = entries.get(source)
    same = old if old and old.pin == pin else None
    day = same.fetched_on if same else (today or datetime.now(UTC).date()).isoformat()
    new = Entry(
        pin,
        day,
        languages or (same.languages if same else None),
        text or (same.text if same else None),
    )
    if new != old:
        write_lock(place, {**entries, source: new})
