"""The connector for wikis of the Wikimedia projects."""

from __future__ import annotations

import bz2
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import web_host
from pydantic import ValidationError
from reading import contents, read_all, read_files

from phloem.filters.extract_wikitext import wikitext
from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.connectors import wikimedia

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="sw">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>swwiki</dbname>
    <base>https://sw.wikipedia.org/wiki/Mwanzo</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Media</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Picha</namespace>
      <namespace key="14" case="first-letter">Jamii</namespace>
    </namespaces>
  </siteinfo>
"""
TEXTS = {
    1: ("Mwanza", "'''Mwanza''' ni [[jiji]].\n[[Picha:Ziwa.jpg|thumb|Ziwa]]\n[[Jamii:Miji]]"),
    2: ("हिन्दी", "हिन्दी एक भाषा है।"),
    3: ("A/B: C?", "ภาษาไทย &amp;amp; 漢字 🌍"),
}


def page(number: int, title: str, text: str, *, ns: int = 0, more: str = "") -> str:
    return f"""  <page>
    <title>{title}</title>
    <ns>{ns}</ns>
    <id>{number}</id>{more}
    <revision>
      <id>9{number}</id>
      <timestamp>2024-03-0{number % 9 + 1}T10:00:00Z</timestamp>
      <contributor><username>Mtu</username><id>7</id></contributor>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="{len(text)}" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def pages() -> list[str]:
    return [page(number, title, text) for number, (title, text) in TEXTS.items()]


def dump(streams: list[str]) -> tuple[bytes, bytes]:
    """A multistream file with its index: the head, then these streams, then the end."""
    packed, index = bz2.compress(HEAD.encode()), []
    for stream in streams:
        held = [number for number in TEXTS if f"<id>{number}</id>" in stream]
        index += [f"{len(packed)}:{number}:{TEXTS[number][0]}\n" for number in held]
        packed += bz2.compress(stream.encode())
    return packed + bz2.compress(b"</mediawiki>\n"), bz2.compress("".join(index).encode())


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_host.Host]:
    with web_host.running(monkeypatch) as found:
        monkeypatch.setattr(wikimedia, "SITE", found.address)
        yield found


def sha1(body: bytes) -> str:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()


def serve(host: web_host.Host, wiki: str, date: str, files: dict[str, bytes], **job: Any) -> None:
    """Serve a dump as the provider lays it out."""
    said = {
        name: {"size": len(body), "sha1": sha1(body), "url": f"/{name}"}
        for name, body in files.items()
    }
    status = {"jobs": {"articlesmultistreamdump": {"status": "done", "files": said, **job}}}
    place = f"/{wiki}/{date}"
    host.pages[f"{place}/dumpstatus.json"] = web_host.Page(json.dumps(status).encode())
    host.pages |= {f"{place}/{name}": web_host.Page(body) for name, body in files.items()}
    known = host.pages.get(f"/{wiki}/", web_host.Page())
    listed = f'<a href="{date}/">{date}/</a>\n<a href="latest/">latest/</a>\n'.encode()
    host.pages[f"/{wiki}/"] = web_host.Page(known.body + listed)


def named(wiki: str, date: str, packed: tuple[bytes, bytes]) -> dict[str, bytes]:
    stem = f"{wiki}-{date}-pages-articles-multistream"
    return {f"{stem}.xml.bz2": packed[0], f"{stem}-index.txt.bz2": packed[1]}


