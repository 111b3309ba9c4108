"""What every connector module offers, and the small things that pass between it and a run.

A connector is a module in `sources/connectors/` with a pydantic model `Params`, a `VERSION` that is
raised when it reads other documents out of the same bytes, `LIBRARIES` that names the distributions
whose code decides what it reads out of them (a parser, a decompressor: not what only brings bytes,
since those are verified), and seven functions:

    def reach(params) -> Reach                   # what a machine needs to have the bytes
    def unavailable(params) -> str | None        # why this machine cannot use it; None if it can
    def resolve(params) -> Pin                   # asks the network what the source holds now
    def foreign(params, pin) -> list[str]        # what a pin holds that the card does not name
    def fetch(params, pin, folder) -> Files      # the only other place that uses the network
    def splits(params, pin, files) -> list[Split]
    def read(params, split, files, limits) -> Batches

One that says a licence, or a day, of each document has `SAYS_LICENSES = True`, `SAYS_DATES = True`.

What others do as well is named and not written again: `reach = from_network`, `fetch = fetch_files`
for what lies at fixed addresses (`clients/snapshots.py`), most of a package index's seven
(`clients/packages.py`). `batched` makes `read` of a function that gives single records.

What the splits of a file are depends on that file alone: one that comes or goes changes those of no
other, so that nothing else is read again. Very many small files are put `together` by their names.

A pin says which version of what the card names; `foreign` holds it to that without the network, as
a lock file is written by machines and read by few: what is approved is the card. `fetch` refuses a
pin that holds anything else, with `refuse`.

One that can look without the network has an eighth, `unlocked(params, pin) -> list[str]`: the
files that the card names now and the pin lacks, which a run does not read and so tells of. One
whose cards can name what is not everybody's has `barred(params, *, is_own) -> list[str]`: what of
it is opened for nobody, or for the cards of a user's own workspace alone.

What is beyond a limit that it meets is a Fault that names the limit, never an error. A split that
reads several files says of all that it gives which of them it met it in: see `met_in`.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, cast

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from phloem.catalog.errors import PhloemError
from phloem.catalog.manifest import digest_of
from phloem.catalog.nearest import nearest
from phloem.sources import progress
from phloem.sources.limits import Limits

Json = Any
Files = Mapping[str, str]  # name in the pin -> path on this machine

Reach = Literal["here", "index", "network"]
"""What a connector needs: nothing beyond the project, a package index, or the open network."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _line(text: str) -> str:
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class SourceError(PhloemError):
    """A source that cannot be read as asked: the message says what to do."""

    def __init__(self, message: str) -> None:
        """Say it in one line: what a file is called begins none, and steers no terminal."""
        super().__init__(_line(message))


class GoneError(SourceError):
    """A pin that the provider no longer serves: the message names what it serves now."""


class WrongError(SourceError):
    """What a person has to see to: a card, lock entry, bytes or disk that are not as they must be.

    No run passes over it, as it may over a source that is only not to be had.
    """


class Strict(BaseModel):
    """A model that takes no key that it does not know, and no number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class PinnedFile:
    """One file that a source consists of, as a machine saw it.

    Attributes:
        name: File name as the client fetches it; unique within the pin.
        sha256: Of the file, 64 hexadecimal digits.
        bytes: Its size.
        url: Where it lies, if not in a package index.
    """

    name: str
    sha256: str
    bytes: int
    url: str | None = None


@dataclass(frozen=True, order=True)
class Observation:
    """What a provider was seen to say about machines that read its texts.

    Attributes:
        protocol: ``robots``, ``tdmrep`` or ``header``, as in a card's `opt_out`.
        verdict: ``allow``, ``deny``, or ``unknown`` where it says nothing.
        place: The address where it stands.
        note: The rule, or why there is none.
    """

    protocol: str
    verdict: str
    place: str
    note: str | None = None


@dataclass(frozen=True)
class Pin:
    """What `sources.lock` holds for a source.

    Attributes:
        version: Version or snapshot.
        files: What it consists of.
        observed: What its hosts said of machines when it was locked.
    """

    version: str
    files: tuple[PinnedFile, ...]
    observed: tuple[Observation, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As plain JSON; `observed` only where something was."""
        value: dict[str, Json] = {
            "version": self.version,
            "files": [asdict(file) for file in self.files],
        }
        if self.observed:
            value["observed"] = [asdict(seen) for seen in self.observed]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Pin:
        """From plain JSON."""
        return cls(
            value["version"],
            tuple(PinnedFile(**file) for file in value["files"]),
            tuple(Observation(**seen) for seen in value.get("observed", ())),
        )


def pin_hash(pin: Pin) -> str:
    """The hash of what a lock entry says is read: version and files, not what hosts said."""
    return digest_of({"version": pin.version, "files": [asdict(file) for file in pin.files]})


def version_of(files: Sequence[PinnedFile]) -> str:
    """The version of files that have none: made of their hashes."""
    return hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Split:
    """A part of a source that one worker reads: the same name holds the same documents.

    Attributes:
        name: Unique within the source, stable across machines, such as ``000-of-004``.
        spec: What `read` needs to find the part; small, plain JSON.
        files: Names of the pinned files that it reads; all if empty.
    """

    name: str
    spec: Json
    files: tuple[str, ...] = ()

    @property
    def refused(self) -> str | None:
        """Why it is not read: its files could not be looked into; None if it is read."""
        return self.spec.get(_REFUSED) if isinstance(self.spec, dict) else None


_REFUSED = "refused"


def refusal(file: str, reason: str) -> Split:
    """In place of the splits of a file that cannot be looked into: it gives one fault."""
    return Split(file, {_REFUSED: reason}, (file,))


