"""The op `joined_scores`: scores of a file, by the documents' ids."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.filters.op import Op, OpError, find_op

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 1, [None, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")]
)


def _op(path: Path) -> tuple[Op, dict[str, str]]:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return find_op("joined_scores", {"scores": {"path": "own.parquet", "sha256": sha256}}), {
        sha256: str(path)
    }


def _written(folder: Path, columns: dict[str, Any]) -> Path:
    path = folder / f"{abs(hash(str(columns)))}.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path


@settings(max_examples=20, deadline=None)
@given(known=st.dictionaries(IDS, st.floats(allow_infinity=False)), asked=st.lists(IDS))
def test_each_id_has_the_score_of_the_file(
    known: dict[str, float], asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    columns = {
        "id": pa.array(list(known), pa.string()),
        "score": pa.array(list(known.values()), pa.float64()),
    }
    one, paths = _op(_written(tmp_path_factory.mktemp("scores"), columns))
    every = [*asked, *known]
    (found,) = one(pa.record_batch({"id": pa.array(every, pa.string())}), paths).arrays
    wanted = [None if known.get(each) != known.get(each) else known.get(each) for each in every]
    assert found.to_pylist() == wanted


@pytest.mark.parametrize("kind", [pa.int32(), pa.float32(), pa.uint8()])
def test_scores_may_be_numbers_of_any_kind(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {"id": ["b", "a"], "score": pa.array([2, None], kind), "more": ["x", "y"]}
    one, paths = _op(_written(tmp_path, columns))
    (found,) = one(pa.record_batch({"id": ["a", "b", "c"]}), paths).arrays
    assert found.to_pylist() == [None, 2.0, None]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": ["a"]}, r"lacks the column 'score'; it has \['id'\]"),
        ({"document": ["a"], "score": [1.0]}, "lacks the column 'id'"),
        ({"id": ["a"], "score": ["high"]}, "'score' holds string, and no numbers"),
        ({"id": ["b", "a", "b"], "score": [1, 2, 3]}, "1 of its ids stand in it more than once: b"),
        ({"id": ["a", None], "score": [1, 2]}, "1 of its rows have no 'id'"),
        ({"id": [["a"]], "score": [1]}, "'id' holds list<element: string>, and no texts"),
        ({"id": [1], "score": [1]}, "'id' holds int64, and no texts"),
        ({"id": ["a", "b" * 10**6], "score": [1, 2]}, "one of its ids has 1,000,000 bytes"),
        ({"id": NOT_UTF8, "score": [1]}, "Invalid UTF8"),
    ],
)
def test_file_that_holds_no_scores_is_told(
    tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    one, paths = _op(_written(tmp_path, columns))
    with pytest.raises(OpError, match=f"op joined_scores: scores own.parquet: .*{said}"):
        one.check_files(paths)


def test_file_that_is_no_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    path.write_text("id,score\na,1\n")
    one, paths = _op(path)
    with pytest.raises(OpError, match="it is no Parquet file"):
        one.check_files(paths)


def test_file_with_two_columns_of_one_name_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array([1.0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "id", "score"]), path)
    one, paths = _op(path)
    with pytest.raises(OpError, match="has more than one column 'id'"):
        one.check_files(paths)


def test_whole_number_beyond_what_a_double_tells_apart_is_the_nearest(tmp_path: Path) -> None:
    one, paths = _op(_written(tmp_path, {"id": ["a"], "score": [2**63 - 1]}))
    assert one(pa.record_batch({"id": ["a"]}), paths).arrays[0].to_pylist() == [2.0**63]


def test_several_files_are_refused() -> None:
    each = {"path": "a.parquet", "sha256": "ab" * 32}
    with pytest.raises(OpError, match=r"op joined_scores takes scores: \{path: …, sha256: …\}"):
        find_op("joined_scores", {"scores": [each, each]})
