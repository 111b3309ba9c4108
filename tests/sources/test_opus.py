"""The connector for OPUS."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import pytest
import web_host
from pydantic import ValidationError
from reading import contents, read_all, read_files

from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile
from phloem.sources.connectors import opus

SWAHILI = ["Wote wamezaliwa huru.", "Haki zao ni sawa.", "Tatu."]
HINDI = ["सभी मनुष्य स्वतंत्र हैं।", "अधिकार समान हैं।", "तीन 🌍"]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_host.Host]:
    with web_host.running(monkeypatch) as found:
        monkeypatch.setattr(opus, "SITE", found.address)
        yield found


def text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def packed(members: dict[str, bytes], kind: int = ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", kind) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def unit(swahili: str, hindi: str) -> str:
    sides = (
        f'<tuv xml:lang="sw"><seg>{swahili}</seg></tuv><tuv xml:lang="HI"><seg>{hindi}</seg></tuv>'
    )
    return f"      <tu>\n        {sides}\n      </tu>\n"


TMX = """<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
  <header creationdate="today" srclang="sw" adminlang="en" o-tmf="unknown" segtype="sentence" />
    <body>
{units}    </body>
</tmx>
"""

DOCUMENT = """<?xml version="1.0" encoding="utf-8"?>
<text>
 <CHAPTER ID="1">
  <P id="1">
   <s id="1">Wote wamezaliwa
huru.</s>
   <s id="2">Haki <i>zao</i> ni sawa.</s>
  </P>
 </CHAPTER>
</text>
"""


def read_form(
    folder: Path, form: Any, body: bytes, name: str, **limits: int
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Read a file that lies here, whatever is in it."""
    languages = {"sw": "sw", "hi": "hi"} if form in {"moses", "tmx"} else {"sw": "sw"}
    params = opus.Params(corpus="Haki", release="v1", languages=languages, form=form)
    (folder / "file").write_bytes(body)
    pin = Pin("v1", (PinnedFile(name, "0" * 64, len(body)),))
    return read_files(opus, params, pin, {name: str(folder / "file")}, **limits)


def test_opus_mono_gives_consecutive_lines_as_documents(
    host: web_host.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opus, "LINES", 2)
    root = "/OPUS-Haki/v1/mono"
    host.pages[f"{root}/sw.txt.gz"] = web_host.Page(gzip.compress(text(SWAHILI)))
    host.pages[f"{root}/zh_tw.txt.gz"] = web_host.Page(gzip.compress(text(["漢字"])))
    params = opus.Params(corpus="Haki", release="v1", languages={"sw": "sw", "zh_tw": "zh-Hant"})
    assert opus.resolve(params).version == "v1"
    rows, faults = read_all(opus, params, tmp_path / "files")
    assert faults == []
    assert contents(rows) == ["\n".join(SWAHILI[:2]), "Tatu.", "漢字"]
    assert [row["declared_language"] for row in rows] == ["sw", "sw", "zh-Hant"]
    assert [row["native_id"] for row in rows] == [
        "Haki/mono/sw.txt.gz/sw@0",
        "Haki/mono/sw.txt.gz/sw@2",
        "Haki/mono/zh_tw.txt.gz/zh_tw@0",
    ]


def test_opus_release_that_is_not_there_is_gone(host: web_host.Host) -> None:
    with pytest.raises(GoneError):
        opus.resolve(opus.Params(corpus="Haki", release="v9", languages={"sw": "sw"}))


def test_opus_moses_gives_both_sides_of_the_pair(host: web_host.Host, tmp_path: Path) -> None:
    body = packed(
        {
            "README": b"read me",
            "Haki.hi-sw.hi": text(HINDI),
            "Haki.hi-sw.sw": text(SWAHILI),
            "Haki.hi-sw.xml": b"<x/>",
        }
    )
    host.pages["/OPUS-Haki/v1/moses/hi-sw.txt.zip"] = web_host.Page(body)
    languages = {"sw": "sw", "hi": "hi"}
    params = opus.Params(corpus="Haki", release="v1", languages=languages, form="moses")
    rows, faults = read_all(opus, params, tmp_path / "files")
    assert faults == []
    assert contents(rows) == ["\n".join(HINDI), "\n".join(SWAHILI)]
    assert [row["declared_language"] for row in rows] == ["hi", "sw"]


def test_opus_tmx_gives_both_sides_of_the_pair(tmp_path: Path) -> None:
    units = "".join(map(unit, SWAHILI, HINDI))
    body = gzip.compress(TMX.format(units=units).encode())
    rows, faults = read_form(tmp_path, "tmx", body, "tmx/hi-sw.tmx.gz")
    assert faults == []
    assert contents(rows) == ["\n".join(SWAHILI), "\n".join(HINDI)]


def test_opus_raw_gives_a_document_a_file(tmp_path: Path) -> None:
    body = packed(
        {
            "Haki/raw/sw/1/a.xml": DOCUMENT.encode(),
            "Haki/raw/sw/b.xml": b"<text></text>",
            "Haki/raw/hi/c.xml": DOCUMENT.encode(),
            "Haki/raw/sw/../../d.xml": DOCUMENT.encode(),
            "LICENSE": b"",
        }
    )
    rows, faults = read_form(tmp_path, "raw", body, "raw/sw.zip")
    assert contents(rows) == ["Wote wamezaliwa huru.\nHaki zao ni sawa."]
    assert rows[0]["native_id"] == "Haki/Haki/raw/sw/1/a.xml"
    assert [fault.reason for fault in faults] == ["member path leaves the archive"]


