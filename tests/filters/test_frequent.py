"""Lines that are frequent in a source: what counts, what is dropped, against plain Python."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.catalog.columns import TEXT, schema
from phloem.filters.counted import FREQUENT, added, among, counted, joined, read_frequent
from phloem.filters.frequent import _blanks, line_hash, line_hashes
from phloem.filters.kernels.classes import CODE_POINTS
from phloem.filters.lines import split_lines
from phloem.filters.op import COUNTED, Op, OpError, find_op

ROOTS_SOFT = {"min_chars": 15, "occurrences": 10}
ROOTS_NEWSPAPERS = {"min_chars": 0, "occurrences": 2}

LINES = (
    "", " ", "\t\u3000\u00a0", "Read more about this …", "  Read more about this …\u2003",
    "اقرأ المزيد عن هذا الخبر", "यह भी पढ़ें", "อ่านต่อ", "阅读全文", "阅读全文　", "👩🏽‍🌾👩🏽‍🌾",
    "\u1361ዜና\u1361", "\x1cfile\x1f", "e\u0301", "é", "x", "caf\u00e9\u200b", "\ufeffmark",
)  # fmt: skip
ENDS = ("\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029")
TEXTS = st.lists(
    st.none()
    | st.lists(
        st.tuples(st.sampled_from(LINES) | st.text(max_size=6), st.sampled_from(ENDS)), max_size=6
    ).map(lambda parts: "".join(body + end for body, end in parts))
    | st.text(max_size=12),
    max_size=8,
)


def _batch(texts: list[str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(texts, TEXT.type)], schema=schema([TEXT]))


def _op(**params: int) -> Op:
    return find_op("drop_frequent_lines", params)


def _frequent(path: Path, texts: list[str | None], **params: int) -> dict[str, str]:
    """The paths to hand the op: what is frequent in these texts, by the op's own count."""
    hashes, counts = counted(_op(**params).hashes(_batch(texts)))
    table = pa.table([hashes[counts >= params["occurrences"]]], schema=FREQUENT)
    name = path / f"{line_hash(repr((texts, params)))}.parquet"
    pq.write_table(table, name)
    return {COUNTED: str(name)}


def _dropped(path: Path, texts: list[str | None], **params: int) -> list[str | None]:
    measured = _op(**params)(_batch(texts), _frequent(path, texts, **params))
    result: list[str | None] = measured.arrays[0].to_pylist()
    return result


def _by_roots(texts: list[str], min_chars: int, occurrences: int) -> list[list[str]]:
    """The lines that stay by `build_dedup_template`, written anew: those of `\\n`, stripped."""
    lines = [[line.strip() for line in text.split("\n")] for text in texts]
    counts = Counter(line for own in lines for line in own if len(line) >= min_chars)
    often = {line for line, count in counts.items() if count >= occurrences}
    return [[line for line in own if line not in often] for own in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frequent")


# The reference ------------------------------------------------------------------------------------
@settings(max_examples=150, deadline=None)
@given(texts=TEXTS, min_chars=st.integers(0, 20), occurrences=st.integers(2, 4))
def test_op_gives_what_its_reference_gives(
    folder: Path, texts: list[str | None], min_chars: int, occurrences: int
) -> None:
    one = _op(min_chars=min_chars, occurrences=occurrences)
    paths = _frequent(folder, texts, min_chars=min_chars, occurrences=occurrences)
    assert one.reference is not None
    expected = one.reference(_batch(texts), **one.arguments(paths))
    assert one(_batch(texts), paths).arrays[0].to_pylist() == expected[0].to_pylist()


@settings(max_examples=150, deadline=None)
@given(texts=TEXTS, min_chars=st.integers(0, 20))
def test_hashes_are_those_of_the_lines_in_plain_python(
    texts: list[str | None], min_chars: int
) -> None:
    found = line_hashes(_batch(texts), min_chars=min_chars)
    lines = [body for text in texts if text is not None for body, _ in split_lines(text)]
    expected = [line_hash(line) for line in lines if len(line.strip()) >= min_chars]
    assert found.tolist() == expected


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(
        st.lists(st.sampled_from([line for line in LINES if line.isprintable()]), max_size=6).map(
            "\n".join
        ),
        max_size=6,
    ),
    params=st.sampled_from([ROOTS_SOFT, ROOTS_NEWSPAPERS, {"min_chars": 3, "occurrences": 2}]),
)
def test_lines_that_stay_are_those_that_stay_by_roots(
    folder: Path, texts: list[str], params: dict[str, int]
) -> None:
    """All but an empty line at the end: there it is the end of the line before."""
    found = [
        [line.strip() for line in str(text).split("\n")]
        for text in _dropped(folder, list(texts), **params)
    ]
    expected = _by_roots(list(texts), **params)
    for own, theirs in zip(found, expected, strict=True):
        while own and not own[-1]:
            own.pop()
        while theirs and not theirs[-1]:
            theirs.pop()
        assert own == theirs


