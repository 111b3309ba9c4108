"""The connectors for npm, crates, Go modules and Maven, with archives and clients made here.

Where npm, cargo and go are installed, they fetch a hostile package from an index on this machine.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import stat
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from phloem.filters.extract import PLAIN_TYPES
from phloem.sources.clients import clients, packages
from phloem.sources.clients.clients import pinned
from phloem.sources.clients.standing import standing
from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.connectors import crates, gomod, maven, npm
from phloem.sources.formats import archives
from phloem.sources.limits import Limits

DEFAULT = Limits()
MEMBERS = {
    "README.md": "# सभी मनुष्य\n".encode(),
    "doc/page.html": b"<p>caf\xe9</p>",
    "src/main.ts": "// ทุกคน\n".encode(),
    "notes.txt": b"broken \xff\xfe\n",
}


def tarball(path: Path, top: str, members: dict[str, bytes], *, links: bool = True) -> Path:
    """A gzipped tar archive with these files in a folder, and links that lead out of it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) if links else ():
            link = tarfile.TarInfo(f"{top}/link.txt")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    return path


def zipped(path: Path, top: str, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{top}{name}", content)
        link = zipfile.ZipInfo(f"{top}link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return path


@dataclass(frozen=True)
class Index:
    """One connector, and a package as its index has it."""

    module: ModuleType
    package: str
    version: str
    ending: str
    make: Callable[[Path, dict[str, bytes]], Path]

    @property
    def name(self) -> str:
        return f"{self.package}@{self.version}{self.ending}"

    def params(self, **more: Any) -> Any:
        said = {"version": self.version, "license": "MIT", "url": "https://example.org/"}
        return self.module.Params(packages={self.package: said}, **more)


NPM = Index(npm, "@scope/pack", "1.0.0", ".tgz", lambda p, m: tarball(p, "package", m))
CRATE = Index(crates, "pack", "1.0.0", ".crate", lambda p, m: tarball(p, "pack-1.0.0", m))
GO = Index(
    gomod,
    "example.org/pack",
    "v1.0.0",
    ".zip",
    lambda p, m: zipped(p, "example.org/pack@v1.0.0/", m),
)
MAVEN = Index(maven, "org.example:pack", "1.0", "-sources.jar", lambda p, m: zipped(p, "", m))
INDEXES = pytest.mark.parametrize("index", [NPM, CRATE, GO, MAVEN], ids=lambda i: i.ending)


def read_all(
    index: Index, path: Path, limits: Limits = DEFAULT, **more: Any
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Every row and fault of a package."""
    params = index.params(**more)
    file = packages.named(path, index.package, index.version, index.ending)
    pin, files = Pin(index.version, (file,)), {file.name: str(path)}
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in index.module.splits(params, pin, files):
        assert split.files == (file.name,)
        for found in index.module.read(params, split, files, limits):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


@INDEXES
def test_index_members_have_names_without_version_types_and_licence(
    tmp_path: Path, index: Index
) -> None:
    path = index.make(tmp_path / "archive", MEMBERS)
    rows, faults = read_all(index, path, exclude=["notes*"], languages={"*.ts": "th"})
    assert faults == []
    named = {row["native_id"].removeprefix(f"{index.package}/"): row for row in rows}
    assert {name: row["media_type"] for name, row in named.items()} == {
        "README.md": "text/markdown",
        "doc/page.html": "text/html",
        "src/main.ts": "text/x-typescript",
    }
    assert named["src/main.ts"]["content"].decode() == "// ทุกคน\n"
    assert named["doc/page.html"]["content"] == b"<p>caf\xe9</p>"
    assert (named["src/main.ts"]["title"], named["README.md"]["title"]) == ("src/main.ts", None)
    assert named["src/main.ts"]["declared_language"] == "th"
    assert {(row["license"], row["url"]) for row in rows} == {("MIT", "https://example.org/")}


@INDEXES
@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "..\\evil.txt", "/etc/x.txt"])
def test_index_member_that_leaves_the_archive_is_a_fault(
    tmp_path: Path, index: Index, name: str
) -> None:
    path = index.make(tmp_path / "archive", {"a.txt": b"a", name: b"evil", "b.txt": b"b"})
    rows, faults = read_all(index, path, include=["?.txt"])
    contents = {row["native_id"]: row["content"] for row in rows}
    assert {contents[f"{index.package}/{name}.txt"] for name in "ab"} == {b"a", b"b"}
    assert [fault.reason for fault in faults] == ["member path leaves the archive"]
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


@INDEXES
def test_index_large_member_or_endless_line_is_a_fault_unless_the_limit_is_raised(
    tmp_path: Path, index: Index
) -> None:
    path = index.make(tmp_path / "archive", {"a.txt": b"x" * 50_000, "b.txt": b"y\n"})
    rows, faults = read_all(index, path, Limits(member_bytes=10_000))
    assert [row["content"] for row in rows] == [b"y\n"]
    assert [(fault.native_id, fault.reason) for fault in faults] == [
        (f"{index.package}/a.txt", "member larger than 10000 bytes (limits.member_bytes)")
    ]
    assert len(read_all(index, path)[0]) == 2


@INDEXES
def test_index_bomb_stops_at_the_limit(tmp_path: Path, index: Index) -> None:
    bomb = {f"{number:02}.txt": bytes(6 * 2**20) for number in range(12)}
    path = index.make(tmp_path / "archive", bomb)
    rows, faults = read_all(index, path)
    assert 8 < len(rows) < 12
    assert [(fault.reason, fault.rest) for fault in faults] == [
        ("archive unpacks to more than 250 times its size (limits.unpacked_ratio)", True)
    ]


@INDEXES
def test_index_archive_cut_short_or_of_another_kind_is_a_fault(
    tmp_path: Path, index: Index
) -> None:
    members = {f"{n:02}.txt": hashlib.sha256(b"%d" % n).digest() * 40 for n in range(30)}
    path = index.make(tmp_path / "archive", members)
    path.write_bytes(path.read_bytes()[:-300])
    rows, faults = read_all(index, path)
    assert faults
    assert faults[-1].rest
    assert [row["content"] for row in rows] == list(members.values())[: len(rows)]
    path.write_bytes(b"<html>no package</html>")
    rows, faults = read_all(index, path)
    assert (rows, len(faults), faults[0].rest) == ([], 1, True)


@INDEXES
def test_index_large_package_is_split_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    members = {f"{n:02}.txt": hashlib.sha256(b"%d" % n).digest() for n in range(30)}
    path = index.make(tmp_path / "archive", members)
    whole, _ = read_all(index, path)
    monkeypatch.setattr(packages, "SPLIT_BYTES", 100)
    monkeypatch.setattr(packages, "PART_BYTES", 100)
    file = packages.named(path, index.package, index.version, index.ending)
    splits = index.module.splits(index.params(), Pin("1", (file,)), {file.name: str(path)})
    assert len(splits) > 5
    assert len({split.name for split in splits}) == len(splits)
    assert sorted(read_all(index, path)[0], key=str) == sorted(whole, key=str)


def test_media_types_of_every_programming_language_of_bloom_are_plain_text() -> None:
    endings = ".java .php .cpp .py .js .cs .rb .lua .go .ts .c .scala .rs".split()
    kinds = [archives.MEDIA_TYPES[ending] for ending in endings]
    assert len(set(kinds)) == 13
    assert set(archives.MEDIA_TYPES.values()) - {"text/html", "application/xhtml+xml"} <= set(
        PLAIN_TYPES
    )


# What stands in for each client: what it was asked for last, and the archive that it brings.
FAKES = {
    ".tgz": (
        "npm",
        """
if "view" in args:
    print("2.0.0")
elif args[-1] in ("@scope/pack@latest", "@scope/pack@1.0.0"):
    assert "--ignore-scripts" in args and pathlib.Path("package.json").read_text() == "{{}}"
    shutil.copy({archive!r}, "scope-pack-1.0.0.tgz")
    print(json.dumps([{{"version": "1.0.0"}}]))
elif "pack@" in args[-1]:
    sys.exit("npm error code ETARGET\\nnpm error notarget at https://u:secret@index/")
else:
    sys.exit("npm ERR! code E404\\nnpm ERR! 404 https://u:secret@index/")
""",
    ),
    ".crate": (
        "cargo",
        """
home = pathlib.Path(os.environ.get("CARGO_HOME", ""), "registry", "cache", "index")
if args == ["--version"]:
    print("cargo 1.82.0")
elif args[-1] in ("pack", "pack@1.0.0"):
    home.mkdir(parents=True)
    shutil.copy({archive!r}, home / "pack-1.0.0.crate")
    print("pack\\nversion: 1.0.0 (latest 2.0.0)")
else:
    sys.exit("error: could not find `" + args[-1] + "` in registry `https://u:secret@index/`")
""",
    ),
    ".zip": (
        "go",
        """
assert os.environ["GOVCS"] == "*:off" and os.environ["GOTOOLCHAIN"] == "local"
if args == ["env", "GOPROXY"]:
    print("https://u:secret@index,direct")
elif "list" in args:
    print("v1.0.0 v2.0.0" if args[-1] == "example.org/pack" else "")
elif args[-1] in ("example.org/pack@latest", "example.org/pack@v1.0.0"):
    assert os.environ["GOPROXY"] == "https://u:secret@index"
    file = pathlib.Path(os.environ["GOMODCACHE"], "v1.0.0.zip")
    file.parent.mkdir()
    shutil.copy({archive!r}, file)
    print(json.dumps({{"Version": "v1.0.0", "Zip": str(file)}}))
else:
    print(json.dumps({{"Error": "reading https://u:secret@index/: 404 Not Found\\n\\tmore"}}))
    sys.exit(1)
""",
    ),
    "-sources.jar": (
        "mvn",
        """
asked = [part for part in args if part.startswith("-Dartifact=")][0]
target = [part for part in args if part.startswith("-DoutputDirectory=")][0].partition("=")[2]
if asked == "-Dartifact=org.example:pack:1.0:jar:sources":
    pathlib.Path(target).mkdir()
    shutil.copy({archive!r}, pathlib.Path(target, "pack-1.0-sources.jar"))
else:
    print("\\x1b[31m[ERROR] Could not find artifact in central (https://u:secret@index/)")
    sys.exit(1)
""",
    ),
}


def fake(folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client of an index on PATH that knows one version of one package; its archive."""
    archive = index.make(folder / "archive", MEMBERS)
    name, body = FAKES[index.ending]
    path = folder / "bin" / name
    path.parent.mkdir()
    path.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, shutil, sys\nargs = sys.argv[1:]\n"
        'assert {"--version", "env", "dependency:copy", "view"} & set(args) or args[-2] == "--"'
        + body.format(archive=str(archive)),
        encoding="utf-8",
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    return archive


@INDEXES
def test_index_resolve_then_fetch_gives_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    archive = fake(tmp_path, index, monkeypatch)
    assert index.module.unavailable(index.params()) is None
    assert index.module.reach(index.params()) == "index"
    newest = index.module.Params(packages=[index.package]) if index is not MAVEN else index.params()
    pin = index.module.resolve(newest)
    assert (pin.version, [file.name for file in pin.files]) == (index.version, [index.name])
    assert pin == index.module.resolve(index.params())
    files = index.module.fetch(index.params(), pin, tmp_path / "into")
    assert Path(files[index.name]).read_bytes() == archive.read_bytes()
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(SourceError, match="other bytes under the same name"):
        index.module.fetch(index.params(), pin, tmp_path / "again")


@INDEXES
def test_index_vanished_version_and_unknown_package_are_told_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    fake(tmp_path, index, monkeypatch)
    gone = index.name.replace("1.0", "0.5", 1)
    asked = index.module.Params(packages={index.package: index.version.replace("1.0", "0.5", 1)})
    with pytest.raises(GoneError, match="lock it again") as error:
        index.module.fetch(asked, Pin("x", (pin_file(gone),)), tmp_path / "into")
    if index is not MAVEN:
        assert "2.0.0 is" in str(error.value)
    other = index.package.replace("pack", "nothing")
    with pytest.raises(SourceError, match=r"\b(no|not)\b") as unknown:
        index.module.resolve(index.module.Params(packages={other: index.version}))
    assert "secret" not in str(error.value) + str(unknown.value)


def pin_file(name: str) -> PinnedFile:
    """A file that no package here is."""
    return PinnedFile(name, "0" * 64, 1)


def test_go_without_a_proxy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, GO, monkeypatch)
    path = tmp_path / "bin" / "go"
    path.write_text(path.read_text().replace("https://u:secret@index,direct", "direct"))
    with pytest.raises(SourceError, match="GOPROXY is direct here, and names no proxy"):
        gomod.resolve(GO.params())


def test_maven_artifact_without_a_version_is_refused() -> None:
    for given in (["a:b"], {"a:b": None}, {"a:b": {"license": "MIT"}}):
        with pytest.raises(ValueError, match="a version of each artifact; a:b has none"):
            maven.Params(packages=given)


@INDEXES
def test_index_missing_client_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    name = FAKES[index.ending][0]
    assert f"{name} is missing" in (index.module.unavailable(index.params()) or "")


NO_NAMES = (
    "",
    "-o",
    "--registry=evil",
    "../x",
    "/srv/x",
    "./x",
    "a b",
    "a\n",
    "a;b",
    "$(touch x)",
    "file:///x",
    "https://example.org/x.tgz",
    "git+ssh://git@example.org/x",
    "github:a/b",
    "a@1.0.0",
)
NO_VERSIONS = (
    "",
    "-1",
    "--x",
    "latest",
    "LATEST",
    "RELEASE",
    "^1.0",
    "../1",
    "https://example.org/",
    "npm:x@1.0.0",
    "1.0.0:jar",
    "1.0-SNAPSHOT",
    "main",
)


@INDEXES
@pytest.mark.parametrize("name", NO_NAMES)
def test_index_name_that_is_an_option_a_path_or_an_address_is_refused(
    index: Index, name: str
) -> None:
    with pytest.raises(ValueError, match="is no package's name"):
        index.module.Params(packages={name: index.version})


@INDEXES
@pytest.mark.parametrize("version", NO_VERSIONS)
def test_index_version_that_is_none_is_refused(index: Index, version: str) -> None:
    if index is MAVEN and version in {"latest", "main"}:
        return  # any word is a version there
    with pytest.raises(ValueError, match="is no version of"):
        index.module.Params(packages={index.package: version})


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (NPM, "x.tgz"),
        (NPM, "x.tar.gz"),
        (NPM, "@a/../b"),
        (NPM, "@a"),
        (NPM, "a/b"),
        (CRATE, "a.b"),
        (CRATE, "1a"),
        (GO, "pack"),
        (GO, "example.org/../x"),
        (GO, "example.org/.git"),
        (GO, "example.org//x"),
        (MAVEN, "pack"),
        (MAVEN, "a:b:c"),
        (MAVEN, "a:${user.home}"),
        (MAVEN, "..:b"),
    ],
)
def test_index_name_that_it_would_take_for_another_thing_is_refused(
    index: Index, name: str
) -> None:
    with pytest.raises(ValueError, match="is no package's name"):
        index.module.Params(packages={name: index.version})


