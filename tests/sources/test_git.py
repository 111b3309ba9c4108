"""The git connector, against repositories made here and served by git's own HTTP backend."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from outside import require

from phloem.sources.clients import git_tree, packages
from phloem.sources.clients.standing import standing
from phloem.sources.connector import Fault, GoneError, Pin, PinnedFile, SourceError
from phloem.sources.connectors import git
from phloem.sources.limits import Limits
from phloem.sources.web import addresses

DEFAULT = Limits()
NAME = "git.example.org/texts/book"
URL = f"https://{NAME}"
BOOK = {
    "README.md": b"# \xe4\xb9\xa6\n",
    "hi/1.txt": "सभी मनुष्य".encode(),
    "hi/2.txt": b"broken \xff\xfe",
    "src/main.rs": b"fn main() {}\n",
    "th/1.txt": "ทุกคน".encode(),
}


def git_run(folder: Path, *arguments: str, told: bytes = b"") -> str:
    """What a git command prints, as its author says."""
    who = {
        f"GIT_{role}_{part}": "a@b.org"
        for role in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    }
    when = {"GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z"}
    command = [require("git"), f"--git-dir={folder}", *arguments]
    done = subprocess.run(
        command, input=told, capture_output=True, check=True, env={**os.environ, **who, **when}
    )
    return done.stdout.decode().strip()


def blob(folder: Path, content: bytes) -> str:
    return git_run(folder, "hash-object", "-w", "--stdin", told=content)


def tree(folder: Path, *entries: tuple[str, bytes, str]) -> str:
    """A tree of (mode, name, object), whatever git thinks of it."""
    raw = b"".join(
        mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries
    )
    return git_run(folder, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", told=raw)


def commit(folder: Path, root: str, branch: str = "main") -> str:
    made = git_run(folder, "commit-tree", root, told=b"a commit")
    git_run(folder, "update-ref", f"refs/heads/{branch}", made)
    return made


def book(folder: Path, members: dict[str, bytes]) -> str:
    """Commit files; returns the commit."""
    for path, content in members.items():
        entry = f"100644,{blob(folder, content)},{path}"
        git_run(folder, "update-index", "--add", "--cacheinfo", entry)
    return commit(folder, git_run(folder, "write-tree"))


class Backend(BaseHTTPRequestHandler):
    """Answers as `git http-backend` (git-http-backend(1)) does."""

    protocol_version = "HTTP/1.1"
    root: Path
    asked: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.asked.append(self.path)
        if path.startswith("/moved"):
            self.send_response(301)
            self.send_header("Location", f"/texts/book.git/info/refs?{query}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, env=environment, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host of one empty repository, under the name that cards give; its folder."""
    folder = tmp_path / "host" / "texts" / "book.git"
    folder.parent.mkdir(parents=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
    git_run(folder, "init", "--quiet", "--bare")
    git_run(folder, "config", "uploadpack.allowFilter", "true")
    handler = type("Handler", (Backend,), {"root": tmp_path / "host", "asked": []})
    host = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=host.serve_forever, args=(0.01,))
    thread.start()
    here = f"http://127.0.0.1:{host.server_port}/"
    (tmp_path / "gitconfig").write_text(
        f'[url "{here}texts/book.git"]\n\tinsteadOf = {URL}\n'
        f'[url "{here}"]\n\tinsteadOf = https://git.example.org/\n'
    )
    monkeypatch.setattr(git_tree, "PROTOCOLS", "http")
    monkeypatch.setattr(addresses, "public_addresses", lambda _host, _port: ["127.0.0.1"])
    yield folder
    host.shutdown()
    thread.join()
    host.server_close()
    made = folder.parent.parent / "made"
    assert not made.exists(), "the repository ran something"


def read_all(
    params: git.Params, pin: Pin, files: Any, limits: Limits = DEFAULT
) -> tuple[list[dict[str, Any]], list[Fault]]:
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in git.splits(params, pin, files):
        for found in git.read(params, split, files, limits):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


