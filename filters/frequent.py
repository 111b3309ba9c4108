"""Rewrites that take out what stands in a source again and again: menus, notices, templates."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from phloem.catalog.columns import TEXT
from phloem.filters.counted import Hashes, among, read_frequent
from phloem.filters.kernels import cleaning, lining
from phloem.filters.kernels.classes import SPACE, classes
from phloem.filters.kernels.utf8 import Integers, Strings, strings
from phloem.filters.lines import split_lines, whole_text
from phloem.filters.op import COUNTED, OpError, op

_WORDSPACE = 0x1361  # of Ethiopic: it parts words, but `str.strip` leaves it

Files = Mapping[str, str]


@dataclass(frozen=True)
class _Lines:
    """Lines of texts: of each its text's row, where it begins and ends in the data, its hash."""

    rows: Integers
    starts: Integers
    ends: Integers
    hashes: Hashes


@functools.cache
def _blanks() -> npt.NDArray[np.bool_]:
    """Which code points `str.strip` takes away."""
    table = (classes() & SPACE) > 0
    table[_WORDSPACE] = False
    table.flags.writeable = False
    return table


def _lines_of(texts: Strings, min_chars: int) -> _Lines:
    """The lines that have so many characters without the blanks around them."""
    most = texts.rows + lining.most_ends(texts.data, texts.offsets[0], texts.offsets[-1])
    room = [np.empty(most, np.int64) for _ in range(5)]
    count = lining.find_lines(texts, _blanks(), min_chars, *room)
    rows, starts, ends, bodies, bodies_ends = (each[:count] for each in room)
    data = texts.data.data
    spans = zip(bodies.tolist(), bodies_ends.tolist(), strict=True)
    hashes = (xxhash.xxh3_64_intdigest(data[start:end]) for start, end in spans)
    return _Lines(rows, starts, ends, np.fromiter(hashes, np.uint64, count))


def _check(min_chars: Any, occurrences: Any) -> None:
    """Raise OpError for parameters that no line can be judged by."""
    for name, value, least in (("min_chars", min_chars, 0), ("occurrences", occurrences, 2)):
        if type(value) is not int or value < least:
            msg = f"op drop_frequent_lines: {name} is {value!r}; give a whole number from {least}"
            raise OpError(msg)


def line_hashes(batch: pa.RecordBatch, *, min_chars: int = 15, occurrences: int = 10) -> Hashes:
    """The hash (XXH3, 64 bits) of every line that counts, as often as it stands in the batch."""
    _check(min_chars, occurrences)
    return _lines_of(strings(batch[TEXT.name]), min_chars).hashes


def line_hash(line: str) -> int:
    """The hash of one line, in plain Python."""
    return xxhash.xxh3_64_intdigest(line.strip().encode())


def _drop_frequent_lines_reference(
    batch: pa.RecordBatch, *, files: Files, min_chars: int = 15, occurrences: int = 10
) -> list[pa.Array]:
    """The same in plain Python."""
    _check(min_chars, occurrences)
    frequent = set(read_frequent(files[COUNTED]).tolist())

    def is_frequent(line: str) -> bool:
        return len(line.strip()) >= min_chars and line_hash(line) in frequent

    def without(text: str) -> str:
        return whole_text(line for line in split_lines(text) if not is_frequent(line[0]))

    texts = batch[TEXT.name].to_pylist()
    return [pa.array([None if text is None else without(text) for text in texts], TEXT.type)]


_MENU = "Home | News | About us | Contact\n"
_NOTICE = "حقوق النشر محفوظة للجميع\r\n"


@op(
    reads=[TEXT],
    writes=[TEXT],
    examples=[  # counted over all of them
        (f"{_MENU}It rained.\n" * 10, "It rained.\n" * 10),
        (f"ฝนตก\u2028  {_NOTICE}" * 10, "ฝนตก\u2028" * 10),
        ("下雨了。\n" * 10, "下雨了。\n" * 10),
        ("This stands here only once.\n", "This stands here only once.\n"),
        (None, None),
    ],
    reference=_drop_frequent_lines_reference,
    counts=line_hashes,
)
def drop_frequent_lines(
    batch: pa.RecordBatch, *, files: Files, min_chars: int = 15, occurrences: int = 10
) -> list[pa.Array]:
    """Drop every line that stands in the source so often, wherever it stands: the first one too.

    Lines are told apart without the blanks around them; those of fewer than `min_chars` characters
    then are neither counted nor dropped. They are counted over all texts of the source, as they are
    after the rewrites before this one. Line ends of all kinds part lines; the lines that stay are
    left as they are.

    With its defaults it is ROOTS' `dedup_template_soft`, used on 253 of its 517 datasets; with
    `min_chars: 0, occurrences: 2`, its `dedup_pseudocrawl_newspapers` for 147 crawled sites, which
    drops blank lines and all copies of whatever is said twice. Both are `build_dedup_template` of
    BigScience's data-preparation (Laurençon et al. 2022, arXiv 2303.03915), which also strips the
    lines that stay. Not for verse, songs, forms and laws, whose lines repeat for a reason.

    Args:
        batch: Texts.
        files: `counted`: the hashes of the lines that stand so often in the source.
        min_chars: The least number of characters of a line that counts.
        occurrences: How often it must stand in the source.

    Raises:
        OpError: a number is none, or too small.
    """
    _check(min_chars, occurrences)
    array = batch[TEXT.name]
    texts = strings(array)
    found = _lines_of(texts, min_chars)
    drop = among(found.hashes, read_frequent(files[COUNTED]))
    if not drop.any():
        return [array]
    rows, starts, ends = found.rows[drop], found.starts[drop], found.ends[drop]
    begins = texts.offsets[rows]
    nothing = np.zeros(len(rows), np.int64)  # the number of the one replacement that there is
    done = cleaning.with_words(
        texts, rows, starts - begins, ends - begins, nothing, [b""], array.type
    )
    return [done]
