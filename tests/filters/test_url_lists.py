"""Lists by path: addresses in all their spellings; words of many scripts; faults in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phloem.filters.given import GivenError
from phloem.filters.op import Op, OpError, find_op
from phloem.filters.url_lists import names_of, parted

DOMAINS = """\
# a comment
bad.example
bücher.example
0.0.0.0 ads.example more.example # of hosts
*.starred.example
.dotted.example
||ruled.example^
other.example/shop/
https://www.third.example/a/b?c
"""


def _bound(folder: Path, name: str, key: dict[str, str], text: str) -> tuple[Op, dict[str, str]]:
    path = folder / "list.txt"
    path.write_text(text, encoding="utf-8")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path = path.rename(folder / sha256)
    asked = {**key, "path": str(path), "sha256": sha256, "license": "CC-BY-SA-4.0"}
    return find_op(name, {"lists": [asked]}), {sha256: str(path)}


def _values(op: Op, paths: dict[str, str], *columns: list[str | None]) -> list[list[Any]]:
    names = [column.name for column in op.reads]
    arrays = [pa.array(values, pa.string()) for values in columns]
    batch = pa.record_batch(dict(zip(names, arrays, strict=True)))
    return [array.to_pylist() for array in op(batch, paths).arrays]


@pytest.mark.parametrize(
    ("url", "count"),
    [
        ("https://bad.example", 1),
        ("HTTP://User:pw@WWW.Bad.Example.:8080/x?y#z", 1),
        ("https://deep.under.bad.example/", 1),
        ("https://notbad.example", 0),
        ("https://bad.example.org", 0),
        ("https://good.example/bad.example", 0),
        ("https://xn--bcher-kva.example/a", 1),
        ("https://Bücher.example", 1),
        ("http://ads.example", 1),
        ("http://more.example", 1),
        ("http://of.example", 0),
        ("http://under.starred.example", 1),
        ("http://dotted.example", 1),
        ("http://ruled.example", 0),
        ("http://" + "a." * 200 + "bad.example", 0),
        ("http://bad.example/" + "a/" * 50_000, 1),
        ("https://other.example", 0),
        ("https://other.example/shop", 1),
        ("https://other.example/shop/a.html", 1),
        ("https://other.example/shopping", 0),
        ("https://third.example/a/b/c", 1),
        ("https://third.example/a", 0),
        ("", 0),
        (None, None),
    ],
)
def test_url_lists_match_hosts_under_a_domain_and_all_under_a_path(
    tmp_path: Path, url: str | None, count: int | None
) -> None:
    op, paths = _bound(tmp_path, "url_lists", {"name": "bad"}, DOMAINS)
    counts, firsts = _values(op, paths, [url])
    assert counts == [count]
    assert firsts == ["bad" if count else None]


@given(st.lists(st.from_regex(r"[a-c]{1,2}(\.[a-c]){0,2}(/[a-c]){0,2}/?", fullmatch=True)))
def test_url_lists_agree_with_sets_of_strings(
    tmp_path_factory: pytest.TempPathFactory, urls: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    op, paths = _bound(folder, "url_lists", {"name": "x"}, "a.b\nc\nb.c/a\na.a/b/c\n")
    batch = pa.record_batch({"url": pa.array([*urls, "/a", "a.b/a//b/"], pa.string())})
    assert op.reference is not None
    assert list(op(batch, paths).arrays) == op.reference(batch, **op.arguments(paths))


@given(st.text())
def test_names_of_anything_begin_with_its_host(address: str) -> None:
    host, _ = parted(address)
    assert names_of(address)[:1] == ([host] if host else [])


@pytest.mark.parametrize(
    ("tag", "text", "found"),
    [
        ("en", "A GRIMBLE grumble, twice: grimble-grumble.", (2, 0.6667)),
        ("en", "grimble alone, and grumble", (0, 0.0)),
        ("en-GB", "Zounds!", (1, 1.0)),
        ("en", "zoundsome", (0, 0.0)),
        ("en", "", (0, 0.0)),
        ("hi", "यह गाली है", (None, None)),
        (None, "zounds", (None, None)),
    ],
)
def test_flagged_words_are_whole_words_of_the_language(
    tmp_path: Path, tag: str | None, text: str, found: tuple[Any, Any]
) -> None:
    words = "grimble grumble\n\nZounds\n"
    op, paths = _bound(tmp_path, "flagged_words", {"language": "en"}, words)
    counts, fractions = _values(op, paths, [text], [tag])
    assert (counts[0], fractions[0]) == found


@pytest.mark.parametrize(
    ("tag", "word", "text", "found"),
    [
        ("hi", "गाली", "यह गाली है।", (1, 0.3333)),
        ("zh", "坏话", "这是坏话。", (1, 0.5)),
        ("th", "คำหยาบ", "นี่คือคำหยาบ", (1, 0.6667)),
        ("ru", "слово", "Плохое СЛОВО тут", (1, 0.3333)),
        ("ar", "كلمة", "هذه كلمة", (1, 0.5)),
    ],
)
def test_flagged_words_are_found_in_many_scripts(
    tmp_path: Path, tag: str, word: str, text: str, found: tuple[int, float]
) -> None:
    op, paths = _bound(tmp_path, "flagged_words", {"language": tag}, word)
    counts, fractions = _values(op, paths, [text], [tag])
    assert (counts[0], fractions[0]) == found


GOOD = {"name": "bad", "path": "a", "sha256": "0" * 64, "license": "MIT"}


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ("a.txt", "takes lists: [{name: …, path or url: …, sha256: …, license: …}, …]"),
        (["a.txt"], "list 1 is no mapping"),
        ([GOOD, {**GOOD, "license": "mine"}], "list 2 has the license 'mine'"),
        (
            [{k: v for k, v in GOOD.items() if k != "license"}],
            "list 1 has ['name', 'path', 'sha256']",
        ),
        ([{**GOOD, "url": "https://a.example"}], "list 1 has ["),
        ([{**GOOD, "sha256": "abc"}], "one has 64 of 0-9 and a-f"),
        ([{**GOOD, "name": ""}], "has a value that is empty or no text"),
        ([{**GOOD, "path": 3}, "x"], "list 2 is no mapping"),
    ],
)
def test_lists_that_are_given_wrongly_are_refused_with_what_they_hold(
    lists: object, said: str
) -> None:
    with pytest.raises(OpError) as error:
        find_op("url_lists", {"lists": lists})
    assert said in str(error.value)


def test_key_of_lists_depends_on_their_bytes_and_not_on_where_they_lie() -> None:
    one, two, three = (
        find_op("url_lists", {"lists": [{**GOOD, **change}]})
        for change in ({}, {"path": "b", "license": "CC0-1.0"}, {"sha256": "1" * 64})
    )
    assert one.key == two.key != three.key
    assert [file.sha256 for file in one.needs] == ["0" * 64]
    assert (one.given[0].kind, one.given[0].license) == ("list", "MIT")


@pytest.mark.parametrize(("data", "said"), [(b"\xff\xfe", "not UTF-8"), (b"# none\n", "nothing")])
def test_url_list_that_cannot_be_one_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    op = find_op("url_lists", {"lists": [GOOD]})
    with pytest.raises(OpError, match=said):
        _values(op, {"0" * 64: str(path)}, ["https://a.example"])


@pytest.mark.parametrize(
    ("name", "key"), [("url_lists", {"name": "bad"}), ("flagged_words", {"language": "en"})]
)
def test_every_list_that_cannot_be_one_is_named_before_any_work(
    tmp_path: Path, name: str, key: dict[str, str]
) -> None:
    paths = {}
    for sha256, data in (("0" * 64, b"\xff"), ("1" * 64, b"good\n"), ("2" * 64, b"\n")):
        paths[sha256] = str(tmp_path / sha256)
        (tmp_path / sha256).write_bytes(data)
    lists = [
        {**key, "path": place, "sha256": number * 64, "license": "MIT"}
        for place, number in (("a.txt", "0"), ("b.txt", "1"), ("c.txt", "2"), ("b.txt", "1"))
    ]
    with pytest.raises(GivenError) as error:
        find_op(name, {"lists": lists}).check_files(paths)
    first, second, third = str(error.value).removeprefix(f"op {name}: ").split("; list ")
    assert first == "list 1, a.txt: it is not UTF-8; give text with a " + (
        "name a line" if name == "url_lists" else "word a line"
    )
    assert second.startswith("3, c.txt: it ")
    assert third == "4, b.txt: stands there already"


def test_language_of_flagged_words_is_a_tag_in_any_of_its_spellings(tmp_path: Path) -> None:
    op, paths = _bound(tmp_path, "flagged_words", {"language": "eng"}, "grumble")
    assert _values(op, paths, ["grumble"], ["en"])[0] == [1]
    op, paths = _bound(tmp_path, "flagged_words", {"language": "xyzzy"}, "grumble")
    with pytest.raises(GivenError, match="'xyzzy' is no language tag"):
        op.check_files(paths)
