"""The verdict of a review: each thing that a reviewer must see is one line of it."""

import hashlib
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from registry_branch import Repository, card_of
from tiny_workspace import ARTICLES, new_root

from phloem.catalog.store import Store
from phloem.pipeline.registry.fetch import keep_file
from phloem.pipeline.review import review as reviewing
from phloem.pipeline.review.evidence import named_files, parts, turning
from phloem.pipeline.review.review import review
from phloem.reports.review import Review, comment
from phloem.sources.cards.lock import Entry, write_lock
from phloem.sources.connector import Pin, PinnedFile

QUOTE = "Everybody may copy and change this text."
TERMS = f"The tower.\n\n{QUOTE} It comes as it is.\n\nNobody should say that all is well here.\n"
ACCESS = {"connector": "pypi", "params": {"packages": {"tower_text": "1.0"}, "include": ["*.txt"]}}
LICENSE = {"spdx": "CC-BY-4.0", "evidence": QUOTE, "place": "TERMS in tower_text.dist-info/NOTICE"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(new_root(tmp_path / "root")))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.write(card_of("harbour", limits="Its texts are old and terse.", status="active"))
    write_lock(made.lock_file, {})
    made.commit()
    return made


def wheel(tmp_path: Path, store: Store, text: str = ARTICLES["en"], pages: int = 6) -> Pin:
    """A pin of a wheel that the root holds already, so that nothing is fetched."""
    place = tmp_path / "tower_text-1.0-py3-none-any.whl"
    with zipfile.ZipFile(place, "w") as archive:
        for number in range(pages):
            archive.writestr(f"tower_text/page{number}.txt", f"{text} {number}")
        archive.writestr("tower_text-1.0.dist-info/NOTICE", TERMS)
    sha256 = hashlib.sha256(place.read_bytes()).hexdigest()
    keep_file(store, place, sha256)
    return Pin("1.0", (PinnedFile(place.name, sha256, place.stat().st_size),))


def tower(repository: Repository, pin: Pin, shares: Any = None, **more: Any) -> None:
    """Commit a new card with its lock entry."""
    said = {"access": ACCESS, "license": LICENSE, "limits": "Six documents, much alike.", **more}
    repository.write(card_of("tower", **said))
    write_lock(repository.lock_file, {"tower": Entry(pin, "2026-01-01", shares)})
    repository.commit()


def reviewed(repository: Repository, store: Store, samples: int = 5) -> tuple[Review, list[str]]:
    """The review of the last commit, and the lines of its verdict."""
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=samples, told=lambda _: None)
    head = re.split(r"\n###+ ", comment(made))[0]
    return made, [line for line in head.splitlines() if line]


def rules(made: Review) -> set[str]:
    return {each.rule for each in made.findings}


# What is fetched ----------------------------------------------------------------------------------
def test_a_card_that_holds_is_green_and_its_lock_entry_is_confirmed(repository, store, tmp_path):
    tower(repository, wheel(tmp_path, store), {"en": 1.0})
    made, lines = reviewed(repository, store)
    assert made.findings == ()
    assert not made.must_be_looked_at
    assert lines[1].endswith("🟢")
    assert "seen that it is right: the lock (2)." in "\n".join(lines)
    assert "**Overlap with the registry was not looked at:**" in "\n".join(lines)


def test_a_lock_entry_that_is_not_sampled_is_a_maintainers(repository, store, tmp_path):
    tower(repository, wheel(tmp_path, store), {"en": 1.0})
    made, lines = reviewed(repository, store, samples=0)
    assert made.must_be_looked_at
    assert lines[1].endswith("🟡")
    assert "`no card has a sample`" in "\n".join(lines)


def test_forged_languages_and_other_languages_than_declared_are_told(repository, store, tmp_path):
    tower(repository, wheel(tmp_path, store), {"yo": 1.0}, languages=["sw"])
    made, lines = reviewed(repository, store)
    assert {"R01", "R05"} <= rules(made)
    assert made.must_be_looked_at
    assert any("yo 100.0% are locked, en 100.0% found" in line for line in lines)


@pytest.mark.parametrize(
    ("license_", "told"),
    [
        ({"evidence": "Everybody may sell this text."}, "not found in"),
        ({"place": "tower_text/page1.txt"}, "not found in"),
        ({"place": "usr/share/doc/other/copyright"}, "holds no file that `place` names"),
    ],
)
def test_evidence_that_is_not_in_the_named_file_is_told(
    repository, store, tmp_path, license_, told
):
    tower(repository, wheel(tmp_path, store), license={**LICENSE, **license_})
    made, lines = reviewed(repository, store)
    assert rules(made) == {"R04"}
    assert any(told in line for line in lines)


def test_nothing_kept_is_an_error_unless_the_limits_say_so(repository, store, tmp_path):
    pin = wheel(tmp_path, store, "Too short.")
    for limits, is_error in (("Old spelling, mostly.", True), ("No document is long.", False)):
        tower(repository, pin, limits=limits)
        made, lines = reviewed(repository, store)
        (found,) = [each for each in made.findings if each.rule == "R02"]
        assert found.is_error is is_error
        assert any("nothing is kept of 6 documents" in line for line in lines)
        repository.git("reset", "--quiet", "--hard", "HEAD~1")


