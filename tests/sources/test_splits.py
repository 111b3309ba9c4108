"""What is read again when a source gets another file: of very many small ones, one bucket."""

from __future__ import annotations

import bz2
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.clients import packages
from phloem.sources.connector import Pin, PinnedFile, Split, connectors, find_connector
from phloem.sources.connectors import (
    arxiv,
    deb,
    gutenberg,
    opus,
    pmc,
    pypi,
    stackexchange,
    wikimedia,
)
from phloem.sources.formats import read_files
from phloem.sources.formats.together import ALONE, BITS, MOST, SHARE, together

SIZE = 160  # bytes that make a split full here, in place of megabytes
UNIT = 10  # bytes of the smallest file

Found = list[tuple[str, int, str]]  # name in the pin, bytes, path
Maker = Callable[[Path, int, int], Found]


def text(folder: Path, number: int, size: int) -> Found:
    """A file in one of the formats that are cut: by bytes, by members, or not at all."""
    kind = ("txt", "zip", "jsonl", "csv", "txt.gz")[number % 5]
    path = folder / f"{number:03d}.{kind}"
    if kind == "zip":
        zipped(path, size)
    else:
        path.write_bytes(b'{"text": "one"}\n' if kind == "jsonl" else b"text\none\n")
    return [(path.name, size * UNIT, str(path))]


