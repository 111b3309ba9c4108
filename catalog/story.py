"""One document's whole story, from its source card to the tokens that it became."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow.compute as pc
import pyarrow.parquet as pq

from phloem.catalog import ledger
from phloem.catalog.advice import command
from phloem.catalog.columns import ID, PII_SPANS, TEXT
from phloem.catalog.manifest import Shard, arrow_batches, read_parquet
from phloem.catalog.plain import Json
from phloem.catalog.released import release_names, released_files
from phloem.catalog.rules import bound_of, source_of, sparing
from phloem.catalog.runs import (
    ViewError,
    dataset_of,
    load_run,
    newest_run,
    rules_of,
    shards_of,
    text_files,
)
from phloem.catalog.store import MissingError, Store

EXCERPT_CHARACTERS = 600
ID_DIGITS = 32
CANDIDATES = 10  # named in an error


@dataclass(frozen=True)
class Judged:
    """One rule on one document.

    Attributes:
        name: Of the rule.
        column: That it looks at.
        value: Of the column; None is not judged.
        min: Lower bound for the document's language, if any.
        max: Upper bound, if any.
        among: Values that are kept, if the rule names them.
        passed: Whether the document met it.
        spared: Why it does not judge the document, if it does not.
        of: Who asks it, such as ``set gopher``; None in records of before that was noted.
        source: Where its bound for the document's language comes from, if that is said.
    """

    name: str
    column: str
    value: Json
    min: float | None
    max: float | None
    among: tuple[str, ...] | None
    passed: bool
    spared: str | None = None
    of: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Twin:
    """Another document that holds the text, or nearly."""

    id: str
    source: str
    similarity: float | None


@dataclass(frozen=True)
class TokenRange:
    """Where a document's tokens lie: tokens `first` to `first + count - 1` of a token shard."""

    shard: str
    first: int
    count: int


@dataclass(frozen=True)
class Story:
    """Everything that a root knows of one document.

    Attributes:
        id: 32 hexadecimal digits.
        run_id: The run that is told of.
        recipe: Its recipe's name.
        source: Id of the card.
        card: The card's facts in that run: name, license, attribution, homepage, version, …
        document: native_id, media_type, url, title, published, author, declared_language.
        license: SPDX expression that holds for the document.
        language: BCP-47.
        text_file: sha256 of the text file that ingest wrote it to, and `row` in it.
        ingested: Where the run's own copy of it lies under the root; None if it is gone.
        text_hash: Of the cleaned text.
        text_bytes: UTF-8 bytes of the cleaned text.
        measures: Column of an op -> value; binary columns are left out.
        faults: Op -> why it could not work on the document.
        rules: Every rule of the run on it.
        verdict: kept, dropped or quarantined.
        reason: Rule, duplicate, licence or fault; None if kept.
        detail: Of a fault.
        duplicate_of: The kept document that it was dropped for.
        copies: Documents that were dropped for it.
        found_in: Other sources that hold the text too.
        composed: File with its final text, and `composed_row` in it; None if not kept.
        pii: Kind of personal data -> spans found.
        replaced: Kinds that compose replaced.
        tokens: Its token range; None if not kept.
        shards: Folders of all shards that were made of its text file, in the order of the stages.
        releases: Names of the releases that hold those tokens.
        excerpt: Beginning of the text, personal data masked; empty where nobody looked for any.
    """

    id: str
    run_id: str
    recipe: str
    source: str
    card: Mapping[str, Json]
    document: Mapping[str, Json]
    license: str | None
    language: str | None
    text_file: str
    row: int
    ingested: str | None
    text_hash: str | None
    text_bytes: int | None
    measures: Mapping[str, Json]
    faults: Mapping[str, str]
    rules: tuple[Judged, ...]
    verdict: str
    reason: str | None
    detail: str | None
    duplicate_of: Twin | None
    copies: tuple[Twin, ...]
    found_in: tuple[str, ...]
    composed: str | None
    composed_row: int | None
    pii: Mapping[str, int]
    replaced: tuple[str, ...]
    tokens: TokenRange | None
    shards: tuple[str, ...]
    releases: tuple[str, ...]
    excerpt: str


