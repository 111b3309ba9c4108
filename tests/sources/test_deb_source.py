"""Debian source packages, from a stand-in for apt-get and from apt-get itself."""

from __future__ import annotations

import hashlib
import io
import lzma
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from phloem.sources.clients import apt_source, packages
from phloem.sources.clients.standing import standing
from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.connectors import deb
from phloem.sources.limits import Limits

DEFAULT = Limits()
MEMBERS = {
    "pack-1.0/README.md": "# सभी मनुष्य\n".encode(),
    "pack-1.0/src/main.cpp": "// ทุกคน\n".encode(),
    "pack-1.0/src/notes.txt": b"broken \xff\xfe\n",
}
ORIG = "pack_1%3a1.0-2/pack_1.0.orig.tar.gz"
DSC = """\
Format: 3.0 (quilt)
Source: pack
Version: 1:1.0-2
"""


def tarball(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """A tar archive with these files, and links that lead out of it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("pack-1.0/link.txt")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    return data.getvalue()


def read_all(
    folder: Path, archives: dict[str, bytes], limits: Limits = DEFAULT, **more: Any
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Every row and fault of a source package with these archives, by pinned name."""
    params = deb.Params(
        packages={"pack": {"license": "MIT", "url": "https://example.org/"}}, source=True, **more
    )
    pinned, files = [], {}
    for number, (name, content) in enumerate(archives.items()):
        path = folder / str(number)
        path.write_bytes(content)
        pinned.append(PinnedFile(name, hashlib.sha256(content).hexdigest(), len(content)))
        files[name] = str(path)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in deb.splits(params, Pin("1", tuple(pinned)), files):
        for found in deb.read(params, split, {name: files[name] for name in split.files}, limits):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["native_id"].removeprefix("pack/") for row in rows]


def test_source_members_have_names_without_version_types_and_licence(tmp_path: Path) -> None:
    rows, faults = read_all(tmp_path, {ORIG: tarball(MEMBERS)}, languages={"src/*.cpp": "th"})
    assert faults == []
    assert [(row["native_id"], row["media_type"], row["declared_language"]) for row in rows] == [
        ("pack/README.md", "text/markdown", None),
        ("pack/src/main.cpp", "text/x-c++", "th"),
        ("pack/src/notes.txt", "text/plain", None),
    ]
    assert [row["content"] for row in rows] == list(MEMBERS.values())
    assert {(row["license"], row["url"]) for row in rows} == {("MIT", "https://example.org/")}


def test_source_archives_of_parts_lie_where_dpkg_would_put_them(tmp_path: Path) -> None:
    part = "pack_1%3a1.0-2/pack_1.0.orig-docs.tar.xz"
    docs = lzma.compress(tarball({"docs-1.0/a.txt": b"a"}, "w"))
    rows, faults = read_all(tmp_path, {ORIG: tarball(MEMBERS), part: docs})
    assert faults == []
    assert names(rows) == ["README.md", "src/main.cpp", "src/notes.txt", "docs/a.txt"]


def test_source_archive_of_several_folders_keeps_their_names(tmp_path: Path) -> None:
    members = {"doc/a.txt": b"a", "src/a.txt": b"b", "top.txt": b"c"}
    native = "pack_1.0/pack_1.0.tar.xz"
    rows, _ = read_all(tmp_path, {native: lzma.compress(tarball(members, "w"))})
    assert names(rows) == list(members)


@pytest.mark.parametrize("name", ["../evil.txt", "pack-1.0/../../evil.txt", "/etc/evil.txt"])
def test_source_member_that_leaves_the_archive_is_a_fault(tmp_path: Path, name: str) -> None:
    members = {"pack-1.0/a.txt": b"a", name: b"evil", "pack-1.0/b.txt": b"b"}
    rows, faults = read_all(tmp_path, {ORIG: tarball(members)})
    assert [row["content"] for row in rows] == [b"a", b"b"]
    assert [fault.reason for fault in faults] == ["member path leaves the archive"]


def test_source_bomb_and_endless_line_stop_at_the_limits(tmp_path: Path) -> None:
    bomb = {f"pack-1.0/{n:02}.txt": bytes(6 * 2**20) for n in range(12)}
    rows, faults = read_all(tmp_path, {ORIG: tarball(bomb)})
    assert 8 < len(rows) < 12
    assert [(fault.reason, fault.rest) for fault in faults] == [
        ("archive unpacks to more than 250 times its size (limits.unpacked_ratio)", True)
    ]
    line = {"pack-1.0/a.txt": b"x" * 50_000}
    rows, faults = read_all(tmp_path, {ORIG: tarball(line)}, Limits(member_bytes=10_000))
    assert [fault.reason for fault in faults] == [
        "member larger than 10000 bytes (limits.member_bytes)"
    ]


