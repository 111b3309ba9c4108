"""The connector for arXiv."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
import web_host
from pydantic import ValidationError
from reading import Rows, contents, read_all, read_files

from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.connectors import arxiv

ABSTRACT = "  We study $\\alpha < 1$\nin many lines.\n  A second paragraph: été, 漢字.\n"
CC = "http://creativecommons.org/licenses/by/4.0/"
OWN = "http://arxiv.org/licenses/nonexclusive-distrib/1.0/"


def record(number: str, title: str = "On\n  things", terms: str = CC) -> str:
    said = f"<license>{terms}</license>" if terms else ""
    return f"""<record>
<header><identifier>oai:arXiv.org:{number}</identifier><datestamp>2024-05-01</datestamp>
<setSpec>math:math:NT</setSpec></header>
<metadata><arXiv xmlns="http://arxiv.org/OAI/arXiv/">
 <id>{number}</id><created>2024-04-30</created><updated>2024-05-01</updated>
 <authors><author><keyname>Noether</keyname><forenames>Emmy</forenames></author></authors>
 <title>{title}</title><categories>math.NT</categories><comments>9 pages</comments>
 {said}<abstract>{escape(ABSTRACT)}</abstract>
</arXiv></metadata></record>
"""


DELETED = (
    '<record><header status="deleted"><identifier>oai:arXiv.org:9</identifier>'
    "<datestamp>2024-05-01</datestamp></header></record>"
)


def answer(inner: str, after: str = "") -> web_host.Page:
    more = f"<resumptionToken>{after}</resumptionToken>" if after else ""
    body = f"""<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2024-05-02T00:00:00Z</responseDate>
