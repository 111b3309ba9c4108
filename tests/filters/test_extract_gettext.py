"""Message catalogues of gettext: what is taken out of them, and what is refused."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest

from phloem.catalog.columns import CONTENT, MEDIA_TYPE
from phloem.filters.extract_gettext import gettext_catalog
from phloem.filters.op import Measured

KIND = "application/x-gettext-translation"
HEADER = (b"", b"Content-Type: text/plain; charset=UTF-8\n")


def catalogue(*messages: tuple[bytes, bytes], order: str = "<", magic: int = 0x950412DE) -> bytes:
    """A catalogue as msgfmt writes it, in the byte order of `struct`."""
    count = len(messages)
    flat = [original for original, _ in messages] + [translation for _, translation in messages]
    place = 28 + 16 * count
    entries, texts = b"", b""
    for text in flat:
        entries += struct.pack(order + "II", len(text), place + len(texts))
        texts += text + b"\0"
    return (
        struct.pack(order + "7I", magic, 0, count, 28, 28 + 8 * count, 0, place) + entries + texts
    )


def extract(*contents: bytes | None) -> Measured:
    """What the op makes of these catalogues, a row each."""
    rows = [pa.array(contents, CONTENT.type), pa.array([KIND] * len(contents), MEDIA_TYPE.type)]
    batch = pa.RecordBatch.from_arrays(rows, names=[CONTENT.name, MEDIA_TYPE.name])
    found = gettext_catalog(batch)
    assert isinstance(found, Measured)
    return found


def texts(*contents: bytes | None) -> list[str | None]:
    """The texts alone."""
    found: list[str | None] = extract(*contents).arrays[0].to_pylist()
    return found


def test_gettext_catalog_scripts_and_byte_orders_are_read_alike() -> None:
    messages = (
        HEADER,
        (b"Close", "بستن".encode()),
        (b"File", "फ़ाइल".encode()),
        (b"Save", "保存 🙂".encode()),
        (b"View", "มุมมอง".encode()),
    )
    expected = "بستن\nफ़ाइल\n保存 🙂\nมุมมอง"
    assert texts(catalogue(*messages), catalogue(*messages, order=">")) == [expected, expected]


def test_gettext_catalog_untranslated_messages_and_header_are_left_out() -> None:
    content = catalogue(HEADER, (b"OK", b"OK"), (b"Open", b"Vula"), (b"Print", b""), (b"X", b" \n"))
    assert texts(content) == ["Vula"]


def test_gettext_catalog_context_and_key_do_not_hide_that_nothing_was_translated() -> None:
    content = catalogue(HEADER, (b"AbC12|Sheet", b"Sheet"), (b"menu\x04Edit", b"Edit"))
    assert texts(content) == [""]


def test_gettext_catalog_plural_gives_each_form_a_line() -> None:
    content = catalogue(HEADER, (b"day\0days", b"den\0dny\0dn\xc3\xad"))
    assert texts(content) == ["den\ndny\ndní"]


def test_gettext_catalog_charset_of_the_header_decides() -> None:
    content = catalogue(
        (b"", b"Content-Type: text/plain; charset=ISO-8859-1\n"), (b"is", b"\xe9st")
    )
    assert texts(content) == ["ést"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a message catalogue"),
        (None, "not a message catalogue"),
        (b"\xde\x12\x04\x95", "not a message catalogue"),
        (catalogue(HEADER, (b"a", b"b"), magic=0x12345678), "not a message catalogue"),
        (catalogue(HEADER, (b"Close", b"Vala"))[:-6], "truncated message catalogue"),
        (catalogue(HEADER, (b"Close", b"Vala"))[:40], "truncated message catalogue"),
        (struct.pack("<7I", 0x950412DE, 0, 2**31, 28, 28, 0, 28), "more than 1048576 messages"),
        (struct.pack("<7I", 0x950412DE, 0, 1, 2**32 - 1, 28, 0, 28), "truncated"),
        (catalogue(HEADER, (b"a", b"\xff\xfe")), "not UTF-8 (byte 0)"),
        (catalogue((b"", b"charset=unicode_escape\n"), (b"a", b"\\x62")), "unknown charset"),
        (catalogue((b"", b"charset=x-none\n"), (b"a", b"b")), "unknown charset 'x-none'"),
    ],
)
def test_gettext_catalog_hostile_or_broken_is_a_fault(content: bytes | None, reason: str) -> None:
    found = extract(content, catalogue(HEADER, (b"Close", b"Vala")))
    assert found.arrays[0].to_pylist() == [None, "Vala"]
    assert reason in found.faults[0]
    assert set(found.faults) == {0}