def test_source_archive_cut_short_gives_what_came_before(tmp_path: Path) -> None:
    members = {f"pack-1.0/{n:02}": hashlib.sha256(b"%d" % n).digest() * 40 for n in range(30)}
    rows, faults = read_all(tmp_path, {ORIG: tarball(members)[:-400]})
    assert 10 < len(rows) < 30
    assert [row["content"] for row in rows] == list(members.values())[: len(rows)]
    assert (faults[-1].reason, faults[-1].rest) == ("truncated gzip", True)


@pytest.mark.parametrize(
    ("ending", "content", "reason"),
    [
        ("gz", b"<html>", "broken gzip"),
        ("lzma", b"x", "archive packed as .lzma, which is not read"),
    ],
)
def test_source_archive_of_another_kind_is_a_fault(
    tmp_path: Path, ending: str, content: bytes, reason: str
) -> None:
    name = f"pack_1.0-1/pack_1.0.orig.tar.{ending}"
    rows, faults = read_all(tmp_path, {name: content})
    assert rows == []
    assert [(fault.reason, fault.rest) for fault in faults] == [(reason, True)]


def test_source_large_archive_is_split_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"pack-1.0/{n:02}": hashlib.sha256(b"%d" % n).digest() for n in range(30)}
    whole, _ = read_all(tmp_path, {ORIG: tarball(members)})
    monkeypatch.setattr(packages, "PART_BYTES", 100)
    again, _ = read_all(tmp_path, {ORIG: tarball(members)})
    assert len(whole) == 30
    assert sorted(again, key=str) == sorted(whole, key=str)


APT = """
assert args[-2] == "--" or "update" in args or "indextargets" in args
parts = [part.partition("=")[2] for part in args if part.startswith("-oDir::Etc::sourceparts=")]
if "indextargets" in args:
    kind = args[-1].partition(": ")[2]
    print({entry!r} + ":1" if kind == "Packages" or {listed} or parts else "")
elif "update" in args:
    for path in pathlib.Path(parts[0]).iterdir():
        pathlib.Path({seen!r}).write_text(path.name + "\\n" + path.read_text())
elif "--print-uris" in args:
    print("'http://u:secret@mirror/pack.dsc' pack_2.0-1.dsc 10 SHA256:00")
elif args[-1] in ("pack", "pack=1:1.0-2"):
    assert "--download-only" in args
    pathlib.Path("pack_1.0-2.dsc").write_text({dsc!r})
    pathlib.Path("pack_1.0-2.debian.tar.xz").write_bytes(b"")
    pathlib.Path("pack_1.0.orig.tar.gz.asc").write_bytes(b"")
    shutil.copy({orig!r}, "pack_1.0.orig.tar.gz")
else:
    sys.exit("E: Unable to find a source package for http://u:secret@mirror/")
"""


def apt(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, listed: bool = False, entry: str = "a.list"
) -> Path:
    """A stand-in for apt-get that knows one source package; its archive."""
    orig = folder / "orig"
    orig.write_bytes(tarball(MEMBERS))
    body = APT.format(
        entry=str(folder / entry),
        listed=listed,
        seen=str(folder / "seen"),
        dsc=DSC,
        orig=str(orig),
    )
    path = folder / "bin" / "apt-get"
    path.parent.mkdir()
    head = f"#!{sys.executable}\nimport pathlib, shutil, sys\nargs = sys.argv[1:]\n"
    path.write_text(head + body, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    return orig


PARAMS = deb.Params(packages=["pack"], source=True)


def test_source_resolve_fetch_and_vanished_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orig = apt(tmp_path, monkeypatch, listed=True)
    assert deb.unavailable(PARAMS) is None
    pin = deb.resolve(PARAMS)
    assert (pin.version, [file.name for file in pin.files]) == ("1:1.0-2", [ORIG])
    (path,) = deb.fetch(PARAMS, pin, tmp_path / "into").values()
    assert Path(path).read_bytes() == orig.read_bytes()
    old = Pin("x", (PinnedFile(ORIG.replace("1.0", "0.9"), "0" * 64, 1),))
    with pytest.raises(GoneError, match=r"pack 1:0\.9-2 is not served here; 2\.0-1 is") as error:
        deb.fetch(PARAMS, old, tmp_path / "again")
    other = Pin("x", (PinnedFile(ORIG.replace("tar.gz", "tar.xz"), "0" * 64, 1),))
    with pytest.raises(GoneError, match=r"holds no pack_1\.0\.orig\.tar\.xz any more"):
        deb.fetch(PARAMS, other, tmp_path / "third")
    with pytest.raises(SourceError, match="knows no source package nothing") as unknown:
        deb.resolve(deb.Params(packages=["nothing"], source=True))
    assert "secret" not in str(error.value) + str(unknown.value)
    orig.write_bytes(b"other")
    with pytest.raises(SourceError, match="other bytes under the same name"):
        deb.fetch(PARAMS, pin, tmp_path / "fourth")


@pytest.mark.parametrize(
    ("entry", "text", "seen"),
    [
        (
            "a.list",
            "# deb x\ndeb [signed-by=/k] http://mirror/ suite main\n",
            "# deb x\ndeb-src [signed-by=/k] http://mirror/ suite main\n",
        ),
        (
            "a.sources",
            "Types: deb\nURIs: http://mirror/\nSuites: suite\nSigned-By: /k\n",
            "Types: deb-src\nURIs: http://mirror/\nSuites: suite\nSigned-By: /k\n",
        ),
    ],
)
def test_source_lists_are_made_of_the_machine_own_entries_where_it_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, text: str, seen: str
) -> None:
    apt(tmp_path, monkeypatch, entry=entry)
    (tmp_path / entry).write_text(text)
    assert deb.resolve(PARAMS).version == "1:1.0-2"
    name, _, read = (tmp_path / "seen").read_text().partition("\n")
    assert (name, read) == (f"0{Path(entry).suffix}", seen)
    assert (tmp_path / entry).read_text() == text