<ListRecords>{inner}{more}</ListRecords></OAI-PMH>"""
    return web_host.Page(body.encode())


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_host.Host]:
    with web_host.running(monkeypatch) as found:
        monkeypatch.setattr(arxiv, "SITE", f"{found.address}/oai")
        yield found


def lead(host: web_host.Host, *answers: web_host.Answer) -> None:
    """Give these answers, in order, to what is asked next."""
    host.once["/oai"] = list(answers)


def read_lines(folder: Path, body: bytes, **given: list[str]) -> tuple[Rows, list[Fault]]:
    """Read harvested lines that lie here, whatever they are."""
    (folder / "a").write_bytes(body)
    pin = Pin("2024-05-01", (PinnedFile(arxiv.NAME, "0" * 64, len(body)),))
    params = arxiv.Params(sets=["math"], **given)
    return read_files(arxiv, params, pin, {arxiv.NAME: str(folder / "a")}, record_bytes=5000)


def test_arxiv_pages_are_followed_to_the_end(host: web_host.Host, tmp_path: Path) -> None:
    pages = [
        answer(record("2404.00002") + DELETED, after="a b|1"),
        answer(
            record("2404.00001", "Über Äpfel &amp; mehr", OWN) + record("math/0301001", terms="")
        ),
    ]
    lead(host, *pages, *pages)
    rows, faults = read_all(arxiv, arxiv.Params(sets=["math"]), tmp_path / "files")
    assert faults == []
    assert [row["native_id"] for row in rows] == ["2404.00001", "2404.00002", "math/0301001"]
    assert contents(rows)[1] == (
        "On things\n\nWe study $\\alpha < 1$ in many lines.\n\nA second paragraph: été, 漢字."
    )
    assert not any("Noether" in text for text in contents(rows))
    assert rows[0]["title"] == "Über Äpfel & mehr"
    assert rows[0]["url"] == "https://arxiv.org/abs/2404.00001"
    assert rows[0]["published"] == "2024-04-30"
    assert [row["license"] for row in rows] == [
        "LicenseRef-arxiv-nonexclusive",
        "CC-BY-4.0",
        "LicenseRef-unknown",
    ]
    assert "metadataPrefix=arXiv&set=math&until=" in host.asked[0][0]
    assert host.asked[1][0] == "/oai?verb=ListRecords&resumptionToken=a+b%7C1"


def test_arxiv_paper_in_two_sets_comes_once(host: web_host.Host, tmp_path: Path) -> None:
    both = [answer(record("1") + record("2")), answer(record("2"))]
    lead(host, *both, *both)
    params = arxiv.Params(sets=["math", "physics:hep-th"])
    rows, _ = read_all(arxiv, params, tmp_path / "files")
    assert [row["native_id"] for row in rows] == ["1", "2"]


def test_arxiv_only_the_licences_of_the_card_are_read(host: web_host.Host, tmp_path: Path) -> None:
    page = answer(record("1") + record("2", terms=OWN) + record("3", terms=""))
    lead(host, page, page)
    params = arxiv.Params(sets=["math"], licenses=["CC-BY-4.0", "CC0-1.0"])
    rows, faults = read_all(arxiv, params, tmp_path / "files")
    assert ([row["native_id"] for row in rows], faults) == (["1"], [])


def test_arxiv_that_asks_to_wait_is_asked_again(
    host: web_host.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = web_host.no_waits(monkeypatch)
    busy = web_host.Page(status=503, headers={"Retry-After": "7"})
    lead(host, busy, answer(record("1")))
    assert arxiv.resolve(arxiv.Params(sets=["math"])).files[0].bytes > 0
    assert max(waits) >= 7


def test_arxiv_that_revised_records_since_is_gone(host: web_host.Host, tmp_path: Path) -> None:
    params = arxiv.Params(sets=["math"])
    lead(host, answer(record("1") + record("2")), answer(record("2")))
    pin = arxiv.resolve(params)
    with pytest.raises(GoneError, match="it has revised some; lock it again"):
        arxiv.fetch(params, pin, tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            '<OAI-PMH><error code="noRecordsMatch">no</error></OAI-PMH>',
            "noRecordsMatch; see `sets`",
        ),
        ("<html><body>maintenance</body></html>", "something else instead of OAI-PMH"),
        ("<OAI-PMH><ListRecords>", "truncated XML instead"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><OAI-PMH>&b;</OAI-PMH>', "declarations of its own"),
        ("<OAI-PMH>\udcff</OAI-PMH>", "broken XML instead"),
    ],
)
def test_arxiv_answer_that_is_none_is_an_error(host: web_host.Host, body: str, said: str) -> None:
    lead(host, web_host.Page(body.encode("utf-8", "surrogateescape")))
    with pytest.raises(SourceError, match=said):
        arxiv.resolve(arxiv.Params(sets=["math"]))


def test_arxiv_token_that_comes_again_is_an_error(host: web_host.Host) -> None:
    lead(host, *[answer(record("1"), after="same")] * 3)
    with pytest.raises(SourceError, match="does not come to the end"):
        arxiv.resolve(arxiv.Params(sets=["math"]))


def test_arxiv_lines_split_anywhere_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"title": "T", "abstract": "สวัสดี", "license": CC, "created": "2024-01-01"}
    lines = [json.dumps({"id": str(n), **facts}, ensure_ascii=False) for n in range(30)]
    body = ("\n".join(lines) + "\n").encode()
    whole, _ = read_lines(tmp_path, body)
    assert len(whole) == 30
    for size in (len(lines[0].encode()) + 1, 100, 7):
        monkeypatch.setattr(arxiv, "SPLIT_BYTES", size)
        assert read_lines(tmp_path, body) == (whole, [])


def test_arxiv_lines_that_are_broken_are_faults(tmp_path: Path) -> None:
    good = json.dumps({"id": "1", "title": "T", "abstract": "A", "license": "", "created": ""})
    bare = json.dumps({"id": "2", "title": "T", "abstract": "", "license": "", "created": ""})
    body = "\n".join(
        ["{", good, "[1]", good.replace('"T"', '"\\ud800"'), bare, '"' + "x" * 6000 + '"', good]
    ).encode()
    rows, faults = read_lines(tmp_path, body)
    assert len(rows) == 2
    assert [fault.reason for fault in faults] == [
        "not a record of arXiv",
        "not a record of arXiv",
        "not a record of arXiv",
        "record without an abstract",
        "record larger than 5000 bytes (limits.record_bytes)",
    ]


@pytest.mark.parametrize("name", ["", "-x", "cs.CL", "math&verb=x", "a:b:c:d"])
def test_arxiv_set_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="no set of arXiv"):
        arxiv.Params(sets=[name])