def read_dump(
    folder: Path, packed: bytes, index: bytes | None = None, **limits: int
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Read a dump file that lies here, whatever is in it."""
    stem = "swwiki-20240301-pages-articles-multistream"
    bodies = {f"{stem}.xml.bz2": packed}
    if index is not None:
        bodies[f"{stem}-index.txt.bz2"] = index
    files = {}
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
        files[name] = str(folder / name)
    pin = Pin("20240301", tuple(PinnedFile(name, "0" * 64, len(b)) for name, b in bodies.items()))
    return read_files(wikimedia, wikimedia.Params(wikis={"swwiki": "sw"}), pin, files, **limits)


def test_wikimedia_newest_finished_dump_is_read(host: web_host.Host, tmp_path: Path) -> None:
    serve(host, "swwiki", "20240201", named("swwiki", "20240201", dump([])))
    serve(host, "swwiki", "20240301", named("swwiki", "20240301", dump(pages())))
    serve(host, "swwiki", "20240320", {}, status="in-progress")
    params = wikimedia.Params(wikis={"swwiki": "sw"})
    assert wikimedia.resolve(params).version == "20240301"
    rows, faults = read_all(wikimedia, params, tmp_path / "files")
    assert faults == []
    assert [row["native_id"] for row in rows] == ["swwiki/1", "swwiki/2", "swwiki/3"]
    assert contents(rows)[1:] == ["हिन्दी एक भाषा है।", "ภาษาไทย &amp; 漢字 🌍"]
    assert [row["title"] for row in rows] == ["Mwanza", "हिन्दी", "A/B: C?"]
    assert rows[0]["url"] == "https://sw.wikipedia.org/wiki/Mwanza"
    assert rows[2]["url"] == "https://sw.wikipedia.org/wiki/A/B:_C%3F"
    assert rows[0]["published"] == "2024-03-02T10:00:00Z"
    assert {row["declared_language"] for row in rows} == {"sw"}


def test_wikimedia_links_to_files_are_known_by_the_names_of_the_wiki(
    host: web_host.Host, tmp_path: Path
) -> None:
    serve(host, "swwiki", "20240301", named("swwiki", "20240301", dump(pages()[:1])))
    params = wikimedia.Params(wikis={"swwiki": "sw"})
    ((row,), _) = read_all(wikimedia, params, tmp_path / "files")
    batch = pa.record_batch({"content": [row["content"]], "media_type": [row["media_type"]]})
    assert wikitext(batch).arrays[0].to_pylist() == ["Mwanza ni jiji."]


def test_wikimedia_dump_in_several_files_is_read_whole(host: web_host.Host, tmp_path: Path) -> None:
    stem = "swwiki-20240301-pages-articles-multistream"
    first, second = dump(pages()[:2]), dump(pages()[2:])
    files = {
        f"{stem}1.xml-p1p2.bz2": first[0],
        f"{stem}-index1.txt-p1p2.bz2": first[1],
        f"{stem}2.xml-p3p9.bz2": second[0],
        f"{stem}-index2.txt-p3p9.bz2": second[1],
    }
    serve(host, "swwiki", "20240301", files)
    rows, faults = read_all(wikimedia, wikimedia.Params(wikis={"swwiki": "sw"}), tmp_path / "files")
    assert (len(rows), faults) == (3, [])


def test_wikimedia_split_by_streams_gives_the_same_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, index = dump(pages())
    whole, _ = read_dump(tmp_path, packed, index)
    monkeypatch.setattr(wikimedia, "SPLIT_BYTES", 1)
    params = wikimedia.Params(wikis={"swwiki": "sw"})
    stem = "swwiki-20240301-pages-articles-multistream"
    files = {
        f"{stem}{end}": str(tmp_path / f"{stem}{end}") for end in (".xml.bz2", "-index.txt.bz2")
    }
    pin = Pin("20240301", (PinnedFile(f"{stem}.xml.bz2", "0" * 64, len(packed)),))
    assert len(wikimedia.splits(params, pin, files)) == 4
    assert read_dump(tmp_path, packed, index) == (whole, [])


def test_wikimedia_pages_that_are_no_documents_are_left_out(tmp_path: Path) -> None:
    shell = '{{kichwa|a={{b}}}}\n&lt;pages index="X.djvu" from=1 to=5 /&gt;\n[[Jamii:Vitabu]]'
    works = f"&lt;pages index=1 /&gt;{'neno ' * 60}"
    streams = [
        page(1, "A", "#REDIRECT [[B]]", more='\n    <redirect title="B" />'),
        page(2, "Majadiliano:A", "mazungumzo", ns=1),
        page(3, "Kitabu", shell),
        page(4, "Kitabu/1", works),
        page(5, "Module:A", "return 1").replace(">wikitext<", ">Scribunto<"),
        page(6, "Tupu", ""),
    ]
    rows, faults = read_dump(tmp_path, dump(["".join(streams)])[0])
    assert ([row["native_id"] for row in rows], faults) == (["swwiki/4"], [])


def test_wikimedia_namespace_that_a_wiki_lacks_has_no_pages(tmp_path: Path) -> None:
    packed = dump([page(2, "Ukurasa:A", "maandishi", ns=104)])[0]
    assert read_dump(tmp_path, packed) == ([], [])
    params = wikimedia.Params(wikis={"swwiki": "sw"}, namespaces=[0, 104, 250])
    name = "swwiki-20240301-pages-articles-multistream.xml.bz2"
    pin = Pin("1", (PinnedFile(name, "0" * 64, len(packed)),))
    rows, _ = read_files(wikimedia, params, pin, {name: str(tmp_path / name)})
    assert contents(rows) == ["maandishi"]


def test_wikimedia_dump_cut_inside_a_stream_gives_the_pages_before(tmp_path: Path) -> None:
    packed, index = dump(pages())
    middle = int(bz2.decompress(index).decode().split("\n")[2].split(":")[0]) + 30
    rows, faults = read_dump(tmp_path, packed[:middle])
    assert [row["native_id"] for row in rows] == ["swwiki/1", "swwiki/2"]
    assert faults == [Fault(None, middle, "truncated bzip2", rest=True)]


def test_wikimedia_wrong_index_costs_only_the_splits_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, index = dump(pages())
    monkeypatch.setattr(wikimedia, "SPLIT_BYTES", 1)
    last = bz2.decompress(index).decode().split("\n")[2].split(":")[0]
    wrong = f"{last}:3:x\n{int(last) + 20}:3:x\n99999999999999999999999999:4:x\nno line\n".encode()
    rows, faults = read_dump(tmp_path, packed, bz2.compress(wrong))
    assert [row["native_id"] for row in rows] == ["swwiki/1", "swwiki/2"]
    assert {fault.reason for fault in faults} == {"truncated bzip2", "broken bzip2"}
    assert all(fault.rest for fault in faults)
    monkeypatch.undo()
    whole, faults = read_dump(tmp_path, packed, b"no bzip2 at all")
    assert (len(whole), faults) == (3, [])


def test_wikimedia_entities_are_refused_and_never_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE m [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    body = bomb + HEAD + page(1, "A", "&b;") + "</mediawiki>"
    rows, faults = read_dump(tmp_path, bz2.compress(body.encode()))
    assert rows == []
    assert [fault.reason for fault in faults] == ["XML with declarations of its own"]


def test_wikimedia_broken_bytes_end_the_split_with_one_fault(tmp_path: Path) -> None:
    good, bad = page(1, "A", "nzuri").encode(), page(2, "B", "mbaya").encode()
    body = HEAD.encode() + good + bad.replace(b"mbaya", b"\xff\xfe") + good
    rows, faults = read_dump(tmp_path, bz2.compress(body))
    assert contents(rows) == ["nzuri"]
    assert [(fault.reason, fault.rest) for fault in faults] == [("broken XML", True)]


def test_wikimedia_page_over_the_limit_is_a_fault_and_the_next_is_read(tmp_path: Path) -> None:
    body = HEAD + page(1, "A", "x" * 5000) + page(2, "B", "fupi")
    rows, faults = read_dump(tmp_path, bz2.compress(body.encode()), record_bytes=2000)
    assert contents(rows) == ["fupi"]
    assert [fault.reason for fault in faults] == [
        "record larger than 2000 bytes (limits.record_bytes)"
    ]


def test_wikimedia_tag_without_end_is_not_held(tmp_path: Path) -> None:
    body = HEAD + page(1, "A", "fupi") + '<page a="' + "x" * 300_000
    rows, faults = read_dump(tmp_path, bz2.compress(body.encode()), record_bytes=100_000)
    assert contents(rows) == ["fupi"]
    assert [(fault.reason, fault.rest) for fault in faults] == [
        ("record larger than 100000 bytes (limits.record_bytes)", True)
    ]


def test_wikimedia_bomb_of_bzip2_ends_at_the_limit(tmp_path: Path) -> None:
    body = HEAD.encode() + b" " * (80 * 2**20)
    rows, faults = read_dump(tmp_path, bz2.compress(body))
    assert rows == []
    (fault,) = faults
    assert "limits.unpacked_ratio" in fault.reason


def test_wikimedia_file_with_another_sha1_than_the_dump_says_is_refused(
    host: web_host.Host,
) -> None:
    serve(host, "swwiki", "20240301", named("swwiki", "20240301", dump(pages())))
    name = "/swwiki/20240301/swwiki-20240301-pages-articles-multistream.xml.bz2"
    host.pages[name] = web_host.Page(b"other bytes")
    with pytest.raises(SourceError, match=r"came with SHA-1 .* lock it again"):
        wikimedia.resolve(wikimedia.Params(wikis={"swwiki": "sw"}))


def test_wikimedia_dump_that_is_not_kept_any_more_is_gone(
    host: web_host.Host, tmp_path: Path
) -> None:
    serve(host, "swwiki", "20240301", named("swwiki", "20240301", dump(pages())))
    params = wikimedia.Params(wikis={"swwiki": "sw"})
    pin = wikimedia.resolve(params)
    host.pages.clear()
    with pytest.raises(GoneError, match="lock it again"):
        wikimedia.fetch(params, pin, tmp_path)
    with pytest.raises(SourceError):
        wikimedia.resolve(params)


def test_wikimedia_dump_that_was_never_finished_is_an_error(host: web_host.Host) -> None:
    serve(host, "swwiki", "20240301", {}, status="failed")
    host.pages["/swwiki/20240201/dumpstatus.json"] = web_host.Page(b"<html>")
    with pytest.raises(SourceError, match="leave `dump` out"):
        wikimedia.resolve(wikimedia.Params(wikis={"swwiki": "sw"}))
    with pytest.raises(SourceError, match="does not say what it holds"):
        wikimedia.resolve(wikimedia.Params(wikis={"swwiki": "sw"}, dump="20240201"))


@pytest.mark.parametrize("name", ["../etc", "Swwiki", "sw wiki", "", "-x"])
def test_wikimedia_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="no database name"):
        wikimedia.Params(wikis={name: "sw"})


def test_wikimedia_deep_page_is_a_fault(tmp_path: Path) -> None:
    deep = page(1, "A", "<b>" * 200 + "</b>" * 200)
    rows, faults = read_dump(tmp_path, bz2.compress((HEAD + deep + page(2, "B", "b")).encode()))
    assert contents(rows) == ["b"]
    assert [fault.reason for fault in faults] == ["more than 100 elements inside each other"]
