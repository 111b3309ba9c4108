"""Fetch: the files of sources come into the root once, under their sha256."""

from __future__ import annotations

import hashlib
import signal
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from phloem.catalog.advice import command
from phloem.catalog.errors import PhloemError
from phloem.catalog.manifest import Ref
from phloem.catalog.store import Store, holds
from phloem.pipeline.reading import Reading
from phloem.pipeline.registry.registry import params_of
from phloem.pipeline.registry.splits import AtHand, splits_name, splits_of
from phloem.sources import spending
from phloem.sources.cards.source import Source
from phloem.sources.connector import (
    Connector,
    GoneError,
    Pin,
    PinnedFile,
    SourceError,
    WrongError,
    find_connector,
    foreign,
    refuse,
    require_open,
    unlocked,
)

FETCHED = "fetched"
PACKAGE = Path(__file__).parents[2]
NAMED = 5  # files that a line names, before it counts the others
STOP = 5.0  # seconds between asking a client to end and killing it
CLIENTS = 4  # package clients at once: they wait for the network more than they work


class FetchError(PhloemError):
    """Sources that this machine cannot have: the message lists all, and what to do."""


class UnavailableError(SourceError):
    """A source that is not to be had here and now, for want of a client, a network or its pin."""


def readings(
    store: Store,
    cards: Sequence[Source],
    pins: Mapping[str, Pin],
    *,
    own: Collection[str] = (),
    skip_unavailable: bool,
    is_elsewhere: bool = False,
    told: Callable[[str], None],
) -> tuple[list[Reading], dict[str, str]]:
    """Have every file of every source at hand, fetching what the root does not hold.

    Args:
        store: The root.
        cards: Sources to read, in order.
        pins: What the lock files say of each.
        own: Ids of those that are a user's own cards: only these may name files of this machine.
        skip_unavailable: Leave out sources that are not to be had, rather than fail. What else is
            wrong with a source stops every run: bytes that changed under a locked name are a
            provider's mistake or somebody's doing, and a person has to look.
        is_elsewhere: Whether workers may be on machines that have of this one nothing but the
            root: then a user's own files are copied there.
        told: Called with a line for a person when something is fetched or copied, and where a card
            names files by now that its lock entry lacks.

    Returns:
        The sources that can be read, in order, and the reason of each that was left out.

    Raises:
        FetchError: a source cannot be had and none may be left out, or none is left; or something
            is wrong with one.
    """
    bring = partial(_all_at_hand, store, cards, pins, told, own=own, is_elsewhere=is_elsewhere)
    found, refused = bring()
    # Files are hashed where their parts are looked for, so that a run that has all reads none.
    is_new = store.is_local and bool(found) and not store.exists(splits_name(found))
    if is_new and put_aside(store, [each.pin for each in found], told):
        found, refused = bring()
    skipped = {source: str(error) for source, error in refused.items()}
    wrong = any(not isinstance(error, UnavailableError) for error in refused.values())
    read: list[Reading] = []
    for each, splits in zip(found, splits_of(store, found), strict=True):
        if isinstance(splits, SourceError):
            skipped[each.card.id], wrong = str(splits), True
        else:
            read.append(Reading(each.card, each.pin, splits, each.files))
    if wrong or (skipped and not (skip_unavailable and read)):
        reasons = "; ".join(f"{source}: {reason}" for source, reason in skipped.items())
        hint = "; --skip-unavailable runs with the others" if read and not wrong else ""
        msg = f"{len(skipped)} of {len(cards)} sources cannot be read here: {reasons}{hint}"
        raise FetchError(msg)
    for source, reason in skipped.items():
        told(f"left out {source}: {reason}")
    return read, skipped


def put_aside(store: Store, pins: Sequence[Pin], told: Callable[[str], None]) -> bool:
    """Remove fetched files of these pins that hold other bytes than they are named for.

    Each is told in a line. An object store checks what it keeps itself.

    Returns:
        Whether there were any: they have to be fetched anew.
    """
    if not store.is_local:
        return False
    held = store.listing(FETCHED)
    files = {f"{FETCHED}/{file.sha256}": file for pin in pins for file in pin.files}
    there = [name for name, file in files.items() if held.get(name) == file.bytes]
    with ThreadPoolExecutor() as pool:  # hashing leaves Python's lock
        whole = pool.map(lambda name: holds(store.path(name), files[name].sha256), there)
        broken = [name for name, holds_ in zip(there, whole, strict=True) if not holds_]
    for name in broken:
        store.delete(name)
        told(f"{files[name].name} is not what was fetched ({name}): it is fetched anew")
    return bool(broken)