def test_opus_large_file_in_parts_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opus, "LINES", 3)
    body = gzip.compress(text([f"mstari {number}" for number in range(100)]))
    whole, _ = read_form(tmp_path, "mono", body, "mono/sw.txt.gz")
    monkeypatch.setattr(opus, "PART_BYTES", len(body) // 4)
    rows, faults = read_form(tmp_path, "mono", body, "mono/sw.txt.gz")
    assert faults == []
    assert sorted(map(str, rows)) == sorted(map(str, whole))


def test_opus_truncated_gzip_gives_what_came_and_one_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opus, "LINES", 3)
    body = gzip.compress(text([f"mstari {number * 7919 % 997}" for number in range(999)]))
    rows, faults = read_form(tmp_path, "mono", body[:-200], "mono/sw.txt.gz")
    assert 0 < len(rows) < 333
    assert [(fault.reason, fault.rest) for fault in faults] == [("truncated gzip", True)]


def test_opus_endless_line_is_a_fault_and_the_rest_stays(tmp_path: Path) -> None:
    body = gzip.compress(b"fupi\n" + b"x" * 5000 + b"\nbado\n")
    rows, faults = read_form(tmp_path, "mono", body, "mono/sw.txt.gz", record_bytes=1000)
    assert contents(rows) == ["fupi\nbado"]
    assert [fault.offset for fault in faults] == [5]


def test_opus_bytes_that_are_no_text_pass_as_they_are(tmp_path: Path) -> None:
    rows, _ = read_form(tmp_path, "mono", gzip.compress(b"caf\xe9\r\nb\n"), "mono/sw.txt.gz")
    assert rows[0]["content"] == b"caf\xe9\nb"


def test_opus_zip_bomb_ends_at_the_limit(tmp_path: Path) -> None:
    line = b"x" * 1000 + b"\n"
    body = packed({"Haki.hi-sw.hi": text(HINDI), "Haki.hi-sw.sw": line * 100_000})
    rows, faults = read_form(tmp_path, "moses", body, "moses/hi-sw.txt.zip")
    assert contents(rows)[0] == "\n".join(HINDI)
    assert ["limits.unpacked_ratio" in fault.reason for fault in faults] == [True]
    assert sum(len(row["content"]) for row in rows) < 70 * 2**20


def test_opus_zip_that_is_none_or_lacks_a_side_is_a_fault(tmp_path: Path) -> None:
    name = "moses/hi-sw.txt.zip"
    rows, faults = read_form(tmp_path, "moses", b"no zip", name)
    assert rows == []
    assert faults[0] == Fault(None, -1, "broken zip", rest=True)
    rows, faults = read_form(tmp_path, "moses", packed({"Haki.hi-sw.hi": text(HINDI)}), name)
    assert contents(rows) == ["\n".join(HINDI)]
    assert [fault.reason for fault in faults] == ["archive without this file"]
    body = packed({"Haki.hi-sw.hi": text(HINDI), "Haki.hi-sw.sw": text(SWAHILI)}, ZIP_BZIP2)
    rows, faults = read_form(tmp_path, "moses", body, name)
    assert rows == []
    assert {fault.reason for fault in faults} == {"packed by zip method 12"}


@pytest.mark.parametrize("form", ["tmx", "raw"])
def test_opus_entities_are_refused(tmp_path: Path, form: str) -> None:
    bomb = '<!DOCTYPE text [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><text><s>&b;</s></text>'
    if form == "tmx":
        body, name = gzip.compress(bomb.encode()), "tmx/hi-sw.tmx.gz"
    else:
        body, name = packed({"Haki/raw/sw/a.xml": bomb.encode()}), "raw/sw.zip"
    rows, faults = read_form(tmp_path, form, body, name)
    assert rows == []
    assert [fault.reason for fault in faults] == ["XML with declarations of its own"]


def test_opus_tmx_cut_off_gives_the_units_before(tmp_path: Path) -> None:
    body = TMX.format(units="".join(map(unit, SWAHILI, HINDI))).encode()
    cut = gzip.compress(body[: body.index(b"Tatu")])
    rows, faults = read_form(tmp_path, "tmx", cut, "tmx/hi-sw.tmx.gz")
    assert contents(rows) == ["\n".join(SWAHILI[:2]), "\n".join(HINDI[:2])]
    assert [(fault.reason, fault.rest) for fault in faults] == [("truncated XML", True)]


@pytest.mark.parametrize(
    "given",
    [
        {"corpus": "../x"},
        {"release": "v1/.."},
        {"languages": {"e/n": "en"}},
        {"languages": {}},
        {"form": "moses"},
        {"form": "tmx", "languages": {"a": "a", "b": "b", "c": "c"}},
    ],
)
def test_opus_names_that_are_none_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        opus.Params(**{"corpus": "Haki", "release": "v1", "languages": {"sw": "sw"}, **given})
