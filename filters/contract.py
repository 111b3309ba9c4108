"""What every op must hold to, as checks that name each breach: ours and a workspace's."""

from __future__ import annotations

import atexit
import functools
import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phloem.catalog.columns import (
    CONTENT,
    DECLARED_LANGUAGE,
    DECLARED_LANGUAGES,
    LANGUAGE,
    MEDIA_TYPE,
    TEXT,
    Column,
)
from phloem.catalog.manifest import digest_of
from phloem.filters.counted import FREQUENT, counted
from phloem.filters.op import COUNTED, OCCURRENCES, Measured, Op, OpError

Paths = Mapping[str, str]

NASTY: tuple[str | None, ...] = (
    "  padded \t on both sides \n\n",
    "CR\rCRLF\r\nLF\nNEL\u0085LS\u2028PS\u2029VT\x0bFF\x0cend",
    "NUL\x00 bell\x07 escape\x1b[31m delete\x7f C1\x9b mark\ufeff soft\u00adhyphen",
    "\u202eright to left\u202c and \u2067isolated\u2069 \u200fmarks\u200e",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word joiner",
    (
        "family \U0001f468\u200d\U0001f469\u200d\U0001f467 flag \U0001f1ec\U0001f1ed #\ufe0f\u20e3"
        " tone \U0001f44d\U0001f3fd"
    ),
    "\u0301 unpaired mark, e\u0301 o\u0323\u0302 \u0344 \u212b \ufb01 \u1e9b\u0323",
    "Wir prüfen, ob das geht. Ja!\n\nWir prüfen, ob das geht. Ja!\n\nEnde …",
    "هذا نص عربي مع أرقام ١٢٣ و 45 ؟ في من على",
    "می‌خواهم کتاب‌ها را بخوانم. این خوب است.",
    "यह हिन्दी में है और इसके कई वाक्य हैं। क़ ड़ ०१२",
    "ภาษาไทยไม่เว้นวรรคระหว่างคำ ก็ได้ ๑๒๓ ฯ",
    "ភាសាខ្មែរ\u200bមិន\u200bដកឃ្លា។",
    "བོད་ཡིག་ནི་ཚེག་གིས་མཚམས་ཕྱེ། ༎",
    "မြန်မာစာ သည် စကားလုံး ခွဲမရေး။",
    "日本語の文章です。カタカナとｶﾀｶﾅ、漢字。「はい」！",
    "我们要说中文，数字１２３和abc混排，没有空格。的是在了",
    "የሰው፡ልጅ፡ሁሉ፡ሲወለድ፡ነጻና፡በክብርና፡በመብትም፡እኩልነት፡ያለው፡ነው።",
    "한국어는 띄어쓰기를 합니다. \u1112\u1161\u11ab\u1100\u1173\u11af",
    "Русский текст и слова не на что. İstanbul'da ILIK ışık ẞ ǅ",
    "the be to of and that have with The BE tO oF don't co-op foo_bar x² Ⅷ ½",
    "- one\n* two\n• three\n-four\n– five\n### # ...\nwait…\nstop...\nso . . .",
    "a b a b a b a b a b a b a b a b a b a b\nsame line\nsame line\n \nsame line\n\n\nsame line",
    "one two three four five six seven eight nine ten eleven " * 4,
    (
        "mail o'brien@mail.de, a.b+c@x.co.uk. no: user@localhost logo@2x.png a@example.com x@y..z"
        " .a@b.de"
    ),
    (
        "ip 9.9.9.9, 203.0.113.7 10.0.0.1 194.21.73.164 v1.2.3.4 1.2.3.4.5"
        " [2a00:1450:4001:81b::200e] ::1 12:30:45"
    ),
    (
        "tel +49 30 901820 2023, (030) 901-820, 01 23 45 67 89, +1 (202) 456-1111."
        " 2023-10-11, 978-3-16-148410-0"
    ),
    "5510-9494-2742-4650 DE89 3704 0044 0532 0130 00 +999 123 12345678 0301234567",
    "def f(x):\n\tif  x:\n\t    return\u00a0x   \n\n\n\n    # end\n",
    "broken \ufffd\ufffd \ufdd0 \U0010ffff \ue000 caf\u00c3\u00a9",
    "word " * 4000 + "\u4e00" * 4000,
    "x" * 30000,
    "1 22 333 4,444 5.5 % € \u0661\u0662 \u2460",
    "... — ! ?? \u2026 #",
    " \n\t\n ",
    "x",
    "",
    None,
)

TAGS = ("en", "de", "und", "zh-Hant", "hi", "fa", None, "zxx", "fr", "th")
DECLARED: tuple[list[str] | None, ...] = (
    ["en"],
    ["de", "fr"],
    [],
    ["zxx"],
    ["ig"],
    None,
    ["zh-Hant"],
    ["nb", "ig"],
    ["bm", "wo"],
)

