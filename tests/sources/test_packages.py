"""The connectors for wheels and Debian packages, with archives and clients made here."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zstandard

from phloem.sources import archives
from phloem.sources.clients import pinned
from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.connectors import deb, pypi

PACK: dict[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "gz": gzip.compress,
    "zst": zstandard.compress,
}
MEMBERS = {
    "pack/__init__.py": b"x = 1\n",
    "pack/guide.md": "# सभी मनुष्य\n".encode(),
    "pack/page.html": b"<p>caf\xe9</p>",
    "pack/old.txt.gz": gzip.compress("ทุกคน".encode()),
    "pack/README": "人人".encode(),
    "pack-1.0.dist-info/licenses/LICENSE": b"MIT",
}


def wheel(path: Path, members: dict[str, bytes] = MEMBERS) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def debian(path: Path, members: dict[str, bytes], kind: str = "xz") -> Path:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("./pack/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    pack = PACK[kind]
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": b"odd",
        f"data.tar.{kind}": pack(data.getvalue()),
    }
    out = b"!<arch>\n"
    for name, content in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    path.write_bytes(out)
    return path


def read_all(
    module: ModuleType, path: Path, **params: Any
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Every row and fault of a package."""
    file = pinned(path)
    pin, files = Pin("1.0", (file,)), {file.name: str(path)}
    model = module.Params(packages=["pack"], **params)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in module.splits(model, pin, files):
        for found in module.read(model, split, files):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


WHEEL, DEB = "pack-1.0-py3-none-any.whl", "pack_1%3a1.0_all.deb"


def test_pypi_members_have_names_without_version_and_types(tmp_path: Path) -> None:
    rows, faults = read_all(pypi, wheel(tmp_path / WHEEL), include=["pack*"])
    assert faults == []
    assert {row["native_id"]: row["media_type"] for row in rows} == {
        "pack/pack/__init__.py": "text/x-python",
        "pack/pack/guide.md": "text/markdown",
        "pack/pack/page.html": "text/html",
        "pack/pack/old.txt.gz": "text/plain",
        "pack/pack/README": "text/plain",
        "pack/pack.dist-info/licenses/LICENSE": "text/plain",
    }
    by_name = {row["native_id"]: row for row in rows}
    assert by_name["pack/pack/old.txt.gz"]["content"].decode() == "ทุกคน"
    assert by_name["pack/pack/page.html"]["content"] == b"<p>caf\xe9</p>"
    assert by_name["pack/pack/__init__.py"]["title"] == "pack/__init__.py"


def test_packages_include_exclude_languages_and_licence_hold(tmp_path: Path) -> None:
    model = pypi.Params(
        packages={"Pack": archives.Package(license="MIT", url="https://example.org/")},
        include=["*.md", "*.py"],
        exclude=["*__init__*"],
        languages={"*.md": "hi"},
    )
    path = wheel(tmp_path / WHEEL)
    files = {path.name: str(path)}
    (split,) = pypi.splits(model, Pin("1.0", (pinned(path),)), files)
    (batch,) = pypi.read(model, split, files)
    assert not isinstance(batch, Fault)
    (row,) = batch.to_pylist()
    assert row["native_id"] == "Pack/pack/guide.md"
    assert (row["license"], row["url"]) == ("MIT", "https://example.org/")
    assert row["declared_language"] == "hi"


@pytest.mark.parametrize("kind", ["xz", "gz", "zst"])
def test_deb_members_are_read_and_links_skipped(tmp_path: Path, kind: str) -> None:
    rows, faults = read_all(deb, debian(tmp_path / DEB, MEMBERS, kind), include=["pack/*"])
    assert faults == []
    assert [row["native_id"] for row in rows] == [
        f"pack/{name}" for name in MEMBERS if name.startswith("pack/")
    ]


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:/evil.txt"]
)
def test_packages_member_that_leaves_the_archive_is_a_fault(tmp_path: Path, name: str) -> None:
    members = {"pack/a.txt": b"a", name: b"evil", "pack/b.txt": b"b"}
    (tmp_path / "in").mkdir()
    paths = [wheel(tmp_path / "in" / WHEEL, members), debian(tmp_path / "in" / DEB, members)]
    for module, path in zip((pypi, deb), paths, strict=True):
        rows, faults = read_all(module, path, include=["pack/*"])
        assert [row["content"] for row in rows] == [b"a", b"b"]
        assert [fault.reason for fault in faults] == ["member path leaves the archive"]
    assert not (tmp_path / "evil.txt").exists()


def test_packages_large_member_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER", 100)
    members = {
        "a.txt": b"x" * 101,
        "b.txt.gz": gzip.compress(b"y" * 101),
        "c.txt": b"z" * 100,
    }
    for module, path in (
        (pypi, wheel(tmp_path / WHEEL, members)),
        (deb, debian(tmp_path / DEB, members)),
    ):
        rows, faults = read_all(module, path)
        assert [row["content"] for row in rows] == [b"z" * 100]
        assert [fault.native_id for fault in faults] == ["pack/a.txt", "pack/b.txt.gz"]
        assert all("larger than 100 bytes" in fault.reason for fault in faults)


def test_packages_bomb_stops_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    monkeypatch.setattr(archives, "MAX_RATIO", 2)
    members = {f"{number}.txt": bytes(100_000) for number in range(20)}
    rows, faults = read_all(pypi, wheel(tmp_path / WHEEL, members))
    assert len(rows) < 20
    assert [fault.reason for fault in faults] == ["archive unpacks to more than the bound"]