def numbered(name: str, file: str, specs: Sequence[Mapping[str, Json]]) -> list[Split]:
    """The splits of one file, by these specs: its name, with a number where there are several."""
    count = len(specs)
    names = [f"{name}-{number:03d}-of-{count:03d}" for number in range(count)]
    return [
        Split(each if count > 1 else name, {"file": file, **spec}, (file,))
        for each, spec in zip(names, specs, strict=True)
    ]


def every_nth(count: int) -> list[dict[str, Json]]:
    """The specs of splits that each read a whole file and keep every n-th of what is in it."""
    return [{"part": part, "parts": count} for part in range(count)]


@dataclass(frozen=True)
class Fault:
    """A record, or the unreadable rest of a stream, that gives no document.

    Attributes:
        native_id: The record's name, as far as it is known.
        offset: Byte offset in the file where the trouble begins; -1 if nobody can say. Of a rest,
            all before it was read: so each byte of a file is read, or told as unread. Of a record
            in a packed file, it is that of what is unpacked.
        reason: Short, without text of the document: ``truncated gzip``, ``not JSON``.
        records: How many records it stands for: 1 for a record, 1 for an unknown rest.
        rest: Whether it stands for a rest that nobody could read, of unknown length.
        file: Pinned file, or `archive/member`, that it was met in; None until `met_in` says, and
            where the split reads one file alone.
    """

    native_id: str | None
    offset: int
    reason: str
    records: int = 1
    rest: bool = False
    file: str | None = None


Batches = Iterator[pa.RecordBatch | Fault]
"""What is read: documents, and what gives none."""

# Key in the metadata of a batch: it is no column, as extractors have no use for it.
_FILE = b"phloem.file"


def met_in(file: str, found: Batches) -> Batches:
    """What is read of a file, each with its name: what already names a member of it keeps that."""
    for each in progress.within(file, found):
        if file_of(each) is not None:
            yield each
        elif isinstance(each, Fault):
            yield replace(each, file=file)
        else:
            said = {**(each.schema.metadata or {}), _FILE: file.encode()}
            yield each.replace_schema_metadata(said)


def file_of(found: pa.RecordBatch | Fault) -> str | None:
    """The file that documents or a fault were met in, as `met_in` said; None if it did not."""
    if isinstance(found, Fault):
        return found.file
    name = (found.schema.metadata or {}).get(_FILE)
    return None if name is None else name.decode()


class Connector(Protocol):
    """The shape of a connector module."""

    Params: type[Strict]
    VERSION: int
    LIBRARIES: tuple[str, ...]

    def reach(self, params: Any) -> Reach: ...  # noqa: D102
    def unavailable(self, params: Any) -> str | None: ...  # noqa: D102
    def resolve(self, params: Any) -> Pin: ...  # noqa: D102
    def foreign(self, params: Any, pin: Pin) -> list[str]: ...  # noqa: D102
    def fetch(self, params: Any, pin: Pin, folder: Path) -> Files: ...  # noqa: D102
    def splits(self, params: Any, pin: Pin, files: Files) -> list[Split]: ...  # noqa: D102
    def read(  # noqa: D102
        self, params: Any, split: Split, files: Files, limits: Limits
    ) -> Batches: ...


def from_index(_params: Any) -> Reach:
    """What a connector of a package index needs."""
    return "index"


def from_network(_params: Any) -> Reach:
    """What a connector of a provider on the open network needs."""
    return "network"


def nothing_missing(_params: Any) -> str | None:
    """Why this machine cannot use a source: nothing is known before it tries."""
    return None


def foreign(connector: Connector, params: Any, pin: Pin) -> list[str]:
    """What a pin holds that the card does not name, a line each: its packages, hosts and paths."""
    names = [file.name for file in pin.files]
    twice = [f"{name} stands there twice" for name, count in Counter(names).items() if count > 1]
    return [_line(each) for each in (*twice, *connector.foreign(params, pin))]


def refuse(found: Sequence[str]) -> None:
    """Raise WrongError if a pin holds what the card does not name, as `foreign` found."""
    if found:
        more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
        raise WrongError(
            f"its lock entry holds what the card does not name: {found[0]}{more}; correct the card,"
            " or lock it again"
        )


def barred(connector: Connector, params: Any, *, is_own: bool) -> list[str]:
    """What a card names and may not open, a line each.

    Args:
        connector: Its connector.
        params: What it names.
        is_own: Whether the card is of a user's own workspace, or made of their words, and none of
            the registry, where strangers propose what is read.
    """
    look = getattr(connector, "barred", None)
    return look(params, is_own=is_own) if look else []


def require_open(connector: Connector, params: Any, *, is_own: bool) -> None:
    """Raise WrongError if a card names what it may not open, as `barred` found."""
    found = barred(connector, params, is_own=is_own)
    if found:
        more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
        raise WrongError(f"{found[0]}{more}")


def unlocked(connector: Connector, params: Any, pin: Pin) -> list[str]:
    """Files that a card names now and its pin lacks; none where the connector cannot look."""
    look = getattr(connector, "unlocked", None)
    return look(params, pin) if look else []


def connectors() -> list[str]:
    """The names of the connector modules."""
    package = importlib.import_module("phloem.sources.connectors")
    return sorted(info.name for info in pkgutil.iter_modules(package.__path__))


def find_connector(name: str) -> Connector:
    """A connector module by name. Raises WrongError with the nearest name."""
    known = connectors()
    if name not in known:
        raise WrongError(f"no connector named {name!r}; {nearest(name, known)}")
    module: ModuleType = importlib.import_module(f"phloem.sources.connectors.{name}")
    return cast("Connector", module)
