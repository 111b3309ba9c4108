"""The connector for Stack Exchange sites."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import web_host
from pydantic import ValidationError
from reading import contents, read_all, read_files

from phloem.filters.extract import html
from phloem.sources.clients.clients import refusal
from phloem.sources.connector import Fault, Pin, PinnedFile, SourceError
from phloem.sources.connectors import stackexchange

SITE = "pt.stackoverflow.com"

# Speaks as the real client does where it is asked as the connector asks, on files packed as xz.
CLIENT = f"""#!{sys.executable}
import lzma, sys
assert sys.argv[1:3] == ["x", "-so"] and sys.argv[-3] == "--" and sys.argv[-1] == "Posts.xml"
packed = lzma.LZMADecompressor()
with open(sys.argv[-2], "rb") as file:
    while not packed.eof and (data := file.read(65536)):
        sys.stdout.buffer.write(packed.decompress(data))
sys.exit(0 if packed.eof else 2)
"""


def row(**post: Any) -> str:
    said = {"Score": 0, "CreationDate": "2020-01-01T00:00:00.000", **post}
    told = {key: escape(str(value)).replace("\n", "&#xA;") for key, value in said.items()}
    return "  <row " + " ".join(f'{key}="{value}"' for key, value in told.items()) + " />\n"


def posts(*rows: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<posts>\n' + "".join(rows) + "</posts>"
    ).encode()


QUESTION = row(
    Id=4,
    PostTypeId=1,
    Score=5,
    Title="Como <somar> números?",
    Body="<p>Tenho:</p>\n<pre><code>a = 1\n  b = 2</code></pre>",
    CreationDate="2010-02-03T04:05:06.007",
    OwnerUserId=11,
    Tags="<python>",
)
WORSE = row(
    Id=5,
    ParentId=4,
    PostTypeId=2,
    Score=1,
    Body="<p>ไม่รู้</p>",
    CreationDate="2012-01-01",
    OwnerUserId=12,
)
BETTER = row(
    Id=9, ParentId=4, PostTypeId=2, Score=7, Body="<p>答案 🌍</p>", ContentLicense="CC BY-SA 4.0"
)


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "7zz").write_text(CLIENT)
    (folder / "7zz").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_host.Host]:
    with web_host.running(monkeypatch) as found:
        monkeypatch.setattr(stackexchange, "SITE", found.address)
        yield found


def read_posts(
    folder: Path, packed: bytes, least: int = 0, **limits: int
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Read an archive that lies here, whatever is in it."""
    (folder / "a.7z").write_bytes(packed)
    pin = Pin("1", (PinnedFile(f"{SITE}.7z", "0" * 64, len(packed)),))
    params = stackexchange.Params(sites={SITE: "pt"}, min_score=least)
    return read_files(stackexchange, params, pin, {f"{SITE}.7z": str(folder / "a.7z")}, **limits)


def test_stackexchange_question_comes_with_its_answers_best_first(tmp_path: Path) -> None:
    rows, faults = read_posts(tmp_path, lzma.compress(posts(QUESTION, WORSE, BETTER)))
    assert faults == []
    (found,) = rows
    batch = pa.record_batch({"content": [found["content"]], "media_type": [found["media_type"]]})
    text = html(batch).arrays[0][0].as_py()
    assert text.startswith("Como <somar> números?\n\nTenho:\n\na = 1\n  b = 2")
    assert text.index("答案 🌍") < text.index("ไม่รู้")
    assert found["native_id"] == f"{SITE}/4"
    assert found["url"] == f"https://{SITE}/questions/4"
    assert found["title"] == "Como <somar> números?"
    assert found["published"] == "2010-02-03T04:05:06.007"
    assert found["author"] == f"{SITE} user 11, {SITE} user 12"
    assert found["license"] == "CC-BY-SA-2.5 AND CC-BY-SA-3.0 AND CC-BY-SA-4.0"
    assert found["declared_language"] == "pt"


