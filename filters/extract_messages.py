"""The extractor of MediaWiki's message files: what it says to its users, in one language."""

from __future__ import annotations

import json
import re

import pyarrow as pa

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT
from phloem.filters.extract import each_row
from phloem.filters.op import Measured, op

MESSAGES = "application/x-mediawiki-messages+json"

_ABOUT = "@"  # begins the keys of what is said about the file, not to its users
_MARKUP = re.compile(r"\{\{|\[\[|\[(?:https?:)?//|<|__[A-Z]+__|^[;:*#=]")
_SPACES = re.compile(r"\s+")

_EXAMPLE = """{"@metadata": {"authors": ["N"]},
"a": "Jani la ŵanthu", "b": "{{int:x}} la", "c": "Lemba\\n$1"}"""


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    version=1,
    media_types=[MESSAGES],
    examples=[
        ((_EXAMPLE.encode(), MESSAGES), "Jani la ŵanthu\nLemba $1"),
        ((b'["no messages"]', MESSAGES), None),
        ((b'{"a": ', MESSAGES), None),
    ],
)
def mediawiki_messages(batch: pa.RecordBatch) -> Measured:
    """Extract the messages of a file of MediaWiki's form, a line each, in their order.

    The form is that of mediawiki.org/wiki/Help:System_message: one object of message by key, in
    JSON (RFC 8259).
    Messages with markup are left out, and what a key with `@` says about the file; `$1` stays. What
    is no such object is a fault.
    """
    return each_row(batch, _convert)


def _convert(content: bytes, media_type: str | None) -> str:
    del media_type  # JSON is UTF-8 (RFC 8259, 8.1)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        msg = f"cannot be parsed as JSON: {type(error).__name__}"
        raise ValueError(msg) from None
    if not isinstance(value, dict):
        msg = "is no object of messages"
        raise ValueError(msg)  # noqa: TRY004 - a fault of the row, as all others
    told = (each for key, each in value.items() if not key.startswith(_ABOUT))
    lines = (_SPACES.sub(" ", each).strip() for each in told if isinstance(each, str))
    return "\n".join(each for each in lines if each and not _MARKUP.search(each))
