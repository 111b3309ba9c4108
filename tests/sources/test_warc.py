"""The connector for web archives, against a host with an index and a store of archives."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from web_host import Handler, Host, Page, no_waits, running

from phloem.sources.clients import crawl_index
from phloem.sources.connector import Fault, GoneError, SourceError
from phloem.sources.connectors import warc
from phloem.sources.formats import read_warc
from phloem.sources.formats.read_warc import Pages
from phloem.sources.limits import Limits
from phloem.sources.web import robots
from phloem.sources.web.robots import DeniedError

HTML = b"Content-Type: text/html; charset=UTF-8\r\n"
PAGE = "<html><p>Wote wamezaliwa huru — ทุกคน 🌍</p></html>".encode()


def record(
    body: bytes = PAGE,
    *,
    url: str = "https://example.org/a",
    kind: str = "response",
    http: bytes = HTML,
    status: bytes = b"HTTP/1.1 200 OK",
    more: bytes = b"",
    length: int | None = None,
) -> bytes:
    """A record as Common Crawl writes it."""
    block = status + b"\r\n" + http + b"\r\n" + body if kind == "response" else body
    size = len(block) if length is None else length
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: 2024-08-03T10:11:12Z\r\n"
        "WARC-Record-ID: <urn:uuid:11fc3b2a-3d5a-4d86-a1ef-1f0c1a7e5c55>\r\n"
        f"WARC-Target-URI: {url}\r\nContent-Length: {size}\r\n"
    )
    return head.encode() + more + b"\r\n" + block + b"\r\n\r\n"


def read(
    content: bytes, folder: Path, name: str = "a.warc", pages: Pages | None = None, **limits: int
) -> tuple[list[dict[str, Any]], list[Fault]]:
    (folder / name).write_bytes(content)
    return gathered(
        read_warc.warc(name, str(folder / name), pages or Pages("warc"), Limits(**limits))
    )


def gathered(found: Iterator[Any]) -> tuple[list[dict[str, Any]], list[Fault]]:
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for batch in found:
        if isinstance(batch, Fault):
            faults.append(batch)
        else:
            rows += batch.to_pylist()
    return rows, faults


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_pages_are_documents_with_address_and_charset_and_all_else_is_none(
    tmp_path: Path, name: str
) -> None:
    records = [
        record(b"software: x\r\n", kind="warcinfo"),
        record(b"GET / HTTP/1.1\r\n\r\n", kind="request"),
        record(),
        record(b"", status=b"HTTP/1.1 301 Moved", http=b"Location: /b\r\n"),
        record(b"\x89PNG", url="https://example.org/i.png", http=b"Content-Type: image/png\r\n"),
        record(b"fetchTime: 3\r\n", kind="metadata"),
        record(b"caf\xe9", url="<https://example.org/b>", http=b"content-type: text/plain\r\n"),
        record(b"x", kind="of-tomorrow"),
    ]
    pack = gzip.compress if name.endswith("gz") else bytes
    rows, faults = read(b"".join(map(pack, records)), tmp_path, name)
    assert faults == []
    assert [(r["native_id"], r["url"], r["media_type"], r["content"]) for r in rows] == [
        ("https://example.org/a",) * 2 + ("text/html; charset=utf-8", PAGE),
        ("https://example.org/b",) * 2 + ("text/plain", b"caf\xe9"),
    ]


def test_answers_before_the_page_and_kinds_in_any_case_stand_in_no_ones_way(tmp_path: Path) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    content = record(status=interim + b"HTTP/1.1 200 OK")
    content += record(b"HTTP/1.1 200 OK\r\n" + HTML + b"\r\n" + PAGE, kind="RESPONSE")
    rows, faults = read(content, tmp_path)
    assert ([row["content"] for row in rows], faults) == ([PAGE] * 2, [])


def test_what_a_crawler_asked_of_names_is_no_page_that_failed(tmp_path: Path) -> None:
    asked = b"20240803101112\r\nexample.org. 300 IN A 192.0.2.1\r\n"
    content = record(asked, url="dns:example.org", status=b"", http=b"") + record()
    rows, faults = read(content, tmp_path)
    assert ([row["content"] for row in rows], faults) == ([PAGE], [])


@pytest.mark.parametrize("is_packed", [False, True])
def test_zstd_with_a_dictionary_is_read_by_that_of_its_file(
    tmp_path: Path, is_packed: bool
) -> None:
    urls = [f"https://example.org/{number}" for number in range(3)]
    trained = zstandard.train_dictionary(4096, [record(url=f"{urls[0]}{n}") for n in range(2000)])
    content = trained.as_bytes()
    content = zstandard.ZstdCompressor().compress(content) if is_packed else content
    frame = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    packer = zstandard.ZstdCompressor(dict_data=trained)
    packed = [packer.compress(record(url=url)) for url in urls]
    rows, faults = read(frame + b"".join(packed), tmp_path, "a.warc.zst")
    assert ([row["url"] for row in rows], faults) == (urls, [])
    packed[1] = packed[1][:-9] + b"\xff" * 9  # the next begins a record all the same
    rows, faults = read(frame + b"".join(packed), tmp_path, "a.warc.zst")
    assert {urls[0], urls[2]} <= {row["url"] for row in rows}
    assert [(fault.rest, fault.offset < len(frame + packed[0])) for fault in faults] == [
        (True, False)
    ]
    rows, faults = read(packed[0], tmp_path, "a.warc.zst")
    assert rows == []
    assert faults == [Fault(None, 0, "zstd with a dictionary that is not there", rest=True)]
    rows, faults = read(frame, tmp_path, "a.warc.zst", record_bytes=100)
    assert rows == []
    assert "zstd dictionary larger than 100 bytes" in faults[0].reason


@pytest.mark.parametrize("label", ["x-sjis", "windows-874", "ks_c_5601-1987", "nobody-knows"])
def test_pages_keep_the_label_that_their_server_said(tmp_path: Path, label: str) -> None:
    """Python has no codec of these names; what they mean is for the extractor to say."""
    told = f"Content-Type: text/html; charset={label}\r\n".encode()
    rows, faults = read(record(http=told), tmp_path, "a.warc")
    assert (faults, rows[0]["media_type"]) == ([], f"text/html; charset={label}")


def test_wet_texts_are_documents(tmp_path: Path) -> None:
    content = record("ทุกคน".encode(), kind="conversion") + record()
    rows, faults = read(content, tmp_path, "a.warc.wet", Pages("wet", dated=True))
    assert faults == []
    assert [(row["native_id"], row["content"].decode()) for row in rows] == [
        ("https://example.org/a@2024-08-03T10:11:12Z", "ทุกคน")
    ]


def chunks(body: bytes) -> bytes:
    half = len(body) // 2
    parts = (body[:half], body[half:], b"")
    return b"".join(f"{len(part):x};x=y\r\n".encode() + part + b"\r\n" for part in parts)


RAW_DEFLATE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("http", "body"),
    [
        (b"Content-Encoding: gzip\r\n", gzip.compress(PAGE, mtime=0)),
        (b"Content-Encoding: deflate\r\n", zlib.compress(PAGE)),
        (b"Content-Encoding: deflate\r\n", RAW_DEFLATE.compress(PAGE) + RAW_DEFLATE.flush()),
        (b"Transfer-Encoding: chunked\r\n", chunks(PAGE)),
        (
            b"Transfer-Encoding: chunked\r\nContent-Encoding: x-gzip\r\n",
            chunks(gzip.compress(PAGE, mtime=0)),
        ),
        (b"X-Crawler-Content-Encoding: gzip\r\nContent-Encoding: identity\r\n", PAGE),
        (b"Transfer-Encoding: gzip, Chunked\r\n", chunks(gzip.compress(PAGE, mtime=0))),
        (
            b"Content-Encoding: deflate\r\nContent-Encoding: gzip\r\n",
            gzip.compress(zlib.compress(PAGE), mtime=0),
        ),
        (b"Content-Encoding:\r\n gzip\r\n", gzip.compress(PAGE, mtime=0)),
    ],
)
def test_pages_are_unpacked_as_they_say(tmp_path: Path, http: bytes, body: bytes) -> None:
    rows, faults = read(record(body, http=HTML + http), tmp_path)
    assert ([row["content"] for row in rows], faults) == ([PAGE], [])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (record(b"nonsense", status=b"220 ftp.example.org"), "no HTTP response"),
        (record(http=b"Server: x\r\n"), "page without a media type"),
        (record(http=HTML + b"Content-Encoding: gzip\r\n"), "page broken gzip"),
        (
            record(gzip.compress(PAGE, mtime=0)[:-9], http=HTML + b"Content-Encoding: gzip\r\n"),
            "page truncated gzip",
        ),
        (
            record(b"5\r\n<p", http=HTML + b"Transfer-Encoding: chunked\r\n"),
            "page that is not encoded as it says",
        ),
        (
            record(b"-5\r\n<p\r\n0\r\n", http=HTML + b"Transfer-Encoding: chunked\r\n"),
            "page that is not encoded as it says",
        ),
        (
            record(b"not brotli", http=HTML + b"Content-Encoding: br\r\n"),
            "page that is not encoded as it says",
        ),
        (
            record(http=HTML + b"Content-Encoding: compress\r\n"),
            "page in an encoding that is not known",
        ),
        (
            record(zlib.compress(PAGE)[:-9], http=HTML + b"Content-Encoding: deflate\r\n"),
            "page truncated deflate",
        ),
        (
            record(b"3\r\n<p>more\r\n0\r\n\r\n", http=HTML + b"Transfer-Encoding: chunked\r\n"),
            "page that is not encoded as it says",
        ),
        (
            record(
                b"1_0\r\n<p>0123456789abc\r\n0\r\n", http=HTML + b"Transfer-Encoding: chunked\r\n"
            ),
            "page that is not encoded as it says",
        ),
        (record(more=b"WARC-Segment-Number: 1\r\n"), "record in segments"),
        (record(more=b"WARC-Truncated: length\r\n"), "record that the crawler cut off"),
        (record(url=""), "record without an address"),
        (record(kind="continuation"), "record in segments"),
        (record(b"x" * 3000), "record larger than 2000 bytes (limits.record_bytes)"),
        (
            record(gzip.compress(bytes(5000)), http=HTML + b"Content-Encoding: gzip\r\n"),
            "page larger than 2000 bytes (limits.record_bytes)",
        ),
        (
            record(zlib.compress(bytes(10**6)), http=HTML + b"Content-Encoding: deflate\r\n"),
            "page larger than 2000 bytes (limits.record_bytes)",
        ),
    ],
)
def test_bad_records_are_faults_and_the_next_is_read(tmp_path: Path, bad: bytes, said: str) -> None:
    good = record(url="https://example.org/good")
    rows, faults = read(good + bad + good, tmp_path, record_bytes=2000)
    assert [row["native_id"] for row in rows] == ["https://example.org/good"] * 2
    assert [(fault.reason, fault.offset, fault.rest) for fault in faults] == [
        (said, len(good), False)
    ]


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (record()[:-30], "truncated record"),
        (record(length=10**6), "truncated record"),
        (gzip.compress(record()), "broken WARC header"),
    ],
)
def test_broken_rest_is_one_fault(tmp_path: Path, rest: bytes, said: str) -> None:
    rows, faults = read(record() + rest, tmp_path)
    assert len(rows) == 1
    assert [(fault.reason, fault.rest) for fault in faults] == [(said, True)]


def test_gzip_that_breaks_gives_what_was_whole_and_one_fault(tmp_path: Path) -> None:
    packed = gzip.compress(record()) + gzip.compress(record(PAGE * 50))
    rows, faults = read(packed[:-20], tmp_path, "a.warc.gz")
    assert len(rows) == 1
    assert faults == [Fault(None, len(packed) - 20, "truncated gzip", rest=True)]
    bomb = gzip.compress(record() + record(bytes(80 * 2**20)))
    rows, faults = read(bomb, tmp_path, "a.warc.gz", stream_bytes=2**20)
    assert faults[-1].rest
    assert "limits.stream_bytes" in faults[-1].reason


MANY = b"".join(
    [
        record(),
        record(gzip.compress(PAGE, mtime=0), http=HTML + b"Content-Encoding: gzip\r\n"),
        record(chunks(PAGE), http=HTML + b"Transfer-Encoding: chunked\r\n"),
        record(b"\x0b\x02\x80hello\x03", http=HTML + b"Content-Encoding: br\r\n"),
        record(b"x", kind="conversion"),
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 20), st.binary(max_size=6)), max_size=5
    )
)
def test_archives_with_any_bytes_changed_raise_nothing(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, int, bytes]]
) -> None:
    content = bytearray(MANY)
    for place, lost, new in changes:
        start = int(place * len(content))
        content[start : start + lost] = new
    rows, faults = read(bytes(content), tmp_path_factory.mktemp("changed"))
    assert len(rows) + len(faults) <= 8


def line(url: str, offset: int, length: int, more: dict[str, Any]) -> str:
    """A line of the index, with the keys that Common Crawl's has."""
    parts = urlsplit(url)
    host = ",".join(reversed((parts.hostname or "").split(".")))
    value = {
        "urlkey": f"{host}){parts.path}",
        "timestamp": "20240803101112",
        "url": url,
        "mime": "text/html",
        "mime-detected": "text/html",
        "status": "200",
        "digest": "BM3E3VNKMTP7GQ6TPLXDEMDVFXCCQ7U2",
        "length": str(length),
        "offset": str(offset),
        "filename": "crawl-data/CC-MAIN-2024-33/segments/1/warc/CC-MAIN-0.warc.gz",
        "languages": "swa",
        "encoding": "UTF-8",
        **more,
    }
    return json.dumps(value)