def test_source_lists_that_cannot_be_had_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt(tmp_path, monkeypatch)
    path = tmp_path / "bin" / "apt-get"
    path.write_text(path.read_text().replace("or parts else", "else"))
    (tmp_path / "a.list").write_text("deb http://mirror/ suite main\n")
    with pytest.raises(SourceError, match="no lists of source packages and could not have them"):
        deb.resolve(PARAMS)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "/opt/x_1/a.tar.gz",
        "../xx_1/a.tar.gz",
        "-oDir=x_1/a",
        "xx_-1/a",
        "xx_1 2/a",
        "xx_/a",
    ],
)
def test_source_pinned_name_that_no_package_has_reaches_no_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(apt_source, "run_client", None)
    with pytest.raises(SourceError, match="correct the card, or lock it again"):
        deb.fetch(PARAMS, Pin("1", (PinnedFile(name, "0" * 64, 1),)), tmp_path / "into")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("apt-get")
def test_apt_itself_brings_a_hostile_source_package_that_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch = f"touch {tmp_path / 'made'}"
    hostile = {
        "pack-1.0/Makefile": f"all:\n\t{touch}\n$(shell {touch})\n".encode(),
        "pack-1.0/configure": f"#!/bin/sh\n{touch}\n".encode(),
        "pack-1.0/setup.py": f"import os; os.system('{touch}')\n".encode(),
        "pack-1.0/debian/rules": f"#!/bin/sh\n{touch}\n".encode(),
    }
    shelf = tmp_path / "archive"
    shelf.mkdir()
    orig = tarball(hostile)
    rules = tarball({"debian/rules": f"#!/bin/sh\n{touch}\n".encode()})
    archives = {"pack_1.0.orig.tar.gz": orig, "pack_1.0-2.debian.tar.gz": rules}

    def listed(content: dict[str, bytes]) -> str:
        lines = [
            f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}"
            for name, data in content.items()
        ]
        return "Checksums-Sha256:\n" + "\n".join(lines) + "\n"

    dsc = DSC + "Maintainer: A <a@b.org>\n" + listed(archives)
    archives["pack_1.0-2.dsc"] = dsc.encode()
    for name, content in archives.items():
        (shelf / name).write_bytes(content)
    index = dsc.replace("Source:", "Package:").partition("Checksums")[0]
    (shelf / "Sources").write_text(f"{index}Directory: .\n{listed(archives)}")
    (shelf / "Packages").write_text(
        "Package: other\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.org>\n"
        f"Filename: ./other.deb\nSize: 1\nSHA256: {'0' * 64}\n"
    )
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path / "sources.list"}";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::Lists "{tmp_path / "lists"}";\n'
        f'Dir::Cache "{tmp_path / "cache"}";\n'
        'APT::Sandbox::User "";\n'
    )
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{shelf} ./\n")
    for folder in ("lists/partial", "cache/archives/partial"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    subprocess.run(["apt-get", "--quiet", "update"], check=True, capture_output=True)

    pin = deb.resolve(PARAMS)
    assert [file.name for file in pin.files] == [ORIG]
    (path,) = deb.fetch(PARAMS, pin, tmp_path / "into").values()
    rows, faults = read_all(tmp_path, {ORIG: Path(path).read_bytes()})
    assert (len(rows), faults) == (4, [])
    became = standing(deb, PARAMS, pin, tmp_path)
    assert (became.state, became.by) == ("ok", "sha256")
    old = Pin("x", (PinnedFile(ORIG.replace("1.0", "0.9"), "0" * 64, 1),))
    became = standing(deb, PARAMS, old, tmp_path)
    assert became.state == "vanished"
    assert "1:1.0-2 is" in became.reason
    binary = deb.Params(packages=["other"])
    for name, sha256, state in (
        ("other_1_all.deb", "0" * 64, "ok"),
        ("other_1_all.deb", "1" * 64, "changed"),
        ("other_2_all.deb", "0" * 64, "vanished"),
    ):
        locked = Pin("x", (PinnedFile(name, sha256, 1),))
        assert standing(deb, binary, locked, tmp_path).state == state
    assert not (tmp_path / "made").exists(), "the package ran something"