def test_packages_cut_short_are_faults(tmp_path: Path) -> None:
    members = {f"{n}.txt": bytes(str(n), "ascii") * 5000 for n in range(50)}
    path = debian(tmp_path / DEB, members, "gz")
    path.write_bytes(path.read_bytes()[:-60])
    rows, faults = read_all(deb, path)
    assert len(faults) == 1
    assert faults[0].reason in {"truncated gzip", "broken archive"}
    assert len(rows) <= 50
    broken = wheel(tmp_path / WHEEL)
    broken.write_bytes(broken.read_bytes()[:-30])
    assert [f.reason for f in read_all(pypi, broken)[1]] == ["broken archive"]
    (tmp_path / "odd_1_all.deb").write_bytes(b"no package")
    assert read_all(deb, tmp_path / "odd_1_all.deb")[1][0].reason == "not a Debian package"


def test_pypi_damaged_member_is_a_fault_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"AAAAAAAA")
        archive.writestr("b.txt", b"BBBBBBBB")
    path.write_bytes(path.read_bytes().replace(b"AAAAAAAA", b"AAAACAAA"))
    rows, faults = read_all(pypi, path)
    assert [row["content"] for row in rows] == [b"BBBBBBBB"]
    assert [(fault.native_id, fault.reason) for fault in faults] == [
        ("pack/a.txt", "broken member")
    ]


def test_packages_split_in_parts_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"{number:02d}.txt": b"x" * number for number in range(30)} | {"../e.txt": b""}
    paths = (wheel(tmp_path / WHEEL, members), debian(tmp_path / DEB, members))
    whole = [read_all(module, path) for module, path in zip((pypi, deb), paths, strict=True)]
    monkeypatch.setattr(pypi, "SPLIT_BYTES", 50)
    monkeypatch.setattr(deb, "PART_BYTES", 100)
    for module, path, (rows, faults) in zip((pypi, deb), paths, whole, strict=True):
        again, more = read_all(module, path)
        assert sorted(again, key=str) == sorted(rows, key=str)
        assert more == faults


def pin_file(name: str) -> PinnedFile:
    """A file that no package here is."""
    return PinnedFile(name, "0" * 64, 1)


def client(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executable on PATH that stands in for a package client."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport pathlib, shutil, sys\n{body}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.setattr(pypi, "_client", lambda: [str(folder / "bin" / "pip")])


PIP = """
asked, target = sys.argv[-1], sys.argv[sys.argv.index("--dest") + 1]
if asked in ("pack", "pack==1.0"):
    shutil.copy({wheel!r}, target)
else:
    sys.exit("ERROR: Could not find a version that satisfies the requirement "
             + asked + " (from versions: 0.9, 1.0)\\nERROR: No matching distribution at https://u:secret@index/")
"""
APT = """
asked = sys.argv[-1]
if "--print-uris" in sys.argv:
    print("'http://mirror/pack.deb' pack_1%3a2.0_all.deb 10 SHA256:00")
elif asked in ("pack", "pack=1:2.0"):
    shutil.copy({deb!r}, "pack_1%3a2.0_all.deb")
else:
    sys.exit("E: Version '" + asked + "' was not found")
"""


def test_pypi_resolve_then_fetch_gives_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path, "pip", PIP.format(wheel=str(wheel(tmp_path / WHEEL))), monkeypatch)
    params = pypi.Params(packages=["pack"])
    pin = pypi.resolve(params)
    assert (pin.version, [file.name for file in pin.files]) == ("1.0", [WHEEL])
    files = pypi.fetch(params, pin, tmp_path / "into")
    assert pinned(Path(files[WHEEL])) == pin.files[0]


def test_pypi_vanished_pin_names_the_current_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path, "pip", PIP.format(wheel=""), monkeypatch)
    pin = Pin("0.5", (pin_file("pack-0.5-py3-none-any.whl"),))
    with pytest.raises(GoneError, match=r"pack 0\.5 is no longer served; 1\.0 is") as error:
        pypi.fetch(pypi.Params(packages=["pack"]), pin, tmp_path)
    assert "lock it again" in str(error.value)
    assert "secret" not in str(error.value)


def test_deb_resolve_fetch_and_vanished_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = APT.format(deb=str(debian(tmp_path / "pack.deb", MEMBERS)))
    client(tmp_path, "apt-get", body, monkeypatch)
    params = deb.Params(packages=["pack"])
    assert deb.unavailable(params) is None
    pin = deb.resolve(params)
    assert (pin.version, pin.files[0].name) == ("1:2.0", "pack_1%3a2.0_all.deb")
    assert list(deb.fetch(params, pin, tmp_path / "into")) == ["pack_1%3a2.0_all.deb"]
    old = Pin("1:1.0", (pin_file(DEB),))
    with pytest.raises(GoneError, match=r"pack 1:1\.0 is no longer served here; 1:2\.0 is"):
        deb.fetch(params, old, tmp_path / "again")


def test_fetch_other_bytes_under_the_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path, "pip", PIP.format(wheel=str(wheel(tmp_path / WHEEL))), monkeypatch)
    pin = Pin("1.0", (pin_file(WHEEL),))
    with pytest.raises(SourceError, match="other bytes under the same name"):
        pypi.fetch(pypi.Params(packages=["pack"]), pin, tmp_path / "into")


def test_unavailable_names_the_missing_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get is missing" in (deb.unavailable(deb.Params(packages=["pack"])) or "")
    monkeypatch.setattr(pypi, "_client", lambda: None)
    assert "pip is missing" in (pypi.unavailable(pypi.Params(packages=["pack"])) or "")