NONE: dict[str, Any] = {}


class Crawl:
    """A crawl's archive and index, of two pages a question."""

    def __init__(self, host: Host, name: str = "CC-MAIN-2024-33", stamp: str = "2024") -> None:
        self.host = host
        self.path = f"crawl-data/{name}/segments/1/warc/CC-MAIN-0.warc.gz"
        self.stamp = stamp
        self.store = b"\x1f\x8b packed records of others"
        self.lines: list[str] = []
        host.pages[f"/{name}-index"] = self.answer

    def add(self, url: str, body: bytes = PAGE, more: dict[str, Any] = NONE) -> None:
        packed = gzip.compress(record(body, url=url), mtime=0)
        place = {"filename": self.path, "timestamp": f"{self.stamp}0803101112", **more}
        self.lines.append(line(url, len(self.store), len(packed), place))
        self.store += packed + b"between"
        self.host.pages[f"/{self.path}"] = Page(self.store)

    def answer(self, handler: Handler) -> None:
        asked = parse_qs(urlsplit(handler.path).query)
        assert asked["matchType"] == ["domain"]
        assert asked["output"] == ["json"]
        assert asked["filter"] == ["=status:200"]
        mine = [text for text in self.lines if asked["url"][0] in text]
        if "showNumPages" in asked:
            pages = (len(mine) + 1) // 2
            told = {"pages": pages, "pageSize": 5, "blocks": 1}
            handler.give(Page(json.dumps(told).encode()))
        elif not mine:
            handler.give(Page(b'{"message": "No Captures found"}', status=404))
        else:
            start = 2 * int(asked["page"][0])
            handler.give(Page("\n".join(mine[start : start + 2]).encode() + b"\n"))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running(monkeypatch) as found:
        monkeypatch.setattr(crawl_index, "INDEX", found.address)
        monkeypatch.setattr(crawl_index, "DELAY", 0)
        monkeypatch.setattr(warc, "DATA", found.address)
        monkeypatch.setattr(warc, "DELAY", 0)
        monkeypatch.setattr(warc, "SITE", f"{found.address}/{{}}/")
        robots.read.cache_clear()
        yield found
        robots.read.cache_clear()