@INDEXES
def test_index_names_as_they_are_used_are_taken(index: Index) -> None:
    names = {
        ".tgz": ["is-number", "JSONStream", "@babel/parser", "lodash.merge", "@types/node"],
        ".crate": ["serde_json", "rand", "Inflector"],
        ".zip": ["golang.org/x/text", "github.com/BurntSushi/toml", "gopkg.in/yaml.v3"],
        "-sources.jar": ["org.apache.commons:commons-lang3", "junit:junit"],
    }[index.ending]
    versions = {
        ".tgz": ["1.0.0-beta.2+build"],
        ".crate": ["0.1.0-alpha.1", "1.0.0+spec-1.1.0"],
        ".zip": ["v0.0.0-20191109021931-daa7c04131f5", "v2.0.0+incompatible"],
        "-sources.jar": ["2.13.14", "33.0.0-jre", "1.0.0.Final"],
    }[index.ending]
    for name in names:
        for version in versions:
            assert index.module.Params(packages={name: version}).of(name).version == version
            told = packages.told(index.module.Params.naming, f"{name}@{version}x", "x")
            assert told == (name, version)


@INDEXES
@pytest.mark.parametrize("name", ["", "x", "../x@1.0.0", "-x@1.0.0", "pack@-1", "/etc@v1.0.0"])
def test_index_pinned_name_that_no_package_has_reaches_no_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: Index, name: str
) -> None:
    monkeypatch.setattr(clients.subprocess, "Popen", None)
    pin = Pin("1", (pin_file(name + index.ending),))
    with pytest.raises(SourceError, match="correct the card, or lock it again"):
        index.module.fetch(index.params(), pin, tmp_path / "into")
    assert list(tmp_path.iterdir()) == []


