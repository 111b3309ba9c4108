"""What cards read, under one name however it is spelt, and where none may read."""

from typing import Any

import pytest
import yaml
from registry_branch import card_of

from phloem.sources.cards.dossier import Dossier, read_card
from phloem.sources.cards.places import any_host, foreign_host, same_thing, withdrawn_hosts
from phloem.sources.cards.reads import address, alike, hosts, shared
from phloem.sources.cards.source import Source
from phloem.sources.connector import connectors, find_connector


def source(id_: str, connector: str, **params: Any) -> Source:
    card = card_of(id_, status="active", access={"connector": connector, "params": params})
    return Source.model_validate(card)


def dossier(tmp_path, *cards: Source) -> Dossier:
    files = []
    for card in cards:
        path = tmp_path / f"{card.id}.yaml"
        path.write_text(yaml.safe_dump(card.model_dump(mode="json")), encoding="utf-8")
        files.append(read_card(path))
    known = {name: find_connector(name) for name in connectors()}
    return Dossier(files, [], known, {}, {}, [], None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Example.org/a/", "http://www.example.org/a"),
        ("https://example.org/a", "https://web.archive.org/web/2020/https://www.example.org/A"),
        ("https://example.org/%61", "https://example.org/a"),
    ],
)
def test_an_address_has_one_name_however_it_is_spelt(one, other):
    assert address(one) == address(other)


def test_a_name_is_as_an_eye_reads_it():
    assert alike("Debian_F\u0410Q") == alike("debian-faq")  # a Cyrillic A
    assert alike("debian-faq") != alike("debian-fax")


def test_hosts_are_found_within_other_addresses():
    assert hosts("https://web.archive.org/web/2020/https://www.lemonde.fr/a") == {
        "web.archive.org",
        "lemonde.fr",
    }
    assert hosts(["lemonde.fr", "data/a.txt", "*.example.org"]) >= {"lemonde.fr"}


SAME = [
    (("deb", {"packages": ["a-b"], "include": ["x/*.html"]}),) * 2,
    (
        ("deb", {"packages": ["a-b"], "include": ["x/*.html"]}),
        ("deb", {"packages": ["a-b"], "include": ["x/*.en.html"]}),
    ),
    (("pypi", {"packages": ["A_b"]}), ("pypi", {"packages": {"a-b": "1.0"}})),
    (
        ("git", {"repositories": {"https://github.com/O/N.git": {"revision": "a" * 40}}}),
        ("http", {"urls": ["https://raw.githubusercontent.com/o/n/main/data/a.txt"]}),
    ),
    (
        ("git", {"repositories": {"https://github.com/o/n": {"revision": "a" * 40}}}),
        ("git", {"repositories": {"https://gitlab.com/o/n/": {"revision": "a" * 40}}}),
    ),
    (
        ("huggingface", {"dataset": "Org/Name"}),
        ("http", {"urls": ["https://hf-mirror.com/datasets/org/name/resolve/main/a.parquet"]}),
    ),
    (("warc", {"domains": ["www.example.org"]}), ("warc", {"domains": ["example.org"]})),
    (
        ("http", {"urls": ["https://example.org/a.zip"]}),
        ("http", {"urls": ["http://www.example.org/a.zip/"]}),
    ),
]
OTHER = [
    (
        ("npm", {"packages": ["npm"], "include": ["lib/*.js"]}),
        ("npm", {"packages": ["npm"], "include": ["docs/content/*.md"]}),
    ),
    (("pypi", {"packages": ["a"]}), ("npm", {"packages": ["a"]})),
    (
        ("huggingface", {"dataset": "o/n", "configs": {"en": "en"}}),
        ("huggingface", {"dataset": "o/n", "configs": {"sw": "sw"}}),
    ),
    (
        ("http", {"urls": ["https://example.org/a.zip"]}),
        ("http", {"urls": ["https://example.org/b.zip"]}),
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_two_cards_read_is_told(tmp_path, one, other):
    cards = [source("aaa", one[0], **one[1]), source("bbb", other[0], **other[1])]
    assert [(a.id, b.id) for a, b, _ in shared(cards)] == [("bbb", "aaa")]
    (found,) = same_thing.check(dossier(tmp_path, *cards))
    assert "is also read by aaa" in found[2]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_parts_of_one_thing_are_no_copies(one, other):
    cards = [source("aaa", one[0], **one[1]), source("bbb", other[0], **other[1])]
    assert list(shared(cards)) == []


def test_a_host_of_a_withdrawn_card_is_told(tmp_path):
    gone = source("gone", "warc", domains=["news.example.com"])
    gone = gone.model_copy(update={"status": "withdrawn", "reason": "It said no."})
    by_proxy = "https://web.archive.org/web/1/https://www.news.example.com/a.txt"
    for url in ("https://cdn.news.example.com/a.txt", by_proxy):
        made = dossier(tmp_path, gone, source("back", "http", urls=[url]))
        (found,) = withdrawn_hosts.check(made)
        assert "is a host of gone, which was withdrawn" in found[2]
    other = dossier(tmp_path, gone, source("fine", "http", urls=["https://example.com/a.txt"]))
    assert list(withdrawn_hosts.check(other)) == []


@pytest.mark.parametrize("glob", ["*", "*.org", "*.*", "**", "?*"])
def test_a_host_of_nobody_is_told(tmp_path, glob):
    made = dossier(tmp_path, source("aaa", "http", urls=["https://example.org/a"], hosts=[glob]))
    assert [field for _, field, _ in any_host.check(made)] == ["access.params.hosts"]


@pytest.mark.parametrize("glob", ["*.example.org", "files.example.org"])
def test_a_host_of_somebody_is_none(tmp_path, glob):
    made = dossier(tmp_path, source("aaa", "http", urls=["https://example.org/a"], hosts=[glob]))
    assert list(any_host.check(made)) == []


def test_a_host_that_nothing_in_the_card_names_is_told(tmp_path):
    for url, count in (
        ("https://cdn.evil.example.net/a.zip", 1),
        ("https://files.example.org/a.zip", 0),
        ("https://zenodo.org/records/1/a.zip", 0),
    ):
        made = dossier(tmp_path, source("aaa", "http", urls=[url]))
        assert len(list(foreign_host.check(made))) == count
