"""A pin holds what its card names, and nothing else is fetched: on every connector."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from phloem.sources.connector import (
    Pin,
    PinnedFile,
    WrongError,
    connectors,
    find_connector,
    foreign,
)

SHA = "0" * 64
COMMIT = "7" * 40
OTHER = "8" * 40
EVIL = "https://evil.example"


def _pin(*files: tuple[str, str | None], version: str = "1") -> Pin:
    return Pin(version, tuple(PinnedFile(name, SHA, 1, url) for name, url in files))


ARXIV = "https://oaipmh.arxiv.org/oai?verb=ListRecords&metadataPrefix=arXiv&until=2026-01-01"
HUB = f"https://huggingface.co/datasets/some/texts/resolve/{COMMIT}"
OPUS = "https://object.pouta.csc.fi/OPUS-Books/v1/mono"
GUTENBERG = "https://gutenberg.pglaf.org/cache/epub/7"
PMC = "https://pmc-oa-opendata.s3.amazonaws.com/PMC7.1"
DUMPS = "https://dumps.wikimedia.org/swwiki/20260101"
DUMP = "swwiki-20260101-pages-articles-multistream"
STACK = "https://archive.org/download/stackexchange"

# Connector -> what a card names, and what its provider serves of it.
OWN: dict[str, tuple[dict[str, Any], Pin]] = {
    "arxiv": ({"sets": ["math"]}, _pin(("records.jsonl", ARXIV), version="2026-01-01")),
    "crates": ({"packages": {"mdbook": "0.4.1", "clap": None}}, _pin(
        ("mdbook@0.4.1.crate", None), ("clap@4.0.0.crate", None)
    )),
    "deb": ({"packages": {"doc-base": "1:0.11-1"}}, _pin(("doc-base_1%3a0.11-1_all.deb", None))),
    "files": ({"path": "https://good.example/texts/a.jsonl"}, _pin(
        ("a.jsonl", "https://good.example/texts/a.jsonl")
    )),
    "git": ({"repositories": {"https://good.example/a/b.git": {"revision": COMMIT}}}, _pin(
        (f"good.example/a/b@{COMMIT}.zip", None)
    )),
    "gomod": ({"packages": {"golang.org/x/text": "v0.3.0"}}, _pin(
        ("golang.org/x/text@v0.3.0.zip", None)
    )),
    "gutenberg": ({"languages": ["pt"], "exclude": [8]}, _pin(
        ("pt/pg7.txt", f"{GUTENBERG}/pg7.txt")
    )),
    "http": ({"urls": ["https://good.example/a.txt"]}, _pin(
        ("a.txt", "https://good.example/a.txt")
    )),
    "huggingface": ({"dataset": "some/texts", "configs": ["sw"]}, _pin(
        ("sw/data/a b.parquet", f"{HUB}/data/a%20b.parquet"), version=COMMIT
    )),
    "maven": ({"packages": {"org.good:text": "1.0"}}, _pin(
        ("org.good:text@1.0-sources.jar", None)
    )),
    "npm": ({"packages": {"@babel/parser": "7.0.0"}}, _pin(("@babel/parser@7.0.0.tgz", None))),
    "opus": ({"corpus": "Books", "release": "v1", "languages": {"pt": "pt"}}, _pin(
        ("mono/pt.txt.gz", f"{OPUS}/pt.txt.gz")
    )),
    "pmc": ({"subset": "comm"}, _pin(("PMC7.1.xml", f"{PMC}/PMC7.1.xml"))),
    "pypi": ({"packages": {"Good_Texts": "1.0"}}, _pin(
        ("good_texts-1.0.0-py3-none-any.whl", None)
    )),
    "stackexchange": ({"sites": {"meta.askubuntu.com": "en"}}, _pin(
        ("meta.askubuntu.com.7z", f"{STACK}/meta.askubuntu.com.7z")
    )),
    "warc": ({"urls": ["https://good.example/a.warc.gz"]}, _pin(
        ("a.warc.gz", "https://good.example/a.warc.gz")
    )),
    "wikimedia": ({"wikis": {"swwiki": "sw"}, "dump": "20260101"}, _pin(
        (f"{DUMP}.xml.bz2", f"{DUMPS}/{DUMP}.xml.bz2"),
        (f"{DUMP}-index.txt.bz2", f"{DUMPS}/{DUMP}-index.txt.bz2"),
    )),
}  # fmt: skip

# What another pin's first file is called, or where it lies: another package, version, host or path.
FOREIGN = [
    ("arxiv", "other.jsonl", None),
    ("crates", "evil@0.4.1.crate", None),
    ("crates", "mdbook@0.4.2.crate", None),
    ("crates", "--config@0.4.1.crate", None),
    ("deb", "evil_0.11-1_all.deb", None),
    ("deb", "doc-base_0.12-1_all.deb", None),
    ("deb", "../doc-base_1%3a0.11-1_all.deb", None),
    ("files", "a.jsonl", "https://good.example/others/a.jsonl"),
    ("files", "a.txt", "https://good.example/texts/a.jsonl"),
    ("files", "а.jsonl", "https://good.example/texts/a.jsonl"),
    ("files", "a.jsonl", None),
    ("git", f"evil.example/a/b@{COMMIT}.zip", None),
    ("git", f"good.example/a/b@{OTHER}.zip", None),
    ("git", "good.example/a/b@main.zip", None),
    ("gomod", "golang.org/x/evil@v0.3.0.zip", None),
    ("gomod", "golang.org/x/text@v0.3.1.zip", None),
    ("gutenberg", "fr/pg7.txt", None),
    ("gutenberg", "pt/pg٧.txt", f"{GUTENBERG}/pg7.txt"),
    ("gutenberg", "pt/pg8.txt", f"{GUTENBERG[:-1]}8/pg8.txt"),
    ("http", "a.txt", "https://good.example/b.txt"),
    ("http", "a.txt", None),
    ("huggingface", "sw/a.parquet", f"{HUB.replace('texts', 'evils')}/a.parquet"),
    ("huggingface", "sw/a.parquet", f"{HUB.replace(COMMIT, OTHER)}/a.parquet"),
    ("huggingface", "fr/a.parquet", f"{HUB}/a.parquet"),
    ("huggingface", "sw/../../x/a.parquet", f"{HUB}/../../x/a.parquet"),
    ("maven", "org.evil:text@1.0-sources.jar", None),
    ("maven", "org.good:text@1.1-sources.jar", None),
    ("npm", "@evil/parser@7.0.0.tgz", None),
    ("npm", "@babel/parser@7.0.1.tgz", None),
    ("opus", "mono/fr.txt.gz", f"{OPUS}/fr.txt.gz"),
    ("opus", "mono/pt.txt.gz", f"{OPUS.replace('Books', 'Evils')}/pt.txt.gz"),
    ("pmc", "PMC7.1.xml", f"{PMC}/PMC8.1.xml"),
    ("pmc", "../PMC7.1.xml", f"{PMC}/../PMC7.1.xml"),
    ("pypi", "evil-1.0.0-py3-none-any.whl", None),
    ("pypi", "good_texts-1.1-py3-none-any.whl", None),
    ("pypi", "good_texts-1.0.tar.gz", None),
    ("stackexchange", "evil.com.7z", f"{STACK}/evil.com.7z"),
    ("warc", "a.warc.gz", "https://good.example/b.warc.gz"),
    ("wikimedia", f"{DUMP}.xml.bz2".replace("sw", "fr"), None),
    ("wikimedia", f"{DUMP}.xml.bz2".replace("2026", "2025"), None),
    ("wikimedia", f"{DUMP}.xml.bz2", f"{DUMPS}/../x/{DUMP}.xml.bz2"),
]  # fmt: skip
# At another host, every connector's own file is foreign.
FOREIGN += [(name, pin.files[0].name, f"{EVIL}/a") for name, (_, pin) in OWN.items()]


def _told(name: str, pin: Pin) -> list[str]:
    connector = find_connector(name)
    return foreign(connector, connector.Params.model_validate(OWN[name][0]), pin)


def test_every_connector_is_tried() -> None:
    assert sorted(OWN) == connectors()


@pytest.mark.parametrize("name", sorted(OWN))
def test_what_a_card_names_is_its_own(name: str) -> None:
    assert _told(name, OWN[name][1]) == []


@pytest.mark.parametrize(("name", "file", "url"), FOREIGN)
def test_foreign_pin_is_told_and_refused_before_anything_is_asked(
    name: str, file: str, url: str | None, tmp_path: Path
) -> None:
    params, own = OWN[name]
    pin = replace(own, files=(PinnedFile(file, SHA, 1, url), *own.files[1:]))
    told = _told(name, pin)
    assert told
    assert any(file in line or "which the card names" in line for line in told)
    connector = find_connector(name)
    with pytest.raises(WrongError, match="its lock entry holds what the card does not name"):
        connector.fetch(connector.Params.model_validate(params), pin, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("name", sorted(OWN))
def test_file_that_is_pinned_twice_is_told(name: str) -> None:
    pin = OWN[name][1]
    twice = replace(pin, files=(*pin.files, pin.files[0]))
    assert f"{pin.files[0].name} stands there twice" in _told(name, twice)


@pytest.mark.parametrize(
    ("name", "version"), [("arxiv", "../x"), ("huggingface", "main"), ("huggingface", "../x")]
)
def test_version_that_is_asked_for_is_of_its_form(name: str, version: str) -> None:
    assert _told(name, replace(OWN[name][1], version=version))


def test_package_of_which_nothing_is_locked_is_told() -> None:
    _, pin = OWN["crates"]
    told = _told("crates", replace(pin, files=pin.files[:1]))
    assert told == ["no file of clap, which the card names"]


def test_domains_of_a_crawl_have_no_addresses() -> None:
    connector = find_connector("warc")
    params = connector.Params.model_validate(
        {"crawls": ["CC-MAIN-2024-33"], "domains": ["good.example"]}
    )
    own = _pin(("captures.jsonl", None), ("part-00000.warc.gz", None))
    assert foreign(connector, params, own) == []
    for file, url in (("other.jsonl", None), ("captures.jsonl", EVIL)):
        assert foreign(connector, params, _pin((file, url)))


def test_two_versions_of_a_package_are_told() -> None:
    _, pin = OWN["crates"]
    other = PinnedFile("clap@4.0.1.crate", SHA, 1)
    assert _told("crates", replace(pin, files=(*pin.files, other))) == [
        "clap@4.0.1.crate is clap 4.0.1, and 4.0.0 is pinned as well"
    ]


def test_addresses_of_files_are_not_exchanged() -> None:
    connector = find_connector("files")
    names = ["a.sw.txt", "b.fr.txt"]
    params = connector.Params.model_validate({"path": [f"https://good.example/{n}" for n in names]})
    own = _pin(*((name, f"https://good.example/{name}") for name in names))
    assert foreign(connector, params, own) == []
    exchanged = _pin(
        *((n, f"https://good.example/{m}") for n, m in zip(names, reversed(names), strict=True))
    )
    assert len(foreign(connector, params, exchanged)) == 2


@pytest.mark.parametrize(
    "mark", [".", "\n", "\x1b[2J", "\N{CYRILLIC SMALL LETTER IE}", "%2e", "\N{ZERO WIDTH SPACE}"]
)
@pytest.mark.parametrize("name", sorted(OWN))
def test_name_that_only_looks_like_the_cards_is_told_in_a_line(name: str, mark: str) -> None:
    first, *others = OWN[name][1].files
    place = first.name.rindex(".")
    alike = f"{first.name[:place]}{mark}{first.name[place:]}"
    pin = replace(OWN[name][1], files=(replace(first, name=alike), *others))
    told = _told(name, pin)
    assert told
    assert not any("\n" in line or "\x1b" in line for line in told)


PRETENDING = [
    "{scheme}://{host}:443/{path}", "{scheme}://{host}:8443/{path}", "{scheme}://u:p@{host}/{path}",
    "{scheme}://{host}@evil.example/{path}", "{scheme}://evil.example#@{host}/{path}",
    "{scheme}://evil.example\\@{host}/{path}", "{scheme}://{host}./{path}",
    "{scheme}://{host}.evil.example/{path}", "{scheme}://[::1]/{path}",
    "{scheme}://2130706433/{path}", "{scheme}://0177.0.0.1/{path}", "http://{host}/{path}",
    "{scheme}://{host}/x/../{path}", "{scheme}://{host}/x/%2e%2e/{path}", "file:///{path}",
    "{scheme}://{host}/{path}\r\nX: y", "{scheme}://{host}/\t{path}", "{scheme}://{host}//{path}",
    "{scheme}://{host}/{path}?x=1", "{scheme}://{host}/{path}#x",
]  # fmt: skip


@pytest.mark.parametrize("url", PRETENDING)
def test_address_that_only_looks_like_the_cards_is_told_in_a_line(url: str) -> None:
    for name, (_, own) in OWN.items():
        first, *others = own.files
        scheme, _, rest = (first.url or "https://good.example/a").partition("://")
        host, _, path = rest.partition("/")
        there = url.format(scheme=scheme, host=host, path=path)
        told = _told(name, replace(own, files=(replace(first, url=there), *others)))
        assert told, name
        assert not any("\n" in line for line in told)
