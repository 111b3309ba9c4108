"""The connectors for wheels and Debian packages, with archives and clients made here."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.clients import apt_source
from phloem.sources.clients.clients import pinned
from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.connectors import deb, pypi
from phloem.sources.formats import archives
from phloem.sources.formats.archives import MemberParams, _unversioned
from phloem.sources.limits import Limits
from phloem.sources.records import Record

DEFAULT = Limits()
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
    module: ModuleType, path: Path, limits: Limits = DEFAULT, **params: Any
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Every row and fault of a package."""
    file = pinned(path)
    pin, files = Pin("1.0", (file,)), {file.name: str(path)}
    model = module.Params(packages=["pack"], **params)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in module.splits(model, pin, files):
        for found in module.read(model, split, files, limits):
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
    (batch,) = pypi.read(model, split, files, DEFAULT)
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


def test_packages_large_member_is_a_fault_unless_the_limit_is_raised(tmp_path: Path) -> None:
    members = {
        "a.txt": b"x" * 101,
        "b.txt.gz": gzip.compress(b"y" * 101),
        "c.txt": b"z" * 100,
    }
    for module, path in (
        (pypi, wheel(tmp_path / WHEEL, members)),
        (deb, debian(tmp_path / DEB, members)),
    ):
        rows, faults = read_all(module, path, Limits(member_bytes=100))
        assert [row["content"] for row in rows] == [b"z" * 100]
        assert [(fault.native_id, fault.reason) for fault in faults] == [
            (f"pack/{name}", "member larger than 100 bytes (limits.member_bytes)")
            for name in ("a.txt", "b.txt.gz")
        ]
        assert len(read_all(module, path, Limits(member_bytes=101))[0]) == 3


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (DEFAULT, "unpacks to more than 250 times its size (limits.unpacked_ratio)"),
        (
            Limits(unpacked_ratio=2000, stream_bytes=2**26),
            "unpacks to more than 67108864 bytes (limits.stream_bytes)",
        ),
    ],
)
def test_packages_bomb_stops_at_the_limit_and_is_read_above_it(
    tmp_path: Path, limits: Limits, reason: str
) -> None:
    members = {f"{number:02}.txt": bytes(6 * 2**20) for number in range(12)}
    for module, path in (
        (pypi, wheel(tmp_path / WHEEL, members)),
        (deb, debian(tmp_path / DEB, members, "gz")),
    ):
        rows, faults = read_all(module, path, limits)
        assert 8 < len(rows) < 12
        assert [(fault.reason, fault.rest) for fault in faults] == [(f"archive {reason}", True)]
        assert len(read_all(module, path, Limits(unpacked_ratio=2000))[0]) == 12


def test_packages_cut_short_are_faults(tmp_path: Path) -> None:
    members = {f"{n}.txt": bytes(str(n), "ascii") * 5000 for n in range(50)}
    path = debian(tmp_path / DEB, members, "gz")
    path.write_bytes(path.read_bytes()[:-300])
    rows, faults = read_all(deb, path)
    assert [(fault.reason, fault.rest) for fault in faults][-1] == ("truncated gzip", True)
    assert all(fault.reason == "member truncated gzip" for fault in faults[:-1])
    assert 30 < len(rows) < 50
    assert [row["content"] for row in rows] == list(members.values())[: len(rows)]
    broken = wheel(tmp_path / WHEEL)
    broken.write_bytes(broken.read_bytes()[:-30])
    assert read_all(pypi, broken)[1] == [Fault("pack", 0, "broken archive", rest=True)]
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


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_pypi_member_packed_without_a_bound_is_a_fault_and_is_not_read(
    tmp_path: Path, method: int
) -> None:
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", bytes(50_000_000), method)
        archive.writestr("b.txt", b"b")
    size = (50_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (100).to_bytes(4, "little")))
    tracemalloc.start()
    rows, faults = read_all(pypi, path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row["content"] for row in rows] == [b"b"]
    assert [fault.reason for fault in faults] == [f"member packed by zip method {method}"]
    assert peak < 10_000_000


def test_pypi_name_that_is_not_the_utf8_it_claims_is_a_fault(tmp_path: Path) -> None:
    path = wheel(tmp_path / WHEEL, {"a.txt": b"a", "กก.txt": b"b", "c.txt": b"c"})
    whole, name = path.read_bytes(), "กก.txt".encode()
    path.write_bytes(whole.replace(name, b"\xff" * len(name)))
    assert read_all(pypi, path) == ([], [Fault("pack", 0, "broken archive", rest=True)])
    path.write_bytes(whole.replace(name, b"\xff" * len(name), 1))  # only where the member lies
    rows, faults = read_all(pypi, path)
    assert [row["content"] for row in rows] == [b"a", b"c"]
    assert [(fault.native_id, fault.reason, fault.rest) for fault in faults] == [
        ("pack/กก.txt", "broken member", False)
    ]


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    """A tar archive of (name, type, content), long and strange headers as they are given."""
    out = b""
    for name, kind, content in members:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(content)
        out += info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)
    return out + bytes(1024)