def taken(
    folder: Path, limits: Limits = DEFAULT, **params: Any
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """What is read of the repository, resolved and fetched as a run would."""
    model = git.Params(repositories={URL: {"license": "CC0-1.0"}}, **params)
    pin = git.resolve(model)
    into = folder.parent.parent / "into"
    files = git.fetch(model, pin, into)
    assert [path.name for path in sorted(into.glob("*/*"))] == ["files.zip"] * len(pin.files)
    return read_all(model, pin, files, limits)


def test_git_files_of_the_commit_are_read_with_names_without_it(server: Path) -> None:
    made = book(server, BOOK)
    params = git.Params(
        repositories={URL: {"license": "CC0-1.0"}},
        exclude=["README*"],
        languages={"hi/*": "hi", "*/book/th/*": "th"},
    )
    pin = git.resolve(params)
    assert (pin.version, pin.files[0].name) == (made, f"{NAME}@{made}.zip")
    rows, faults = read_all(params, pin, git.fetch(params, pin, server.parent / "into"))
    assert faults == []
    assert {
        row["native_id"].removeprefix(f"{NAME}/"): (
            row["content"],
            row["media_type"],
            row["declared_language"],
            row["title"],
        )
        for row in rows
    } == {
        "hi/1.txt": (BOOK["hi/1.txt"], "text/plain", "hi", None),
        "hi/2.txt": (BOOK["hi/2.txt"], "text/plain", "hi", None),
        "src/main.rs": (BOOK["src/main.rs"], "text/x-rust", None, "src/main.rs"),
        "th/1.txt": (BOOK["th/1.txt"], "text/plain", "th", None),
    }
    assert {(row["license"], row["url"]) for row in rows} == {("CC0-1.0", URL)}


def test_git_archive_has_the_same_bytes_everywhere(server: Path) -> None:
    """Another digest would make the lock entry of every repository wrong."""
    book(server, BOOK)
    params = git.Params(repositories={URL: None})
    pin = git.resolve(params)
    assert pin.version == "7d8735adad1b8433bd011a791e55cfc31ca161fb"
    assert pin.files[0].sha256 == "a6a1d91837a2725c45aa88bc367474326386f1990470bd10c49e7108735aaccb"
    (path,) = git.fetch(params, pin, server.parent / "into").values()
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == list(BOOK)


@pytest.mark.parametrize("revision", ["main", "v1", "signed", None])
def test_git_revision_may_be_a_branch_a_tag_or_left_to_the_host(
    server: Path, revision: str | None
) -> None:
    made = book(server, BOOK)
    git_run(server, "tag", "v1", made)
    git_run(server, "tag", "--annotate", "--message=x", "signed", made)
    pin = git.resolve(git.Params(repositories={URL: {"revision": revision}}))
    assert pin.version == made


def test_git_files_of_plain_text_give_a_document_by_lines_or_between_marks(server: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n"
    lines = ["Bànbàn", "Ɔwɔ", "", "Wote", "huru."]
    members = {
        "a/train.bam": "\n".join(lines).encode(),
        "a/page.html": b"<p>one</p>\n<p>two</p>",
        "a/large.txt": pointer,
    }
    book(server, members)
    for documents, texts in (
        ("line", ["Bànbàn", "Ɔwɔ", "Wote", "huru."]),
        ({"lines": 2}, ["Bànbàn\nƆwɔ", "\nWote", "huru."]),
        ("paragraph", ["Bànbàn\nƆwɔ", "Wote\nhuru."]),
        ({"separator": "Wote"}, ["Bànbàn\nƆwɔ\n", "huru."]),
        ("file", ["\n".join(lines)]),
    ):
        shutil.rmtree(server.parent.parent / "into", ignore_errors=True)
        rows, faults = taken(server, documents=documents)
        held = [row for row in rows if row["media_type"] == "text/plain"]
        assert [row["content"].decode() for row in held] == texts
        assert {row["license"] for row in held} == {"CC0-1.0"}
        assert len({row["native_id"] for row in held}) == len(texts)
        assert [row["content"] for row in rows if row not in held] == [members["a/page.html"]]
        assert [fault.native_id for fault in faults] == [f"{NAME}/a/large.txt"]
    assert held[0]["native_id"] == f"{NAME}/a/train.bam"


def test_git_older_commit_is_read_and_a_vanished_one_names_the_head(server: Path) -> None:
    old = book(server, {"a.txt": b"old"})
    new = book(server, {"a.txt": b"new"})
    params = git.Params(repositories={URL: {"revision": old}})
    pin = git.resolve(params)
    assert pin.version == old
    rows, _ = read_all(params, pin, git.fetch(params, pin, server.parent / "into"))
    assert [row["content"] for row in rows] == [b"old"]
    gone = Pin("x", (PinnedFile(f"{NAME}@{'1' * 40}.zip", "0" * 64, 1),))
    with pytest.raises(GoneError, match=f"its HEAD is {new}; .*lock it again"):
        git.fetch(git.Params(repositories={URL: None}), gone, server.parent / "again")
    free = git.Params(repositories={URL: None})
    became = {
        state: standing(git, free, locked, server.parent)
        for state, locked in {"newer": pin, "ok": git.resolve(free), "vanished": gone}.items()
    }
    assert {state: each.state for state, each in became.items()} == {s: s for s in became}
    assert new in became["newer"].reason
    with pytest.raises(GoneError, match="does not serve nowhere; its HEAD is"):
        git.resolve(git.Params(repositories={URL: {"revision": "nowhere"}}))


def test_git_only_the_wanted_files_are_fetched(
    server: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    book(server, {**BOOK, "big.bin": os.urandom(300_000)})
    kept: list[int] = []
    rmtree = shutil.rmtree

    def weighed(folder: Path) -> None:
        kept.append(sum(path.stat().st_size for path in folder.rglob("*.pack")))
        rmtree(folder)

    monkeypatch.setattr(git, "shutil", SimpleNamespace(rmtree=weighed))
    git.resolve(git.Params(repositories={URL: None}, include=["*.txt"]))
    assert 0 < kept[0] < 20_000
    git_run(server, "config", "uploadpack.allowFilter", "false")  # a host that knows no filters
    rows, _ = taken(server, include=["*.txt"])
    assert len(rows) == 3


def test_git_other_choice_of_files_than_was_locked_is_refused(server: Path) -> None:
    book(server, BOOK)
    pin = git.resolve(git.Params(repositories={URL: None}))
    with pytest.raises(SourceError, match="so `include` or `exclude` of the card did"):
        git.fetch(git.Params(repositories={URL: None}, include=["hi/*"]), pin, server.parent / "i")
    other = git.Params(repositories={"https://git.example.org/other": None})
    with pytest.raises(SourceError, match="which the card does not name"):
        git.fetch(other, pin, server.parent / "j")


def test_git_hostile_tree_gives_faults_and_leaves_no_trace(server: Path) -> None:
    made = server.parent.parent / "made"
    evil = blob(server, f"#!/bin/sh\ntouch {made}\n".encode())
    (server / "hooks").mkdir(exist_ok=True)
    hook = server / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {made}\n")
    hook.chmod(0o755)
    attributes = blob(server, b"* filter=evil diff=evil export-subst\n*.md export-ignore\n")
    modules = blob(server, f'[submodule "x"]\n\tpath = x\n\turl = file://{server}\n'.encode())
    good = blob(server, b"$Format:%H$")
    hooks = tree(server, ("100755", b"post-checkout", evil))
    inner = tree(server, ("100644", b"evil.txt", evil))
    root = tree(
        server,
        ("40000", b"..", inner),
        ("40000", b".git", tree(server, ("40000", b"hooks", hooks))),
        ("100644", b".gitattributes", attributes),
        ("100644", b".gitmodules", modules),
        ("100755", b"Makefile", evil),
        ("100644", b"a\\..\\b.txt", good),
        ("100644", b"good.txt", good),
        ("120000", b"link.txt", blob(server, b"/etc/passwd")),
        ("100644", b"page.md", good),
        ("100755", b"setup.py", evil),
        ("160000", b"x", "1" * 40),
        ("100644", b"\xff.txt", good),
    )
    commit(server, root)
    rows, faults = taken(server)
    contents = {row["native_id"].removeprefix(f"{NAME}/"): row["content"] for row in rows}
    assert contents.keys() == {
        ".git/hooks/post-checkout",
        ".gitattributes",
        ".gitmodules",
        "Makefile",
        "good.txt",
        "page.md",
        "setup.py",
        "%FF.txt",
    }
    assert contents["good.txt"] == b"$Format:%H$"
    assert [fault.reason for fault in faults] == ["member path leaves the archive"] * 2
    assert not made.exists()


def test_git_pointer_to_a_large_file_elsewhere_is_a_fault(server: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    book(server, {"a.txt": b"a", "b.txt": pointer.encode()})
    rows, faults = taken(server)
    assert [row["content"] for row in rows] == [b"a"]
    assert [(fault.native_id, fault.reason) for fault in faults] == [
        (f"{NAME}/b.txt", "kept in Git LFS, which is not read")
    ]


def test_git_bomb_of_trees_is_refused(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_tree, "MAX_FILES", 10_000)
    inner = tree(server, *(("100644", b"%d" % n, blob(server, b"")) for n in range(10)))
    for _ in range(9):
        inner = tree(server, *(("40000", b"%d" % n, inner) for n in range(10)))
    commit(server, inner)
    with pytest.raises(SourceError, match="more than 10000 files, or a tree without end"):
        git.resolve(git.Params(repositories={URL: None}))


def test_git_too_many_bytes_are_refused(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_tree, "MAX_BYTES", 1000)
    book(server, {"a.txt": b"a" * 600, "b.txt": b"b" * 600})
    with pytest.raises(SourceError, match="have more than 1000 bytes; take fewer"):
        git.resolve(git.Params(repositories={URL: None}))
    assert git.resolve(git.Params(repositories={URL: None}, include=["a.txt"])).files


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([b"a.txt", b"a.txt"], "a path twice"),
        ([b"a" * 5000], "a path of more than 4096 bytes"),
    ],
)
def test_git_path_that_no_folder_could_hold_is_refused(
    server: Path, entries: list[bytes], fault: str
) -> None:
    root = tree(server, *(("100644", name, blob(server, b"x")) for name in entries))
    commit(server, root)
    with pytest.raises(SourceError, match=fault):
        git.resolve(git.Params(repositories={URL: None}))


def test_git_large_member_is_a_fault_unless_the_limit_is_raised(server: Path) -> None:
    book(server, {"a.txt": b"x" * 101, "b.txt": b"y"})
    rows, faults = taken(server, Limits(member_bytes=100))
    assert [row["content"] for row in rows] == [b"y"]
    assert [fault.reason for fault in faults] == [
        "member larger than 100 bytes (limits.member_bytes)"
    ]


def test_git_large_repository_is_split_and_gives_the_same(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book(server, {f"{n:02d}.txt": b"x" * n for n in range(30)})
    params = git.Params(repositories={URL: None})
    pin = git.resolve(params)
    files = git.fetch(params, pin, server.parent / "into")
    whole, _ = read_all(params, pin, files)
    monkeypatch.setattr(packages, "SPLIT_BYTES", 50)
    splits = git.splits(params, pin, files)
    assert len(splits) > 5
    assert all(split.files == (pin.files[0].name,) for split in splits)
    assert read_all(params, pin, files)[0] == whole


def test_git_archive_cut_short_is_a_fault(server: Path) -> None:
    book(server, BOOK)
    params = git.Params(repositories={URL: None})
    pin = git.resolve(params)
    (path,) = git.fetch(params, pin, server.parent / "into").values()
    Path(path).write_bytes(Path(path).read_bytes()[:-30])
    _, faults = read_all(params, pin, {pin.files[0].name: path})
    assert faults == [Fault(NAME, 0, "broken archive", rest=True)]


def test_git_redirect_and_silence_are_errors_without_addresses(server: Path) -> None:
    moved = git.Params(repositories={"https://git.example.org/moved/book.git": None})
    with pytest.raises(SourceError, match="git could not fetch") as error:
        git.resolve(moved)
    assert "127.0.0.1" not in str(error.value)
    absent = git.Params(repositories={"https://git.example.org/absent.git": None})
    with pytest.raises(SourceError, match="git could not fetch"):
        git.resolve(absent)


def test_git_host_inside_a_network_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def inside(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return [(2, 1, 6, "", ("10.0.0.7", 443))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", inside)
    monkeypatch.setattr(git_tree, "run_client", None)
    with pytest.raises(SourceError, match=r"git\.example\.org is not asked: .*no public address"):
        git.resolve(git.Params(repositories={URL: None}))


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example.org/a",
        "file:///etc",
        "ssh://git@git.example.org/a",
        "git@git.example.org:a/b",
        "ext::sh -c touch% made",
        "-uevil",
        "/srv/repository",
        "https://user:secret@git.example.org/a",
        "https://git.example.org:8443/a",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://localhost/a",
        "https://git.example.org/../a",
        "https://git.example.org/a?b",
        "https://git.example.org/a b",
        "https://git.example.org",
        "https://--upload-pack=x.org/a",
    ],
)
def test_git_address_that_is_no_repository_on_the_open_network_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https addresses of repositories"):
        git.Params(repositories={url: None})


@pytest.mark.parametrize(
    "revision",
    [
        "-f",
        "+main",
        "main:evil",
        "a..b",
        "a b",
        "../x",
        "/x",
        "x/",
        "x.lock",
        "a~1",
        "a^{}",
        "@{-1}",
        "",
    ],
)
def test_git_revision_that_is_no_name_is_refused(revision: str) -> None:
    with pytest.raises(ValueError, match="is no version of"):
        git.Params(repositories={URL: {"revision": revision}})


@pytest.mark.parametrize(
    "name", ["../x@1.zip", f"-u@{'1' * 40}.zip", "x", "git.example.org/a@-f.zip"]
)
def test_git_pinned_name_that_no_repository_has_reaches_no_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(git_tree, "run_client", None)
    pin = Pin("1", (PinnedFile(name, "0" * 64, 1),))
    with pytest.raises(SourceError, match="lock it again"):
        git.fetch(git.Params(repositories={URL: None}), pin, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_git_needs_the_network_and_says_when_its_client_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = git.Params(repositories={URL: None})
    assert git.reach(params) == "network"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is missing" in (git.unavailable(params) or "")
