"""One record never takes the others along: not with time, memory, or a crash of its process."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import guarded_work
import pytest
from unguarded import unguard

from phloem.pipeline import extraction, guard
from phloem.pipeline.extraction import MOST_OVERRUNS, Asked, Extracted, extract, read
from phloem.pipeline.stage import StageError
from phloem.sources.connector import Fault, Split
from phloem.sources.connectors import files
from phloem.sources.limits import Limits

LOW = Limits(record_seconds=1, record_memory_bytes=200 * 2**20)
TEXTS = ["Добрый день", "नमस्ते दुनिया", "你好 👋🏽", "", "hello"]


@pytest.fixture(autouse=True)
def _retired() -> Iterator[None]:
    yield
    guard.retire()


def _asked(folder: Path, contents: dict[str, list[str]], limits: Limits = LOW) -> Asked:
    """One split that reads some JSON Lines by the extractor `heavy` of a workspace."""
    folder.mkdir(exist_ok=True)
    (folder / "heavy_ops.py").write_text(guarded_work.HEAVY, encoding="utf-8")
    for name, texts in contents.items():
        lines = [json.dumps({"id": f"{name}:{n}", "text": each}) for n, each in enumerate(texts)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    params: dict[str, Any] = {
        "path": [str(folder / name) for name in contents],
        "id_column": "id",
        "media_type": "text/x-heavy",
    }
    pin = files.resolve(files.Params.model_validate(params))
    found = {name: str(folder / name) for name in contents}
    parts = {"parts": [[name, 0, None] for name in found]}
    split = Split("all", {**parts, "bytes": [f.bytes for f in pin.files]}, tuple(found))
    return Asked("s", "files", params, split, found, limits, (str(folder), ("heavy_ops",)))


def _texts(found: list[Extracted]) -> list[str]:
    return [text for each in found if each.rows for text in each.rows["text"].to_pylist()]


def _faults(found: list[Extracted]) -> list[Fault]:
    return [fault for each in found for fault in each.faults]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("spin", "took more than 1 second (limits.record_seconds)"),
        ("hold 400000000", f"needed more than {200 * 2**20} bytes (limits.record_memory_bytes)"),
        ("die SIGSEGV", "ended its process (SIGSEGV)"),
        ("lack", "needed more memory than the system gives"),
        ("leave личное", "ended its process (exit code 1)"),
    ],
)
def test_record_that_takes_too_much_is_quarantined_alone(
    tmp_path: Path, word: str, reason: str
) -> None:
    asked = _asked(tmp_path / "in", {"a.jsonl": [*TEXTS[:3], word, *TEXTS[3:]], "b.jsonl": TEXTS})
    found = list(extract(asked))
    assert _texts(found) == [*TEXTS, *TEXTS]
    assert sum(each.read for each in found) == 2 * len(TEXTS) + 1
    assert _faults(found) == [Fault("a.jsonl:3", -1, reason, file="a.jsonl")]


def test_limit_that_is_raised_lets_the_record_in(tmp_path: Path) -> None:
    limits = Limits(record_memory_bytes=2**30)
    found = list(extract(_asked(tmp_path / "in", {"a.jsonl": ["hold 400000000"]}, limits)))
    assert _texts(found) == ["hold 400000000"]


def test_too_many_records_that_take_too_much_end_their_split_with_a_rest_for_each_file(
    tmp_path: Path,
) -> None:
    texts = ["before", *["die SIGKILL"] * (MOST_OVERRUNS + 3), "behind"]
    found = list(extract(_asked(tmp_path / "in", {"a.jsonl": texts, "b.jsonl": TEXTS})))
    assert _texts(found) == ["before"]
    *records, first, second = _faults(found)
    assert [each.native_id for each in records] == [f"a.jsonl:{n + 1}" for n in range(8)]
    for rest, file in ((first, "a.jsonl"), (second, "b.jsonl")):
        assert rest == Fault(
            None, -1, "more than 8 records that took too much", rest=True, file=file
        )


@pytest.mark.parametrize("names", [["a.jsonl", "spin.jsonl", "z.jsonl"], ["spin.jsonl"]])
def test_file_that_cannot_be_got_over_is_given_up_and_the_others_are_read(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "extract_here", guarded_work.extract_with_a_reader_that_spins)
    asked = _asked(tmp_path / "in", dict.fromkeys(names, TEXTS))
    found = list(extract(asked))
    assert _texts(found) == TEXTS * (len(names) - 1)
    reason = "reading took more than 1 second (limits.record_seconds)"
    assert _faults(found) == [Fault(None, -1, reason, rest=True, file="spin.jsonl")]


def test_split_whose_records_take_too_long_together_has_a_rest(tmp_path: Path) -> None:
    slow = ["count 0.5"] * 40
    contents = {"a.jsonl": ["before"], "b.jsonl": slow, "c.jsonl": TEXTS}
    found = list(extract(_asked(tmp_path / "in", contents, Limits(split_seconds=2))))
    assert _texts(found) == ["before"]
    reason = "its part took more than 2 seconds (limits.split_seconds) in all"
    assert _faults(found) == [
        Fault(None, -1, reason, rest=True, file=file) for file in ("b.jsonl", "c.jsonl")
    ]


def test_error_of_an_extractor_is_one_line_without_the_text(tmp_path: Path) -> None:
    asked = _asked(tmp_path / "in", {"a.jsonl": ["raise личное"]})
    with pytest.raises(StageError, match="ValueError") as raised:
        list(extract(asked))
    assert "личное" not in str(raised.value)


def test_guarded_or_not_and_in_slices_or_one_by_one_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _asked(tmp_path / "in", {"a.jsonl": TEXTS * 50, "b.jsonl": TEXTS[::-1]}, Limits())
    whole = list(extract(asked))
    monkeypatch.setattr(extraction, "SLICE_BYTES", 40)
    unguard(monkeypatch)
    for limits in (Limits(), LOW):
        parts = list(extract(dataclasses.replace(asked, limits=limits)))
        assert len(parts) > len(whole)
        assert _texts(parts) == _texts(whole)
        for name in ("read", "content_bytes"):
            assert sum(getattr(p, name) for p in parts) == sum(getattr(w, name) for w in whole)


def test_read_gives_what_is_stored_and_a_rest_where_it_cannot_go_on(tmp_path: Path) -> None:
    asked = _asked(tmp_path / "in", {"a.jsonl": ["die SIGSEGV", "spin"]})
    (batch,) = read(asked, ends=1e12)
    assert batch["content"].to_pylist() == [b"die SIGSEGV", b"spin"]  # nobody extracts