@pytest.mark.parametrize(
    ("written", "edited", "version"),
    [
        ("2011-04-07T23:59:59.999", None, "2.5"),
        ("2011-04-08T00:00:00.000", None, "3.0"),
        ("2018-05-01T23:59:59.999", None, "3.0"),
        ("2018-05-02T00:00:00.000", None, "4.0"),
        ("2009-01-01T00:00:00.000", "2019-01-01T00:00:00.000", "4.0"),
    ],
)
def test_stackexchange_licence_is_that_of_the_day(
    tmp_path: Path, written: str, edited: str | None, version: str
) -> None:
    more = {"LastEditDate": edited} if edited else {}
    post = row(Id=1, PostTypeId=1, Body="<p>a</p>", CreationDate=written, **more)
    ((found,), _) = read_posts(tmp_path, lzma.compress(posts(post)))
    assert found["license"] == f"CC-BY-SA-{version}"


def test_stackexchange_posts_below_the_score_are_left_out(tmp_path: Path) -> None:
    other = row(Id=6, PostTypeId=1, Score=1, Title="Fraca", Body="<p>x</p>")
    orphan = row(Id=7, ParentId=6, PostTypeId=2, Score=9, Body="<p>resposta</p>")
    wiki = row(Id=8, PostTypeId=5, Score=9, Body="<p>tag</p>")
    packed = lzma.compress(posts(QUESTION, WORSE, BETTER, other, orphan, wiki))
    rows, faults = read_posts(tmp_path, packed, least=3)
    assert [found["native_id"] for found in rows] == [f"{SITE}/4"]
    assert faults == []
    assert "答案" in contents(rows)[0]
    assert "ไม่รู้" not in contents(rows)[0]


