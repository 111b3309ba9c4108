"""The scripts that a text is written in, by its letters."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from phloem.catalog.columns import TEXT, Column
from phloem.catalog.plain import Json
from phloem.filters.kernels import writing as k
from phloem.filters.kernels.classes import LETTER, classes
from phloem.filters.kernels.classes import scripts as script_table
from phloem.filters.kernels.utf8 import strings
from phloem.filters.op import op
from phloem.filters.statistics import ratio

LATIN = "Latn"
SHARED = 0  # the number of Zyyy: letters that several scripts share, or none has

SCRIPT = Column(
    "script",
    pa.string(),
    "ISO 15924 code of the script of most letters; null without letters of one.",
)
SCRIPT_FRAC = Column("script_frac", pa.float64(), "Fraction of letters that are of `script`, 0-1.")
_SHARE = pa.struct([pa.field("script", pa.string()), pa.field("frac", pa.float64())])
SCRIPT_FRACS = Column(
    "script_fracs",
    pa.list_(_SHARE),
    "Fraction of letters that are of each script, most first, 0-1.",
)


def _arrays(rows: list[dict[str, int] | None]) -> list[pa.Array]:
    """The columns out of the letters by script of each text, None for a null."""
    firsts: list[str | None] = []
    shares: list[float | None] = []
    lists: list[list[dict[str, Json]] | None] = []
    for row in rows:
        if row is None:
            firsts.append(None)
            shares.append(None)
            lists.append(None)
            continue
        ordered = sorted(row.items(), key=lambda each: (-each[1], each[0]))
        counts = np.array([count for _, count in ordered], np.int64)
        fracs = ratio(counts, np.full(len(counts), counts.sum())).tolist()
        named: list[dict[str, Json]] = [
            {"script": name, "frac": frac} for (name, _), frac in zip(ordered, fracs, strict=True)
        ]
        firsts.append(ordered[0][0] if ordered else None)
        shares.append(fracs[0] if fracs else 0.0)
        lists.append(named)
    return [
        pa.array(firsts, SCRIPT.type),
        pa.array(shares, SCRIPT_FRAC.type),
        pa.array(lists, SCRIPT_FRACS.type),
    ]


def _scripts_reference(batch: pa.RecordBatch) -> list[pa.Array]:
    """The same in plain Python."""
    names, table = script_table()

    def letters(text: str) -> dict[str, int]:
        codes = [ord(char) for char in text if classes()[ord(char)] & LETTER]
        return Counter(names[table[code]] for code in codes if table[code] != SHARED)

    texts = batch[TEXT.name].to_pylist()
    return _arrays([None if text is None else letters(text) for text in texts])


@op(
    reads=[TEXT],
    writes=[SCRIPT, SCRIPT_FRAC, SCRIPT_FRACS],
    data=["kernels/categories.txt", "kernels/scripts.txt"],
    examples=[
        (
            "Москва, 5 km",
            (
                "Cyrl",
                0.75,
                [{"script": "Cyrl", "frac": 0.75}, {"script": "Latn", "frac": 0.25}],
            ),
        ),
        ("12 €", (None, 0.0, [])),
        (None, (None, None, None)),
    ],
    reference=_scripts_reference,
)
def scripts(batch: pa.RecordBatch) -> list[pa.Array]:
    """Count the letters of each script: the histogram, its first, and how much that is.

    Scripts are those of the Unicode property Script (UAX #24) by their codes of ISO 15924. Letters
    that several scripts share are left out. Han and both kana are three scripts.
    """
    names, table = script_table()
    texts = strings(batch[TEXT.name])
    counts = np.zeros((texts.rows, len(names)), np.int64)
    k.count_scripts(texts, classes(), table, np.int64(names.index(LATIN)), counts)
    counts[:, SHARED] = 0
    rows = [
        {names[number]: int(count[number]) for number in np.flatnonzero(count)} for count in counts
    ]
    valid = texts.valid.tolist()
    return _arrays([row if ok else None for row, ok in zip(rows, valid, strict=True)])
