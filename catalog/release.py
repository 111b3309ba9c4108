"""Releases: the only thing that a trainer gets, made only if every check of the policy passes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date as calendar_date
from pathlib import Path

import numpy as np
import pyarrow as pa

from phloem.catalog.errors import PhloemError
from phloem.catalog.handoff.tokenizer import End, TokenizerError, load_tokenizer
from phloem.catalog.handoff.tokens import TOKENS
from phloem.catalog.licenses import NO_REFS, Refs
from phloem.catalog.manifest import Dataset, arrow_batches, canonical, digest_of
from phloem.catalog.plain import Json
from phloem.catalog.policy import Check, Policy, gate, load_policy, unasked
from phloem.catalog.records import append, records
from phloem.catalog.released import (
    ATTRIBUTION,
    RECORD,
    RELEASES,
    SUMS,
    Release,
    ReleasedSource,
    ReleaseError,
    load_release,
    released_dataset,
)
from phloem.catalog.run_facts import run_facts
from phloem.catalog.runs import load_run
from phloem.catalog.store import MissingError, Store

STAGES = ("decide", "compose", "tokenizer", "tokenize")  # what a release holds, files and all
RELEASED = "released"  # kind of the record that a release leaves
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class GateError(PhloemError):
    """A run that may not be released: the message lists every check that failed."""


@dataclass(frozen=True)
class Finding:
    """One thing of a release, or of an export of it, that does not hold.

    Attributes:
        file: Name under the root, or under the export's folder.
        problem: missing, size, digest, changed manifest, changed release or end of document; of an
            export changed export, unreadable or tokens, too.
        expected: What the release says.
        found: What is there.
    """

    file: str
    problem: str
    expected: str
    found: str


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
    facts = run_facts(store, record, datasets, license_refs or record.get("license_refs", NO_REFS))
    checks = gate(policy, facts)
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        msg = f"run {run_id} may not be released under policy {policy.name}: " + "; ".join(failed)
        raise GateError(msg)
    release = _assemble(record, policy, checks, datasets, facts)
    named = replace(release, name=name, date=date or None)
    if not name:
        named = replace(named, name=f"{release.recipe}-{named.to_json()['digest'][:12]}")
    written = _write(store, replace(named, statement=_statement(named)), datasets)
    _note(store, run_id, written)
    return written


def _note(store: Store, run_id: str, release: Release) -> None:
    """Append to the records that a release was made; one that was made before stands there."""
    value = {"release": release.name, "digest": release.digest}
    if not any(value.items() <= noted.items() for noted in records(store, RELEASED)):
        append(store, RELEASED, {**value, "run_id": run_id, "policy": release.policy})


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


def _assemble(
    record: Mapping[str, Json],
    policy: Policy,
    checks: tuple[Check, ...],
    datasets: Mapping[str, Dataset],
    facts: Mapping[str, Json],
) -> Release:
    """All but name, date and what depends on them."""
    sources = tuple(_source(id_, facts) for id_ in sorted(facts["sources"]))
    tokens = sum(facts["tokens_by_source"].values())
    mix = record["recipe"]["spec"].get("mix") or {}
    tokenizer = datasets["tokenizer"].shards[0]
    return Release(
        name="",
        date=None,
        recipe=record["recipe"]["name"],
        recipe_digest=record["recipe"]["digest"],
        policy=policy.name,
        policy_digest=digest_of(policy.model_dump(mode="json")),
        checks=checks,
        unasked=unasked(policy),
        sources=sources,
        datasets={s: {"name": d.name, "digest": d.digest} for s, d in datasets.items()},
        tokenizer=facts["tokenizer"],
        tokenizer_file=tokenizer.path("tokenizer.json"),
        end_token=tokenizer.facts["end_token"],
        end_id=tokenizer.facts["end_id"],
        mix={source.id: float(mix.get(source.id, 1.0)) for source in sources} if mix else {},
        documents=facts["documents"],
        tokens=tokens,
        statement=(),
        files={},
        left_out=_left_out(record),
    )


def _left_out(record: Mapping[str, Json]) -> dict[str, str | None]:
    """What a run could not have. Why is in its record: another day it would be told otherwise."""
    cards, skipped = record["sources"], record.get("skipped", {})
    return {id_: cards.get(id_, {}).get("version") for id_ in sorted(skipped)}


def _statement(release: Release) -> tuple[str, ...]:
    counted = f"{release.documents:,} documents and {release.tokens:,} tokens"
    sources = f"{len(release.sources)} source{'s' * (len(release.sources) != 1)}"
    first = (
        f"{release.name} holds {counted} of {sources}, made by the recipe {release.recipe} and"
        f" released under the policy {release.policy}."
    )
    said = [f"Each document ends with the token {release.end_token} ({release.end_id})."]
    if release.left_out:
        said.append(f"Left out, since they were not to be had: {', '.join(release.left_out)}.")
    return (first, *said, *release.unasked)


def _source(id_: str, facts: Mapping[str, Json]) -> ReleasedSource:
    card = facts["sources"][id_]
    return ReleasedSource(
        id=id_,
        name=card["name"],
        license=card["license"],
        licenses=facts["licenses_by_source"].get(id_, {}),
        attribution=card.get("attribution"),
        homepage=card.get("homepage"),
        custodian=card.get("custodian"),
        version=card.get("version"),
        card=card["card"],
        files=tuple(card["files"]),
        documents=facts["documents_by_source"].get(id_, 0),
        tokens=facts["tokens_by_source"].get(id_, 0),
    )


def _write(store: Store, release: Release, datasets: Mapping[str, Dataset]) -> Release:
    attribution = "".join(f"{line}\n" for line in _attribution(release)).encode()
    sums = "".join(f"{line}\n" for line in _sums(datasets)).encode()
    files = {ATTRIBUTION: _sha256(attribution), SUMS: _sha256(sums)}
    value = replace(release, files=files).to_json()
    data = canonical(value)
    folder = f"{RELEASES}/{release.name}"
    if store.exists(f"{folder}/{RECORD}") and store.read_bytes(f"{folder}/{RECORD}") != data:
        msg = f"a release {release.name} with other contents exists; give another name"
        raise ReleaseError(msg)
    store.write_bytes(f"{folder}/{ATTRIBUTION}", attribution)
    store.write_bytes(f"{folder}/{SUMS}", sums)
    store.write_bytes(f"{folder}/{RECORD}", data)
    return Release.from_json(value)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _attribution(release: Release) -> Iterator[str]:
    yield f"# {release.name}: where the text comes from"
    yield ""
    yield from release.statement
    for source in release.sources:
        yield ""
        yield f"## {_line(source.name)}"
        yield ""
        for label, value in (
            ("Credit", source.attribution),
            ("Licence", source.license),
            ("Kept by", source.custodian),
            ("Found at", source.homepage),
            ("Version", source.version),
            ("Documents", f"{source.documents:,}"),
        ):
            if value:
                yield f"- {label}: {_line(value)}"
        if set(source.licenses) - {source.license}:
            counts = (f"{count:,} under {_line(spdx)}" for spdx, count in source.licenses.items())
            yield f"- Licences of the documents: {', '.join(counts)}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _sums(datasets: Mapping[str, Dataset]) -> list[str]:
    """Lines as `sha256sum --check` reads them in the root, sorted by name."""
    files = {
        f"{shard.folder}/{file.name}": file.sha256
        for dataset in datasets.values()
        for shard in dataset.shards
        for file in shard.files
    }
    return [f"{digest}  {name}" for name, digest in sorted(files.items())]


def verify_release(store: Store, name: str) -> list[Finding]:
    """Hash every file of a release again, and look at the end of each of its documents.

    Returns all that does not hold, sorted by file.

    Raises ReleaseError if there is no such release.
    """
    release = load_release(store, name)
    folder = f"{RELEASES}/{name}"
    findings = [
        finding
        for file, digest in release.files.items()
        for finding in check_file(store, f"{folder}/{file}", digest, None)
    ]
    if not release.holds or release.name != name:
        actual = release.to_json()["digest"]
        findings.append(Finding(f"{folder}/{RECORD}", "changed release", release.digest, actual))
    for stage in release.datasets:
        findings += _check_dataset(store, release.datasets[stage])
    if not release.end_token:
        lack = ("a token that ends each", "none is named: an earlier version released it")
        findings.append(Finding(f"{folder}/{RECORD}", "end of document", *lack))
    elif not findings:  # files that are not as released say nothing
        findings += _check_end(store, release)
    return sorted(set(findings), key=lambda finding: (finding.file, finding.problem))


def _check_end(store: Store, release: Release) -> Iterator[Finding]:
    """Whether the tokenizer has the end that the release names, and each document that alone."""
    end = End(release.end_token, release.end_id)
    try:
        load_tokenizer(store.local_path(release.tokenizer_file), end)
    except TokenizerError as error:
        yield Finding(release.tokenizer_file, "end of document", str(end), str(error))
    for shard in released_dataset(store, release, "tokenize").shards:
        name = shard.path(TOKENS)
        yield from check_ends(name, arrow_batches(store, name), end)


def check_ends(name: str, documents: Iterator[pa.RecordBatch], end: End) -> Iterator[Finding]:
    """Whether each document of a file has the end of a document, once and last."""
    rows = ends = last = 0
    for batch in documents:
        column = batch["tokens"]
        values = column.flatten().to_numpy() == end.id
        rows += len(column)
        ends += int(values.sum())
        last += int(values[np.cumsum(column.value_lengths().to_numpy()) - 1].sum())
    if not rows == ends == last:
        found = f"{ends:,} in {rows:,} documents, {last:,} of them at their end"
        yield Finding(name, "end of document", f"one {end} at the end of each", found)


def _check_dataset(store: Store, listed: Mapping[str, str]) -> Iterator[Finding]:
    name = listed["name"]
    try:
        dataset = Dataset.load(store, name)
    except MissingError:
        yield Finding(name, "missing", listed["digest"], "")
        return
    except (ValueError, KeyError, TypeError):
        yield Finding(name, "changed manifest", listed["digest"], "does not hash to what it says")
        return
    if dataset.digest != listed["digest"]:
        yield Finding(name, "changed manifest", listed["digest"], dataset.digest)
    for shard in dataset.shards:
        for file in shard.files:
            yield from check_file(store, f"{shard.folder}/{file.name}", file.sha256, file.bytes)


def check_file(store: Store, name: str, sha256: str, size: int | None) -> Iterator[Finding]:
    """Whether a file is there, and has the hash and, if it is known, the size that it should."""
    try:
        actual_size = store.size(name)
        if size is not None and actual_size != size:
            yield Finding(name, "size", str(size), str(actual_size))
            return
        actual = store.sha256(name, actual_size)
    except MissingError:
        yield Finding(name, "missing", sha256, "")
        return
    if actual != sha256:
        yield Finding(name, "digest", sha256, actual)