def pax(key: str, value: str) -> bytes:
    """A record of a PAX header (POSIX.1-2008): its own length, a key, a value."""
    size = len(key.encode()) + len(value.encode()) + 3
    length = next(n for n in range(size, size + 9) if n == size + len(str(n)))
    return f"{length} {key}={value}\n".encode()


def read_tar(
    archive: bytes, compression: str | None = None, limits: Limits = DEFAULT
) -> tuple[list[bytes], list[Fault]]:
    """Contents and faults of a tar archive."""
    want = archives.Wanted(deb.Params(packages=["pack"]), "pack")
    members = archives.tar_members(io.BytesIO(archive), compression, limits)
    found = list(archives.records_of(members, want, len(archive), limits))
    contents = [record.content for record in found if not isinstance(record, Fault)]
    return contents, [record for record in found if isinstance(record, Fault)]


REG, XHD, XGL, LONG = (
    tarfile.REGTYPE,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
)
SPARSE_1 = pax("GNU.sparse.major", "1") + pax("GNU.sparse.minor", "0")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("x", XHD, pax("GNU.sparse.size", "x"))], "broken archive"),
        ([("x", XHD, SPARSE_1)], "sparse tar member"),
        ([("x", tarfile.GNUTYPE_SPARSE, b"")], "sparse tar member"),
        ([("x", XHD, pax("comment", "y" * 20_000))], "tar headers larger than 16384 bytes"),
        ([("x", LONG, b"y" * 20_000)], "tar headers larger than 16384 bytes"),
        ([("x", XHD, pax("comment", "y" * 900))] * 20, "tar headers larger than 16384 bytes"),
        (
            [("x", XGL, pax("k" * 900, "")), ("b", REG, b"b")] * 20,
            "tar headers larger than 16384 bytes",
        ),
        ([("x", XHD, pax("path", "z"))] * 600, "broken archive"),
    ],
)
def test_tar_hostile_header_ends_the_archive_with_a_fault(
    members: list[tuple[str, bytes, bytes]], reason: str
) -> None:
    contents, faults = read_tar(tar(("a", REG, b"a"), *members, ("c", REG, b"c")))
    assert contents[0] == b"a"
    assert b"c" not in contents
    assert [(fault.reason, fault.rest) for fault in faults] == [(reason, True)]


def test_tar_header_bomb_takes_little_memory() -> None:
    packed = gzip.compress(tar(("x", XHD, pax("comment", "y" * 50_000_000)), ("c", REG, b"c")))
    tracemalloc.start()
    _, faults = read_tar(packed, "gzip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(faults) == 1
    assert peak < 10_000_000


def test_tar_long_names_of_many_members_are_read() -> None:
    name = "ก" * 1000
    members = [("x", XHD, pax("path", f"{name}{n}.txt")) for n in range(50)]
    pairs = [entry for member in members for entry in (member, ("short", REG, b"text"))]
    assert read_tar(tar(*pairs)) == ([b"text"] * 50, [])


def test_tar_folders_count_as_members() -> None:
    folders = [(f"f{number}", tarfile.DIRTYPE, b"") for number in range(10)]
    archive = tar(*folders, ("a", REG, b"a"))
    contents, faults = read_tar(archive, None, Limits(archive_members=10))
    assert contents == []
    assert [(fault.reason, fault.rest) for fault in faults] == [
        ("more than 10 members (limits.archive_members)", True)
    ]
    assert read_tar(archive, None, Limits(archive_members=11)) == ([b"a"], [])


@pytest.mark.parametrize(
    ("left", "read", "reasons"),
    [
        (512, [], ["broken member", "broken archive"]),
        (700, [b"a"], ["broken archive"]),
        (1024, [b"a"], ["broken tar header"]),
        (1100, [b"a"], ["broken tar header"]),
        (2048, [b"a", b"b"], ["broken tar header"]),
    ],
)
def test_tar_without_its_end_is_a_fault(left: int, read: list[bytes], reasons: list[str]) -> None:
    whole = tar(("a", REG, b"a"), ("b", REG, b"b"))
    contents, faults = read_tar(whole[:left])
    assert contents == read
    assert [fault.reason for fault in faults] == reasons
    assert [fault.rest for fault in faults] == [reason != "broken member" for reason in reasons]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([WHEEL, DEB]), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4))))
