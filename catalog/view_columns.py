"""The columns of every view of the catalog, each with its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

from phloem.catalog import ledger
from phloem.catalog.columns import ID, LANGUAGE, SOURCE, TEXT_BYTES, TEXT_HASH, Column

_RUN_ID = Column("run_id", pa.string(), "The run; its name begins with its start in UTC.")
_RECIPE = Column("recipe", pa.string(), "Name of the recipe.")
_READ = Column("read", pa.int64(), "Records read.")
_KEPT = Column("kept", pa.int64(), "Documents kept.")
_DROPPED = Column("dropped", pa.int64(), "Documents dropped by a rule, a licence or a duplicate.")
_QUARANTINED = Column("quarantined", pa.int64(), "Records that could not be worked on.")
_DOCUMENTS = Column("documents", pa.int64(), "Documents.")
_BYTES = Column("bytes", pa.int64(), "Bytes of all its files.")
_STAGE = Column("stage", pa.string(), "Stage of a run.")
_DATASET = Column("dataset", pa.string(), "Name of the manifest under the root.")
_KEY = Column("key", pa.string(), "Hash of its spec and of what it reads.")
_DIGEST = Column("digest", pa.string(), "Hash of the bytes, and of what was counted.")
_PROBLEM = Column("problem", pa.string(), "Why it cannot be read or trusted; null if it can.")

RUNS = (
    _RUN_ID,
    _RECIPE,
    Column("recipe_digest", pa.string(), "Hash of what the recipe says."),
    Column("policy", pa.string(), "Name of the policy."),
    Column("status", pa.string(), "running, done, failed or interrupted."),
    Column("error", pa.string(), "What stopped it."),
    Column("started", pa.string(), "ISO 8601, UTC."),
    Column("finished", pa.string(), "ISO 8601, UTC."),
    Column("runner", pa.string(), "Beam runner."),
    Column("workers", pa.int64(), "Worker processes."),
    Column("seconds", pa.float64(), "Wall seconds of all stages."),
    Column("cpu_seconds", pa.float64(), "CPU seconds of all stages."),
    _READ,
    _KEPT,
    _DROPPED,
    _QUARANTINED,
    Column("release", pa.string(), "Name of the release that it made."),
)
SOURCES = (
    _RUN_ID,
    SOURCE,
    Column("name", pa.string(), "The source as readers know it."),
    Column("kind", pa.string(), "Kind of text."),
    Column("languages", pa.list_(pa.string()), "BCP-47 tags that the card declares."),
    Column("license", pa.string(), "SPDX expression on the card."),
    Column("attribution", pa.string(), "Credit that the licence asks for."),
    Column("homepage", pa.string(), "Where the source lies."),
    Column("custodian", pa.string(), "Who keeps it."),
    Column("status", pa.string(), "Status of the card."),
    Column("evidence", pa.string(), "Whether a person has read the evidence of the licence."),
    Column("approved", pa.bool_(), "Whether a person has approved the card as it stands."),
    Column("version", pa.string(), "Version or snapshot that was read."),
    Column("card", pa.string(), "Hash of the card."),
    Column("bytes", pa.int64(), "Bytes of the files as fetched."),
    Column("skipped", pa.string(), "Why the run left it out; null if it was read."),
    _READ,
    _KEPT,
    _DROPPED,
    _QUARANTINED,
)
DATASETS = (
    _DATASET,
    _STAGE,
    _KEY,
    _DIGEST,
    _RECIPE,
    Column("shards", pa.int64(), "Shards that it lists."),
    Column("files", pa.int64(), "Files of its shards."),
    _DOCUMENTS,
    _BYTES,
    _PROBLEM,
)
SHARDS = (
    _DATASET,
    _STAGE,
    _KEY,
    Column("folder", pa.string(), "Where it lies under the root."),
    _DIGEST,
    SOURCE,
    Column("text", pa.string(), "sha256 of the text file of ingest that it was made from."),
    Column("op", pa.string(), "Op that measured it."),
    _DOCUMENTS,
    Column("files", pa.int64(), "Its files."),
    _BYTES,
    Column("facts", pa.string(), "All that was counted while writing, as JSON."),
)
QUARANTINE = (
    *ledger.QUARANTINE,
    Column("id", pa.string(), "Id of the document; null for a record that gave none."),
)
DUPLICATES = (
    ID,
    SOURCE,
    LANGUAGE,
    TEXT_BYTES,
    ledger.DUPLICATE_OF,
    Column("duplicate_of_source", pa.string(), "Source of the kept document."),
    ledger.SIMILARITY,
)
RULES = (
    _RUN_ID,
    Column("source", pa.string(), "Source that the rule is for; null for all of the run."),
    Column("bit", pa.int64(), "Its place in `failed_rules`, from 0."),
    Column("rule", pa.string(), "Its name, which is the reason of what it dropped."),
    Column("of", pa.string(), "Who asks it: a set by name, the recipe or the source's card."),
    Column("measured", pa.string(), "Column that it looks at."),
    Column("tag", pa.string(), "BCP-47 tag that the bounds are for, or default; null for all."),
    Column("least", pa.float64(), "Least value that is kept, if any."),
    Column("most", pa.float64(), "Greatest value that is kept, if any."),
    Column("among", pa.list_(pa.string()), "Values that are kept, if the rule names them."),
    Column("only", pa.string(), "Columns and values that a document must have to be judged, JSON."),
    Column("unless", pa.string(), "Columns and values for which it is not judged, JSON."),
    Column("origin", pa.string(), "Where the bounds come from, if that is said."),
)
MEASURED = (
    ID,
    SOURCE,
    ledger.TEXT_FILE,
    ledger.ROW,
    TEXT_HASH,
    TEXT_BYTES,
    Column("clean_fault", pa.string(), "Rewrite that could not work on the document, and why."),
)
RELEASES = (
    Column("name", pa.string(), "Name of the release."),
    Column("date", pa.string(), "Date that it bears, if it was given one."),
    _RECIPE,
    Column("policy", pa.string(), "Policy whose checks it passed."),
    _DOCUMENTS,
    Column("tokens", pa.int64(), "Tokens, end-of-document tokens included."),
    Column("sources", pa.list_(pa.string()), "Ids of its sources."),
    Column("licenses", pa.list_(pa.string()), "SPDX expressions of its documents."),
    Column("tokenizer", pa.string(), "sha256 of the tokenizer."),
    Column("end_token", pa.string(), "Token that ends each document; empty if not noted."),
    Column("statement", pa.string(), "What it is, and what its policy did not ask for."),
    _DIGEST,
    _PROBLEM,
)
VIEWS: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "sources": SOURCES,
        "runs": RUNS,
        "datasets": DATASETS,
        "shards": SHARDS,
        "decisions": ledger.LEDGER,
        "quarantine": QUARANTINE,
        "duplicates": DUPLICATES,
        "rules": RULES,
        "measures": MEASURED,
        "releases": RELEASES,
    }
)
OF_OPS = "(columns of ops)"  # stands for what `measures` takes from the run's ops


def schema_rows() -> list[tuple[str, str, str, str]]:
    """(view, column, Arrow type, meaning) of every column of every view."""
    rows = [(v, c.name, str(c.type), c.doc) for v, columns in VIEWS.items() for c in columns]
    doc = "Every column that a measuring op of the run writes, and `<op>_fault`."
    place = max(n for n, row in enumerate(rows) if row[0] == "measures") + 1
    return [*rows[:place], ("measures", OF_OPS, "as the op declares", doc), *rows[place:]]