class Shelf(BaseHTTPRequestHandler):
    """A package index: what lies under each path."""

    files: dict[str, bytes]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        content = self.files.get(self.path.partition("?")[0])
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")


@pytest.fixture
def shelf() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of an index on this machine, and its files."""
    files: dict[str, bytes] = {}
    host = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Shelf,), {"files": files}))
    thread = threading.Thread(target=host.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{host.server_port}", files
    host.shutdown()
    thread.join()
    host.server_close()


def hostile(folder: Path) -> dict[str, bytes]:
    """A package that would leave a file behind, if anything of it ran."""
    touch = f"touch {folder / 'made'}"
    steps = "preinstall install postinstall prepare prepack postpack prepublish".split()
    manifest = {"name": "pack", "version": "1.0.0", "scripts": dict.fromkeys(steps, touch)}
    return {
        "package.json": json.dumps(manifest).encode(),
        ".npmrc": b"ignore-scripts=false\n",
        "binding.gyp": b'{"targets": [{"target_name": "<!(' + touch.encode() + b')"}]}',
        "setup.py": f"import os; os.system('{touch}')\n".encode(),
        "Makefile": f"all:\n\t{touch}\n$(shell {touch})\n".encode(),
        "Cargo.toml": b'[package]\nname = "pack"\nversion = "1.0.0"\nbuild = "build.rs"\n',
        "build.rs": f'fn main() {{ std::process::Command::new("sh").arg("{touch}"); }}\n'.encode(),
        ".cargo/config.toml": f'[build]\nrustc-wrapper = "{folder / "evil"}"\n'.encode(),
        "src/lib.rs": b"",
        "go.mod": b"module example.org/pack\n",
        "gen.go": f"package pack\n//go:generate {touch}\n".encode(),
    }


@pytest.fixture
def above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made: what others of this machine have put there is not heard."""
    folder = tmp_path / "tmp"
    nowhere = "http://127.0.0.1:9"
    for name, content in {
        ".npmrc": f"registry={nowhere}/\n",
        "package.json": '{"workspaces": ["*"]}',
        ".cargo/config.toml": '[source.crates-io]\nreplace-with = "theirs"\n'
        f'[source.theirs]\nregistry = "sparse+{nowhere}/"\n[net]\noffline = true\n',
        "Cargo.toml": "broken",
        "rust-toolchain.toml": '[toolchain]\npath = "/nowhere"\n',
        "go.mod": "module theirs\nreplace example.org/pack => ./theirs\n",
        "go.work": "broken",
        "go.env": f"GOPROXY={nowhere}\n",
        ".git/config": "broken",
        "pip.conf": f"[global]\nindex-url = {nowhere}\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def taken(index: Index, folder: Path) -> set[str]:
    """What is read of a package after resolving and fetching it, of a version that is not named."""
    (folder / "evil").write_text(f"#!/bin/sh\ntouch {folder / 'made'}\n")
    (folder / "evil").chmod(0o755)
    params = index.module.Params(packages=[index.package])
    pin = index.module.resolve(params)
    into = Path(os.path.relpath(folder / "tmp" / "into"))
    files = index.module.fetch(params, pin, into)
    rows, faults = read_all(index, Path(files[index.name]))
    assert faults == []
    assert not (folder / "made").exists(), "the package ran something"
    gone = Pin("x", (pin_file(index.name.replace("1.0.0", "0.5.0")),))
    with pytest.raises(GoneError, match=index.version.removeprefix("v") + " is"):
        index.module.fetch(params, gone, folder / "again")
    scratch = folder / "tmp" / "asking"
    scratch.mkdir()
    assert standing(index.module, params, pin, scratch).state == "ok"
    assert not list(scratch.rglob("*.tgz")) + list(scratch.rglob("*.crate"))
    became = standing(index.module, params, gone, scratch)
    assert became.state == "vanished"
    assert "0.5.0" in became.reason
    assert not (folder / "made").exists(), "the package ran something"
    return {row["native_id"].removeprefix(f"{index.package}/") for row in rows}


@pytest.mark.usefixtures("above")
@pytest.mark.needs("npm")
def test_npm_itself_brings_a_hostile_package_that_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelf: tuple[str, dict[str, bytes]]
) -> None:
    address, files = shelf
    index = Index(npm, "pack", "1.0.0", ".tgz", NPM.make)
    members = hostile(tmp_path)
    content = index.make(tmp_path / "archive", members).read_bytes()
    integrity = base64.b64encode(hashlib.sha512(content).digest()).decode()
    dist = {"tarball": f"{address}/pack.tgz", "integrity": f"sha512-{integrity}"}
    version = {**json.loads(members["package.json"]), "dist": dist, "hasInstallScript": True}
    said = {"name": "pack", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    files |= {"/pack": json.dumps(said).encode(), "/pack.tgz": content}
    monkeypatch.setenv("npm_config_registry", f"{address}/")
    assert taken(index, tmp_path) == set(members)


@pytest.mark.usefixtures("above")
@pytest.mark.needs("cargo")
def test_cargo_itself_brings_a_hostile_crate_that_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelf: tuple[str, dict[str, bytes]]
) -> None:
    address, files = shelf
    members = hostile(tmp_path)
    path = tarball(tmp_path / "archive", "pack-1.0.0", members, links=False)  # it takes none
    content = path.read_bytes()
    # A registry's index (the Cargo book, registry index): its settings, and a line a version.
    line = {
        "name": "pack",
        "vers": "1.0.0",
        "deps": [],
        "cksum": hashlib.sha256(content).hexdigest(),
        "features": {},
        "yanked": False,
    }
    files |= {
        "/config.json": json.dumps({"dl": f"{address}/crates"}).encode(),
        "/pa/ck/pack": json.dumps(line).encode(),
        "/crates/pack/1.0.0/download": content,
    }
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "here"\n'
        f'[source.here]\nregistry = "sparse+{address}/"\n'
    )
    monkeypatch.setenv("CARGO_HOME", str(home))
    assert taken(CRATE, tmp_path) == set(members)
    assert [path.name for path in home.iterdir()] == ["config.toml"]