def read_all(params: warc.Params, folder: Path) -> tuple[list[dict[str, Any]], list[Fault]]:
    pin = warc.resolve(params)
    fetched = warc.fetch(params, pin, folder)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in warc.splits(params, pin, fetched):
        more, wrong = gathered(warc.read(params, split, fetched, Limits()))
        rows, faults = rows + more, faults + wrong
    return rows, faults


def domain(*domains: str, crawls: Sequence[str] = ("CC-MAIN-2024-33",), **more: Any) -> warc.Params:
    return warc.Params(crawls=list(crawls), domains=list(domains), **more)


def test_domain_pages_are_listed_pinned_and_fetched_by_range(host: Host, tmp_path: Path) -> None:
    crawl = Crawl(host)
    for number in range(5):
        crawl.add(f"https://www.example.org/{number}", f"<p>{number} सभी".encode())
    crawl.add("https://elsewhere.net/1")
    crawl.add("https://example.org/pic", more={"mime-detected": "image/png"})
    params = domain("example.org")
    pin = warc.resolve(params)
    assert pin.version.startswith("CC-MAIN-2024-33-")
    assert [file.name for file in pin.files] == ["captures.jsonl", "part-00000.warc.gz"]
    rows, faults = read_all(params, tmp_path)
    assert faults == []
    assert [(row["native_id"], row["content"].decode()) for row in rows] == [
        (f"https://www.example.org/{number}", f"<p>{number} सभी") for number in range(5)
    ]
    listed = [json.loads(text) for text in (tmp_path / "captures.jsonl").read_text().splitlines()]
    assert listed[0][:4] == ["https://www.example.org/0", "20240803101112", crawl.path, 27]
    ranges = [headers.get("Range") for path, headers in host.asked if path.endswith(".gz")]
    assert None not in ranges
    assert len(ranges) == 15  # both pins and the fetch
    assert warc.reach(params) == "network"
    assert warc.unavailable(params) is None