def test_packages_with_any_bytes_changed_give_records_and_faults(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("changed") / name
    module = pypi if name == WHEEL else deb
    content = bytearray((wheel(path) if name == WHEEL else debian(path, MEMBERS)).read_bytes())
    for place, new in changes:
        start = int(place * len(content))
        content[start : start + len(new)] = new
    path.write_bytes(content)
    rows, faults = read_all(module, path)
    assert rows or faults


def test_packages_split_reads_only_its_own_file(tmp_path: Path) -> None:
    for module, model, make, names in (
        (pypi, pypi.Params, wheel, ("one-1-py3-none-any.whl", "two-2-py3-none-any.whl")),
        (deb, deb.Params, debian, ("one_1_all.deb", "two_2_all.deb")),
    ):
        paths = {name: make(tmp_path / name, {"a.txt": name.encode()}) for name in names}
        files = {name: str(path) for name, path in paths.items()}
        params = model(packages=["one", "two"])
        splits = module.splits(params, Pin("1", tuple(map(pinned, paths.values()))), files)
        assert [split.files for split in splits] == [(name,) for name in names]
        for split in splits:
            own = {name: files[name] for name in split.files}
            (batch,) = module.read(params, split, own, DEFAULT)
            assert batch.to_pylist()[0]["content"].decode() == split.files[0]


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
assert sys.argv[-2] == "--", "an option could hide in a name"
asked, target = sys.argv[-1], sys.argv[sys.argv.index("--dest") + 1]
if asked in ("pack", "pack==1.0"):
    shutil.copy({wheel!r}, target)
else:
    sys.exit("ERROR: Could not find a version that satisfies the requirement "
             + asked + " (from versions: 0.9, 1.0)\\nERROR: No matching distribution at https://u:secret@index/")
"""
APT = """
assert sys.argv[-2] == "--", "an option could hide in a name"
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


@pytest.mark.parametrize(
    "name",
    [
        "/opt/x-1.0-py3-none-any.whl",
        "-r/opt/x-1.0-py3-none-any.whl",
        ".x-1.0-py3-none-any.whl",
        "x-1.0;evil-py3-none-any.whl",
        "x",
        "",
        "/opt/x_1.0_all.deb",
        "../x_1.0_all.deb",
        "-oDir=x_1.0_all.deb",
        "xx_1.0/../x_all.deb",
        "xx_-1_all.deb",
    ],
)
def test_fetch_pinned_name_that_no_package_has_reaches_no_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(pypi, "run_client", None)
    monkeypatch.setattr(apt_source, "run_client", None)
    module = deb if name.endswith(".deb") else pypi
    folder = tmp_path / "into"
    with pytest.raises(SourceError, match="correct the card, or lock it again"):
        module.fetch(module.Params(packages=["pack"]), Pin("1", (pin_file(name),)), folder)
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tomlkit-0.15.2.dist-info/METADATA", "tomlkit.dist-info/METADATA"),
        (
            "usr/share/rubygems/gems/rack-test-2.0.2/lib/a.rb",
            "usr/share/rubygems/gems/rack-test/lib/a.rb",
        ),
        ("usr/lib/ruby/vendor_ruby/rails-5/x.rb", "usr/lib/ruby/vendor_ruby/rails-5/x.rb"),
    ],
)
def test_native_id_holds_no_version_of_the_package(path: str, expected: str) -> None:
    assert _unversioned(path, "tomlkit") == expected


@pytest.mark.parametrize("step", [1, 2, 3])
def test_members_of_one_name_are_told_apart_the_same_in_every_split(step: int) -> None:
    paths = ["a.txt", "b.txt", "a.txt", "a.txt#2", "skipped.bin", "a.txt", "a.txt#2"]
    params = MemberParams(include=["*.txt*"])
    found: dict[int, str] = {}
    for start in range(step):
        members = (
            archives.Member(path, 1, 0, lambda place=place: io.BytesIO(b"%d" % place))
            for place, path in enumerate(paths)
        )
        want = archives.Wanted(params, "p", start, None, step)
        for record in archives.records_of(members, want, 1000, Limits()):
            assert isinstance(record, Record)
            found[int(record.content)] = record.native_id
    assert [found[place] for place in sorted(found)] == [
        "p/a.txt",
        "p/b.txt",
        "p/a.txt#2",
        "p/a.txt#2#2",
        "p/a.txt#3",
        "p/a.txt#2#3",
    ]
