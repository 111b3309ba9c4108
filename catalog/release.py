"""Releases: the only thing that a trainer gets, made only if every check of the policy passes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date as calendar_date
from pathlib import Path

from phloem.catalog.assembly import (
    STAGES,
    assembled,
    attribution,
    is_named_so,
    name_of,
    statement,
    sums,
)
from phloem.catalog.errors import PhloemError
from phloem.catalog.licenses import NO_REFS, Refs
from phloem.catalog.manifest import Dataset, canonical, digest_of
from phloem.catalog.plain import Json
from phloem.catalog.policy import gate, load_policy, unasked
from phloem.catalog.records import RELEASED, append, records
from phloem.catalog.released import (
    ATTRIBUTION,
    NAME,
    RECORD,
    RELEASES,
    SUMS,
    Release,
    ReleaseError,
    load_release,
)
from phloem.catalog.run_facts import kept_licenses, run_facts
from phloem.catalog.runs import load_run
from phloem.catalog.store import MissingError, Store


class GateError(PhloemError):
    """A run that may not be released: the message lists every check that failed."""


def make_release(
    store: Store,
    run_id: str,
    *,
    name: str = "",
    date: str = "",
    license_refs: Refs = NO_REFS,
    policy_folders: Sequence[Path | str] = (),
) -> Release:
    """Release what a run made, if the checks of its policy pass.

    `releases/<name>/` gets ATTRIBUTION.md, SHA256SUMS and, last, release.json; the first time,
    the records get a `released`. The same release again is no error.

    Args:
        store: The root.
        run_id: A run that is done.
        name: Lower-case letters, digits, `.`, `_`, `-`; made from the contents if empty.
        date: ISO 8601 date that the release bears; none if empty.
        license_refs: Obligations of each LicenseRef; the run record's own if it has any.
        policy_folders: Further places of policies.

    Raises:
        GateError: a check failed; the message lists all that did.
        ReleaseError: bad name or date, or the name is taken by another release.
    """
    _check_asked(name, date)
    record = load_run(store, run_id)
    policy = load_policy(record["recipe"]["spec"]["policy"], policy_folders)
    datasets = _datasets(store, record)
    licenses = kept_licenses(store, datasets["decide"])
    refs = license_refs or record.get("license_refs", NO_REFS)
    checks = gate(policy, run_facts(store, record, datasets, licenses, refs))
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        msg = f"run {run_id} may not be released under policy {policy.name}: " + "; ".join(failed)
        raise GateError(msg)
    release = replace(
        assembled(record, datasets, licenses),
        name=name,
        date=date or None,
        policy=policy.name,
        policy_digest=digest_of(policy.model_dump(mode="json")),
        checks=checks,
        unasked=unasked(policy),
    )
    named = replace(release, name=name or name_of(release))
    if is_named_so(named) and named.name != name_of(named):
        msg = f"{name!r} is a name for other contents than these; give none, or another"
        raise ReleaseError(msg)
    written = _write(store, replace(named, statement=statement(named)), datasets)
    _note(store, run_id, written)
    return written


def _note(store: Store, run_id: str, release: Release) -> None:
    """Append to the records that a release was made, unless that is the last they say of it."""
    if release.digest != _noted(store, release.name):
        said = {"release": release.name, "digest": release.digest}
        append(store, RELEASED, {**said, "run_id": run_id, "policy": release.policy})


def _noted(store: Store, name: str) -> str | None:
    """The digest that a release of this name was last noted with."""
    found = [noted["digest"] for noted in records(store, RELEASED) if noted["release"] == name]
    return found[-1] if found else None


def _check_asked(name: str, date: str) -> None:
    if name and not NAME.fullmatch(name):
        msg = f"{name!r} is no name for a release: lower-case letters, digits and ._- only"
        raise ReleaseError(msg)
    try:
        calendar_date.fromisoformat(date or "2000-01-01")
    except ValueError:
        msg = f"{date!r} is no ISO 8601 date; write it as 2026-01-31"
        raise ReleaseError(msg) from None


def _datasets(store: Store, record: Mapping[str, Json]) -> dict[str, Dataset]:
    lacking = [stage for stage in STAGES if stage not in record.get("datasets", {})]
    if lacking:
        msg = (
            f"run {record['run_id']} is {record['status']} and made no {', '.join(lacking)};"
            " finish it first"
        )
        raise ReleaseError(msg)
    return {stage: _dataset(store, record["datasets"][stage]) for stage in STAGES}


def _dataset(store: Store, name: str) -> Dataset:
    try:
        return Dataset.load(store, name)
    except (MissingError, ValueError) as error:
        msg = f"{name} cannot be released ({error}); run its recipe again"
        raise ReleaseError(msg) from None


def _write(store: Store, release: Release, datasets: Mapping[str, Dataset]) -> Release:
    pages = {ATTRIBUTION: attribution(release), SUMS: sums(datasets)}
    made = replace(
        release, files={name: hashlib.sha256(data).hexdigest() for name, data in pages.items()}
    )
    made = replace(made, digest=made.to_json()["digest"])
    folder = f"{RELEASES}/{release.name}"
    if store.exists(f"{folder}/{RECORD}"):
        held = load_release(store, release.name)
        if _unworded(held) == _unworded(made) and held.digest == _noted(store, release.name):
            return held  # an earlier version may have told the same in other words
        if held != made:
            msg = f"a release {release.name} with other contents exists; give another name"
            raise ReleaseError(msg)
    for name, data in pages.items():
        store.write_bytes(f"{folder}/{name}", data)
    store.write_bytes(f"{folder}/{RECORD}", canonical(made.to_json()))
    return made


def _unworded(release: Release) -> Release:
    """A release without what is only said of it."""
    return replace(release, statement=(), files={}, digest="")
