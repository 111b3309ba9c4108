"""The connector for PubMed Central."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import web_host
from pydantic import ValidationError
from reading import Rows, read_all, read_files

from phloem.filters.extract_jats import jats
from phloem.sources.connector import Fault, Pin, PinnedFile, SourceError
from phloem.sources.connectors import pmc
from phloem.sources.formats import together

CC = "https://creativecommons.org/licenses/by/4.0/"


def article(text: str = "Nous étudions 心臓.", terms: str = CC) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) 1.3//EN" "JATS-archivearticle1-3.dtd">
<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:ali="http://www.niso.org/schemas/ali/1.0/">
<front><article-meta><title-group><article-title>Cœur</article-title></title-group>
<contrib-group><contrib><name><surname>Nom</surname></name></contrib></contrib-group>
<pub-date pub-type="ppub"><year>2020</year><month>5</month></pub-date>
<pub-date pub-type="epub"><day>7</day><month>3</month><year>2020</year></pub-date>
<permissions><license><ali:license_ref>{terms}</ali:license_ref>
<license-p>Open</license-p></license></permissions>
<abstract><p>Résumé.</p></abstract></article-meta></front>
<body><sec><title>Méthodes</title><p>{text}</p></sec></body></article>""".encode()


def facts(**changed: Any) -> bytes:
    said = {
        "pmcid": "PMC5",
        "title": "Cœur",
        "is_pmc_openaccess": True,
        "is_retracted": False,
        "license_code": "CC BY",
        **changed,
    }
    return json.dumps({key: value for key, value in said.items() if value != "-"}).encode()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_host.Host]:
    with web_host.running(monkeypatch) as found:
        monkeypatch.setattr(pmc, "SITE", found.address)
        monkeypatch.setattr(pmc, "SEARCH", f"{found.address}/esearch.fcgi")
        yield found


def search(*numbers: str, count: int | None = None) -> web_host.Page:
    said = {"count": str(len(numbers) if count is None else count), "idlist": list(numbers)}
    return web_host.Page(json.dumps({"esearchresult": said}).encode())


def serve(host: web_host.Host, number: str, versions: list[int], **files: bytes) -> None:
    """Serve versions of an article as the provider lays them out."""
    listed = "".join(
        f"<CommonPrefixes><Prefix>PMC{number}.{v}/</Prefix></CommonPrefixes>" for v in versions
    )
    place = f"/?list-type=2&prefix=PMC{number}.&delimiter=%2F"
    xmlns = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    body = f"<ListBucketResult {xmlns}>{listed}</ListBucketResult>"
    host.pages[place] = web_host.Page(body.encode())
    for version in versions:
        stem = f"/PMC{number}.{version}/PMC{number}.{version}"
        host.pages[f"{stem}.xml"] = web_host.Page(files.get("xml", article(f"Version {version}.")))
        host.pages[f"{stem}.json"] = web_host.Page(files.get("json", facts()))


def read_one(
    folder: Path, xml: bytes, said: bytes, params: pmc.Params | None = None, **limits: int
) -> tuple[Rows, list[Fault]]:
    """Read an article that lies here, whatever is in it."""
    bodies = {"PMC5.1.json": said, "PMC5.1.xml": xml}
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    pin = Pin("1", tuple(PinnedFile(name, "0" * 64, len(body)) for name, body in bodies.items()))
    files = {name: str(folder / name) for name in bodies}
    return read_files(pmc, params or pmc.Params(), pin, files, **limits)


def text_of(row: dict[str, Any]) -> str:
    batch = pa.record_batch({"content": [row["content"]], "media_type": [row["media_type"]]})
    return str(jats(batch).arrays[0][0].as_py())


def test_pmc_newest_version_of_what_is_found_is_read(host: web_host.Host, tmp_path: Path) -> None:
    host.pages["/esearch.fcgi"] = search("50", "5", "6")
    serve(host, "5", [1, 2, 10])
    serve(host, "50", [1], json=facts(is_retracted=True))
    serve(host, "6", [])
    rows, faults = read_all(pmc, pmc.Params(query='"A"[journal]'), tmp_path / "files")
    assert faults == []
    (row,) = rows
    assert row["native_id"] == "PMC5"
    assert row["url"] == "https://pmc.ncbi.nlm.nih.gov/articles/PMC5/"
    assert (row["title"], row["published"], row["license"]) == ("Cœur", "2020-03-07", "CC-BY-4.0")
    assert text_of(row) == "Cœur\n\nRésumé.\n\nMéthodes\n\nVersion 10."
    asked = next(path for path in host.paths() if "esearch" in path)
    assert "open_access%5BFilter%5D+AND+%28%22A%22%5Bjournal%5D%29+AND+%28cc0_license" in asked


def test_pmc_search_of_several_pages_is_followed(
    host: web_host.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pmc, "PAGE", 2)
    host.once["/esearch.fcgi"] = [search("1", "2", count=3), search("3", count=3)]
    for number in "123":
        serve(host, number, [1])
    pin = pmc.resolve(pmc.Params())
    assert [file.name for file in pin.files if file.name.endswith("xml")] == [
        "PMC1.1.xml",
        "PMC2.1.xml",
        "PMC3.1.xml",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (search(), "finds 0 articles"),
        (search("1", count=9_000_000), "finds 9000000 articles, not 1 to"),
        (web_host.Page(b"<html>"), "does not answer with a list"),
        (web_host.Page(b'{"esearchresult": {"ERROR": "x"}}'), "does not answer with a list"),
    ],
)
def test_pmc_search_that_finds_nothing_to_read_is_an_error(
    host: web_host.Host, answer: web_host.Page, said: str
) -> None:
    host.pages["/esearch.fcgi"] = answer
    with pytest.raises(SourceError, match=said):
        pmc.resolve(pmc.Params())