def test_a_cargo_that_cannot_run_is_said_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = crates.Params(packages=["pack"])
    shim = tmp_path / "cargo"
    shim.write_text("#!/bin/sh\necho 'cargo 1.95.0'\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert crates.unavailable(params) is None
    shim.write_text("#!/bin/sh\necho 'error: no default is configured' >&2\nexit 1\n")
    said = "cargo does not run here: no default is configured; install Rust 1.82 or newer"
    assert crates.unavailable(params) == said
    shim.write_text("#!/bin/sh\necho 'cargo is not set up' >&2\nexit 1\n")
    said = "cargo does not run here: cargo is not set up; install Rust 1.82 or newer"
    assert crates.unavailable(params) == said


@pytest.mark.usefixtures("above")
@pytest.mark.needs("go")
def test_go_itself_brings_a_hostile_module_that_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelf: tuple[str, dict[str, bytes]]
) -> None:
    address, files = shelf
    members = hostile(tmp_path)
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        for name, content in members.items():
            archive.writestr(f"example.org/pack@v1.0.0/{name}", content)
    info = json.dumps({"Version": "v1.0.0", "Time": "2001-01-01T00:00:00Z"}).encode()
    proxy = "/example.org/pack/@v"  # the Go Modules Reference, GOPROXY protocol
    files |= {
        f"{proxy}/list": b"v1.0.0\n",
        f"{proxy}/v1.0.0.info": info,
        "/example.org/pack/@latest": info,
        f"{proxy}/v1.0.0.mod": members["go.mod"],
        f"{proxy}/v1.0.0.zip": (tmp_path / "archive").read_bytes(),
    }
    monkeypatch.setenv("GOPROXY", f"{address},direct")
    monkeypatch.setenv("GOSUMDB", "off")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "own"))
    assert taken(GO, tmp_path) == set(members)
    assert not (tmp_path / "own").exists()


def test_index_unsafe_paths_in_tar_headers_are_not_followed(tmp_path: Path) -> None:
    """A long name of a PAX header counts like any other."""
    path = tmp_path / "archive"
    with gzip.open(path, "wb") as out, tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("package/" + "d/" * 120 + "../" * 130 + "evil.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    rows, faults = read_all(NPM, path)
    assert rows == []
    assert [fault.reason for fault in faults] == ["member path leaves the archive"]
    assert pinned(path).bytes < 1000
