"""The decision ledger: one row for every document ever read, with its verdict and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from phloem.catalog.columns import ID, LANGUAGE, LICENSE, SOURCE, TEXT_BYTES, TEXT_HASH, Column
from phloem.catalog.errors import PhloemError

VERDICTS = KEPT, DROPPED, QUARANTINED = "kept", "dropped", "quarantined"
DUPLICATE = "duplicate"  # the reason of every document dropped for another one that is kept
REFUSED_LICENSE = "license"  # the reason of every document whose licence the policy does not allow
FAULT = "fault"  # the reason of every document that an op could not work on

PART = Column("part", pa.int32(), "Piece of the document, 0 unless something split it.")
TEXT_FILE = Column("text_file", pa.string(), "sha256 of the text file that ingest wrote it to.")
ROW = Column("row", pa.int64(), "Row in that file, from 0.")
VERDICT = Column("verdict", pa.string(), "kept, dropped or quarantined.")
REASON = Column("reason", pa.string(), "Rule that failed first, duplicate, licence or fault.")
DETAIL = Column("detail", pa.string(), "For a fault: the op and its reason.")
MEASURED = Column("measured", pa.string(), "Column that the first failing rule looked at.")
VALUE = Column("value", pa.float64(), "Value of that column.")
THRESHOLD = Column("threshold", pa.float64(), "Bound that the value did not meet.")
FAILED_RULES = Column(
    "failed_rules", pa.uint64(), "Bit i is set if rule i of the dataset's spec failed."
)
DUPLICATE_OF = Column("duplicate_of", pa.string(), "Id of the kept near duplicate.")
SIMILARITY = Column("similarity", pa.float64(), "Jaccard similarity with it, 0-1, to 1e-4.")
FOUND_IN = Column(
    "found_in",
    pa.list_(pa.string()),
    "For a kept document: the other sources that hold the text too, sorted.",
)

LEDGER = (
    ID,
    PART,
    SOURCE,
    TEXT_FILE,
    ROW,
    TEXT_HASH,
    TEXT_BYTES,
    LANGUAGE,
    LICENSE,
    VERDICT,
    REASON,
    DETAIL,
    MEASURED,
    VALUE,
    THRESHOLD,
    FAILED_RULES,
    DUPLICATE_OF,
    SIMILARITY,
    FOUND_IN,
)

SPLIT = Column("split", pa.string(), "Split of the source in which it was met.")
FILE = Column("file", pa.string(), "Pinned file, or archive/member, in which it was met, if known.")
OFFSET = Column("offset", pa.int64(), "Byte offset where the trouble begins; -1 if unknown.")
RECORDS = Column("records", pa.int64(), "Records that the row stands for.")
NATIVE = Column("native_id", pa.string(), "The record's own name, if known.")

QUARANTINE = (SOURCE, SPLIT, FILE, NATIVE, OFFSET, REASON, RECORDS)
"""Records that gave no document: they have no row in the ledger, and count as quarantined."""


@dataclass(frozen=True)
class Balance:
    """Documents of one source: what was read, and what became of it.

    `read` is counted while reading, the others while deciding.
    """

    read: int
    kept: int
    dropped: int
    quarantined: int

    @property
    def holds(self) -> bool:
        """Whether in = kept + dropped + quarantined."""
        return self.read == self.kept + self.dropped + self.quarantined


class BalanceError(PhloemError):
    """Documents were lost or counted twice."""


def check_balance(balances: Mapping[str, Balance]) -> None:
    """Raise BalanceError naming every source whose documents do not add up."""
    wrong: Iterable[str] = (
        f"{source}: {b.read} read, but {b.kept} kept + {b.dropped} dropped"
        f" + {b.quarantined} quarantined = {b.kept + b.dropped + b.quarantined}"
        for source, b in sorted(balances.items())
        if not b.holds
    )
    text = "; ".join(wrong)
    if text:
        msg = f"the ledger does not balance: {text}"
        raise BalanceError(msg)