def zipped(path: Path, members: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(members):
            archive.writestr(f"{number}.txt", b"x" * UNIT)


def packed(name: str) -> Maker:
    """A package that is a zip archive."""

    def make(folder: Path, number: int, size: int) -> Found:
        path = folder / f"{number:03d}.zip"
        zipped(path, size)
        return [(name.format(number), path.stat().st_size, str(path))]

    return make


def sized(*names: str) -> Maker:
    """Files of which nothing but the size is looked at."""
    return lambda _, number, size: [(name.format(number), size * UNIT, "") for name in names]


def dump(folder: Path, number: int, size: int) -> Found:
    stem = f"a{number}wiki-20240301-pages-articles-multistream"
    (folder / "head").write_bytes(bz2.compress(b"<mediawiki><siteinfo></siteinfo></mediawiki>"))
    index = folder / f"{number}.index"
    index.write_bytes(bz2.compress(b"".join(b"%d:1:A\n" % (n * UNIT) for n in range(size))))
    return [
        (f"{stem}.xml.bz2", size * UNIT, str(folder / "head")),
        (f"{stem}-index.txt.bz2", 1, str(index)),
    ]


ANY = {"packages": ["any"]}
MAKERS: dict[str, tuple[Maker, dict[str, Any]]] = {
    "crates": (sized("pack{:03d}@1.0.0.crate"), ANY),
    "deb": (sized("pack{:03d}_1_all.deb"), ANY),
    "deb source": (sized("pack{:03d}_1/pack_1.orig.tar.gz"), {**ANY, "source": True}),
    "files": (text, {"path": "any", "documents": "paragraph"}),
    "git": (packed("example.org/o/r{:03d}@" + "0" * 40 + ".zip"), {
        "repositories": {"https://example.org/o/r": None}
    }),
    "gomod": (packed("example.org/r{:03d}@v1.0.0.zip"), {"packages": ["example.org/r"]}),
    "gutenberg": (sized("pt/pg{}.txt"), {"languages": ["pt"]}),
    "http": (text, {"urls": ["https://example.org/a"], "documents": "paragraph"}),
    "huggingface": (text, {"dataset": "any"}),
    "maven": (packed("org:a{:03d}@1.0-sources.jar"), {"packages": {"org:a": "1.0"}}),
    "npm": (sized("pack{:03d}@1.0.0.tgz"), ANY),
    "opus": (sized("mono/{:03d}.txt.gz"), {
        "corpus": "A", "release": "v1", "languages": {"sw": "sw"}
    }),
    "pmc": (sized("PMC{}.1.json", "PMC{}.1.xml"), {}),
    "pypi": (packed("pack{:03d}-1-py3-none-any.whl"), ANY),
    "stackexchange": (sized("s{:03d}.example.7z"), {"sites": {"example.org": "en"}}),
    "warc": (sized("{:03d}.warc.gz"), {"urls": ["https://example.org/a.warc.gz"]}),
    "wikimedia": (dump, {"wikis": {"swwiki": "sw"}}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (read_files, gutenberg, pmc, pypi, packages, wikimedia):
        monkeypatch.setattr(module, "SPLIT_BYTES", SIZE)
    for module in (deb, opus, packages, stackexchange):
        monkeypatch.setattr(module, "PART_BYTES", SIZE)


def splits(kind: str, folder: Path, sizes: dict[int, int]) -> dict[str, Split]:
    """The splits of a source of files of these sizes, by name."""
    connector = find_connector(kind.partition(" ")[0])
    make, params = MAKERS[kind]
    made = [each for number in sorted(sizes) for each in make(folder, number, sizes[number])]
    pin = Pin("1", tuple(PinnedFile(name, "0" * 64, size) for name, size, _ in made))
    paths = {name: path for name, _, path in made}
    found = connector.splits(connector.Params.model_validate(params), pin, paths)
    assert json.loads(json.dumps([split.spec for split in found])) == [s.spec for s in found]
    by_name = {split.name: split for split in found}
    assert len(by_name) == len(found)
    read = {name for split in found for name in split.files}
    assert {name for name in paths if "-index" not in name} == read
    return by_name


def test_every_connector_of_several_files_is_tried() -> None:
    one_file = {"arxiv"}
    assert arxiv.NAME
    assert {kind.partition(" ")[0] for kind in MAKERS} | one_file == set(connectors())


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=15, deadline=None)
@given(
    sizes=st.dictionaries(st.integers(0, 20), st.integers(0, 40), min_size=1, max_size=8),
    number=st.integers(0, 20),
    size=st.integers(0, 40),
)
def test_a_file_that_comes_or_changes_leaves_all_other_splits_as_they_were(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    sizes: dict[int, int],
    number: int,
    size: int,
) -> None:
    folder = tmp_path_factory.mktemp("pin")
    before = splits(kind, folder, sizes)
    after = splits(kind, folder, {**sizes, number: size})
    own = {name for name, _, _ in MAKERS[kind][0](folder, number, size)}
    others = [
        {name: split for name, split in each.items() if not own & set(split.files)}
        for each in (before, after)
    ]
    assert others[0] == others[1]
    assert others[0] or sizes.keys() <= {number}
    assert len(after) > len(others[1])


@pytest.mark.parametrize("kind", ["files", "http", "huggingface", "gutenberg", "pmc"])
def test_of_very_many_small_files_another_changes_one_split_alone(
    tmp_path: Path, kind: str
) -> None:
    sizes = dict.fromkeys(range(0, 400, 2), 1)
    before = splits(kind, tmp_path, sizes)
    assert len(before) < len(sizes)
    for number in (1, 201, 399):
        after = splits(kind, tmp_path, {**sizes, number: 1})
        changed = [name for name, split in before.items() if after.get(name) != split]
        assert len(changed) <= 1


# What is put together -----------------------------------------------------------------------------
@st.composite
def weighed(draw: st.DrawFn) -> dict[str, int]:
    """Names with weights, of which many, few or none are small."""
    count = draw(st.integers(0, 3 * ALONE))
    word = draw(st.sampled_from(["a", "ก/", "人-", "\udcff"]))
    most = draw(st.sampled_from([1, SIZE // SHARE, 2 * SIZE]))
    weights = draw(st.lists(st.integers(0, most), min_size=1, max_size=7))
    return {f"{word}{number}": weights[number % len(weights)] for number in range(count)}


def small(weights: dict[str, int]) -> int:
    return sum(weight * SHARE < SIZE for weight in weights.values())


@settings(max_examples=150, deadline=None)
@given(weights=weighed())
def test_together_every_name_is_there_once_and_no_part_holds_too_much(
    weights: dict[str, int],
) -> None:
    found = together(weights, SIZE)
    assert sorted(name for held in found for name in held) == sorted(weights)
    assert all(held == sorted(held) for held in found)
    assert all(len(held) == 1 or sum(map(weights.get, held)) <= SIZE for held in found)
    assert sorted(together(dict(reversed(weights.items())), SIZE)) == sorted(found)
    alone = small(weights) <= ALONE
    assert not alone or len(found) == len(weights)


@settings(max_examples=150, deadline=None)
@given(weights=weighed(), name=st.sampled_from(["0", "人人", "zz"]), weight=st.integers(0, SIZE))
def test_together_a_name_that_comes_changes_one_bucket_at_most(
    weights: dict[str, int], name: str, weight: int
) -> None:
    before = together(weights, SIZE)
    after = together({**weights, name: weight}, SIZE)
    kept = [held for held in before if held in after]
    if small(weights) == ALONE and weight * SHARE < SIZE:  # the one place where all move
        assert [held for held in after if len(held) == 1 and held != [name]] == kept
    else:
        assert len(kept) >= len(before) - (small(weights) > ALONE)
        new = {each for held in after if held not in before for each in held}
        old = {each for held in before if held not in after for each in held}
        assert new == {*old, name}


def test_together_a_hundred_thousand_tiny_files_are_a_few_hundred_parts() -> None:
    weights = {f"{number}.txt": 1000 for number in range(100_000)}
    found = together(weights, 32 * 2**20)
    assert 2**BITS <= len(found) < 300
    assert max(map(len, found)) <= MOST
    assert min(map(len, found)) > MOST // 4
