"""Supervised models of fastText (Joulin et al. 2017), read from their files into flat tables.

The form of a file is that of fastText 0.9 (`FastText::saveModel`): its settings, its dictionary,
the matrix of inputs and that of outputs, each of them dense or quantized by products.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.errors import PhloemError
from phloem.filters.kernels import classifying
from phloem.filters.kernels.classifying import Tables, Tree
from phloem.filters.kernels.utf8 import Integers, strings

Floats = npt.NDArray[np.float32]

MAGIC, VERSION = 793712314, 12  # of fastText's files
OLD_VERSION = 11  # whose supervised models have no n-grams of characters
SUPERVISED = 3  # of its models
HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VERSUS_ALL = 1, 2, 3, 4  # its losses
WORD, LABEL = 0, 1  # kinds of entries of its dictionary
END = b"</s>"  # the word that a line ends with
CENTROIDS = 256  # of each part of a vector that is quantized: a byte names one
LOG_ADDED = 1e-5  # that fastText adds to a probability before it takes the logarithm
LINE = 64  # bytes of a line of a processor's cache
SIGMOID_STEPS, SIGMOID_MOST = 512, 8.0  # of its table of the logistic function

AT_ONCE = 64  # rows whose probabilities lie in the processor's cache together

MOST_DIMENSIONS, MOST_ENTRIES = 4096, 2**27
"""Above what anybody publishes: a file that claims more is none."""


class ModelError(PhloemError):
    """A file holds no supervised model of fastText."""


class _File:
    """A file that is read from its beginning; it is never asked for more than it has."""

    def __init__(self, path: Path, data: mmap.mmap | bytes) -> None:
        self._path, self._data, self._at = path, data, 0

    def take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise ModelError(f"{self._path} ends within its model")
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))

    def array(self, kind: type[np.generic], *shape: int) -> npt.NDArray[Any]:
        size = int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize
        return np.frombuffer(self.take(size), kind).reshape(shape)

    def text(self) -> bytes:
        """What stands before the next NUL."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise ModelError(f"{self._path} ends within its dictionary")
        return self.take(end + 1 - self._at)[:-1]