CONTENTS: tuple[tuple[bytes | None, str | None], ...] = (
    (b"\xef\xbb\xbfmark", "text/plain"),
    ("ÿþ wide".encode("utf-16"), "text/plain"),
    (b"caf\xe9", "text/plain; charset=iso-8859-1"),
    (b"caf\xe9", "text/plain"),
    (b"odd", "text/plain; charset=no-such"),
    (b"surrogate \xed\xa0\x80", "text/x-python"),
    (b"cut \xf0\x9f\x98", "text/markdown"),
    (b"nul \x00 byte", "text/html"),
    ("<p>Grüße<p>Zwei<nav>weg</nav><pre>a\n  b</pre>".encode(), "text/html"),
    (b"<meta charset=windows-1252><p>\x93quoted\x94", "text/html"),
    (b"<table><tr><td>1<td>2</table><ul><li>x</ul><script>no()</script>", "application/xhtml+xml"),
    (b"<div>" * 2000 + b"deep", "text/html"),
    (b"<p>never closed <b", "text/html"),
    (b"", "text/plain"),
    (None, "text/plain"),
    (b"untyped", None),
)

_CITATION = re.compile(
    r"arXiv|RFC \d|UAX #|ISO \d|BCP|ITU|Unicode|WHATWG|IANA|et al\."
    r"|\((?:19|20)\d\d\)|[A-Z]\w+ (?:19|20)\d\d"
)


def nasty(op: Op) -> pa.RecordBatch:
    """A fixed batch of hard rows, with the columns that an op reads."""
    reads_content = CONTENT in op.reads
    texts = [None if text is None else text.encode() for text in NASTY]
    contents = [*CONTENTS, *((text, "text/plain") for text in texts)]
    rows = len(contents) if reads_content else len(NASTY)
    arrays = [pa.array(_values(column, rows, contents), column.type) for column in op.reads]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([c.field for c in op.reads]))


def _values(
    column: Column, rows: int, contents: Sequence[tuple[bytes | None, str | None]]
) -> list[Any]:
    known: dict[str, Sequence[Any]] = {
        TEXT.name: NASTY,
        LANGUAGE.name: TAGS,
        DECLARED_LANGUAGE.name: TAGS,
        DECLARED_LANGUAGES.name: DECLARED,
        CONTENT.name: [content for content, _ in contents],
        MEDIA_TYPE.name: [media_type for _, media_type in contents],
    }
    values = known.get(column.name)
    if values is None:
        values = [None, *_of_type(column.type)]
    return [values[row % len(values)] for row in range(rows)]


def _of_type(kind: pa.DataType) -> list[Any]:
    if pa.types.is_boolean(kind):
        return [True, False]
    if pa.types.is_integer(kind):
        return [0, 1, 50, 100]
    if pa.types.is_floating(kind):
        return [0.0, 0.5, 1.0, 7.25]
    if pa.types.is_list(kind):
        return [[]]
    return ["", "a", "é"] if pa.types.is_string(kind) else []


