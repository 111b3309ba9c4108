"""Whether a release is still what was released: every witness is asked, and all faults are told.

Whoever can write to a root can write a manifest and all its hashes anew, so that no witness is
believed alone. What follows from a fault that was told is not told again.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from phloem.catalog.assembly import (
    STAGES,
    assembled,
    attribution,
    is_named_so,
    name_of,
    plain,
    statement,
    summed,
    sums,
)
from phloem.catalog.errors import PhloemError
from phloem.catalog.findings import Finding, check_entry, entries, entry_of, linked, said
from phloem.catalog.handoff.tokenizer import End, TokenizerError, load_tokenizer
from phloem.catalog.ledger import DROPPED, KEPT
from phloem.catalog.licenses import NO_REFS
from phloem.catalog.manifest import COMMIT, KEY_DIGITS, Dataset, digest_of
from phloem.catalog.plain import Json
from phloem.catalog.policy import PolicyError, gate, load_policy, unasked
from phloem.catalog.records import RECORDS, RELEASED, RecordError, read_record
from phloem.catalog.released import (
    ATTRIBUTION,
    NAME,
    RECORD,
    RELEASES,
    SUMS,
    Release,
    is_spelt_so,
    manifest_faults,
    read_release,
    release_bytes,
)
from phloem.catalog.run_facts import Licenses, run_facts, sorted_counts
from phloem.catalog.runs import RUNS, load_run
from phloem.catalog.shard_contents import Content, check_shard
from phloem.catalog.store import Store

Datasets = Mapping[str, Dataset]
Contents = Mapping[str, Sequence[Content]]

# What a value that is none of a run's raises when it is taken for one.
_FOREIGN = (PhloemError, ValueError, KeyError, TypeError, AttributeError, IndexError)

_RUN_ID = re.compile(r"[0-9A-Za-z-]+")
_PLACE = rf"({'|'.join(STAGES)})/[0-9a-f]{{{KEY_DIGITS}}}/[A-Za-z0-9][A-Za-z0-9._-]*"
_LINE = re.compile(rf"[0-9a-f]{{64}}  {_PLACE}")


@dataclass(frozen=True)
class _Case:
    """A release that could be read.

    Attributes:
        store: The root.
        folder: Of the release.
        release: What it says.
        policy_folders: Further places of policies.
    """

    store: Store
    folder: str
    release: Release
    policy_folders: Sequence[Path | str]

    @property
    def file(self) -> str:
        """Where it says it."""
        return f"{self.folder}/{RECORD}"

    @property
    def name(self) -> str:
        """What it is called where it lies."""
        return self.folder.rpartition("/")[2]


def verify_release(
    store: Store, name: str, policy_folders: Sequence[Path | str] = ()
) -> list[Finding]:
    """Ask every witness of a release: its name, records, manifests, files, their rows and its run.

    Each file is read once: hashed, and its documents counted. The release is put together again
    out of its manifests and, unless it was given up, of the record of its run.

    Args:
        store: The root.
        name: Of the release.
        policy_folders: Further places of policies.

    Returns:
        All that does not hold, sorted by file.

    Raises:
        ReleaseError: there is no such release.
    """
    folder = f"{RELEASES}/{name}"
    file = f"{folder}/{RECORD}"
    entry = entry_of(store, file) if NAME.fullmatch(name) else None
    data = None if entry and entry.bytes is None else release_bytes(store, name)
    findings = [*_folder(store, folder)]
    if data is not None:
        try:
            release = read_release(data)
        except ValueError as error:
            faults = str(error).splitlines()
        else:
            faults = [] if is_spelt_so(release, data) else ["it is spelt otherwise, or says more"]
        findings += [Finding(file, "unreadable", "what a release says", said(f)) for f in faults]
        if not faults:
            findings += _asked(_Case(store, folder, release, policy_folders))
    return sorted(set(findings), key=lambda each: (each.file, each.problem, each.expected))


def _folder(store: Store, folder: str) -> Iterator[Finding]:
    """What lies in the folder of a release beside its three files, or is none of these."""
    above, _, name = folder.partition("/")
    there = entries(store, above, [name])
    own = [f"{folder}/{file}" for file in (RECORD, ATTRIBUTION, SUMS)]
    yield from _links(store, [folder])
    yield from _added(there.keys() - own)
    yield from check_entry(own[0], there.get(own[0]), "", None)


def _links(store: Store, folders: Iterable[str]) -> Iterator[Finding]:
    for folder in linked(store, folders):
        yield Finding(folder, "link", "a folder of the root", "a link")


def _added(names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        yield Finding(said(name), "added", "nothing", "what no manifest lists")


def _asked(case: _Case) -> Iterator[Finding]:
    """What every witness of a release says."""
    store, release = case.store, case.release
    changed = [*_of_itself(case)]
    yield from changed
    run_id, findings = _noted(case)
    yield from findings
    listed, findings = _page(case, SUMS)
    yield from findings
    credited, findings = _page(case, ATTRIBUTION)
    yield from findings
    datasets: dict[str, Dataset] = {}
    for stage in STAGES:
        findings = [*_manifest(case, stage, datasets)]
        yield from findings
    end = End(release.end_token, release.end_id) if release.end_token else None
    contents: dict[str, list[Content]] = {}
    for stage, dataset in datasets.items():
        contents[stage] = []
        yield from _shards(store, dataset, end, contents[stage])
    yield from _unlisted(store, listed, datasets)
    if not end:
        lack = ("a token that ends each", "none is named: an earlier version released it")
        yield Finding(case.file, "end of document", *lack)
        return
    whole = [s for s, d in datasets.items() if len(contents[s]) == len(d.shards)]
    if "tokenizer" in whole:
        yield from _tokenizer(store, datasets["tokenizer"], end)
    if len(whole) == len(STAGES) and not changed:
        apart = [*_apart(datasets, contents)]
        yield from apart
        if not apart:
            yield from _told(case, datasets, _licenses(datasets, contents), run_id)
            yield from _pages(case, datasets, {SUMS: listed, ATTRIBUTION: credited})


def _of_itself(case: _Case) -> Iterator[Finding]:
    """Whether a release hashes to its digest, is called so, and holds the four stages."""
    release, digest = case.release, case.release.to_json()["digest"]
    if digest != release.digest:
        yield Finding(case.file, "changed release", release.digest, digest)
        return
    says = {
        "name": (case.name, release.name),
        "datasets": (sorted(STAGES), sorted(release.datasets)),
        "files": (sorted((ATTRIBUTION, SUMS)), sorted(release.files)),
        "checks": (True, bool(release.checks) and all(check.passed for check in release.checks)),
    }
    if is_named_so(release):
        says["digits of the name"] = (name_of(release), release.name)
    for what, (right, found) in says.items():
        if right != found:
            yield Finding(case.file, "changed release", f"{what}: {said(right)}", said(found))


def _noted(case: _Case) -> tuple[str, list[Finding]]:
    """The run that the newest record of a release names, and what of the records does not hold."""
    store, findings = case.store, [*_links(case.store, [RECORDS])]
    found = []
    for name in [] if findings else store.list(RECORDS):
        entry = entry_of(store, name)
        try:
            if entry and not entry.kind:
                found.append(read_record(store, name))
            else:
                findings += check_entry(name, entry, "", None)
        except RecordError as error:
            findings.append(Finding(said(name), "changed record", "a record", said(str(error))))
    said_of = [
        record
        for record in sorted(found, key=lambda record: str(record["time"]))
        if record["kind"] == RELEASED and record.get("release") == case.name
    ]
    newest = said_of[-1] if said_of else {}
    right = {"digest": case.release.digest, "policy": case.release.policy}
    if any(newest.get(what) != value for what, value in right.items()):
        told = said({what: newest.get(what) for what in right} if newest else "no record of it")
        findings.append(Finding(case.file, "changed record", said(right), told))
    return str(newest.get("run_id", "")), findings


def _page(case: _Case, file: str) -> tuple[bytes | None, list[Finding]]:
    """A file beside the record of a release, if it hashes to what that says."""
    name, sha256 = f"{case.folder}/{file}", case.release.files.get(file, "")
    findings = [*check_entry(name, entry_of(case.store, name), sha256, None)]
    if findings:
        return None, findings
    data = case.store.read_bytes(name)
    actual = hashlib.sha256(data).hexdigest()
    return (data, []) if actual == sha256 else (None, [Finding(name, "digest", sha256, actual)])


def _manifest(case: _Case, stage: str, datasets: dict[str, Dataset]) -> Iterator[Finding]:
    """Whether a stage's manifest is as released; then its dataset is one of these."""
    store, listed = case.store, case.release.datasets.get(stage, {})
    name, digest = listed.get("name", ""), listed.get("digest", "")
    if not re.fullmatch(rf"datasets/{stage}-[0-9a-f]{{{KEY_DIGITS}}}\.json", name):
        yield Finding(said(name), "changed manifest", f"a manifest of {stage}", "a name of none")
        return
    faults = [*_links(store, ["datasets"]), *check_entry(name, entry_of(store, name), digest, None)]
    if faults:
        yield from faults
        return
    data = store.read_bytes(name)
    try:
        dataset = Dataset.read(data, name)
    except ValueError:
        yield Finding(name, "changed manifest", digest, "does not hash to what it says")
        return
    wrong = [*manifest_faults(dataset, stage)]
    if dataset.digest != digest:
        wrong.append(dataset.digest)
    elif dataset.name != name or dataset.to_bytes() != data:
        wrong.append("is not spelt or called as a manifest is, or says more")
    for fault in wrong:
        yield Finding(name, "changed manifest", digest, said(fault))
    if not wrong:
        datasets[stage] = dataset