def test_a_sample_that_fails_is_told(repository, store, tmp_path, monkeypatch):
    def fails(*_: Any) -> None:
        raise reviewing.SourceError("other bytes are served")

    monkeypatch.setattr(reviewing, "looked_at", fails)
    tower(repository, wheel(tmp_path, store))
    made, lines = reviewed(repository, store)
    assert rules(made) == {"R03"}
    assert any("sample failed: other bytes are served" in line for line in lines)


# What is taken back -------------------------------------------------------------------------------
def test_a_hash_that_changes_under_one_version_is_told(repository, store):
    good = PinnedFile("harbour_text-1.0-py3-none-any.whl", "a" * 64, 10)
    write_lock(repository.lock_file, {"harbour": Entry(Pin("1", (good,)), "2026-01-01")})
    repository.commit()
    for other in (replace(good, sha256="b" * 64), replace(good, bytes=11), replace(good, name="x")):
        write_lock(repository.lock_file, {"harbour": Entry(Pin("1", (other,)), "2026-01-01")})
        repository.commit()
        made, lines = reviewed(repository, store, samples=0)
        assert "R05" in rules(made)
        assert any("under the same version 1" in line for line in lines)
        repository.git("reset", "--quiet", "--hard", "HEAD~1")
    write_lock(repository.lock_file, {"harbour": Entry(Pin("2", (other,)), "2026-01-01")})
    repository.commit()
    assert "R05" not in rules(reviewed(repository, store, samples=0)[0])


def test_languages_that_change_under_one_version_are_told(repository, store):
    pin = Pin("1", (PinnedFile("harbour_text-1.0-py3-none-any.whl", "a" * 64, 10),))
    for shares in ({"en": 1.0}, {"yo": 1.0}):
        write_lock(repository.lock_file, {"harbour": Entry(pin, "2026-01-01", shares)})
        repository.commit()
    made, lines = reviewed(repository, store, samples=0)
    assert "R05" in rules(made)
    assert any("were en 100.0% and are yo 100.0%" in line for line in lines)


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ({"license": {"spdx": "CC-BY-SA-4.0"}}, {"license": {"spdx": "CC-BY-4.0"}}, "R06"),
        ({"personal_data": {"level": "personal"}}, {"personal_data": {"level": "none"}}, "R07"),
        ({"limits": "Old spelling, and much else."}, {}, "R08"),
        ({"status": "withdrawn"}, {"status": "proposed"}, "R12"),
    ],
)
def test_what_a_card_takes_back_is_told(repository, store, before, after, rule):
    repository.write(card_of("tower", **before))
    repository.commit()
    repository.write(card_of("tower", **after))
    repository.commit()
    made, lines = reviewed(repository, store)
    assert rule in {each.rule for each in made.findings if each.is_error}
    assert any(line.startswith("- 🔴 `tower`") and f"({rule})" in line for line in lines)
    repository.write(card_of("tower", **before))
    repository.commit()
    assert rules(reviewed(repository, store)[0]).isdisjoint({"R06", "R07", "R08", "R12"})


def test_a_card_under_a_new_name_is_told(repository, store):
    old = repository.folder / "sources" / "entries" / "harbour.yaml"
    old.unlink()
    repository.write(card_of("port", access=card_of("harbour")["access"]))
    repository.commit()
    made, lines = reviewed(repository, store)
    (found,) = [each for each in made.findings if each.rule == "R09"]
    assert found.message == "the card is taken away, and is there again as port"
    assert any("is there again as port" in line for line in lines)


def test_a_homepage_that_moves_is_told_and_is_no_error(repository, store):
    repository.write(card_of("harbour", homepage="https://evil.example.net/", status="active"))
    repository.commit()
    made, lines = reviewed(repository, store)
    (found,) = [each for each in made.findings if each.rule == "R11"]
    assert not found.is_error
    assert any("example.org before, evil.example.net now" in line for line in lines)


# What is there already ---------------------------------------------------------------------------
def test_overlap_is_told_with_a_run_and_half_of_a_source_is_an_error(
    repository, store, tmp_path, monkeypatch
):
    real = reviewing.looked_at

    def near(*given: Any) -> Any:
        sample, evidence = real(*given)
        known = {"elsewhere": {"harbour": 3}, "compared_with": "run 7", "is_compared": True}
        return replace(sample, **known), evidence

    monkeypatch.setattr(reviewing, "looked_at", near)
    tower(repository, wheel(tmp_path, store), {"en": 1.0})
    made, lines = reviewed(repository, store)
    assert rules(made) == {"R14"}
    told = "**Overlap with the registry,** as `run 7` holds it: `tower` 3 of 6 with `harbour`."
    assert told in lines


# Quotes -------------------------------------------------------------------------------------------
def test_the_files_that_a_place_names_are_found():
    assert "usr/share/doc/a-b/copyright" in named_files(
        "usr/share/doc/a-b/copyright of the Debian package a-b"
    )
    assert "*/LICENSE.txt" in named_files("LICENSE.txt in awscli.dist-info of the wheel")
    assert "django*.dist-info/licenses/LICENSE" in named_files("django.dist-info/licenses/LICENSE")
    assert named_files("Headers of the files, counted") == []


def test_a_quote_is_in_parts_where_it_leaves_words_out():
    assert [part.split() for part in parts("It may […] be read (a note). It may.")] == [
        ["It", "may"],
        ["be", "read"],
        ["It", "may."],
    ]


def test_a_quote_out_of_a_sentence_that_denies_is_told():
    words = "this text may not be sold it may be read".split()
    assert "not" in turning(["be", "sold"], words, [0, 6])
    assert turning(["be", "read"], words, [0, 6]) == ""