def test_blanks_are_what_strip_takes_away() -> None:
    table = _blanks()
    wrong = [hex(code) for code in range(CODE_POINTS) if table[code] != (not chr(code).strip())]
    assert wrong == []


# What counts --------------------------------------------------------------------------------------
MENU = "Home | News | About us"


def test_line_that_stands_ten_times_in_the_source_goes_wherever_it_stands(folder: Path) -> None:
    texts: list[str | None] = [f"{MENU}\nText {n}.\n  {MENU}\r\nEnd" for n in range(5)]
    assert _dropped(folder, texts, **ROOTS_SOFT) == [f"Text {n}.\nEnd" for n in range(5)]
    assert _dropped(folder, texts[:4], **ROOTS_SOFT) == texts[:4]


def test_short_lines_stay_however_often_they_stand(folder: Path) -> None:
    texts: list[str | None] = ["阅读全文\nHome\n\n" * 20]
    assert _dropped(folder, texts, **ROOTS_SOFT) == texts


def test_crawled_newspapers_lose_blank_lines_and_all_that_is_said_twice(folder: Path) -> None:
    texts: list[str | None] = ["a\n\nb\n\nएक", "a\n\nc", "", None]
    assert _dropped(folder, texts, **ROOTS_NEWSPAPERS) == ["b\nएक", "c", "", None]


def test_text_of_frequent_lines_only_becomes_empty(folder: Path) -> None:
    assert _dropped(folder, [f"{MENU}\n" * 9 + MENU], **ROOTS_SOFT) == [""]


def test_slice_is_counted_and_cut_alone(folder: Path) -> None:
    whole = _batch([f"{MENU}\n{MENU}", "x", f"x\n{MENU}", None])
    assert len(line_hashes(whole.slice(2, 2))) == 1
    paths = _frequent(folder, [f"{MENU}\n{MENU}"], min_chars=15, occurrences=2)
    assert _op(min_chars=15, occurrences=2)(whole.slice(1, 3), paths).arrays[0].to_pylist() == [
        "x", "x\n", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"min_chars": -1}, "min_chars is -1; give a whole number from 0"),
        ({"min_chars": "15"}, "min_chars is '15'"),
        ({"occurrences": 1}, "occurrences is 1; give a whole number from 2"),
        ({"occurrences": True}, "occurrences is True"),
        ({"occurrences": 2.5}, "occurrences is 2.5"),
    ],
)
def test_numbers_that_no_line_can_be_judged_by_are_refused(params: object, said: str) -> None:
    with pytest.raises(OpError, match=said):
        _op(**params).hashes(_batch(["x"]))  # type: ignore[arg-type]


def test_op_that_is_handed_no_counts_says_so() -> None:
    with pytest.raises(OpError, match=r"needs the files \['counted'\]; it was handed \[\]"):
        _op()(_batch(["x"]))


def test_op_that_counts_nothing_has_no_hashes() -> None:
    with pytest.raises(OpError, match="nfc counts nothing"):
        find_op("nfc", {}).hashes(_batch(["x"]))


# Adding -------------------------------------------------------------------------------------------
NUMBERS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=40)


@given(st.lists(NUMBERS, max_size=5))
def test_counts_of_parts_add_up_to_those_of_the_whole(parts: list[list[int]]) -> None:
    hashes, counts = joined([counted(np.array(part, np.uint64)) for part in parts])
    expected = sorted(Counter(value for part in parts for value in part).items())
    assert list(zip(hashes.tolist(), counts.tolist(), strict=True)) == expected


def test_counts_of_nothing_are_none() -> None:
    for hashes, counts in (joined([]), added(np.empty(0, np.uint64), np.empty(0, np.int64))):
        assert (len(hashes), len(counts)) == (0, 0)


@given(NUMBERS, NUMBERS)
def test_among_is_membership(values: list[int], known: list[int]) -> None:
    frequent = np.unique(np.array(known, np.uint64))
    found = among(np.array(values, np.uint64), frequent)
    assert found.tolist() == [value in set(known) for value in values]


def test_frequent_hashes_are_read_as_they_were_written(tmp_path: Path) -> None:
    hashes = np.array([0, 5, 2**64 - 1], np.uint64)
    pq.write_table(pa.table([hashes], schema=FREQUENT), tmp_path / "f.parquet")
    assert read_frequent(str(tmp_path / "f.parquet")).tolist() == hashes.tolist()