def _shards(
    store: Store, dataset: Dataset, end: End | None, contents: list[Content]
) -> Iterator[Finding]:
    """Whether the files of each shard are as released; of each that is, what it holds."""
    there = entries(store, dataset.stage, [shard.key for shard in dataset.shards])
    links = [*_links(store, [shard.folder for shard in dataset.shards])]
    yield from links
    if links:
        return
    own: set[str] = set()
    for shard in dataset.shards:
        content, findings = check_shard(store, shard, there, end)
        yield from findings
        own |= {f"{shard.folder}/{name}" for name in (COMMIT, *(file.name for file in shard.files))}
        if content:
            contents.append(content)
    yield from _added(there.keys() - own)


def _unlisted(store: Store, listed: bytes | None, datasets: Datasets) -> Iterator[Finding]:
    """Of stages whose manifests are not as released, the files as SHA256SUMS has them."""
    lines = (listed or b"").decode(errors="replace").splitlines()
    for digest, name in (line.split("  ", 1) for line in lines if _LINE.fullmatch(line)):
        if name.partition("/")[0] not in datasets:
            entry = entry_of(store, name)
            findings = [*_links(store, [name.rpartition("/")[0]])]
            findings += check_entry(name, entry, digest, None)
            yield from findings
            if not findings and (actual := store.sha256(name)) != digest:
                yield Finding(name, "digest", digest, actual)


