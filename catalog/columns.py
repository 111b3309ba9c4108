"""Every column that more than one package reads or writes, defined once.

Example:
    >>> import phloem
    >>> phloem.columns.TEXT.name, str(phloem.columns.TEXT.type)
    ('text', 'string')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """A named, typed column of a record batch.

    Attributes:
        name: The quantity with its unit or kind, such as ``word_count`` or ``text_bytes``.
        type: The Arrow type that every batch must hold.
        doc: What one value means, with its unit and range.
    """

    name: str
    type: pa.DataType
    doc: str

    @property
    def field(self) -> pa.Field:
        """The Arrow field: all columns may be null."""
        return pa.field(self.name, self.type)


# What a connector's `read` yields ---------------------------------------------------------------
NATIVE_ID = Column(
    "native_id", pa.string(), "The source's own name for the document; holds no package version."
)
CONTENT = Column("content", pa.binary(), "The bytes as the source holds them.")
MEDIA_TYPE = Column("media_type", pa.string(), "IANA media type of the content, such as text/html.")
URL = Column("url", pa.string(), "Where a reader finds the document, if anywhere.")
TITLE = Column("title", pa.string(), "The document's title, if the source names one.")
PUBLISHED = Column("published", pa.string(), "Date of publication, ISO 8601, as precise as known.")
AUTHOR = Column("author", pa.string(), "Who wrote the document, as the source names them.")
LICENSE = Column(
    "license", pa.string(), "SPDX expression of this document; null where the card's holds."
)
DECLARED_LANGUAGE = Column(
    "declared_language",
    pa.string(),
    "BCP-47 tag that the source gives this document; null where only the card speaks.",
)

# What ingest adds --------------------------------------------------------------------------------
ID = Column("id", pa.string(), "xxh3_128 of source id and native id, 32 hexadecimal digits.")
SOURCE = Column("source", pa.string(), "Id of the source card.")
TEXT = Column("text", pa.string(), "The document's text, UTF-8.")

# What measure hands to every op beside the text --------------------------------------------------
DECLARED_LANGUAGES = Column(
    "declared_languages",
    pa.list_(pa.string()),
    "BCP-47 tags declared for the document, else for its source.",
)

# What ops write and others read ------------------------------------------------------------------
LANGUAGE = Column("language", pa.string(), "BCP-47 tag that the run works with, und if unknown.")
LANGUAGE_SCORE = Column(
    "language_score", pa.float64(), "Model's probability of `language`, 0-1; null if declared."
)
LANGUAGE_SECOND = Column(
    "language_second",
    pa.string(),
    "BCP-47 tag of the language of most passages that are surely of another; null for none.",
)
LANGUAGE_MIXED = Column(
    "language_mixed_frac",
    pa.float64(),
    "Fraction of the passages read that are surely of another language, 0-1.",
)
TEXT_HASH = Column("text_hash", pa.string(), "xxh3_128 of the cleaned text, 32 hexadecimal digits.")
TEXT_BYTES = Column("text_bytes", pa.int64(), "UTF-8 bytes of the cleaned text.")
WORD_COUNT = Column("word_count", pa.int64(), "Words, or characters where words are not spaced.")
MINHASH = Column(
    "minhash", pa.binary(), "MinHash signature: permutations x uint32, little-endian; null: empty."
)
PII_SPANS = Column(
    "pii_spans",
    pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("kind", pa.string())])),
    "Byte ranges of the cleaned text that hold personal data, in order, not overlapping.",
)

PII_KINDS: Mapping[str, str] = {
    "email": "E-mail addresses",
    "ip": "Public IPv4 and IPv6 addresses",
    "phone": "Valid phone numbers",
}
"""What a span's kind may be. Of two spans that overlap, the one whose kind comes first is kept."""

_DESCRIBING = (MEDIA_TYPE, URL, TITLE, PUBLISHED, AUTHOR, LICENSE, DECLARED_LANGUAGE)
DOCUMENT = (NATIVE_ID, CONTENT, *_DESCRIBING)
INGESTED = (ID, SOURCE, NATIVE_ID, *_DESCRIBING, TEXT)


def schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema of these columns, in order."""
    return pa.schema([column.field for column in columns])
