from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT, WORD_COUNT
from phloem.filters.op import EXTRACTOR, MEASURE, REWRITE, Measured, OpError, find_op, op, ops


@op(reads=[TEXT], writes=[WORD_COUNT])
def one_word(batch: pa.RecordBatch, *, words: int = 1) -> list[pa.Array]:
    return [pa.array([words] * batch.num_rows, pa.int64())]


BATCH = pa.record_batch({"text": ["a", "b"], "other": [1, 2]})


def test_ops_are_found_by_walking_the_package() -> None:
    wanted = {"plain_text", "html", "nfc", "whitespace", "language", "statistics", "repetition"}
    assert wanted | {"minhash", "pii"} <= set(ops())


def test_kind_follows_the_columns() -> None:
    assert one_word.kind == MEASURE
    assert ops()["nfc"].kind == REWRITE
    assert ops()["html"].kind == EXTRACTOR
    assert CONTENT in ops()["html"].reads
    assert MEDIA_TYPE in ops()["html"].reads


def test_find_op_names_the_nearest() -> None:
    with pytest.raises(OpError, match=r"no op named 'statistic'; did you mean statistics\?"):
        find_op("statistic", {})


def test_bind_refuses_an_unknown_parameter() -> None:
    with pytest.raises(OpError, match=r"no parameter 'word'; it takes \['words'\]"):
        one_word.bind({"word": 2})


def test_identity_follows_parameters_files_and_libraries() -> None:
    assert one_word.bind({"words": 1}).key == one_word.key != one_word.bind({"words": 2}).key
    identity = ops()["language"].identity
    assert set(identity["files"]) == {"lid.176.ftz"}
    assert "phonenumbers" in ops()["pii"].identity["libraries"]


@pytest.mark.parametrize(
    "returned",
    [
        [pa.array([1], pa.int64())],
        [pa.array([1, 2], pa.int32())],
        [],
        Measured([pa.array([1, 2], pa.int64())], {2: "no such row"}),
    ],
)
def test_wrong_output_is_refused(returned: object) -> None:
    @op(reads=[TEXT], writes=[WORD_COUNT])
    def wrong(batch: pa.RecordBatch) -> list[pa.Array]:
        return returned  # type: ignore[return-value]

    with pytest.raises(OpError, match="op wrong"):
        wrong(BATCH)


def test_op_that_counts_must_take_how_often() -> None:
    def silent(batch: pa.RecordBatch, *, files: object) -> list[pa.Array]:
        return [batch["text"]]

    with pytest.raises(OpError, match="op silent counts, so that it must take occurrences"):
        op(reads=[TEXT], writes=[TEXT], counts=lambda batch: np.empty(0, np.uint64))(silent)


def test_missing_column_is_named() -> None:
    with pytest.raises(OpError, match=r"reads \['text'\], which the batch lacks"):
        one_word(BATCH.select(["other"]))


def test_identity_changes_with_a_data_file_that_the_op_depends_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = find_op("statistics", {}).bind({}).identity
    assert {"languages", "kernels/categories.txt"} <= set(before["data"])
    monkeypatch.setattr("phloem.filters.op._data_hash", lambda name: f"other {name}")
    assert find_op("statistics", {}).bind({}).identity["data"] != before["data"]


SHA256 = "ab" * 32


def test_a_given_model_takes_the_place_of_the_ops_own() -> None:
    own = find_op("language", {})
    given = find_op("language", {"model": {"path": "a.bin", "sha256": SHA256}})
    assert [file.name for file in given.needs] == [SHA256] != [file.name for file in own.needs]
    moved = find_op("language", {"model": {"url": "https://a.example/b.bin", "sha256": SHA256}})
    assert moved.key == given.key != own.key  # where it lies changes nothing


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("a.bin", r"takes model: \{path: …, sha256: …\}"),
        ({"path": "a.bin"}, r"takes model: \{path: …, sha256: …\}"),
        ({"path": "a.bin", "url": "b", "sha256": SHA256}, r"takes model: \{path"),
        ({"path": "a.bin", "sha256": "ab"}, "the sha256 of model is 'ab'; it has 64"),
        ({"path": "", "sha256": SHA256}, "the path of model is empty"),
    ],
)
def test_a_model_given_wrongly_is_refused(model: object, said: str) -> None:
    with pytest.raises(OpError, match=said):
        find_op("language", {"model": model})