def _tokenizer(store: Store, dataset: Dataset, end: End) -> Iterator[Finding]:
    """Whether the tokenizer has the end that the release names."""
    file = dataset.shards[0].ref("tokenizer.json")
    try:
        load_tokenizer(store.local_path(file.path, file.sha256, file.bytes), end)
    except TokenizerError as error:
        yield Finding(file.path, "end of document", str(end), said(str(error)))


def _apart(datasets: Datasets, contents: Contents) -> Iterator[Finding]:
    """Where a stage has other documents than the one before: shard for shard, in order."""
    counts = {stage: len(contents[stage]) for stage in ("decide", "compose", "tokenize")}
    if len(set(counts.values())) > 1:
        for stage, count in counts.items():
            kept = f"{counts['decide']} text files decided"
            if count != counts["decide"]:
                yield Finding(datasets[stage].name, "documents", kept, f"{count} shards")
        return
    for stage, before in (("compose", "decide"), ("tokenize", "compose")):
        for number, shard in enumerate(datasets[stage].shards):
            right, found = contents[before][number], contents[stage][number]
            if right.documents != found.documents:
                folder = datasets[before].shards[number].folder
                yield Finding(shard.folder, "documents", f"those of {folder}", "others")
            elif stage == "compose" and right.licenses != found.licenses:
                told = (said(dict(right.licenses)), said(dict(found.licenses)))
                yield Finding(shard.folder, "documents", *told)


def _licenses(datasets: Datasets, contents: Contents) -> Licenses:
    """Source -> licence -> kept documents, as the ledger has them."""
    found: dict[str, Counter[str]] = {}
    for shard, content in zip(datasets["decide"].shards, contents["decide"], strict=True):
        found.setdefault(shard.facts["source"], Counter()).update(content.licenses)
    return sorted_counts(found)