def explain(store: Store, document: str, run_id: str | None = None) -> Story:
    """Tell a document's story in a run, the newest finished one unless given.

    Args:
        store: The root.
        document: Its id, or the beginning of it that no other document has.
        run_id: The run.

    Raises:
        ViewError: there is no such run or document, or several begin so.
    """
    record = load_run(store, run_id or newest_run(store))
    row = _find(store, record, document)
    file = row["text_file"]
    parts = {stage: _shard_of(store, record, stage, file) for stage in ("clean", "compose")}
    measures, faults = _measures(store, record, file, row["row"])
    ingested = _ingested(store, record, file)
    composed, place = _composed(store, parts["compose"], row)
    spans = measures.get(PII_SPANS.name)
    found = Counter(span["kind"] for span in spans or ())
    scrub = record["recipe"]["spec"].get("scrub") or {}
    tokens, token_shard = _tokens(store, record, row)
    return Story(
        id=row["id"],
        run_id=record["run_id"],
        recipe=record["recipe"]["name"],
        source=row["source"],
        card=record["sources"].get(row["source"], {}),
        document=_document(store, ingested, row["row"]),
        license=row["license"],
        language=row["language"],
        text_file=file,
        row=row["row"],
        ingested=ingested,
        text_hash=row["text_hash"],
        text_bytes=row["text_bytes"],
        measures=measures,
        faults=faults,
        rules=tuple(_judged(record, row, measures)),
        verdict=row["verdict"],
        reason=row["reason"],
        detail=row["detail"],
        duplicate_of=_kept_twin(store, record, row),
        copies=tuple(_copies(store, record, row["id"])),
        found_in=tuple(row["found_in"] or ()),
        composed=composed,
        composed_row=place,
        pii=dict(sorted(found.items())),
        replaced=tuple(sorted(set(found) & set(scrub))) if composed else (),
        tokens=tokens,
        shards=tuple(_shards(store, record, file)),
        releases=tuple(_releases(store, token_shard)),
        excerpt=_excerpt(store, parts["clean"], row["row"], spans, scrub),
    )


def _ledgers(store: Store, record: Mapping[str, Json]) -> list[str]:
    dataset = dataset_of(store, record, "decide")
    if dataset is None:
        msg = f"run {record['run_id']} has no ledger: it was {record['status']} before that"
        raise ViewError(msg)
    return [shard.path("ledger.parquet") for shard in dataset.shards]


def _find(store: Store, record: Mapping[str, Json], document: str) -> dict[str, Json]:
    """The ledger row of an id or its beginning. Only the id column is read in full."""
    asked = document.strip().lower()
    found: list[tuple[str, int, str]] = []
    for name in _ledgers(store, record) if asked else []:
        ids = read_parquet(store, name, [ID.name])[ID.name]
        whole = len(asked) == ID_DIGITS
        hits = pc.equal(ids, asked) if whole else pc.starts_with(ids, asked)
        rows = pc.indices_nonzero(hits)
        found += [(name, row, ids[row].as_py()) for row in rows.to_pylist()]
    if len({id_ for _, _, id_ in found}) > 1:
        some = ", ".join(sorted({id_ for _, _, id_ in found})[:CANDIDATES])
        msg = f"{len(found)} documents begin with {asked!r}: {some}; give more digits"
        raise ViewError(msg)
    if not found:
        words = ("catalog", "query", "select id from decisions limit 5")
        query = command(*words, "--run", record["run_id"], root=store.root)
        msg = (
            f"run {record['run_id']} has no document {document!r}; ids have 32 digits,"
            f" `{query}` shows some"
        )
        raise ViewError(msg)
    name, row, _ = found[0]
    return _row(store, name, row)


def _row(store: Store, name: str, row: int) -> dict[str, Json]:
    """One row of a Parquet file: only its row group is read."""
    file = pq.ParquetFile(store.open(name))
    start = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < start + rows:
            value: dict[str, Json] = file.read_row_group(group).slice(row - start, 1).to_pylist()[0]
            return value
        start += rows
    msg = f"{name} has no row {row}; it has {start}"
    raise ViewError(msg)


def _arrow_row(store: Store, name: str, row: int) -> dict[str, Json]:
    """One row of an Arrow file: only its batch is touched."""
    start = 0
    for batch in arrow_batches(store, name):
        if row < start + batch.num_rows:
            value: dict[str, Json] = batch.slice(row - start, 1).to_pylist()[0]
            return value
        start += batch.num_rows
    msg = f"{name} has no row {row}; it has {start}"
    raise ViewError(msg)


def _shard_of(store: Store, record: Mapping[str, Json], stage: str, text: str) -> Shard | None:
    """The shard that a stage made of one ingested text file."""
    shards = shards_of(store, record, stage)
    return next((shard for shard in shards if shard.facts.get("text") == text), None)


def _shards(store: Store, record: Mapping[str, Json], text: str) -> Iterator[str]:
    """Whatever a stage made of one text file, whichever stages there are."""
    for stage in record.get("datasets", {}):
        shards = shards_of(store, record, stage)
        yield from (shard.folder for shard in shards if shard.facts.get("text") == text)


def _ingested(store: Store, record: Mapping[str, Json], text: str) -> str | None:
    """Where the run's own ingest has a text file."""
    name = text_files(shards_of(store, record, "ingest")).get(text)
    return name if name and store.exists(name) else None