def test_stackexchange_large_site_is_read_in_parts_that_make_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = lzma.compress(
        posts(*(row(Id=n, PostTypeId=1, Body=f"<p>{n}</p>") for n in range(1, 40)), QUESTION)
    )
    whole, _ = read_posts(tmp_path, packed)
    monkeypatch.setattr(stackexchange, "PART_BYTES", len(packed) // 3)
    rows, faults = read_posts(tmp_path, packed)
    assert faults == []
    assert sorted(found["native_id"] for found in rows) == sorted(w["native_id"] for w in whole)


def test_stackexchange_broken_posts_are_faults_and_the_others_stay(tmp_path: Path) -> None:
    bad = [
        row(Id="x", PostTypeId=1, Body="<p>a</p>"),
        row(Id=2, PostTypeId=2, Body="<p>no question</p>"),
        row(Id=2**70, PostTypeId=1, Body="<p>a</p>"),
    ]
    rows, faults = read_posts(tmp_path, lzma.compress(posts(*bad, QUESTION)))
    assert len(rows) == 1
    assert [fault.native_id for fault in faults] == [f"{SITE}/x", f"{SITE}/2", f"{SITE}/{2**70}"]


def test_stackexchange_truncated_archive_gives_what_came_and_one_fault(tmp_path: Path) -> None:
    many = (row(Id=n, PostTypeId=1, Body=f"<p>{n * 7919 % 1009}</p>") for n in range(1, 4000))
    packed = lzma.compress(posts(*many))
    rows, faults = read_posts(tmp_path, packed[: len(packed) // 2])
    assert 0 < len(rows) < 3999
    assert [(fault.reason, fault.rest) for fault in faults] == [
        ("broken 7z, or one without Posts.xml", True)
    ]


def test_stackexchange_bomb_ends_at_the_limit(tmp_path: Path) -> None:
    packed = lzma.compress(posts(QUESTION)[:-8] + b" " * (80 * 2**20))
    rows, faults = read_posts(tmp_path, packed)
    assert len(rows) == 1
    (fault,) = faults
    assert "limits.unpacked_ratio" in fault.reason


def test_stackexchange_entities_are_refused(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE posts [<!ENTITY a "ha">]>' + posts(QUESTION).split(b"\n", 1)[1]
    rows, faults = read_posts(tmp_path, lzma.compress(bomb))
    assert rows == []
    assert [fault.reason for fault in faults] == ["XML with declarations of its own"]


def test_stackexchange_endless_body_is_a_fault(tmp_path: Path) -> None:
    endless = posts(QUESTION)[:-8] + b'<row Id="6" PostTypeId="1" Body="' + b"x" * 400_000
    rows, faults = read_posts(tmp_path, lzma.compress(endless), record_bytes=100_000)
    assert len(rows) == 1
    assert [(fault.rest, "record larger" in fault.reason) for fault in faults] == [(True, True)]


def test_stackexchange_thread_over_the_limit_is_a_fault(tmp_path: Path) -> None:
    answers = [
        row(Id=n, ParentId=4, PostTypeId=2, Body=f"<p>{'x' * 400}</p>") for n in range(10, 20)
    ]
    other = row(Id=30, PostTypeId=1, Body="<p>curta</p>")
    packed = lzma.compress(posts(QUESTION, *answers, other))
    rows, faults = read_posts(tmp_path, packed, record_bytes=1000)
    assert contents(rows) == ["<p>curta</p>"]
    assert [fault.native_id for fault in faults] == [f"{SITE}/4"]


def test_stackexchange_archives_of_sites_are_found(host: web_host.Host, tmp_path: Path) -> None:
    files = [{"name": name} for name in (f"{SITE}.7z", "stackoverflow.com-Posts.7z", "x.7z")]
    host.pages["/metadata/stackexchange/files"] = web_host.Page(
        json.dumps({"result": files}).encode()
    )
    packed = lzma.compress(posts(QUESTION))
    for name in (f"{SITE}.7z", "stackoverflow.com-Posts.7z"):
        host.pages[f"/download/stackexchange/{name}"] = web_host.Page(packed)
    params = stackexchange.Params(sites={SITE: "pt", "stackoverflow.com": "en"})
    rows, faults = read_all(stackexchange, params, tmp_path / "files")
    assert faults == []
    assert [found["native_id"] for found in rows] == [f"{SITE}/4", "stackoverflow.com/4"]
    assert [found["declared_language"] for found in rows] == ["pt", "en"]
    with pytest.raises(SourceError, match=r"no ja\.example\.org\.7z; look how"):
        stackexchange.resolve(stackexchange.Params(sites={"ja.example.org": "ja"}))
    host.pages["/metadata/stackexchange/files"] = web_host.Page(b"<html>")
    with pytest.raises(SourceError, match="does not say what there is"):
        stackexchange.resolve(params)


def test_stackexchange_machine_without_client_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stackexchange.unavailable(stackexchange.Params(sites={SITE: "pt"})) is None
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    said = stackexchange.unavailable(stackexchange.Params(sites={SITE: "pt"}))
    assert said is not None
    assert "install 7-Zip" in said
    rows, faults = read_posts(tmp_path, lzma.compress(posts(QUESTION)))
    assert rows == []
    assert [fault.reason for fault in faults] == ["no client on this machine unpacks 7z"]


@pytest.mark.parametrize("name", ["-x.com", "../a", "a b.com", "nodot", "https://a.com"])
def test_stackexchange_name_that_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="no host name"):
        stackexchange.Params(sites={name: "en"})


# Before a fixture puts another on PATH: the first that runs.
FOUND = (path for name in ("7zz", "7z") if (path := shutil.which(name)))
REAL = next((path for path in FOUND if refusal([path, "i"]) is None), None)


@pytest.mark.needs("7zz", "7z")
def test_stackexchange_real_client_reads_a_real_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(str(REAL)).parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    (tmp_path / "Posts.xml").write_bytes(posts(QUESTION, BETTER))
    (tmp_path / "Users.xml").write_bytes(b"<users />")
    made = [str(REAL), "a", "-bso0", "b.7z", "Users.xml", "Posts.xml"]
    subprocess.run(made, cwd=tmp_path, check=True)
    packed = (tmp_path / "b.7z").read_bytes()
    rows, faults = read_posts(tmp_path, packed)
    assert (len(rows), faults) == (1, [])
    for broken in (packed[:-40], packed[:60], b"no archive", b""):
        rows, faults = read_posts(tmp_path, broken)
        assert rows == []
        assert [fault.rest for fault in faults] == [True]
