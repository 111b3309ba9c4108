"""MinHash signatures, their LSH bands, and the exact similarity that verifies them."""

from __future__ import annotations

import functools
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phloem.catalog.columns import MINHASH, TEXT
from phloem.filters.kernels import shingling as k
from phloem.filters.kernels.classes import DIGIT, FORMAT, LETTER, MARK, UNSPACED, WORD
from phloem.filters.kernels.hashing import MASK, mixed, word_hash
from phloem.filters.kernels.same_writing import Reading, nominating, read, verifying
from phloem.filters.kernels.utf8 import Strings, strings
from phloem.filters.op import op

Hashes = npt.NDArray[np.uint64]

LOW = 2**32 - 1


@functools.cache
def _permutations(count: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Odd factors and terms, as datasketch 2 draws them for its scheme affine32."""
    draw = np.random.RandomState(seed)  # a stream that numpy keeps as it is
    factors = draw.randint(0, 2**31, count, np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, draw.randint(0, 2**32, count, np.uint32)


def sketched(shingle: int) -> int:
    """What datasketch's MinHash is handed for a shingle: the upper half of its hash."""
    return shingle >> 32


def _spread(value: int) -> int:
    """The finalizer of MurmurHash3 for 32 bits (Appleby, public domain), in plain Python."""
    for shift, factor in ((16, int(k.SPREAD_1)), (13, int(k.SPREAD_2)), (16, 1)):
        value = (value ^ value >> shift) * factor & LOW
    return value


def _room(texts: Strings) -> Hashes:
    return np.empty((2, int(np.diff(texts.offsets).max(initial=0)) + 1), np.uint64)


# A hyphen behind a letter, at a line's end.
_BROKEN = re.compile("[-\u00ad\u2010]\r?\n[ \t]*")


def words_of(text: str, reading: Reading | None = None, *, signed: bool = False) -> list[str]:
    """The words that shingles are made of, in plain Python.

    Letters, marks and digits, each as it is read; as they stand if not said. Each letter of a
    script without spaces is a word with its marks. A hyphen behind a letter at a line's end is
    passed over with the end. A minus before a digit belongs to it if asked, unless it stands behind
    a word.
    """
    known = reading or verifying()
    found, word, unspaced, minus, lettered, at = [], "", False, False, False, 0
    flags_of = [flags for flags, _ in read(text, known)]
    letters_of = list(text) if reading is None else [said for _, said in read(text, reading)]
    while at < len(text):
        char, flags, letters = text[at], flags_of[at], letters_of[at]
        broken = _BROKEN.match(text, at) if lettered else None
        at = broken.end() if broken else at + 1
        if broken or (flags & FORMAT and not flags & WORD):
            continue
        if not flags & WORD:
            minus = signed and char in "-\u2212" and (not word or unspaced)
            found.append(word)
            word, unspaced, lettered = "", False, False
            continue
        if flags & UNSPACED or (unspaced and not flags & MARK):
            found.append(word)
            word = ""
        if not flags & MARK:
            unspaced = bool(flags & LETTER and flags & UNSPACED)
        lettered = bool(flags & (LETTER | MARK)) and not unspaced
        word += "-" if minus and flags & DIGIT else ""
        minus = False
        word += letters
    return [word for word in [*found, word] if word]


def shingles_of(text: str, reading: Reading, *, signed: bool = False, ngram: int = 5) -> list[int]:
    """The hashes of a text's shingles in order, in plain Python."""
    hashes = [mixed(word_hash(word)) for word in words_of(text, reading, signed=signed)]
    size = min(ngram, len(hashes))
    found = []
    for start in range(len(hashes) - size + 1 if size else 0):
        value = 0
        for one in hashes[start : start + size]:
            value = (value + one) * int(k.MULTIPLIER) & MASK
        found.append(mixed(value))
    return found


def _minhash_reference(
    batch: pa.RecordBatch, *, permutations: int = 112, ngram: int = 5, seed: int = 1
) -> list[pa.Array]:
    """The same in plain Python."""
    factors, terms = (array.tolist() for array in _permutations(permutations, seed))
    pairs = list(zip(factors, terms, strict=True))
    found: list[bytes | None] = []
    for text in batch[TEXT.name].to_pylist():
        shingled = shingles_of(text or "", nominating(), ngram=ngram)
        values = [_spread(sketched(shingle)) for shingle in shingled]
        least = [min((value * a + b & LOW for value in values), default=0) for a, b in pairs]
        found.append(np.array(least, "<u4").tobytes() if values else None)
    return [pa.array(found, MINHASH.type)]


@op(
    reads=[TEXT],
    writes=[MINHASH],
    version=2,
    data=["kernels/categories.txt"],
    examples=[("", None), (None, None), ("... — !", None)],
    reference=_minhash_reference,
)
def minhash(
    batch: pa.RecordBatch, *, permutations: int = 112, ngram: int = 5, seed: int = 1
) -> list[pa.Array]:
    """Sign each text with the least value of each permutation over its word n-grams.

    MinHash (Broder 1997) over word 5-grams with 112 permutations, as FineWeb (arXiv 2406.17557,
    section 3.4). Before, case is folded, punctuation separates words and each digit is read as 0,
    as in datatrove. What is the same writing is read alike (`same_writing`): with or without the
    points of Arabic and Hebrew, in presentation forms or full-width letters; other marks stay.
    Where a script puts no spaces between words, each letter with its marks counts as a word, so
    shingles are of 5 characters there; code points decide, not the language. A text of fewer than
    n words has one shingle of all of them; a text of no word has no signature.

    A permutation is x -> a x + b modulo 2^32, a odd, over the upper half of the shingle's 64-bit
    hash, spread by the finalizer of MurmurHash3: one to one, hence no two shingles that differ
    there fall together. So the signature is datasketch's `MinHash` (version 2, scheme affine32) of
    these halves, bit for bit.

    Args:
        batch: Rows of text.
        permutations: How many; the estimate of a Jaccard similarity J has a standard deviation of
            sqrt(J (1 - J) / permutations).
        ngram: Words in a shingle.
        seed: Of the permutations.
    """
    texts = strings(batch[TEXT.name])
    factors, terms = _permutations(permutations, seed)
    minima = np.zeros((texts.rows, permutations), np.uint32)
    some = np.zeros(texts.rows, np.bool_)
    k.signatures(texts, nominating(), ngram, factors, terms, _room(texts), minima, some)
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4 * permutations), texts.rows, [None, pa.py_buffer(minima.astype("<u4"))]
    )
    empty = pa.scalar(None, MINHASH.type)
    return [pc.if_else(pa.array(some), fixed.cast(MINHASH.type), empty)]