def test_domain_that_asks_machines_to_keep_away_is_heard_when_locked_and_when_fetched(
    host: Host, tmp_path: Path
) -> None:
    Crawl(host).add("https://example.org/1")
    params = domain("example.org")
    pin = warc.resolve(params)
    seen = {(said.protocol, said.verdict, said.note) for said in pin.observed}
    nothing = "it answers 404"
    assert seen == {("robots", "unknown", nothing), ("tdmrep", "unknown", nothing)}
    for page, body in (
        ("/robots.txt", b"User-agent: *\nDisallow: /\n"),
        ("/.well-known/tdmrep.json", b'[{"location": "/*", "tdm-reservation": 1}]'),
    ):
        robots.read.cache_clear()
        host.pages[page] = Page(body)
        with pytest.raises(DeniedError, match="asks machines not to read"):
            warc.fetch(params, pin, tmp_path)
        with pytest.raises(DeniedError):
            warc.resolve(params)
        host.pages[page] = Page(status=503)
    robots.read.cache_clear()
    assert {said.verdict for said in warc.resolve(params).observed} == {"unknown"}  # archived pages


def test_domain_newest_capture_of_a_page_is_taken_and_globs_choose(
    host: Host, tmp_path: Path
) -> None:
    old = Crawl(host, "CC-MAIN-2023-50", "2023")
    new = Crawl(host, "CC-MAIN-2024-33", "2024")
    old.add("https://example.org/news/1", b"<p>old")
    new.add("https://example.org/news/1", b"<p>new")
    old.add("https://example.org/news/2", b"<p>only old")
    old.add("https://example.org/about", b"<p>about")
    old.add("https://example.org/news/tag/x", b"<p>tag")
    params = domain(
        "example.org",
        crawls=["CC-MAIN-2023-50", "CC-MAIN-2024-33"],
        include=["*/news/*"],
        exclude=["*/tag/*"],
    )
    rows, _ = read_all(params, tmp_path)
    assert sorted(row["content"] for row in rows) == [b"<p>new", b"<p>only old"]


