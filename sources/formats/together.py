"""Which small files of a source are read together, so that another file changes next to nothing.

What is packed up in the order of names moves all bounds behind a new name, and every part behind it
is read again. So each file has parts of its own, and only where a source has very many small ones
are they put together: by the hash of their names, which no other file has a say in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

ALONE = 64
"""Small files of a source that are each read alone. A part costs half a second of a core, in all
stages together, so that this many cost no more than the text of one full part does."""

SHARE = 8
"""A file is small below this share of a part: 4 MiB of text, a megabyte as it is packed. A larger
one is worth a part of its own, which costs about a tenth of what its text does."""

BITS = 6
"""Bits of the hash that tell buckets apart from the start: of 65 small files or more, a further one
makes about a 64th be read again."""

MOST = 1024
"""Small files in a bucket: 100,000 of a kilobyte are about 130 parts of 780 files."""

_HASH_BITS = 64


def together(weights: Mapping[str, int], size: int) -> list[list[str]]:
    """Names that share a part: parts as given, by the first that each holds; in each, in order.

    Large ones are alone, and so are small ones up to `ALONE`. More are put into 64 buckets by the
    hashes of their names, and a bucket that holds too much is halved by the next bit, as often as
    it takes. So a name that comes or goes changes its own bucket, and at most halves it or joins
    its halves again. All are put together anew only where their number passes `ALONE`, either way;
    those that have a bucket for themselves stay as they were even then.

    Args:
        weights: Bytes of text of each file or record, by its name.
        size: Bytes of text that a part holds at most, unless a single name holds more.
    """
    small = [name for name, weight in weights.items() if weight * SHARE < size]
    if len(small) <= ALONE:
        return [[name] for name in weights]
    alone = [[name] for name in weights.keys() - set(small)]
    hashed = [(_hash(name), name) for name in sorted(small)]
    place = {name: number for number, name in enumerate(weights)}
    return sorted(
        [*alone, *_buckets(hashed, weights, size, 0)],
        key=lambda held: min(place[name] for name in held),
    )


def _hash(name: str) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[: _HASH_BITS // 8])


def _buckets(
    hashed: Sequence[tuple[int, str]], weights: Mapping[str, int], size: int, bit: int
) -> Iterator[list[str]]:
    """The buckets of names whose hashes agree in the first bits."""
    names = [name for _, name in hashed]
    fits = len(names) <= MOST and sum(weights[name] for name in names) <= size
    if len(names) <= 1 or bit == _HASH_BITS or (fits and bit >= BITS):
        yield from [names] if names else []
        return
    mask = 1 << (_HASH_BITS - 1 - bit)
    yield from _buckets([each for each in hashed if not each[0] & mask], weights, size, bit + 1)
    yield from _buckets([each for each in hashed if each[0] & mask], weights, size, bit + 1)