@pytest.mark.parametrize(
    ("changed", "given", "found"),
    [
        ({}, {}, 1),
        ({"license_code": "CC BY-NC"}, {}, 0),
        ({"license_code": "TDM"}, {"subset": "other"}, 1),
        ({}, {"subset": "other"}, 0),
        ({"is_pmc_openaccess": False}, {}, 0),
        ({}, {"licenses": ["CC-BY-4.0"]}, 1),
        ({}, {"licenses": ["CC0-1.0"]}, 0),
    ],
)
def test_pmc_articles_outside_the_card_are_no_documents(
    tmp_path: Path, changed: dict[str, Any], given: dict[str, Any], found: int
) -> None:
    rows, faults = read_one(tmp_path, article(), facts(**changed), pmc.Params(**given))
    assert (len(rows), faults) == (found, [])


@pytest.mark.parametrize(
    ("xml", "said", "reason"),
    [
        (article(terms="see below"), facts(), "does not name the version of its licence"),
        (article(terms=CC.replace("by/4", "by-nc/4")), facts(), "does not name the version"),
        (article(), b"{", "whose record says too little"),
        (article(), facts(is_retracted="-"), "whose record says too little"),
        (article()[:300], facts(), "truncated XML"),
        (b"<article/>", facts(), "article without metadata"),
        (article().replace(b"Open", b"\xff\xfe"), facts(), "broken XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', facts(), "declarations of its own"),
        (article("x" * 9000), facts(), "limits.record_bytes"),
    ],
)
def test_pmc_article_that_is_broken_is_a_fault(
    tmp_path: Path, xml: bytes, said: bytes, reason: str
) -> None:
    rows, faults = read_one(tmp_path, xml, said, record_bytes=5000)
    assert rows == []
    assert [(fault.native_id, reason in fault.reason) for fault in faults] == [("PMC5", True)]


BY = "the <italic>Creative Commons</italic> Attribution License, which"
BY_NC = "a Creative Commons Attribution Non-Commercial License"
PORT = 'xlink:href="http://creativecommons.org/licenses/by/3.0/de/"'


@pytest.mark.parametrize(
    ("statement", "code", "terms"),
    [
        (f"<license><p>{BY}</p></license>", "CC BY", "CC-BY-3.0"),
        (f"<copyright-statement>{BY}</copyright-statement>", "CC BY", "CC-BY-3.0"),
        (f"<license><p>{BY_NC} 2.0</p></license>", "CC BY-NC", "CC-BY-NC-2.0"),
        (f"<license><p>{BY_NC}</p></license>", "CC BY", None),
        (f"<license {PORT}><p>{BY}</p></license>", "CC BY", None),
    ],
)
def test_pmc_licence_that_names_no_version_is_read_from_its_words(
    tmp_path: Path, statement: str, code: str, terms: str | None
) -> None:
    whole = article().decode()
    begin, end = whole.index("<license>"), whole.index("</permissions>")
    old = (whole[:begin] + statement + whole[end:]).replace("2020", "2009").encode()
    params = pmc.Params(subset="noncomm" if "NC" in code else "comm")
    rows, faults = read_one(tmp_path, old, facts(license_code=code), params)
    assert [row["license"] for row in rows] == ([terms] if terms else [])
    assert len(faults) == (terms is None)


def test_pmc_title_with_a_lone_surrogate_is_read(tmp_path: Path) -> None:
    ((row,), faults) = read_one(tmp_path, article(), facts(title="C\ud800"))
    assert (row["title"], faults) == ("C?", [])


def test_pmc_very_many_articles_share_splits_up_to_their_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"PMC{n}.1{ending}" for n in range(5) for ending in (".json", ".xml")]
    pin = Pin("1", tuple(PinnedFile(name, "0" * 64, 10) for name in names))
    assert [s.files for s in pmc.splits(pmc.Params(), pin, {})] == [
        (f"PMC{n}.1.json", f"PMC{n}.1.xml") for n in range(5)
    ]
    monkeypatch.setattr(together, "ALONE", 4)
    monkeypatch.setattr(together, "BITS", 0)
    (whole,) = pmc.splits(pmc.Params(), pin, {})
    assert whole.files == tuple(names)
    monkeypatch.setattr(pmc, "SPLIT_BYTES", 100)
    assert len(pmc.splits(pmc.Params(), pin, {})) == 1
    monkeypatch.setattr(pmc, "SPLIT_BYTES", 49)
    assert len(pmc.splits(pmc.Params(), pin, {})) == 5


@pytest.mark.parametrize("query", ["a) OR (b", "(a", 'b"', ")", 'a")"('])
def test_pmc_query_that_could_widen_the_search_is_refused(query: str) -> None:
    with pytest.raises(ValidationError, match="do not match"):
        pmc.Params(query=query)
