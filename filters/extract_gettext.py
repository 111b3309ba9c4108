"""The extractor of message catalogues: what programs say to their users, in one language each."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import pyarrow as pa

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT
from phloem.filters.charset import decode_as
from phloem.filters.op import Measured, op

# GNU gettext manual, section 10.3: magic, revision, number of messages, places of two tables of
# (length, place), and messages that end with NUL; plural forms are parted by NUL.
_HEADER = struct.Struct("=IIIII")
_ENTRY = struct.Struct("=II")
_MAGIC = 0x950412DE
_ENTRIES = 2**20  # more than any catalogue has: the compiler gcc's, the largest seen, holds 15,325

_SHARED = 4  # times that a byte may be part of a text: compilers may keep equal ones once
_CONTEXT = "\x04"  # parts a message's context from its text
_CHARSET = re.compile(rb"charset=([A-Za-z0-9_.:-]+)")
_KEY = re.compile(r"[A-Za-z0-9]{5}\|")  # LibreOffice puts a key of five characters before a message


def _example(*messages: tuple[bytes, bytes]) -> bytes:
    """A catalogue of these originals and translations."""
    count = len(messages)
    flat = [original for original, _ in messages] + [translation for _, translation in messages]
    place = 28 + _ENTRY.size * len(flat)
    entries, texts = b"", b""
    for text in flat:
        entries += struct.pack("<II", len(text), place + len(texts))
        texts += text + b"\0"
    tables = (28, 28 + _ENTRY.size * count, 0, 28)
    return struct.pack("<IIIIIII", _MAGIC, 0, count, *tables) + entries + texts


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    version=3,
    media_types=["application/x-gettext-translation"],
    examples=[
        (
            (
                _example(
                    (b"", b"Content-Type: text/plain; charset=UTF-8\n"),
                    (b"Close", b"Vala"),
                    (b"OK", b"OK"),
                    (b"menu\x04Open", b"Vula"),
                    (b"day\0days", b"usuku\0iintsuku"),
                ),
                "application/x-gettext-translation",
            ),
            "Vala\nVula\nusuku\niintsuku",
        ),
        ((b"no catalogue", "application/x-gettext-translation"), None),
    ],
)
def gettext_catalog(batch: pa.RecordBatch) -> Measured:
    """Extract the translations of a binary message catalogue of GNU gettext (`.mo`).

    The format is that of Drepper et al., GNU gettext tools, section 10.3. One message comes after
    another as the catalogue sorts them, by their originals; the forms of a plural on lines of their
    own. What equals its original is not translated and is left out, and so is the header. Marks of
    keyboard shortcuts and places for values stay as they are.
    """
    texts: list[str | None] = []
    faults: dict[int, str] = {}
    for row, content in enumerate(batch[CONTENT.name].to_pylist()):
        try:
            texts.append(_translations(content or b""))
        except ValueError as error:
            texts.append(None)
            faults[row] = str(error)
    return Measured([pa.array(texts, TEXT.type)], faults)


def _translations(content: bytes) -> str:
    """The translated messages, a line each. Raises ValueError with a reason."""
    pairs = list(_messages(content))
    header = next((translation for original, translation in pairs if not original), b"")
    charset = _CHARSET.search(header)
    name = charset[1].decode("ascii") if charset else "utf-8"
    lines = []
    for original, translation in pairs:
        if not original:
            continue
        before, after = decode_as(original, name), decode_as(translation, name)
        source = _KEY.sub("", before.rpartition(_CONTEXT)[2]).split("\0")
        lines += [form for form in after.split("\0") if form.strip() and form not in source]
    return "\n".join(lines)


def _messages(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Original and translation of each message. Raises ValueError if it is no whole catalogue."""
    order = next((mark for mark in "<>" if content[:4] == struct.pack(mark + "I", _MAGIC)), None)
    if order is None or len(content) < _HEADER.size:
        msg = "not a message catalogue of gettext"
        raise ValueError(msg)
    _, _, count, originals, translations = struct.unpack_from(order + "IIIII", content)
    if count > _ENTRIES:
        msg = f"a catalogue of more than {_ENTRIES} messages"
        raise ValueError(msg)
    left = _SHARED * len(content)
    for number in range(count):
        pair = (
            _at(content, order, originals + _ENTRY.size * number),
            _at(content, order, translations + _ENTRY.size * number),
        )
        left -= len(pair[0]) + len(pair[1])
        if left < 0:
            msg = "a catalogue whose messages overlap"
            raise ValueError(msg)
        yield pair


def _at(content: bytes, order: str, entry: int) -> bytes:
    """The text that a table's entry points to."""
    if entry + _ENTRY.size > len(content):
        msg = f"truncated message catalogue (byte {entry})"
        raise ValueError(msg)
    length, place = struct.unpack_from(order + "II", content, entry)
    if place + length > len(content):
        msg = f"truncated message catalogue (byte {place})"
        raise ValueError(msg)
    return content[place : place + length]