def _all_at_hand(
    store: Store,
    cards: Sequence[Source],
    pins: Mapping[str, Pin],
    told: Callable[[str], None],
    *,
    own: Collection[str],
    is_elsewhere: bool,
) -> tuple[list[AtHand], dict[str, SourceError]]:
    """The sources that can be had, in order, and why each of the others cannot."""
    held = store.listing(FETCHED)
    # Threads that nobody waits for remove nothing: all that they bring lies in this folder.
    with (
        tempfile.TemporaryDirectory(prefix="phloem-", ignore_cleanup_errors=True) as folder,
        _threads() as pool,
    ):
        at_hand = partial(_at_hand, is_elsewhere=is_elsewhere, folder=Path(folder))
        futures = [
            pool.submit(
                copy_context().run,  # what may be spent holds in these threads too
                partial(at_hand, is_own=card.id in own),
                store,
                card,
                pins.get(card.id),
                held,
                told,
            )
            for card in cards
        ]
    found: list[AtHand] = []
    refused: dict[str, SourceError] = {}
    for card, future in zip(cards, futures, strict=True):
        try:
            found.append(future.result())
        except SourceError as error:
            refused[card.id] = error
    return found, refused


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that have done all when the block ends; if it is interrupted, nobody waits for them.

    The package clients that they have started end then, as by Ctrl-C: so they remove what they
    keep in folders of their own.
    """
    others = set(psutil.Process().children(recursive=True))
    pool = ThreadPoolExecutor(CLIENTS)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        clients = set(psutil.Process().children(recursive=True)) - others
        for client in clients:
            with suppress(psutil.NoSuchProcess):
                client.send_signal(signal.SIGINT)
        _, left = psutil.wait_procs(clients, STOP)
        for client in left:
            with suppress(psutil.NoSuchProcess):
                client.kill()
        raise


def _at_hand(
    store: Store,
    card: Source,
    pin: Pin | None,
    held: Mapping[str, int],
    told: Callable[[str], None],
    *,
    is_own: bool,
    is_elsewhere: bool,
    folder: Path,
) -> AtHand:
    connector = find_connector(card.access.connector)
    params = params_of(connector, card)
    require_open(connector, params, is_own=is_own)
    if pin is None:
        msg = f"no lock entry says what it holds; run `{_lock(card.id, store)}`"
        raise WrongError(msg)
    refuse(foreign(connector, params, pin))  # also of what is fetched already, and only read
    files = {f.name: Ref(f"{FETCHED}/{f.sha256}", f.sha256, f.bytes) for f in pin.files}
    if not all(held.get(ref.path) == ref.bytes for ref in files.values()):
        own = _fetch(store, card, connector, params, pin, told, within=folder)
        if is_elsewhere:
            _copy(store, own, held, told)
        else:
            files |= own
    left = unlocked(connector, params, pin)
    if left:
        told(_told_unlocked(card, left, store))
    return AtHand(card, pin, connector, params, files)


def _told_unlocked(card: Source, left: Sequence[str], store: Store) -> str:
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    return (
        f"{card.id}: {len(left)} files that its card names are not locked and not read:"
        f" {', '.join(left[:NAMED])}{more}; `{_lock(card.id, store)}` locks them"
    )


def _fetch(
    store: Store,
    card: Source,
    connector: Connector,
    params: Any,
    pin: Pin,
    told: Callable[[str], None],
    *,
    within: Path,
) -> dict[str, Ref]:
    """Fetch all files of a pin into the root; the user's own, where they lie, by name.

    What is fetched lies in a folder within this one until it is in the root.
    """
    own: dict[str, Ref] = {}
    if connector.reach(params) != "here":
        spending.require(sum(file.bytes for file in pin.files))
    reason = connector.unavailable(params)
    if reason:
        raise UnavailableError(reason)
    with tempfile.TemporaryDirectory(dir=within) as folder:
        files = _fetched(store, card, connector, params, pin, Path(folder))
        for pinned in pin.files:
            path = Path(files[pinned.name])
            _verify(store, card.id, pinned, path)  # whatever its connector looked at
            # A package lies elsewhere on every machine: what comes with it goes into the root.
            if path.is_relative_to(folder) or path.is_relative_to(PACKAGE):
                keep_file(store, path, pinned.sha256)
            else:  # the user's own file
                own[pinned.name] = Ref(str(path.absolute()), pinned.sha256, pinned.bytes)
    size = sum(file.bytes for file in pin.files if file.name not in own)
    if size:
        told(f"fetched {card.id} {pin.version} ({size / 1e6:.1f} MB)")
    return own


def _copy(
    store: Store, own: Mapping[str, Ref], held: Mapping[str, int], told: Callable[[str], None]
) -> None:
    """Copy a user's own files into the root, but for those that it holds."""
    lacking = [ref for ref in own.values() if held.get(f"{FETCHED}/{ref.sha256}") != ref.bytes]
    for ref in lacking:
        keep_file(store, Path(ref.path), ref.sha256)
    if lacking:
        size = sum(ref.bytes for ref in lacking) / 1e6
        told(f"copied {len(lacking)} files ({size:.1f} MB) to the root: workers are elsewhere")


def _fetched(
    store: Store, card: Source, connector: Connector, params: Any, pin: Pin, folder: Path
) -> Mapping[str, str]:
    """What a connector fetches. Raises UnavailableError for what is only not to be had."""
    try:
        return connector.fetch(params, pin, folder)
    except WrongError:
        raise
    except GoneError as error:
        raise UnavailableError(f"{error}: `{_lock(card.id, store)}`") from None
    except SourceError as error:
        raise UnavailableError(str(error)) from None


def _lock(source: str, store: Store) -> str:
    """The command that locks a source anew; it fetches a sample into the root."""
    return command("sources", "lock", source, root=store.root)


def _verify(store: Store, source: str, pinned: PinnedFile, path: Path) -> None:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != pinned.sha256:
        msg = (
            f"{pinned.name} has sha256 {sha256[:12]}…, sources.lock says {pinned.sha256[:12]}…:"
            f" the provider changed its bytes; look at what changed, then run"
            f" `{_lock(source, store)}`"
        )
        raise WrongError(msg)


def keep_file(store: Store, path: Path, sha256: str) -> str:
    """Put a verified file into the root; returns its name there."""
    name = f"{FETCHED}/{sha256}"
    with store.create(name) as out, path.open("rb") as file:
        while block := file.read(2**20):
            out.write(block)
    if out.sha256 != sha256:
        store.delete(name)  # it must not be taken for what its name says
        msg = f"{path.name} changed while it was copied into the root"
        raise FetchError(msg)
    store.keep(path, sha256)  # it is read on this machine in a moment
    return name
