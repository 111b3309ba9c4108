"""Scores that were made elsewhere, joined to the documents by id."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phloem.catalog.columns import ID, Column
from phloem.catalog.plain import Json
from phloem.filters.given import given_name
from phloem.filters.op import OpError, op

JOINED_SCORE = Column(
    "joined_score", pa.float64(), "Score that was made elsewhere; null for a document without one."
)

SCORE = "score"  # the column beside `id` in a file of scores

MOST_BYTES = 256  # of an id: ours have 32; those of a file are padded to its longest

_SAMPLE = Path(__file__).with_name("models") / "sample-scores.parquet"
_SAMPLE_SHA256 = "4e5e5de3a2c385eac1a51f1b58100a7e057d5a629313ea83438f7017afc2d307"


@functools.cache
def _table(path: str) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.float64]]:
    """The ids of a file in order, and the score of each. Raises OpError for another file."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            for name in (ID.name, SCORE):
                if schema.names.count(name) != 1:
                    many = "lacks the" if name not in schema.names else "has more than one"
                    raise OpError(f"it {many} column {name!r}; it has {schema.names}")
            kind, of_ids = schema.field(SCORE).type, schema.field(ID.name).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                raise OpError(f"its column {SCORE!r} holds {kind}, and no numbers")
            if not _is_text(of_ids):
                raise OpError(f"its column {ID.name!r} holds {of_ids}, and no texts")
            table = file.read([ID.name, SCORE])
            table.validate(full=True)  # that texts are UTF-8
    except (pa.ArrowException, OSError) as error:
        raise OpError(f"it is no Parquet file that can be read: {error}") from error
    if table[ID.name].null_count:
        raise OpError(f"{table[ID.name].null_count} of its rows have no {ID.name!r}")
    longest = pc.max(pc.binary_length(table[ID.name].cast(pa.string()))).as_py() or 0
    if longest > MOST_BYTES:
        raise OpError(f"one of its ids has {longest:,} bytes; at most {MOST_BYTES} are read")
    ids = _ids(table[ID.name])
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        raise OpError(
            f"{len(twice)} of its ids stand in it more than once: {ids[twice[0]].decode()}"
        )
    scores = pc.cast(table[SCORE], pa.float64(), safe=False).to_numpy()
    return ids, scores[order]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _ids(values: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.bytes_]:
    encoded = [(value or "").encode() for value in values.cast(pa.string()).to_pylist()]
    return np.array(encoded, np.bytes_) if encoded else np.empty(0, "S1")


def _ready(params: Mapping[str, Json], files: Mapping[str, str]) -> None:
    """Raise OpError for a file that holds no scores."""
    given = params["scores"]
    try:
        _table(files[given["sha256"]])
    except OpError as error:
        raise OpError(f"op joined_scores: scores {given_name(given)}: {error}") from error


@op(
    reads=[ID],
    writes=[JOINED_SCORE],
    ready=_ready,
    sample={"scores": {"path": str(_SAMPLE), "sha256": _SAMPLE_SHA256}},
    examples=[("a", 0.25), ("é", -3.0), ("nobody", None), (None, None)],
)
def joined_scores(
    batch: pa.RecordBatch, *, files: Mapping[str, str], scores: Mapping[str, str]
) -> list[pa.Array]:
    """Give each document the score that a file has for its id.

    What a model of any kind says of documents, on any machine: read `id` and the text of a run or
    an export, write a Parquet file (Apache Parquet 2, `id` and `score`), name it in the recipe. As
    with Dolma's attributes (Soldaini et al. 2024, arXiv 2402.00159, 3) nothing is measured again.
    The file is held in memory, some 50 bytes a document, once in each worker.

    Args:
        batch: Rows with their ids.
        files: The file.
        scores: `{path: …, sha256: …}` or `{url: …, sha256: …}`.
    """
    known, numbers = _table(files[scores["sha256"]])
    if not len(known):
        return [pa.nulls(batch.num_rows, pa.float64())]
    wanted = _ids(batch[ID.name])
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found = (known[places] == wanted) & batch[ID.name].is_valid().to_numpy(zero_copy_only=False)
    values = numbers[places]
    return [pa.array(values, pa.float64(), mask=~found | np.isnan(values))]