def test_domain_splits_are_parts_of_the_list(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl = Crawl(host)
    for number in range(9):
        crawl.add(f"https://example.org/{number}")
    params = domain("example.org")
    whole = read_all(params, tmp_path)
    assert len(whole[0]) == 9
    monkeypatch.setattr(warc, "PART_BYTES", 600)
    pin = warc.resolve(params)
    assert len(warc.splits(params, pin, {})) > 3
    assert read_all(params, tmp_path) == whole


def test_domain_that_changed_in_index_or_store_is_an_error(host: Host, tmp_path: Path) -> None:
    crawl = Crawl(host)
    crawl.add("https://example.org/1")
    params = domain("example.org")
    pin = warc.resolve(params)
    store = bytearray(crawl.store)
    store[60] ^= 1
    host.pages[f"/{crawl.path}"] = Page(bytes(store))
    with pytest.raises(SourceError, match=r"part-00000\.warc\.gz has sha256 .* is locked"):
        warc.fetch(params, pin, tmp_path)
    crawl.add("https://example.org/2")
    with pytest.raises(GoneError, match="lists 2 captures now, others than are locked"):
        warc.fetch(params, pin, tmp_path)


def test_domain_without_pages_or_index_is_an_error(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    Crawl(host)
    no_waits(monkeypatch)
    with pytest.raises(SourceError, match=r"no page of example\.org is in CC-MAIN-2024-33"):
        warc.resolve(domain("example.org"))
    host.pages["/CC-MAIN-2024-33-index"] = Page(b"<html>busy</html>")
    with pytest.raises(SourceError, match="does not say how many pages"):
        warc.resolve(domain("example.org"))
    host.pages["/CC-MAIN-2024-33-index"] = Page(status=503)
    with pytest.raises(SourceError, match="answers 503"):
        warc.resolve(domain("example.org"))


def test_index_that_is_busy_is_asked_again(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl = Crawl(host)
    crawl.add("https://example.org/1")
    waits = no_waits(monkeypatch)
    host.once["/CC-MAIN-2024-33-index"] = [Page(status=503, headers={"Retry-After": "9"})]
    host.once[f"/{crawl.path}"] = [Page(status=429)]
    assert len(read_all(domain("example.org"), tmp_path)[0]) == 1
    assert waits == [9, 1]


@pytest.mark.parametrize(
    "more",
    [
        {"filename": "../../etc/passwd"},
        {"filename": "crawl-data/../../x.gz"},
        {"filename": "https://example.net/x.gz"},
        {"offset": "-1"},
        {"length": "999999999999"},
        {"length": "many"},
        {"filename": None, "timestamp": None},
    ],
)
def test_index_lines_that_lead_elsewhere_are_an_error(host: Host, more: dict[str, Any]) -> None:
    Crawl(host).add("https://example.org/1", more=more)
    with pytest.raises(SourceError, match="gives a line that is no capture"):
        warc.resolve(domain("example.org"))
    assert not [path for path in host.paths() if not path.startswith("/CC-MAIN-2024-33-index")]


@pytest.mark.parametrize(
    "text", ["not JSON example.org", '["example.org"]', "[" * 99 + "example.org"]
)
def test_index_lines_that_are_none_are_an_error(host: Host, text: str) -> None:
    Crawl(host).lines.append(text)
    with pytest.raises(SourceError, match="gives a line that is no capture"):
        warc.resolve(domain("example.org"))


def test_whole_files_are_downloaded_and_named_with_the_date(host: Host, tmp_path: Path) -> None:
    twice = gzip.compress(record()) + gzip.compress(record())
    host.pages["/x/a.warc.gz"] = Page(twice)
    host.pages["/x/b.warc.wet.gz"] = Page(gzip.compress(record(b"text", kind="conversion")))
    params = warc.Params(urls=[f"{host.address}/x/a.warc.gz"])
    rows, faults = read_all(params, tmp_path)
    assert faults == []
    name = "https://example.org/a@2024-08-03T10:11:12Z"
    assert [row["native_id"] for row in rows] == [name, f"{name}#2"]
    rows, _ = read_all(warc.Params(urls=[f"{host.address}/x/b.warc.wet.gz"], kind="wet"), tmp_path)
    assert [row["content"] for row in rows] == [b"text"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give crawls and domains, or urls"),
        ({"crawls": ["CC-MAIN-2024-33"]}, "give crawls and domains"),
        ({"domains": ["example.org"]}, "give crawls and domains"),
        ({"crawls": ["../x"], "domains": ["example.org"]}, "not a crawl"),
        ({"crawls": ["CC-MAIN-2024-33"], "domains": ["https://example.org/"]}, "not a domain"),
        ({"crawls": ["CC-MAIN-2024-33"], "domains": ["x&url=y.org"]}, "not a domain"),
        ({"crawls": ["CC-MAIN-2024-33"], "domains": ["a.org", "a.org"]}, "twice"),
        ({"urls": ["/etc/passwd"]}, "not the address of a WARC"),
        (
            {"crawls": ["CC-MAIN-2024-33"], "domains": ["example.org"], "kind": "wet"},
            "lists no WET records",
        ),
    ],
)
def test_params_that_say_too_little_or_too_much_are_refused(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        warc.Params.model_validate(given)