def _document(store: Store, ingested: str | None, row: int) -> Mapping[str, Json]:
    if ingested is None:
        return {}
    value = _arrow_row(store, ingested, row)
    left_out = {"id", "source", "text", "license"}
    return {name: field for name, field in value.items() if name not in left_out}


def _measures(
    store: Store, record: Mapping[str, Json], text: str, row: int
) -> tuple[dict[str, Json], dict[str, str]]:
    measures: dict[str, Json] = {}
    faults: dict[str, str] = {}
    for shard in shards_of(store, record, "measure"):
        if shard.facts["text"] != text:
            continue
        op = shard.facts["op"]
        for name, value in _row(store, shard.path(f"{op}.parquet"), row).items():
            if name == f"{op}_fault":
                faults |= {op: value} if value is not None else {}
            elif not isinstance(value, bytes):
                measures[name] = value
    return measures, faults


def _judged(
    record: Mapping[str, Json], row: Mapping[str, Json], measures: Mapping[str, Json]
) -> Iterator[Judged]:
    failed = row["failed_rules"] or 0
    for bit, rule in enumerate(rules_of(record, row["source"])):
        column = rule["column"]
        among = rule.get("among")
        yield Judged(
            name=rule["name"],
            column=column,
            value=measures.get(column, row.get(column)),
            min=bound_of(rule.get("min"), row["language"]),
            max=bound_of(rule.get("max"), row["language"]),
            among=None if among is None else tuple(among),
            passed=not failed >> bit & 1,
            spared=sparing(rule, {**row, **measures}),
            of=rule.get("of"),
            source=source_of(rule.get("source"), row["language"]),
        )


def _kept_twin(store: Store, record: Mapping[str, Json], row: Mapping[str, Json]) -> Twin | None:
    if row["duplicate_of"] is None:
        return None
    kept = _find(store, record, row["duplicate_of"])
    return Twin(kept["id"], kept["source"], row["similarity"])


def _copies(store: Store, record: Mapping[str, Json], document: str) -> Iterator[Twin]:
    columns = ["duplicate_of", ID.name, "source", "similarity"]
    for name in _ledgers(store, record):
        of = read_parquet(store, name, columns[:1])["duplicate_of"]
        if pc.any(pc.equal(of, document)).as_py():
            table = read_parquet(store, name, columns)
            for copy in table.filter(pc.equal(table["duplicate_of"], document)).to_pylist():
                yield Twin(copy["id"], copy["source"], copy["similarity"])


def _composed(
    store: Store, shard: Shard | None, row: Mapping[str, Json]
) -> tuple[str | None, int | None]:
    if shard is None or row["verdict"] != ledger.KEPT:
        return None, None
    name = shard.path("text.arrow")
    start = 0
    for batch in arrow_batches(store, name, [ID.name]):
        place = pc.index(batch[ID.name], row["id"]).as_py()
        if place >= 0:
            return name, start + place
        start += batch.num_rows
    return None, None


def _tokens(
    store: Store, record: Mapping[str, Json], row: Mapping[str, Json]
) -> tuple[TokenRange | None, Shard | None]:
    for shard in shards_of(store, record, "tokenize") if row["verdict"] == ledger.KEPT else ():
        if shard.facts["source"] != row["source"]:
            continue
        name = shard.path("index.parquet")
        place = pc.index(read_parquet(store, name, [ID.name])[ID.name], row["id"]).as_py()
        if place >= 0:
            found = _row(store, name, place)
            return TokenRange(shard.folder, found["first_token"], found["token_count"]), shard
    return None, None


def _releases(store: Store, shard: Shard | None) -> Iterator[str]:
    if shard is None:
        return
    for name in release_names(store):
        try:
            files = released_files(store, name)
        except MissingError:  # not whole: `release verify` says so
            continue
        if shard.path("index.parquet") in files:
            yield name


def _excerpt(
    store: Store, clean: Shard | None, row: int, spans: Json, scrub: Mapping[str, str]
) -> str:
    """The text's beginning, with every span of personal data replaced.

    Empty where nobody looked for personal data: an unmasked text is never shown.
    """
    if clean is None or spans is None:
        return ""
    text = (_arrow_row(store, clean.path("text.arrow"), row)[TEXT.name] or "").encode()
    cut = text[: 4 * EXCERPT_CHARACTERS]  # a character takes at most four bytes of UTF-8
    pieces, start = [], 0
    for span in spans:
        if span["start"] >= len(cut):
            break
        mark = scrub.get(span["kind"], f"<{span['kind'].upper()}>")
        pieces += [cut[start : span["start"]], mark.encode()]
        start = span["end"]
    masked = b"".join([*pieces, cut[start:]]).decode(errors="ignore")
    return masked[:EXCERPT_CHARACTERS]