def _told(case: _Case, datasets: Datasets, licenses: Licenses, run_id: str) -> Iterator[Finding]:
    """Where a release says other things than one that is put together now."""
    yield from _differences(case, assembled(_as_recorded(case.release), datasets, licenses))
    name = f"{RUNS}/{run_id}.json"
    entry = entry_of(case.store, name) if _RUN_ID.fullmatch(run_id) else None
    if not entry:
        return  # given up: what it made stays
    yield from check_entry(name, entry, "", None)
    if entry.kind:
        return
    try:
        record = load_run(case.store, run_id)
        named = {stage: record["datasets"].get(stage) for stage in STAGES}
        right = assembled(record, datasets, licenses)
        judged = [*_judged(case, record, datasets, licenses)]
        counts = {id_: [c["kept"], c["dropped"]] for id_, c in record["balance"].items()}
    except _FOREIGN as error:
        yield Finding(name, "unreadable", "the record of its run", type(error).__name__)
        return
    own = {stage: dataset.name for stage, dataset in datasets.items()}
    if named != own:
        yield Finding(name, "changed manifest", said(own), said(named))
    kept, dropped = (summed(datasets["decide"], verdict) for verdict in (KEPT, DROPPED))
    decided = {id_: [kept[id_], dropped[id_]] for id_ in kept}
    if {id_: counts.get(id_) for id_ in decided} != decided:
        yield Finding(name, "documents", said(decided), said(counts))
    yield from _differences(case, right)
    yield from judged


def _as_recorded(release: Release) -> dict[str, Json]:
    """What the record of its run would say, of a release whose run was given up."""
    return {
        "recipe": {
            "name": release.recipe,
            "digest": release.recipe_digest,
            "spec": {"mix": release.mix},
        },
        "sources": {source.id: asdict(source) for source in release.sources}
        | {id_: {"version": version} for id_, version in release.left_out.items()},
        "skipped": release.left_out,
    }


def _judged(
    case: _Case, record: Mapping[str, Json], datasets: Datasets, licenses: Licenses
) -> Iterator[Finding]:
    """What the gate would say now, if the policy says what it said then."""
    release, asked = case.release, record["recipe"]["spec"]["policy"]
    if asked != release.policy:
        yield Finding(case.file, "changed release", f"policy: {said(asked)}", said(release.policy))
        return
    try:
        policy = load_policy(asked, case.policy_folders)
    except PolicyError:
        return
    if digest_of(policy.model_dump(mode="json")) != release.policy_digest:
        return
    refs = record.get("license_refs", NO_REFS)
    checks = gate(policy, run_facts(case.store, record, datasets, licenses, refs))
    now, then = (
        {f"check {check.name}": [check.passed, check.detail] for check in found}
        | {"unasked": list(not_asked)}
        for found, not_asked in ((checks, unasked(policy)), (release.checks, release.unasked))
    )
    for what in now.keys() | then.keys():
        if now.get(what) != then.get(what):
            told = (f"{what}: {said(now.get(what))}", said(then.get(what)))
            yield Finding(case.file, "changed release", *told)


# What nobody but a user, a policy or the writing of it gives a release.
_GIVEN = {"name", "date", "policy", "policy_digest", "checks", "unasked"}
_GIVEN |= {"statement", "files", "digest"}


def _differences(case: _Case, right: Release) -> Iterator[Finding]:
    """Field by field, and of sources each by itself."""
    expected, found = asdict(right), asdict(case.release)
    for each in (expected, found):
        each["sources"] = {source["id"]: source for source in each["sources"]}
    for what in expected.keys() - _GIVEN - {"sources"}:
        if expected[what] != found[what]:
            told = (f"{what}: {said(expected[what])}", said(found[what]))
            yield Finding(case.file, "changed release", *told)
    for id_ in expected["sources"].keys() | found["sources"].keys():
        one, other = (each["sources"].get(id_, {}) for each in (expected, found))
        for what in one.keys() | other.keys():
            if one.get(what) != other.get(what):
                told = (f"{said(id_)}, {what}: {said(one.get(what))}", said(other.get(what)))
                yield Finding(case.file, "changed release", *told)


def _pages(case: _Case, datasets: Datasets, held: Mapping[str, bytes | None]) -> Iterator[Finding]:
    """Whether the files beside a release's record, and its statement, say what it says."""
    release = case.release
    if release.statement != statement(release):
        told = (said(list(statement(release))), said(list(release.statement)))
        yield Finding(case.file, "changed release", *told)
    made = {
        SUMS: (sums(datasets),),
        ATTRIBUTION: (attribution(release), attribution(release, plain)),
    }
    for file, texts in made.items():
        if held[file] is not None and held[file] not in texts:
            told = ("what the release and its manifests say", "something else")
            yield Finding(f"{case.folder}/{file}", "changed release", *told)