def shingles(texts: pa.Array, *, ngram: int = 5) -> tuple[npt.NDArray[np.int64], Hashes]:
    """The different shingles of each text, by which a candidate is verified.

    They are made as those of the signature, but numbers count: the signature reads each digit as 0,
    and no sign, so that two tables with other figures are candidates, and no more than that. A
    digit is the same in every script.

    Args:
        texts: Strings; a null or empty one has no shingles.
        ngram: Words in a shingle.

    Returns:
        offsets: One more than there are texts.
        hashes: Row n's, ascending, are `hashes[offsets[n]:offsets[n + 1]]`.
    """
    found = strings(texts)
    bounds = np.zeros(found.rows + 1, np.int64)
    out = np.empty(int(found.offsets[-1] - found.offsets[0]), np.uint64)
    k.all_shingles(found, verifying(), ngram, _room(found), bounds, out)
    return bounds, out[: bounds[-1]].copy()


def jaccard(left: Hashes, right: Hashes) -> float:
    """The size of the intersection over that of the union of two ascending arrays; 0 if empty."""
    shared = int(k.common(left, right))
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


def minima(signatures: pa.Array, *, first: int, count: int) -> npt.NDArray[np.uint32]:
    """Some permutations' minima of each signature.

    Args:
        signatures: Of `minhash`.
        first: The first permutation that is asked for, from 0.
        count: How many.

    Returns:
        uint32 [texts, count]; 0 for a null signature.

    Raises:
        ValueError: the signatures are too short.
    """
    found = strings(signatures)
    sizes = np.diff(found.offsets)[found.valid]
    wanted = 4 * (first + count)
    if (sizes < wanted).any():
        msg = f"{first + count} permutations take {wanted} bytes; a signature has {sizes.min()}"
        raise ValueError(msg)
    made = np.zeros((found.rows, count), np.uint32)
    starts = found.offsets[:-1][found.valid] + 4 * first
    places = starts[:, None] + np.arange(4 * count)
    made[found.valid] = np.ascontiguousarray(found.data[places]).view("<u4")
    return made


def band(signatures: pa.Array, *, number: int, rows: int) -> npt.NDArray[np.int64]:
    """The hash of one band of each signature: two texts of one hash share the band.

    Args:
        signatures: Of `minhash`.
        number: Which band, from 0.
        rows: Permutations in a band.

    Returns:
        int64 [texts]. A null signature has 0: leave it out by its validity.

    Raises:
        ValueError: the signatures are too short.
    """
    own = minima(signatures, first=number * rows, count=rows)
    out = np.zeros(len(own), np.int64)
    k.band_hashes(own, np.asarray(signatures.is_valid()), out)
    return out


def bands(signatures: pa.Array, *, bands: int, rows: int) -> npt.NDArray[np.int64]:
    """The hashes of all bands, int64 [bands, texts]; see `band`."""
    return np.stack([band(signatures, number=number, rows=rows) for number in range(bands)])