@dataclass(frozen=True)
class FastText:
    """A supervised model.

    Attributes:
        labels: As the model names them, such as ``__label__sw``.
        tables: What a text is turned into a vector by.
        output: The vector of each label, or, of a hierarchical model, of each inner node.
        tree: Of a hierarchical model.
        loss: HIERARCHICAL, NEGATIVE, SOFTMAX or ONE_VERSUS_ALL.
    """

    labels: tuple[str, ...]
    tables: Tables
    output: Floats
    tree: Tree | None
    loss: int

    def vectors(self, lines: pa.Array) -> tuple[Floats, Integers]:
        """The mean vector of each line, and of how many it is the mean.

        NaN and 0 for a null and where the model knows nothing of it.
        """
        found = strings(lines)
        longest = int(np.diff(found.offsets).max(initial=0))
        out = np.zeros((found.rows, self.output.shape[1]), np.float32)
        counts = np.zeros(found.rows, np.int64)
        classifying.vectors(found, self.tables, np.zeros(longest + 2, np.uint8), out, counts)
        return out, counts

    def best(self, vectors: Floats) -> tuple[Integers, npt.NDArray[np.float64]]:
        """The number of each vector's most probable label and its probability; -1 and 0 for NaN.

        The probability is what fastText gives, which adds 0.00001 to it and to what it is made of.
        """
        labels = np.full(len(vectors), -1, np.int64)
        chances = np.zeros(len(vectors))
        if self.tree is not None:
            classifying.best(vectors, self.output, self.tree, labels, chances)
            return labels, chances
        known = np.flatnonzero(~np.isnan(vectors[:, 0]))
        for start in range(0, len(known), AT_ONCE):
            rows = known[start : start + AT_ONCE]
            every = self._flat(vectors[rows])
            labels[rows] = every.argmax(axis=1)
            chances[rows] = every.max(axis=1)
        return labels, chances

    def every(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """The probability of each label (columns) for each vector (rows); NaN where it is NaN."""
        out = np.full((len(vectors), len(self.labels)), np.nan)
        if self.tree is not None:
            classifying.every(vectors, self.output, self.tree, out)
            return out
        known = ~np.isnan(vectors[:, 0])
        out[known] = self._flat(vectors[known])
        return out

    def _flat(self, vectors: Floats) -> npt.NDArray[np.float64]:
        # In 64 bits what is left of the order of additions, which depends on how many rows there
        # are, is far below what is told of a probability.
        found = vectors.astype(np.float64) @ self.output.T.astype(np.float64)
        chances: npt.NDArray[np.float64]
        if self.loss == SOFTMAX:
            np.exp(found - found.max(axis=1, keepdims=True, initial=-np.inf), out=found)
            chances = found / found.sum(axis=1, keepdims=True) + LOG_ADDED
            return chances
        # fastText looks the logistic function up, in a table of steps.
        step = 2 * SIGMOID_MOST / SIGMOID_STEPS
        x = np.floor((np.clip(found, -SIGMOID_MOST, SIGMOID_MOST) + SIGMOID_MOST) / step) * step
        looked_up = 1 / (1 + np.exp(SIGMOID_MOST - x))
        inside = np.abs(found) <= SIGMOID_MOST
        chances = np.where(inside, looked_up, found > 0) + LOG_ADDED
        return chances


def read_model(path: str | Path) -> FastText:
    """The model in a file.

    Raises ModelError where it is none, is cut short, or is none that tells labels.
    """
    with Path(path).open("rb") as file:
        try:
            data: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            data = b""
        return _read(_File(Path(path), data), Path(path))


def _read(file: _File, path: Path) -> FastText:
    magic, version = file.numbers("ii")
    if magic != MAGIC or version not in {OLD_VERSION, VERSION}:
        raise ModelError(f"{path} is no model of fastText, or of a version other than 11 and 12")
    dim, _, _, _, _, ngrams, loss, kind, bucket, minn, maxn, _, _ = file.numbers("12id")
    if kind != SUPERVISED or loss not in {HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VERSUS_ALL}:
        raise ModelError(f"{path} is a model of fastText that tells no labels")
    if not 0 < dim <= MOST_DIMENSIONS or not 0 <= bucket <= MOST_ENTRIES:
        raise ModelError(f"{path} claims {dim} dimensions and {bucket} buckets")
    maxn = 0 if version == OLD_VERSION else maxn
    words, labels, counts, pruned = _dictionary(file, path)
    is_quantized = file.numbers("?")[0]
    rows = _quantized(file, path) if is_quantized else _dense(file)
    output_is_quantized = file.numbers("?")[0]
    output = _quantized(file, path) if is_quantized and output_is_quantized else _dense(file)
    if rows.shape[1] != dim or output.shape != (len(labels), dim):
        raise ModelError(f"{path} has matrices of {rows.shape} and {output.shape} for {dim}")
    places = _places(pruned, bucket, len(words), len(rows), path)
    sizes = (minn, maxn, ngrams)
    return _built((words, labels, counts), rows, places, sizes, output, loss)


def _built(
    entries: tuple[Sequence[bytes], Sequence[bytes], Sequence[int]],
    rows: Floats,
    places: npt.NDArray[np.int32],
    sizes: tuple[int, int, int],
    output: Floats,
    loss: int,
) -> FastText:
    words, labels, counts = entries
    tables = Tables(
        _padded(rows),
        places,
        classifying.flags(places),
        *classifying.word_table(words, labels),
        len(words),
        *sizes,
    )
    return FastText(
        tuple(label.decode("utf-8", "replace") for label in labels),
        tables,
        _padded(output),
        _tree(counts) if loss == HIERARCHICAL else None,
        loss,
    )


def compile_kernels() -> None:
    """Call every loop once, with a model of one word and two labels."""
    zeros = np.zeros((2, 1), np.float32)
    places = np.ones(1, np.int32)
    entries = ([b"a"], [b"b", b"c"], [1, 1])
    model = _built(entries, zeros, places, (1, 1, 1), zeros, HIERARCHICAL)
    vectors, _ = model.vectors(pa.array(["a"]))
    model.best(vectors)
    model.every(vectors)


def _padded(matrix: Floats) -> Floats:
    """With columns of zeros behind, up to a multiple of what a kernel adds at once."""
    rows, columns = matrix.shape
    width = -(-columns // classifying.LANES) * classifying.LANES
    room = np.zeros(rows * width + LINE // 4, np.float32)
    # A row begins where a line of the processor's cache does: half as many are brought.
    begin = -room.ctypes.data % LINE // 4
    out = room[begin : begin + rows * width].reshape(rows, width)
    out[:, :columns] = matrix
    return out


def _dictionary(
    file: _File, path: Path
) -> tuple[list[bytes], list[bytes], list[int], npt.NDArray[Any] | None]:
    """Words, labels, how often each label was met, and pairs of bucket and row if it is pruned."""
    size, words, labels, _, pruned = file.numbers("iiiqq")
    if not 0 < labels <= size <= MOST_ENTRIES or words + labels != size or pruned > MOST_ENTRIES:
        raise ModelError(f"{path} claims {size} entries, {words} words and {labels} labels")
    found: tuple[list[bytes], list[bytes]] = ([], [])
    counts = []
    for number in range(size):
        entry = file.text()
        count, kind = file.numbers("qb")
        if kind != (WORD if number < words else LABEL):
            raise ModelError(f"{path} has words among its labels")
        found[kind].append(entry)
        if kind == LABEL:
            counts.append(count)
    pairs = file.array(np.int32, pruned, 2) if pruned >= 0 else None
    return *found, counts, pairs


def _dense(file: _File) -> Floats:
    rows, columns = file.numbers("qq")
    if not 0 <= rows <= MOST_ENTRIES or not 0 < columns <= MOST_DIMENSIONS:
        raise ModelError(f"a matrix of {rows} rows and {columns} columns")
    return file.array(np.float32, rows, columns)


def _quantized(file: _File, path: Path) -> Floats:
    """A matrix that is quantized by products, each row put together from its centroids."""
    has_norms, rows, columns, size = file.numbers("?qqi")
    codes = file.array(np.uint8, size)
    dim, parts, width, last, centroids = _quantizer(file)
    if dim != columns or parts * rows != size or width * (parts - 1) + last != dim:
        raise ModelError(f"{path} is quantized otherwise than it says")
    codes = codes.reshape(rows, parts)
    out = np.empty((rows, dim), np.float32)
    for part in range(parts):
        own = last if part == parts - 1 else width
        begin = part * CENTROIDS * width
        table = centroids[begin : begin + CENTROIDS * own].reshape(CENTROIDS, own)
        out[:, part * width : part * width + own] = table[codes[:, part]]
    if has_norms:
        norms = file.array(np.uint8, rows)
        *_, of_norms = _quantizer(file)
        out *= of_norms[:CENTROIDS][norms][:, None]
    return out


def _quantizer(file: _File) -> tuple[int, int, int, int, Floats]:
    dim, parts, width, last = file.numbers("4i")
    if not 0 < dim <= MOST_DIMENSIONS or not 0 < parts <= dim or min(width, last) < 1:
        raise ModelError(f"a quantizer of {parts} parts for {dim} dimensions")
    return dim, parts, width, last, file.array(np.float32, dim * CENTROIDS)


def _places(
    pruned: npt.NDArray[Any] | None, bucket: int, words: int, rows: int, path: Path
) -> npt.NDArray[np.int32]:
    """The row of each bucket of n-grams; -1 where it was pruned."""
    places = np.full(max(bucket, 1), -1, np.int32)
    if pruned is None:
        places[:bucket] = words + np.arange(bucket, dtype=np.int32)
    elif len(pruned):
        if pruned.min() < 0 or pruned[:, 0].max() >= bucket:
            raise ModelError(f"{path} prunes buckets that it does not have")
        places[pruned[:, 0]] = words + pruned[:, 1]
    if places.max() >= rows or words > rows:
        raise ModelError(f"{path} has {rows} rows for {words} words and {bucket} buckets")
    return places


def _tree(counts: Sequence[int]) -> Tree:
    """The Huffman tree of the labels, as fastText builds it (`HierarchicalSoftmaxLoss`)."""
    size = len(counts)
    weights = [*counts, *([10**15] * (size - 1))]
    left, right = np.full(2 * size - 1, -1, np.int32), np.full(2 * size - 1, -1, np.int32)
    leaf, node = size - 1, size
    for made in range(size, 2 * size - 1):
        for side in (left, right):
            if leaf >= 0 and weights[leaf] < weights[node]:
                side[made], leaf = leaf, leaf - 1
            else:
                side[made], node = node, node + 1
        weights[made] = weights[left[made]] + weights[right[made]]
    return Tree(left, right)
