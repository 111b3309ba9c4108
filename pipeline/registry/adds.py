"""What a source adds to the text that the registry has of each language, as the lock files say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from phloem.catalog.plain import Json
from phloem.sources.cards.lock import Entry
from phloem.sources.cards.source import Source

BYTES_A_TOKEN = 4.7
"""Of UTF-8: 1.61 TB of ROOTS gave BLOOM's tokenizer 341 billion tokens (arXiv 2211.05100). An
estimate over 46 languages, and of none of them: a run's own tokenizer counts."""


def adds(
    source: str, cards: Mapping[str, Source], entries: Mapping[str, Entry]
) -> list[dict[str, Json]] | None:
    """A row for each language of a source: how much it holds, and how much all others do.

    Others are the active ones of whose text the lock says how much there is: near duplicates
    across sources, which a run finds, count in both.

    Args:
        source: Id of a card.
        cards: By id.
        entries: Of the lock files, by id.

    Returns:
        `language`, `tokens` that it adds, `bytes` of them, and `others`: bytes of all others; the
        most first. None where nothing was measured of it.
    """
    own = entries[source].text if source in entries else None
    if own is None:
        return None
    others: Counter[str] = Counter()
    for id_, entry in entries.items():
        if id_ != source and id_ in cards and cards[id_].status == "active" and entry.text:
            others.update(entry.text.bytes)
    rows = sorted(own.bytes.items(), key=lambda each: (-each[1], each[0]))
    return [
        {
            "language": tag,
            "tokens": round(size / BYTES_A_TOKEN),
            "bytes": size,
            "others": others[tag],
        }
        for tag, size in rows
    ]
