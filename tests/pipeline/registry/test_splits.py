"""The parts of sources are found where a file that cannot be looked into takes no other along."""

from pathlib import Path
from typing import Any

import guarded_work
import pytest
import yaml
from tiny_workspace import CARD
from unguarded import EndedError, unguard

from phloem.catalog.manifest import Ref
from phloem.catalog.store import Store
from phloem.pipeline.extraction import Asked, extract, read
from phloem.pipeline.registry import splits
from phloem.pipeline.registry.splits import AtHand, splits_of
from phloem.sources import progress
from phloem.sources.cards.source import Source
from phloem.sources.connector import Fault, Pin, PinnedFile, SourceError, Split
from phloem.sources.connectors import files
from phloem.sources.formats import read_files
from phloem.sources.limits import Limits

TEXT = '{"text": "Добрый день", "id": "NAME", "lang": "ru"}\n'


def _at_hand(store: Store, source: str, *names: str, is_own: bool = False) -> AtHand:
    folder = Path(store.root, "own" if is_own else "fetched")
    folder.mkdir(parents=True, exist_ok=True)
    refs = {}
    for name in names:
        text = TEXT.replace("NAME", name)
        path = folder / f"{source}-{name}"
        path.write_text(text, encoding="utf-8")
        where = str(path) if is_own else f"fetched/{path.name}"
        refs[name] = Ref(where, "0" * 64, len(text.encode()))
    card = yaml.safe_load(CARD.replace("NAME", source).replace("PATH", "anywhere"))
    pin = Pin("1", tuple(PinnedFile(name, "0" * 64, ref.bytes) for name, ref in refs.items()))
    given = Source.model_validate(card)
    params = files.Params.model_validate(given.access.params)
    return AtHand(given, pin, files, params, refs)


def _end_at(monkeypatch: pytest.MonkeyPatch, where: str, how: str) -> list[str]:
    """Finding the parts of a file of this name ends its process; what was looked into."""
    real, looked = read_files._parts, []

    def parts(params: Any, file: PinnedFile, *rest: Any) -> Any:
        progress.at(file.name)
        looked.append(file.name)
        if file.name == where:
            raise EndedError(how)
        return real(params, file, *rest)

    monkeypatch.setattr(read_files, "_parts", parts)
    unguard(monkeypatch)
    return looked


def _names(found: tuple[Split, ...] | SourceError) -> list[str]:
    assert not isinstance(found, SourceError)
    return [split.name for split in found]


@pytest.mark.parametrize("is_own", [False, True])
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("seconds", "took more than 10 seconds (limits.record_seconds)"),
        ("SIGSEGV", "ended its process (SIGSEGV)"),
    ],
)
def test_file_that_cannot_be_looked_into_is_one_fault_and_all_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, reason: str, is_own: bool
) -> None:
    store = Store(str(tmp_path))
    sources = [
        _at_hand(store, "one", "a.jsonl"),
        _at_hand(store, "two", "b.jsonl", "bad.jsonl", "c.jsonl", is_own=is_own),
        _at_hand(store, "three", "bad.jsonl", is_own=is_own),
        _at_hand(store, "four", "d.jsonl"),
    ]
    looked = _end_at(monkeypatch, "bad.jsonl", how)
    one, two, three, four = splits_of(store, sources)
    assert (_names(one), _names(four)) == (["a.jsonl"], ["d.jsonl"])
    assert _names(two) == ["b.jsonl", "c.jsonl", "bad.jsonl"]
    assert _names(three) == ["bad.jsonl"]
    assert not isinstance(two, SourceError)
    asked = Asked("two", "files", {}, two[-1], {"bad.jsonl": "nowhere"}, Limits())
    fault = Fault(None, 0, f"finding its parts {reason}", rest=True, file="bad.jsonl")
    assert [each for some in extract(asked) for each in some.faults] == [fault]
    assert [*read(asked, ends=1e12)] == [fault]
    looked.clear()
    assert splits_of(store, sources) == [one, two, three, four]
    # What was refused is looked into again; if it lies on the root, so is all that is kept with it.
    assert ("a.jsonl" in looked) == (not is_own)
    assert "bad.jsonl" in looked


def test_parts_that_were_found_are_kept_and_those_of_own_files_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    sources = [_at_hand(store, "one", "a.jsonl"), _at_hand(store, "two", "b.jsonl", is_own=True)]
    looked = _end_at(monkeypatch, "", "")
    found = splits_of(store, sources)
    assert looked == ["a.jsonl", "b.jsonl"]
    assert splits_of(store, sources) == found
    assert looked == ["a.jsonl", "b.jsonl", "b.jsonl"]


def test_own_files_are_looked_into_in_a_process_that_can_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "splits_here", guarded_work.leave)
    store = Store(str(tmp_path))
    (found,) = splits_of(store, [_at_hand(store, "one", "a.jsonl", is_own=True)])
    assert not isinstance(found, SourceError)
    assert found[0].refused == "finding its parts ended its process (exit code 7)"