@functools.cache
def _folder() -> Path:
    """A folder of this process for counts, which goes with it."""
    folder = tempfile.mkdtemp(prefix="phloem-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def count_paths(op: Op) -> dict[str, str]:
    """The file of what is frequent, for an op that counts; nothing for another.

    It is counted over the hard rows and the examples as if a source held each of them five times:
    what stands in them twice then reaches ten.
    """
    if op.counts is None:
        return {}
    batches = [nasty(op), *(example(op, given) for given, _ in op.examples)]
    hashes, counts = counted(np.concatenate([op.hashes(batch) for batch in batches]))
    often = {**op.defaults, **op.params}[OCCURRENCES]
    frequent = hashes[5 * counts >= often]
    path = _folder() / f"{digest_of(frequent.tolist())}.parquet"  # a path names one content
    pq.write_table(pa.table([frequent], schema=FREQUENT), path)
    return {COUNTED: str(path)}


def run(op: Op, batch: pa.RecordBatch, paths: Paths) -> tuple[list[list[Any]], dict[int, str]]:
    """What an op gives for a batch, as plain values, and its faults."""
    measured = op(batch, paths)
    return [array.to_pylist() for array in measured.arrays], dict(measured.faults)


def in_parts(
    op: Op, batch: pa.RecordBatch, cuts: Sequence[int], paths: Paths
) -> tuple[list[list[Any]], dict[int, str]]:
    """The same, handing the op real slices of the batch that end at these rows."""
    bounds = [0, *sorted(cuts), batch.num_rows]
    columns: list[list[Any]] = [[] for _ in op.writes]
    faults: dict[int, str] = {}
    for start, end in itertools.pairwise(bounds):
        values, found = run(op, batch.slice(start, end - start), paths)
        for column, part in zip(columns, values, strict=True):
            column.extend(part)
        faults |= {start + row: reason for row, reason in found.items()}
    return columns, faults


def documentation_breaches(op: Op, paths: Paths) -> list[str]:  # noqa: ARG001 - one shape
    """An op says what it does and where its rules come from, and shows examples."""
    doc = op.function.__doc__ or ""
    missing = [
        what
        for what, there in (
            ("a docstring", doc.strip()),
            ("a source in its docstring: a paper, standard or RFC", _CITATION.search(doc)),
            ("examples", op.examples),
            ("a doc on every column", all(column.doc for column in op.writes)),
        )
        if not there
    ]
    return [f"lacks {what}" for what in missing]


def example_breaches(op: Op, paths: Paths) -> list[str]:
    """Each example gives what it says."""
    found = []
    for number, (given, wanted) in enumerate(op.examples):
        values, _ = run(op, example(op, given), paths)
        got = tuple(column[0] for column in values)
        if got != (wanted if len(op.writes) > 1 else (wanted,)):
            found.append(f"example {number} gives {got!r}")
    return found


def example(op: Op, given: Any) -> pa.RecordBatch:
    """The batch of one row that an example gives an op."""
    row = given if len(op.reads) > 1 else (given,)
    arrays = [pa.array([value], c.type) for value, c in zip(row, op.reads, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([c.field for c in op.reads]))


def split_breaches(op: Op, paths: Paths) -> list[str]:
    """However a batch is split, each row gives the same."""
    batch = nasty(op)
    whole = run(op, batch, paths)
    rows = batch.num_rows
    ways = {"single rows": range(1, rows), "halves": [rows // 2], "an empty part": [3, 3]}
    return [
        f"gives something else when the batch is split into {way}"
        for way, cuts in ways.items()
        if in_parts(op, batch, list(cuts), paths) != whole
    ]


def null_breaches(op: Op, paths: Paths) -> list[str]:
    """Batches of no rows and of nulls pass; a null text or content gives null, or a fault."""
    batch = nasty(op)
    empty = batch.slice(0, 0)
    nulls = pa.RecordBatch.from_arrays(
        [pa.nulls(3, column.type) for column in op.reads], schema=batch.schema
    )
    found = []
    for name, each in (("no rows", empty), ("nulls", nulls)):
        try:
            values, _ = run(op, each, paths)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the breach
            found.append(f"fails on a batch of {name}: {type(error).__name__}")
            continue
        if TEXT in (*op.reads, *op.writes) and any(v is not None for c in values for v in c):
            found.append(f"makes values of {name}")
    return found


def determinism_breaches(op: Op, paths: Paths) -> list[str]:
    """The same rows give the same, in the same order and in another."""
    batch = nasty(op)
    first = run(op, batch, paths)
    backwards = list(range(batch.num_rows))[::-1]
    values, _ = run(op, batch.take(backwards), paths)
    found = [] if run(op, batch, paths) == first else ["gives something else the second time"]
    if [column[::-1] for column in values] != first[0]:
        found.append("gives something else when the rows come in another order")
    return found


def column_breaches(op: Op, paths: Paths) -> list[str]:
    """An op sees only what it declares, and leaves what it is given as it was."""
    batch = nasty(op)
    before = batch.to_pylist()
    wider = batch.append_column("undeclared", pa.array([None] * batch.num_rows, pa.string()))
    found = []
    if run(op, wider, paths) != run(op, batch, paths):
        found.append("depends on a column that it does not declare")
    if batch.to_pylist() != before:
        found.append("changes the batch that it is given")
    try:
        op(batch.select(batch.schema.names[1:]), paths)
        found.append(f"does not need {batch.schema.names[0]}, which it declares to read")
    except OpError:
        pass
    return found


def reference_breaches(op: Op, paths: Paths) -> list[str]:
    """Its reference, if it has one, agrees on every hard row."""
    if op.reference is None:
        return []
    batch = nasty(op)
    result = op.reference(batch, **op.arguments(paths))
    arrays = result.arrays if isinstance(result, Measured) else result
    return [
        f"its reference differs in {column.name}, row {row}"
        for column, got, want in zip(op.writes, op(batch, paths).arrays, arrays, strict=True)
        for row, (one, other) in enumerate(zip(got.to_pylist(), want.to_pylist(), strict=True))
        if one != other
    ]


CHECKS: tuple[Callable[[Op, Paths], list[str]], ...] = (
    documentation_breaches,
    example_breaches,
    split_breaches,
    null_breaches,
    determinism_breaches,
    column_breaches,
    reference_breaches,
)


def breaches(op: Op, paths: Paths) -> list[str]:
    """Everything that an op does not hold to, each as a phrase that follows its name.

    Args:
        op: The op.
        paths: Local path of each of its files, by name; what it counts is counted here.
    """
    paths = {**paths, **count_paths(op)}
    return [breach for check in CHECKS for breach in check(op, paths)]
